/* stats/registry.h - names to small numbers that stay the same for the life of the process.
 *
 * Owner and thread: main. Ids are never used again for other names, so counters survive reloads, and registering the
 * same names a thousand times allocates once. Names that are gone keep their id and their few bytes; capacity bounds
 * the rest. */
#ifndef STATS_REGISTRY_H
#define STATS_REGISTRY_H

#include <stdint.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/slice.h"

struct registry_entry {
    struct slice first, second; /* the label values; owned by the registry, and the same for ever */
    uint64_t generation;        /* the last in which the names were registered */
};

/* Embedded. Entry 0 is nameless: for what has no names, and for all names beyond capacity. */
struct registry {
    struct arena arena;
    struct map ids;                  /* "first\0second" to entry */
    struct registry_entry **entries; /* by id */
    uint32_t count;                  /* ids given out, entry 0 included */
    uint32_t allocated, capacity;    /* places in entries: now, and ever */
    uint64_t generation;             /* of the newest configuration; 0 before the first */
};

/* capacity: ids that will ever be given out, the nameless one included. */
void registry_init(struct registry *r, uint32_t capacity);
void registry_fini(struct registry *r);

/* A new configuration's names follow: what is not registered from here on is not current any more. */
void registry_begin_generation(struct registry *r);
/* The id of a pair of names, given out now or earlier. Names hold no NUL; both empty is id 0. */
uint32_t registry_id(struct registry *r, struct slice first, struct slice second);
/* The id of a pair of names, or 0 when it was never registered. */
uint32_t registry_find(const struct registry *r, struct slice first, struct slice second);
/* The id must have been given out. */
const struct registry_entry *registry_entry(const struct registry *r, uint32_t id);
/* Whether the latest configuration has the names. */
bool registry_is_current(const struct registry *r, uint32_t id);

#endif
