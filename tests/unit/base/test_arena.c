/* tests/unit/base/test_arena.c - pages, limits, cleanups and reuse. */
#include "base/arena.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <stdint.h>

#define PAGE_BYTES 4096u

Test(arena, allocations_are_aligned_and_apart)
{
    struct arena a;
    arena_init(&a, NULL, 0);
    char *before = NULL;
    for (size_t size_bytes = 1; size_bytes < 300; size_bytes++) {
        char *p = arena_alloc(&a, size_bytes);
        cr_assert_eq((uintptr_t)p % 8, 0);
        memset(p, (int)size_bytes, size_bytes);
        if (before != NULL)
            cr_assert_eq((unsigned char)before[size_bytes - 2], (unsigned char)(size_bytes - 1));
        before = p;
    }
    arena_reset(&a);
}

Test(arena, a_size_of_zero_is_not_null)
{
    struct arena a;
    arena_init(&a, NULL, 0);
    cr_assert_not_null(arena_alloc(&a, 0));
    arena_reset(&a);
}

Test(arena, holds_no_page_before_the_first_allocation_and_none_after_reset)
{
    struct arena_pool pool;
    arena_pool_init(&pool, PAGE_BYTES, 4);
    struct arena a;
    arena_init(&a, &pool, 0);
    cr_assert_null(a.pages);
    arena_alloc(&a, 10);
    cr_assert_not_null(a.pages);
    arena_reset(&a);
    cr_assert_null(a.pages);
    cr_assert_eq(a.used_bytes, 0);
    cr_assert_eq(pool.free_count, 1);
    arena_pool_fini(&pool);
}

Test(arena, pooled_pages_are_reused_up_to_the_maximum)
{
    struct arena_pool pool;
    arena_pool_init(&pool, PAGE_BYTES, 2);
    struct arena a;
    arena_init(&a, &pool, 0);
    for (int i = 0; i < 5; i++)
        arena_alloc(&a, 3000);
    cr_assert_eq(a.used_bytes, 5 * PAGE_BYTES);
    arena_reset(&a);
    cr_assert_eq(pool.free_count, 2);
    void *kept = pool.free;
    arena_alloc(&a, 3000);
    cr_assert_eq((void *)a.pages, kept);
    cr_assert_eq(pool.free_count, 1);
    arena_reset(&a);
    arena_pool_fini(&pool);
}

Test(arena, an_allocation_beyond_a_page_leaves_the_current_page_in_use)
{
    struct arena_pool pool;
    arena_pool_init(&pool, PAGE_BYTES, 4);
    struct arena a;
    arena_init(&a, &pool, 0);
    char *first = arena_alloc(&a, 16);
    memset(arena_alloc(&a, 100000), 1, 100000);
    char *second = arena_alloc(&a, 16);
    cr_assert_eq(second, first + 16 + POISON_RED_ZONE_BYTES);
    arena_reset(&a);
    cr_assert_eq(pool.free_count, 1, "the big page must not enter the pool");
    arena_pool_fini(&pool);
}

Test(arena, a_big_first_allocation_works)
{
    struct arena a;
    arena_init(&a, NULL, 0);
    memset(arena_alloc(&a, 1 << 20), 1, 1 << 20);
    memset(arena_alloc(&a, 24), 2, 24);
    arena_reset(&a);
}

Test(arena, heap_pages_grow_with_the_arena)
{
    struct arena a;
    arena_init(&a, NULL, 0);
    size_t page_count = 0, used_bytes = 0;
    for (size_t i = 0; i < 100000; i++) {
        arena_alloc(&a, 64);
        page_count += a.used_bytes != used_bytes;
        used_bytes = a.used_bytes;
    }
    cr_assert_lt(page_count, 25, "%zu pages for 6.4 MB", page_count);
    arena_reset(&a);
}

Test(arena, overflow_is_sticky_still_answers_and_ends_with_reset)
{
    struct arena_pool pool;
    arena_pool_init(&pool, PAGE_BYTES, 4);
    struct arena a;
    arena_init(&a, &pool, 2 * PAGE_BYTES);
    arena_alloc(&a, 4000);
    arena_alloc(&a, 4000);
    cr_assert_not(a.has_overflowed);
    memset(arena_alloc(&a, 4000), 1, 4000);
    cr_assert(a.has_overflowed);
    arena_alloc(&a, 1);
    cr_assert(a.has_overflowed);
    arena_reset(&a);
    cr_assert_not(a.has_overflowed);
    cr_assert_eq(a.limit_bytes, 2 * PAGE_BYTES);
    arena_pool_fini(&pool);
}

Test(arena, an_absurd_size_aborts_instead_of_wrapping, .signal = SIGABRT)
{
    struct arena a;
    arena_init(&a, NULL, 0);
    arena_alloc(&a, 8);
    arena_alloc(&a, SIZE_MAX - 3);
}

Test(arena, an_array_that_overflows_aborts, .signal = SIGABRT)
{
    struct arena a;
    arena_init(&a, NULL, 0);
    arena_zalloc_array(&a, SIZE_MAX / 4, 8);
}

static char order[8];
static size_t order_len;

static void note(void *arg)
{
    order[order_len++] = *(const char *)arg;
}

Test(arena, cleanups_run_last_first_and_disarmed_ones_do_not)
{
    struct arena a;
    arena_init(&a, NULL, 0);
    char names[] = "abc";
    arena_on_reset(&a, note, &names[0]);
    struct arena_cleanup *b = arena_on_reset(&a, note, &names[1]);
    arena_on_reset(&a, note, &names[2]);
    b->run = NULL;
    arena_reset(&a);
    cr_assert_str_eq(order, "ca");
    arena_reset(&a);
    cr_assert_str_eq(order, "ca", "each runs once");
}

struct chain {
    struct arena *arena;
    char *name;
};

static void note_and_register(void *arg)
{
    struct chain *chain = arg;
    arena_on_reset(chain->arena, note, chain->name);
}

Test(arena, a_cleanup_may_register_another)
{
    struct arena a;
    arena_init(&a, NULL, 0);
    char name[] = "x";
    struct chain chain = { &a, name };
    arena_on_reset(&a, note_and_register, &chain);
    arena_reset(&a);
    cr_assert_str_eq(order, "x");
}

Test(arena, copies_end_in_a_nul_that_is_not_counted)
{
    struct arena a;
    arena_init(&a, NULL, 0);
    struct slice s = arena_copy(&a, slice_from("abcdef", 3));
    cr_assert_eq(s.len, 3);
    cr_assert_str_eq(s.ptr, "abc");
    cr_assert_str_eq(arena_copy(&a, SLICE_NONE).ptr, "");
    struct slice printed = arena_printf(&a, "%s-%d", "n", 42);
    cr_assert(slice_equal(printed, SLICE("n-42")));
    arena_reset(&a);
}

#ifdef POISON_IS_ON
Test(arena, free_room_and_returned_pages_are_poisoned)
{
    struct arena_pool pool;
    arena_pool_init(&pool, PAGE_BYTES, 4);
    struct arena a;
    arena_init(&a, &pool, 0);
    char *p = arena_alloc(&a, 13);
    cr_assert_not(__asan_address_is_poisoned(p + 12));
    cr_assert(__asan_address_is_poisoned(p + 13));
    cr_assert(__asan_address_is_poisoned(p + 16), "the red zone");
    arena_reset(&a);
    cr_assert(__asan_address_is_poisoned(p));
    arena_pool_fini(&pool);
}
#endif
