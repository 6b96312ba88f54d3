/* tests/unit/rollout/test_evidence.c - the claims about evidence, by simulation with fixed seeds. */
#include "rollout/evidence.h"

#include "base/memory.h"
#include "rollout/simulation.h"

#include <criterion/criterion.h>

static const uint32_t error = 1u << TALLY_ERRORS;

/* Breaches among releases of so many seconds at 100 requests a second, looked at every second. */
static uint32_t alarms(struct guardrail g, uint32_t releases, uint32_t seconds, double share, double relative_risk,
                       double excess, double first_rate, double last_rate)
{
    uint32_t count = 0;
    for (uint32_t release = 0; release < releases; release++) {
        struct evidence e;
        struct rng rng;
        rng_init(&rng, release + 1);
        evidence_init(&e, &g, 1, false);
        evidence_begin_generation(&e, 1, share);
        for (uint32_t t = 0; t < seconds && !is_breached(&e, t); t++) {
            double base = first_rate + (last_rate - first_rate) * t / seconds;
            add_second(&e, &rng, 1, 100, share, base * relative_risk + excess, base, t);
        }
        count += is_breached(&e, seconds);
        evidence_fini(&e);
    }
    return count;
}

Test(evidence, without_a_difference_alarms_stay_within_the_confidence_at_every_look)
{
    double most = most_alarms(0.05, 300);
    cr_expect_leq(alarms(ratio_of(1, 0.95), 300, 600, 0.05, 1, 0, 0.02, 0.02), most);
    cr_expect_leq(alarms(points_of(0, 0.95), 300, 600, 0.05, 1, 0, 0.02, 0.02), most);
}

Test(evidence, at_the_edge_of_the_margin_alarms_stay_within_the_confidence)
{
    double most = most_alarms(0.05, 300);
    cr_expect_leq(alarms(ratio_of(1.5, 0.95), 300, 600, 0.05, 1.5, 0, 0.02, 0.02), most);
    cr_expect_leq(alarms(points_of(0.01, 0.95), 300, 600, 0.05, 1, 0.01, 0.02, 0.02), most);
}

Test(evidence, a_base_rate_that_falls_to_a_tenth_fools_neither_ratio_nor_points)
{
    double most = most_alarms(0.05, 300);
    cr_expect_leq(alarms(ratio_of(1.5, 0.95), 300, 600, 0.1, 1.5, 0, 0.02, 0.002), most);
    cr_expect_leq(alarms(points_of(0.005, 0.95), 300, 600, 0.1, 1, 0.005, 0.02, 0.002), most);
}

Test(evidence, a_canary_that_is_worse_is_found)
{
    cr_expect_eq(alarms(ratio_of(1.5, 0.99), 40, 600, 0.1, 5, 0, 0.01, 0.01), 40);
    cr_expect_eq(alarms(points_of(0.005, 0.99), 40, 600, 0.1, 1, 0.04, 0.01, 0.01), 40);
}

/* Half an hour without a difference pulls E far down; the reserve does not care. */
Test(evidence, a_canary_that_breaks_late_is_found_within_seconds)
{
    struct guardrail rails[] = { ratio_of(1.5, 0.99), points_of(0.005, 0.99) };
    for (uint32_t i = 0; i < 2; i++) {
        struct evidence e;
        struct rng rng;
        rng_init(&rng, 1);
        evidence_init(&e, &rails[i], 1, false);
        evidence_begin_generation(&e, 1, 0.05);
        for (int64_t t = 0; t < 1800; t++)
            add_second(&e, &rng, 1, 100, 0.05, 0.01, 0.01, t);
        cr_expect_not(is_breached(&e, 1800));
        int64_t t = 1800;
        for (; t < 1900 && !is_breached(&e, t); t++)
            add_second(&e, &rng, 1, 100, 0.05, 0.5, 0.01, t);
        cr_expect_leq(t, 1810, "%lld s", (long long)t - 1800);
        evidence_fini(&e);
    }
}

/* Errors of a block are drawn without replacement, by the exchangeable draw: the next of them is the canary's with the
   probability that is left in the block. */
