/* tests/unit/rollout/test_judge.c - each verdict, and the reason that is given for it. */
#include "rollout/judge.h"

#include "base/check.h"
#include "rollout/simulation.h"

#include <criterion/criterion.h>

#include <string.h>

/* One report into evidence about one guardrail at 10 %. */
static enum judge_verdict verdict_after(struct guardrail g, struct tally_counts c)
{
    struct evidence e;
    evidence_init(&e, &g, 1, false);
    evidence_begin_generation(&e, 1, 0.1);
    evidence_add_counts(&e, 1, &c, second(0));
    enum judge_verdict verdict = judge_guardrail(&e, 0, second(0));
    evidence_fini(&e);
    return verdict;
}

static struct guardrail rate_of(double max, double min)
{
    return (struct guardrail){ .kind = GUARDRAIL_RATE,
                               .name = "error_rate",
                               .column = TALLY_ERRORS,
                               .max = max,
                               .min = min,
                               .window_us = 60000000 };
}

Test(judge, a_rate_is_judged_once_there_is_enough_and_never_on_two_errors)
{
    struct guardrail g = rate_of(0.02, -INFINITY);
    cr_expect_eq(verdict_after(g, counts_of(99, 0, 900, 0)), JUDGE_INSUFFICIENT);
    cr_expect_eq(verdict_after(g, counts_of(100, 0, 900, 0)), JUDGE_HEALTHY);
    cr_expect_eq(verdict_after(g, counts_of(2, 2, 18, 0)), JUDGE_INSUFFICIENT, "two errors are a blip");
    cr_expect_eq(verdict_after(g, counts_of(3, 3, 27, 0)), JUDGE_BREACH, "but nobody waits for a hundred failures");
    cr_expect_eq(verdict_after(g, counts_of(1000, 20, 900, 0)), JUDGE_HEALTHY);
    cr_expect_eq(verdict_after(g, counts_of(1000, 21, 900, 0)), JUDGE_BREACH);
    struct guardrail least = rate_of(INFINITY, 0.1);
    cr_expect_eq(verdict_after(least, counts_of(99, 0, 900, 0)), JUDGE_INSUFFICIENT);
    cr_expect_eq(verdict_after(least, counts_of(100, 9, 900, 0)), JUDGE_BREACH);
    cr_expect_eq(verdict_after(least, counts_of(100, 10, 900, 0)), JUDGE_HEALTHY);
}

Test(judge, a_breach_of_a_window_passes_with_the_window)
{
    struct guardrail g = rate_of(0.02, -INFINITY);
    struct evidence e;
    evidence_init(&e, &g, 1, false);
    evidence_begin_generation(&e, 1, 1);
    struct tally_counts c = counts_of(100, 50, 0, 0);
    evidence_add_counts(&e, 1, &c, second(0));
    cr_expect_eq(judge_guardrail(&e, 0, second(30)), JUDGE_BREACH, "absolute rules need no stable: the bake has them");
    cr_expect_eq(judge_guardrail(&e, 0, second(90)), JUDGE_INSUFFICIENT);
    evidence_fini(&e);
}

Test(judge, an_absolute_latency_is_a_share_of_slow_answers)
{
    struct guardrail g = { .kind = GUARDRAIL_LATENCY,
                           .name = "latency_p99",
                           .column = TALLY_SLOW,
                           .quantile = 0.99,
                           .limit_us = 400000,
                           .window_us = 60000000 };
    struct tally_counts c = counts_of(1000, 0, 0, 0);
    c.columns[TALLY_CANARY][TALLY_SLOW] = 10;
    cr_expect_eq(verdict_after(g, c), JUDGE_HEALTHY);
    c.columns[TALLY_CANARY][TALLY_SLOW] = 11;
    cr_expect_eq(verdict_after(g, c), JUDGE_BREACH);
}

