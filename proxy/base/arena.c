/* base/arena.c - pages, cleanups and limits of arenas. */
#include "base/arena.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

/* Pages from the heap grow with the arena between these, so that a big configuration takes few of them. */
#define HEAP_PAGE_MIN_BYTES ((size_t)16 * 1024)
#define HEAP_PAGE_MAX_BYTES ((size_t)1024 * 1024)

#define LINE_BYTES 64 /* of the processor's cache */

/* A page belongs to exactly one list: an arena's pages or a pool's free ones. Under AddressSanitizer its bytes are
   poisoned except where they were handed out, with a red zone behind each allocation: an overrun inside a page is
   caught like one of the heap. */
struct arena_page {
    struct arena_page *next;
    size_t capacity; /* of bytes[]; equal to the pool's page_bytes exactly for pages the pool may keep */
    char bytes[];    /* poisoned where not handed out */
};

_Static_assert(sizeof(struct arena_page) % 8 == 0, "bytes[] is 8-byte aligned");

static size_t round_up(size_t size_bytes)
{
    return (size_bytes + 7) & ~(size_t)7;
}

static struct arena_page *page_create(size_t capacity)
{
    struct arena_page *page = memory_alloc(sizeof *page + capacity);
    page->next = NULL;
    page->capacity = capacity;
    POISON(page->bytes, capacity);
    return page;
}

static void page_destroy(struct arena_page *page)
{
    UNPOISON(page->bytes, page->capacity);
    memory_free(page);
}

void arena_pool_init(struct arena_pool *pool, size_t page_bytes, size_t free_max)
{
    CHECK(page_bytes > 0);
    *pool = (struct arena_pool){ .page_bytes = round_up(page_bytes), .free_max = free_max };
}

void arena_pool_fini(struct arena_pool *pool)
{
    while (pool->free != NULL) {
        struct arena_page *page = pool->free;
        pool->free = page->next;
        page_destroy(page);
    }
    pool->free_count = 0;
}

static struct arena_page *pool_take(struct arena_pool *pool)
{
    struct arena_page *page = pool->free;
    pool->live_count++;
    if (page == NULL)
        return page_create(pool->page_bytes);
    pool->free = page->next;
    pool->free_count--;
    __builtin_prefetch(pool->free); /* as in base/blocks.c */
    return page;
}

/* Takes any page back: of the heap, of the pool, or a large one. Only the pool's own count as live. */
static void pool_give(struct arena_pool *pool, struct arena_page *page)
{
    bool is_pooled = pool != NULL && page->capacity == pool->page_bytes;
    if (is_pooled)
        pool->live_count--;
    if (!is_pooled || pool->free_count >= pool->free_max) {
        page_destroy(page);
        return;
    }
    POISON(page->bytes, page->capacity);
    page->next = pool->free;
    pool->free = page;
    pool->free_count++;
}

void arena_init(struct arena *a, struct arena_pool *pool, size_t limit_bytes)
{
    *a = (struct arena){ .pool = pool, .limit_bytes = limit_bytes };
}

void arena_reset(struct arena *a)
{
    while (a->cleanups != NULL) { /* a cleanup may allocate and register others */
        struct arena_cleanup *cleanup = a->cleanups;
        a->cleanups = cleanup->next;
        if (cleanup->run != NULL)
            cleanup->run(cleanup->arg);
    }
    while (a->pages != NULL) {
        struct arena_page *page = a->pages;
        a->pages = page->next;
        pool_give(a->pool, page);
    }
    arena_init(a, a->pool, a->limit_bytes);
}

static size_t heap_page_bytes(const struct arena *a)
{
    size_t wanted = round_up(a->used_bytes);
    if (wanted < HEAP_PAGE_MIN_BYTES)
        return HEAP_PAGE_MIN_BYTES;
    return wanted < HEAP_PAGE_MAX_BYTES ? wanted : HEAP_PAGE_MAX_BYTES;
}

/* Whole pages count, so that used_bytes is what the arena keeps from others. Going past the limit is told, not refused:
   callers need no branch at each allocation, and the owner looks once. */
static void count_page(struct arena *a, const struct arena_page *page)
{
    a->used_bytes += page->capacity;
    if (a->limit_bytes != 0 && a->used_bytes > a->limit_bytes)
        a->has_overflowed = true;
}

/* A page for one allocation; it goes behind the newest page, whose free room stays in use. */
static void *alloc_own_page(struct arena *a, size_t size_bytes, size_t page_bytes)
{
    struct arena_page *page = page_create(page_bytes);
    count_page(a, page);
    if (a->pages == NULL) {
        a->pages = page;
    } else {
        page->next = a->pages->next;
        a->pages->next = page;
    }
    UNPOISON(page->bytes, size_bytes);
    return page->bytes;
}

void *arena_alloc_slow(struct arena *a, size_t size_bytes)
{
    CHECK(size_bytes < PTRDIFF_MAX / 2);
    size_t needed = round_up(size_bytes) + POISON_RED_ZONE_BYTES;
    size_t page_bytes = a->pool ? a->pool->page_bytes : heap_page_bytes(a);
    if (needed > page_bytes)
        return alloc_own_page(a, size_bytes, needed);
    struct arena_page *page = a->pool ? pool_take(a->pool) : page_create(page_bytes);
    count_page(a, page);
    page->next = a->pages;
    a->pages = page;
    a->at = page->bytes;
    a->end = page->bytes + page->capacity;
    return arena_alloc(a, size_bytes);
}

void *arena_zalloc(struct arena *a, size_t size_bytes)
{
    return memset(arena_alloc(a, size_bytes), 0, size_bytes);
}

void *arena_zalloc_array(struct arena *a, size_t count, size_t item_size_bytes)
{
    size_t size_bytes;
    CHECK(!__builtin_mul_overflow(count, item_size_bytes, &size_bytes));
    return arena_zalloc(a, size_bytes);
}

void *arena_zalloc_lines(struct arena *a, size_t count, size_t item_size_bytes)
{
    size_t size_bytes;
    CHECK(!__builtin_mul_overflow(count, item_size_bytes, &size_bytes));
    uintptr_t room = (uintptr_t)arena_alloc(a, size_bytes + LINE_BYTES - 1);
    return memset((void *)((room + LINE_BYTES - 1) & ~(uintptr_t)(LINE_BYTES - 1)), 0, size_bytes);
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    char *copy = arena_alloc(a, s.len + 1);
    if (s.len != 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return slice_from(copy, s.len);
}

/* Formats twice, the first time for the length: what every request writes is written by hand (base/address.c,
   http/trace.c). */
struct slice arena_vprintf(struct arena *a, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    CHECK(len >= 0);
    char *text = arena_alloc(a, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return slice_from(text, (size_t)len);
}

struct slice arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice s = arena_vprintf(a, format, args);
    va_end(args);
    return s;
}

struct arena_cleanup *arena_on_reset(struct arena *a, void (*run)(void *arg), void *arg)
{
    struct arena_cleanup *cleanup = arena_alloc(a, sizeof *cleanup);
    *cleanup = (struct arena_cleanup){ .run = run, .arg = arg, .next = a->cleanups };
    a->cleanups = cleanup;
    return cleanup;
}
