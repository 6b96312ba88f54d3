/* http/h2.c - sessions of HTTP/2: from creation to their end, bytes in and out. */
#include "http/h2_parts.h"

#define FIELD_OVERHEAD_BYTES 32 /* how SETTINGS_MAX_HEADER_LIST_SIZE counts a field (RFC 9113 6.5.2) */

static const uint8_t ping_shutdown[8] = "weir end", ping_owner[8] = "weir png";

struct h2_limits h2_limits_with(const struct h1_limits *head)
{
    return (struct h2_limits){
        .head = *head,
        .max_streams = 128,
        .stream_window_bytes = 64 * 1024,
        .connection_window_bytes = 1024 * 1024,
        .guard_burst = 2000,
        .guard_per_second = 100,
    };
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

/* The first frames of both roles: SETTINGS, and the connection's window. */
static void submit_settings(struct h2 *h)
{
    const struct h2_limits *l = &h->limits;
    uint32_t list_bytes = l->head.request_line_bytes + l->head.head_bytes + FIELD_OVERHEAD_BYTES * l->head.field_count;
    nghttp2_settings_entry server[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, l->max_streams },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, l->stream_window_bytes },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, list_bytes },
        { NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
    };
    nghttp2_settings_entry client[] = {
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, l->stream_window_bytes },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, list_bytes },
    };
    bool is_server = h->role == H2_SERVER;
    CHECK(nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, is_server ? server : client,
                                  is_server ? ARRAY_COUNT(server) : ARRAY_COUNT(client)) == 0);
    CHECK(nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                (int32_t)l->connection_window_bytes) == 0);
}

struct h2 *h2_create(struct h2_pool *pool, enum h2_role role, const struct h2_limits *limits,
                     const struct h2_events *events, const struct h2_output *output, void *owner)
{
    struct h2 *h = blocks_zalloc(&pool->blocks, 1, sizeof(*h));
    h->magic = H2_MAGIC;
    h->role = role;
    h->pool = pool;
    h->events = events;
    h->output = output;
    h->owner = owner;
    h->limits = *limits;
    h->failure_detail = "";
    list_init(&h->streams);
    list_init(&h->rooms);
    h2_guard_init(&h->guard, limits->guard_burst, limits->guard_per_second);
    int made = role == H2_SERVER
                   ? nghttp2_session_server_new3(&h->session, pool->callbacks, h, pool->options[role], &pool->mem)
                   : nghttp2_session_client_new3(&h->session, pool->callbacks, h, pool->options[role], &pool->mem);
    CHECK(made == 0);
    pool->live_count++;
    submit_settings(h);
    return h;
}

void h2_close(struct h2 *h)
{
    CHECK_MAGIC(h, H2_MAGIC);
    CHECK(!h->is_inside);
    h->is_over = h->is_closed = true;
    while (!list_is_empty(&h->streams)) {
        struct h2_stream *s = LIST_ITEM(h->streams.next, struct h2_stream, link);
        struct h2_closing how = {
            .cause = H2_LOST,
            .error = h->failure,
            .reason = h->role == H2_SERVER ? REASON_CLIENT_ABORTED : REASON_UPSTREAM_RESET,
            .detail = "the connection was lost",
            .is_unprocessed = h->role == H2_CLIENT && !s->is_head_written,
        };
        h2_detach(s);
        h->events->on_closed(s, &how);
    }
}

void h2_destroy(struct h2 *h)
{
    CHECK_MAGIC(h, H2_MAGIC);
    CHECK(h->is_closed && !h->is_inside && list_is_empty(&h->streams));
    struct h2_pool *pool = h->pool;
    nghttp2_session_del(h->session);
    h->magic = 0;
    pool->live_count--;
    blocks_free(&pool->blocks, h);
}

void *h2_owner(const struct h2 *h)
{
    return h->owner;
}

uint32_t h2_stream_count(const struct h2 *h)
{
    return h->stream_count;
}

uint32_t h2_failure(const struct h2 *h, const char **detail)
{
    *detail = h->failure_detail;
    return h->failure;
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

void h2_fail(struct h2 *h, enum h2_error error, const char *detail)
{
    if (h->is_over)
        return;
    h->is_over = true;
    h->failure = (uint32_t)error;
    h->failure_detail = detail;
    nghttp2_session_terminate_session(h->session, (uint32_t)error);
}

void h2_charge(struct h2 *h, uint32_t tokens)
{
    if (!h2_guard_take(&h->guard, tokens))
        h2_fail(h, H2_ENHANCE_YOUR_CALM, "too many frames that do no work");
}

void h2_goaway(struct h2 *h, enum h2_error error)
{
    CHECK_MAGIC(h, H2_MAGIC);
    h2_fail(h, error, "");
}

void h2_shutdown(struct h2 *h)
{
    CHECK_MAGIC(h, H2_MAGIC);
    if (h->is_shutting_down || h->is_over)
        return;
    h->is_shutting_down = true;
    if (h->role == H2_CLIENT)
        return;
    nghttp2_submit_shutdown_notice(h->session);
    nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, ping_shutdown);
}

