/* upstream/exchange.c - one request forwarded to one endpoint, its response, and its second try.
 *
 * Callbacks to the owner come only from a connection's events and timers or from the turn's end (the queue of those
 * who wait), never from inside a call of the owner's: so a request never finds itself finished in the middle of its
 * own step. */
#include "upstream/exchange.h"

#include "base/check.h"
#include "upstream/balance.h"
#include "upstream/connection.h"
#include "upstream/internal.h"
#include "upstream/places.h"

#define EXCHANGE_MAGIC 0x58434847u
#define MAX_TRIES      3 /* of what the endpoint surely did nothing with */

void exchange_finish(struct exchange *x)
{
    CHECK(x->state != EXCHANGE_DONE);
    x->state = EXCHANGE_DONE;
    x->upstream->set->exchange_count--;
}

void exchange_count_retry(struct exchange *x, enum stats_upstream_cell result)
{
    if (x->is_retried)
        stats_upstream_add(x->upstream->set->loop->stats, x->upstream->stats_id, result, 1);
}

void exchange_fail(struct exchange *x, enum reason reason)
{
    exchange_count_retry(x, STATS_UPSTREAM_RETRIES_FAILED);
    exchange_finish(x);
    x->events->on_failed(x, reason);
}

/* Queues the head; the owner's body or a flush follows in the same turn. */
static void exchange_send_head(struct exchange *x)
{
    x->connection->protocol->send_head(x);
    x->state = EXCHANGE_WAITING;
    x->is_body_begun = false;
    x->is_request_complete = x->write.framing == BODY_NONE;
}

static void exchange_unqueue(struct exchange *x)
{
    struct upstream *u = x->upstream;
    list_remove(&x->link);
    places_give(u->set->places, u->stats_id);
    stats_upstream_sub(u->set->loop->stats, u->stats_id, STATS_UPSTREAM_PENDING, 1);
}

static enum reason exchange_wait(struct exchange *x)
{
    struct upstream *u = x->upstream;
    if (!places_take(u->set->places, u->stats_id, u->max_pending))
        return REASON_OVERLOADED;
    list_append(&u->pending, &x->link);
    stats_upstream_add(u->set->loop->stats, u->stats_id, STATS_UPSTREAM_PENDING, 1);
    x->state = EXCHANGE_PENDING;
    return REASON_NONE;
}

/* A connection for it: one with room to that endpoint, a new one, or, where max_connections forbids that, one with room to
   another endpoint. NULL: it has to wait. */
static struct upstream_connection *exchange_find_connection(struct exchange *x, struct endpoint *e)
{
    struct upstream_connection *c = x->is_new_connection_due ? connection_take_new(e, x) : connection_take(e, x);
    if (c != NULL)
        return c;
    if (upstream_has_room(x->upstream))
        return connection_open(e, x);
    /* There is_new_connection_due gives way: waiting would not bring a new one either. */
    struct endpoint *other = upstream_find_shared(x->upstream);
    return other != NULL ? connection_take(other, x) : NULL;
}

/* Gets going on that endpoint: at once on a connection that works, later on one that is being made. */
static enum reason exchange_try_at(struct exchange *x, struct endpoint *e)
{
    if (e->takes_no_http1 && exchange_needs_http1(x, e))
        return REASON_UPGRADE_UNSUPPORTED;
    struct upstream_connection *c = exchange_find_connection(x, e);
    /* U2: who cannot use what has room would wait for ever: one that needs HTTP/1.1, beside HTTP/2 that is busy. */
    if (c == NULL)
        return upstream_find_shared(x->upstream) == NULL ? exchange_wait(x) : REASON_OVERLOADED;
    x->try_count++;
    if (c->state == CONNECTION_CONNECTING)
        x->state = EXCHANGE_CONNECTING;
    else
        exchange_send_head(x);
    return REASON_NONE;
}

static enum reason exchange_try(struct exchange *x, const struct endpoint *avoid)
{
    struct endpoint *e = balance_pick(x->upstream, avoid);
    return e != NULL ? exchange_try_at(x, e) : REASON_NO_ENDPOINT;
}

enum reason exchange_begin(struct exchange *x)
{
    x->magic = EXCHANGE_MAGIC;
    x->state = EXCHANGE_NEW;
    x->endpoint = NULL;
    x->connection = NULL;
    list_init(&x->link);
    list_init(&x->batch_link);
    x->stream.session = NULL;
    x->is_held = false;
    x->try_count = x->informational_count = 0;
    x->is_request_complete = x->is_response_begun = x->is_tunnel = x->is_retried = x->is_new_connection_due = false;
    bool is_first = list_is_empty(&x->upstream->pending); /* U3: what is free this turn belongs to those who wait */
    enum reason reason = is_first ? exchange_try(x, NULL) : exchange_wait(x);
    if (reason == REASON_NONE)
        x->upstream->set->exchange_count++;
    else
        x->state = EXCHANGE_DONE;
    return reason;
}

/* ---- from the connection ------------------------------------------------------------------------------------------- */

