/* upstream/connection_h1.c - HTTP/1.1 to an endpoint: requests written, answers read, one exchange at a time.
 *
 * What comes in is parsed and handed to the exchange event by event. The exchange's owner may end it inside any of
 * them, and the connection with it, so each step looks afterwards whether it still serves the same exchange (enum
 * liveness). */
#include "upstream/connection.h"

#include "base/check.h"
#include "http/validate.h"
#include "upstream/internal.h"

#include <errno.h>

/* Reads of one callback: beyond them other connections get their turn. */
#define READS_PER_TURN 4

#define MAX_KEPT_S     (1u << 30) /* of Keep-Alive; beyond it the endpoint keeps it for ever */
#define KEPT_MARGIN_MS 1000

#define COPY_BELOW_BYTES  512 /* shorter pieces are copied beside their chunk framing: fewer pieces to write */
#define HEAD_MARGIN_BYTES 256 /* what h1_write may add to a head, codec.h */

/* What became of the connection during a callback (R4): after LOST the only legal statement is `return`. */
enum liveness { ALIVE, LOST };

/* ---- reading -------------------------------------------------------------------------------------------------------- */

static void connection_on_end(struct upstream_connection *c, bool has_rest)
{
    struct exchange *x = connection_exchange(c);
    if (has_rest || !x->is_request_complete || x->is_tunnel || c->stream.queued_bytes > 0)
        c->is_reusable = false; /* RFC 9112 6.3: bytes behind a complete response are nobody's */
    connection_release(x);
    exchange_count_retry(x, STATS_UPSTREAM_RETRIES_OK);
    exchange_finish(x);
    x->events->on_end(x);
}

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

static void connection_on_head(struct upstream_connection *c)
{
    struct exchange *x = connection_exchange(c);
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
    struct exchange *x = connection_exchange(c);
    for (;;) {
        enum h1_event event = h1_read(&c->h1.reader, rest, x->arena, &x->response);
        if (chunk == c->inbox.chunk)
            inbox_keep(&c->inbox, *rest);
        switch (event) {
        case H1_MORE:
            return ALIVE;
        case H1_HEAD:
            connection_on_head(c);
            break;
        case H1_DATA:
            x->events->on_data(x, chunk, (uint32_t)(c->h1.reader.data.ptr - chunk->bytes),
                               (uint32_t)c->h1.reader.data.len);
            break;
        case H1_TRAILERS:
            x->events->on_trailers(x, c->h1.reader.trailers);
            break;
        case H1_END:
            connection_on_end(c, rest->len > 0);
            return LOST;
        case H1_ERROR:
            connection_fail(c, c->h1.reader.reason);
            return LOST;
        }
        if (connection_exchange(c) != x)
            return LOST;
    }
}

/* Bodies of known or open length need nothing contiguous: up to 64 KiB by one call into fresh chunks. */
static bool connection_reads_bulk(const struct upstream_connection *c)
{
    if (!inbox_is_empty(&c->inbox))
        return false;
    return (c->h1.reader.state == H1_STATE_LENGTH && c->h1.reader.remaining_bytes > CHUNK_BYTES) ||
           c->h1.reader.state == H1_STATE_UNTIL_CLOSE;
}

static uint64_t bulk_bytes(const struct upstream_connection *c)
{
    uint64_t most = BULK_CHUNKS * (uint64_t)CHUNK_BYTES;
    bool is_shorter = c->h1.reader.state == H1_STATE_LENGTH && c->h1.reader.remaining_bytes < most;
    return is_shorter ? c->h1.reader.remaining_bytes : most;
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
    uint32_t most_bytes = c->h1.limits.request_line_bytes + c->h1.limits.head_bytes;
    *status = inbox_fill(&c->inbox, &c->stream, most_bytes, is_drained);
    if (*status != STREAM_OK)
        return ALIVE;
    connection_exchange(c)->is_response_begun = true;
    struct slice rest = inbox_bytes(&c->inbox);
    return connection_deliver(c, c->inbox.chunk, &rest);
}