Test(evidence, draws_without_replacement_from_blocks_stay_within_the_confidence)
{
    struct guardrail g = ratio_of(1, 0.95);
    uint32_t count = 0, releases = 300, block = 20, canaries = 1;
    for (uint32_t release = 0; release < releases; release++) {
        struct evidence e;
        struct rng rng;
        rng_init(&rng, release + 1);
        evidence_init(&e, &g, 1, false);
        evidence_begin_generation(&e, 1, 0.05);
        for (uint32_t t = 0; t < 1000; t++) {
            uint32_t errors = draw_binomial(&rng, block, 0.1), left = block, left_canary = canaries;
            for (; errors > 0; errors--, left--) {
                bool is_canary = rng_below(&rng, left) < left_canary;
                struct tally_counts c = counts_of(is_canary, is_canary, !is_canary, !is_canary);
                left_canary -= is_canary;
                evidence_add_counts(&e, 1, &c, second(t)); /* looked at after each one, inside the block */
            }
        }
        count += is_breached(&e, 1000);
        evidence_fini(&e);
    }
    cr_expect_leq(count, most_alarms(0.05, releases));
}

Test(evidence, counts_are_charged_with_the_share_they_were_assigned_under)
{
    struct guardrail g = ratio_of(1, 0.99);
    struct evidence e, late;
    evidence_init(&e, &g, 1, false);
    evidence_init(&late, &g, 1, false);
    struct tally_counts c = counts_of(10, 1, 990, 9), d = counts_of(500, 20, 500, 10);
    evidence_begin_generation(&e, 1, 0.01);
    evidence_begin_generation(&e, 2, 0.5);
    evidence_add_counts(&e, 1, &c, second(0));
    evidence_add_counts(&e, 2, &d, second(1));
    evidence_begin_generation(&late, 1, 0.01);
    evidence_begin_generation(&late, 2, 0.5);
    evidence_add_counts(&late, 2, &d, second(1));
    evidence_add_counts(&late, 1, &c, second(2));
    cr_expect_float_eq(e.states[0].worse.log_e, late.states[0].worse.log_e, 1e-9, "the order changes nothing");
    evidence_add_counts(&e, 3, &c, second(3));
    cr_expect_eq(e.late, 1, "nobody knows its share");
    cr_expect_float_eq(e.states[0].worse.log_e, late.states[0].worse.log_e, 1e-9);
    evidence_fini(&e);
    evidence_fini(&late);
}

Test(evidence, the_whole_traffic_compares_nothing)
{
    struct guardrail g = ratio_of(1, 0.99);
    struct evidence e;
    evidence_init(&e, &g, 1, false);
    evidence_begin_generation(&e, 1, 1);
    struct tally_counts c = counts_of(1000, 900, 0, 0);
    evidence_add_counts(&e, 1, &c, second(0));
    cr_expect_float_eq(e.states[0].worse.log_e, 0, 1e-12);
    evidence_fini(&e);
}

/* ---- thresholds -------------------------------------------------------------------------------------------------------- */

static struct tally_counts durations_of(struct rng *rng, uint32_t canary, uint32_t stable, double slower,
                                        const struct tally_rules *rules)
{
    struct tally tally;
    struct tally_counts sum = { 0 };
    memset(&tally, 0, sizeof tally);
    for (uint32_t i = 0; i < canary + stable; i++) {
        enum tally_arm arm = i < canary ? TALLY_CANARY : TALLY_STABLE;
        double us = 50000 * exp(0.5 * draw_normal(rng)) * (arm == TALLY_CANARY ? slower : 1);
        tally_begin(&tally, arm);
        tally_end(&tally, rules, arm, 0, (uint64_t)us);
    }
    tally_sum(&sum, &tally);
    return sum;
}

Test(evidence, thresholds_come_from_earlier_requests_and_the_margin_is_the_canarys)
{
    struct guardrail g[] = { latency_of(0.95, 1.2, 0.99),
                             { .kind = GUARDRAIL_LATENCY,
                               .name = "latency_p99",
                               .identity = 9,
                               .quantile = 0.99,
                               .limit_us = 400000,
                               .window_us = 60000000 } };
    struct evidence e;
    struct rng rng;
    struct tally_rules rules;
    rng_init(&rng, 5);
    guardrails_assign_columns(g, 2);
    evidence_init(&e, g, 2, false);
    evidence_begin_generation(&e, 1, 0.1);
    evidence_rules(&e, &rules);
    cr_expect_eq(rules.slow_us[0][TALLY_CANARY], UINT64_MAX, "nothing is known yet");
    cr_expect_eq(rules.slow_us[1][TALLY_CANARY], 400000, "a limit is known from the start");
    struct tally_counts c = durations_of(&rng, 0, 199, 1, &rules);
    evidence_add_counts(&e, 1, &c, second(0));
    cr_expect_not(evidence_learn_thresholds(&e, second(0)));
    c = durations_of(&rng, 200, 1801, 1, &rules);
    evidence_add_counts(&e, 1, &c, second(1));
    cr_expect(evidence_learn_thresholds(&e, second(1)));
    cr_expect_not(evidence_learn_thresholds(&e, second(900)), "not before there are more");
    evidence_add_counts(&e, 1, &c, second(2));
    cr_expect_not(evidence_learn_thresholds(&e, second(10)), "nor twice in ten seconds");
    cr_expect(evidence_learn_thresholds(&e, second(11)));
    evidence_begin_generation(&e, 2, 0.1);
    evidence_rules(&e, &rules);
    double stable = (double)rules.slow_us[0][TALLY_STABLE], canary = (double)rules.slow_us[0][TALLY_CANARY];
    cr_expect_float_eq(stable / (50000 * exp(0.5 * 1.645)), 1, 0.1, "%g us", stable);
    cr_expect_float_eq(canary / stable, 1.2, 1e-3);
    cr_expect_eq(rules.slow_count, 2);
    evidence_fini(&e);
}

