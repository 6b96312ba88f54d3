/* admin/incidents.c - GET /api/v1/incidents, and one of them: each breach with its evidence and timeline, who was told, and how long it took. */
#include "store/incidents.h"

#include "admin/dispatch.h"

/* A duration, or null while it is not known. */
static void put_duration(struct json *object, const char *key, int64_t ms)
{
    if (ms >= 0)
        json_put_i64(object, key, ms);
    else
        json_put_null(object, key);
}

static void put_incident(struct json *object, const struct incident *i)
{
    json_put_string(object, "id", i->id);
    json_put_string(object, "rollout", i->rollout);
    json_put_string(object, "revision", i->revision);
    json_put_string(object, "guardrail", i->guardrail);
    json_put_string(object, "cause", i->cause);
    json_put_time(object, "detected_at", i->detected_at);
    put_duration(object, "time_to_detect_ms", i->detect_ms);
    put_duration(object, "time_to_zero_exposure_ms", i->zero_exposure_ms);
    put_document(object, "evidence", i->evidence);
    put_document(object, "timeline", i->timeline);
    put_document(object, "told", i->told);
}

void api_incidents(struct admin_call *call)
{
    uint64_t limit;
    struct incident *incidents;
    size_t count;
    if (!call_limit(call, &limit))
        return;
    if (!incidents_list(call->control->store, call->arena, (struct wall_time){ 0 }, limit, &incidents, &count)) {
        reply_unreadable(call, "incidents");
        return;
    }
    struct json *root = json_create_object();
    struct json *list = json_put_array(root, "incidents");
    for (size_t i = 0; i < count; i++)
        put_incident(json_push_object(list), &incidents[i]);
    reply_json(call->reply, 200, root);
}

void api_incident(struct admin_call *call)
{
    struct incident *incident;
    if (!incidents_find(call->control->store, call->arena, call->params[0], &incident)) {
        reply_unreadable(call, "incidents");
        return;
    }
    if (incident == NULL) {
        reply_error(call->reply, 404, "no_incident", "no incident has that id");
        return;
    }
    struct json *root = json_create_object();
    put_incident(json_put_object(root, "incident"), incident);
    reply_json(call->reply, 200, root);
}
