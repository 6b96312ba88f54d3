/* tests/unit/base/test_chunk.c - references, the free list and the live count of chunks. */
#include "base/chunk.h"
#include "base/poison.h"

#include <criterion/criterion.h>

#include <signal.h>

Test(chunk, the_last_reference_gives_it_back)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 4);
    struct chunk *c = chunk_create(&pool);
    cr_assert_eq(chunk_room(c), CHUNK_BYTES);
    chunk_ref(c);
    chunk_unref(c);
    cr_assert_eq(pool.live_count, 1);
    chunk_unref(c);
    cr_assert_eq(pool.live_count, 0);
    cr_assert_eq(pool.free_count, 1);
    chunk_pool_fini(&pool);
}

Test(chunk, a_reused_chunk_is_empty_again)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 4);
    struct chunk *c = chunk_create(&pool);
    memset(c->bytes, 'x', 100);
    c->used = 100;
    chunk_unref(c);
    struct chunk *again = chunk_create(&pool);
    cr_assert_eq(again, c);
    cr_assert_eq(again->used, 0);
    cr_assert_eq(again->ref_count, 1);
    again->bytes[CHUNK_BYTES - 1] = 'y';
    chunk_unref(again);
    chunk_pool_fini(&pool);
}

Test(chunk, the_free_list_is_bounded)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 3);
    struct chunk *chunks[10];
    for (int i = 0; i < 10; i++)
        chunks[i] = chunk_create(&pool);
    cr_assert_eq(pool.live_count, 10);
    for (int i = 0; i < 10; i++)
        chunk_unref(chunks[i]);
    cr_assert_eq(pool.free_count, 3);
    chunk_pool_fini(&pool);
}

Test(chunk, sized_chunks_never_enter_the_free_list)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 3);
    struct chunk *c = chunk_create_sized(&pool, 100000);
    cr_assert_eq(chunk_room(c), 100000);
    c->bytes[99999] = 'x';
    chunk_unref(c);
    cr_assert_eq(pool.free_count, 0);
    cr_assert_eq(pool.live_count, 0);
    chunk_pool_fini(&pool);
}

Test(chunk, a_pool_that_ends_before_its_chunks_aborts, .signal = SIGABRT)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 3);
    chunk_create(&pool);
    chunk_pool_fini(&pool);
}

#ifdef POISON_IS_ON
Test(chunk, a_free_chunk_is_poisoned_header_and_all)
{
    struct chunk_pool pool;
    chunk_pool_init(&pool, 3);
    struct chunk *c = chunk_create(&pool);
    chunk_unref(c);
    cr_assert(__asan_address_is_poisoned(&c->ref_count));
    cr_assert(__asan_address_is_poisoned(c->bytes));
    cr_assert(__asan_address_is_poisoned(c->bytes + CHUNK_BYTES - 1));
    chunk_pool_fini(&pool);
}
#endif
