/* admin/endpoints.c - THE table of the admin API. Dispatch, roles and openapi.json all read it.
 *
 * A row is all there is to an endpoint: dispatch.c serves it, openapi.c describes it, and a test holds docs/admin-api.md against
 * it. Order matters to people only: no two rows fit one request. */
#include "admin/dispatch.h"

#define GET(path_, access_, run_, summary_, ...)                                                                       \
    {                                                                                                                  \
        .method = "GET", .path = path_, .access = access_, .role = ROLE_VIEWER, .run = run_, .summary = summary_,      \
        .success = "200", __VA_ARGS__                                                                                  \
    }
#define WRITE(method_, path_, role_, run_, summary_, success_, ...)                                                    \
    {                                                                                                                  \
        .method = method_, .path = path_, .access = ACCESS_ROLE, .role = role_, .run = run_, .summary = summary_,      \
        .success = success_, __VA_ARGS__                                                                               \
    }

static const char api_drill_body[] = "{\"guardrail\":{\"type\":\"string\",\"description\":\"this one alone\"},"
                                     "\"fault\":{\"enum\":[\"error\",\"connect\",\"latency\",\"event\",\"sample\"],"
                                     "\"description\":\"those guardrails alone that watch for it\"},"
                                     "\"live\":{\"type\":\"boolean\"},"
                                     "\"step\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":64,"
                                     "\"description\":\"at the weight of this step; without it of the first\"},"
                                     "\"weight_ppm\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000,"
                                     "\"description\":\"of the step that has this weight\"},"
                                     "\"all_steps\":{\"type\":\"boolean\","
                                     "\"description\":\"one after the other\"},"
                                     "\"rate\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":500,"
                                     "\"default\":50,\"description\":\"synthetic requests a second\"},"
                                     "\"share_ppm\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000,"
                                     "\"default\":1000000,\"description\":\"of the canary's requests that fail\"},"
                                     "\"delay_ms\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":300000,"
                                     "\"description\":\"how much longer slow answers take\"},"
                                     "\"timeout_ms\":{\"type\":\"integer\",\"minimum\":1000,\"maximum\":600000,"
                                     "\"default\":30000,\"description\":\"that a guardrail has to fire\"}}";

