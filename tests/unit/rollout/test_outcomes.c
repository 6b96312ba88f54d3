/* tests/unit/rollout/test_outcomes.c - outcomes that are told afterwards are evidence of the exposures that they belong to. */
#include "rollout/outcomes.h"

#include "rollout/judge.h"
#include "rollout/simulation.h"

#include <criterion/criterion.h>

#define PURCHASE TALLY_EVENTS

static const struct guardrail fewer = { .kind = GUARDRAIL_RATIO,
                                        .identity = 1,
                                        .name = "purchase",
                                        .column = PURCHASE,
                                        .margin = 0.9,
                                        .is_less_worse = true,
                                        .told_us = 8000000,
                                        .confidence = 0.95 };

static struct evidence_outcome outcome_of(enum tally_arm arm, uint64_t count, uint32_t share_ppm)
{
    return (struct evidence_outcome){ .arm = arm, .column = PURCHASE, .count = count, .share_ppm = share_ppm };
}

static void requests_add(struct evidence *e, uint64_t generation, uint64_t canary, uint64_t stable)
{
    struct tally_counts c = counts_of(canary, 0, stable, 0);
    evidence_add_counts(e, generation, &c, second(0));
}

/* A release whose outcomes come ten reports later than the weight: 1 % first, then half. */
static bool is_taken_back(uint64_t seed, double canary_rate, bool by_own_share)
{
    struct evidence e;
    struct rng rng;
    rng_init(&rng, seed);
    evidence_init(&e, &fewer, 1, false);
    evidence_begin_generation(&e, 1, 0.01);
    requests_add(&e, 1, 100, 9900);
    evidence_begin_generation(&e, 2, 0.5);
    requests_add(&e, 2, 1000, 1000);
    for (uint32_t i = 0; i < 40; i++) {
        bool is_early = i < 10;
        double share = is_early ? 0.01 : 0.5;
        uint32_t canary = draw_binomial(&rng, 100, share);
        struct evidence_outcome c = outcome_of(TALLY_CANARY, draw_binomial(&rng, canary, canary_rate), 0);
        struct evidence_outcome s = outcome_of(TALLY_STABLE, draw_binomial(&rng, 100 - canary, 0.3), 0);
        c.share_ppm = s.share_ppm = is_early && by_own_share ? 10000 : 500000;
        c.at = s.at = second(i);
        outcomes_add(&e, &c, second(i));
        outcomes_add(&e, &s, second(i));
        outcomes_settle(&e, second(i));
    }
    outcomes_settle(&e, second(60));
    bool is_breach = is_breached(&e, 60);
    evidence_fini(&e);
    return is_breach;
}

static uint32_t taken_back(double canary_rate, bool by_own_share)
{
    uint32_t count = 0;
    for (uint64_t seed = 1; seed <= 200; seed++)
        count += is_taken_back(seed, canary_rate, by_own_share);
    return count;
}

Test(outcomes, equal_ones_take_nothing_back_however_late_they_come)
{
    cr_expect_leq(taken_back(0.3, true), most_alarms(0.05, 200));
    cr_expect_gt(taken_back(0.3, false), 190, "charged with the share of today they would");
}

Test(outcomes, fewer_of_the_canary_take_it_back)
{
    cr_expect_gt(taken_back(0.1, true), 190);
}

/* Stable's upstream tells at once, the canary's seven seconds later. */
Test(outcomes, who_tells_sooner_does_not_sell_more)
{
    struct evidence e;
    evidence_init(&e, &fewer, 1, false);
    evidence_begin_generation(&e, 1, 0.5);
    requests_add(&e, 1, 10000, 10000);
    for (int64_t i = 0; i < 60; i++) {
        struct evidence_outcome s = outcome_of(TALLY_STABLE, 50, 500000), c = outcome_of(TALLY_CANARY, 50, 500000);
        s.at = second(i);
        c.at = second(i - 7);
        outcomes_add(&e, &s, second(i));
        if (i >= 7)
            outcomes_add(&e, &c, second(i));
        outcomes_settle(&e, second(i));
        cr_assert_lt(e.states[0].worse.log_e_most, 1);
    }
    cr_expect_eq(e.states[0].events[TALLY_STABLE], e.states[0].events[TALLY_CANARY]);
    cr_expect_gt(e.states[0].events[TALLY_CANARY], 2000);
    evidence_fini(&e);
}

