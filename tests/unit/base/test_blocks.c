/* tests/unit/base/test_blocks.c - blocks come back, are used again, and hold what they were asked to. */
#include "base/blocks.h"

#include <criterion/criterion.h>

#include "base/hash.h"
#include "base/poison.h"

#include <signal.h>
#include <string.h>

Test(blocks, a_block_given_back_is_used_again)
{
    struct blocks b;
    blocks_init(&b, 1 << 20);
    void *first = blocks_alloc(&b, 100);
    cr_assert_eq(b.live_count, 1);
    blocks_free(&b, first);
    cr_assert_eq(b.live_count, 0);
    cr_assert_eq(blocks_alloc(&b, 128), first, "100 and 128 bytes are one class");
    blocks_free(&b, first);
    void *other = blocks_alloc(&b, 129);
    cr_assert_neq(other, first);
    blocks_free(&b, other);
    blocks_free(&b, NULL);
    blocks_fini(&b);
}

Test(blocks, every_size_has_room_and_alignment)
{
    struct blocks b;
    blocks_init(&b, 1 << 20);
    for (size_t size = 0; size < 5000; size++) {
        char *p = blocks_alloc(&b, size);
        cr_assert_eq((uintptr_t)p % 16, 0);
        memset(p, 'x', size);
        blocks_free(&b, p);
    }
    cr_assert_eq(b.live_bytes, 0);
    blocks_fini(&b);
}

Test(blocks, what_is_kept_is_bounded)
{
    struct blocks b;
    void *many[64];
    blocks_init(&b, 1024);
    for (size_t i = 0; i < 64; i++)
        many[i] = blocks_alloc(&b, 64);
    for (size_t i = 0; i < 64; i++)
        blocks_free(&b, many[i]);
    cr_assert_eq(b.free_bytes, 1024);
    void *large = blocks_alloc(&b, 20000);
    blocks_free(&b, large);
    cr_assert_eq(b.free_bytes, 1024, "large blocks are not kept");
    blocks_fini(&b);
}

Test(blocks, zeroed_ones_are_zero_though_used_before)
{
    struct blocks b;
    blocks_init(&b, 1 << 20);
    void *p = blocks_alloc(&b, 200);
    memset(p, 0xff, 200);
    blocks_free(&b, p);
    const unsigned char *zeroed = blocks_zalloc(&b, 50, 4);
    cr_assert_eq((const void *)zeroed, p);
    for (size_t i = 0; i < 200; i++)
        cr_assert_eq(zeroed[i], 0);
    blocks_free(&b, p);
    blocks_fini(&b);
}

Test(blocks, growing_keeps_the_bytes)
{
    struct blocks b;
    struct rng rng;
    blocks_init(&b, 1 << 20);
    rng_init(&rng, 3);
    char *p = NULL;
    size_t size = 0;
    for (int i = 0; i < 500; i++) {
        size_t next = rng_below(&rng, 9000);
        p = blocks_resize(&b, p, next);
        for (size_t at = 0; at < size && at < next; at++)
            cr_assert_eq(p[at], (char)(at * 7));
        for (size_t at = size; at < next; at++)
            p[at] = (char)(at * 7);
        size = next;
    }
    blocks_free(&b, p);
    cr_assert_eq(b.live_count, 0);
    blocks_fini(&b);
}

#ifdef POISON_IS_ON
Test(blocks, a_late_read_is_caught, .signal = SIGABRT)
{
    struct blocks b;
    blocks_init(&b, 1 << 20);
    void *p = blocks_alloc(&b, 64);
    blocks_free(&b, p);
    cr_assert(__asan_address_is_poisoned(p));
    abort();
}
#endif

Test(blocks, giving_back_twice_is_a_bug, .signal = SIGABRT)
{
    struct blocks b;
    blocks_init(&b, 1 << 20);
    void *p = blocks_alloc(&b, 64);
    blocks_free(&b, p);
    blocks_free(&b, p);
}
