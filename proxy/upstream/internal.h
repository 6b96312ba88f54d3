/* upstream/internal.h - what the files of this folder tell each other; nobody else includes it. */
#ifndef UPSTREAM_INTERNAL_H
#define UPSTREAM_INTERNAL_H

#include "upstream/exchange.h"
#include "upstream/upstream.h"

static inline bool endpoint_is_leaving(const struct endpoint *e)
{
    return list_is_linked(&e->link);
}

/* HTTP/2 can carry no other protocol (RFC 8441). */
static inline bool exchange_is_websocket(const struct exchange *x)
{
    return slice_equal_nocase(x->write.upgrade, SLICE("websocket"));
}

/* Where ALPN decides, and the endpoint's HTTP/2 takes no tunnels: a connection that offers HTTP/1.1 alone. */
static inline bool exchange_needs_http1(const struct exchange *x, const struct endpoint *e)
{
    return e->takes_no_tunnels && e->upstream->protocol == UPSTREAM_BY_ALPN && exchange_is_websocket(x);
}

struct endpoint *endpoint_create(struct upstream *u, const struct endpoint_entry *entry,
                                 const struct resolved_address *address);
void endpoint_destroy(struct endpoint *e);
/* It is not configured any more, or its name has another address: its last connection takes it along. */
void endpoint_leave(struct endpoint *e);
/* Closes connections that serve nobody; no probe is due any more. */
void endpoint_close_unused(struct endpoint *e);
/* One connection when there is none, so that a dead endpoint is known before the first request, or when it is down; if
   there is room. */
void endpoint_probe(struct endpoint *e);
/* Its probe is due and has no room. */
void endpoint_owe_probe(struct endpoint *e);
/* There is room, and no other probe of the upstream is firm: this one is, for a while. */
void endpoint_probe_owed(struct endpoint *e);
/* Its probe was closed for a request: another is owed, unless that one was firm long enough to find something out. */
void endpoint_on_probe_gave_way(struct endpoint *e);
/* A connection of it is gone: counts, and frees what only it held. */
void endpoint_forget_connection(struct endpoint *e);

/* An entry is healthy while one of its endpoints is up, and unhealthy when none is or may be. */
void upstream_publish_health(const struct upstream *u, const struct endpoint_entry *entry);
void upstream_unref(struct upstream *u);
bool upstream_is_below_limit(const struct upstream *u);
/* A connection may have become free: who waits is looked at when the turn ends. */
void upstream_on_room(struct upstream *u);
/* May a new connection be opened? Gives up an idle one of another endpoint if need be. */
bool upstream_has_room(struct upstream *u);
/* An endpoint with a connection in use that has room for another exchange; NULL: none. */
struct endpoint *upstream_find_shared(const struct upstream *u);

/* Writes out what the turn has produced, one flush for each connection. */
void connection_h2_send_all(struct upstream_set *set);

/* A pending exchange gets its turn. */
void exchange_leave_queue(struct exchange *x);
/* From the connection. Each may end in callbacks to the exchange's owner. */
void exchange_on_connected(struct exchange *x);
void exchange_on_connect_failed(struct exchange *x, enum reason reason, const struct endpoint *avoid);
void exchange_on_lost(struct exchange *x, enum reason reason, bool was_reused, const struct endpoint *lost_by);
/* The connection that it waited for carries only those before it, or no tunnel. As if it had not been given one: it goes on at `e`; NULL:
   wherever. */
void exchange_on_left_out(struct exchange *x, struct endpoint *e);
/* The endpoint surely did nothing with it: it may be sent again (RFC 9113 8.7). */
void exchange_on_unprocessed(struct exchange *x, enum reason reason);
void exchange_fail(struct exchange *x, enum reason reason);
void exchange_finish(struct exchange *x);
/* The outcome of a second try, if there was one. */
void exchange_count_retry(struct exchange *x, enum stats_upstream_cell result);

#endif
