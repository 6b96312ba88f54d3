/* tests/unit/config/test_pair.c - a pair is shared out exactly, and what others have stays. */
#include "config/pair.h"

#include <criterion/criterion.h>

#include "base/hash.h"
#include "config/model.h"

static void expect_shared(const uint32_t *weights, size_t count, uint32_t share_ppm, const uint32_t *expected)
{
    uint32_t out[SPLIT_MAX_ENTRIES];
    cr_assert(pair_share(weights, count, 0, 1, share_ppm, out, NULL), "%u ppm", share_ppm);
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(out[i], expected[i], "%u ppm: weight %zu is %u, not %u", share_ppm, i, out[i], expected[i]);
}

Test(pair, two_entries_have_the_share_in_the_smallest_block)
{
    const uint32_t file[] = { 95, 5 };
    expect_shared(file, 2, 0, (uint32_t[]){ 1, 0 });
    expect_shared(file, 2, 1000, (uint32_t[]){ 999, 1 });
    expect_shared(file, 2, 100000, (uint32_t[]){ 9, 1 });
    expect_shared(file, 2, 500000, (uint32_t[]){ 1, 1 });
    expect_shared(file, 2, 1000000, (uint32_t[]){ 0, 1 });
}

Test(pair, a_third_entry_keeps_its_part)
{
    const uint32_t file[] = { 7, 1, 2 };
    expect_shared(file, 3, 0, (uint32_t[]){ 4, 0, 1 });
    expect_shared(file, 3, 100000, (uint32_t[]){ 18, 2, 5 });
    expect_shared(file, 3, 1000000, (uint32_t[]){ 0, 4, 1 });
}

/* Random splits and shares: exactly the pair's part for the pair, exactly the share inside it, as products of whole numbers. */
Test(pair, what_the_pair_and_all_others_have_stays_as_it_was)
{
    struct rng rng;
    rng_init(&rng, 7);
    for (int round = 0; round < 20000; round++) {
        uint32_t weights[5], out[5], share_ppm = rng_below(&rng, 101) * 10000;
        uint64_t sum = 0, shared_sum = 0;
        for (int i = 0; i < 5; i++)
            sum += weights[i] = rng_below(&rng, 20) + (i == 2);
        if (!pair_share(weights, 5, 2, 4, share_ppm, out, NULL))
            continue;
        for (int i = 0; i < 5; i++)
            shared_sum += out[i];
        cr_assert_leq(shared_sum, SPLIT_SUM_MAX);
        for (int i = 0; i < 5; i++)
            cr_assert(i == 2 || i == 4 || out[i] * sum == weights[i] * shared_sum);
        cr_assert_eq((out[2] + out[4]) * sum, (weights[2] + weights[4]) * shared_sum);
        cr_assert_eq((uint64_t)out[4] * 1000000, (uint64_t)(out[2] + out[4]) * share_ppm);
    }
}

Test(pair, what_no_block_holds_is_told_and_comes_near)
{
    const uint32_t file[] = { 9000, 1, 999 };
    uint32_t out[3];
    uint64_t sum = 0;
    cr_assert_not(pair_share(file, 3, 0, 1, 1000, out, &sum));
    cr_expect_eq(sum, 10000000);
    cr_expect_eq(out[0] + out[1] + out[2], SPLIT_SUM_MAX);
    cr_expect_eq(out[1], 9);
    cr_assert_not(pair_share(file, 3, 0, 1, 1, out, &sum));
    cr_expect_eq(out[1], 1, "a share that is not 0 stays so");
    cr_expect_eq(out[0] + out[1] + out[2], SPLIT_SUM_MAX);
}