Test(judge, connections_that_fail_in_a_row_are_a_breach_and_a_success_ends_the_row)
{
    struct guardrail g = { .kind = GUARDRAIL_CONNECT_FAILURES, .name = "connect", .in_a_row = 5 };
    struct evidence e;
    evidence_init(&e, &g, 1, false);
    evidence_begin_generation(&e, 1, 0.1);
    struct tally_counts failed = counts_of(4, 4, 0, 0), mixed = counts_of(3, 2, 0, 0);
    failed.columns[TALLY_CANARY][TALLY_CONNECT_FAILURES] = 4;
    mixed.columns[TALLY_CANARY][TALLY_CONNECT_FAILURES] = 2;
    evidence_add_counts(&e, 1, &failed, second(0));
    evidence_add_counts(&e, 1, &mixed, second(1));
    evidence_add_counts(&e, 1, &failed, second(2));
    cr_expect_eq(judge_guardrail(&e, 0, second(2)), JUDGE_HEALTHY);
    evidence_add_counts(&e, 1, &failed, second(3));
    cr_expect_eq(judge_guardrail(&e, 0, second(3)), JUDGE_BREACH);
    evidence_fini(&e);
}

Test(judge, a_budget_that_burns_must_burn_in_both_windows)
{
    struct guardrail g = { .kind = GUARDRAIL_BURN,
                           .name = "slo checkout",
                           .column = TALLY_ERRORS,
                           .max = 10,
                           .objective = 0.99,
                           .window_us = 600000000,
                           .short_window_us = 50000000 };
    struct evidence e;
    evidence_init(&e, &g, 1, false);
    evidence_begin_generation(&e, 1, 0.1);
    struct tally_counts bad = counts_of(100, 30, 0, 0), good = counts_of(10, 0, 0, 0);
    evidence_add_counts(&e, 1, &bad, second(0));
    cr_expect_eq(judge_guardrail(&e, 0, second(0)), JUDGE_BREACH);
    for (int64_t t = 60; t < 120; t++)
        evidence_add_counts(&e, 1, &good, second(t));
    cr_expect_eq(judge_guardrail(&e, 0, second(120)), JUDGE_HEALTHY, "it was bad, and is over");
    evidence_fini(&e);
}

/* Its reason, too, which is made at every look: of an objective about one alone there is one budget only. */
Test(judge, an_objective_about_one_alone_is_judged_and_told_from_the_first_look_on)
{
    for (int is_slow = 0; is_slow < 2; is_slow++) {
        struct guardrail g = { .kind = GUARDRAIL_BURN,
                               .name = "slo checkout",
                               .column = is_slow ? TALLY_SLOW : TALLY_ERRORS,
                               .max = 10,
                               .objective = 0.99,
                               .limit_us = is_slow ? 300000 : 0,
                               .window_us = 600000000,
                               .short_window_us = 50000000 };
        struct evidence e;
        struct judge_result result;
        evidence_init(&e, &g, 1, false);
        evidence_begin_generation(&e, 1, 0.1);
        judge(&e, second(0), &result);
        cr_expect_eq(result.guardrails[0].verdict, JUDGE_INSUFFICIENT);
        struct tally_counts counts = counts_of(1000, is_slow ? 0 : 200, 0, 0);
        counts.columns[TALLY_CANARY][TALLY_SLOW] = is_slow ? 200 : 0;
        evidence_add_counts(&e, 1, &counts, second(1));
        judge(&e, second(1), &result);
        cr_expect_eq(result.guardrails[0].verdict, JUDGE_BREACH);
        const char *budget = is_slow ? "20 times the budget of latency" : "20 times the budget of availability";
        cr_expect_not_null(strstr(result.guardrails[0].reason, budget), "%s", result.guardrails[0].reason);
        evidence_fini(&e);
    }
}

/* An objective about both: 99 % answered, 95 % in time. */
static struct guardrail burn_of_both(void)
{
    return (struct guardrail){ .kind = GUARDRAIL_BURN,
                               .name = "slo checkout",
                               .column = TALLY_ERRORS,
                               .max = 10,
                               .objective = 0.99,
                               .slow_objective = 0.95,
                               .slow_column = TALLY_SLOW,
                               .limit_us = 300000,
                               .window_us = 600000000,
                               .short_window_us = 50000000 };
}

