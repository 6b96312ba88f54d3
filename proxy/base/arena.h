/* base/arena.h - memory that lives and dies together: one per request, one per loaded configuration.
 *
 * A request allocates dozens of small things that all end with it. From an arena each is a pointer moved forward;
 * nothing is freed alone, and the end is one call (R7). Who needs something to happen at the end (free what a library
 * allocated) registers a cleanup; who took the thing over in the meantime disarms it.
 *
 *   newest page   [bytes, at) handed out    [at, end) free
 *   older pages   full: what was left of each when the next one came is not used until the reset
 *   own pages     hold one allocation each that is larger than a page
 *
 * One thread at a time. No resizing: what grows copies itself (http/message.c) or is a struct text. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"
#include "base/poison.h"
#include "base/slice.h"

struct arena_page;

/* Pages kept for reuse, so that a steady stream of requests allocates nothing. One per worker, single-threaded. */
struct arena_pool {
    struct arena_page *free; /* a stack: the page given back last is the warmest */
    size_t page_bytes;       /* capacity of each pooled page */
    size_t free_count;
    size_t free_max;   /* pages above it go back to the heap */
    size_t live_count; /* pooled pages that arenas hold now; zero after a drain */
};

void arena_pool_init(struct arena_pool *pool, size_t page_bytes, size_t free_max);
void arena_pool_fini(struct arena_pool *pool);

/* A cleanup runs when the arena is reset, last registered first; disarm it by clearing `run`. */
struct arena_cleanup {
    void (*run)(void *arg);
    void *arg;
    struct arena_cleanup *next;
};

/* Embedded. Holds no page until the first allocation and none after arena_reset. */
struct arena {
    struct arena_pool *pool;        /* NULL: pages come from the heap */
    struct arena_page *pages;       /* newest first, own pages behind it; NULL: nothing was allocated */
    struct arena_cleanup *cleanups; /* last registered first */
    char *at, *end;                 /* free room in the newest page: [at, end) */
    size_t used_bytes;              /* capacity of all pages held */
    size_t limit_bytes;             /* on used_bytes, so whole pages count; 0: none */
    bool has_overflowed;            /* sticky: an allocation went past limit_bytes */
};

/* limit_bytes 0: none. Allocates nothing, so an arena that is never used costs nothing and need not be reset. */
void arena_init(struct arena *a, struct arena_pool *pool, size_t limit_bytes);
/* Runs the cleanups, gives all pages back. The arena may be used again. */
void arena_reset(struct arena *a);

/* Slow path of arena_alloc; not for callers. */
void *arena_alloc_slow(struct arena *a, size_t size_bytes);

/* 8-byte aligned, uninitialised. Never NULL: past the limit it still answers from the heap and sets has_overflowed,
   which the owner checks once at a convenient point. What a peer controls is bounded before it gets here. */
static inline void *arena_alloc(struct arena *a, size_t size_bytes)
{
    /* Room is a multiple of 8, so comparing the unrounded size is exact and rounding cannot overflow. */
    ptrdiff_t room = a->end - a->at - POISON_RED_ZONE_BYTES;
    if (__builtin_expect(a->at != NULL && room >= 0 && (size_t)room >= size_bytes, 1)) {
        void *p = a->at;
        a->at += ((size_bytes + 7) & ~(size_t)7) + POISON_RED_ZONE_BYTES;
        UNPOISON(p, size_bytes);
        return p;
    }
    return arena_alloc_slow(a, size_bytes);
}

/* As arena_alloc, zeroed. The array form checks count * item_size_bytes for overflow. */
void *arena_zalloc(struct arena *a, size_t size_bytes);
void *arena_zalloc_array(struct arena *a, size_t count, size_t item_size_bytes);
/* The same at the beginning of a cache line: for items that shall not touch more lines than they must. */
void *arena_zalloc_lines(struct arena *a, size_t count, size_t item_size_bytes);
/* Copies, with a NUL behind the copy that its length does not count. */
struct slice arena_copy(struct arena *a, struct slice s);
/* Formatted text, with a NUL behind it that the length does not count. */
struct slice arena_printf(struct arena *a, const char *format, ...) PRINTF_LIKE(2, 3);
struct slice arena_vprintf(struct arena *a, const char *format, va_list args) PRINTF_LIKE(2, 0);
/* run(arg) at the reset. The result lives in the arena: good for disarming until then, not after. */
struct arena_cleanup *arena_on_reset(struct arena *a, void (*run)(void *arg), void *arg);

#endif
