/* admin/events.c - what happened: GET /api/v1/events, as a stream or a list, and one of them. */
#include "admin/dispatch.h"
#include "admin/follow.h"

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

/* With what comes after it by now. */
static void put_current(struct admin_call *call, struct json *object, const struct event_row *event)
{
    struct json *metrics = json_create_object();
    put_event(object, event);
    if (call->control->deployment(call->control->arg, event->id, metrics))
        json_put(object, "metrics", metrics);
    else
        json_destroy(metrics);
}

static void reply_list(struct admin_call *call, const struct event_filter *filter)
{
    struct event_row *events;
    size_t count;
    if (!events_find(call->control->store, call->arena, filter, &events, &count)) {
        reply_unreadable(call, "events");
        return;
    }
    struct json *root = json_create_object();
    struct json *list = json_put_array(root, "events");
    for (size_t i = 0; i < count; i++)
        put_current(call, json_push_object(list), &events[i]);
    if (count == filter->limit && events[count - 1].id > 1)
        json_put_i64(root, "next_before", events[count - 1].id);
    else
        json_put_null(root, "next_before");
    reply_json(call->reply, 200, root);
}

static bool filter_read(struct admin_call *call, struct event_filter *filter)
{
    uint64_t before = 0, limit;
    struct slice since;
    *filter = (struct event_filter){ 0 };
    if (!call_number(call, "before", 1, INT64_MAX, &before) || !call_limit(call, &limit))
        return false;
    filter->before_id = (int64_t)before;
    filter->limit = limit;
    call_argument(call, "kind", &filter->kind);
    call_argument(call, "route", &filter->route);
    call_argument(call, "rollout", &filter->rollout);
    if (!call_argument(call, "since", &since) || wall_parse(since.ptr, since.len, &filter->since))
        return true;
    reply_error(call->reply, 400, "bad_argument", "since is not a time such as 2026-11-23T21:45:13Z");
    return false;
}

/* Where a reader who was here before left off; false when it was not. */
static bool seen_find(struct admin_call *call, uint64_t *seen)
{
    struct field *field = message_field_named(call->request, SLICE("last-event-id"), NULL);
    if (field != NULL)
        return slice_to_u64(field->value, seen) && *seen <= INT64_MAX;
    *seen = UINT64_MAX;
    return call_number(call, "after", 0, INT64_MAX, seen) && *seen != UINT64_MAX;
}

/* More than fits one answer ends with it, and the reader comes back with the last id of it: nothing is left out. */
static bool missed_write(struct admin_call *call, uint64_t seen, bool *is_all)
{
    struct event_row *events;
    size_t count;
    if (!events_since(call->control->store, call->arena, (int64_t)seen, LIST_MAX, &events, &count)) {
        reply_unreadable(call, "events");
        return false;
    }
    for (size_t i = 0; i < count; i++)
        follow_write(&call->reply->body, &events[i]);
    *is_all = count < LIST_MAX;
    return true;
}

/* The comment makes proxies and readers see the beginning at once. */
static void reply_stream(struct admin_call *call)
{
    uint64_t seen;
    bool is_all = true;
    struct admin_reply *reply = call->reply;
    reply->status = 200;
    reply->content_type = "text/event-stream";
    text_clear(&reply->body);
    text_add_cstr(&reply->body, ": events of weir\n\n");
    bool has_seen = seen_find(call, &seen);
    if (reply->status == 200 && (!has_seen || missed_write(call, seen, &is_all)))
        reply->is_followed = is_all;
}

void api_events(struct admin_call *call)
{
    struct slice follow;
    struct event_filter filter;
    if (!call_argument(call, "follow", &follow) || slice_equal(follow, SLICE("true")))
        reply_stream(call);
    else if (!slice_equal(follow, SLICE("false")))
        reply_error(call->reply, 400, "bad_argument", "follow is neither true nor false");
    else if (filter_read(call, &filter))
        reply_list(call, &filter);
}

void api_event(struct admin_call *call)
{
    uint64_t id;
    struct event_row *event = NULL;
    bool is_id = slice_to_u64(call->params[0], &id) && id <= INT64_MAX;
    if (is_id && !events_get(call->control->store, call->arena, (int64_t)id, &event)) {
        reply_unreadable(call, "events");
        return;
    }
    if (event == NULL) {
        reply_error(call->reply, 404, "no_event", "no event has that id, or it is forgotten");
        return;
    }
    struct json *root = json_create_object();
    put_current(call, json_put_object(root, "event"), event);
    reply_json(call->reply, 200, root);
}
