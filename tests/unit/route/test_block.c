/* tests/unit/route/test_block.c - unsticky splits: exact at each block's end, random inside. */
#include "route/block.h"

#include <criterion/criterion.h>

#include "base/memory.h"

static struct block *block_create(uint32_t entry_count)
{
    return memory_zalloc(block_bytes(entry_count));
}

/* Draws `block_count` blocks of `block_len` and checks that each holds every entry exactly as often as wanted. */
static void expect_exact(const uint32_t *weights, const uint32_t *wanted, uint32_t entry_count, uint32_t block_len,
                         uint32_t block_count)
{
    struct rng rng;
    rng_init(&rng, 1);
    struct block *b = block_create(entry_count);
    for (uint32_t n = 0; n < block_count; n++) {
        uint32_t counts[8] = { 0 };
        for (uint32_t i = 0; i < block_len; i++)
            counts[block_draw(b, entry_count, weights, 1, &rng)]++;
        for (uint32_t e = 0; e < entry_count; e++)
            cr_assert_eq(counts[e], wanted[e], "block %u, entry %u: %u draws", n, e, counts[e]);
    }
    memory_free(b);
}

Test(block, ninety_five_to_five_is_exact_every_20_draws)
{
    expect_exact((uint32_t[]){ 95, 5 }, (uint32_t[]){ 19, 1 }, 2, 20, 500);
}

Test(block, one_permille_is_exact_every_1000_draws)
{
    expect_exact((uint32_t[]){ 999, 1 }, (uint32_t[]){ 999, 1 }, 2, 1000, 20);
}

Test(block, the_longest_block_is_exact)
{
    expect_exact((uint32_t[]){ 9999, 1 }, (uint32_t[]){ 9999, 1 }, 2, 10000, 3);
}

Test(block, three_ways_are_exact)
{
    expect_exact((uint32_t[]){ 500, 300, 200 }, (uint32_t[]){ 5, 3, 2 }, 3, 10, 500);
}

Test(block, an_entry_without_weight_is_never_drawn)
{
    expect_exact((uint32_t[]){ 0, 7, 0, 14 }, (uint32_t[]){ 0, 1, 0, 2 }, 4, 3, 500);
}

Test(block, only_one_weight_makes_blocks_of_one)
{
    expect_exact((uint32_t[]){ 0, 10000 }, (uint32_t[]){ 0, 1 }, 2, 1, 500);
}

Test(block, new_weights_start_a_new_block_at_once)
{
    struct rng rng;
    rng_init(&rng, 2);
    struct block *b = block_create(2);
    for (uint64_t generation = 1; generation < 50; generation++) {
        const bool to_second = generation % 2 == 0;
        const uint32_t weights[] = { to_second ? 1 : 19, to_second ? 19 : 1 };
        uint32_t counts[2] = { 0 };
        for (int i = 0; i < 20; i++)
            counts[block_draw(b, 2, weights, generation, &rng)]++;
        cr_assert_eq(counts[to_second], 19);
        block_draw(b, 2, weights, generation, &rng); /* leaves 19 of another block behind */
    }
    memory_free(b);
}

Test(block, the_generation_tells_new_weights_not_the_numbers)
{
    struct rng rng;
    rng_init(&rng, 2);
    struct block *b = block_create(2);
    block_draw(b, 2, (uint32_t[]){ 10, 10 }, 1, &rng);
    block_draw(b, 2, (uint32_t[]){ 100, 1 }, 1, &rng);
    cr_assert_eq(b->left_total, 0, "the block of two is drawn out");
    memory_free(b);
}

/* Chi-square of the canary's position in its block, over 20 positions (19 degrees of freedom): 43.8 is the 0.1 %
   point. */
Test(block, the_rare_entry_comes_at_any_position)
{
    enum { BLOCKS = 20000, LEN = 20 };
    uint32_t at_position[LEN] = { 0 };
    struct rng rng;
    rng_init(&rng, 3);
    struct block *b = block_create(2);
    for (int n = 0; n < BLOCKS; n++)
        for (int i = 0; i < LEN; i++)
            at_position[i] += block_draw(b, 2, (uint32_t[]){ 19, 1 }, 1, &rng);
    double chi_square = 0, expected = (double)BLOCKS / LEN;
    for (int i = 0; i < LEN; i++)
        chi_square += (at_position[i] - expected) * (at_position[i] - expected) / expected;
    cr_assert_lt(chi_square, 43.8);
    cr_assert_gt(chi_square, 5.4, "even more even than chance would be: not random (0.1 %% point)");
    memory_free(b);
}

/* All 6 orders of a block 1/1/1 are equally likely: chi-square with 5 degrees of freedom, 20.5 at 0.1 %. */
Test(block, every_order_inside_a_block_is_equally_likely)
{
    enum { BLOCKS = 12000 };
    uint32_t of_order[27] = { 0 };
    struct rng rng;
    rng_init(&rng, 4);
    struct block *b = block_create(3);
    for (int n = 0; n < BLOCKS; n++) {
        uint32_t order = 0;
        for (int i = 0; i < 3; i++)
            order = order * 3 + block_draw(b, 3, (uint32_t[]){ 1, 1, 1 }, 1, &rng);
        of_order[order]++;
    }
    double chi_square = 0, expected = BLOCKS / 6.0;
    const uint32_t orders[] = { 5, 7, 11, 15, 19, 21 }; /* 012 021 102 120 201 210 in base 3 */
    for (size_t i = 0; i < 6; i++)
        chi_square += (of_order[orders[i]] - expected) * (of_order[orders[i]] - expected) / expected;
    cr_assert_lt(chi_square, 20.5);
    memory_free(b);
}

/* A client that alternates between a cheap and a dear request would meet a fixed 1-2-1-2 in step. Here each kind
   gets the canary's share: 5 standard deviations of a hypergeometric sum at most. */
Test(block, a_periodic_client_does_not_line_up_with_one_side)
{
    for (int period = 2; period <= 20; period++) {
        enum { DRAWS = 40000 };
        struct rng rng;
        rng_init(&rng, 5);
        struct block *b = block_create(2);
        uint32_t on_beat = 0, beat_count = 0;
        for (int i = 0; i < DRAWS; i++) {
            uint32_t entry = block_draw(b, 2, (uint32_t[]){ 1, 1 }, 1, &rng);
            if (i % period == 0) {
                on_beat += entry;
                beat_count++;
            }
        }
        double off = (double)on_beat - beat_count / 2.0;
        cr_assert_lt(off * off, 25.0 * beat_count / 4, "period %d: %u of %u", period, on_beat, beat_count);
        memory_free(b);
    }
}
