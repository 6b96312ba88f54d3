/* tests/unit/base/test_pieces.c - pieces leave in order, exactly, and every reference comes back. */
#include "base/pieces.h"

#include <criterion/criterion.h>

#include "base/hash.h"

#include <stdio.h>
#include <string.h>

/* A queue and the pools behind it. */
struct bench {
    struct chunk_pool chunks;
    struct pieces_pool pool;
    struct pieces q;
};

static void bench_open(struct bench *b)
{
    chunk_pool_init(&b->chunks, 4);
    pieces_pool_init(&b->pool, 2);
    pieces_init(&b->q);
}

static void bench_close(struct bench *b)
{
    pieces_clear(&b->q, &b->pool);
    cr_assert_eq(b->q.bytes, 0);
    cr_assert_eq(b->pool.live_count, 0, "every block was given back");
    cr_assert_eq(b->chunks.live_count, 0, "every chunk was given back");
    pieces_pool_fini(&b->pool);
    chunk_pool_fini(&b->chunks);
}

/* A chunk of its own for one text; the queue holds the only reference. */
static void push_text(struct bench *b, const char *text)
{
    struct chunk *c = chunk_create(&b->chunks);
    c->used = (uint32_t)strlen(text);
    memcpy(c->bytes, text, c->used);
    pieces_push(&b->q, &b->pool, c, 0, c->used);
    chunk_unref(c);
}