/* Behind so many requests of stable that take `slower` times as long, a hundred a second: its threshold, in parts of what it is for 1. */
static double threshold_after(struct evidence *e, struct rng *rng, int64_t *now_s, uint32_t count, double slower)
{
    struct tally_rules rules;
    for (uint32_t i = 0; i < count; i += 100) {
        struct tally_counts c = { .begun[TALLY_STABLE] = 100, .requests[TALLY_STABLE] = 100 };
        for (uint32_t k = 0; k < 100; k++)
            histogram_add(&c.stable_durations, (uint64_t)(50000 * exp(0.5 * draw_normal(rng)) * slower));
        evidence_add_counts(e, 1, &c, second(++*now_s));
        (void)evidence_learn_thresholds(e, second(*now_s));
    }
    evidence_rules(e, &rules);
    return (double)rules.slow_us[0][TALLY_STABLE] / (50000 * exp(0.5 * 1.645));
}

Test(evidence, a_stable_that_changes_is_followed)
{
    struct guardrail g = latency_of(0.95, 1.2, 0.99);
    struct evidence e;
    struct rng rng;
    int64_t now_s = 0;
    rng_init(&rng, 6);
    guardrails_assign_columns(&g, 1);
    evidence_init(&e, &g, 1, false);
    evidence_begin_generation(&e, 1, 0.1);
    cr_expect_float_eq(threshold_after(&e, &rng, &now_s, 60000, 1), 1, 0.1);
    cr_expect_gt(threshold_after(&e, &rng, &now_s, 3000, 2), 1.4, "slower: most of the way after some thousand");
    cr_expect_float_eq(threshold_after(&e, &rng, &now_s, 20000, 2), 2, 0.2);
    cr_expect_float_eq(threshold_after(&e, &rng, &now_s, 20000, 1), 1, 0.1, "and back");
    evidence_fini(&e);
}

/* Alarms of so many seconds at 20 requests a second, 10 % of them the canary's. */
static uint32_t latency_alarms(struct guardrail g, uint32_t releases, uint32_t seconds, double slower)
{
    uint32_t count = 0;
    guardrails_assign_columns(&g, 1);
    for (uint32_t release = 0; release < releases; release++) {
        struct evidence e;
        struct rng rng;
        struct tally_rules rules;
        uint64_t generation = 1;
        rng_init(&rng, release + 1);
        evidence_init(&e, &g, 1, false);
        evidence_begin_generation(&e, generation, 0.1);
        for (uint32_t t = 0; t < seconds && !is_breached(&e, t); t++) {
            evidence_rules(&e, &rules);
            uint32_t canary = draw_binomial(&rng, 20, 0.1);
            struct tally_counts c = durations_of(&rng, canary, 20 - canary, slower, &rules);
            evidence_add_counts(&e, generation, &c, second(t));
            if (evidence_learn_thresholds(&e, second(t)))
                evidence_begin_generation(&e, ++generation, 0.1);
        }
        count += is_breached(&e, seconds);
        evidence_fini(&e);
    }
    return count;
}

Test(evidence, latency_without_a_difference_stays_within_the_confidence)
{
    cr_expect_leq(latency_alarms(latency_of(0.95, 1, 0.95), 100, 400, 1), most_alarms(0.05, 100));
    cr_expect_leq(latency_alarms(latency_of(0, 1, 0.95), 100, 400, 1), most_alarms(0.05, 100));
}

/* One threshold for both arms, scaled by the margin, would call this a breach nearly always. */
Test(evidence, a_canary_slower_within_its_margin_is_no_breach)
{
    cr_expect_leq(latency_alarms(latency_of(0.95, 1.2, 0.95), 100, 400, 1.1), 1);
}

