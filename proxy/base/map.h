/* base/map.h - hash table from byte strings to pointers; open addressing, keys borrowed.
 *
 * For names: of upstreams, segments, settings, metrics. The hash is unkeyed (base/hash.h), so keys must be an
 * operator's, never a peer's: a peer could choose keys that fall together and make every look-up walk the table.
 *
 * Owner: whoever embeds it, one thread at a time while it changes; any number of threads may read one that does not
 * change any more (the value sets of compiled conditions). */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct map_entry {
    uint64_t hash;    /* of the key, kept so that growing and probing need not hash again */
    struct slice key; /* borrowed: outlives the map; ptr NULL: free slot */
    void *value;      /* not NULL in a taken slot; borrowed */
};

/* Embedded. Grows by doubling at 3/4 load. */
struct map {
    struct map_entry *entries;
    size_t capacity; /* power of two, or 0 before the first map_put */
    size_t count;    /* taken slots */
};

void map_init(struct map *m);
void map_fini(struct map *m);
/* NULL when absent. */
void *map_get(const struct map *m, struct slice key);
/* Sets; returns the value that stood there before, or NULL. The value must not be NULL. The new key is the one kept, so
   the old value may be freed together with its own. */
void *map_put(struct map *m, struct slice key, void *value);
/* Takes the key out; returns its value, or NULL when it was not there. Moves other entries: no entry is pointed to. */
void *map_remove(struct map *m, struct slice key);
/* Walks in no order: start with *cursor = 0; NULL at the end. The map must not change on the way. */
struct map_entry *map_next(const struct map *m, size_t *cursor);

#endif
