/* route/table.h - the compiled routes: host and path index in file order, conditions, series.
 *
 * A compiled route is the configured one with everything worked out that does not depend on the request: normal forms,
 * programs, hashes. The first match in file order wins; the index makes that cheap, it never changes it. */
#ifndef ROUTE_TABLE_H
#define ROUTE_TABLE_H

#include "base/arena.h"
#include "base/err.h"

#include "config/model.h"
#include "route/block.h"
#include "route/condition.h"
#include "route/regex.h"
#include "route/shadows.h"

struct compiled_rule {
    struct condition_program *when; /* NULL: always */
};

/* What a route has beyond sending each request somewhere: a request that finds none of it need not look there. */
enum route_trait {
    ROUTE_HAS_CONDITION = 1 << 0, /* path_regex or when */
    ROUTE_HAS_RULES = 1 << 1,
    ROUTE_IS_STICKY = 1 << 2,
    ROUTE_HAS_RATE_LIMIT = 1 << 3,
    ROUTE_REWRITES = 1 << 4, /* host or path */
    ROUTE_EDITS_REQUESTS = 1 << 5,
    ROUTE_EDITS_RESPONSES = 1 << 6, /* headers, or the name of the upstream */
    ROUTE_HAS_SHADOWS = 1 << 7,
    ROUTE_HAS_SCRIPT = 1 << 8,
};

#define ROUTE_LINE_BYTES     64u
#define ROUTE_INLINE_ENTRIES 4

/* What a choice of the split leads to. */
struct route_entry {
    uint32_t upstream_index; /* in config->upstreams */
    uint32_t series;         /* what its requests count in: set before the table is published (front/series.h) */
};

/* A route ready to run. Its first cache line is all that a plain request reads of it to be decided, the second begins
   with what it reads later: with many routes each line is a miss of the cache, and they stood in seven, of five
   structs. */
struct compiled_route {
    _Alignas(ROUTE_LINE_BYTES) const struct route_config *config;
    uint32_t index;       /* in config->routes, the file order */
    uint32_t first_slot;  /* in any array with a slot per split entry, per rule, one more, and with a
                             script one per upstream, of each route */
    uint32_t block_at;    /* of its block (route/block.h) among those of all routes, in units of 8 bytes */
    uint32_t method_mask; /* bit per enum method; 0: any. OTHER: compare names */
    uint16_t traits;      /* of enum route_trait */
    uint8_t split_count;  /* as the configuration's */
    uint8_t action;       /* enum route_action */
    struct route_entry entries[ROUTE_INLINE_ENTRIES]; /* the first of the split; most have no more */

    int64_t timeout_ms, stream_idle_timeout_ms; /* as the configuration's */
    const struct regex *path_regex;             /* PATH_REGEX, else NULL */
    struct condition_program *when;             /* NULL: always */
    uint32_t *file_weights;                     /* per split entry */
    struct compiled_rule *rules;
    struct compiled_shadow *shadows; /* as many as the configuration's */
    uint64_t *entry_hashes;          /* per split entry */
    uint64_t salt;                   /* of sticky choices */

    /* What the index has answered for nearly every request. */
    struct slice *hosts; /* match.host in normal form */
    size_t host_count;
    struct slice path; /* match.path in normal form: use this one, not the configuration's */
};

_Static_assert(offsetof(struct compiled_route, timeout_ms) == ROUTE_LINE_BYTES, "what comes first fills one line");
_Static_assert(SPLIT_MAX_ENTRIES <= UINT8_MAX, "split_count");

static inline bool route_has(const struct compiled_route *r, enum route_trait trait)
{
    return (r->traits & trait) != 0;
}

struct route_index;

/* Immutable; lives in the arena it was built in; regexes are freed by the arena's cleanups. */
struct route_table {
    const struct config *config;
    struct compiled_route *routes;
    uint32_t route_count;
    uint32_t slot_count;                       /* of all routes, see first_slot */
    uint32_t block_units;                      /* of all routes, see block_at */
    uint32_t shadow_count;                     /* of all routes, see compiled_shadow.slot */
    const struct condition_program **segments; /* by index in config->segments: for scripts */
    struct route_index *index;
};

/* Compiles conditions, regexes and the index. Problems go to errors (also the warning where more than 100 routes
   compete for one host and path); NULL when there was an error. */
struct route_table *route_table_build(struct arena *arena, const struct config *config, struct err_list *errors);

/* The first route in file order that matches, or NULL. Costs a few hash look-ups whatever the number of routes. */
const struct compiled_route *route_table_find(const struct route_table *table, const struct route_request *request);

/* The parts of a match: what explain reports one by one. */
bool route_host_fits(const struct compiled_route *r, const struct route_request *request);
bool route_path_fits(const struct compiled_route *r, const struct route_request *request);
bool route_method_fits(const struct compiled_route *r, const struct message *m);

/* For `weir explain`: why this route does not match, NULL when it does; in the arena. */
const char *route_table_explain(const struct route_table *table, uint32_t route, const struct route_request *request,
                                struct arena *arena);
/* Likewise: why the shadow gets no copy of the request; NULL: it gets one, if its share says so. */
const char *route_shadow_explain(const struct route_table *table, const struct compiled_shadow *shadow,
                                 const struct route_request *request, struct arena *arena);

#endif
