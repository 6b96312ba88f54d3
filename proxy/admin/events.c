/* admin/events.c - what happened: GET /api/v1/events, as a stream or a list; POST for deployments that weir cannot know of.
 *
 * Kinds with a dot are weir's own ("config.applied"); whoever posts chooses a word without one. */
#include "admin/dispatch.h"
#include "admin/follow.h"
#include "store/deed.h"

#define KIND_BYTES    64
#define SUBJECT_BYTES 256
#define TEXT_BYTES    1000
#define DETAIL_BYTES  4096

/* Clocks of machines differ a little; more than that ahead is a mistake: what is still to come is no event. */
#define AHEAD_MS INT64_C(60000)

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

static void reply_list(struct admin_call *call, uint64_t before, uint64_t limit)
{
    struct event_row *events;
    size_t count;
    if (!events_list(call->control->store, call->arena, (int64_t)before, limit, &events, &count)) {
        reply_unreadable(call, "events");
        return;
    }
    struct json *root = json_create_object();
    struct json *list = json_put_array(root, "events");
    for (size_t i = 0; i < count; i++)
        put_event(json_push_object(list), &events[i]);
    if (count == limit && events[count - 1].id > 1)
        json_put_i64(root, "next_before", events[count - 1].id);
    else
        json_put_null(root, "next_before");
    reply_json(call->reply, 200, root);
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
    uint64_t before = 0, limit;
    if (!call_argument(call, "follow", &follow) || slice_equal(follow, SLICE("true")))
        reply_stream(call);
    else if (!slice_equal(follow, SLICE("false")))
        reply_error(call->reply, 400, "bad_argument", "follow is neither true nor false");
    else if (call_number(call, "before", 1, INT64_MAX, &before) && call_limit(call, &limit))
        reply_list(call, before, limit);
}

/* ---- writing ------------------------------------------------------------------------------------------------------------- */

static bool is_kind(struct slice kind)
{
    for (size_t i = 0; i < kind.len; i++) {
        char c = kind.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return kind.len > 0 && kind.len <= KIND_BYTES;
}

/* A member of the body; absent leaves the default. False with a 400. */
static bool text_read(struct admin_call *call, const char *key, size_t limit, struct slice *out)
{
    const struct json *value = json_get(call->body, key);
    if (value == NULL)
        return true;
    if (json_as_string(value, out) && out->len <= limit)
        return true;
    reply_error(call->reply, 400, "bad_event", "\"%s\" is not a text of at most %zu bytes", key, limit);
    return false;
}

static bool time_read(struct admin_call *call, struct event_row *event)
{
    struct slice at = SLICE_NONE;
    event->at = clock_wall();
    if (!text_read(call, "at", 64, &at))
        return false;
    struct wall_time now = event->at;
    if (at.len > 0 && !wall_parse(at.ptr, at.len, &event->at))
        reply_error(call->reply, 400, "bad_event", "\"at\" is not a time such as 2026-11-23T21:45:13Z");
    else if (event->at.unix_ms - now.unix_ms > AHEAD_MS)
        reply_error(call->reply, 400, "bad_event", "\"at\" is more than a minute ahead: an event has happened");
    else
        return true;
    return false;
}

static bool detail_read(struct admin_call *call, struct event_row *event, struct text *detail)
{
    const struct json *value = json_get(call->body, "detail");
    if (value == NULL)
        return true;
    json_write(value, detail);
    event->detail = text_slice(detail);
    if (json_kind(value) == JSON_KIND_OBJECT && detail->len <= DETAIL_BYTES)
        return true;
    reply_error(call->reply, 400, "bad_event", "\"detail\" is not an object of at most %d bytes", DETAIL_BYTES);
    return false;
}

static bool event_read(struct admin_call *call, struct event_row *event, struct text *detail)
{
    event->kind = SLICE("deploy");
    event->who = call->actor.who;
    if (!text_read(call, "kind", KIND_BYTES, &event->kind) ||
        !text_read(call, "subject", SUBJECT_BYTES, &event->subject) ||
        !text_read(call, "text", TEXT_BYTES, &event->text) || !time_read(call, event) ||
        !detail_read(call, event, detail))
        return false;
    if (is_kind(event->kind))
        return true;
    reply_error(call->reply, 400, "bad_event", "\"kind\" is not a word of a-z, 0-9, - and _");
    return false;
}

static void event_store(struct admin_call *call, struct event_row *event)
{
    struct deed deed = { .audit = { .action = SLICE("event.add"), .target = event->subject, .detail = event->detail },
                         .event = event };
    if (slice_is_empty(deed.audit.target))
        deed.audit.target = event->kind;
    if (!call_deed(call, &deed))
        return;
    call->control->publish_event(call->control->arg, event);
    struct json *root = json_create_object();
    put_event(root, event);
    reply_json(call->reply, 201, root);
}

void api_event_post(struct admin_call *call)
{
    struct event_row event = { 0 };
    struct text detail = { 0 };
    if (event_read(call, &event, &detail))
        event_store(call, &event);
    text_fini(&detail);
}
