/* upstream/connection.c - one connection to an endpoint: connecting, carrying exchanges, or pooled.
 *
 * Here stands what all protocols share: how a connection is made and ends, who uses it, and how exchanges learn that it
 * is gone. Telling one of them may end others, so those who are to be told stand on a list that each can leave. */
#include "upstream/connection.h"

#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/local_limit.h"
#include "net/tls.h"
#include "upstream/internal.h"

#include <string.h>

/* Between two lines that say that this machine has no room for connections. */
#define COMPLAINT_INTERVAL_MS 5000

#define CONNECTION_OF(s) CONTAINER_OF(s, struct upstream_connection, stream)

static void connection_destroy(struct deferred *d)
{
    struct upstream_connection *c = CONTAINER_OF(d, struct upstream_connection, deferred);
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    if (c->protocol->fini != NULL)
        c->protocol->fini(c);
    c->magic = 0;
    memory_free(c);
}

/* ---- who uses it ----------------------------------------------------------------------------------------------------- */

static bool connection_is_full(const struct upstream_connection *c)
{
    return c->exchange_count >= c->capacity;
}

/* What a new connection will speak. By ALPN that is a guess: HTTP/2 as long as nothing is known, since those who gather
   can still part. */
static const struct connection_protocol *protocol_of(const struct endpoint *e)
{
    enum upstream_protocol protocol = e->upstream->protocol;
    if (protocol == UPSTREAM_BY_ALPN && e->spoken != NULL)
        return e->spoken;
    return protocol == UPSTREAM_HTTP1 ? &connection_h1 : &connection_h2;
}

/* Would its upstream, as it is now, have opened it? */
static bool connection_is_current(const struct upstream_connection *c)
{
    const struct endpoint *e = c->endpoint;
    if (!c->is_reusable || endpoint_is_leaving(e))
        return false;
    return e->upstream->protocol == UPSTREAM_BY_ALPN ? c->is_by_alpn || c->is_for_tunnel
                                                     : c->protocol == protocol_of(e);
}

/* Others find it while it has room. Those that connect stand behind those that work; the one that was full goes first. */
static void connection_offer(struct upstream_connection *c)
{
    if (connection_is_full(c) || !connection_is_current(c)) {
        list_remove(&c->link);
        return;
    }
    if (list_is_linked(&c->link))
        return;
    if (c->state == CONNECTION_CONNECTING)
        list_append(&c->endpoint->shared, &c->link);
    else
        list_push(&c->endpoint->shared, &c->link);
    upstream_on_room(c->endpoint->upstream);
}

void connection_set_capacity(struct upstream_connection *c, uint32_t capacity)
{
    c->capacity = capacity;
    if (c->exchange_count > 0)
        connection_offer(c);
    else if (c->state == CONNECTION_IDLE && capacity == 0)
        connection_close(c);
}

static void connection_attach(struct upstream_connection *c, struct exchange *x)
{
    CHECK(x->connection == NULL);
    list_append(&c->exchanges, &x->link);
    c->exchange_count++;
    x->connection = c;
    x->endpoint = c->endpoint;
    c->endpoint->in_flight_count++;
    if (c->capacity > 1)
        connection_offer(c);
}

void connection_detach(struct exchange *x)
{
    if (x->connection->protocol->on_detach != NULL)
        x->connection->protocol->on_detach(x);
    list_remove(&x->link);
    x->connection->exchange_count--;
    x->endpoint->in_flight_count--;
    x->connection = NULL;
    x->endpoint = NULL;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

/* Gauges: from one to the other, or in and out of the first. */
static void connection_count(struct upstream_connection *c, enum stats_upstream_cell cell, int64_t change)
{
    struct upstream *u = c->endpoint->upstream;
    stats_upstream_add(u->set->loop->stats, u->stats_id, cell, (uint64_t)change);
}

static void connection_end_probe(struct upstream_connection *c)
{
    if (c->endpoint->probe != c)
        return;
    c->endpoint->probe = NULL;
    c->endpoint->is_probe_firm = false;
}

void connection_close(struct upstream_connection *c)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    if (c->state == CONNECTION_CLOSED)
        return;
    CHECK(list_is_empty(&c->exchanges));
    struct loop *loop = c->stream.loop;
    if (c->protocol->on_close != NULL)
        c->protocol->on_close(c);
    connection_count(c, c->state == CONNECTION_IDLE ? STATS_UPSTREAM_IDLE : STATS_UPSTREAM_ACTIVE, -1);
    c->state = CONNECTION_CLOSED;
    connection_end_probe(c);
    list_remove(&c->link);
    timer_stop(loop, &c->timer);
    stream_close(&c->stream);
    inbox_fini(&c->inbox);
    endpoint_forget_connection(c->endpoint); /* may free the endpoint */
    c->endpoint = NULL;
    loop_after_turn(loop, &c->deferred);
}