static void connection_on_eof(struct upstream_connection *c)
{
    struct exchange *x = connection_exchange(c);
    enum h1_event event = h1_read_eof(&c->h1.reader, inbox_bytes(&c->inbox).len);
    c->is_reusable = false;
    bool is_tunnel = x->is_tunnel;
    bool is_cut = stream_is_cut(&c->stream); /* RFC 9112 9.8: what only the end delimits may not be all there was */
    if (is_tunnel && !c->stream.has_failed && !is_cut) { /* half-closed: the other direction may go on */
        stream_pause(&c->stream);
        x->events->on_half_closed(x);
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
    struct exchange *x = connection_exchange(c);
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

static void h1_on_readable(struct upstream_connection *c)
{
    if (c->state == CONNECTION_BUSY)
        connection_read(c);
    else if (stream_has_news(&c->stream))
        connection_close(c); /* C2: pooled, it has nothing to say but goodbye */
}

static void h1_on_drained(struct upstream_connection *c)
{
    struct exchange *x = connection_exchange(c);
    if (x == NULL)
        return;
    if (!c->stream.has_failed)
        x->events->on_drained(x);
    else if (x->is_tunnel)
        connection_fail(c, REASON_UPSTREAM_RESET);
    else
        stream_resume(&c->stream); /* as in h1_flush */
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

static void h1_send_head(struct exchange *x)
{
    struct upstream_connection *c = x->connection;
    uint32_t room = (uint32_t)(h1_head_bytes(x->request) + x->target.len) + HEAD_MARGIN_BYTES;
    char *out = stream_reserve(&c->stream, room);
    size_t written = h1_write_request(x->request, x->target, &x->write, out, room);
    CHECK(written > 0);
    stream_commit(&c->stream, (uint32_t)written);
    c->h1.limits = x->upstream->set->response_limits;
    h1_reader_init_response(&c->h1.reader, &c->h1.limits, x->request->method);
}

static bool is_chunked(const struct exchange *x)
{
    return x->write.framing == BODY_CHUNKED && !x->is_tunnel;
}

static void push_piece(struct stream *s, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    if (length < COPY_BELOW_BYTES)
        stream_push_copy(s, chunk->bytes + offset, length);
    else
        stream_push(s, chunk, offset, length);
}

static void h1_send_data(struct exchange *x, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    struct stream *s = &x->connection->stream;
    bool has_framing = is_chunked(x);
    if (has_framing) {
        char size[18];
        stream_push_copy(s, size, (uint32_t)h1_write_chunk_size(length, size));
    }
    push_piece(s, chunk, offset, length);
    if (has_framing)
        stream_push_copy(s, "\r\n", 2);
}

static void h1_send_end(struct exchange *x, const struct message *trailers)
{
    if (!is_chunked(x))
        return;
    struct stream *s = &x->connection->stream;
    uint32_t room = (uint32_t)(trailers != NULL ? h1_head_bytes(trailers) : 0) + HEAD_MARGIN_BYTES;
    size_t written = h1_write_last_chunk(trailers, stream_reserve(s, room), room);
    CHECK(written > 0);
    stream_commit(s, (uint32_t)written);
}

/* A whole request waits for those of the turn's other requests; bodies under way and tunnels want to know what became of
   theirs. */
static void h1_flush(struct exchange *x)
{
    struct stream *s = &x->connection->stream;
    bool is_whole = x->is_request_complete && !x->is_tunnel;
    if ((is_whole ? stream_flush_soon(s) : stream_flush(s)) == STREAM_ERROR)
        stream_resume(s); /* reading tells the end, or an early answer first */
}

static void h1_shutdown(struct exchange *x)
{
    stream_shutdown(&x->connection->stream);
}

static bool h1_is_full(struct exchange *x)
{
    return stream_is_full(&x->connection->stream);
}

static uint32_t h1_queued_bytes(const struct exchange *x)
{
    return x->connection->stream.queued_bytes;
}

static void h1_pause(struct exchange *x)
{
    stream_pause(&x->connection->stream);
}

static void h1_resume(struct exchange *x)
{
    stream_resume(&x->connection->stream);
}

/* What is left of its request or its answer would be in the next one's way. */
static void h1_cancel(struct exchange *x)
{
    struct upstream_connection *c = x->connection;
    connection_detach(x);
    connection_close(c);
}

const struct connection_protocol connection_h1 = {
    .max_exchanges = 1,
    .on_readable = h1_on_readable,
    .on_drained = h1_on_drained,
    .send_head = h1_send_head,
    .send_data = h1_send_data,
    .send_end = h1_send_end,
    .shutdown = h1_shutdown,
    .flush = h1_flush,
    .is_full = h1_is_full,
    .queued_bytes = h1_queued_bytes,
    .pause = h1_pause,
    .resume = h1_resume,
    .cancel = h1_cancel,
};
