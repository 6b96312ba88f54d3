/* upstream/connection.h - one connection to an endpoint: connecting, carrying exchanges, or pooled.
 *
 *   CONNECTING --on_connected--> BUSY <--connection_take / connection_release--> IDLE
 *        \________________________ | ________________________________________/
 *                            connection_close --> CLOSED (freed after the turn)
 *
 * A connection that can carry several exchanges is filled before another is opened: while it has room for more it is on
 * endpoint->shared, and exchanges may also gather on one that is still connecting.
 *
 * Where ALPN decides, what it speaks is a guess until it is connected: what the endpoint spoke last, else HTTP/2, so that
 * those who come together do not open a connection each. If it is HTTP/1.1 after all, the first of those who gathered
 * keeps it, and the others go on as if they had not been given one.
 *
 * Some endpoints take HTTP/2 but no WebSocket over it (RFC 8441), which their SETTINGS tell. Such requests get connections
 * that offer HTTP/1.1 alone, a kind of their own: nobody else uses them. An endpoint that does not agree to that either
 * is not down for it.
 *
 * Owner: itself: it lives from connection_open until the end of the turn in which it is closed, and holds a reference
 * to its upstream. Endpoint and exchanges point to it and are pointed to; an exchange leaves it by connection_detach,
 * all of them by connection_fail. Thread: the worker's.
 *
 * It knows bytes, time and who uses it; messages are its protocol's (upstream/connection_h1.c, connection_h2.c).
 *
 *   invariants
 *   C1 there are exchanges exactly in BUSY, and in CONNECTING unless the connection is endpoint->probe
 *   C2 an IDLE connection is on endpoint->idle and has an empty inbox; in HTTP/1.1 any byte or FIN closes it
 *   C3 read interest stays registered in IDLE and BUSY, except under back-pressure
 *   C4 HTTP/1.1: there is one exchange at most
 *   C5 one in CONNECTING or BUSY with exchanges is on endpoint->shared while exchange_count < capacity
 */
#ifndef UPSTREAM_CONNECTION_H
#define UPSTREAM_CONNECTION_H

#include "http/codec.h"
#include "http/h2.h"
#include "net/inbox.h"
#include "net/stream.h"
#include "net/timer.h"
#include "upstream/exchange.h"

struct upstream_connection;

/* How a protocol carries exchanges over a connection. */
struct connection_protocol {
    uint32_t max_exchanges; /* at once, as long as the peer says nothing else */

    /* From the connection, which is BUSY or IDLE. Each may end in callbacks to exchanges' owners, and close the connection. */
    void (*on_readable)(struct upstream_connection *c);
    void (*on_drained)(struct upstream_connection *c); /* the write queue has room, or is empty */
    /* From the connection; NULL: nothing to do. */
    void (*on_connected)(struct upstream_connection *c); /* before any exchange goes on */
    void (*on_timer)(struct upstream_connection *c);     /* in BUSY */
    void (*on_close)(struct upstream_connection *c);     /* unused and still open: a last word */
    void (*fini)(struct upstream_connection *c);         /* after the turn in which it was closed */
    void (*on_detach)(struct exchange *x);               /* it leaves: gives up what is under way of it */

    /* From an exchange on a connection that is not CONNECTING. All but `flush` only queue; none calls the exchange back. */
    void (*send_head)(struct exchange *x); /* x->request; says whether the request ends with it */
    void (*send_data)(struct exchange *x, struct chunk *chunk, uint32_t offset, uint32_t length);
    void (*send_end)(struct exchange *x, const struct message *trailers); /* NULL: none */
    void (*shutdown)(struct exchange *x);                                 /* a tunnel's FIN, behind what is queued */
    void (*flush)(struct exchange *x);                                    /* failures are told later */
    bool (*is_full)(struct exchange *x);                                  /* pause the source until on_drained */
    uint32_t (*queued_bytes)(const struct exchange *x);
    void (*pause)(struct exchange *x);
    void (*resume)(struct exchange *x);
    /* Its owner gives the exchange up in the middle: it leaves the connection, which may close. Also while CONNECTING. */
    void (*cancel)(struct exchange *x);
};

