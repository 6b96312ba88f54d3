/* front/client_h1.c - HTTP/1.1 on a client's connection: reads requests one after the other, in order, and writes answers.
 *
 * Bytes come in by h1_on_readable, are understood by client_process, and reach the one request as events by
 * client_deliver. Whoever finishes the request on the way (a refusal, an answer that was ready) comes back to that
 * loop through h1_finish: pipelined requests are a loop, never a recursion. */
#include "front/client.h"

#include "base/check.h"
#include "front/client_h2.h"
#include "front/request.h"
#include "http/validate.h"

#define READS_PER_TURN 4
#define PIPELINE_BYTES 8192 /* read ahead of an unanswered request; beyond it TCP holds the rest */
#define HALF_CLOSE_GRACE_MS                                                                                            \
    1000 /* a FIN may mean "that was my request" or "I am gone": an answer that begins in time is
                                    delivered, then the request is given up (tests: half_close, client_abort) */

#define HEAD_MARGIN_BYTES 256
#define COPY_BELOW_BYTES  1024 /* shorter pieces are copied behind the head: one write of one run of bytes */

enum liveness { ALIVE, CLOSED };
enum progress { GO_ON, STOP };

static bool is_head_pending(const struct request *r)
{
    return r->step == 0;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static void client_begin_request(struct client *c)
{
    client_set_state(c, CLIENT_ACTIVE);
    c->request = request_create(c);
    h1_reader_init_request(&c->request->reader, &c->request->binding->request_limits);
}

/* The FIN came inside a request: it can never be completed. Answers to those in front of it may still be on their way. */
static void client_give_up(struct client *c)
{
    if (c->request->is_answer_begun || c->stream.queued_bytes == 0) {
        client_close(c);
        return;
    }
    c->is_close_due = true;
    request_abort(TAKE(&c->request), REASON_CLIENT_ABORTED);
    if (c->state == CLIENT_ACTIVE) /* it never became a request */
        client_linger(c);
}

/* What the head's slices point to. They are made when its first lines are read, and anew when it is complete. */
static void client_hold_head(struct client *c)
{
    struct request *r = c->request;
    if (r->head_chunk != NULL)
        chunk_unref(r->head_chunk);
    r->head_chunk = chunk_ref(c->inbox.chunk);
}

/* An incomplete head: its time runs from its first byte. The inbox may move on to another chunk meanwhile. */
static void client_await_head(struct client *c)
{
    struct request *r = c->request;
    if (r->head_chunk == NULL && r->reader.line_count > 0)
        client_hold_head(c);
    if (r->is_head_timed)
        return;
    r->is_head_timed = true;
    timer_start(c->front->loop, &c->timer, client_limits(c)->header_timeout_ms);
}

static void client_deliver(struct client *c, enum h1_event event)
{
    struct request *r = c->request;
    switch (event) {
    case H1_HEAD:
        client_hold_head(c);
        request_on_head(r);
        return;
    case H1_DATA:
        request_on_data(r, c->inbox.chunk, inbox_offset(&c->inbox, r->reader.data.ptr), (uint32_t)r->reader.data.len);
        return;
    case H1_TRAILERS:
        r->request_trailers = r->reader.trailers;
        return;
    case H1_END:
        request_on_end(r);
        return;
    case H1_ERROR:
        request_on_error(r, r->reader.reason);
        return;
    case H1_MORE:
        if (c->has_ended)
            client_give_up(c);
        else if (is_head_pending(r))
            client_await_head(c);
        return;
    }
}

/* Bytes as they are; then, once, the FIN behind them. */
static enum progress client_step_tunnel(struct client *c)
{
    struct request *r = c->request;
    struct slice rest = inbox_bytes(&c->inbox);
    if (rest.len == 0 && c->has_ended && !r->has_client_ended)
        request_on_client_eof(r);
    if (rest.len == 0 || !request_wants_body(r))
        return STOP;
    uint32_t offset = c->inbox.at;
    c->inbox.at = c->inbox.chunk->used;
    request_on_data(r, c->inbox.chunk, offset, (uint32_t)rest.len);
    return GO_ON;
}

/* A connection's very first bytes: another protocol's? */
static enum progress client_recognise(struct client *c)
{
    switch (client_h2_recognise(c)) {
    case PREFACE_ABSENT:
        c->is_recognised = true;
        return GO_ON;
    case PREFACE_INCOMPLETE:
        client_deliver(c, H1_MORE);
        return STOP;
    case PREFACE_COMPLETE:
        c->is_recognised = true;
        request_abort(TAKE(&c->request), REASON_NONE); /* it was none */
        client_h2_begin(c);
        return STOP;
    }
    return STOP;
}

/* Takes one event off what was read. */
static enum progress client_step(struct client *c)
{
    if (c->state != CLIENT_IDLE && c->state != CLIENT_ACTIVE)
        return STOP;
    if (inbox_is_empty(&c->inbox) || stream_is_full(&c->stream))
        if (c->request == NULL || is_head_pending(c->request))
            return STOP;
    if (c->request == NULL)
        client_begin_request(c);
    if (!c->is_recognised)
        return client_recognise(c);
    struct request *r = c->request;
    if (r->is_tunnel)
        return client_step_tunnel(c);
    if (r->is_body_done || (!is_head_pending(r) && !request_wants_body(r)))
        return STOP;
    struct slice rest = inbox_bytes(&c->inbox);
    enum h1_event event = h1_read(&r->reader, &rest, &r->arena, &r->message);
    inbox_keep(&c->inbox, rest);
    client_deliver(c, event);
    return event == H1_MORE ? STOP : GO_ON;
}

/* Understands what was read, request after request. Finishing one inside comes back to this loop, not into another. */
static enum liveness client_process(struct client *c)
{
    if (c->is_processing)
        return ALIVE;
    c->is_processing = true;
    while (client_step(c) == GO_ON)
        ;
    c->is_processing = false;
    if (c->has_ended && c->state == CLIENT_IDLE && inbox_is_empty(&c->inbox))
        client_linger(c); /* the requests in front of its FIN are answered */
    if (c->request != NULL && !is_head_pending(c->request)) {
        exchange_flush(&c->request->exchange);
        request_on_flushed(c->request);
    }
    inbox_release_if_empty(&c->inbox);
    return c->state == CLIENT_CLOSED ? CLOSED : ALIVE;
}

/* Is there use for more bytes now? */
static bool client_wants_bytes(struct client *c)
{
    struct request *r = c->request;
    if (r == NULL || is_head_pending(r))
        return !stream_is_full(&c->stream);
    if (r->is_body_done && !r->is_tunnel)
        return inbox_bytes(&c->inbox).len < PIPELINE_BYTES;
    return request_wants_body(r);
}

static bool client_reads_bulk(const struct client *c)
{
    const struct request *r = c->request;
    return r != NULL && !is_head_pending(r) && r->reader.state == H1_STATE_LENGTH &&
           r->reader.remaining_bytes > CHUNK_BYTES && inbox_is_empty(&c->inbox);
}

/* A long body goes from socket to socket in fresh chunks, up to 64 KiB a call. */
static enum stream_status client_read_bulk(struct client *c, bool *is_drained)
{
    struct chunk *chunks[BULK_CHUNKS];
    struct request *r = c->request;
    enum stream_status status;
    int count = stream_read_bulk(&c->stream, r->reader.remaining_bytes, chunks, &status, is_drained);
    for (int i = 0; i < count; i++) {
        struct slice rest = slice_from(chunks[i]->bytes, chunks[i]->used);
        while (c->request == r && rest.len > 0 && h1_read(&r->reader, &rest, &r->arena, &r->message) == H1_DATA)
            request_on_data(r, chunks[i], (uint32_t)(r->reader.data.ptr - chunks[i]->bytes),
                            (uint32_t)r->reader.data.len);
        chunk_unref(chunks[i]);
    }
    return status;
}

static enum liveness client_on_eof(struct client *c)
{
    struct request *r = c->request;
    c->has_ended = true;
    if (r == NULL && inbox_is_empty(&c->inbox) && c->stream.queued_bytes == 0) {
        client_close(c); /* the common end: nothing to wait for, nothing to watch */
        return CLOSED;
    }
    stream_watch(&c->stream);
    if (r != NULL && r->is_tunnel && stream_is_cut(&c->stream)) {
        client_close(c); /* no half-close: its bytes may not be all there were */
        return CLOSED;
    }
    if (r == NULL && inbox_is_empty(&c->inbox))
        client_linger(c); /* what is queued goes out first */
    else if (r != NULL && !r->is_body_done)
        client_give_up(c);
    else if (r != NULL && !r->is_answer_begun)
        timer_start(c->front->loop, &c->timer, HALF_CLOSE_GRACE_MS);
    return client_process(c);
}

/* Reads once and understands what came. */
static enum liveness client_read_once(struct client *c, bool *is_drained)
{
    const struct limits_config *limits = client_limits(c);
    enum stream_status status =
        client_reads_bulk(c) ? client_read_bulk(c, is_drained)
                             : inbox_fill(&c->inbox, &c->stream,
                                          (uint32_t)(limits->request_line_bytes + limits->headers_bytes), is_drained);
    if (c->state == CLIENT_CLOSED)
        return CLOSED;
    if (status == STREAM_EOF)
        return client_on_eof(c);
    if (status == STREAM_ERROR) {
        client_close(c);
        return CLOSED;
    }
    return client_process(c);
}

static void h1_on_readable(struct client *c)
{
    struct stream *s = &c->stream;
    bool is_drained = false;
    for (int i = 0; i < READS_PER_TURN && !is_drained && !s->is_read_paused; i++) {
        if (!client_wants_bytes(c)) {
            stream_watch(s);
            return;
        }
        if (client_read_once(c, &is_drained) == CLOSED || c->state == CLIENT_LINGERING || c->protocol != &client_h1)
            return;
    }
}

static void client_resume(struct client *c)
{
    if (!c->has_ended)
        stream_resume(&c->stream);
    if (client_process(c) == CLOSED)
        return; /* nothing follows, and nothing may */
}

static void h1_resume(struct request *r)
{
    client_resume(r->client);
}

static void h1_pause(struct request *r)
{
    stream_watch(&r->client->stream);
}

static bool h1_discard_body(struct request *r)
{
    struct inbox *b = &r->client->inbox;
    struct slice rest = inbox_bytes(b);
    enum h1_event event = r->reader.state == H1_STATE_ERROR ? H1_ERROR : H1_DATA;
    while (event == H1_DATA || event == H1_TRAILERS)
        event = h1_read(&r->reader, &rest, &r->arena, &r->message);
    inbox_keep(b, rest);
    return event == H1_END;
}

/* ---- answers --------------------------------------------------------------------------------------------------------- */

static void queue_head(struct request *r, const struct message *m, const struct h1_write *w)
{
    struct stream *s = &r->client->stream;
    uint32_t room = (uint32_t)h1_head_bytes(m) + HEAD_MARGIN_BYTES;
    char *out = stream_reserve(s, room);
    size_t written = h1_write_response(m, w, out, room);
    CHECK(written > 0);
    stream_commit(s, (uint32_t)written);
}

static void h1_send_interim(struct request *r, const struct message *m)
{
    if (r->message.version_minor == 0 || (m->status == 100 && !r->message.expects_continue))
        return; /* RFC 9110 15.2: HTTP/1.0 does not know them; a 100 that nobody waits for says nothing */
    struct h1_write w = { .framing = BODY_NONE };
    queue_head(r, m, &w);
}

/* Does the connection end with this answer? */
static bool is_last_answer(const struct request *r)
{
    struct client *c = r->client;
    return r->is_close_due || c->is_close_due || !r->message.is_keep_alive || client_is_leaving(c) ||
           client_is_too_old(c);
}

/* How the client gets a body: one of open length ends with the connection for HTTP/1.0, which knows no chunks. */
static enum body_framing framing_for(const struct request *r, const struct message *m)
{
    bool is_of_open_length = m->framing == BODY_CHUNKED || m->framing == BODY_UNTIL_CLOSE;
    if (!is_of_open_length)
        return m->framing;
    return r->message.version_minor == 0 ? BODY_UNTIL_CLOSE : BODY_CHUNKED;
}

static void h1_send_head(struct request *r, const struct message *m)
{
    if (m->status == 101) {
        struct h1_write w = { .framing = BODY_NONE, .upgrade = m->upgrade };
        r->is_close_due = true;
        queue_head(r, m, &w);
        return;
    }
    r->response_framing = framing_for(r, m);
    r->is_close_due = is_last_answer(r) || r->response_framing == BODY_UNTIL_CLOSE;
    struct h1_write w = { .framing = r->response_framing,
                          .content_length = m->content_length,
                          .has_content_length = m->has_content_length,
                          .is_close = r->is_close_due,
                          .is_keep_alive_1_0 = r->message.version_minor == 0 && !r->is_close_due };
    queue_head(r, m, &w);
}

static void h1_send_data(struct request *r, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    struct stream *s = &r->client->stream;
    bool is_chunked = r->response_framing == BODY_CHUNKED && !r->is_tunnel;
    if (is_chunked) {
        char size[18];
        stream_push_copy(s, size, (uint32_t)h1_write_chunk_size(length, size));
    }
    if (length < COPY_BELOW_BYTES)
        stream_push_copy(s, chunk->bytes + offset, length);
    else
        stream_push(s, chunk, offset, length);
    if (is_chunked)
        stream_push_copy(s, "\r\n", 2);
}

static void h1_send_end(struct request *r, const struct message *trailers)
{
    if (r->response_framing != BODY_CHUNKED || r->is_tunnel)
        return;
    struct stream *s = &r->client->stream;
    uint32_t room = (uint32_t)(trailers != NULL ? h1_head_bytes(trailers) : 0) + HEAD_MARGIN_BYTES;
    size_t written = h1_write_last_chunk(trailers, stream_reserve(s, room), room);
    CHECK(written > 0);
    stream_commit(s, (uint32_t)written);
}

static void h1_shutdown(struct request *r)
{
    stream_shutdown(&r->client->stream);
}

static void h1_flush(struct request *r)
{
    client_flush(r->client);
}

static bool h1_is_full(struct request *r)
{
    return stream_is_full(&r->client->stream);
}

/* It is in the connection's queue, in order: nothing else can hold it up. */
static bool h1_is_delivered(const struct request *r)
{
    (void)r;
    return true;
}

static uint32_t h1_queued_bytes(const struct request *r)
{
    return r->client->stream.queued_bytes;
}

/* ---- the connection's events ------------------------------------------------------------------------------------------- */

static void h1_on_drained(struct client *c)
{
    if (c->request != NULL)
        request_on_drained(c->request);
    client_resume(c);
}

static void h1_on_timer(struct client *c)
{
    if (c->state == CLIENT_IDLE)
        client_close(c);
    else if (is_head_pending(c->request))
        request_on_error(c->request, REASON_HEADER_TIMEOUT);
    else if (c->has_ended && !c->request->is_answer_begun)
        client_close(c);
}

static void h1_on_drain(struct client *c)
{
    if (c->state == CLIENT_IDLE)
        client_drain_idle(c); /* else its answer says Connection: close */
}

static void h1_on_close(struct client *c)
{
    if (c->request != NULL)
        request_abort(TAKE(&c->request), REASON_CLIENT_ABORTED);
}

static void h1_cut_off(struct client *c)
{
    if (!is_head_pending(c->request))
        request_on_error(c->request, REASON_DRAINING);
}

/* The answer is queued: the next request's turn, or the connection's end. */
static void client_on_answered(struct client *c)
{
    CHECK(c->state == CLIENT_ACTIVE);
    c->has_been_served = true;
    if (c->is_close_due || client_is_leaving(c) || (c->has_ended && inbox_is_empty(&c->inbox))) {
        client_flush(c);
        if (c->state != CLIENT_CLOSED)
            client_linger(c);
        return;
    }
    if (stream_flush_soon(&c->stream) == STREAM_ERROR) {
        client_close(c);
        return;
    }
    client_wait(c);
    client_resume(c);
}

static void h1_finish(struct request *r)
{
    struct client *c = r->client;
    bool is_cut = r->is_cut;
    c->is_close_due = c->is_close_due || r->is_close_due || !r->is_body_done;
    request_free(r);
    if (c->state == CLIENT_CLOSED)
        return; /* the client is closing and has let go of the request already */
    c->request = NULL;
    if (is_cut) {
        client_reset(c);
        return;
    }
    client_on_answered(c);
}

static void h1_forget(struct request *r)
{
    if (r->head_chunk != NULL)
        chunk_unref(TAKE(&r->head_chunk));
}

const struct client_protocol client_h1 = {
    .stats = STATS_HTTP1,
    .on_readable = h1_on_readable,
    .on_drained = h1_on_drained,
    .on_timer = h1_on_timer,
    .on_drain = h1_on_drain,
    .on_close = h1_on_close,
    .cut_off = h1_cut_off,
    .send_interim = h1_send_interim,
    .send_head = h1_send_head,
    .send_data = h1_send_data,
    .send_end = h1_send_end,
    .shutdown = h1_shutdown,
    .flush = h1_flush,
    .is_full = h1_is_full,
    .is_delivered = h1_is_delivered,
    .queued_bytes = h1_queued_bytes,
    .pause = h1_pause,
    .resume = h1_resume,
    .discard_body = h1_discard_body,
    .finish = h1_finish,
    .forget = h1_forget,
};
