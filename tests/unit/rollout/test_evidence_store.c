/* tests/unit/rollout/test_evidence_store.c - a restart goes on with the same evidence, and damage is noticed. */
#include "rollout/evidence.h"

#include "base/memory.h"
#include "rollout/simulation.h"

#include <criterion/criterion.h>

static const uint32_t error = 1u << TALLY_ERRORS;

static const struct guardrail rails[] = {
    { .kind = GUARDRAIL_RATIO, .identity = 1, .name = "error_rate", .margin = 1, .confidence = 0.99 },
    { .kind = GUARDRAIL_POINTS, .identity = 2, .name = "error_rate", .margin = 0.005, .confidence = 0.99 },
    { .kind = GUARDRAIL_LATENCY_RATIO,
      .identity = 3,
      .name = "latency",
      .column = TALLY_SLOW,
      .margin = 1,
      .confidence = 0.99 },
    { .kind = GUARDRAIL_RATE,
      .identity = 4,
      .name = "error_rate",
      .max = 0.1,
      .min = -INFINITY,
      .window_us = 60000000 },
    { .kind = GUARDRAIL_BURN,
      .identity = 5,
      .name = "slo",
      .max = 14.4,
      .objective = 0.999,
      .slow_objective = 0.99,
      .slow_column = TALLY_SLOW + 1,
      .window_us = 60000000,
      .short_window_us = 6000000 },
    { .kind = GUARDRAIL_CONNECT_FAILURES, .identity = 6, .name = "connect", .in_a_row = 5 },
    { .kind = GUARDRAIL_SAMPLE,
      .identity = 7,
      .name = "saturation",
      .max = 0.8,
      .min = -INFINITY,
      .window_us = 60000000 },
};
#define RAIL_COUNT 7

static void feed(struct evidence *e, uint64_t generation, int64_t from, int64_t to, uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    for (int64_t t = from; t < to; t++) {
        struct tally_counts c = counts_of(5, draw_binomial(&rng, 5, 0.03), 95, draw_binomial(&rng, 95, 0.01));
        for (uint32_t i = 0; i < 3; i++)
            c.columns[TALLY_CANARY][TALLY_SLOW + i] = draw_binomial(&rng, 5, 0.1);
        c.stable_durations.buckets[20] = 95;
        evidence_add_counts(e, generation, &c, second(t));
        for (uint32_t i = 0; e->is_sticky && i < 20; i++) {
            struct tally_first first = { generation, rng_below(&rng, 4000), draw_chance(&rng, 0.1) ? error : 0,
                                         i == 0 };
            evidence_add_first(e, &first);
        }
        evidence_add_sample(e, 6, 0.5, second(t));
    }
}

static void expect_same_verdicts(const struct evidence *a, int64_t a_time, const struct evidence *b, int64_t b_time)
{
    struct judge_result of_a, of_b;
    judge(a, second(a_time), &of_a);
    judge(b, second(b_time), &of_b);
    for (uint32_t i = 0; i < RAIL_COUNT; i++) {
        cr_expect_str_eq(of_a.guardrails[i].reason, of_b.guardrails[i].reason);
        cr_expect_eq(of_a.guardrails[i].verdict, of_b.guardrails[i].verdict);
        cr_expect_float_eq(of_a.guardrails[i].progress, of_b.guardrails[i].progress, 1e-12);
        cr_expect_float_eq(of_a.guardrails[i].proof_progress, of_b.guardrails[i].proof_progress, 1e-12);
    }
    cr_expect_eq(of_a.is_void, of_b.is_void);
}

/* The new process has another monotonic clock and counts its generations from 1. */
static void test_restart(bool is_sticky)
{
    struct evidence whole, first, second_life;
    struct text bytes = { 0 };
    evidence_init(&whole, rails, RAIL_COUNT, is_sticky);
    evidence_init(&first, rails, RAIL_COUNT, is_sticky);
    evidence_init(&second_life, rails, RAIL_COUNT, is_sticky);
    evidence_begin_generation(&whole, 5, 0.05);
    evidence_begin_generation(&first, 5, 0.05);
    feed(&whole, 5, 1000, 1100, 1);
    feed(&first, 5, 1000, 1100, 1);
    evidence_save(&first, second(1100), &bytes);
    evidence_fini(&first);
    cr_assert(evidence_load(&second_life, text_slice(&bytes), second(7), 0));
    expect_same_verdicts(&whole, 1100, &second_life, 7);
    evidence_begin_generation(&second_life, 1, 0.05);
    feed(&whole, 5, 1100, 1200, 2);
    feed(&second_life, 1, 7, 107, 2);
    expect_same_verdicts(&whole, 1200, &second_life, 107);
    if (is_sticky)
        cr_expect_eq(whole.seen.added_count, second_life.seen.added_count);
    evidence_fini(&whole);
    evidence_fini(&second_life);
    text_fini(&bytes);
}

Test(evidence_store, a_restart_goes_on_where_it_was)
{
    test_restart(false);
}

Test(evidence_store, a_restart_knows_the_users_it_has_seen)
{
    test_restart(true);
}

