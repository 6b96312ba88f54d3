/* tests/unit/rollout/test_guardrail.c - what follows from settings: columns, minima, bounds, windows. */
#include "rollout/guardrail.h"

#include "base/check.h"

#include <criterion/criterion.h>

#include <math.h>

Test(guardrail, latency_gets_a_column_for_each_quantile_it_watches)
{
    struct guardrail all[] = {
        { .kind = GUARDRAIL_LATENCY, .quantile = 0.99 },
        { .kind = GUARDRAIL_RATIO, .column = TALLY_ERRORS },
        { .kind = GUARDRAIL_LATENCY_RATIO },
        { .kind = GUARDRAIL_LATENCY_RATIO, .quantile = 0.95 },
        { .kind = GUARDRAIL_BURN, .limit_us = 300000 },
        { .kind = GUARDRAIL_BURN, .column = TALLY_ERRORS },
        { .kind = GUARDRAIL_BURN, .column = TALLY_ERRORS, .limit_us = 300000, .slow_objective = 0.9 },
    };
    cr_expect(guardrails_assign_columns(all, ARRAY_COUNT(all)));
    cr_expect_eq(all[0].column, TALLY_SLOW);
    cr_expect_eq(all[1].column, TALLY_ERRORS);
    cr_expect_eq(all[2].column, TALLY_SLOW + 1);
    cr_expect_eq(all[3].column, TALLY_SLOW + 4);
    cr_expect_eq(all[4].column, TALLY_SLOW + 5, "an SLO about latency");
    cr_expect_eq(all[5].column, TALLY_ERRORS, "and one about availability");
    cr_expect(all[6].column == TALLY_ERRORS && all[6].slow_column == TALLY_SLOW + 6, "and one about both");
    cr_expect_float_eq(guardrail_quantile(&all[2], 1), 0.9, 1e-12);
    cr_expect_float_eq(guardrail_quantile(&all[3], 0), 0.95, 1e-12);
}

Test(guardrail, thresholds_beyond_what_workers_count_are_refused)
{
    struct guardrail all[5];
    for (int i = 0; i < 5; i++)
        all[i] = (struct guardrail){ .kind = GUARDRAIL_LATENCY_RATIO };
    cr_expect(guardrails_assign_columns(all, 4));
    cr_expect_not(guardrails_assign_columns(all, 5));
}

static uint64_t minimum(struct guardrail g)
{
    return guardrail_minimum_count(&g);
}

Test(guardrail, by_default_a_breach_takes_three_events)
{
    cr_expect_eq(minimum((struct guardrail){ .kind = GUARDRAIL_RATE, .max = 0.02, .min = -INFINITY }), 100);
    cr_expect_eq(minimum((struct guardrail){ .kind = GUARDRAIL_RATE, .max = 0.5, .min = -INFINITY }), 20);
    cr_expect_eq(minimum((struct guardrail){ .kind = GUARDRAIL_RATE, .max = INFINITY, .min = 0.1 }), 100);
    cr_expect_eq(minimum((struct guardrail){ .kind = GUARDRAIL_LATENCY, .quantile = 0.99 }), 200);
    cr_expect_eq(minimum((struct guardrail){ .kind = GUARDRAIL_BURN, .max = 10, .objective = 0.999 }), 200);
    cr_expect_eq(minimum((struct guardrail){ .kind = GUARDRAIL_RATE, .max = 0.02, .minimum_count = 7 }), 7);
}

Test(guardrail, comparative_ones_share_the_false_alarms_that_are_allowed)
{
    struct guardrail all[] = {
        { .kind = GUARDRAIL_RATIO, .confidence = 0.99 },
        { .kind = GUARDRAIL_RATE },
        { .kind = GUARDRAIL_POINTS, .confidence = 0.95 },
    };
    cr_expect_float_eq(guardrail_log_bound(all, 3, &all[0]), log(200), 1e-9);
    cr_expect_float_eq(guardrail_log_bound(all, 3, &all[2]), log(40), 1e-9);
    cr_expect_float_eq(guardrail_log_bound(all, 2, &all[0]), log(100), 1e-9);
}

Test(guardrail, burn_windows_are_those_of_the_workbook_and_never_longer_than_the_hold)
{
    const int64_t second = 1000000, hour = 3600 * second, month = 720 * hour;
    int64_t longer, shorter;
    guardrail_burn_windows(14.4, month, 100 * hour, &longer, &shorter);
    cr_expect(longer == hour && shorter == 300 * second);
    guardrail_burn_windows(6, month, 100 * hour, &longer, &shorter);
    cr_expect(longer == 6 * hour && shorter == 1800 * second);
    guardrail_burn_windows(1, month, 100 * hour, &longer, &shorter);
    cr_expect(longer == 72 * hour && shorter == 6 * hour);
    guardrail_burn_windows(14.4, month, 600 * second, &longer, &shorter);
    cr_expect(longer == 600 * second && shorter == 50 * second);
    guardrail_burn_windows(14.4, month / 30 * 7, 100 * hour, &longer, &shorter);
    cr_expect_eq(longer, 840 * second, "in proportion");
}
