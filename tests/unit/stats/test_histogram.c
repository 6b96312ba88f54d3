/* tests/unit/stats/test_histogram.c - bounds, quantiles and the promised relative error. */
#include "stats/histogram.h"
#include "base/hash.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <stdlib.h>

Test(histogram, every_bucket_begins_at_its_bound_and_ends_before_the_next)
{
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKET_COUNT; bucket++) {
        uint64_t low = histogram_lower_bound_us(bucket), next = histogram_lower_bound_us(bucket + 1);
        cr_assert_lt(low, next, "bucket %u", bucket);
        cr_assert_eq(histogram_bucket(low), bucket, "%lu us", low);
        cr_assert_eq(histogram_bucket(next - 1), bucket, "%lu us", next - 1);
    }
    cr_assert_eq(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKET_COUNT - 1);
}

Test(histogram, buckets_are_at_most_a_third_of_their_lower_bound_wide)
{
    for (unsigned bucket = 1; bucket < HISTOGRAM_BUCKET_COUNT - 1; bucket++) {
        uint64_t low = histogram_lower_bound_us(bucket);
        uint64_t width = histogram_lower_bound_us(bucket + 1) - low;
        cr_assert_leq(width * 3, low + 2, "bucket %u", bucket); /* 2: bounds are whole microseconds */
    }
}

Test(histogram, octaves_begin_at_powers_of_two)
{
    cr_assert_eq(histogram_lower_bound_us(1), 64);
    cr_assert_eq(histogram_lower_bound_us(4), 128);
    cr_assert_eq(histogram_lower_bound_us(HISTOGRAM_BUCKET_COUNT - 1), 1u << 26);
}

Test(histogram, an_empty_one_has_no_quantile)
{
    struct histogram h = { 0 };
    cr_assert_eq(histogram_quantile_us(&h, 0.99), 0);
    cr_assert_eq(histogram_count(&h), 0);
}

Test(histogram, one_value_is_every_quantile_of_itself)
{
    struct histogram h = { 0 };
    histogram_add(&h, 1000);
    uint64_t p0 = histogram_quantile_us(&h, 0), p100 = histogram_quantile_us(&h, 1);
    cr_assert_eq(p0, p100);
    cr_assert(p0 > 750 && p0 < 1333, "%lu", p0);
}

Test(histogram, what_lies_beyond_the_last_bound_is_that_bound)
{
    struct histogram h = { 0 };
    histogram_add(&h, UINT64_MAX / 2);
    cr_assert_eq(histogram_quantile_us(&h, 0.5), 1u << 26);
}

Test(histogram, a_quantile_outside_of_0_to_1_aborts, .signal = SIGABRT)
{
    struct histogram h = { 0 };
    histogram_quantile_us(&h, 1.5);
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Durations of every magnitude: 64 us times 2 to the power of a uniform number below 20. */
Test(histogram, quantiles_are_less_than_a_third_off)
{
    enum { COUNT = 4001 };
    static uint64_t values[COUNT];
    struct histogram h = { 0 };
    struct rng rng;
    rng_init(&rng, 3);
    for (int i = 0; i < COUNT; i++) {
        uint64_t octave = (uint64_t)64 << rng_below(&rng, 20);
        values[i] = octave + rng_next(&rng) % octave;
        histogram_add(&h, values[i]);
    }
    qsort(values, COUNT, sizeof values[0], compare_u64);
    for (int percent = 0; percent <= 100; percent++) {
        double exact = (double)values[(COUNT - 1) * percent / 100];
        double estimate = (double)histogram_quantile_us(&h, percent / 100.0);
        cr_assert(estimate > exact * 2 / 3 && estimate < exact * 4 / 3, "p%d: %f for %f", percent, estimate, exact);
    }
}

Test(histogram, merging_is_adding_everything)
{
    struct histogram a = { 0 }, b = { 0 }, both = { 0 };
    for (uint64_t us = 1; us < 100000000; us = us * 7 / 5 + 1) {
        histogram_add(us % 2 ? &a : &b, us);
        histogram_add(&both, us);
    }
    histogram_merge(&a, &b);
    cr_assert_arr_eq(a.buckets, both.buckets, sizeof a.buckets);
    cr_assert_eq(a.sum_us, both.sum_us);
    cr_assert_eq(histogram_quantile_us(&a, 0.9), histogram_quantile_us(&both, 0.9));
}
