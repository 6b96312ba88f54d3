/* admin/incidents.c - GET /api/v1/incidents, and one of them: each breach with its evidence and timeline, who was told, and how long it took. */
#include "store/incidents.h"

#include "admin/dispatch.h"
#include "config/model_rollout.h"

/* Deployments that are shown in a timeline: what is told within so long before the breach, or behind it. */
#define BESIDE_BEFORE_MS INT64_C(1800000)
#define BESIDE_AFTER_MS  INT64_C(300000)
#define BESIDE_MAX       20 /* the newest */

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

/* ---- beside what else happened -------------------------------------------------------------------------------------------- */

/* NULL: the configuration has it no more. */
static const struct rollout_config *rollout_find(const struct admin_call *call, struct slice name)
{
    const struct config *config = call->control->snapshot(call->control->arg)->config;
    for (size_t i = 0; i < config->rollout_count; i++)
        if (slice_equal(config->rollouts[i].name, name))
            return &config->rollouts[i];
    return NULL;
}

/* Tied to nothing, or to a part of the rollout. */
static bool is_beside(const struct event_row *event, const struct rollout_config *rollout)
{
    struct text fault = { 0 };
    struct slice route = SLICE_NONE, upstream = SLICE_NONE;
    struct json *detail = json_parse(event->detail, &fault);
    json_as_string(json_get(detail, "route"), &route);
    json_as_string(json_get(detail, "upstream"), &upstream);
    bool is_of_route = rollout == NULL || route.len == 0 || slice_equal(route, rollout->route);
    bool is_of_pair = rollout == NULL || upstream.len == 0 || slice_equal(upstream, rollout->stable) ||
                      slice_equal(upstream, rollout->canary);
    json_destroy(detail);
    text_fini(&fault);
    return is_of_route && is_of_pair;
}

static void push_line(struct json *timeline, struct slice at, struct slice what)
{
    struct json *line = json_push_object(timeline);
    json_put_string(line, "at", at);
    json_put_string(line, "what", what);
}

static void push_event(struct admin_call *call, struct json *timeline, const struct event_row *event, struct slice at)
{
    const char *colon = event->text.len > 0 ? ": " : "";
    push_line(timeline, at,
              arena_printf(call->arena, "%.*s%s%.*s%s%.*s (told by %.*s)", SLICE_ARG(event->kind),
                           event->subject.len > 0 ? " " : "", SLICE_ARG(event->subject), colon, SLICE_ARG(event->text),
                           SLICE_ARG(event->who)));
}

/* Lines and events into one order; events are newest first. Times are texts of one form, which sort as they follow. */
static struct json *timeline_merge(struct admin_call *call, const struct incident *incident,
                                   const struct event_row *events, size_t count)
{
    struct text fault = { 0 };
    struct json *lines = json_parse(incident->timeline, &fault), *merged = json_create_array();
    const struct rollout_config *rollout = rollout_find(call, incident->rollout);
    size_t line = 0;
    while (count > 0 || line < json_count(lines)) {
        struct slice at = SLICE_NONE, what = SLICE_NONE;
        char told_at[25] = "";
        if (count > 0)
            wall_format(events[count - 1].at, told_at);
        json_as_string(json_get(json_at(lines, line), "at"), &at);
        json_as_string(json_get(json_at(lines, line), "what"), &what);
        if (count == 0 || (line < json_count(lines) && slice_compare(at, slice_from_cstr(told_at)) <= 0)) {
            push_line(merged, at, what);
            line++;
        } else if (is_beside(&events[--count], rollout)) {
            push_event(call, merged, &events[count], slice_from_cstr(told_at));
        }
    }
    json_destroy(lines);
    text_fini(&fault);
    return merged;
}

/* What the store does not give of events leaves the timeline as it is. */
static void put_beside(struct admin_call *call, struct json *object, const struct incident *incident)
{
    struct event_row *events;
    size_t count;
    const struct event_filter filter = { .since = { incident->detected_at.unix_ms - BESIDE_BEFORE_MS },
                                         .until = { incident->detected_at.unix_ms + BESIDE_AFTER_MS },
                                         .is_told = true,
                                         .limit = BESIDE_MAX };
    if (events_find(call->control->store, call->arena, &filter, &events, &count) && count > 0)
        json_put(object, "timeline", timeline_merge(call, incident, events, count));
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
    struct json *object = json_put_object(root, "incident");
    put_incident(object, incident);
    put_beside(call, object, incident);
    reply_json(call->reply, 200, root);
}