Test(evidence, a_slower_canary_is_found)
{
    cr_expect_geq(latency_alarms(latency_of(0.95, 1, 0.95), 30, 400, 1.5), 29);
    cr_expect_geq(latency_alarms(latency_of(0, 1, 0.95), 30, 400, 1.5), 29);
}

/* ---- sticky users ------------------------------------------------------------------------------------------------------ */

Test(evidence, a_user_counts_once_whichever_worker_mails)
{
    struct guardrail g = ratio_of(1, 0.99);
    struct evidence e;
    evidence_init(&e, &g, 1, true);
    evidence_begin_generation(&e, 1, 0.1);
    struct tally_first quiet = { 1, 77, 0, TALLY_CANARY }, bad = { 1, 77, error, TALLY_CANARY };
    evidence_add_first(&e, &quiet);
    evidence_add_first(&e, &bad);
    evidence_add_first(&e, &bad);
    evidence_add_first(&e, &quiet);
    cr_expect_eq(e.compared[TALLY_CANARY], 1);
    cr_expect_eq(e.states[0].events[TALLY_CANARY], 1);
    struct tally_counts c = counts_of(100, 50, 900, 10);
    evidence_add_counts(&e, 1, &c, second(0));
    cr_expect_eq(e.states[0].events[TALLY_CANARY], 1, "counts are for the absolute rules");
    evidence_fini(&e);
}

#define USER_COUNT 200

/* How many of 100 releases alarm with 200 users and no difference. */
static uint32_t sticky_alarms(bool is_each_request_counted)
{
    struct guardrail g = ratio_of(1, 0.95);
    struct user users[USER_COUNT];
    uint32_t count = 0;
    for (uint32_t release = 0; release < 100; release++) {
        struct evidence e;
        struct rng rng;
        rng_init(&rng, release + 1);
        users_make(users, USER_COUNT, &rng, 0.002);
        evidence_init(&e, &g, 1, !is_each_request_counted);
        evidence_begin_generation(&e, 1, 0.1);
        for (uint32_t i = 0; i < 10000; i++) {
            const struct user *u = &users[rng_below(&rng, USER_COUNT)];
            if (!is_each_request_counted) {
                user_request(&e, &rng, u, 1, 0.1, 1);
                continue;
            }
            bool is_canary = u->position < 0.1, is_error = draw_chance(&rng, u->error_rate);
            struct tally_counts c = counts_of(is_canary, is_canary && is_error, !is_canary, !is_canary && is_error);
            evidence_add_counts(&e, 1, &c, second(i));
        }
        count += is_breached(&e, 10000) || e.states[0].worse.log_e_most >= log(20);
        evidence_fini(&e);
    }
    return count;
}

Test(evidence, first_errors_of_sticky_users_stay_within_the_confidence)
{
    cr_expect_leq(sticky_alarms(false), most_alarms(0.05, 100));
}

/* Why: users who fail often are all on one side or the other. */
Test(evidence, every_error_of_sticky_users_would_not)
{
    cr_expect_geq(sticky_alarms(true), 20);
}

Test(evidence, a_raise_begins_a_cohort_of_the_newly_exposed)
{
    struct guardrail g = ratio_of(1, 0.99);
    struct evidence e;
    struct tally_rules rules;
    evidence_init(&e, &g, 1, true);
    evidence_begin_generation(&e, 1, 0.1);
    struct tally_first old = { 1, 77, error, TALLY_STABLE };
    evidence_add_first(&e, &old);
    evidence_begin_generation(&e, 2, 0.4);
    evidence_rules(&e, &rules);
    cr_expect_eq(rules.fresh_from_ppm, 100000);
    cr_expect_float_eq(e.generations[1].compared_share, 0.3 / 0.9, 1e-9);
    struct tally_first again = { 2, 77, error, TALLY_CANARY };
    evidence_add_first(&e, &again);
    cr_expect_eq(e.states[0].events[TALLY_CANARY], 1, "the seen-set is empty again");
    evidence_add_first(&e, &old);
    cr_expect_eq(e.late, 1, "an old cohort's mail is nobody's");

    evidence_begin_generation(&e, 3, 0.4);
    evidence_rules(&e, &rules);
    cr_expect_eq(rules.fresh_from_ppm, 100000, "the same weight again goes on with its cohort");
    again.generation = 3;
    evidence_add_first(&e, &again);
    cr_expect_eq(e.states[0].events[TALLY_CANARY], 1, "and with those it has seen");
    evidence_fini(&e);
}

