/* admin/dispatch.h - the API's table: method, path, who may, what runs, what it is for. For admin/ only. */
#ifndef ADMIN_DISPATCH_H
#define ADMIN_DISPATCH_H

#include "admin/auth.h"
#include "admin/call.h"

enum endpoint_access {
    ACCESS_PUBLIC,  /* anybody */
    ACCESS_METRICS, /* anybody when admin.metrics_public, else viewers */
    ACCESS_ROLE     /* the row's role and above */
};

struct endpoint_argument {
    const char *name, *doc;
};

#define ENDPOINT_ARGUMENTS_MAX 8

/* A write (any method but GET) needs a reason. HEAD is answered where GET is. */
struct endpoint_row {
    const char *method;
    const char *path; /* "/api/v1/routes/{name}/split": {x} stands for one segment */
    enum endpoint_access access;
    enum role role;
    void (*run)(struct admin_call *call);
    const char *summary;
    struct endpoint_argument arguments[ENDPOINT_ARGUMENTS_MAX]; /* of the query; unused ones NULL */
    const char *body;    /* JSON Schema properties of the body beside `reason`; NULL: none */
    const char *success; /* the status of a success */
    bool takes_lines;    /* the body may be JSON Lines, with the reason in the query */
};

extern const struct endpoint_row endpoint_rows[];
extern const size_t endpoint_row_count;

/* Answers one request, whole in call->request and `body`. unix_actor: of a peer on the UNIX socket; NULL over TCP.
   Fills in the rest of the call and the reply. */
void dispatch(struct admin_call *call, const struct admin_config *config, const struct actor *unix_actor,
              struct slice body);

/* Does `path` fit the row's pattern? Its parameters go to params, raw. Public for tests. */
bool endpoint_matches(const struct endpoint_row *row, struct slice path, struct slice params[CALL_PARAMS_MAX]);

/* ---- handlers, one file a topic --------------------------------------------------------------------------------------- */

void api_healthz(struct admin_call *call); /* health.c */
void api_readyz(struct admin_call *call);
void api_metrics(struct admin_call *call);
void api_status(struct admin_call *call); /* status.c */
void api_drills(struct admin_call *call); /* drills.c */
void api_drill(struct admin_call *call);
void api_drill_start(struct admin_call *call);
void api_drill_abort(struct admin_call *call);
void api_routes(struct admin_call *call); /* routes.c */
void api_route(struct admin_call *call);
void api_upstreams(struct admin_call *call); /* upstreams.c */
void api_config(struct admin_call *call);    /* versions.c */
void api_versions(struct admin_call *call);
void api_version(struct admin_call *call);
void api_restore(struct admin_call *call); /* restore.c */
void api_reload(struct admin_call *call);  /* actions.c */
void api_drain(struct admin_call *call);
void api_split_put(struct admin_call *call); /* split.c */
void api_split_delete(struct admin_call *call);
void api_shadow(struct admin_call *call); /* shadow.c */
void api_shadow_diffs(struct admin_call *call);
void api_rollouts(struct admin_call *call); /* rollouts.c */
void api_rollout(struct admin_call *call);
void api_rollout_plan(struct admin_call *call);
void api_rollout_start(struct admin_call *call);
void api_rollout_approve(struct admin_call *call);
void api_rollout_promote(struct admin_call *call);
void api_rollout_pause(struct admin_call *call);
void api_rollout_resume(struct admin_call *call);
void api_rollout_rollback(struct admin_call *call);
void api_rollout_abort(struct admin_call *call);
void api_audit(struct admin_call *call); /* audit.c */
void api_audit_verify(struct admin_call *call);
void api_events(struct admin_call *call); /* events.c */
void api_event(struct admin_call *call);
void api_event_post(struct admin_call *call);    /* event_post.c */
void api_outcomes_post(struct admin_call *call); /* outcomes.c */
void api_slos(struct admin_call *call);          /* slos.c */
void api_incidents(struct admin_call *call);     /* incidents.c */
void api_incident(struct admin_call *call);
void api_hygiene(struct admin_call *call); /* hygiene.c */
void api_openapi(struct admin_call *call); /* openapi.c */

#endif