void exchange_on_connected(struct exchange *x)
{
    CHECK_MAGIC(x, EXCHANGE_MAGIC);
    CHECK(x->state == EXCHANGE_CONNECTING);
    exchange_send_head(x);
    x->events->on_drained(x);
}

/* `reason`: the outcome of a further try. */
static void exchange_go_on(struct exchange *x, enum reason reason)
{
    if (reason != REASON_NONE)
        exchange_fail(x, reason);
    else if (x->state == EXCHANGE_WAITING)
        x->events->on_drained(x);
}

static void exchange_try_again(struct exchange *x, const struct endpoint *avoid)
{
    exchange_go_on(x, exchange_try(x, avoid));
}

void exchange_on_left_out(struct exchange *x, struct endpoint *e)
{
    CHECK(x->connection == NULL);
    x->try_count--;
    if (!list_is_empty(&x->upstream->pending)) /* U3 */
        exchange_go_on(x, exchange_wait(x));
    else
        exchange_go_on(x, e != NULL ? exchange_try_at(x, e) : exchange_try(x, NULL));
}

void exchange_leave_queue(struct exchange *x)
{
    CHECK(x->state == EXCHANGE_PENDING);
    exchange_unqueue(x);
    exchange_try_again(x, NULL);
}

void exchange_on_connect_failed(struct exchange *x, enum reason reason, const struct endpoint *avoid)
{
    CHECK(x->connection == NULL);
    struct upstream *u = x->upstream;
    bool has_other = false;
    for (uint32_t i = 0; i < u->endpoint_count && !has_other; i++)
        has_other = u->endpoints[i] != avoid && endpoint_is_usable(u->endpoints[i]);
    /* Nothing was sent: trying elsewhere is always safe. The one that failed is down now, or to be avoided. */
    if (!has_other || x->try_count >= MAX_TRIES || x->is_tried_once) {
        exchange_fail(x, reason);
        return;
    }
    x->is_retried = true;
    exchange_try_again(x, avoid);
}

/* RFC 9110 9.2.2 and 9112 9.3.1: a pooled connection may have been closed while the request was under way; an
   idempotent one without a body is sent once more, on a connection of its own. */
static bool exchange_may_repeat(const struct exchange *x, bool was_reused)
{
    return was_reused && !x->is_tried_once && !x->is_response_begun && x->write.framing == BODY_NONE &&
           !x->is_new_connection_due && method_is_idempotent(x->request->method);
}

void exchange_on_unprocessed(struct exchange *x, enum reason reason)
{
    CHECK(x->connection == NULL);
    if (x->is_body_begun || x->try_count >= MAX_TRIES || x->is_tried_once) {
        exchange_fail(x, reason);
        return;
    }
    x->is_retried = true;
    x->is_new_connection_due = true;
    exchange_try_again(x, NULL);
}

void exchange_on_lost(struct exchange *x, enum reason reason, bool was_reused, const struct endpoint *lost_by)
{
    CHECK(x->connection == NULL);
    if (reason == REASON_UPSTREAM_RESET && exchange_may_repeat(x, was_reused)) {
        x->is_retried = true;
        x->is_new_connection_due = true;
        exchange_try_again(x, lost_by);
        return;
    }
    exchange_fail(x, reason);
}

/* ---- from the owner ------------------------------------------------------------------------------------------------ */

bool exchange_is_full(struct exchange *x)
{
    return exchange_is_ready(x) && x->connection->protocol->is_full(x);
}

/* HTTP/1.1 tells anyway when its queue is empty. */
void exchange_await_room(struct exchange *x)
{
    if (x->stream.session != NULL)
        x->stream.is_above_high = true;
}

uint32_t exchange_queued_bytes(const struct exchange *x)
{
    return exchange_is_ready(x) ? x->connection->protocol->queued_bytes(x) : 0;
}

void exchange_send(struct exchange *x, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    CHECK(exchange_is_ready(x));
    x->is_body_begun = true;
    x->connection->protocol->send_data(x, chunk, offset, length);
}

void exchange_end_request(struct exchange *x, const struct message *trailers)
{
    CHECK(exchange_is_ready(x));
    x->is_body_begun = true;
    x->connection->protocol->send_end(x, trailers);
    x->is_request_complete = true;
}

void exchange_flush(struct exchange *x)
{
    if (exchange_is_ready(x))
        x->connection->protocol->flush(x);
}

void exchange_shutdown(struct exchange *x)
{
    if (exchange_is_ready(x))
        x->connection->protocol->shutdown(x);
}

void exchange_pause(struct exchange *x)
{
    if (exchange_is_ready(x))
        x->connection->protocol->pause(x);
}

void exchange_resume(struct exchange *x)
{
    if (exchange_is_ready(x))
        x->connection->protocol->resume(x);
}

void exchange_cancel(struct exchange *x)
{
    if (x->state == EXCHANGE_NEW || x->state == EXCHANGE_DONE)
        return;
    CHECK_MAGIC(x, EXCHANGE_MAGIC);
    if (x->state == EXCHANGE_PENDING)
        exchange_unqueue(x);
    if (x->connection != NULL)
        x->connection->protocol->cancel(x);
    list_remove(&x->link); /* of those who are about to hear that their connection is gone */
    exchange_finish(x);
}
