/* base/chunk.h - reference-counted byte buffers: what sockets read into and bodies travel in (design.md, Speed 3). */
#ifndef BASE_CHUNK_H
#define BASE_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/slice.h"

#define CHUNK_BYTES 16384 /* capacity of a pooled chunk */
#define CHUNK_MAGIC 0x43484e4bu

/* Free list and live count. One per worker, single-threaded; chunks never leave their worker. */
struct chunk_pool {
    struct chunk *free;
    uint32_t free_count, free_max;
    uint32_t live_count; /* handed out and not yet given back; zero after a drain */
};

/* Bytes [0, used) are written and immutable for everyone but the writer's own scratch; [used, capacity) is the
   writer's. A chunk with one reference may be rewound by its holder (used = 0). */
struct chunk {
    uint32_t magic;
    uint32_t ref_count;
    uint32_t used, capacity; /* bytes */
    struct chunk_pool *pool;
    struct chunk *next_free;
    char bytes[];
};

void chunk_pool_init(struct chunk_pool *pool, uint32_t free_max);
void chunk_pool_fini(struct chunk_pool *pool);

/* One reference, empty, CHUNK_BYTES capacity. */
struct chunk *chunk_create(struct chunk_pool *pool);
/* For heads beyond CHUNK_BYTES: from the heap, and back to it. */
struct chunk *chunk_create_sized(struct chunk_pool *pool, uint32_t capacity);
void chunk_free_last(struct chunk *c); /* slow path of chunk_unref; not for callers */

static inline struct chunk *chunk_ref(struct chunk *c)
{
    c->ref_count++;
    return c;
}

static inline void chunk_unref(struct chunk *c)
{
    if (--c->ref_count == 0)
        chunk_free_last(c);
}

static inline uint32_t chunk_room(const struct chunk *c)
{
    return c->capacity - c->used;
}

#endif
