/* front/client.c - a downstream HTTP/1.1 connection: reads requests one after the other, in order.
 *
 * Bytes come in by client_on_readable, are understood by client_process, and reach the one request as events by
 * client_deliver. Whoever finishes the request on the way (a refusal, an answer that was ready) comes back to that
 * loop through client_on_request_finished: pipelined requests are a loop, never a recursion. */
#include "front/client.h"

#include "base/check.h"
#include "base/memory.h"
#include "front/accept.h"
#include "front/request.h"

#define CLIENT_MAGIC 0x434c4945u

#define READS_PER_TURN 4
#define PIPELINE_BYTES 8192 /* read ahead of an unanswered request; beyond it TCP holds the rest */
#define DRAIN_GRACE_MS 1000 /* for the first request of a connection that was just accepted */
#define LINGER_MS      2000 /* how long a peer may take to notice that we are done */
#define HALF_CLOSE_GRACE_MS                                                                                            \
    1000 /* a FIN may mean "that was my request" or "I am gone": an answer that begins in time is
                                    delivered, then the request is given up (tests: half_close, client_abort) */

#define CLIENT_OF(s) CONTAINER_OF(s, struct client, stream)

enum liveness { ALIVE, CLOSED };
enum progress { GO_ON, STOP };

static const struct limits_config *client_limits(const struct client *c)
{
    return &c->front->current->snapshot->config->limits;
}

static bool is_head_pending(const struct request *r)
{
    return r->step == 0;
}

static void client_set_state(struct client *c, enum client_state state)
{
    CHECK(c->state != CLIENT_CLOSED);
    CHECK(state != CLIENT_ACTIVE || c->state == CLIENT_IDLE);
    list_remove(&c->link);
    list_append(&c->front->clients[state], &c->link);
    c->state = (uint8_t)state;
}

static void client_destroy(struct deferred *d)
{
    struct client *c = CONTAINER_OF(d, struct client, deferred);
    CHECK_MAGIC(c, CLIENT_MAGIC);
    list_remove(&c->link);
    c->magic = 0;
    memory_free(c);
}

static void client_end(struct client *c, void (*close_stream)(struct stream *s))
{
    CHECK_MAGIC(c, CLIENT_MAGIC);
    if (c->state == CLIENT_CLOSED)
        return;
    struct front *f = c->front;
    client_set_state(c, CLIENT_CLOSED);
    if (c->request != NULL)
        request_abort(TAKE(&c->request), REASON_CLIENT_ABORTED);
    timer_stop(f->loop, &c->timer);
    close_stream(&c->stream);
    inbox_fini(&c->inbox);
    limits_leave(f->limits, &c->source);
    stats_listener_close(f->stats, c->listener->stats_id, STATS_HTTP1);
    stats_add(f->stats, STATS_CONNECTIONS_CLOSED, 1);
    accept_forget_client(TAKE(&c->listener));
    f->client_count--;
    loop_after_turn(f->loop, &c->deferred);
}

void client_close(struct client *c)
{
    client_end(c, stream_close);
}

void client_reset(struct client *c)
{
    client_end(c, stream_reset);
}

/* ---- between requests ------------------------------------------------------------------------------------------------ */

static int64_t idle_ms(struct client *c)
{
    const struct limits_config *limits = client_limits(c);
    if (limits->max_connection_age_ms == 0)
        return limits->idle_timeout_ms;
    int64_t age_ms = mono_diff_us(loop_now(c->front->loop), c->accepted) / 1000;
    int64_t left_ms = limits->max_connection_age_ms - age_ms;
    return left_ms < limits->idle_timeout_ms ? left_ms : limits->idle_timeout_ms;
}

/* Without a request: ends in delay_ms, unless the last answer is still on its way then, and moves. */
static void client_close_in(struct client *c, int64_t delay_ms)
{
    c->watched_bytes = c->stream.queued_bytes;
    timer_start(c->front->loop, &c->timer, delay_ms);
}

static void client_wait(struct client *c)
{
    client_set_state(c, CLIENT_IDLE);
    client_close_in(c, idle_ms(c));
}

/* The last answer is queued. What the peer still sends is read and dropped for a while: closing at once would make the kernel send a
   reset, which may destroy the answer on its way (RFC 9112 9.6). */
static void client_linger(struct client *c)
{
    client_set_state(c, CLIENT_LINGERING);
    inbox_fini(&c->inbox);
    stream_shutdown(&c->stream);
    if (c->has_ended && c->stream.queued_bytes == 0) {
        client_close(c);
        return;
    }
    if (!c->has_ended)
        stream_resume(&c->stream);
    client_close_in(c, c->stream.queued_bytes > 0 ? client_limits(c)->idle_timeout_ms : LINGER_MS);
}

static void client_read_lingering(struct client *c)
{
    bool is_drained;
    enum stream_status status = inbox_fill(&c->inbox, &c->stream, 0, &is_drained);
    inbox_fini(&c->inbox);
    if (status == STREAM_EOF && c->stream.queued_bytes > 0) {
        c->has_ended = true; /* it only stopped sending: the answer is still under way */
        stream_pause(&c->stream);
    } else if (status == STREAM_EOF || status == STREAM_ERROR) {
        client_close(c);
    }
}