const struct endpoint_row endpoint_rows[] = {
    GET("/healthz", ACCESS_PUBLIC, api_healthz, "200 while the process answers"),
    GET("/readyz", ACCESS_PUBLIC, api_readyz, "200 while clients are served; 503 before that and while draining"),
    GET("/metrics", ACCESS_METRICS, api_metrics, "Prometheus text, or OpenMetrics when Accept asks for it"),
    GET("/api/v1/status", ACCESS_ROLE, api_status,
        "version, generation, last reload, listeners, and what is live on each worker"),
    GET("/api/v1/routes", ACCESS_ROLE, api_routes, "every route with its rules, its split and the weights in force"),
    GET("/api/v1/routes/{name}", ACCESS_ROLE, api_route, "one route"),
    WRITE("PUT", "/api/v1/routes/{name}/split", ROLE_OPERATOR, api_split_put,
          "sets the weights of a route's split, over reloads and restarts", "200",
          .body = "{\"weights\":{\"type\":\"object\",\"description\":\"every upstream of the split"
                  " with its weight\",\"additionalProperties\":{\"type\":\"integer\","
                  "\"minimum\":0}}}"),
    WRITE("DELETE", "/api/v1/routes/{name}/split", ROLE_OPERATOR, api_split_delete,
          "gives the weights back to the configuration file", "200"),
    GET("/api/v1/upstreams", ACCESS_ROLE, api_upstreams,
        "every upstream with its endpoints, their health, and its connections"),
    GET("/api/v1/rollouts", ACCESS_ROLE, api_rollouts,
        "every rollout: state, step, weight, and what each guardrail has seen so far"),
    GET("/api/v1/rollouts/{name}", ACCESS_ROLE, api_rollout, "one rollout"),
    GET("/api/v1/rollouts/{name}/plan", ACCESS_ROLE, api_rollout_plan,
        "what it would do if it were started now, and how soon its guardrails would notice what, at today's traffic"),
    WRITE("POST", "/api/v1/rollouts/{name}/start", ROLE_OPERATOR, api_rollout_start, "begins with the first step",
          "200"),
    WRITE("POST", "/api/v1/rollouts/{name}/approve", ROLE_APPROVER, api_rollout_approve,
          "says yes to the step that waits for it; each person once", "200"),
    WRITE("POST", "/api/v1/rollouts/{name}/promote", ROLE_OPERATOR, api_rollout_promote,
          "ends the hold, or the bake, now", "200"),
    WRITE("POST", "/api/v1/rollouts/{name}/pause", ROLE_OPERATOR, api_rollout_pause,
          "keeps the weight as it is until somebody resumes", "200"),
    WRITE("POST", "/api/v1/rollouts/{name}/resume", ROLE_OPERATOR, api_rollout_resume, "goes on after a pause", "200"),
    WRITE("POST", "/api/v1/rollouts/{name}/rollback", ROLE_OPERATOR, api_rollout_rollback,
          "takes the canary back: weight 0 at once", "200"),
    WRITE("POST", "/api/v1/rollouts/{name}/abort", ROLE_OPERATOR, api_rollout_abort,
          "takes the canary back and ends the rollout as failed", "200"),
    GET("/api/v1/drills", ACCESS_ROLE, api_drills, "rehearsals of failing releases, newest first",
        .arguments = { { "rollout", "of this one alone" },
                       { "state", "running, passed, failed, aborted or interrupted: those alone" },
                       { "before", "the id of one: only older ones" },
                       { "limit", "at most so many, 1 to 1000; default 100" } }),
    GET("/api/v1/drill/{name}", ACCESS_ROLE, api_drill, "a rollout's drill that is under way, else its newest"),
    WRITE("POST", "/api/v1/drill/{name}", ROLE_OPERATOR, api_drill_start,
          "rehearses a failing release on a copy of the rollout, with synthetic traffic; live (approver) it makes the "
          "real canary fail",
          "202", .body = api_drill_body),
    WRITE("POST", "/api/v1/drill/{name}/abort", ROLE_OPERATOR, api_drill_abort,
          "ends the drill that is under way; of a live one the canary fails no more from then on", "202"),
    GET("/api/v1/shadow/{route}", ACCESS_ROLE, api_shadow,
        "what comparing a route's shadows has found: a verdict for each field, pairs, latencies side by side"),
    GET("/api/v1/shadow/{route}/diffs", ACCESS_ROLE, api_shadow_diffs,
        "the newest pairs in which a shadow differs, redacted"),
    GET("/api/v1/config", ACCESS_ROLE, api_config, "the text of the configuration in force, secrets masked"),
    GET("/api/v1/config/versions", ACCESS_ROLE, api_versions,
        "the configurations that were in force, newest first, or the difference of two",
        .arguments = { { "diff", "A..B: the unified difference of two generations instead" } }),
    GET("/api/v1/config/versions/{generation}", ACCESS_ROLE, api_version, "one of them with its text, secrets masked"),
    WRITE("POST", "/api/v1/config/versions/{generation}/restore", ROLE_ADMIN, api_restore,
          "writes that version to its files, all or none, and loads them", "200"),
    WRITE("POST", "/api/v1/reload", ROLE_OPERATOR, api_reload,
          "loads the configuration file; 422 with every problem when it does not validate", "200"),
    WRITE("POST", "/api/v1/drain", ROLE_OPERATOR, api_drain, "accepts no more clients and lets the present ones finish",
          "202"),
    GET("/api/v1/audit", ACCESS_ROLE, api_audit, "who did what and why, newest first",
        .arguments = { { "before", "only lines with a smaller id" },
                       { "limit", "at most so many, 1 to 1000; default 100" } }),
    GET("/api/v1/audit/verify", ACCESS_ROLE, api_audit_verify, "checks the hash chain of the whole audit log"),
    GET("/api/v1/events", ACCESS_ROLE, api_events,
        "what happens, as server-sent events that go on, or what happened, as a list",
        .arguments = { { "after", "of the stream: first what came after this id; Last-Event-ID is taken too" },
                       { "follow", "false: the list, newest first" },
                       { "before", "of the list: only events with a smaller id" },
                       { "kind", "of the list: only this kind" },
                       { "route", "of the list: only those tied to this route" },
                       { "rollout", "of the list: only those tied to this rollout" },
                       { "since", "of the list: only those at or after this time" },
                       { "limit", "of the list: at most so many, 1 to 1000; default 100" } }),
    GET("/api/v1/events/{id}", ACCESS_ROLE, api_event, "one of them, with the traffic before and after it"),
    WRITE("POST", "/api/v1/events", ROLE_OPERATOR, api_event_post, "tells a deployment or another event from outside",
          "201",
          .body = "{\"kind\":{\"type\":\"string\",\"pattern\":\"^[a-z0-9_-]{1,64}$\",\"default\":\"deploy\"},"
                  "\"subject\":{\"type\":\"string\",\"maxLength\":256,\"description\":\"an upstream, a route,"
                  " a rollout\"},"
                  "\"text\":{\"type\":\"string\",\"maxLength\":1000},"
                  "\"at\":{\"type\":\"string\",\"format\":\"date-time\",\"description\":\"default: now\"},"
                  "\"title\":{\"type\":\"string\",\"maxLength\":256},"
                  "\"tags\":{\"type\":\"array\",\"maxItems\":16,"
                  "\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64}},"
                  "\"link\":{\"type\":\"string\",\"format\":\"uri\",\"maxLength\":1024,"
                  "\"description\":\"http or https\"},"
                  "\"route\":{\"type\":\"string\",\"description\":\"whose traffic is compared\"},"
                  "\"upstream\":{\"type\":\"string\",\"description\":\"likewise\"},"
                  "\"rollout\":{\"type\":\"string\",\"description\":\"likewise, by its route\"},"
                  "\"window\":{\"type\":\"string\",\"default\":\"5m\","
                  "\"description\":\"compared before and after, 5s to 5m\"},"
                  "\"detail\":{\"type\":\"object\"}}"),
    WRITE("POST", "/api/v1/outcomes", ROLE_OPERATOR, api_outcomes_post,
          "tells what came of requests, for guardrails about events", "200", .takes_lines = true,
          .body = "{\"event\":{\"type\":\"string\",\"maxLength\":256,\"description\":\"that a guardrail watches\"},"
                  "\"exposure\":{\"type\":\"string\",\"description\":\"x-weir-exposure of the request\"},"
                  "\"rollout\":{\"type\":\"string\",\"description\":\"without an exposure: whose pair\"},"
                  "\"route\":{\"type\":\"string\",\"description\":\"or by its route\"},"
                  "\"upstream\":{\"type\":\"string\",\"description\":\"that answered\"},"
                  "\"key\":{\"type\":\"string\",\"description\":\"of the user of a sticky route\"},"
                  "\"at\":{\"type\":\"string\",\"format\":\"date-time\",\"description\":\"when the request came\"},"
                  "\"count\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000,\"default\":1},"
                  "\"id\":{\"type\":\"string\",\"maxLength\":128,\"description\":\"counts once\"},"
                  "\"outcomes\":{\"type\":\"array\",\"maxItems\":1000,\"items\":{\"type\":\"object\"},"
                  "\"description\":\"several instead of one\"}}"),
    GET("/api/v1/incidents", ACCESS_ROLE, api_incidents,
        "breaches of guardrails, newest first: evidence, timeline, who was told, time to detect and to zero exposure",
        .arguments = { { "limit", "at most so many, 1 to 1000; default 100" } }),
    GET("/api/v1/incidents/{id}", ACCESS_ROLE, api_incident, "one of them"),
    GET("/api/v1/slos", ACCESS_ROLE, api_slos, "objectives: how fast their budgets burn, and what is left of them"),
    GET("/api/v1/hygiene", ACCESS_ROLE, api_hygiene,
        "routes, rules, segments, rollouts, objectives and monitors that have expired or have no owner"),
    GET("/api/v1/openapi.json", ACCESS_ROLE, api_openapi, "this description"),
};

const size_t endpoint_row_count = ARRAY_COUNT(endpoint_rows);
