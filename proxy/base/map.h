/* base/map.h - hash table from byte strings to pointers; open addressing, keys borrowed. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct map_entry {
    uint64_t hash;
    struct slice key; /* borrowed: outlives the map; ptr NULL: free slot */
    void *value;
};

/* Embedded. Grows by doubling at 3/4 load. */
struct map {
    struct map_entry *entries;
    size_t capacity; /* power of two or 0 */
    size_t count;
};

void map_init(struct map *m);
void map_fini(struct map *m);
/* NULL when absent. */
void *map_get(const struct map *m, struct slice key);
/* Sets; returns the value that stood there before, or NULL. The value must not be NULL. The new key is the one kept, so
   the old value may be freed together with its own. */
void *map_put(struct map *m, struct slice key, void *value);
void *map_remove(struct map *m, struct slice key);
/* Walks in no order: start with *cursor = 0; NULL at the end. The map must not change on the way. */
struct map_entry *map_next(const struct map *m, size_t *cursor);

#endif
