/* tests/unit/stats/test_budget.c - how fast a budget burns, and what is left of it, number by number. */
#include "stats/budget.h"

#include <criterion/criterion.h>

#define DAY_S   INT64_C(86400)
#define MONTH_S (30 * DAY_S)

static const double both[] = { 0.999, 0.99 };
static const double availability[] = { 0.999, 0 };

static struct mono_time at(int64_t seconds)
{
    return (struct mono_time){ seconds * 1000000 };
}

static struct budget begun(const double *objectives)
{
    struct budget b;
    budget_init(&b, objectives, MONTH_S * 1000000);
    return b;
}

static void add(struct budget *b, int64_t second, uint64_t requests, uint64_t errors, uint64_t slow)
{
    const struct budget_counts counts = { requests, { errors, slow } };
    budget_add(b, at(second), &counts);
}

Test(budget, without_requests_nothing_burns_and_all_is_left)
{
    struct budget b = begun(both);
    for (int w = 0; w < BUDGET_WINDOW_COUNT; w++)
        cr_expect_float_eq(budget_burn(&b, w, at(0), NULL), 0, 1e-12);
    cr_expect_float_eq(budget_remaining(&b, at(0), NULL), 1, 1e-12);
}

Test(budget, burns_as_many_times_faster_as_the_share_is_larger)
{
    struct budget b = begun(availability);
    add(&b, 1000, 10000, 144, 5000);
    cr_expect_float_eq(budget_burn(&b, BUDGET_5M, at(1000), NULL), 14.4, 1e-9);
    cr_expect_float_eq(budget_burn(&b, BUDGET_3D, at(1000), NULL), 14.4, 1e-9);
    cr_expect_float_eq(budget_remaining(&b, at(1000), NULL), -13.4, 1e-9);
}

Test(budget, each_window_forgets_at_its_own_time)
{
    static const int64_t ends_s[] = { 305, 1830, 3660, 21960, 3 * DAY_S + 4320 };
    struct budget b = begun(availability);
    for (int64_t s = 0; s <= ends_s[BUDGET_3D]; s += 60)
        add(&b, s, 100, s == 0 ? 100 : 0, 0);
    struct budget again = begun(availability);
    add(&again, 0, 100, 100, 0);
    for (int w = 0; w < BUDGET_WINDOW_COUNT; w++) {
        cr_expect_gt(budget_burn(&again, w, at(ends_s[w] * 59 / 61), NULL), 999, "%s", budget_window_names[w]);
        cr_expect_float_eq(budget_burn(&again, w, at(ends_s[w] + 5), NULL), 0, 1e-9, "%s", budget_window_names[w]);
    }
    cr_expect_gt(budget_remaining(&b, at(3 * DAY_S), NULL), 0.7, "the month remembers 100 of 432,000");
    cr_expect_lt(budget_remaining(&b, at(3 * DAY_S), NULL), 0.8);
}

/* 99.9 %, a million requests in the month: 1,000 may fail. */
Test(budget, what_is_left_is_what_may_still_fail)
{
    struct budget b = begun(availability);
    for (int64_t day = 0; day < 29; day++)
        add(&b, day * DAY_S, 40000, day < 5 ? 100 : 0, 0);
    cr_expect_float_eq(budget_remaining(&b, at(28 * DAY_S), NULL), 1 - 500.0 / 1160, 1e-9);
    cr_expect_float_eq(budget_remaining(&b, at(40 * DAY_S), NULL), 1, 1e-9, "bad days are over a month ago");
}

Test(budget, the_worse_of_availability_and_latency_counts)
{
    struct budget b = begun(both);
    enum budget_kind kind;
    add(&b, 0, 10000, 20, 100);
    cr_expect_float_eq(budget_burn(&b, BUDGET_5M, at(0), &kind), 2, 1e-9);
    cr_expect_eq(kind, BUDGET_AVAILABILITY);
    add(&b, 0, 0, 0, 300);
    cr_expect_float_eq(budget_burn(&b, BUDGET_5M, at(0), &kind), 4, 1e-9);
    cr_expect_eq(kind, BUDGET_LATENCY);
    cr_expect_float_eq(budget_remaining(&b, at(0), &kind), -3, 1e-9);
    cr_expect_eq(kind, BUDGET_LATENCY);
    struct budget_counts sum = budget_sum(&b, at(0));
    cr_expect(sum.requests == 10000 && sum.bad[0] == 20 && sum.bad[1] == 400);
}

Test(budget, windows_longer_than_the_objective_say_nothing)
{
    struct budget b;
    budget_init(&b, availability, 6 * 3600 * INT64_C(1000000));
    cr_expect(budget_has_window(&b, BUDGET_6H));
    cr_expect_not(budget_has_window(&b, BUDGET_3D));
}

/* A restart: rows of another boot, older than this clock. */
Test(budget, what_was_before_the_clock_began_counts)
{
    struct budget b = begun(availability);
    add(&b, -20 * DAY_S, 1000, 1, 0);
    add(&b, -600, 1000, 0, 0);
    add(&b, 5, 1000, 0, 0);
    cr_expect_float_eq(budget_remaining(&b, at(5), NULL), 1 - 1.0 / 3, 1e-9);
    cr_expect_float_eq(budget_burn(&b, BUDGET_1H, at(5), NULL), 0, 1e-9);
}
