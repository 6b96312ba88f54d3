/* upstream/connection_h2.c - HTTP/2 to an endpoint: many exchanges at once, each a stream of the connection's session.
 *
 * What comes in goes through the codec, which calls the events below; each finds its exchange and hands it on. What goes
 * out is left with the codec, and written when the turn ends: whatever a turn produced for a connection, for all its
 * exchanges, leaves in one write (connection_h2_send_all).
 *
 * The session outlives the connection's closing until the turn ends, since the codec may be on the stack then; exchanges
 * have let go of their streams by that time (on_detach).
 *
 * Silence: while exchanges are under way and nothing has come for SILENCE_MS, a PING asks whether anybody is there. A peer
 * that answers nothing for PONG_MS more is lost, long before TCP would say so. */
#include "upstream/connection.h"

#include "base/check.h"
#include "crypto/digest.h"
#include "upstream/internal.h"

/* As many as nearly all servers allow: beyond it another connection shares the load, and the peer's other cores. */
#define MAX_EXCHANGES 100

#define SILENCE_MS 10000
#define PONG_MS    5000

/* Of an answer, this much may wait for a slow client; of all answers together, this much may be on its way. */
#define STREAM_WINDOW_BYTES     (256u * 1024)
#define CONNECTION_WINDOW_BYTES (4u * 1024 * 1024)

#define READS_PER_TURN   4
#define COPY_BELOW_BYTES 512 /* shorter pieces are copied beside their frame heads: fewer pieces to write */

/* What became of the connection during a callback (R4): after LOST the only legal statement is `return`. */
enum liveness { ALIVE, LOST };

static struct exchange *exchange_of(struct h2_stream *s)
{
    return CONTAINER_OF(s, struct exchange, stream);
}

/* It has something to send: that happens when the turn ends. */
static void connection_touch(struct upstream_connection *c)
{
    struct upstream_set *set = c->endpoint->upstream->set;
    if (!list_is_linked(&c->h2.unsent_link))
        list_append(&set->unsent, &c->h2.unsent_link);
    loop_repeat_hooks(set->loop);
}

/* ---- how exchanges end ----------------------------------------------------------------------------------------------- */

static void hold(struct exchange *x, bool is_held)
{
    if (x->is_held != is_held)
        x->connection->h2.held_count += is_held ? 1 : UINT32_MAX;
    x->is_held = is_held;
}

static void on_detach(struct exchange *x)
{
    struct upstream_connection *c = x->connection;
    list_remove(&x->batch_link);
    hold(x, false);
    if (x->stream.session == NULL)
        return;
    h2_reset(&x->stream, H2_CANCEL);
    if (c->state == CONNECTION_BUSY)
        connection_touch(c);
}

static void complete(struct exchange *x)
{
    connection_release(x);
    exchange_count_retry(x, STATS_UPSTREAM_RETRIES_OK);
    exchange_finish(x);
    x->events->on_end(x);
}

/* Only this exchange is in trouble. */
static void leave(struct exchange *x)
{
    struct upstream_connection *c = x->connection;
    connection_detach(x);
    x->state = EXCHANGE_LOST;
    connection_settle(c);
}

static void fail(struct exchange *x, enum reason reason)
{
    leave(x);
    exchange_fail(x, reason);
}

static void cancel(struct exchange *x)
{
    struct upstream_connection *c = x->connection;
    connection_detach(x);
    connection_settle(c);
}

/* ---- the codec's events ---------------------------------------------------------------------------------------------- */

static void expect_batch(struct exchange *x)
{
    if (!list_is_linked(&x->batch_link))
        list_append(&x->connection->h2.batch, &x->batch_link);
}

