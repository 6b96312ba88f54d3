/* base/blocks.h - a heap in front of the heap: free lists by size, for libraries that allocate small things all the time.
 *
 * Some libraries (nghttp2) allocate a handful of small objects for each request and let their user say where from.
 * From here it costs a few instructions, and in steady state nothing reaches malloc (design.md, Speed 4). Blocks have
 * a header with their size class, since free() is told no size.
 *
 * Owner and thread: one worker. A block never crosses threads. */
#ifndef BASE_BLOCKS_H
#define BASE_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#define BLOCKS_CLASS_COUNT 15 /* 32, 48, 64, 96, 128... 4096 bytes; larger ones come from the heap */

struct block_free;

struct blocks {
    struct block_free *free[BLOCKS_CLASS_COUNT]; /* stacks */
    size_t free_bytes, free_max_bytes;           /* kept for reuse; above it blocks go back to the heap */
    uint32_t live_count;                         /* handed out and not yet given back */
    size_t live_bytes;                           /* of them, headers included */
};

void blocks_init(struct blocks *b, size_t free_max_bytes);
/* All must have been given back. */
void blocks_fini(struct blocks *b);

/* 16-byte aligned, uninitialised, never NULL (R10). Size 0 is a block too. */
void *blocks_alloc(struct blocks *b, size_t size_bytes);
void *blocks_zalloc(struct blocks *b, size_t count, size_t item_size_bytes);
void *blocks_resize(struct blocks *b, void *old, size_t size_bytes);
/* NULL is fine. */
void blocks_free(struct blocks *b, void *pointer);

#endif
