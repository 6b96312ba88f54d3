/* admin/call.h - one request of the admin API as its handler sees it, and the reply it makes. For admin/ only. */
#ifndef ADMIN_CALL_H
#define ADMIN_CALL_H

#include "admin/control.h"
#include "http/message.h"
#include "json/json.h"

struct deed;

#define CALL_PARAMS_MAX   2
#define CALL_REASON_BYTES 1000 /* longer ones are refused */

#define LIST_DEFAULT 100 /* rows of the store in one answer */
#define LIST_MAX     1000

struct admin_reply;

/* Makes a held reply anew, when every worker uses what was published: what it tells is then so. `subject` is what the handler
   left in the reply. False: what it tells of is on its way again, and it is held on. */
typedef bool admin_renew_fn(const struct admin_control *control, struct slice subject, struct admin_reply *reply);

/* What goes back. Embedded in a session. */
struct admin_reply {
    uint16_t status;
    const char *content_type;
    struct text body;
    const char *allow;         /* of a 405 */
    bool wants_authentication; /* of a 401 */
    bool is_held;              /* sent only when every worker uses what was published last */
    admin_renew_fn *renew;     /* of a held one; NULL: it stays as it is */
    struct slice subject;      /* for renew; in the request's arena */
    bool is_followed;          /* the body is the beginning of a stream of events: admin/follow.h */
};

/* Borrowed by the handler while it runs. */
struct admin_call {
    const struct admin_control *control;
    struct arena *arena;
    const struct message *request;
    struct slice params[CALL_PARAMS_MAX]; /* of the path, decoded */
    const struct json *body;              /* an object, or NULL when there was none */
    struct slice lines;                   /* or JSON Lines, where the endpoint takes them, raw; empty: none */
    struct slice reason;                  /* of a write: never empty */
    struct actor actor;
    struct admin_reply *reply;
};

void reply_init(struct admin_reply *r);
void reply_fini(struct admin_reply *r);
/* Takes the document over. */
void reply_json(struct admin_reply *r, uint16_t status, struct json *document);
void reply_text(struct admin_reply *r, uint16_t status, const char *text);
/* {"error": {"code": ..., "message": ...}} */
void reply_error(struct admin_reply *r, uint16_t status, const char *code, const char *format, ...) PRINTF_LIKE(4, 5);
/* The same with "problems": [...]. */
void reply_problems(struct admin_reply *r, uint16_t status, const char *code, const char *message,
                    const struct slice *problems, size_t problem_count);

/* A query argument, percent-decoded into the arena; false when absent. */
bool call_argument(const struct admin_call *call, const char *name, struct slice *out);
/* A whole number of the query into *value, which keeps its default when absent; false with a 400 when it is none. */
bool call_number(struct admin_call *call, const char *name, uint64_t lowest, uint64_t highest, uint64_t *value);
/* ?limit=, of a list's rows: 1 to LIST_MAX, and LIST_DEFAULT when absent. False with a 400. */
bool call_limit(struct admin_call *call, uint64_t *limit);
/* %XX and nothing else ('+' stays); false when broken or when it holds a NUL. */
bool percent_decode(struct slice raw, struct arena *arena, struct slice *out);

/* Writes the audit line before the deed. False when it could not be written: the reply says so and nothing may be done.
   `detail` may be NULL; it is not taken over. */
bool call_audit(struct admin_call *call, const char *action, struct slice target, const struct json *detail) MUST_CHECK;

/* The same for a change that is rows of the store: with its audit line, whose action, target and detail are given, in one
   transaction. */
bool call_deed(struct admin_call *call, struct deed *deed) MUST_CHECK;

/* A 404 for the rollout that the path names. */
void reply_no_rollout(struct admin_call *call);
/* What was said to it is not done; `error` is the sentence, where there is one. */
void reply_not_done(struct admin_call *call, enum rollout_reply reply, const struct text *error);
/* A 503 for what the store does not give: `what` begins the sentence. */
void reply_unreadable(struct admin_call *call, const char *what);

/* Adds a string, or null when it is empty. */
void put_optional(struct json *object, const char *key, struct slice value);
/* Adds JSON text as what it says, or null when it is empty. */
void put_document(struct json *object, const char *key, struct slice bytes);

#endif
