/* route/snapshot.h - one generation of configuration with its compiled routes: immutable, shared by all workers.
 *
 * Everything a worker needs to decide, made by one call and never written again, so that any number of threads may
 * read it without a lock. A failed load leaves nothing behind but its errors: what is in force is not touched. */
#ifndef ROUTE_SNAPSHOT_H
#define ROUTE_SNAPSHOT_H

#include "base/err.h"

#include "config/load.h"
#include "route/table.h"

struct series_map;

#define SNAPSHOT_MAGIC 0x534e4150u

/* Owner: the main thread. Workers borrow it from the swap until they report it unused (design.md, Threads). */
struct snapshot {
    uint32_t magic;
    uint64_t generation; /* 1 for the first */
    struct arena arena;  /* owns config and table */
    struct config *config;
    struct route_table *table;
    struct series_map *series; /* set by the server before it is published; routing never looks inside */
};

/* Loads and compiles. On failure returns NULL; the problems are in errors (whose arena is the caller's), those of
   regexes beside those of everything else, sorted. Warnings may be there in any case. */
struct snapshot *snapshot_create(const char *file, const struct config_source *source, uint64_t generation,
                                 struct err_list *errors);
void snapshot_destroy(struct snapshot *s);

#endif
