/* tests/unit/stats/test_tally.c - what a worker counts, and what is taken from it. */
#include "stats/tally.h"

#include <criterion/criterion.h>

static const struct tally_rules rules = {
    .slow_count = 2,
    .slow_us = { { 100000, 120000 }, { UINT64_MAX, UINT64_MAX } },
};

static const uint32_t error = 1u << TALLY_ERRORS, slow = 1u << TALLY_SLOW;

Test(tally, slow_means_slower_than_the_threshold_of_its_arm)
{
    struct tally t = { 0 };
    cr_expect_eq(tally_end(&t, &rules, TALLY_STABLE, 0, 100000), 0, "as slow as the threshold is not slower");
    cr_expect_eq(tally_end(&t, &rules, TALLY_STABLE, error, 100001), error | slow);
    cr_expect_eq(tally_end(&t, &rules, TALLY_CANARY, 0, 110000), 0);
    cr_expect_eq(tally_end(&t, &rules, TALLY_CANARY, 0, 120001), slow);
    struct tally_counts sum = { 0 };
    tally_sum(&sum, &t);
    tally_sum(&sum, &t); /* a second worker */
    cr_expect_eq(sum.requests[TALLY_STABLE], 4);
    cr_expect_eq(sum.columns[TALLY_STABLE][TALLY_ERRORS], 2);
    cr_expect_eq(sum.columns[TALLY_STABLE][TALLY_SLOW], 2);
    cr_expect_eq(sum.columns[TALLY_CANARY][TALLY_SLOW], 2);
    cr_expect_eq(sum.columns[TALLY_CANARY][TALLY_SLOW + 1], 0, "nothing is slower than what is not known");
    cr_expect_eq(histogram_count(&sum.stable_durations), 4, "stable's only");
}

Test(tally, each_count_is_taken_once_and_no_column_before_its_request)
{
    struct tally_counts now = { 0 }, before = { 0 }, since;
    now.requests[TALLY_CANARY] = 5;
    now.columns[TALLY_CANARY][TALLY_ERRORS] = 6; /* the cell was read after one more request */
    tally_since(&since, &now, &before);
    cr_expect_eq(since.requests[TALLY_CANARY], 5);
    cr_expect_eq(since.columns[TALLY_CANARY][TALLY_ERRORS], 5);
    now.requests[TALLY_CANARY] = 7;
    tally_since(&since, &now, &before);
    cr_expect_eq(since.requests[TALLY_CANARY], 2);
    cr_expect_eq(since.columns[TALLY_CANARY][TALLY_ERRORS], 1, "it comes with the next call");
    tally_since(&since, &now, &before);
    cr_expect_eq(since.requests[TALLY_CANARY] + since.columns[TALLY_CANARY][TALLY_ERRORS], 0);
}

Test(tally, what_is_given_up_is_nobodys)
{
    struct tally t = { 0 };
    struct tally_counts sum = { 0 };
    tally_begin(&t, TALLY_CANARY);
    tally_begin(&t, TALLY_CANARY);
    tally_discard(&t, TALLY_CANARY);
    tally_sum(&sum, &t);
    cr_expect_eq(sum.begun[TALLY_CANARY], 2);
    cr_expect_eq(sum.discarded[TALLY_CANARY], 1);
    cr_expect_eq(sum.requests[TALLY_CANARY], 0);
}

Test(tally, a_client_that_left_has_seen_that_it_was_slow)
{
    struct tally t = { 0 };
    struct tally_counts sum = { 0 };
    cr_expect_eq(tally_give_up(&t, &rules, TALLY_STABLE, 90000), 0, "nobody knows what would have become of it");
    cr_expect_eq(tally_give_up(&t, &rules, TALLY_STABLE, 5000000), slow);
    tally_sum(&sum, &t);
    cr_expect_eq(sum.discarded[TALLY_STABLE], 1);
    cr_expect_eq(sum.requests[TALLY_STABLE], 1);
    cr_expect_eq(sum.columns[TALLY_STABLE][TALLY_SLOW], 1);
    cr_expect_eq(sum.columns[TALLY_STABLE][TALLY_ERRORS], 0);
    cr_expect_eq(histogram_count(&sum.stable_durations), 0);
}

Test(tally, a_user_is_mailed_once_and_once_for_each_new_column)
{
    struct seen seen;
    seen_init(&seen, TALLY_SEEN_BITS);
    cr_expect(tally_is_first(&seen, 1, 0));
    cr_expect_not(tally_is_first(&seen, 1, 0));
    cr_expect(tally_is_first(&seen, 1, error));
    cr_expect_not(tally_is_first(&seen, 1, error));
    cr_expect(tally_is_first(&seen, 1, error | slow));
    cr_expect_not(tally_is_first(&seen, 1, slow));
    cr_expect(tally_is_first(&seen, 2, 0));
    seen_fini(&seen);
}