Test(outcomes, that_are_told_too_late_are_compared_on_neither_side)
{
    struct evidence e;
    evidence_init(&e, &fewer, 1, false);
    evidence_begin_generation(&e, 1, 0.5);
    requests_add(&e, 1, 100, 100);
    struct evidence_outcome s = outcome_of(TALLY_STABLE, 50, 500000);
    s.at = second(100);
    cr_expect(outcomes_add(&e, &s, second(108)));
    cr_expect_not(outcomes_add(&e, &s, second(109)));
    outcomes_settle(&e, second(108));
    cr_expect_eq(e.states[0].events[TALLY_STABLE], 0);
    outcomes_settle(&e, second(109));
    outcomes_settle(&e, second(110));
    cr_expect_eq(e.states[0].events[TALLY_STABLE], 50);
    evidence_fini(&e);
}

/* ---- over a restart ------------------------------------------------------------------------------------------------------ */

/* Told so many seconds late, half of it of one share and half of another. */
static void tell(struct evidence *e, int64_t i, int64_t ahead_us)
{
    struct evidence_outcome s = outcome_of(TALLY_STABLE, 3 + (uint64_t)i % 5, i % 2 ? 500000 : 400000);
    struct evidence_outcome c = outcome_of(TALLY_CANARY, 2 + (uint64_t)i % 4, s.share_ppm);
    struct mono_time now = { second(i).us + ahead_us };
    s.at.us = now.us - i % 3 * 900000;
    c.at.us = now.us - i % 7 * 1100000;
    outcomes_add(e, &s, now);
    outcomes_add(e, &c, now);
    outcomes_settle(e, now);
}

static void restart(struct evidence *from, struct mono_time then, struct evidence *to, struct mono_time now,
                    int64_t down_us)
{
    struct text bytes = { 0 };
    evidence_save(from, then, &bytes);
    evidence_fini(from);
    evidence_init(to, &fewer, 1, false);
    cr_assert(evidence_load(to, text_slice(&bytes), now, down_us));
    evidence_begin_generation(to, 1, 0.5);
    text_fini(&bytes);
}

/* The new process's clock is another, and not by whole slots. */
Test(outcomes, that_wait_go_on_waiting_over_a_restart)
{
    const int64_t ahead_us = -23456789;
    struct evidence whole, before, after;
    evidence_init(&whole, &fewer, 1, false);
    evidence_init(&before, &fewer, 1, false);
    evidence_begin_generation(&whole, 1, 0.5);
    evidence_begin_generation(&before, 1, 0.5);
    for (int64_t i = 0; i < 30; i++) {
        tell(&whole, i, 0);
        tell(&before, i, 0);
    }
    cr_assert_gt(before.states[0].outcomes.count, 4);
    restart(&before, second(30), &after, (struct mono_time){ second(30).us + ahead_us }, 0);
    cr_expect_eq(after.states[0].outcomes.count, whole.states[0].outcomes.count);
    outcomes_settle(&whole, second(60));
    outcomes_settle(&after, (struct mono_time){ second(60).us + ahead_us });
    cr_expect_eq(after.states[0].events[TALLY_STABLE], whole.states[0].events[TALLY_STABLE]);
    cr_expect_eq(after.states[0].events[TALLY_CANARY], whole.states[0].events[TALLY_CANARY]);
    cr_expect_float_eq(after.states[0].worse.log_e, whole.states[0].worse.log_e, 1e-9);
    evidence_fini(&whole);
    evidence_fini(&after);
}