/* RFC 8441 5: a client that upgraded in HTTP/1.1 waits for proof that its key was understood, of which HTTP/2 knows nothing. */
static void add_accept(struct exchange *x)
{
    static const struct slice name = { "Sec-WebSocket-Accept", 20 };
    const struct field *key = message_field_named(x->request, SLICE("Sec-WebSocket-Key"), NULL);
    if (key == NULL)
        return;
    char *accept = arena_alloc(x->arena, DIGEST_WEBSOCKET_BYTES);
    digest_websocket_accept(key->value, accept);
    message_set(&x->response, x->arena, name, slice_from(accept, DIGEST_WEBSOCKET_BYTES));
}

static void on_head(struct h2_stream *s)
{
    struct exchange *x = exchange_of(s);
    x->is_response_begun = true;
    x->is_tunnel = x->response.status == 101;
    if (x->response.status >= 200 || x->is_tunnel) {
        x->state = EXCHANGE_STREAMING;
        if (x->is_tunnel)
            add_accept(x);
    } else if (++x->informational_count > EXCHANGE_MAX_INFORMATIONAL) {
        fail(x, REASON_UPSTREAM_INVALID);
        return;
    }
    expect_batch(x);
    x->events->on_head(x, &x->response);
}

static void on_data(struct h2_stream *s, struct slice data)
{
    struct exchange *x = exchange_of(s);
    struct chunk *chunk = x->connection->h2.chunk;
    expect_batch(x);
    x->events->on_data(x, chunk, (uint32_t)(data.ptr - chunk->bytes), (uint32_t)data.len);
}

static void on_trailers(struct h2_stream *s, struct message *trailers)
{
    struct exchange *x = exchange_of(s);
    x->events->on_trailers(x, trailers);
}

/* The answer is complete. When the request is too, on_closed follows as soon as its end has left; else nobody needs what is
   left of it. */
static void on_end(struct h2_stream *s)
{
    struct exchange *x = exchange_of(s);
    bool has_sent_all = x->is_request_complete && !exchange_is_websocket(x) && s->out.bytes == 0;
    x->is_answer_complete = true;
    if (x->is_tunnel)
        x->events->on_half_closed(x);
    else if (!has_sent_all)
        complete(x);
}

static void on_closed(struct h2_stream *s, const struct h2_closing *how)
{
    struct exchange *x = exchange_of(s);
    if (x->is_tunnel && how->cause == H2_COMPLETE) {
        x->events->on_drained(x); /* both ends have left: the owner finds nothing queued, and ends it */
    } else if (x->is_answer_complete && !x->is_tunnel) {
        complete(x); /* a reset behind a complete answer takes nothing back (RFC 9113 8.1) */
    } else if (how->is_unprocessed) {
        leave(x);
        exchange_on_unprocessed(x, how->reason);
    } else {
        fail(x, how->reason);
    }
}

static void on_room(struct h2_stream *s)
{
    struct exchange *x = exchange_of(s);
    x->events->on_drained(x);
}

static void on_goaway(struct h2 *h, uint32_t error)
{
    struct upstream_connection *c = h2_owner(h);
    (void)error;
    c->is_reusable = false;
    if (c->state != CONNECTION_CLOSED)
        connection_set_capacity(c, 0);
}

/* Later connections to the same endpoint begin with what this one has learned. */
static void on_settings(struct h2 *h)
{
    struct upstream_connection *c = h2_owner(h);
    uint32_t limit = h2_peer_max_streams(h);
    if (c->state == CONNECTION_CLOSED)
        return;
    limit = limit < MAX_EXCHANGES ? limit : MAX_EXCHANGES;
    if (!c->h2.has_settings)
        c->endpoint->takes_no_http1 = false; /* it may have learned */
    c->h2.has_settings = true;
    c->endpoint->takes_no_tunnels = !h2_can_upgrade(h);
    c->endpoint->exchange_limit = limit > 0 ? limit : 1;
    if (c->is_reusable)
        connection_set_capacity(c, limit);
    if (c->state == CONNECTION_BUSY)
        connection_touch(c); /* exchanges may have waited for it */
}

static const struct h2_events events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_end = on_end,
    .on_closed = on_closed,
    .on_room = on_room,
    .on_goaway = on_goaway,
    .on_settings = on_settings,
};

