/* upstream/connection.c - one connection to an endpoint: connecting, serving one exchange, or pooled.
 *
 * What comes in is parsed and handed to the exchange event by event. The exchange's owner may end it inside any of
 * them, and the connection with it, so each step looks afterwards whether it still serves the same exchange (enum
 * liveness). */
#include "upstream/connection.h"

#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "http/validate.h"
#include "upstream/internal.h"

#include <errno.h>
#include <string.h>

#define CONNECTION_MAGIC 0x55434f4eu

/* Reads of one callback: beyond them other connections get their turn. */
#define READS_PER_TURN 4

/* Between two lines that say that this machine has no room for connections. */
#define COMPLAINT_INTERVAL_MS 5000

#define MAX_KEPT_S     (1u << 30) /* of Keep-Alive; beyond it the endpoint keeps it for ever */
#define KEPT_MARGIN_MS 1000

#define CONNECTION_OF(s) CONTAINER_OF(s, struct upstream_connection, stream)

/* What became of the connection during a callback (R4): after LOST the only legal statement is `return`. */
enum liveness { ALIVE, LOST };

static void connection_destroy(struct deferred *d)
{
    struct upstream_connection *c = CONTAINER_OF(d, struct upstream_connection, deferred);
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    c->magic = 0;
    memory_free(c);
}

static void connection_attach(struct upstream_connection *c, struct exchange *x)
{
    CHECK(c->exchange == NULL && x->connection == NULL);
    c->exchange = x;
    x->connection = c;
    x->endpoint = c->endpoint;
    c->endpoint->in_flight_count++;
}

static void connection_detach(struct upstream_connection *c)
{
    if (c->endpoint->probe == c) {
        c->endpoint->probe = NULL;
        c->endpoint->is_probe_firm = false;
    }
    if (c->exchange == NULL)
        return;
    c->exchange->connection = NULL;
    c->exchange->endpoint = NULL;
    c->exchange = NULL;
    c->endpoint->in_flight_count--;
}

/* Gauges: from one to the other, or in and out of the first. */
static void connection_count(struct upstream_connection *c, enum stats_upstream_cell cell, int64_t change)
{
    struct upstream *u = c->endpoint->upstream;
    stats_upstream_add(u->set->loop->stats, u->stats_id, cell, (uint64_t)change);
}

void connection_close(struct upstream_connection *c)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    if (c->state == CONNECTION_CLOSED)
        return;
    struct loop *loop = c->stream.loop;
    connection_count(c, c->state == CONNECTION_IDLE ? STATS_UPSTREAM_IDLE : STATS_UPSTREAM_ACTIVE, -1);
    c->state = CONNECTION_CLOSED;
    connection_detach(c);
    list_remove(&c->link);
    timer_stop(loop, &c->timer);
    stream_close(&c->stream);
    inbox_fini(&c->inbox);
    endpoint_forget_connection(c->endpoint); /* may free the endpoint */
    c->endpoint = NULL;
    loop_after_turn(loop, &c->deferred);
}

/* ---- pooling -------------------------------------------------------------------------------------------------------- */

/* What an endpoint says of its own patience, less the time in which a request would meet the FIN on its way: a POST lost
   so is an error for its client, since it must not be sent twice. */
static int64_t kept_ms_of(const struct message *response)
{
    uint64_t seconds = hop_keep_alive_s(response);
    if (seconds > MAX_KEPT_S)
        return INT64_MAX;
    int64_t ms = (int64_t)seconds * 1000;
    return ms > 2 * KEPT_MARGIN_MS ? ms - KEPT_MARGIN_MS : ms / 2;
}

static void connection_pool(struct upstream_connection *c)
{
    struct upstream *u = c->endpoint->upstream;
    inbox_release_if_empty(&c->inbox);
    stream_resume(&c->stream);
    c->state = CONNECTION_IDLE;
    connection_count(c, STATS_UPSTREAM_ACTIVE, -1);
    connection_count(c, STATS_UPSTREAM_IDLE, 1);
    list_push(&c->endpoint->idle, &c->link);
    timer_start(c->stream.loop, &c->timer, c->kept_ms < u->idle_timeout_ms ? c->kept_ms : u->idle_timeout_ms);
    upstream_on_room(u);
}

