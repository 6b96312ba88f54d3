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

struct compiled_rule {
    struct condition_program *when; /* NULL: always */
};

/* A route ready to run. */
struct compiled_route {
    const struct route_config *config;
    uint32_t index;                 /* in config->routes, the file order */
    uint32_t first_slot;            /* in any array with a slot per split entry, per rule and one more, of each route */
    uint32_t method_mask;           /* bit per enum method; 0: any. OTHER: compare names */
    const struct regex *path_regex; /* PATH_REGEX, else NULL */
    struct condition_program *when; /* NULL: always */
    uint32_t *file_weights;         /* per split entry */
    struct compiled_rule *rules;
    uint64_t *entry_hashes; /* per split entry */
    uint64_t salt;          /* of sticky choices */

    /* What the index has answered for nearly every request. */
    struct slice *hosts; /* match.host in normal form */
    size_t host_count;
    struct slice path; /* match.path in normal form: use this one, not the configuration's */
};

struct route_index;

/* Immutable; lives in the arena it was built in; regexes are freed by the arena's cleanups. */
struct route_table {
    const struct config *config;
    struct compiled_route *routes;
    uint32_t route_count;
    uint32_t slot_count; /* of all routes, see first_slot */
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

#endif
