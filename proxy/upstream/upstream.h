/* upstream/upstream.h - one worker's view of an upstream: its endpoints, their connections, who waits for one.
 *
 * Owner: the worker; thread: the worker's. An upstream lives as long as a snapshot of this worker names it; across
 * reloads it is found again by name and updated, so that its pooled connections stay. Exchanges borrow it.
 *
 *   binding (one per snapshot) --ref--> upstream --> endpoint --> connections
 *                                          ^ ref ------------------/
 *
 * max_connections and max_pending are limits of the process. The first is divided among the workers, so that none has
 * to ask another where it may open a connection; each gets one at least. The second they share (upstream/places.h).
 *
 *   invariants
 *   U1 connection_count is the number of connections of all endpoints, connecting ones included
 *   U2 between turns an exchange is pending only while connection_count >= max_connections (0: never) and no connection
 *      has room
 *   U3 who comes while others are pending waits behind them
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "config/model.h"
#include "http/codec.h"
#include "net/loop.h"
#include "stats/counters.h"
#include "upstream/endpoint.h"

struct exchange;
struct h2_pool;
struct places;

struct upstream {
    uint32_t magic;
    struct list link; /* in upstream_set's list */
    struct upstream_set *set;
    char *name;
    uint32_t ref_count;             /* bindings that name it, and connections */
    struct endpoint_entry *entries; /* in the order of the configuration */
    uint32_t entry_count;
    struct endpoint **endpoints; /* one per address of each entry, in their order */
    uint32_t endpoint_count;
    enum upstream_protocol protocol; /* UPSTREAM_BY_ALPN only with TLS */
    enum balance_kind balance;
    int64_t connect_timeout_ms, idle_timeout_ms;
    uint32_t max_connections; /* this worker's part; 0: no limit */
    uint32_t max_pending;     /* of all workers together */
    uint32_t connection_count;
    struct list pending;     /* exchanges that wait for a connection, oldest first */
    struct list owed_probes; /* endpoints whose probe waits for room, oldest first */
    bool is_request_next;    /* the last room went to an owed probe: who waits comes before the next */
    struct list leaving;     /* endpoints no longer configured */
    struct tls_context *tls; /* a reference; NULL: plain text */
    uint32_t stats_id;
};

/* All upstreams of one worker. */
struct upstream_set {
    struct loop *loop;
    uint32_t worker_index, worker_count;
    struct places *places; /* shared by all workers */
    struct h1_limits response_limits;
    struct list upstreams;
    uint32_t connection_count;   /* live, of all */
    uint32_t exchange_count;     /* begun and not finished */
    bool is_room_announced;      /* a connection became free while somebody waited */
    bool is_probing_stopped;     /* the worker drains */
    bool is_draining;            /* nothing is pooled any more */
    struct log_limit complaints; /* of connects that failed for want of something local */
    struct h2_pool *h2_pool;     /* the worker's */
    struct list unsent;          /* HTTP/2 connections that have something to send when the turn ends */
    struct turn_hook turn_hook;
};

void upstream_set_init(struct upstream_set *set, struct loop *loop, uint32_t worker_index, uint32_t worker_count);
/* Every upstream must be detached and every connection closed before. */
void upstream_set_fini(struct upstream_set *set);

/* The worker drains: whoever is down stays it, as far as this worker knows, until a request finds otherwise. */
void upstream_set_stop_probing(struct upstream_set *set);
/* Closes every pooled connection and every probe, of all upstreams. */
void upstream_set_close_idle(struct upstream_set *set);

/* The upstream with that name, made or brought up to date with the configuration; `tls` NULL: plain text. Takes a
   reference. */
struct upstream *upstream_attach(struct upstream_set *set, const struct upstream_config *config,
                                 struct tls_context *tls, uint32_t stats_id, const uint32_t *endpoint_stats_ids);
/* Gives a reference back; the last one closes what is idle and frees it. */
void upstream_detach(struct upstream *u);

/* The addresses of a name among the endpoints, sorted; by the names of both, and nothing happens when either is gone.
   Those that were there before keep their connections, new ones are probed. */
void upstream_set_resolved(struct upstream_set *set, const char *name, const char *label,
                           const struct resolved_address *addresses, size_t count);

/* Names of whom the resolver has told in the other upstream's set, but not in this one yet: the same configuration. */
void upstream_adopt_addresses(struct upstream *u, const struct upstream *other);

/* Opens one connection to each endpoint that has none or is down, so that a dead one is known before the first request; as
   many as max_connections allows. */
void upstream_probe(struct upstream *u);

#endif
