/* route/index.h - finds the routes that a host and a path may meet, in file order, without looking at the others.
 *
 * With 10,000 routes most requests concern a handful of them. The index answers which ones may match, by host and path
 * alone; the caller tests the rest (methods, regexes, conditions) and stops at the first that fits. */
#ifndef ROUTE_INDEX_H
#define ROUTE_INDEX_H

#include "base/arena.h"
#include "base/err.h"

#include "route/table.h"

/* Lists that one request can draw candidates from. Beyond it (wildcards inside wildcards times prefixes inside
   prefixes) the cursor yields every route. */
#define INDEX_MAX_LISTS 64

/* Routes in one list beyond this are worth a warning: they are tried one after the other. */
#define INDEX_COMPETING_MAX 100

struct route_index;

/* Routes with their hosts and paths in normal form; the index borrows them. Adds the warnings about competing
   routes. */
struct route_index *index_build(struct arena *arena, const struct compiled_route *routes, uint32_t route_count,
                                struct err_list *errors);

/* What is left of one list: indexes of routes, ascending. */
struct index_run {
    const uint32_t *at, *end;
};

/* One walk over the candidates for a host and path. On the stack. */
struct index_cursor {
    struct index_run runs[INDEX_MAX_LISTS];
    uint32_t run_count;
    bool is_everything;         /* the lists did not fit: all routes follow, whether host and path fit or not */
    uint32_t next, route_count; /* is_everything: the next route, and their end */
};

void index_begin(const struct route_index *x, struct slice host, struct slice path, struct index_cursor *cursor);
/* The next candidate, ascending, each once; CONFIG_NONE at the end. */
uint32_t index_next(struct index_cursor *cursor);

#endif