/* What waits, as one text; *count: in how many entries. */
static struct slice gathered(const struct bench *b, int iov_max, char *out, int *count)
{
    struct iovec iov[64];
    size_t bytes, at = 0;
    *count = pieces_gather(&b->q, iov, iov_max, &bytes);
    for (int i = 0; i < *count; i++) {
        memcpy(out + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    cr_assert_eq(at, bytes);
    return slice_from(out, at);
}

#define EXPECT_QUEUED(b, text, pieces)                                                                                 \
    do {                                                                                                               \
        char out_[4096];                                                                                               \
        int count_;                                                                                                    \
        struct slice got_ = gathered(b, 64, out_, &count_);                                                            \
        cr_assert(slice_equal(got_, SLICE(text)), "'%.*s'", SLICE_ARG(got_));                                          \
        cr_assert_eq(count_, pieces);                                                                                  \
        cr_assert_eq((b)->q.bytes, got_.len);                                                                          \
    } while (0)

Test(pieces, leave_in_the_order_they_came)
{
    struct bench b;
    bench_open(&b);
    push_text(&b, "one ");
    push_text(&b, "two ");
    push_text(&b, "three");
    EXPECT_QUEUED(&b, "one two three", 3);
    pieces_consume(&b.q, &b.pool, 6);
    EXPECT_QUEUED(&b, "o three", 2);
    cr_assert_eq(pieces_front(&b.q)->length, 2);
    pieces_consume(&b.q, &b.pool, 7);
    cr_assert(pieces_is_empty(&b.q));
    cr_assert_null(pieces_front(&b.q));
    bench_close(&b);
}

Test(pieces, a_piece_that_continues_the_last_one_makes_it_longer)
{
    struct bench b;
    bench_open(&b);
    struct chunk *c = chunk_create(&b.chunks);
    memcpy(c->bytes, "0123456789", c->used = 10);
    pieces_push(&b.q, &b.pool, c, 1, 2);
    pieces_push(&b.q, &b.pool, c, 3, 4);
    EXPECT_QUEUED(&b, "123456", 1);
    cr_assert_eq(c->ref_count, 2, "one reference a piece");
    pieces_push(&b.q, &b.pool, c, 8, 1);
    EXPECT_QUEUED(&b, "1234568", 2);
    pieces_push(&b.q, &b.pool, c, 9, 0);
    EXPECT_QUEUED(&b, "1234568", 2);
    chunk_unref(c);
    bench_close(&b);
}

Test(pieces, many_blocks_are_one_queue)
{
    struct bench b;
    bench_open(&b);
    char expected[1000];
    for (int i = 0; i < 200; i++) {
        char text[6];
        snprintf(text, sizeof text, "%05d", i);
        push_text(&b, text);
        memcpy(expected + (size_t)5 * i, text, 5);
    }
    cr_assert_eq(b.pool.live_count, (200 + PIECES_PER_BLOCK - 1) / PIECES_PER_BLOCK);
    size_t done = 0;
    for (size_t step = 1; done < sizeof expected; step = step % 13 + 1) {
        char out[400];
        int count;
        struct slice front = gathered(&b, 64, out, &count);
        cr_assert_arr_eq(front.ptr, expected + done, front.len);
        size_t taken = step < sizeof expected - done ? step : sizeof expected - done;
        pieces_consume(&b.q, &b.pool, taken);
        done += taken;
        cr_assert_eq(b.q.bytes, sizeof expected - done);
    }
    cr_assert_eq(b.pool.free_count, 2, "the free list is bounded");
    bench_close(&b);
}

Test(pieces, gathering_stops_at_the_arrays_end)
{
    struct bench b;
    bench_open(&b);
    for (int i = 0; i < 40; i++)
        push_text(&b, "ab");
    char out[128];
    int count;
    cr_assert_eq(gathered(&b, 35, out, &count).len, 70);
    cr_assert_eq(count, 35);
    bench_close(&b);
}

Test(pieces, packed_ones_share_chunks_of_the_queues_own)
{
    struct bench b;
    bench_open(&b);
    for (int i = 0; i < 100; i++)
        pieces_pack(&b.q, &b.pool, &b.chunks, "abcdefghij", 10);
    cr_assert_eq(b.chunks.live_count, 1);
    cr_assert_eq(pieces_front(&b.q)->length, 1000, "they are one piece");
    push_text(&b, "-");
    pieces_pack(&b.q, &b.pool, &b.chunks, "k", 1);
    cr_assert_eq(b.chunks.live_count, 2, "the copy went behind the earlier ones");
    cr_assert_eq(b.q.bytes, 1002);
    pieces_consume(&b.q, &b.pool, 1002);
    cr_assert_eq(b.chunks.live_count, 0, "an empty queue holds no chunk");
    bench_close(&b);
}

Test(pieces, a_pack_fills_one_chunk_after_the_other)
{
    static char bytes[3 * CHUNK_BYTES];
    struct bench b;
    bench_open(&b);
    memset(bytes, 'x', sizeof bytes);
    pieces_pack(&b.q, &b.pool, &b.chunks, bytes, 1);
    pieces_pack(&b.q, &b.pool, &b.chunks, bytes, sizeof bytes - 1);
    cr_assert_eq(b.q.bytes, sizeof bytes);
    cr_assert_eq(b.chunks.live_count, 3);
    pieces_consume(&b.q, &b.pool, CHUNK_BYTES);
    cr_assert_eq(b.chunks.live_count, 2, "a chunk goes when its bytes have");
    bench_close(&b);
}

Test(pieces, a_walk_meets_each_once_and_in_order)
{
    struct bench b;
    struct pieces_walk walk = { 0 };
    bench_open(&b);
    cr_assert_null(pieces_next(&b.q, &walk), "an empty queue has none");
    for (int i = 0; i < 2 * PIECES_PER_BLOCK; i++)
        push_text(&b, i % 2 == 0 ? "a" : "bc");
    pieces_consume(&b.q, &b.pool, 2);
    const struct piece *piece;
    uint32_t bytes = 0, count = 0;
    for (walk = (struct pieces_walk){ 0 }; (piece = pieces_next(&b.q, &walk)) != NULL; count++) {
        cr_assert_eq(piece->chunk->bytes[piece->offset], count == 0 ? 'c' : count % 2 == 1 ? 'a' : 'b');
        bytes += piece->length;
    }
    cr_assert_eq(count, 2 * PIECES_PER_BLOCK - 1);
    cr_assert_eq(bytes, b.q.bytes);
    bench_close(&b);
}

Test(pieces, shared_ones_outlive_the_queue_they_came_from)
{
    struct bench b;
    struct pieces other;
    bench_open(&b);
    pieces_init(&other);
    push_text(&b, "one ");
    pieces_pack(&b.q, &b.pool, &b.chunks, "two ", 4);
    push_text(&b, "three");
    pieces_share(&other, &b.pool, &b.q);
    cr_assert_eq(b.chunks.live_count, 3, "nothing is copied");
    cr_assert_eq(other.chunk_count, 3);
    pieces_clear(&b.q, &b.pool);
    b.q = other;
    EXPECT_QUEUED(&b, "one two three", 3);
    bench_close(&b);
}

/* Against a plain array: any mixture of pushes, packs and steps. */
Test(pieces, hold_exactly_what_a_plain_array_would)
{
    static char model[1 << 16];
    struct bench b;
    struct rng rng;
    size_t from = 0, to = 0;
    bench_open(&b);
    rng_init(&rng, 7);
    while (to < sizeof model - 64) {
        char text[33];
        uint32_t length = (uint32_t)rng_below(&rng, 32) + 1;
        memset(text, 'a' + (int)rng_below(&rng, 26), length);
        text[length] = '\0';
        if (rng_below(&rng, 2) == 0)
            pieces_pack(&b.q, &b.pool, &b.chunks, text, length);
        else
            push_text(&b, text);
        memcpy(model + to, text, length);
        to += length;
        size_t step = rng_below(&rng, (uint32_t)(to - from) + 1);
        pieces_consume(&b.q, &b.pool, step < 40 ? step : 40);
        from += step < 40 ? step : 40;
        char out[2048];
        int count;
        struct slice front = gathered(&b, 64, out, &count);
        cr_assert_arr_eq(front.ptr, model + from, front.len);
        cr_assert_eq(b.q.bytes, to - from);
    }
    bench_close(&b);
}

Test(pieces, are_one_run_where_they_lie_or_copied)
{
    struct bench b;
    char into[1200];
    const char *run;
    bench_open(&b);
    push_text(&b, "0123456789");
    cr_assert_eq(pieces_run(&b.q, into, 100, &run), 10);
    cr_assert_neq(run, into, "one piece is enough");
    pieces_consume(&b.q, &b.pool, 4);
    push_text(&b, "abc");
    cr_assert_eq(pieces_run(&b.q, into, 6, &run), 6);
    cr_assert(run != into && memcmp(run, "456789", 6) == 0, "the first piece is long enough");
    cr_assert_eq(pieces_run(&b.q, into, 8, &run), 8);
    cr_assert(run == into && memcmp(into, "456789ab", 8) == 0);
    for (int i = 0; i < 300; i++) /* more than one block of pieces */
        push_text(&b, "xyz");
    cr_assert_eq(pieces_run(&b.q, into, sizeof into, &run), 9 + 900);
    cr_assert_arr_eq(into, "456789abcxyz", 12);
    cr_assert_arr_eq(into + 906, "xyz", 3);
    bench_close(&b);
}

/* ---- how many chunks it holds ------------------------------------------------------------------------------------ */

Test(pieces, pieces_of_one_chunk_in_a_row_hold_it_once)
{
    struct bench b;
    bench_open(&b);
    struct chunk *one = chunk_create(&b.chunks), *two = chunk_create(&b.chunks);
    one->used = two->used = 100;
    pieces_push(&b.q, &b.pool, one, 0, 10);
    pieces_push(&b.q, &b.pool, one, 10, 10);
    pieces_push(&b.q, &b.pool, one, 50, 10);
    cr_expect_eq(b.q.chunk_count, 1);
    pieces_push(&b.q, &b.pool, two, 0, 10);
    cr_expect_eq(b.q.chunk_count, 2);
    pieces_consume(&b.q, &b.pool, 25);
    cr_expect_eq(b.q.chunk_count, 2, "a part of the first chunk is left");
    pieces_consume(&b.q, &b.pool, 5);
    cr_expect_eq(b.q.chunk_count, 1);
    pieces_consume(&b.q, &b.pool, 10);
    cr_expect_eq(b.q.chunk_count, 0);
    chunk_unref(one);
    chunk_unref(two);
    bench_close(&b);
}

Test(pieces, the_count_bounds_the_chunks_whatever_comes_and_goes)
{
    struct bench b;
    struct rng rng;
    bench_open(&b);
    rng_init(&rng, 3);
    for (int i = 0; i < 5000; i++) {
        struct chunk *c = chunk_create(&b.chunks);
        uint32_t length = 1 + rng_below(&rng, 6000);
        c->used = CHUNK_BYTES;
        if (rng_below(&rng, 2) == 0)
            pieces_pack(&b.q, &b.pool, &b.chunks, c->bytes, length);
        else
            pieces_push(&b.q, &b.pool, c, 0, length);
        chunk_unref(c);
        if (rng_below(&rng, 3) == 0)
            pieces_consume(&b.q, &b.pool, rng_below(&rng, b.q.bytes + 1));
        cr_assert_leq(b.chunks.live_count, b.q.chunk_count + 1, "one more may be open for packing");
    }
    pieces_consume(&b.q, &b.pool, b.q.bytes);
    cr_assert_eq(b.q.chunk_count, 0);
    bench_close(&b);
}
