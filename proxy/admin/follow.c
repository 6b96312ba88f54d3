/* admin/follow.c - keeps streams of events going. */
#include "admin/follow.h"

#include "admin/session.h"

/* Whole documents know no other way from one to another. */
static void put_copy(struct json *object, struct slice key, const struct json *value)
{
    struct text name = { 0 }, bytes = { 0 }, fault = { 0 };
    text_add(&name, key);
    json_write(value, &bytes);
    struct json *copy = json_parse(text_slice(&bytes), &fault);
    if (copy != NULL)
        json_put(object, name.bytes, copy);
    text_fini(&name);
    text_fini(&bytes);
    text_fini(&fault);
}

bool is_event_member(struct slice key)
{
    static const char *const names[] = { "title", "tags", "link", "route", "upstream", "rollout", "metrics" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (slice_equal(key, slice_from_cstr(names[i])))
            return true;
    return false;
}

/* What ties an event is stored in its detail, and shown beside it. */
static void put_detail(struct json *object, struct slice bytes)
{
    struct text fault = { 0 };
    struct slice key;
    void *cursor = NULL;
    struct json *detail = json_parse(bytes, &fault), *rest = json_create_object();
    if (json_kind(detail) == JSON_KIND_OBJECT)
        for (const struct json *value; (value = json_next(detail, &cursor, &key)) != NULL;)
            put_copy(is_event_member(key) ? object : rest, key, value);
    if (json_count(rest) > 0)
        json_put(object, "detail", rest);
    else
        json_destroy(rest);
    json_destroy(detail);
    text_fini(&fault);
}

void put_event(struct json *object, const struct event_row *event)
{
    if (event->id != 0)
        json_put_i64(object, "id", event->id);
    else
        json_put_null(object, "id");
    json_put_time(object, "at", event->at);
    json_put_string(object, "kind", event->kind);
    json_put_string(object, "subject", event->subject);
    json_put_string(object, "text", event->text);
    json_put_string(object, "who", event->who);
    json_put_null(object, "detail");
    if (event->detail.len > 0)
        put_detail(object, event->detail);
}

/* The JSON has no line's end in it, and kinds are plain words (admin/events.c). */
void follow_write(struct text *out, const struct event_row *event)
{
    struct json *object = json_create_object();
    put_event(object, event);
    if (event->id != 0)
        text_printf(out, "id: %lld\n", (long long)event->id);
    text_printf(out, "event: %.*s\ndata: ", SLICE_ARG(event->kind));
    json_write(object, out);
    text_add_cstr(out, "\n\n");
    json_destroy(object);
}

static void push(struct session *s, struct slice bytes)
{
    if (s->stream.queued_bytes + bytes.len > FOLLOW_QUEUE_BYTES) {
        session_close(s);
        return;
    }
    stream_push_copy(&s->stream, bytes.ptr, (uint32_t)bytes.len);
    if (stream_flush(&s->stream) != STREAM_OK)
        session_close(s);
}

void admin_publish(struct admin *a, const struct event_row *event)
{
    struct text lines = { 0 };
    CHECK_MAGIC(a, ADMIN_MAGIC);
    if (a->follower_count == 0)
        return;
    follow_write(&lines, event);
    LIST_FOREACH_SAFE (link, &a->sessions) {
        struct session *s = LIST_ITEM(link, struct session, link);
        if (s->state == SESSION_FOLLOWING)
            push(s, text_slice(&lines));
    }
    text_fini(&lines);
}

void follow_begin(struct session *s)
{
    s->state = SESSION_FOLLOWING;
    s->admin->follower_count++;
    timer_start(s->admin->loop, &s->deadline, FOLLOW_BEAT_MS);
    stream_resume(&s->stream);
    if (stream_flush(&s->stream) != STREAM_OK)
        session_close(s);
}

void follow_beat(struct session *s)
{
    timer_start(s->admin->loop, &s->deadline, FOLLOW_BEAT_MS);
    push(s, SLICE(": \n\n"));
}

void follow_on_readable(struct session *s)
{
    enum stream_status status = stream_drop(&s->stream);
    if (status == STREAM_EOF || status == STREAM_ERROR)
        session_close(s);
}