static struct judgement burn_judged(uint64_t errors, uint64_t slow)
{
    struct guardrail g = burn_of_both();
    struct evidence e;
    struct judge_result result;
    evidence_init(&e, &g, 1, false);
    evidence_begin_generation(&e, 1, 0.1);
    struct tally_counts counts = counts_of(1000, errors, 0, 0);
    counts.columns[TALLY_CANARY][TALLY_SLOW] = slow;
    evidence_add_counts(&e, 1, &counts, second(0));
    judge(&e, second(0), &result);
    evidence_fini(&e);
    return result.guardrails[0];
}

Test(judge, either_budget_of_an_objective_about_both_is_enough)
{
    struct judgement neither = burn_judged(50, 100), errors = burn_judged(101, 100), slow = burn_judged(50, 501);
    cr_expect_eq(neither.verdict, JUDGE_HEALTHY);
    cr_expect_float_eq(neither.progress, 0.5, 1e-9);
    cr_expect_eq(errors.verdict, JUDGE_BREACH);
    cr_expect_eq(slow.verdict, JUDGE_BREACH);
    cr_expect_not_null(strstr(errors.reason, "10.1 times the budget of availability"), "%s", errors.reason);
    cr_expect_not_null(strstr(slow.reason, "10 times the budget of latency"), "%s", slow.reason);
    cr_expect_not_null(strstr(slow.reason, "501 of 1000"), "%s", slow.reason);
}

Test(judge, samples_breach_go_stale_and_may_be_missing)
{
    struct guardrail g = { .kind = GUARDRAIL_SAMPLE,
                           .name = "saturation",
                           .max = 0.8,
                           .min = -INFINITY,
                           .in_a_row = 2,
                           .window_us = 30000000 };
    struct evidence e;
    evidence_init(&e, &g, 1, false);
    cr_expect_eq(judge_guardrail(&e, 0, second(0)), JUDGE_INSUFFICIENT);
    evidence_add_sample(&e, 0, 0.5, second(10));
    cr_expect_eq(judge_guardrail(&e, 0, second(20)), JUDGE_HEALTHY);
    cr_expect_eq(judge_guardrail(&e, 0, second(50)), JUDGE_UNKNOWN, "too old");
    evidence_add_sample(&e, 0, 0.9, second(60));
    cr_expect_eq(judge_guardrail(&e, 0, second(60)), JUDGE_HEALTHY, "once is a blip");
    evidence_add_sample(&e, 0, NAN, second(70));
    cr_expect_eq(judge_guardrail(&e, 0, second(70)), JUDGE_UNKNOWN);
    evidence_add_sample(&e, 0, 0.9, second(80));
    cr_expect_eq(judge_guardrail(&e, 0, second(80)), JUDGE_BREACH);
    evidence_fini(&e);
}

/* Ten minutes at 100 requests a second. */
static struct judge_result comparison_of(const struct guardrail *rails, uint32_t count, double canary, double stable)
{
    struct judge_result result;
    struct evidence e;
    struct rng rng;
    rng_init(&rng, 11);
    evidence_init(&e, rails, count, false);
    evidence_begin_generation(&e, 1, 0.2);
    for (int64_t t = 0; t < 600; t++)
        add_second(&e, &rng, 1, 100, 0.2, canary, stable, t);
    judge(&e, second(600), &result);
    evidence_fini(&e);
    return result;
}

Test(judge, a_comparison_ends_in_a_breach_a_proof_or_neither)
{
    struct guardrail rails[] = { ratio_of(1.5, 0.99), points_of(0.01, 0.99) };
    struct judge_result bad = comparison_of(rails, 2, 0.06, 0.02), good = comparison_of(rails, 2, 0.01, 0.02),
                        close = comparison_of(rails, 2, 0.028, 0.02);
    cr_expect(bad.is_breach && bad.cause == 0 && !bad.is_not_worse);
    cr_expect_float_eq(bad.guardrails[0].progress, 1, 1e-12);
    cr_expect_gt(bad.guardrails[0].evidence_log10, bad.guardrails[0].bound_log10);
    cr_expect_float_eq(bad.guardrails[0].bound_log10, log10(200), 1e-9, "two share one percent");
    cr_expect(good.is_not_worse && !good.is_breach && !good.is_held);
    cr_expect_eq(good.guardrails[1].verdict, JUDGE_NOT_WORSE);
    cr_expect_eq(close.guardrails[0].verdict, JUDGE_UNDECIDED);
    cr_expect(!close.is_not_worse && !close.is_held);
    cr_expect_lt(close.guardrails[0].progress, 1);
    cr_expect(strstr(bad.guardrails[0].reason, "more than 1.5 times stable's") != NULL, "%s", bad.guardrails[0].reason);
    cr_expect(strstr(bad.guardrails[1].reason, "1 points above stable") != NULL, "%s", bad.guardrails[1].reason);
}