Test(outcomes, that_became_due_while_the_process_was_down_are_compared_at_once)
{
    struct evidence before, after;
    evidence_init(&before, &fewer, 1, false);
    evidence_begin_generation(&before, 1, 0.5);
    struct evidence_outcome c = outcome_of(TALLY_CANARY, 7, 500000);
    c.at = second(100);
    cr_assert(outcomes_add(&before, &c, second(101)));
    restart(&before, second(101), &after, second(5), INT64_C(3600) * 1000000);
    outcomes_settle(&after, second(5));
    cr_expect_eq(after.states[0].events[TALLY_CANARY], 7);
    evidence_fini(&after);
}

static void save_with_some_that_wait(struct text *bytes)
{
    struct evidence e;
    evidence_init(&e, &fewer, 1, false);
    evidence_begin_generation(&e, 1, 0.5);
    for (int64_t i = 0; i < 30; i++)
        tell(&e, i, 0);
    evidence_save(&e, second(30), bytes);
    evidence_fini(&e);
}

/* Whatever is flipped: refused, or read as something that can be judged. */
Test(outcomes, that_were_not_written_by_us_are_refused_or_bounded)
{
    struct text bytes = { 0 };
    save_with_some_that_wait(&bytes);
    for (size_t i = bytes.len - 600; i < bytes.len; i++)
        for (int flip = 1; flip < 0x100; flip = flip * 2 + 1) {
            struct evidence e;
            evidence_init(&e, &fewer, 1, false);
            bytes.bytes[i] ^= (char)flip;
            if (evidence_load(&e, text_slice(&bytes), second(7), 0)) {
                cr_assert_leq(e.states[0].outcomes.count, OUTCOME_SLOTS);
                outcomes_settle(&e, second(100));
                is_breached(&e, 100);
            }
            bytes.bytes[i] ^= (char)flip;
            evidence_fini(&e);
        }
    text_fini(&bytes);
}

/* Evidence of before outcomes were stored with it ends where they begin: none wait. */
Test(outcomes, evidence_without_them_is_still_read)
{
    struct text bytes = { 0 };
    struct evidence e;
    evidence_init(&e, &fewer, 1, false);
    evidence_begin_generation(&e, 1, 0.5);
    requests_add(&e, 1, 1000, 2000);
    evidence_save(&e, second(30), &bytes);
    evidence_fini(&e);
    /* The only guardrail's state is last, behind its length; the number of slots is its last word. */
    size_t at = bytes.len - 16;
    for (uint64_t length = 0; length != bytes.len - at - 8; memcpy(&length, bytes.bytes + at, 8))
        at--;
    uint64_t shorter = bytes.len - at - 16;
    memcpy(bytes.bytes + at, &shorter, 8);
    evidence_init(&e, &fewer, 1, false);
    cr_assert(evidence_load(&e, slice_from(bytes.bytes, bytes.len - 8), second(7), 0));
    cr_expect_eq(e.requests[TALLY_STABLE], 2000);
    cr_expect_eq(e.states[0].outcomes.count, 0);
    evidence_fini(&e);
    text_fini(&bytes);
}

/* Nobody may make it grow: shares that come and go find no room any more, and what was told before stays. */
Test(outcomes, wait_in_bounded_memory)
{
    struct evidence e;
    evidence_init(&e, &fewer, 1, false);
    evidence_begin_generation(&e, 1, 0.5);
    for (uint32_t i = 0; i < 100; i++) {
        struct evidence_outcome o = outcome_of(TALLY_CANARY, 1, 1000 + i);
        cr_expect_eq(outcomes_add(&e, &o, second(0)), i < OUTCOME_SLOTS);
    }
    outcomes_settle(&e, second(20));
    cr_expect_eq(e.states[0].events[TALLY_CANARY], OUTCOME_SLOTS);
    evidence_fini(&e);
}