void connection_close_idle(struct endpoint *e)
{
    LIST_FOREACH_SAFE (link, &e->idle)
        connection_close(LIST_ITEM(link, struct upstream_connection, link));
}

/* ---- pooling -------------------------------------------------------------------------------------------------------- */

static void connection_pool(struct upstream_connection *c)
{
    struct upstream *u = c->endpoint->upstream;
    inbox_release_if_empty(&c->inbox);
    stream_resume(&c->stream);
    c->state = CONNECTION_IDLE;
    connection_count(c, STATS_UPSTREAM_ACTIVE, -1);
    connection_count(c, STATS_UPSTREAM_IDLE, 1);
    list_remove(&c->link);
    list_push(&c->endpoint->idle, &c->link);
    timer_start(c->stream.loop, &c->timer, c->kept_ms < u->idle_timeout_ms ? c->kept_ms : u->idle_timeout_ms);
    upstream_on_room(u);
}

static bool connection_may_be_pooled(const struct upstream_connection *c)
{
    return c->state == CONNECTION_BUSY && c->capacity > 0 && connection_is_current(c) && !c->stream.has_failed &&
           inbox_is_empty(&c->inbox) && !c->endpoint->upstream->set->is_draining;
}

void connection_settle(struct upstream_connection *c)
{
    if (c->exchange_count > 0)
        connection_offer(c);
    else if (connection_may_be_pooled(c))
        connection_pool(c);
    else
        connection_close(c);
}

void connection_release(struct exchange *x)
{
    struct upstream_connection *c = x->connection;
    CHECK(c->state == CONNECTION_BUSY);
    c->served_count++;
    connection_detach(x);
    connection_settle(c);
}

static struct upstream_connection *first_connection(const struct list *connections)
{
    return list_is_empty(connections) ? NULL : LIST_ITEM(connections->next, struct upstream_connection, link);
}

/* Those that are not to be used any more are taken off the list when they are met. */
static struct upstream_connection *first_shared(const struct endpoint *e)
{
    struct upstream_connection *c;
    while ((c = first_connection(&e->shared)) != NULL && !connection_is_current(c))
        list_remove(&c->link);
    return c;
}

bool connection_is_shared(const struct endpoint *e)
{
    return first_shared(e) != NULL;
}

static struct upstream_connection *first_idle(const struct endpoint *e, bool is_for_tunnel)
{
    LIST_FOREACH_SAFE (link, &e->idle) {
        struct upstream_connection *c = LIST_ITEM(link, struct upstream_connection, link);
        if (c->is_for_tunnel == is_for_tunnel)
            return c;
    }
    return NULL;
}

static struct upstream_connection *take_idle(struct endpoint *e, bool is_for_tunnel)
{
    struct upstream_connection *c = first_idle(e, is_for_tunnel);
    if (c == NULL)
        return NULL;
    CHECK(c->state == CONNECTION_IDLE && c->capacity > 0);
    list_remove(&c->link);
    c->state = CONNECTION_BUSY;
    connection_count(c, STATS_UPSTREAM_IDLE, -1);
    connection_count(c, STATS_UPSTREAM_ACTIVE, 1);
    return c; /* the idle timer stays armed: firing while BUSY means nothing, pooling again postpones it */
}

struct upstream_connection *connection_take_new(struct endpoint *e, struct exchange *x)
{
    if (exchange_needs_http1(x, e) ||
        list_is_empty(&e->shared)) /* which is in order: those that connect stand at the end */
        return NULL;
    struct upstream_connection *c = LIST_ITEM(e->shared.prev, struct upstream_connection, link);
    if (c->state != CONNECTION_CONNECTING || !connection_is_current(c))
        return NULL;
    connection_attach(c, x);
    return c;
}

struct upstream_connection *connection_take(struct endpoint *e, struct exchange *x)
{
    bool is_for_tunnel = exchange_needs_http1(x, e);
    struct upstream_connection *c = is_for_tunnel ? NULL : first_shared(e);
    if (c == NULL || c->state == CONNECTION_CONNECTING) {
        struct upstream_connection *idle = take_idle(e, is_for_tunnel);
        c = idle != NULL ? idle : c;
    }
    if (c != NULL)
        connection_attach(c, x);
    return c;
}

