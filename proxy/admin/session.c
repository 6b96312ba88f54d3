/* admin/session.c - reads requests, runs them, and keeps a connection within its limits. */
#include "admin/session.h"

#include "admin/dispatch.h"
#include "admin/follow.h"
#include "admin/session_write.h"
#include "base/log.h"
#include "base/memory.h"

#include <string.h>

#define COMPLAINTS_EVERY_MS 1000

static const struct h1_limits limits = {
    .request_line_bytes = SESSION_LINE_BYTES,
    .head_bytes = SESSION_HEAD_BYTES,
    .field_count = SESSION_FIELD_COUNT,
};

/* ---- buffers ------------------------------------------------------------------------------------------------------- */

static void chunk_drop(struct chunk **c)
{
    if (*c != NULL)
        chunk_unref(TAKE(c));
}

static struct slice input_rest(const struct session *s)
{
    if (s->input == NULL)
        return SLICE(""); /* not NULL: the reader adds to it */
    return slice_from(s->input->bytes + s->consumed_bytes, s->input->used - s->consumed_bytes);
}

/* Room for more bytes. What is left of a full chunk moves to a fresh one; a head in it stays where its slices point. */
static void input_make_room(struct session *s)
{
    if (s->input != NULL && chunk_room(s->input) > 0)
        return;
    struct chunk *fresh = chunk_create(&s->admin->loop->chunks);
    struct slice rest = input_rest(s);
    CHECK(rest.len < CHUNK_BYTES); /* the limits of the head are smaller */
    if (rest.len > 0)
        memcpy(fresh->bytes, rest.ptr, rest.len);
    fresh->used = (uint32_t)rest.len;
    if (s->has_head && s->head == NULL)
        s->head = TAKE(&s->input);
    chunk_drop(&s->input);
    s->input = fresh;
    s->consumed_bytes = 0;
}

/* ---- one request ------------------------------------------------------------------------------------------------------ */

static void request_reset(struct session *s)
{
    arena_reset(&s->arena);
    text_clear(&s->body);
    chunk_drop(&s->head);
    if (input_rest(s).len == 0)
        chunk_drop(&s->input);
    s->has_head = false;
    reply_fini(&s->reply);
    reply_init(&s->reply);
    h1_reader_next(&s->reader);
}

static void session_reply(struct session *s)
{
    session_write_reply(s);
    s->state = SESSION_WRITING;
    timer_start(s->admin->loop, &s->deadline, SESSION_WRITE_MS);
}

/* The ticket is a handle and no pointer (R5): the session may have been closed, and its slot be another's, when the workers answer. */
static void settled_cb(void *arg, uint64_t ticket)
{
    struct admin *a = arg;
    struct handle handle = { .slot = (uint32_t)(ticket >> 32), .generation = (uint32_t)ticket };
    struct session *s = handle_get(&a->handles, handle);
    if (s == NULL || s->state != SESSION_HELD)
        return;
    const struct admin_control *control = &a->control;
    bool is_ready = s->reply.renew == NULL || s->reply.renew(control, s->reply.subject, &s->reply);
    if (is_ready)
        session_settled(s);
    else
        control->when_settled(control->arg, settled_cb, a, ticket);
}

/* An answer of 200 means that the next request meets the change, whichever worker takes it. A worker that hangs costs the operator
   SESSION_HELD_MS and a 504; the change is not taken back. */
static void session_hold(struct session *s)
{
    const struct admin_control *control = &s->admin->control;
    uint64_t ticket = (uint64_t)s->handle.slot << 32 | s->handle.generation;
    s->state = SESSION_HELD;
    timer_start(s->admin->loop, &s->deadline, SESSION_HELD_MS);
    control->when_settled(control->arg, settled_cb, s->admin, ticket);
}

/* A stream ends with its connection, so it is the connection's last answer. HEAD wants no stream. */
static void session_follow(struct session *s)
{
    if (s->admin->follower_count >= FOLLOWERS_MAX) {
        s->reply.is_followed = false;
        reply_error(&s->reply, 503, "too_many_followers", "%d connections follow the events already", FOLLOWERS_MAX);
    }
    if (!s->reply.is_followed || s->request.method == METHOD_HEAD) {
        session_reply(s);
        return;
    }
    s->is_last = true;
    session_write_reply(s);
    reply_fini(&s->reply);
    chunk_drop(&s->head);
    chunk_drop(&s->input);
    follow_begin(s);
}