void h2_ping(struct h2 *h)
{
    CHECK_MAGIC(h, H2_MAGIC);
    if (!h->is_over)
        nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, ping_owner);
}

void h2_on_pong(struct h2 *h, const uint8_t payload[8])
{
    if (h->is_shutting_down && memcmp(payload, ping_shutdown, 8) == 0)
        nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h->session),
                              NGHTTP2_NO_ERROR, NULL, 0);
    else if (h->events->on_pong != NULL && memcmp(payload, ping_owner, 8) == 0)
        h->events->on_pong(h);
}

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

/* Frames that nghttp2 skips without a word (of unknown types, of streams that are gone) are the bytes nobody saw. */
static void count_waste(struct h2 *h)
{
    int64_t waste_bytes = h->received_bytes - h->seen_bytes;
    if (waste_bytes < H2_WASTE_BYTES)
        return;
    h->seen_bytes = h->received_bytes;
    h2_charge(h, (uint32_t)(waste_bytes / H2_WASTE_BYTES));
}

static enum h2_error error_of(int failure)
{
    switch (failure) {
    case NGHTTP2_ERR_FLOODED:
    case NGHTTP2_ERR_TOO_MANY_SETTINGS:
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
        return H2_ENHANCE_YOUR_CALM;
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
        return H2_PROTOCOL_ERROR;
    default:
        return H2_INTERNAL_ERROR;
    }
}

/* After GOAWAY one way or the other, the last stream's end is the session's. */
static enum h2_status status_of(struct h2 *h)
{
    bool is_done = h->is_shutting_down && h->role == H2_CLIENT && h->begun_count == 0;
    if (!h->is_over && (is_done || !nghttp2_session_want_read(h->session)))
        h->is_over = true;
    return h->is_over ? H2_OVER : H2_OPEN;
}

enum h2_status h2_receive(struct h2 *h, struct slice bytes, struct mono_time now)
{
    CHECK_MAGIC(h, H2_MAGIC);
    CHECK(!h->is_inside);
    if (h->is_over)
        return H2_OVER;
    h->is_inside = true;
    h2_guard_tick(&h->guard, now);
    h->received_bytes += (int64_t)bytes.len;
    ssize_t done = nghttp2_session_mem_recv(h->session, (const uint8_t *)bytes.ptr, bytes.len);
    if (done < 0)
        h2_fail(h, error_of((int)done), nghttp2_strerror((int)done));
    count_waste(h);
    h->is_inside = false;
    return status_of(h);
}

/* Streams whose queue has fallen below the low mark meanwhile; the owner queues more, for the next h2_send. */
static void tell_rooms(struct h2 *h)
{
    struct list *link;
    while ((link = list_pop(&h->rooms)) != NULL) {
        struct h2_stream *s = LIST_ITEM(link, struct h2_stream, room_link);
        s->is_above_high = false;
        if (!h->is_over)
            h->events->on_room(s);
    }
}

enum h2_status h2_send(struct h2 *h, size_t budget_bytes)
{
    CHECK_MAGIC(h, H2_MAGIC);
    CHECK(!h->is_inside);
    if (h->is_closed)
        return H2_OVER;
    h->is_inside = true;
    h->sent_bytes = 0;
    h->budget_bytes = budget_bytes;
    const uint8_t *bytes;
    ssize_t length = 1;
    while (length > 0 && h->sent_bytes < budget_bytes) {
        length = nghttp2_session_mem_send(h->session, &bytes);
        if (length > 0) {
            h->output->write(h->owner, bytes, (uint32_t)length);
            h->sent_bytes += (size_t)length;
        }
    }
    if (length < 0)
        h2_fail(h, H2_INTERNAL_ERROR, nghttp2_strerror((int)length));
    tell_rooms(h);
    h->is_inside = false;
    return status_of(h);
}

bool h2_has_output(const struct h2 *h)
{
    return !h->is_closed && nghttp2_session_want_write(h->session) != 0;
}

bool h2_is_inside(const struct h2 *h)
{
    return h->is_inside;
}

void h2_check(const struct h2 *h)
{
    uint32_t count = 0;
    CHECK_MAGIC(h, H2_MAGIC);
    LIST_FOREACH_SAFE (link, (struct list *)(uintptr_t)&h->streams) {
        const struct h2_stream *s = LIST_ITEM(link, struct h2_stream, link);
        CHECK(s->magic == H2_STREAM_MAGIC && s->session == h && s->id > 0);
        CHECK(s->unconsumed_bytes <= h->limits.stream_window_bytes);
        CHECK(s->out.bytes == 0 || s->write_state == H2_WRITE_BODY || s->write_state == H2_WRITE_END);
        count++;
    }
    CHECK(count == h->stream_count);
}