static void output_write(void *owner, const void *bytes, uint32_t length)
{
    struct upstream_connection *c = owner;
    stream_push_copy(&c->stream, bytes, length);
}

static void output_push(void *owner, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    struct upstream_connection *c = owner;
    if (length < COPY_BELOW_BYTES)
        stream_push_copy(&c->stream, chunk->bytes + offset, length);
    else
        stream_push(&c->stream, chunk, offset, length);
}

static const struct h2_output output = { .write = output_write, .push = output_push };

/* ---- writing --------------------------------------------------------------------------------------------------------- */

/* Hands to the stream what the codec has, as far as there is room for it; the rest follows when it is drained. May close the
   connection. */
static enum h2_status connection_write(struct upstream_connection *c)
{
    struct stream *s = &c->stream;
    enum h2_status status = H2_OPEN;
    while (status == H2_OPEN && h2_has_output(c->h2.session) && s->queued_bytes < STREAM_HIGH_BYTES) {
        c->h2.is_in_codec = true;
        status = h2_send(c->h2.session, STREAM_HIGH_BYTES - s->queued_bytes);
        c->h2.is_in_codec = false;
        if (c->state == CONNECTION_CLOSED || stream_flush(s) == STREAM_ERROR || s->queued_bytes > 0)
            break; /* reading tells the end, or an early answer first */
    }
    return status;
}

/* The session is over: what it has to say goes out, and everybody is told. Unless the peer has ended it, it broke the rules. */
static void connection_end(struct upstream_connection *c)
{
    connection_write(c);
    if (c->state != CONNECTION_CLOSED)
        connection_fail(c, c->is_reusable ? REASON_UPSTREAM_INVALID : REASON_UPSTREAM_RESET);
}

/* The next one whose head could not be sent, and of which it is known now whether it can. */
static struct exchange *first_held(struct upstream_connection *c)
{
    if (c->h2.held_count == 0)
        return NULL;
    LIST_FOREACH_SAFE (link, &c->exchanges) {
        struct exchange *x = LIST_ITEM(link, struct exchange, link);
        if (x->is_held && (c->h2.has_settings || !exchange_is_websocket(x)))
            return x;
    }
    return NULL;
}

static bool try_begin(struct exchange *x)
{
    struct upstream_connection *c = x->connection;
    struct h1_write write = x->write;
    if (!exchange_is_websocket(x))
        write.upgrade =
            SLICE_NONE; /* there is no other protocol that HTTP/2 could carry: the endpoint may do without */
    h2_stream_init(&x->stream, x->arena, &x->response);
    /* RFC 9113 8.3.1; over TLS some servers refuse any other scheme. */
    struct slice scheme = c->stream.tls != NULL ? SLICE("https") : SLICE("http");
    return h2_begin(c->h2.session, &x->stream, x->request, x->target, scheme, &write);
}

/* The peer takes no tunnels: over HTTP/1.1 it may. */
static void begin_elsewhere(struct exchange *x)
{
    struct upstream_connection *c = x->connection;
    if (!c->is_by_alpn || x->is_body_begun) {
        fail(x, REASON_UPGRADE_UNSUPPORTED);
        return;
    }
    leave(x);
    exchange_on_left_out(x, c->endpoint != NULL && !endpoint_is_leaving(c->endpoint) ? c->endpoint : NULL);
}

/* Those who wait for the peer's SETTINGS, or until a stream that was reset has really ended. */
static void begin_held(struct upstream_connection *c)
{
    struct exchange *x;
    while (c->state == CONNECTION_BUSY && (x = first_held(c)) != NULL) {
        if (h2_is_closing(c->h2.session)) {
            leave(x);
            exchange_on_unprocessed(x, REASON_UPSTREAM_RESET);
        } else if (exchange_is_websocket(x) && !h2_can_upgrade(c->h2.session)) {
            begin_elsewhere(x);
        } else if (try_begin(x)) {
            hold(x, false);
            x->events->on_drained(x);
        } else {
            return;
        }
    }
}