static void request_run(struct session *s)
{
    struct admin_call call = {
        .control = &s->admin->control, .arena = &s->arena, .request = &s->request, .reply = &s->reply
    };
    s->is_last = s->is_last || !s->request.is_keep_alive;
    dispatch(&call, s->admin->config, s->from->is_unix ? &s->peer : NULL, text_slice(&s->body));
    if (s->reply.is_held)
        session_hold(s);
    else if (s->reply.is_followed)
        session_follow(s);
    else
        session_reply(s);
}

/* Refused before it is complete: what follows on the connection cannot be told apart any more. */
static void request_refuse(struct session *s, uint16_t status, const char *code, const char *message)
{
    s->is_last = true;
    reply_error(&s->reply, status, code, "%s", message);
    session_reply(s);
}

static void on_head(struct session *s)
{
    s->has_head = true;
    if (s->request.expects_continue)
        session_write_continue(s);
}

static void on_body(struct session *s)
{
    if (s->body.len + s->reader.data.len > SESSION_BODY_BYTES)
        request_refuse(s, 413, "body_too_large", "the body is longer than 256 KiB");
    else
        text_add(&s->body, s->reader.data);
}

static void on_fault(struct session *s)
{
    const struct reason_row *row = &reason_rows[s->reader.reason];
    const char *detail = s->reader.error_detail;
    request_refuse(s, row->status != 0 ? row->status : 400, row->code, detail != NULL ? detail : row->sentence);
}

/* Takes events off the input until it is used up or a reply is on its way: pipelined requests wait in the chunk, and the socket is paused
   meanwhile, so what a peer can make us keep is a chunk and one body. */
static void session_parse(struct session *s)
{
    while (s->state == SESSION_READING) {
        struct slice rest = input_rest(s);
        size_t before = rest.len;
        enum h1_event event = h1_read(&s->reader, &rest, &s->arena, &s->request);
        s->consumed_bytes += (uint32_t)(before - rest.len);
        if (event == H1_MORE)
            return;
        if (event == H1_HEAD)
            on_head(s);
        else if (event == H1_DATA)
            on_body(s);
        else if (event == H1_END)
            request_run(s);
        else if (event == H1_ERROR)
            on_fault(s);
    }
}

/* ---- states ---------------------------------------------------------------------------------------------------------- */

/* A close with unread bytes makes the kernel send RST, which may overtake our reply in the peer's buffers (RFC 9112 9.6). So: FIN, then
   read and forget for a while. */
static void session_linger(struct session *s)
{
    s->state = SESSION_LINGERING;
    stream_shutdown(&s->stream);
    stream_resume(&s->stream);
    timer_start(s->admin->loop, &s->deadline, SESSION_LINGER_MS);
}

/* The reply is with the kernel. */
static void session_on_written(struct session *s)
{
    if (s->is_last) {
        session_linger(s);
        return;
    }
    request_reset(s);
    s->state = SESSION_READING;
    timer_start(s->admin->loop, &s->deadline, SESSION_IDLE_MS);
    stream_resume(&s->stream);
}

/* Sends what is queued; goes on with pipelined requests when the kernel took it all. */
static void session_flush(struct session *s)
{
    while (s->state == SESSION_WRITING) {
        if (stream_flush(&s->stream) != STREAM_OK) {
            session_close(s);
            return;
        }
        if (s->stream.queued_bytes > 0) {
            stream_pause(&s->stream);
            return;
        }
        session_on_written(s);
        if (s->state == SESSION_READING)
            session_parse(s);
    }
    if (s->state == SESSION_HELD)
        stream_pause(&s->stream);
}

void session_settled(struct session *s)
{
    CHECK_MAGIC(s, SESSION_MAGIC);
    session_reply(s);
    session_flush(s);
}

static void on_deadline(void *arg)
{
    struct session *s = arg;
    CHECK_MAGIC(s, SESSION_MAGIC);
    bool is_waiting = s->state == SESSION_READING && (s->has_head || input_rest(s).len > 0);
    if (s->state == SESSION_FOLLOWING) {
        follow_beat(s);
    } else if (s->state == SESSION_HELD) {
        reply_error(&s->reply, 504, "not_settled", "it was applied, but not every worker uses it yet");
        session_reply(s);
        session_flush(s);
    } else if (is_waiting) {
        request_refuse(s, 408, "request_timeout", "the request did not arrive in time");
        session_flush(s);
    } else {
        session_close(s);
    }
}

/* ---- events ---------------------------------------------------------------------------------------------------------- */

/* Reads and forgets, so that the peer gets our last reply and no reset. */
static void session_discard(struct session *s)
{
    struct chunk *sink = chunk_create(&s->admin->loop->chunks);
    uint32_t count;
    enum stream_status status = stream_read(&s->stream, sink, &count);
    chunk_unref(sink);
    if (status == STREAM_EOF || status == STREAM_ERROR)
        session_close(s);
}