static bool connection_may_be_pooled(const struct upstream_connection *c)
{
    const struct endpoint *e = c->endpoint;
    return c->is_reusable && !c->stream.has_failed && c->stream.queued_bytes == 0 && inbox_is_empty(&c->inbox) &&
           !endpoint_is_leaving(e) && !e->upstream->set->is_draining;
}

void connection_release(struct upstream_connection *c)
{
    CHECK(c->state == CONNECTION_BUSY);
    c->exchange_count++;
    connection_detach(c);
    if (connection_may_be_pooled(c))
        connection_pool(c);
    else
        connection_close(c);
}

struct upstream_connection *connection_take(struct endpoint *e, struct exchange *x)
{
    struct list *link = list_pop(&e->idle);
    if (link == NULL)
        return NULL;
    struct upstream_connection *c = LIST_ITEM(link, struct upstream_connection, link);
    CHECK(c->state == CONNECTION_IDLE);
    c->state = CONNECTION_BUSY;
    connection_count(c, STATS_UPSTREAM_IDLE, -1);
    connection_count(c, STATS_UPSTREAM_ACTIVE, 1);
    connection_attach(c,
                      x); /* the idle timer stays armed: firing while BUSY means nothing, pooling again postpones it */
    return c;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

static void connection_fail(struct upstream_connection *c, enum reason reason)
{
    struct exchange *x = c->exchange;
    bool was_reused = c->exchange_count > 0;
    const struct endpoint *e = endpoint_is_leaving(c->endpoint) ? NULL : c->endpoint;
    connection_close(c);
    if (x != NULL)
        exchange_on_lost(x, reason, was_reused, e);
}

static void connection_on_end(struct upstream_connection *c, bool has_rest)
{
    struct exchange *x = c->exchange;
    if (has_rest || !x->is_request_complete || x->is_tunnel)
        c->is_reusable = false; /* RFC 9112 6.3: bytes behind a complete response are nobody's */
    connection_release(c);
    exchange_count_retry(x, STATS_UPSTREAM_RETRIES_OK);
    exchange_finish(x);
    x->events->on_end(x);
}

static void connection_on_head(struct upstream_connection *c)
{
    struct exchange *x = c->exchange;
    bool is_final = x->response.status >= 200 || x->response.status == 101;
    if (is_final) {
        x->state = EXCHANGE_STREAMING;
        x->is_tunnel = x->response.status == 101;
        c->kept_ms = kept_ms_of(&x->response);
        c->is_reusable =
            x->response.is_keep_alive && x->response.framing != BODY_UNTIL_CLOSE && !x->is_tunnel && c->kept_ms > 0;
    } else if (++x->informational_count > EXCHANGE_MAX_INFORMATIONAL) {
        connection_fail(c, REASON_UPSTREAM_INVALID);
        return;
    }
    x->events->on_head(x, &x->response);
}

/* Parses what was read and tells the exchange; `rest` (in chunk) is moved behind what was understood. */
static enum liveness connection_deliver(struct upstream_connection *c, struct chunk *chunk, struct slice *rest)
{
    struct exchange *x = c->exchange;
    for (;;) {
        enum h1_event event = h1_read(&c->reader, rest, x->arena, &x->response);
        if (chunk == c->inbox.chunk)
            inbox_keep(&c->inbox, *rest);
        switch (event) {
        case H1_MORE:
            return ALIVE;
        case H1_HEAD:
            connection_on_head(c);
            break;
        case H1_DATA:
            x->events->on_data(x, chunk, (uint32_t)(c->reader.data.ptr - chunk->bytes), (uint32_t)c->reader.data.len);
            break;
        case H1_TRAILERS:
            x->events->on_trailers(x, c->reader.trailers);
            break;
        case H1_END:
            connection_on_end(c, rest->len > 0);
            return LOST;
        case H1_ERROR:
            connection_fail(c, c->reader.reason);
            return LOST;
        }
        if (c->exchange != x)
            return LOST;
    }
}

/* Bodies of known or open length need nothing contiguous: up to 64 KiB by one call into fresh chunks. */
static bool connection_reads_bulk(const struct upstream_connection *c)
{
    if (!inbox_is_empty(&c->inbox))
        return false;
    return (c->reader.state == H1_STATE_LENGTH && c->reader.remaining_bytes > CHUNK_BYTES) ||
           c->reader.state == H1_STATE_UNTIL_CLOSE;
}

static uint64_t bulk_bytes(const struct upstream_connection *c)
{
    uint64_t most = BULK_CHUNKS * (uint64_t)CHUNK_BYTES;
    bool is_shorter = c->reader.state == H1_STATE_LENGTH && c->reader.remaining_bytes < most;
    return is_shorter ? c->reader.remaining_bytes : most;
}

static enum liveness connection_read_bulk(struct upstream_connection *c, enum stream_status *status, bool *is_drained)
{
    struct chunk *chunks[BULK_CHUNKS];
    int count = stream_read_bulk(&c->stream, bulk_bytes(c), chunks, status, is_drained);
    enum liveness alive = ALIVE;
    for (int i = 0; i < count; i++) {
        struct slice rest = slice_from(chunks[i]->bytes, chunks[i]->used);
        if (alive == ALIVE)
            alive = connection_deliver(c, chunks[i], &rest);
        chunk_unref(chunks[i]);
    }
    return alive;
}

static enum liveness connection_read_inbox(struct upstream_connection *c, enum stream_status *status, bool *is_drained)
{
    uint32_t most_bytes = c->limits.request_line_bytes + c->limits.head_bytes;
    *status = inbox_fill(&c->inbox, &c->stream, most_bytes, is_drained);
    if (*status != STREAM_OK)
        return ALIVE;
    c->exchange->is_response_begun = true;
    struct slice rest = inbox_bytes(&c->inbox);
    return connection_deliver(c, c->inbox.chunk, &rest);
}

static void connection_on_eof(struct upstream_connection *c)
{
    enum h1_event event = h1_read_eof(&c->reader, inbox_bytes(&c->inbox).len);
    c->is_reusable = false;
    bool is_tunnel = c->exchange->is_tunnel;
    bool is_cut = stream_is_cut(&c->stream); /* RFC 9112 9.8: what only the end delimits may not be all there was */
    if (is_tunnel && !c->stream.has_failed && !is_cut) { /* half-closed: the other direction may go on */
        stream_pause(&c->stream);
        c->exchange->events->on_half_closed(c->exchange);
        return;
    }
    /* A failed write may have taken the reset's error off the socket: what reads like FIN then is none. Behind a FIN that
       error is EPIPE: an answer was complete by then, but what a tunnel's client still sends has nowhere to go. */
    bool was_reset = c->stream.has_failed && (is_tunnel || c->stream.failure == ECONNRESET);
    if (event == H1_END && !was_reset && !is_cut)
        connection_on_end(c, false);
    else
        connection_fail(c, REASON_UPSTREAM_RESET);
}

static void connection_read(struct upstream_connection *c)
{
    bool is_drained = false;
    struct exchange *x = c->exchange;
    for (int i = 0; i < READS_PER_TURN && !is_drained && !c->stream.is_read_paused; i++) {
        enum stream_status status;
        enum liveness alive = connection_reads_bulk(c) ? connection_read_bulk(c, &status, &is_drained)
                                                       : connection_read_inbox(c, &status, &is_drained);
        if (alive == LOST)
            return;
        if (status == STREAM_EOF) {
            connection_on_eof(c);
            return;
        }
        if (status == STREAM_ERROR) {
            connection_fail(c, REASON_UPSTREAM_RESET);
            return;
        }
    }
    inbox_release_if_empty(&c->inbox);
    x->events->on_batch(x);
}

static void connection_on_readable(struct stream *s)
{
    struct upstream_connection *c = CONNECTION_OF(s);
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    if (c->exchange != NULL)
        connection_read(c);
    else if (stream_has_news(s))
        connection_close(c); /* C2: pooled, it has nothing to say but goodbye */
}

/* ---- connecting and writing ------------------------------------------------------------------------------------------ */

static void connection_fail_connect(struct upstream_connection *c, enum reason reason, const char *why)
{
    struct exchange *x = c->exchange;
    connection_count(c, STATS_UPSTREAM_CONNECT_FAILURES, 1);
    endpoint_on_connect_failed(c->endpoint, why);
    connection_close(c);
    if (x != NULL)
        exchange_on_connect_failed(x, reason, NULL);
}

/* Something of this machine's own is used up: the endpoint is what it was. Another may have a pooled connection, or
   ports left. */
static void connection_give_up_connect(struct upstream_connection *c, int error, const char *limit)
{
    struct exchange *x = c->exchange;
    struct endpoint *e = c->endpoint;
    struct upstream_set *set = e->upstream->set;
    log_line_limited(&set->complaints, COMPLAINT_INTERVAL_MS, LOG_ERROR, "upstream %s: no connection to %s: %s; %s",
                     e->upstream->name, e->label, strerror(error), limit);
    connection_count(c, STATS_UPSTREAM_CONNECT_FAILURES, 1);
    endpoint_on_not_tried(e);
    if (endpoint_is_leaving(e))
        e = NULL;
    connection_close(c);
    if (x != NULL)
        exchange_on_connect_failed(x, REASON_LOCAL_LIMIT, e);
}

static void connection_on_connect_error(struct upstream_connection *c, int error)
{
    const struct resolved_address *peer = &c->endpoint->address;
    bool is_plain_http;
    const char *tls = stream_tls_failure(&c->stream, &is_plain_http);
    const char *limit = stream_local_limit(error, (const struct sockaddr *)&peer->bytes, peer->length);
    if (tls != NULL)
        connection_fail_connect(c, REASON_UPSTREAM_TLS, tls);
    else if (limit != NULL)
        connection_give_up_connect(c, error, limit);
    else
        connection_fail_connect(c, REASON_CONNECT_FAILED, "could not connect");
}

static void connection_on_connected(struct stream *s, int error)
{
    struct upstream_connection *c = CONNECTION_OF(s);
    struct exchange *x = c->exchange;
    if (error != 0) {
        connection_on_connect_error(c, error);
        return;
    }
    endpoint_on_connected(c->endpoint);
    timer_stop(s->loop, &c->timer);
    c->state = CONNECTION_BUSY;
    if (x != NULL) {
        exchange_on_connected(x);
    } else {
        connection_detach(c);
        connection_pool(c);
    }
}

static void connection_on_drained(struct stream *s)
{
    struct upstream_connection *c = CONNECTION_OF(s);
    if (c->exchange == NULL)
        return;
    if (!s->has_failed)
        c->exchange->events->on_drained(c->exchange);
    else if (c->exchange->is_tunnel)
        connection_fail(c, REASON_UPSTREAM_RESET);
    /* Else there may still be an answer to read; reading will find the end. */
}

static void connection_on_timer(void *arg)
{
    struct upstream_connection *c = arg;
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    if (c->state == CONNECTION_IDLE)
        connection_close(c);
    else if (c->state == CONNECTION_CONNECTING)
        connection_fail_connect(c, REASON_CONNECT_TIMEOUT, "could not connect in time");
}

static const struct stream_events connection_events = {
    .on_readable = connection_on_readable,
    .on_drained = connection_on_drained,
    .on_connected = connection_on_connected,
};

static void connection_connect(struct upstream_connection *c)
{
    struct endpoint *e = c->endpoint;
    struct upstream *u = e->upstream;
    const struct sockaddr *address = (const struct sockaddr *)&e->address.bytes;
    struct stream_tls_target target = { .context = u->tls, .name = e->entry->host, .slot = &e->session };
    if (u->tls != NULL)
        stream_connect_tls(&c->stream, u->set->loop, address, e->address.length, &target, &connection_events);
    else
        stream_connect(&c->stream, u->set->loop, address, e->address.length, &connection_events);
}

struct upstream_connection *connection_open(struct endpoint *e, struct exchange *x)
{
    struct upstream *u = e->upstream;
    struct upstream_connection *c = memory_zalloc(sizeof(*c));
    c->magic = CONNECTION_MAGIC;
    c->state = CONNECTION_CONNECTING;
    c->endpoint = e;
    c->is_reusable = true;
    c->kept_ms = INT64_MAX;
    c->deferred.destroy = connection_destroy;
    list_init(&c->link);
    timer_init(&c->timer, connection_on_timer, c);
    e->connection_count++;
    u->connection_count++;
    u->set->connection_count++;
    u->ref_count++;
    connection_count(c, STATS_UPSTREAM_ACTIVE, 1);
    stats_upstream_add(u->set->loop->stats, u->stats_id, STATS_UPSTREAM_CONNECTS, 1);
    if (x != NULL)
        connection_attach(c, x);
    else
        e->probe = c;
    connection_connect(c);
    timer_start(u->set->loop, &c->timer, u->connect_timeout_ms);
    return c;
}
