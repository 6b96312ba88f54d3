/* base/chunk.h - reference-counted byte buffers: what sockets read into and bodies travel in (design.md, Speed 3).
 *
 * One chunk serves everybody who needs its bytes: the inbox it was read into, the head whose slices point into it, the
 * write queues that a body waits in. Each holds a reference; the last one gives it back to the pool. Nothing moves or
 * copies.
 *
 *   bytes:   [0, used) written, read by all who hold a reference     [used, capacity) room, of the one who fills it
 *
 * Owner and thread: one worker. The count is a plain number, so a chunk never crosses threads. */
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
    struct chunk *free;            /* a stack, so that the warmest is used again first */
    uint32_t free_count, free_max; /* chunks; above free_max they go back to the heap */
    uint32_t live_count;           /* handed out and not yet given back; zero after a drain */
};

/* What is written does not change while more than one holds it. With a single reference its holder may rewind the
   chunk (used = 0): net/inbox.c and net/loop.c do. */
struct chunk {
    uint32_t magic;          /* 0 once given back: a late chunk_unref is found */
    uint32_t ref_count;      /* 1 and more */
    uint32_t used, capacity; /* bytes; capacity CHUNK_BYTES exactly for chunks the pool may keep */
    struct chunk_pool *pool; /* where it goes back to */
    struct chunk *next_free; /* in the pool's free list */
    char bytes[];
};

/* free_max: how many are kept for reuse. */
void chunk_pool_init(struct chunk_pool *pool, uint32_t free_max);
/* Every chunk must have been given back. */
void chunk_pool_fini(struct chunk_pool *pool);

/* One reference, empty, CHUNK_BYTES capacity. */
struct chunk *chunk_create(struct chunk_pool *pool);
/* For heads beyond CHUNK_BYTES: from the heap, and back to it. */
struct chunk *chunk_create_sized(struct chunk_pool *pool, uint32_t capacity);
void chunk_free_last(struct chunk *c); /* slow path of chunk_unref; not for callers */

/* For one more holder; returns its argument. */
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

/* Bytes that may still be written behind `used`. */
static inline uint32_t chunk_room(const struct chunk *c)
{
    return c->capacity - c->used;
}

#endif