void connection_h2_send_all(struct upstream_set *set)
{
    struct list *link;
    while ((link = list_pop(&set->unsent)) != NULL) {
        struct upstream_connection *c = LIST_ITEM(link, struct upstream_connection, h2.unsent_link);
        enum h2_status status = connection_write(c); /* resets too, which make room for those who are held */
        if (status == H2_OPEN && c->h2.held_count > 0) {
            begin_held(c);
            status = c->state == CONNECTION_CLOSED ? H2_OPEN : connection_write(c);
        }
        if (status == H2_OVER && c->state != CONNECTION_CLOSED)
            connection_end(c);
    }
}

static void on_drained(struct upstream_connection *c)
{
    connection_touch(c);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static enum liveness connection_deliver(struct upstream_connection *c, struct chunk *chunk, struct slice bytes)
{
    c->h2.is_in_codec = true;
    c->h2.chunk = chunk;
    enum h2_status status = h2_receive(c->h2.session, bytes, loop_now(c->stream.loop));
    c->h2.chunk = NULL;
    c->h2.is_in_codec = false;
    if (c->state == CONNECTION_CLOSED)
        return LOST;
    if (status == H2_OVER) {
        connection_end(c);
        return LOST;
    }
    return ALIVE;
}

static enum liveness connection_read_inbox(struct upstream_connection *c, enum stream_status *status, bool *is_drained)
{
    *status = inbox_fill(&c->inbox, &c->stream, CHUNK_BYTES, is_drained);
    if (*status != STREAM_OK)
        return ALIVE;
    struct chunk *chunk = chunk_ref(c->inbox.chunk);
    struct slice bytes = inbox_bytes(&c->inbox);
    inbox_keep(&c->inbox, SLICE("")); /* the codec takes all of it */
    enum liveness alive = connection_deliver(c, chunk, bytes);
    chunk_unref(chunk);
    return alive;
}

static enum liveness connection_read_bulk(struct upstream_connection *c, enum stream_status *status, bool *is_drained)
{
    struct chunk *chunks[BULK_CHUNKS];
    int count = stream_read_bulk(&c->stream, BULK_CHUNKS * CHUNK_BYTES, chunks, status, is_drained);
    enum liveness alive = ALIVE;
    for (int i = 0; i < count; i++) {
        if (alive == ALIVE)
            alive = connection_deliver(c, chunks[i], slice_from(chunks[i]->bytes, chunks[i]->used));
        chunk_unref(chunks[i]);
    }
    return alive;
}

/* Everything was handed on: the owners flush, and say whether they take more. */
static void connection_end_batch(struct upstream_connection *c)
{
    struct list *link;
    while ((link = list_pop(&c->h2.batch)) != NULL) {
        struct exchange *x = LIST_ITEM(link, struct exchange, batch_link);
        if (!x->is_paused && x->stream.session != NULL)
            h2_consume(&x->stream, x->stream.unconsumed_bytes);
        x->events->on_batch(x);
    }
}

static void on_readable(struct upstream_connection *c)
{
    bool is_drained = false;
    for (int i = 0; i < READS_PER_TURN && !is_drained; i++) {
        enum stream_status status;
        enum liveness alive =
            i == 0 ? connection_read_inbox(c, &status, &is_drained) : connection_read_bulk(c, &status, &is_drained);
        if (alive == LOST)
            return;
        if (status == STREAM_EOF || status == STREAM_ERROR) {
            connection_fail(c, REASON_UPSTREAM_RESET);
            return;
        }
    }
    inbox_release_if_empty(&c->inbox);
    c->h2.is_pinged = false;
    if (c->state == CONNECTION_BUSY)
        timer_start(c->stream.loop, &c->timer, SILENCE_MS);
    connection_end_batch(c);
    if (c->state != CONNECTION_CLOSED)
        connection_touch(c);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void on_connected(struct upstream_connection *c)
{
    struct upstream_set *set = c->endpoint->upstream->set;
    struct h2_limits limits = h2_limits_with(&set->response_limits);
    limits.stream_window_bytes = STREAM_WINDOW_BYTES;
    limits.connection_window_bytes = CONNECTION_WINDOW_BYTES;
    c->h2.session = h2_create(set->h2_pool, H2_CLIENT, &limits, &events, &output, c);
    list_init(&c->h2.batch);
    list_init(&c->h2.unsent_link);
    connection_touch(c);
}

static void on_silence(struct upstream_connection *c)
{
    if (c->h2.is_pinged) {
        connection_fail(c, REASON_UPSTREAM_RESET);
        return;
    }
    c->h2.is_pinged = true;
    h2_ping(c->h2.session);
    connection_touch(c);
    timer_start(c->stream.loop, &c->timer, PONG_MS);
}

static void on_close(struct upstream_connection *c)
{
    if (c->h2.session == NULL)
        return;
    list_remove(&c->h2.unsent_link);
    if (c->state != CONNECTION_IDLE || c->h2.is_in_codec)
        return;
    h2_goaway(c->h2.session, H2_NO_ERROR);
    connection_write(c);
}

static void fini(struct upstream_connection *c)
{
    if (c->h2.session == NULL)
        return;
    h2_close(c->h2.session);
    h2_destroy(TAKE(&c->h2.session));
}

/* ---- from an exchange ------------------------------------------------------------------------------------------------ */

static void begin_stream(struct exchange *x)
{
    struct upstream_connection *c = x->connection;
    x->is_paused = x->is_answer_complete = x->is_end_due = false;
    x->stream.session = NULL;
    hold(x, (exchange_is_websocket(x) && !h2_can_upgrade(c->h2.session)) || !try_begin(x));
    if (c->exchange_count == 1 || !timer_is_armed(&c->timer)) /* several may have gathered while it was being made */
        timer_start(c->stream.loop, &c->timer, SILENCE_MS);
    connection_touch(c);
}

static void queue_data(struct exchange *x, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    if (x->stream.session != NULL)
        h2_send_data(&x->stream, chunk, offset, length);
}

static void queue_end(struct exchange *x, const struct message *trailers)
{
    if (x->stream.session != NULL)
        h2_send_end(&x->stream, trailers);
}

static void queue_tunnel_end(struct exchange *x)
{
    x->is_end_due = true;
    if (x->stream.session != NULL)
        h2_send_end(&x->stream, NULL);
}

static void flush_later(struct exchange *x)
{
    connection_touch(x->connection);
}

static bool is_stalled(struct exchange *x)
{
    return x->is_held || (x->stream.session != NULL && h2_is_full(&x->stream));
}

/* A tunnel's end counts as a byte: whoever gives the exchange up before it has left, breaks the tunnel. */
static uint32_t queued_bytes_of(const struct exchange *x)
{
    if (x->stream.session == NULL)
        return 0;
    return x->stream.out.bytes + (x->is_end_due ? 1 : 0);
}

static void keep_window(struct exchange *x)
{
    x->is_paused = true;
}

static void give_window(struct exchange *x)
{
    if (!x->is_paused)
        return;
    x->is_paused = false;
    if (x->stream.session == NULL)
        return;
    h2_consume(&x->stream, x->stream.unconsumed_bytes);
    connection_touch(x->connection);
}

const struct connection_protocol connection_h2 = {
    .max_exchanges = MAX_EXCHANGES,
    .on_readable = on_readable,
    .on_drained = on_drained,
    .on_connected = on_connected,
    .on_timer = on_silence,
    .on_close = on_close,
    .fini = fini,
    .on_detach = on_detach,
    .send_head = begin_stream,
    .send_data = queue_data,
    .send_end = queue_end,
    .shutdown = queue_tunnel_end,
    .flush = flush_later,
    .is_full = is_stalled,
    .queued_bytes = queued_bytes_of,
    .pause = keep_window,
    .resume = give_window,
    .cancel = cancel,
};