void client_on_request_finished(struct client *c)
{
    CHECK_MAGIC(c, CLIENT_MAGIC);
    CHECK(c->state == CLIENT_ACTIVE);
    c->request = NULL;
    c->has_been_served = true;
    if (c->is_close_due || c->front->is_draining || (c->has_ended && inbox_is_empty(&c->inbox))) {
        client_linger(c);
        return;
    }
    client_wait(c);
    client_resume(c);
}

void client_drain(struct client *c)
{
    CHECK(c->state == CLIENT_IDLE);
    if (!inbox_is_empty(&c->inbox) || stream_has_bytes(&c->stream))
        return; /* answered with Connection: close, or found closed */
    if (c->stream.queued_bytes > 0)
        client_linger(c); /* its answer is still on its way */
    else if (c->has_been_served)
        client_close(c);
    else
        client_close_in(c, DRAIN_GRACE_MS);
}

void client_cut_off(struct client *c)
{
    CHECK(c->state == CLIENT_ACTIVE);
    if (!is_head_pending(c->request))
        request_on_error(c->request, REASON_DRAINING);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static void client_begin_request(struct client *c)
{
    client_set_state(c, CLIENT_ACTIVE);
    c->request = request_create(c);
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
    stream_pause(&c->stream);
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

static void client_on_readable(struct stream *s)
{
    struct client *c = CLIENT_OF(s);
    CHECK_MAGIC(c, CLIENT_MAGIC);
    bool is_drained = false;
    if (c->state == CLIENT_LINGERING) {
        client_read_lingering(c);
        return;
    }
    for (int i = 0; i < READS_PER_TURN && !is_drained && !s->is_read_paused; i++) {
        if (!client_wants_bytes(c)) {
            stream_pause(s);
            return;
        }
        if (client_read_once(c, &is_drained) == CLOSED || c->state == CLIENT_LINGERING)
            return;
    }
}

void client_resume(struct client *c)
{
    if (!c->has_ended)
        stream_resume(&c->stream);
    if (client_process(c) == CLOSED)
        return; /* nothing follows, and nothing may */
}

void client_pause(struct client *c)
{
    stream_pause(&c->stream);
}

bool client_discard_body(struct client *c)
{
    struct request *r = c->request;
    struct slice rest = inbox_bytes(&c->inbox);
    enum h1_event event = r->reader.state == H1_STATE_ERROR ? H1_ERROR : H1_DATA;
    while (event == H1_DATA || event == H1_TRAILERS)
        event = h1_read(&r->reader, &rest, &r->arena, &r->message);
    inbox_keep(&c->inbox, rest);
    return event == H1_END;
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

void client_flush(struct client *c)
{
    if (c->state != CLIENT_CLOSED && stream_flush(&c->stream) == STREAM_ERROR)
        client_close(c);
}

static void client_on_drained(struct stream *s)
{
    struct client *c = CLIENT_OF(s);
    CHECK_MAGIC(c, CLIENT_MAGIC);
    if (s->has_failed) {
        client_close(c);
    } else if (c->state == CLIENT_LINGERING) {
        if (c->has_ended)
            client_close(c);
        else
            client_close_in(c, LINGER_MS);
    } else {
        if (c->request != NULL)
            request_on_drained(c->request);
        else
            client_close_in(c, idle_ms(c));
        client_resume(c);
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void client_on_timer(void *arg)
{
    struct client *c = arg;
    CHECK_MAGIC(c, CLIENT_MAGIC);
    if (c->state != CLIENT_ACTIVE && c->watched_bytes != c->stream.queued_bytes)
        client_close_in(c, client_limits(c)->idle_timeout_ms);
    else if (c->state != CLIENT_ACTIVE)
        client_close(c);
    else if (is_head_pending(c->request))
        request_on_error(c->request, REASON_HEADER_TIMEOUT);
    else if (c->has_ended && !c->request->is_answer_begun)
        client_close(c);
}

static const struct stream_events client_events = {
    .on_readable = client_on_readable,
    .on_drained = client_on_drained,
};

void client_create(struct front_listener *l, int fd, const struct ip_address *source, uint16_t source_port)
{
    struct front *f = l->front;
    struct client *c = memory_zalloc(sizeof(*c));
    c->magic = CLIENT_MAGIC;
    c->front = f;
    c->listener = l;
    c->source = *source;
    c->source_port = source_port;
    c->accepted = loop_now(f->loop);
    c->deferred.destroy = client_destroy;
    timer_init(&c->timer, client_on_timer, c);
    list_init(&c->link);
    list_append(&f->clients[CLIENT_IDLE], &c->link);
    c->state = CLIENT_IDLE;
    f->client_count++;
    l->client_count++;
    stats_listener_open(f->stats, l->stats_id, STATS_HTTP1);
    stream_open(&c->stream, f->loop, fd, &client_events);
    client_close_in(c, idle_ms(c));
}