Test(judge, fewer_purchases_are_worse_when_less_is_worse)
{
    struct guardrail g = ratio_of(0.9, 0.99);
    g.is_less_worse = true;
    cr_expect(comparison_of(&g, 1, 0.10, 0.20).is_breach);
    struct judge_result same = comparison_of(&g, 1, 0.30, 0.20);
    cr_expect(!same.is_breach && same.is_not_worse);
}

Test(judge, too_little_traffic_holds)
{
    struct guardrail g = ratio_of(1.5, 0.99);
    g.minimum_count = 500;
    cr_expect_eq(verdict_after(g, counts_of(499, 4, 4500, 40)), JUDGE_INSUFFICIENT);
    cr_expect_eq(verdict_after(g, counts_of(500, 5, 4500, 45)), JUDGE_UNDECIDED);
    cr_expect_eq(verdict_after(g, counts_of(10, 10, 90, 0)), JUDGE_BREACH, "what is proven needs no minimum");
}

Test(judge, a_split_without_its_share_voids_what_was_compared)
{
    struct guardrail rails[] = { ratio_of(1.5, 0.99), rate_of(0.02, -INFINITY) };
    struct judge_result result;
    struct evidence e;
    evidence_init(&e, rails, 2, false);
    evidence_begin_generation(&e, 1, 0.1);
    struct tally_counts c = counts_of(400, 100, 9600, 0);
    evidence_add_counts(&e, 1, &c, second(0));
    judge(&e, second(0), &result);
    cr_expect(result.is_void && result.is_held);
    cr_expect_eq(result.guardrails[0].verdict, JUDGE_VOID);
    cr_expect_eq(result.guardrails[1].verdict, JUDGE_BREACH, "an absolute rule compares nothing");
    cr_expect(strstr(result.void_reason, "4 %") != NULL, "%s", result.void_reason);
    evidence_fini(&e);
}

/* Its requests are begun and do not end. They are not lost: they will end as errors. */
Test(judge, a_canary_that_hangs_is_no_mismatch)
{
    struct guardrail g = ratio_of(1.5, 0.99);
    struct judge_result result;
    struct evidence e;
    evidence_init(&e, &g, 1, false);
    evidence_begin_generation(&e, 1, 0.1);
    struct tally_counts c = counts_of(0, 0, 9000, 10);
    c.begun[TALLY_CANARY] = 1000;
    evidence_add_counts(&e, 1, &c, second(0));
    judge(&e, second(0), &result);
    cr_expect_not(result.is_void);
    struct tally_counts ends = counts_of(1000, 1000, 0, 0);
    ends.begun[TALLY_CANARY] = 0;
    evidence_add_counts(&e, 1, &ends, second(30));
    judge(&e, second(30), &result);
    cr_expect(result.is_breach && !result.is_void);
    evidence_fini(&e);
}

Test(judge, a_split_as_it_should_be_is_almost_never_called_mismatched)
{
    struct guardrail g = ratio_of(1.5, 0.99);
    uint32_t voids = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct evidence e;
        struct rng rng;
        bool is_void = false;
        rng_init(&rng, seed);
        evidence_init(&e, &g, 1, false);
        evidence_begin_generation(&e, 1, 0.1);
        for (int64_t t = 0; t < 500; t++) {
            add_second(&e, &rng, 1, 100, 0.1, 0.01, 0.01, t);
            is_void |= judge_guardrail(&e, 0, second(t)) == JUDGE_VOID;
        }
        voids += is_void;
        evidence_fini(&e);
    }
    cr_expect_leq(voids, 3, "%u of 300", voids);
}