Test(evidence_store, windows_age_while_the_process_is_down)
{
    struct evidence e, loaded;
    struct text bytes = { 0 };
    evidence_init(&e, rails, RAIL_COUNT, false);
    evidence_init(&loaded, rails, RAIL_COUNT, false);
    evidence_begin_generation(&e, 1, 0.05);
    feed(&e, 1, 1000, 1100, 1);
    evidence_save(&e, second(1100), &bytes);
    cr_assert(evidence_load(&loaded, text_slice(&bytes), second(0), 30 * INT64_C(1000000)));
    cr_expect_eq(window_sum(&loaded.states[3].window, second(0)).requests,
                 window_sum(&e.states[3].window, second(1130)).requests);
    cr_expect_lt(window_sum(&loaded.states[3].window, second(0)).requests, 200);
    cr_assert(evidence_load(&loaded, text_slice(&bytes), second(0), -30 * INT64_C(1000000)), "a clock set back");
    cr_expect_eq(window_sum(&loaded.states[3].window, second(0)).requests,
                 window_sum(&e.states[3].window, second(1100)).requests);
    evidence_fini(&e);
    evidence_fini(&loaded);
    text_fini(&bytes);
}

Test(evidence_store, guardrails_are_found_again_by_identity)
{
    struct guardrail fewer[] = { rails[4], rails[0] };
    struct evidence e, loaded;
    struct text bytes = { 0 };
    evidence_init(&e, rails, RAIL_COUNT, false);
    evidence_init(&loaded, fewer, 2, false);
    evidence_begin_generation(&e, 1, 0.05);
    feed(&e, 1, 0, 50, 1);
    evidence_save(&e, second(50), &bytes);
    cr_assert(evidence_load(&loaded, text_slice(&bytes), second(50), 0));
    cr_expect_float_eq(loaded.states[1].worse.log_e, e.states[0].worse.log_e, 1e-12);
    cr_expect_eq(window_sum(&loaded.states[0].window, second(50)).requests, 250);
    evidence_fini(&e);
    evidence_fini(&loaded);
    text_fini(&bytes);
}

/* Whatever is cut or flipped: refused or read, never a crash, and nothing changed when refused. */
Test(evidence_store, what_was_not_written_by_us_is_refused)
{
    struct evidence e, loaded;
    struct judge_result result;
    struct text bytes = { 0 };
    evidence_init(&e, rails, RAIL_COUNT, false);
    evidence_init(&loaded, rails, RAIL_COUNT, false);
    evidence_begin_generation(&e, 1, 0.05);
    feed(&e, 1, 0, 50, 1);
    evidence_save(&e, second(50), &bytes);
    for (size_t len = 0; len < bytes.len; len += len < 200 ? 1 : 97)
        cr_expect_not(evidence_load(&loaded, slice_from(bytes.bytes, len), second(50), 0), "%zu bytes", len);
    cr_expect_eq(loaded.requests[TALLY_STABLE], 0);
    for (size_t i = 0; i < bytes.len; i += 7) {
        bytes.bytes[i] ^= (char)0xff;
        if (evidence_load(&loaded, text_slice(&bytes), second(50), 0))
            judge(&loaded, second(50), &result);
        bytes.bytes[i] ^= (char)0xff;
    }
    struct evidence sticky;
    evidence_init(&sticky, rails, RAIL_COUNT, true);
    cr_expect_not(evidence_load(&sticky, text_slice(&bytes), second(50), 0), "of a route that was not sticky");
    evidence_fini(&sticky);
    evidence_fini(&e);
    evidence_fini(&loaded);
    text_fini(&bytes);
}

/* So many of the canary's 5 a second are in its windows. */
static void expect_in_windows(const struct evidence *e, int64_t now_s, int64_t long_s, int64_t short_s)
{
    struct window_slice in_long = window_sum(&e->states[4].window, second(now_s));
    struct window_slice in_short = window_sum(&e->states[4].short_window, second(now_s));
    cr_expect_float_eq((double)in_long.requests / 5, (double)long_s, (double)long_s / 20, "%g s",
                       (double)in_long.requests / 5);
    cr_expect_float_eq((double)in_short.requests / 5, (double)short_s, (double)short_s / 5, "%g s",
                       (double)in_short.requests / 5);
}

Test(evidence_store, burn_windows_follow_the_holds_over_a_reload_and_a_restart)
{
    struct guardrail longer[RAIL_COUNT];
    struct evidence *e = memory_alloc(sizeof *e), *again = memory_alloc(sizeof *again);
    struct text stored = { 0 };
    memcpy(longer, rails, sizeof longer);
    longer[4].window_us *= 10;
    longer[4].short_window_us *= 10;
    evidence_init(e, rails, RAIL_COUNT, false);
    evidence_begin_generation(e, 1, 0.05);
    feed(e, 1, 0, 600, 1);
    expect_in_windows(e, 599, 60, 6);
    evidence_save(e, second(599), &stored);
    evidence_use_guardrails(e, longer, RAIL_COUNT);
    expect_in_windows(e, 599, 60, 6);
    evidence_begin_generation(e, 2, 0.05);
    feed(e, 2, 600, 1300, 2);
    expect_in_windows(e, 1299, 600, 60);
    evidence_init(again, longer, RAIL_COUNT, false);
    cr_assert(evidence_load(again, text_slice(&stored), second(599), 0));
    expect_in_windows(again, 599, 60, 6);
    cr_expect_eq(window_sum(&again->states[4].window, second(1100)).requests,
                 window_sum(&again->states[4].window, second(599)).requests, "it is of the last minute of then");
    evidence_begin_generation(again, 3, 0.05);
    feed(again, 3, 600, 1300, 2);
    expect_in_windows(again, 1299, 600, 60);
    evidence_fini(e);
    evidence_fini(again);
    memory_free(e);
    memory_free(again);
    text_fini(&stored);
}