/* ---- failing -------------------------------------------------------------------------------------------------------- */

/* Takes it off, for a list of orphans. Until it is told it is LOST, and may be cancelled by what another's owner does. */
static struct exchange *connection_orphan(struct exchange *x)
{
    connection_detach(x);
    x->state = EXCHANGE_LOST;
    return x;
}

static void connection_orphan_all(struct upstream_connection *c, struct list *orphans)
{
    list_init(orphans);
    while (!list_is_empty(&c->exchanges))
        list_append(orphans, &connection_orphan(connection_exchange(c))->link);
}

static struct exchange *take_orphan(struct list *orphans)
{
    struct list *link = list_pop(orphans);
    return link != NULL ? LIST_ITEM(link, struct exchange, link) : NULL;
}

void connection_fail(struct upstream_connection *c, enum reason reason)
{
    struct list orphans;
    struct exchange *x;
    bool was_reused = c->served_count > 0;
    const struct endpoint *e = endpoint_is_leaving(c->endpoint) ? NULL : c->endpoint;
    connection_orphan_all(c, &orphans);
    connection_close(c);
    while ((x = take_orphan(&orphans)) != NULL)
        exchange_on_lost(x, reason, was_reused, e);
}

/* `avoid`: an endpoint that is not to be tried again by those who waited; NULL: none. */
static void connection_tell_not_connected(struct upstream_connection *c, enum reason reason,
                                          const struct endpoint *avoid)
{
    struct list orphans;
    struct exchange *x;
    connection_count(c, STATS_UPSTREAM_CONNECT_FAILURES, 1);
    connection_orphan_all(c, &orphans);
    connection_close(c);
    while ((x = take_orphan(&orphans)) != NULL)
        exchange_on_connect_failed(x, reason, avoid);
}

static void connection_fail_connect(struct upstream_connection *c, enum reason reason, const char *why)
{
    endpoint_on_connect_failed(c->endpoint, why);
    connection_tell_not_connected(c, reason, NULL);
}

/* Something of this machine's own is used up: the endpoint is what it was. Another may have a pooled connection, or
   ports left. */
static void connection_give_up_connect(struct upstream_connection *c, int error, const char *limit)
{
    struct endpoint *e = c->endpoint;
    struct upstream_set *set = e->upstream->set;
    log_line_limited(&set->complaints, COMPLAINT_INTERVAL_MS, LOG_ERROR, "upstream %s: no connection to %s: %s; %s",
                     e->upstream->name, e->label, strerror(error), limit);
    endpoint_on_not_tried(e);
    connection_tell_not_connected(c, REASON_LOCAL_LIMIT, endpoint_is_leaving(e) ? NULL : e);
}

/* It takes no tunnel in either protocol. Its HTTP/2 works, so it is what it was; else a client could have it taken for dead by
   asking for a WebSocket. */
static void connection_give_up_tunnel(struct upstream_connection *c, const char *why)
{
    struct endpoint *e = c->endpoint;
    struct upstream_set *set = e->upstream->set;
    log_line_limited(&set->complaints, COMPLAINT_INTERVAL_MS, LOG_WARN,
                     "upstream %s: %s takes no WebSocket: not over HTTP/2 (RFC 8441), and no HTTP/1.1: %s",
                     e->upstream->name, e->label, why);
    e->takes_no_http1 = true;
    connection_tell_not_connected(c, REASON_UPGRADE_UNSUPPORTED, endpoint_is_leaving(e) ? NULL : e);
}

static void connection_on_connect_error(struct upstream_connection *c, int error)
{
    const struct resolved_address *peer = &c->endpoint->address;
    bool is_plain_http;
    const char *tls = stream_tls_failure(&c->stream, &is_plain_http);
    const char *limit = local_limit_of(error, (const struct sockaddr *)&peer->bytes, peer->length);
    if (tls != NULL && c->is_for_tunnel)
        connection_give_up_tunnel(c, tls);
    else if (tls != NULL)
        connection_fail_connect(c, REASON_UPSTREAM_TLS, tls);
    else if (limit != NULL)
        connection_give_up_connect(c, error, limit);
    else
        connection_fail_connect(c, REASON_CONNECT_FAILED, "could not connect");
}

/* ---- the stream's events -------------------------------------------------------------------------------------------- */

static void connection_on_readable(struct stream *s)
{
    struct upstream_connection *c = CONNECTION_OF(s);
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    c->protocol->on_readable(c);
}

