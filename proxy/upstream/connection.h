/* upstream/connection.h - one connection to an endpoint: connecting, serving one exchange, or pooled.
 *
 *   CONNECTING --on_connected--> BUSY <--connection_take / connection_release--> IDLE
 *        \________________________ | ________________________________________/
 *                            connection_close --> CLOSED (freed after the turn)
 *
 * Owner: itself: it lives from connection_open until the end of the turn in which it is closed, and holds a reference
 * to its upstream. Endpoint and exchange point to it and are pointed to; connection_close cuts both sides at once.
 * Thread: the worker's.
 *
 *   invariants
 *   C1 exchange is set exactly in BUSY, and in CONNECTING unless the connection is endpoint->probe
 *   C2 an IDLE connection is on endpoint->idle, has an empty inbox and queue, and any byte or FIN closes it
 *   C3 read interest stays registered in IDLE and BUSY, except under back-pressure
 */
#ifndef UPSTREAM_CONNECTION_H
#define UPSTREAM_CONNECTION_H

#include "http/codec.h"
#include "net/inbox.h"
#include "net/stream.h"
#include "net/timer.h"
#include "upstream/exchange.h"

enum connection_state { CONNECTION_CONNECTING, CONNECTION_BUSY, CONNECTION_IDLE, CONNECTION_CLOSED };

struct upstream_connection {
    uint32_t magic;
    enum connection_state state;
    struct endpoint *endpoint; /* NULL once closed */
    struct exchange *exchange; /* the one it serves or connects for; NULL when idle, probing or closed */
    struct list link;          /* IDLE: in endpoint->idle */
    struct inbox inbox;        /* of the answer; BUSY only */
    struct h1_limits limits;   /* of the response being read: a reload does not change them in the middle of it */
    struct h1_reader reader;   /* of the answer under way; begun by the exchange when its head is sent */
    struct timer timer;        /* CONNECTING: connect_timeout; IDLE: idle_timeout */
    struct deferred deferred;
    uint32_t exchange_count; /* served so far: > 0 means reused */
    int64_t kept_ms;         /* unused for that long it may be closed by the endpoint; INT64_MAX: not told */
    bool is_reusable;        /* the response in progress lets it be kept */
    struct stream stream;
};

/* Starts a new one for an exchange, or as a probe when x is NULL. */
struct upstream_connection *connection_open(struct endpoint *e, struct exchange *x);
/* The newest pooled one, now BUSY with x; NULL when there is none. */
struct upstream_connection *connection_take(struct endpoint *e, struct exchange *x);
/* The exchange is over. Pools the connection when `is_reusable`, else closes it. */
void connection_release(struct upstream_connection *c);
/* Idempotent. Detaches without telling the exchange. */
void connection_close(struct upstream_connection *c);

#endif
