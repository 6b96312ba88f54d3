/* upstream/endpoint.h - one address of an upstream: whether it is up, and the connections to it.
 *
 * Whether an endpoint is up is each worker's own finding. A connect that failed marks it down; while it is, requests go
 * to the others, and a probe tries it again by itself after a second, then two, up to sixteen. While everything is up
 * there is nothing to do, and no timer is armed.
 *
 *             endpoint_on_connect_failed                timer
 *        UP ------------------------------> DOWN ------------------> DOWN, probe under way
 *         ^                                  ^  \ no room, or        |  |  ^
 *         |                                  |   \ gave way          |  |  | the next free connection
 *         |                                  |    `--> on upstream->owed_probes
 *         |                                  `-- it failed, or gave way when firm no more
 *         `--------------------- endpoint_on_connected ----------------'
 *
 * Probes count as connections and keep to max_connections. A request that finds no room takes a probe's place, but
 * only once: what is owed then gets the next connection that becomes free, and is firm: it gives way to nobody for a
 * quarter of connect_timeout. Else a full upstream would never find the endpoint again whose loss has filled it; and
 * were it firm for longer, an endpoint that hangs would keep requests from those that work. One probe of an upstream is
 * firm at a time, and after it a request that waits goes first: so where max_connections is 1, hung endpoints take
 * turns with requests, and each is tried less and less often.
 *
 * Owner: its upstream, or its last connection once it is not configured any more. Thread: the worker's.
 *
 *   invariants
 *   E1 at most one probe is under way
 *   E2 a configured endpoint that is down has its timer armed, is owed a probe or has one under way, unless
 *      the worker drains
 *   E3 at most one probe of an upstream is firm */
#ifndef UPSTREAM_ENDPOINT_H
#define UPSTREAM_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/resolve.h"
#include "net/timer.h"
#include "net/tls_context.h"

struct connection_protocol;
struct upstream;
struct upstream_connection;

/* One item of `endpoints`: an address, or a name with the addresses that it has now, each of them an endpoint. */
struct endpoint_entry {
    char *label; /* as written: the metrics' label */
    char *host;  /* whom TLS expects there; NULL: a socket in the file system has no name */
    bool is_name;
    uint32_t weight; /* of the configuration, 1 and more; its endpoints share it evenly */
    uint32_t stats_id;
    struct resolved_address *addresses; /* sorted; NULL when there is none */
    uint32_t address_count;             /* 0: a name that is not resolved (yet) */
};

#define WEIGHT_PARTS 5040 /* what a weight of 1 consists of; 1 to 10 endpoints divide it without a rest */

enum endpoint_health { ENDPOINT_UNTRIED, ENDPOINT_UP, ENDPOINT_DOWN };

/* One address. Gone from the configuration, or from the answers of the name server, it stays until its last connection
   is closed. */
struct endpoint {
    uint32_t magic;
    struct upstream *upstream;
    const struct endpoint_entry *entry; /* NULL when it leaves */
    struct list link;                   /* in upstream->leaving, when it leaves */
    char *label;                        /* for people: "10.0.0.1:80", or "svc:80 (10.0.0.1)" */
    struct resolved_address address;
    /* Where ALPN decides: what its newest connection agreed on; NULL: there was none. */
    const struct connection_protocol *spoken;
    bool takes_no_tunnels; /* HTTP/2: its newest SETTINGS have no extended CONNECT (RFC 8441) */
    bool
        takes_no_http1; /* where ALPN decides: it took none when nothing else was offered; until it speaks HTTP/2 anew */
    uint32_t weight;    /* relative to the upstream's others, in parts */
    int64_t round_robin_credit;        /* smooth weighted round robin: what it has saved up */
    uint32_t in_flight_count;          /* exchanges that use it now */
    uint32_t connection_count;         /* connecting, busy and idle */
    struct tls_session_slot session;   /* of its newest TLS connection */
    struct list idle;                  /* pooled connections, newest first */
    struct list shared;                /* connections in use that have room for another exchange */
    uint32_t exchange_limit;           /* at once on one connection, as it said last: 1 and more; HTTP/2 */
    enum endpoint_health health;       /* after the last connect */
    int64_t down_period_ms;            /* for which it is left alone, or was last; 0 when up */
    struct upstream_connection *probe; /* being connected for nobody yet; NULL: none */
    bool is_probe_firm;                /* it gives way to no request */
    bool is_probe_slow;                /* it was firm and is no more: who gives way now has had its chance */
    struct timer firm_timer;           /* armed while is_probe_firm; for a little longer when the probe has ended */
    struct timer probe_timer;          /* armed while it is down and left alone */
    struct list probe_link;            /* in upstream->owed_probes */
};

/* Not known to be down. */
static inline bool endpoint_is_usable(const struct endpoint *e)
{
    return e->health != ENDPOINT_DOWN;
}

/* `why` for the log. */
void endpoint_on_connect_failed(struct endpoint *e, const char *why);
/* A connect did not get as far as the endpoint: what is known of it stays, and a probe is due again. */
void endpoint_on_not_tried(struct endpoint *e);
void endpoint_on_connected(struct endpoint *e);

#endif