/* Everybody who waited goes on, in order; those who did stand behind those who did not yet. */
static void connection_start_waiting(struct upstream_connection *c)
{
    struct exchange *x;
    while ((x = connection_exchange(c)) != NULL && x->state == EXCHANGE_CONNECTING) {
        list_remove(&x->link);
        list_append(&c->exchanges, &x->link);
        exchange_on_connected(x);
    }
}

/* Until the peer says something else. */
static uint32_t first_capacity(const struct upstream_connection *c)
{
    uint32_t most = c->protocol->max_exchanges, limit = c->endpoint->exchange_limit;
    return limit < most ? limit : most;
}

/* Over TLS, HTTP/2 is agreed on (RFC 9113 3.3); HTTP/1.1 is also what those speak who know no ALPN. False: it had to be
   HTTP/2. May leave more exchanges than there is room for. */
static bool connection_agree(struct upstream_connection *c)
{
    struct tls_facts facts;
    if (!stream_tls_facts(&c->stream, &facts))
        return true;
    const struct connection_protocol *agreed =
        slice_equal(facts.protocol, SLICE("h2")) ? &connection_h2 : &connection_h1;
    if (!c->is_by_alpn)
        return c->protocol == agreed;
    c->endpoint->spoken = c->protocol = agreed;
    if (agreed == &connection_h1)
        c->endpoint->takes_no_tunnels = false;
    c->capacity = first_capacity(c);
    return true;
}

static void connection_on_disagreement(struct upstream_connection *c)
{
    if (c->is_for_tunnel)
        connection_give_up_tunnel(c, "it chose HTTP/2, which was not offered");
    else
        connection_fail_connect(c, REASON_UPSTREAM_TLS, "it does not speak HTTP/2 over TLS");
}

/* Those for whom there is no room leave, in order. */
static void connection_leave_out(struct upstream_connection *c, struct list *left_out)
{
    list_init(left_out);
    while (c->exchange_count > c->capacity)
        list_push(left_out, &connection_orphan(LIST_ITEM(c->exchanges.prev, struct exchange, link))->link);
}

/* What starts those who stay may have closed the connection, and ended some of these. */
static void connection_send_on(const struct upstream_connection *c, struct list *left_out)
{
    struct exchange *x;
    while ((x = take_orphan(left_out)) != NULL) {
        struct endpoint *e = c->endpoint;
        exchange_on_left_out(x, e != NULL && !endpoint_is_leaving(e) ? e : NULL);
    }
}

static void connection_on_connected(struct stream *s, int error)
{
    struct upstream_connection *c = CONNECTION_OF(s);
    struct list left_out;
    if (error != 0) {
        connection_on_connect_error(c, error);
        return;
    }
    if (!connection_agree(c)) {
        connection_on_disagreement(c);
        return;
    }
    endpoint_on_connected(c->endpoint);
    timer_stop(s->loop, &c->timer);
    c->state = CONNECTION_BUSY;
    if (c->protocol->on_connected != NULL)
        c->protocol->on_connected(c);
    if (c->endpoint->probe == c) {
        connection_end_probe(c);
        connection_settle(c);
        return;
    }
    list_remove(&c->link);
    connection_leave_out(c, &left_out);
    connection_offer(c);
    connection_start_waiting(c);
    connection_send_on(c, &left_out);
}

static void connection_on_drained(struct stream *s)
{
    struct upstream_connection *c = CONNECTION_OF(s);
    c->protocol->on_drained(c);
}

static void connection_on_timer(void *arg)
{
    struct upstream_connection *c = arg;
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    if (c->state == CONNECTION_IDLE)
        connection_close(c);
    else if (c->state == CONNECTION_CONNECTING)
        connection_fail_connect(c, REASON_CONNECT_TIMEOUT, "could not connect in time");
    else if (c->state == CONNECTION_BUSY && c->protocol->on_timer != NULL)
        c->protocol->on_timer(c);
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
    struct stream_tls_target target = {
        .context = u->tls, .name = e->entry->host, .slot = &e->session, .offers_http1_alone = c->is_for_tunnel
    };
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
    c->is_for_tunnel = x != NULL && exchange_needs_http1(x, e);
    c->is_by_alpn = u->protocol == UPSTREAM_BY_ALPN && !c->is_for_tunnel;
    c->protocol = c->is_for_tunnel ? &connection_h1 : protocol_of(e);
    c->capacity = first_capacity(c);
    c->is_reusable = true;
    c->kept_ms = INT64_MAX;
    c->deferred.destroy = connection_destroy;
    list_init(&c->exchanges);
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
