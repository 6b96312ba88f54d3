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
 *         |                                  `------- it failed -----'  |
 *         `--------------------- endpoint_on_connected ----------------'
 *
 * Probes count as connections and keep to max_connections. A request that finds no room takes a probe's place, but
 * only once: what is owed then gets the next connection that becomes free, and keeps it. Else a full upstream would
 * never find the endpoint again whose loss has filled it.
 *
 * Owner: its upstream, or its last connection once it is not configured any more. Thread: the worker's.
 *
 *   invariants
 *   E1 at most one probe is under way
 *   E2 a resolved and configured endpoint that is down has its timer armed, is owed a probe or has one under way, unless
 *      the worker drains */
#ifndef UPSTREAM_ENDPOINT_H
#define UPSTREAM_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/list.h"
#include "net/timer.h"

struct upstream;
struct upstream_connection;

/* One address. Gone from the configuration it stays until its last connection is closed. */
struct endpoint {
    uint32_t magic;
    struct upstream *upstream;
    struct list link; /* in upstream->leaving, when no longer configured */
    char *label;      /* address as written: the metrics' label */
    struct sockaddr_storage address;
    socklen_t address_length;   /* 0: the name is not resolved (yet) */
    uint32_t weight;            /* 1 and more, relative to the upstream's others */
    int64_t round_robin_credit; /* smooth weighted round robin: what it has saved up */
    uint32_t in_flight_count;   /* exchanges that use it now */
    uint32_t connection_count;  /* connecting, busy and idle */
    struct list idle;           /* pooled connections, newest first */
    uint32_t address_number;    /* grows when a name's address changes: older connections are not pooled */
    uint32_t stats_id;
    bool is_down;                      /* the last connect failed */
    int64_t down_period_ms;            /* for which it is left alone, or was last; 0 when up */
    struct upstream_connection *probe; /* being connected for nobody yet; NULL: none */
    bool is_probe_firm;                /* it gives way to no request */
    struct timer probe_timer;          /* armed while it is down and left alone */
    struct list probe_link;            /* in upstream->owed_probes */
};

/* Has an address, and is not known to be down. */
bool endpoint_is_usable(const struct endpoint *e);
void endpoint_on_connect_failed(struct endpoint *e);
/* A connect did not get as far as the endpoint: what is known of it stays, and a probe is due again. */
void endpoint_on_not_tried(struct endpoint *e);
void endpoint_on_connected(struct endpoint *e);

#endif
