/* shadow/lane.h - one shadow of the configuration as one worker uses it: its upstream, its breaker, its memory.
 *
 *   shadow_binding (one per snapshot) -- slot of each shadow --> lane (one per route and upstream, found again)
 *                                              \--> upstream of the shadows' own set
 *
 * A copy goes through connections of its own, also where its upstream serves requests as well: a hung shadow takes no
 * connection, no place in a queue and no probe from anybody else.
 *
 * Owner: the worker's shadow_pool; a lane lives as long as a binding names it, so across reloads that keep its shadow.
 * Thread: the worker's. */
#ifndef SHADOW_LANE_H
#define SHADOW_LANE_H

#include "base/list.h"
#include "base/log.h"
#include "route/table.h"
#include "shadow/breaker.h"
#include "upstream/upstream.h"

struct shadow_pool;

struct shadow_lane {
    struct list link; /* in shadow_pool->lanes */
    char *label;      /* "ROUTE to UPSTREAM", for the log */
    uint32_t series;  /* its id in the statistics: the same for the same route and upstream */
    uint32_t ref_count;
    uint64_t held_bytes; /* by its copies under way on this worker, and by the pairs they belong to */
    struct breaker breaker;
    struct log_limit complaints;
};

/* A shadow of one snapshot. */
struct shadow_slot {
    struct shadow_lane *lane;
    struct upstream *upstream;
    uint64_t memory_bytes; /* this worker's part of max_memory */
    struct share share;    /* what is left of the block its share is drawn from */
    struct share compared; /* of that of compare.sample */
    struct share recorded; /* of that of record.sample */
};

/* The shadows of one snapshot. Embedded. */
struct shadow_binding {
    struct shadow_pool *pool;
    struct shadow_slot *slots; /* by compiled_shadow.slot */
    uint32_t slot_count;
};

/* What the binding's owner knows of upstreams, each by index of config->upstreams. */
struct shadow_upstreams {
    struct upstream *const *primaries; /* those of requests: their names' addresses are known already */
    struct tls_context *const *tls;    /* NULL: plain text */
    const uint32_t *stats_ids;         /* of the shadows' connections */
};

void shadow_binding_attach(struct shadow_binding *b, struct shadow_pool *pool, const struct route_table *table,
                           const struct shadow_upstreams *upstreams);
/* No copy of it may be under way. */
void shadow_binding_detach(struct shadow_binding *b);

#endif