Test(judge, proof_is_withheld_when_mails_were_lost)
{
    struct guardrail g = ratio_of(1.5, 0.99);
    struct tally_counts c = counts_of(2000, 10, 18000, 180);
    cr_expect_eq(verdict_after(g, c), JUDGE_NOT_WORSE);
    c.unmailed = 1;
    cr_expect_eq(verdict_after(g, c), JUDGE_UNDECIDED);
}

Test(judge, the_forecast_is_near_what_a_simulation_takes)
{
    struct guardrail rails[] = { ratio_of(1, 0.99), points_of(0, 0.99) };
    for (uint32_t i = 0; i < 2; i++) {
        double forecast = judge_requests_needed(rails + i, 1, 0, 0.1, 0.02, 2.5);
        uint32_t sooner = 0, count = 60;
        for (uint32_t release = 0; release < count; release++) {
            struct evidence e;
            struct rng rng;
            rng_init(&rng, release + 1);
            evidence_init(&e, rails + i, 1, false);
            evidence_begin_generation(&e, 1, 0.1);
            double requests = 0;
            for (int64_t t = 0; requests < 10 * forecast && !is_breached(&e, t); t++, requests += 50)
                add_second(&e, &rng, 1, 50, 0.1, 0.05, 0.02, t);
            sooner += requests < forecast;
            evidence_fini(&e);
        }
        cr_expect(sooner > count / 5 && sooner < count * 4 / 5, "%u of %u before %g requests", sooner, count, forecast);
    }
    cr_expect(isinf(judge_requests_needed(rails, 1, 0, 0.1, 0.02, 1)));
    struct guardrail wide = ratio_of(1.5, 0.99);
    cr_expect(isinf(judge_requests_needed(&wide, 1, 0, 0.1, 0.02, 1.4)), "within its margin");
    cr_expect(isinf(judge_requests_needed(rails, 1, 0, 1, 0.02, 2)), "nothing to compare with");
}

/* After one report about one guardrail, at 10 %. */
static bool is_suspect_after(struct guardrail g, struct tally_counts c)
{
    struct evidence e;
    struct judge_result result;
    evidence_init(&e, &g, 1, false);
    evidence_begin_generation(&e, 1, 0.1);
    evidence_add_counts(&e, 1, &c, second(0));
    judge(&e, second(0), &result);
    evidence_fini(&e);
    return result.guardrails[0].is_suspect;
}

/* From where the time to detect counts. */
Test(judge, a_canary_is_suspect_once_something_speaks_against_it)
{
    struct guardrail most = rate_of(0.02, -INFINITY), least = rate_of(INFINITY, 0.1);
    cr_expect_not(is_suspect_after(most, counts_of(100, 0, 900, 0)));
    cr_expect(is_suspect_after(most, counts_of(100, 1, 900, 0)), "half of its limit");
    cr_expect_not(is_suspect_after(most, counts_of(1000, 9, 900, 0)));
    cr_expect_not(is_suspect_after(least, counts_of(20, 2, 900, 0)));
    cr_expect(is_suspect_after(least, counts_of(20, 1, 900, 0)), "before there is enough for a breach, too");
    struct guardrail ratio = { .kind = GUARDRAIL_RATIO, .name = "error_rate_ratio", .column = TALLY_ERRORS };
    ratio.margin = 1.5;
    ratio.confidence = 0.99;
    cr_expect_not(is_suspect_after(ratio, counts_of(100, 1, 900, 9)), "E is below 1");
    cr_expect(is_suspect_after(ratio, counts_of(100, 5, 900, 9)), "E is above 1, and far from its bound");
    struct guardrail connect = { .kind = GUARDRAIL_CONNECT_FAILURES, .name = "connect", .in_a_row = 5 };
    struct tally_counts failed = counts_of(1, 1, 0, 0);
    failed.columns[TALLY_CANARY][TALLY_CONNECT_FAILURES] = 1;
    cr_expect(is_suspect_after(connect, failed));
    cr_expect_not(is_suspect_after(connect, counts_of(1, 0, 0, 0)));
}
