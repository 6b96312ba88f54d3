/* front/client_h2_events.c - what a client's session tells: streams become requests, and their bodies are passed on.
 *
 * A body that the exchange cannot take yet waits in its request, at most a stream's window of it: only what was passed on
 * is given back to the window, so one stream that waits holds up no other. */
#include "base/check.h"
#include "front/client_h2_parts.h"

#define PACK_BELOW_BYTES 4096 /* of a body that waits: a byte at a time must not hold a chunk for each */

static struct request *request_of(struct h2_stream *s)
{
    struct request *r = CONTAINER_OF(s, struct request, h2.stream);
    CHECK_MAGIC(r, REQUEST_MAGIC);
    return r;
}

/* ---- a request's body ------------------------------------------------------------------------------------------------ */

static void touch(struct request *r)
{
    if (!list_is_linked(&r->h2.touched_link))
        list_append(&r->client->h2->touched, &r->h2.touched_link);
}

/* Before the answer to an upgrade its bytes belong to nobody yet. */
static bool takes_body(struct request *r)
{
    return request_wants_body(r) && (!r->message.is_upgrade || r->is_tunnel);
}

/* The end behind the last byte: of the message, or of a tunnel's direction. */
static void deliver_end(struct request *r)
{
    r->h2.is_end_due = false;
    if (r->is_tunnel)
        request_on_client_eof(r);
    else
        request_on_end(r);
}

/* Passes on what waits, as far as the exchange takes it. False: the request is finished. */
static bool deliver_body(struct request *r)
{
    struct client_h2 *h = r->client->h2;
    struct pieces_pool *pool = &r->front->loop->pieces;
    CHECK(h->delivering == NULL);
    h->delivering = r;
    while (h->delivering == r && !pieces_is_empty(&r->h2.body) && takes_body(r)) {
        struct piece piece = *pieces_front(&r->h2.body);
        chunk_ref(piece.chunk);
        pieces_consume(&r->h2.body, pool, piece.length);
        h2_consume(&r->h2.stream, piece.length);
        request_on_data(r, piece.chunk, piece.offset, piece.length);
        chunk_unref(piece.chunk);
    }
    bool is_alive = h->delivering == r;
    h->delivering = NULL;
    if (is_alive && r->h2.is_end_due && pieces_is_empty(&r->h2.body) && takes_body(r))
        deliver_end(r);
    return is_alive;
}

void client_h2_go_on(struct request *r)
{
    client_h2_flush_later(r->client);
    if (!request_is_forwarded(r) || !deliver_body(r) || !request_is_forwarded(r))
        return;
    exchange_flush(&r->exchange);
    request_on_flushed(r);
}

void client_h2_flush_touched(struct client_h2 *h)
{
    struct list *link;
    while ((link = list_pop(&h->touched)) != NULL)
        client_h2_go_on(LIST_ITEM(link, struct request, h2.touched_link));
}

/* ---- events of the session --------------------------------------------------------------------------------------------- */

static struct h2_stream *on_begin(struct h2 *session)
{
    struct client_h2 *h = h2_owner(session);
    struct client *c = h->client;
    if (c->state == CLIENT_IDLE)
        client_set_state(c, CLIENT_ACTIVE);
    struct request *r = request_create(c);
    memset(&r->h2, 0, sizeof r->h2);
    h2_stream_init(&r->h2.stream, &r->arena, &r->message);
    pieces_init(&r->h2.body);
    list_init(&r->h2.touched_link);
    list_init(&r->h2.link);
    list_append(&h->requests, &r->h2.link);
    h->heading = r;
    h->head_due = mono_add_ms(loop_now(c->front->loop), client_limits(c)->header_timeout_ms);
    return &r->h2.stream;
}

static void on_head(struct h2_stream *s)
{
    struct request *r = request_of(s);
    r->client->h2->heading = NULL;
    touch(r);
    request_on_head(r);
}

static void on_refused(struct h2_stream *s, enum reason reason, const char *detail)
{
    (void)detail;
    struct request *r = request_of(s);
    r->client->h2->heading = NULL;
    r->is_body_done = true; /* none of it is read */
    request_on_error(r, reason);
}

static void on_data(struct h2_stream *s, struct slice data)
{
    struct request *r = request_of(s);
    struct client_h2 *h = r->client->h2;
    uint32_t offset = (uint32_t)(data.ptr - h->reading->bytes), length = (uint32_t)data.len;
    if (!request_may_be_forwarded(r))
        return; /* answered early: its window stays closed, and the stream is about to be */
    touch(r);
    if (pieces_is_empty(&r->h2.body) && takes_body(r)) {
        h2_consume(s, length);
        request_on_data(r, h->reading, offset, length);
    } else if (length < PACK_BELOW_BYTES) {
        pieces_pack(&r->h2.body, &r->front->loop->pieces, &r->front->loop->chunks, data.ptr, length);
    } else {
        pieces_push(&r->h2.body, &r->front->loop->pieces, h->reading, offset, length);
    }
}

static void on_trailers(struct h2_stream *s, struct message *trailers)
{
    request_of(s)->request_trailers = trailers;
}

static void on_end(struct h2_stream *s)
{
    struct request *r = request_of(s);
    if (!request_may_be_forwarded(r)) {
        r->is_body_done = true;
        return;
    }
    r->h2.is_end_due = true;
    touch(r);
}

static void on_closed(struct h2_stream *s, const struct h2_closing *how)
{
    struct request *r = request_of(s);
    client_h2_flush_later(r->client);
    enum reason reason = how->cause == H2_MALFORMED ? how->reason : REASON_CLIENT_ABORTED;
    if (r == r->client->h2->answering) { /* it is on the stack, and goes on to `deliver` by itself */
        if (how->cause != H2_COMPLETE && r->reason == REASON_NONE)
            r->reason = reason;
    } else if (how->cause == H2_COMPLETE) {
        request_on_delivered(r);
    } else {
        request_abort(r, reason);
    }
}

static void on_room(struct h2_stream *s)
{
    request_on_drained(request_of(s));
}

const struct h2_events client_h2_events = {
    .on_begin = on_begin,
    .on_head = on_head,
    .on_refused = on_refused,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_end = on_end,
    .on_closed = on_closed,
    .on_room = on_room,
};