extern const struct connection_protocol connection_h1, connection_h2;

/* What HTTP/1.1 keeps. */
struct connection_h1 {
    struct h1_limits limits; /* of the response being read: a reload does not change them in the middle of it */
    struct h1_reader reader; /* of the answer under way; begun when a head is sent */
};

/* What HTTP/2 keeps. */
struct connection_h2 {
    struct h2 *session;      /* NULL until connected */
    struct chunk *chunk;     /* being read from; NULL: no event is from inside h2_receive */
    struct list batch;       /* exchanges that got something from what is being read */
    struct list unsent_link; /* in upstream_set->unsent: it has something to send when the turn ends */
    uint32_t held_count;     /* exchanges whose head could not be sent yet */
    bool is_in_codec;        /* h2_receive or h2_send is on the stack */
    bool has_settings;       /* the peer's have arrived: what it can do is known */
    bool is_pinged;          /* nothing came since */
};

enum connection_state { CONNECTION_CONNECTING, CONNECTION_BUSY, CONNECTION_IDLE, CONNECTION_CLOSED };

struct upstream_connection {
    uint32_t magic;
    enum connection_state state;
    const struct connection_protocol *protocol;
    struct endpoint *endpoint; /* NULL once closed */
    struct list exchanges;     /* those it carries or connects for; empty when idle, probing or closed */
    uint32_t exchange_count;   /* their number */
    uint32_t capacity;         /* how many it may carry now; 0: no more */
    struct list link;          /* IDLE: in endpoint->idle; with room for more: in endpoint->shared */
    struct inbox inbox;        /* of answers; BUSY only */
    union {
        struct connection_h1 h1;
        struct connection_h2 h2;
    };
    struct timer timer; /* CONNECTING: connect_timeout; IDLE: idle_timeout; BUSY: the protocol's */
    struct deferred deferred;
    uint32_t served_count; /* exchanges that ended well: > 0 means reused */
    int64_t kept_ms;       /* unused for that long it may be closed by the endpoint; INT64_MAX: not told */
    bool is_by_alpn;       /* the endpoint chooses the protocol, which is a guess until connected */
    bool is_for_tunnel;    /* HTTP/1.1 alone is offered: exchange_needs_http1 */
    bool is_reusable;      /* the response in progress lets it be kept */
    struct stream stream;
};

#define CONNECTION_MAGIC 0x55434f4eu

/* Starts a new one for an exchange, or as a probe when x is NULL. */
struct upstream_connection *connection_open(struct endpoint *e, struct exchange *x);
/* One that has room for x, now with x: in use, else the newest pooled one, else one that is still connecting. NULL when there
   is none. */
struct upstream_connection *connection_take(struct endpoint *e, struct exchange *x);
/* Only one that is still connecting will do. */
struct upstream_connection *connection_take_new(struct endpoint *e, struct exchange *x);
/* Has one of the endpoint's connections that are in use room for another exchange? */
bool connection_is_shared(const struct endpoint *e);
/* All that are pooled. */
void connection_close_idle(struct endpoint *e);
/* Idempotent. Nobody uses it any more. */
void connection_close(struct upstream_connection *c);

/* ---- for the protocols ---------------------------------------------------------------------------------------------- */

/* The exchange leaves, whatever becomes of the connection. */
void connection_detach(struct exchange *x);
/* The exchange is over: it leaves, and an unused connection is pooled when `is_reusable`, else closed. */
void connection_release(struct exchange *x);
/* Nobody uses it, or one less: pooled, closed, or offered to others. */
void connection_settle(struct upstream_connection *c);
/* How many exchanges it may carry has changed; also to 0. */
void connection_set_capacity(struct upstream_connection *c, uint32_t capacity);
/* It broke: closed, and each exchange is told by exchange_on_lost. */
void connection_fail(struct upstream_connection *c, enum reason reason);

/* HTTP/1.1: the one it serves; NULL: none. */
static inline struct exchange *connection_exchange(const struct upstream_connection *c)
{
    return list_is_empty(&c->exchanges) ? NULL : LIST_ITEM(c->exchanges.next, struct exchange, link);
}

#endif