static void session_input(struct session *s)
{
    uint32_t count;
    bool was_idle = !s->has_head && input_rest(s).len == 0;
    input_make_room(s);
    enum stream_status status = stream_read(&s->stream, s->input, &count);
    if (status == STREAM_EOF || status == STREAM_ERROR) {
        session_close(s);
        return;
    }
    if (status == STREAM_OK && was_idle)
        timer_start(s->admin->loop, &s->deadline, SESSION_REQUEST_MS);
    session_parse(s);
    if (s->state == SESSION_READING && !s->has_head && input_rest(s).len == 0)
        chunk_drop(&s->input);
    session_flush(s);
}

static void on_readable(struct stream *stream)
{
    struct session *s = CONTAINER_OF(stream, struct session, stream);
    CHECK_MAGIC(s, SESSION_MAGIC);
    if (s->state == SESSION_READING)
        session_input(s);
    else if (s->state == SESSION_LINGERING)
        session_discard(s);
    else if (s->state == SESSION_FOLLOWING)
        follow_on_readable(s);
    else
        stream_pause(stream);
}

static void on_drained(struct stream *stream)
{
    struct session *s = CONTAINER_OF(stream, struct session, stream);
    CHECK_MAGIC(s, SESSION_MAGIC);
    if (stream->has_failed)
        session_close(s);
    else
        session_flush(s);
}

/* Who forgot the "s" of "https" is told so. */
static void handshake_fail(struct session *s, int error)
{
    bool is_plain_http;
    const char *reason = stream_tls_failure(&s->stream, &is_plain_http);
    log_line_limited(&s->admin->complaints, COMPLAINTS_EVERY_MS, LOG_INFO, "admin: TLS: %s",
                     reason != NULL ? reason : strerror(error));
    if (is_plain_http) {
        s->is_last = true;
        reply_error(&s->reply, 400, "tls_required", "this port speaks TLS: write https://");
        session_write_unsealed(s);
    }
    session_close(s);
}

static void on_connected(struct stream *stream, int error)
{
    struct session *s = CONTAINER_OF(stream, struct session, stream);
    CHECK_MAGIC(s, SESSION_MAGIC);
    if (error != 0) {
        handshake_fail(s, error);
        return;
    }
    s->state = SESSION_READING;
    timer_start(s->admin->loop, &s->deadline, SESSION_IDLE_MS);
}

static const struct stream_events events = { .on_readable = on_readable,
                                             .on_drained = on_drained,
                                             .on_connected = on_connected };

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void session_destroy(struct deferred *d)
{
    struct session *s = CONTAINER_OF(d, struct session, deferred);
    s->magic = 0;
    memory_free(s);
}

static void session_begin(struct session *s, int fd)
{
    struct loop *loop = s->admin->loop;
    bool is_sealed = !s->from->is_unix && s->admin->tls != NULL;
    s->state = is_sealed ? SESSION_HANDSHAKE : SESSION_READING;
    if (is_sealed)
        stream_open_tls(&s->stream, loop, fd, s->admin->tls, &events);
    else
        stream_open(&s->stream, loop, fd, &events);
    timer_start(loop, &s->deadline, is_sealed ? SESSION_SHAKE_MS : SESSION_IDLE_MS);
}

void session_open(struct admin *a, struct admin_socket *from, int fd)
{
    struct session *s = memory_zalloc(sizeof *s);
    s->magic = SESSION_MAGIC;
    s->admin = a;
    s->from = from;
    from->session_count++;
    list_init(&s->link);
    list_append(&a->sessions, &s->link);
    s->handle = handle_create(&a->handles, s);
    arena_init(&s->arena, &a->loop->arenas, 0);
    reply_init(&s->reply);
    h1_reader_init_request(&s->reader, &limits);
    if (from->is_unix)
        s->peer = auth_unix_peer(fd, s->peer_name);
    timer_init(&s->deadline, on_deadline, s);
    session_begin(s, fd);
}

void session_close(struct session *s)
{
    CHECK_MAGIC(s, SESSION_MAGIC);
    if (s->state == SESSION_CLOSED)
        return;
    s->admin->follower_count -= s->state == SESSION_FOLLOWING;
    s->state = SESSION_CLOSED;
    stream_close(&s->stream);
    timer_stop(s->admin->loop, &s->deadline);
    list_remove(&s->link);
    handle_destroy(&s->admin->handles, s->handle);
    s->from->session_count--;
    chunk_drop(&s->head);
    chunk_drop(&s->input);
    arena_reset(&s->arena);
    text_fini(&s->body);
    reply_fini(&s->reply);
    s->deferred.destroy = session_destroy;
    loop_after_turn(s->admin->loop, &s->deferred);
}