Test(evidence, a_lower_weight_compares_nobody_until_users_are_new_again)
{
    struct guardrail g = ratio_of(1, 0.99);
    struct evidence e;
    struct tally_rules rules;
    evidence_init(&e, &g, 1, true);
    evidence_begin_generation(&e, 1, 0.4);
    evidence_begin_generation(&e, 2, 0.1);
    evidence_rules(&e, &rules);
    cr_expect_eq(rules.fresh_from_ppm, 1000000, "nobody");
    struct tally_first first = { 2, 5, error, TALLY_CANARY };
    evidence_add_first(&e, &first);
    cr_expect_eq(e.compared[TALLY_CANARY], 0);
    evidence_begin_generation(&e, 3, 0.4);
    evidence_rules(&e, &rules);
    cr_expect_eq(rules.fresh_from_ppm, 1000000, "all of these had it before");
    evidence_begin_generation(&e, 4, 0.5);
    evidence_rules(&e, &rules);
    cr_expect_eq(rules.fresh_from_ppm, 400000);
    evidence_fini(&e);
}

/* Everybody has been seen at 10 % when the canary turns bad; only those whom 50 % exposes can tell. */
Test(evidence, a_regression_after_everybody_was_seen_is_found_by_the_next_cohort)
{
    struct guardrail g = ratio_of(1, 0.95);
    struct user users[USER_COUNT];
    struct evidence e;
    struct rng rng;
    rng_init(&rng, 3);
    users_make(users, USER_COUNT, &rng, 0.05);
    evidence_init(&e, &g, 1, true);
    evidence_begin_generation(&e, 1, 0.1);
    for (uint32_t i = 0; i < 200 * USER_COUNT; i++)
        user_request(&e, &rng, &users[i % USER_COUNT], 1, 0.1, 1);
    uint64_t before = e.states[0].events[TALLY_CANARY];
    for (uint32_t i = 0; i < 5 * USER_COUNT; i++)
        user_request(&e, &rng, &users[i % USER_COUNT], 1, 0.1, 8);
    cr_expect_leq(e.states[0].events[TALLY_CANARY], before + 1, "blind");
    evidence_begin_generation(&e, 2, 0.5);
    for (uint32_t i = 0; i < 5 * USER_COUNT; i++)
        user_request(&e, &rng, &users[i % USER_COUNT], 2, 0.5, 8);
    cr_expect(is_breached(&e, 0));
    evidence_fini(&e);
}

/* The canary is three times as bad, and everybody has an error sooner or later: first errors come from both sides as the
   users do. A proof from these would hold; from first requests there is none. */
Test(evidence, a_worse_canary_is_never_proven_not_worse_as_users_run_out)
{
    struct guardrail g = ratio_of(1.5, 0.95);
    struct user *users = memory_zalloc(4000 * sizeof *users);
    struct eprocess_ratio wrong;
    struct evidence e;
    struct rng rng;
    rng_init(&rng, 4);
    users_make(users, 4000, &rng, 0.1);
    evidence_init(&e, &g, 1, true);
    evidence_begin_generation(&e, 1, 0.5);
    for (uint32_t i = 0; i < 60 * 4000; i++)
        user_request(&e, &rng, &users[i % 4000], 1, 0.5, 3);
    eprocess_ratio_init(&wrong, 1.5, EPROCESS_LESS, 0);
    eprocess_ratio_add(&wrong, 0.5, e.states[0].events[TALLY_CANARY], e.states[0].events[TALLY_STABLE]);
    cr_expect_gt(wrong.log_e, log(20), "first events would prove it");
    cr_expect_lt(e.states[0].proof.log_e_most, log(20), "first requests do not");
    evidence_fini(&e);
    memory_free(users);
}

/* ---- guardrails that change -------------------------------------------------------------------------------------------- */

Test(evidence, a_reload_keeps_the_evidence_of_guardrails_that_stay)
{
    struct guardrail before[] = { ratio_of(1.5, 0.99), points_of(0.01, 0.99) };
    struct guardrail after[] = { latency_of(0.95, 1.2, 0.99), ratio_of(1.5, 0.99) };
    struct evidence e;
    evidence_init(&e, before, 2, false);
    evidence_begin_generation(&e, 1, 0.1);
    struct tally_counts c = counts_of(100, 10, 900, 9);
    evidence_add_counts(&e, 1, &c, second(0));
    double log_e = e.states[0].worse.log_e;
    cr_expect_gt(log_e, 1);
    evidence_use_guardrails(&e, after, 2);
    cr_expect_float_eq(e.states[1].worse.log_e, log_e, 1e-12);
    cr_expect_float_eq(e.states[0].worse.log_e, 0, 1e-12);
    evidence_add_counts(&e, 1, &c, second(1));
    cr_expect_eq(e.late, 1, "its columns were those of the guardrails before");
    evidence_fini(&e);
}
