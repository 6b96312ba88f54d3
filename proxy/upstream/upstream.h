/* upstream/upstream.h - one worker's view of an upstream: its endpoints, their connections, who waits for one.
 *
 * Owner: the worker; thread: the worker's. An upstream lives as long as a snapshot of this worker names it; across
 * reloads it is found again by name and updated, so that its pooled connections stay. Exchanges borrow it.
 *
 *   binding (one per snapshot) --ref--> upstream --> endpoint --> connections
 *                                          ^ ref ------------------/
 *
 * max_connections and max_pending are limits of the process: each worker keeps its part (rounded up), so that none has
 * to ask another. Whether an endpoint is up is each worker's own finding: a connect that failed marks it down for a
 * second, then two, up to sixteen; one that works marks it up.
 *
 *   invariants
 *   U1 connection_count is the number of connections of all endpoints, connecting ones included
 *   U2 between turns an exchange is pending only while connection_count >= max_connections (0: never)
 *   U3 who comes while others are pending waits behind them
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "config/model.h"
#include "http/codec.h"
#include "net/loop.h"
#include "net/timer.h"
#include "stats/counters.h"

struct exchange;
struct upstream;

/* One address. Gone from the configuration it stays until its last connection is closed. */
struct endpoint {
    uint32_t magic;
    struct upstream *upstream;
    struct list link; /* in upstream->leaving, when no longer configured */
    char *label;      /* address as written: the metrics' label */
    struct sockaddr_storage address;
    socklen_t address_length;          /* 0: the name is not resolved (yet) */
    uint32_t weight;                   /* 1 and more, relative to the upstream's others */
    int64_t round_robin_credit;        /* smooth weighted round robin: what it has saved up */
    uint32_t in_flight_count;          /* exchanges that use it now */
    uint32_t connection_count;         /* connecting, busy and idle */
    struct list idle;                  /* pooled connections, newest first */
    struct upstream_connection *probe; /* being connected for nobody yet; NULL: none */
    uint32_t address_number;           /* grows when a name's address changes: older connections are not pooled */
    bool is_down;                      /* the last connect failed; tried again after down_until */
    struct mono_time down_until;
    uint32_t connect_failures; /* in a row; 0 when up */
    uint32_t stats_id;
};

struct upstream {
    uint32_t magic;
    struct list link; /* in upstream_set's list */
    struct upstream_set *set;
    char *name;
    uint32_t ref_count;          /* bindings that name it, and connections */
    struct endpoint **endpoints; /* in the order of the configuration */
    uint32_t endpoint_count;
    enum balance_kind balance;
    int64_t connect_timeout_ms, idle_timeout_ms;
    uint32_t max_connections, max_pending; /* this worker's part of it; max_connections 0: none */
    uint32_t connection_count, pending_count;
    struct list pending; /* exchanges that wait for a connection, oldest first */
    struct list leaving; /* endpoints no longer configured */
    uint32_t stats_id;
};

/* All upstreams of one worker. */
struct upstream_set {
    struct loop *loop;
    uint32_t worker_count;
    struct h1_limits response_limits;
    struct list upstreams;
    uint32_t connection_count; /* live, of all */
    uint32_t exchange_count;   /* begun and not finished */
    bool is_room_announced;    /* a connection became free while somebody waited */
    bool is_draining;          /* nothing is pooled any more */
    struct turn_hook pending_hook;
};

void upstream_set_init(struct upstream_set *set, struct loop *loop, uint32_t worker_count);
/* Every upstream must be detached and every connection closed before. */
void upstream_set_fini(struct upstream_set *set);

/* Closes every pooled connection and every probe, of all upstreams. */
void upstream_set_close_idle(struct upstream_set *set);

/* The upstream with that name, made or brought up to date with the configuration. Takes a reference. */
struct upstream *upstream_attach(struct upstream_set *set, const struct upstream_config *config, uint32_t stats_id,
                                 const uint32_t *endpoint_stats_ids);
/* Gives a reference back; the last one closes what is idle and frees it. */
void upstream_detach(struct upstream *u);

/* The address of an endpoint that was given as a name, by the names of both; nothing happens when either is gone. */
void upstream_set_resolved(struct upstream_set *set, const char *name, const char *label,
                           const struct sockaddr *address, socklen_t length);

/* Opens one connection to each endpoint that has none, so that a dead one is known before the first request; as many as
   max_connections allows. */
void upstream_probe(struct upstream *u);

bool endpoint_is_usable(const struct endpoint *e, struct mono_time now);
void endpoint_on_connect_failed(struct endpoint *e);
void endpoint_on_connected(struct endpoint *e);

#endif