/* By header and afterwards: the same evidence for the same events. */
Test(outcomes, weigh_as_much_as_those_of_the_header)
{
    struct evidence header, later;
    evidence_init(&header, &fewer, 1, false);
    evidence_init(&later, &fewer, 1, false);
    evidence_begin_generation(&header, 1, 0.25);
    evidence_begin_generation(&later, 1, 0.25);
    struct tally_counts c = counts_of(100, 0, 300, 0);
    c.columns[TALLY_CANARY][PURCHASE] = 5;
    c.columns[TALLY_STABLE][PURCHASE] = 60;
    evidence_add_counts(&header, 1, &c, second(0));
    requests_add(&later, 1, 100, 300);
    struct evidence_outcome canary = outcome_of(TALLY_CANARY, 5, 250000), stable = outcome_of(TALLY_STABLE, 60, 250000);
    cr_expect(outcomes_add(&later, &canary, second(1)) && outcomes_add(&later, &stable, second(1)));
    cr_expect_float_eq(later.states[0].worse.log_e, 0, 1e-12, "they wait for others");
    outcomes_settle(&later, second(17));
    cr_expect_float_eq(header.states[0].worse.log_e, later.states[0].worse.log_e, 1e-9);
    cr_expect_float_eq(header.states[0].proof.log_e, later.states[0].proof.log_e, 1e-9);
    cr_expect_eq(later.requests[TALLY_CANARY], 100, "they are no requests");
    cr_expect_eq(later.states[0].events[TALLY_STABLE], 60);
    evidence_fini(&header);
    evidence_fini(&later);
}

Test(outcomes, count_in_absolute_rules_of_the_canary_alone)
{
    const struct guardrail most = { .kind = GUARDRAIL_RATE,
                                    .identity = 1,
                                    .name = "refund",
                                    .column = PURCHASE,
                                    .max = 0.1,
                                    .min = -INFINITY,
                                    .window_us = 60000000 };
    struct evidence e;
    evidence_init(&e, &most, 1, false);
    evidence_begin_generation(&e, 1, 0.5);
    requests_add(&e, 1, 100, 100);
    struct evidence_outcome stable = outcome_of(TALLY_STABLE, 90, 500000),
                            canary = outcome_of(TALLY_CANARY, 11, 500000);
    outcomes_add(&e, &stable, second(1));
    cr_expect_eq(judge_guardrail(&e, 0, second(1)), JUDGE_HEALTHY);
    outcomes_add(&e, &canary, second(1));
    cr_expect_eq(judge_guardrail(&e, 0, second(1)), JUDGE_BREACH);
    evidence_fini(&e);
}

static struct evidence_outcome user_outcome(enum tally_arm arm, uint64_t user, uint32_t share, uint32_t fresh_from)
{
    struct evidence_outcome o = outcome_of(arm, 1, share);
    o.fresh_from_ppm = fresh_from;
    o.has_user = true;
    o.user = user;
    return o;
}

Test(outcomes, of_a_sticky_user_only_the_first_is_compared_by_whichever_way_it_came)
{
    struct evidence e;
    evidence_init(&e, &fewer, 1, true);
    evidence_begin_generation(&e, 1, 0.5);
    const struct tally_first first = { 1, 77, 1u << PURCHASE, TALLY_STABLE };
    struct evidence_outcome again = user_outcome(TALLY_STABLE, 77, 500000, 0);
    struct evidence_outcome other = user_outcome(TALLY_STABLE, 78, 500000, 0), nobody = other;
    evidence_add_first(&e, &first);
    cr_expect_not(outcomes_add(&e, &again, second(1)));
    cr_expect(outcomes_add(&e, &other, second(1)));
    cr_expect_not(outcomes_add(&e, &other, second(1)));
    nobody.has_user = false;
    cr_expect_not(outcomes_add(&e, &nobody, second(1)));
    outcomes_settle(&e, second(60));
    cr_expect_eq(e.states[0].events[TALLY_STABLE], 2);
    evidence_fini(&e);
}

Test(outcomes, of_an_older_cohort_are_not_compared)
{
    struct evidence e;
    evidence_init(&e, &fewer, 1, true);
    evidence_begin_generation(&e, 1, 0.1);
    evidence_begin_generation(&e, 2, 0.5);
    struct evidence_outcome old = user_outcome(TALLY_STABLE, 1, 100000, 0);
    struct evidence_outcome now = user_outcome(TALLY_STABLE, 2, 500000, 100000);
    cr_expect_not(outcomes_add(&e, &old, second(1)));
    cr_expect(outcomes_add(&e, &now, second(1)));
    evidence_fini(&e);
}
