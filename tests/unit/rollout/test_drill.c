/* tests/unit/rollout/test_drill.c - what a drill does to a guardrail, and what it makes of what follows. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rollout/drill.h"

#define SECOND INT64_C(1000000)

static const struct drill_settings settings = { .rate = 50, .share_ppm = 1000000, .timeout_ms = 30000 };
static struct status_range fives = { 500, 599 };

static struct mono_time at(int64_t us)
{
    return (struct mono_time){ 1000 * SECOND + us };
}

static struct drill_script script_of(enum watch_kind kind, struct guardrail g, int64_t delay_ms)
{
    const struct rollout_config rollout = { .errors = &fives, .error_count = 1 };
    const struct guardrail_config config = { .kind = kind };
    const struct slo_config slo = { .availability_ppm = kind == WATCH_SLO && g.limit_us > 0 ? 0 : 999000 };
    struct drill_script s;
    drill_script_init(&s, &rollout, &config, &g, &slo, delay_ms);
    return s;
}

/* ---- what is done --------------------------------------------------------------------------------------------------------- */

Test(drill, stable_is_always_good_and_the_canary_fails_as_its_guardrail_watches)
{
    const struct {
        enum watch_kind kind;
        struct guardrail g;
        enum drill_fault fault;
    } cases[] = {
        { WATCH_ERROR_RATE, { .kind = GUARDRAIL_RATIO, .margin = 1.5 }, DRILL_ERROR },
        { WATCH_CONNECT_FAILURES, { .kind = GUARDRAIL_CONNECT_FAILURES }, DRILL_CONNECT },
        { WATCH_LATENCY, { .kind = GUARDRAIL_LATENCY, .limit_us = 400000 }, DRILL_LATENCY },
        { WATCH_LATENCY, { .kind = GUARDRAIL_LATENCY_RATIO, .margin = 1.2 }, DRILL_LATENCY },
        { WATCH_EVENT,
          { .kind = GUARDRAIL_RATIO, .margin = 0.9, .is_less_worse = true, .column = TALLY_EVENTS + 2 },
          DRILL_EVENT },
        { WATCH_SLO, { .kind = GUARDRAIL_BURN }, DRILL_ERROR },
        { WATCH_SLO, { .kind = GUARDRAIL_BURN, .limit_us = 300000 }, DRILL_LATENCY },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct drill_script s = script_of(cases[i].kind, cases[i].g, 0);
        struct drill_request good, bad;
        drill_script_request(&s, false, 0x80000000u, &good);
        drill_script_request(&s, true, 0x80000000u, &bad);
        const struct drill_outcome *stable = &bad.arms[TALLY_STABLE], *canary = &bad.arms[TALLY_CANARY];
        cr_expect_eq(s.fault, cases[i].fault, "case %zu", i);
        cr_expect_eq(good.arms[TALLY_CANARY].status, 200);
        cr_expect_eq(stable->status, 200);
        cr_expect_eq(canary->status, s.fault == DRILL_ERROR ? 503 : s.fault == DRILL_CONNECT ? 0 : 200, "case %zu", i);
        cr_expect_eq(canary->latency_us > 5 * stable->latency_us, s.fault == DRILL_LATENCY, "case %zu", i);
        cr_expect_eq(canary->events != stable->events, s.fault == DRILL_EVENT, "case %zu", i);
        cr_expect_eq(stable->events, s.fault == DRILL_EVENT ? 4u : 0u, "less is worse: good answers have it");
    }
}

Test(drill, good_answers_keep_within_an_absolute_limit_and_slow_ones_do_not)
{
    struct guardrail g = { .kind = GUARDRAIL_LATENCY, .limit_us = 8000 };
    struct drill_script s = script_of(WATCH_LATENCY, g, 0);
    for (uint32_t draw = 0; draw < 0xf0000000u; draw += 0x01000000u) {
        struct drill_request r;
        drill_script_request(&s, true, draw, &r);
        cr_assert_lt(r.arms[TALLY_STABLE].latency_us, g.limit_us);
        cr_assert_gt(r.arms[TALLY_CANARY].latency_us, g.limit_us);
    }
    s = script_of(WATCH_LATENCY, g, 3);
    cr_assert_eq(s.bad_us, 5000, "a delay that was asked for may be too short to be noticed");
}

Test(drill, an_event_of_which_more_is_worse_is_brought_by_bad_answers)
{
    struct drill_script s = script_of(
        WATCH_EVENT, (struct guardrail){ .kind = GUARDRAIL_RATE, .max = 0.1, .min = -INFINITY, .column = TALLY_EVENTS },
        0);
    struct drill_request r;
    drill_script_request(&s, true, 0, &r);
    cr_assert_eq(r.arms[TALLY_STABLE].events, 0u);
    cr_assert_eq(r.arms[TALLY_CANARY].events, 1u);
}

Test(drill, samples_are_within_the_limits_and_then_beyond)
{
    const struct guardrail limits[] = {
        { .max = 5, .min = -INFINITY }, { .max = 0, .min = -INFINITY },   { .max = INFINITY, .min = 3 },
        { .max = 5, .min = 4.9 },       { .max = 0.5, .min = -INFINITY }, { .max = -2, .min = -INFINITY },
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct drill_script s = script_of(WATCH_PROMETHEUS, limits[i], 0);
        cr_expect(s.good_sample <= limits[i].max && s.good_sample >= limits[i].min, "case %zu: %g", i, s.good_sample);
        cr_expect(s.bad_sample > limits[i].max || s.bad_sample < limits[i].min, "case %zu: %g", i, s.bad_sample);
    }
}

Test(drill, errors_that_are_no_5xx_are_made_of_what_is_one)
{
    struct status_range teapot = { 418, 418 };
    struct rollout_config rollout = { .errors = &teapot, .error_count = 1 };
    const struct guardrail_config config = { .kind = WATCH_ERROR_RATE };
    const struct guardrail g = { .kind = GUARDRAIL_RATE };
    struct drill_script s;
    drill_script_init(&s, &rollout, &config, &g, NULL, 0);
    cr_assert_eq(s.bad_status, 418);
    rollout.error_count = 0;
    drill_script_init(&s, &rollout, &config, &g, NULL, 0);
    cr_assert_eq(s.bad_status, 0, "no status is one: the connection fails");
}

/* ---- a trial -------------------------------------------------------------------------------------------------------------- */

static const struct drill_view calm = { .is_in_force = true };

static void look(struct drill_trial *t, struct drill_view view, int64_t us)
{
    drill_trial_look(t, &settings, &view, at(us));
}

/* To where the canary fails. */
static struct drill_trial failing(void)
{
    struct drill_trial t;
    drill_trial_begin(&t);
    for (unsigned i = 0; i < DRILL_WARM_ANSWERS; i++) {
        cr_assert_eq(t.stage, DRILL_WARMING);
        drill_trial_on_answer(&t, i % 10 == 0, false, at(i));
        look(&t, calm, i);
    }
    cr_assert_eq(t.stage, DRILL_FAILING);
    return t;
}

Test(drill, measures_from_the_first_bad_request_to_the_breach_and_to_weight_0)
{
    struct drill_trial t = failing();
    drill_trial_on_answer(&t, true, false, at(0)); /* was under way */
    drill_trial_on_answer(&t, false, true, at(1 * SECOND));
    drill_trial_on_answer(&t, true, true, at(2 * SECOND));
    look(&t, calm, 3 * SECOND);
    drill_trial_on_answer(&t, true, true, at(4 * SECOND));
    look(&t, (struct drill_view){ .is_breached = true }, 5 * SECOND);
    cr_assert_eq(t.stage, DRILL_RETURNING);
    look(&t, (struct drill_view){ .is_breached = true }, 5 * SECOND + 10);
    look(&t, (struct drill_view){ .is_breached = true, .is_in_force = true }, 5 * SECOND + 1000);
    cr_assert_eq(t.stage, DRILL_CHECKING);
    drill_trial_on_answer(&t, true, true, at(5 * SECOND)); /* sent before: nobody is exposed */
    for (unsigned i = 0; i < DRILL_CHECK_ANSWERS; i++)
        drill_trial_on_answer(&t, false, false, at(6 * SECOND));
    look(&t, calm, 7 * SECOND);
    cr_assert_eq(t.result, DRILL_FIRED);
    cr_assert_eq(drill_trial_detect_us(&t), 3 * SECOND);
    cr_assert_eq(drill_trial_rollback_us(&t), 1000);
    cr_assert_eq(t.requests, 3u);
    cr_assert_eq(t.bad_requests, 2u);
}

Test(drill, an_answer_that_comes_behind_the_breach_was_a_part_of_what_it_took)
{
    struct drill_trial t = failing();
    look(&t, (struct drill_view){ .is_breached = true }, 2 * SECOND);
    cr_assert_eq(t.stage, DRILL_RETURNING);
    drill_trial_on_answer(&t, true, true, at(1 * SECOND));
    drill_trial_on_answer(&t, true, true, at(3 * SECOND));
    cr_assert_eq(t.requests, 1u);
    cr_assert_eq(t.bad_requests, 1u);
}

Test(drill, is_silent_when_nobody_notices_in_time)
{
    struct drill_trial t = failing();
    look(&t, calm, 29 * SECOND);
    cr_assert_eq(t.stage, DRILL_FAILING);
    look(&t, calm, 31 * SECOND);
    cr_assert_eq(t.result, DRILL_SILENT);
    cr_assert_eq(drill_trial_detect_us(&t), -1);
}

Test(drill, a_breach_by_good_answers_is_a_false_alarm)
{
    struct drill_trial t;
    drill_trial_begin(&t);
    look(&t, (struct drill_view){ .is_breached = true }, 0);
    cr_assert_eq(t.result, DRILL_FALSE_ALARM);
}

Test(drill, somebody_on_the_canary_after_the_way_back_fails_it)
{
    struct drill_trial t = failing();
    look(&t, (struct drill_view){ .is_breached = true }, SECOND);
    look(&t, (struct drill_view){ .is_breached = true, .is_in_force = true }, 2 * SECOND);
    for (unsigned i = 0; i < DRILL_CHECK_ANSWERS; i++)
        drill_trial_on_answer(&t, i == 7, false, at(3 * SECOND));
    look(&t, calm, 4 * SECOND);
    cr_assert_eq(t.result, DRILL_EXPOSED);
}

Test(drill, a_way_back_that_does_not_come_into_force_is_stuck)
{
    struct drill_trial t = failing();
    look(&t, (struct drill_view){ .is_breached = true }, SECOND);
    look(&t, (struct drill_view){ .is_breached = true }, 20 * SECOND);
    cr_assert_eq(t.result, DRILL_STUCK);
}

Test(drill, a_pause_is_what_its_guardrail_asked_for)
{
    struct drill_trial t = failing();
    look(&t, (struct drill_view){ .is_breached = true, .is_paused = true }, SECOND);
    cr_assert_eq(t.result, DRILL_FIRED);
    cr_assert(t.is_paused);
    cr_assert_eq(drill_trial_rollback_us(&t), -1);
}

Test(drill, requests_that_never_come_back_end_it)
{
    struct drill_trial t;
    drill_trial_begin(&t);
    for (unsigned i = 0; i < DRILL_LOST_MOST; i++)
        drill_trial_on_loss(&t);
    look(&t, calm, 0);
    cr_assert_eq(t.result, DRILL_UNREACHED);
}

static bool is_passed(const enum drill_result *results, unsigned count)
{
    struct drill_sum sum = { 0 };
    for (unsigned i = 0; i < count; i++)
        drill_sum_add(&sum, results[i]);
    return drill_sum_is_passed(&sum);
}

Test(drill, passes_when_all_that_were_rehearsed_fired_and_one_was)
{
    enum drill_result results[] = { DRILL_FIRED, DRILL_NOT_DRILLED, DRILL_NOT_REHEARSED, DRILL_FIRED };
    cr_assert(is_passed(results, 4));
    cr_assert_not(is_passed(results + 1, 2), "nothing was rehearsed");
    for (results[3] = DRILL_SILENT; results[3] <= DRILL_UNREACHED; results[3]++)
        cr_assert_not(is_passed(results, 4), "%s", drill_result_names[results[3]]);
}

/* ---- what is made of it --------------------------------------------------------------------------------------------------- */

static const char *explained(enum drill_result result, const struct drill_script *s, const struct guardrail *g,
                             struct drill_settings asked, double planned_s)
{
    static char out[400];
    const struct drill_trial t = { .result = result, .requests = 900, .bad_requests = 90, .checked = 20, .exposed = 3 };
    const struct drill_place place = { 100000, planned_s };
    struct text text = { 0 };
    drill_explain(&t, s, g, &asked, &place, &text);
    snprintf(out, sizeof out, "%.*s", SLICE_ARG(text_slice(&text)));
    text_fini(&text);
    return out;
}

Test(drill, silence_is_explained_by_what_would_have_been_needed)
{
    const struct guardrail rate = { .kind = GUARDRAIL_RATE,
                                    .max = 0.02,
                                    .min = -INFINITY,
                                    .window_us = 60 * SECOND,
                                    .minimum_count = 1000 },
                           p95 = { .kind = GUARDRAIL_LATENCY,
                                   .limit_us = 300000,
                                   .quantile = 0.95,
                                   .window_us = 60 * SECOND },
                           ratio = { .kind = GUARDRAIL_RATIO, .margin = 20 },
                           burn = { .kind = GUARDRAIL_BURN, .max = 200 };
    struct drill_script errors = script_of(WATCH_ERROR_RATE, rate, 0), slow = script_of(WATCH_LATENCY, p95, 20);
    struct drill_settings few = settings;
    few.share_ppm = 10000;
    const struct {
        const char *part, *said;
    } cases[] = {
        { "looks at 1000 or more of the canary's requests in its window of 60 s, where 300 would be; it needs 167 req",
          strdup(explained(DRILL_SILENT, &errors, &rate, settings, INFINITY)) },
        { "1 % of the canary's requests were bad, and it allows 2 %",
          strdup(explained(DRILL_SILENT, &errors, &rate, few, INFINITY)) },
        { "slow answers took 40 ms, and it allows 300 ms",
          strdup(explained(DRILL_SILENT, &slow, &p95, settings, INFINITY)) },
        { "margin is too wide: 100 % bad requests of the canary are within 20 times stable's",
          strdup(explained(DRILL_SILENT, &errors, &ratio, settings, INFINITY)) },
        { "a burn of 200 times would be more than all requests failing",
          strdup(explained(DRILL_SILENT, &errors, &burn, settings, INFINITY)) },
        { "about 160 s at 50 requests a second (8000 requests), and it had 30 s",
          strdup(explained(DRILL_SILENT, &errors, &ratio, settings, 160)) },
        { "planned to fire within 2.0 s, and did not in 30 s: 900 requests came back, 90 bad",
          strdup(explained(DRILL_SILENT, &errors, &ratio, settings, 2)) },
        { "3 of 20 requests met the canary after", strdup(explained(DRILL_EXPOSED, &errors, &ratio, settings, 2)) },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_expect(strstr(cases[i].said, cases[i].part) != NULL, "case %zu: \"%s\"", i, cases[i].said);
    cr_expect_str_empty(explained(DRILL_FIRED, &errors, &ratio, settings, 2));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        free((void *)(uintptr_t)cases[i].said);
}

Test(drill, a_comparison_with_nobody_left_cannot_be_rehearsed)
{
    const struct guardrail ratio = { .kind = GUARDRAIL_RATIO, .margin = 2 }, rate = { .kind = GUARDRAIL_RATE };
    struct text why = { 0 };
    cr_expect(drill_can_rehearse(&ratio, 999999, &why));
    cr_expect(drill_can_rehearse(&rate, 1000000, &why));
    cr_expect_eq(why.len, 0u);
    cr_expect_not(drill_can_rehearse(&ratio, 1000000, &why));
    cr_expect(strstr(why.bytes, "compares with stable") != NULL);
    text_fini(&why);
}

Test(drill, is_late_when_it_took_more_than_twice_what_was_planned)
{
    const struct drill_trial t = { .bad = at(0), .breach = at(4 * SECOND) }, never = { .bad = at(0) };
    cr_expect(drill_trial_is_late(&t, 1.8));
    cr_expect_not(drill_trial_is_late(&t, 1.9));
    cr_expect_not(drill_trial_is_late(&t, INFINITY));
    cr_expect_not(drill_trial_is_late(&never, 1));
}

Test(drill, a_delay_within_the_limit_is_not_beyond_it)
{
    const struct guardrail limit = { .kind = GUARDRAIL_LATENCY, .limit_us = 300000 },
                           margin = { .kind = GUARDRAIL_LATENCY_RATIO, .margin = 1.5 };
    const struct {
        struct guardrail g;
        int64_t delay_ms;
        bool is_beyond;
    } cases[] = { { limit, 0, true },  { limit, 100, false }, { limit, 300, true },
                  { margin, 0, true }, { margin, 5, false },  { margin, 15, true } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct drill_script s = script_of(WATCH_LATENCY, cases[i].g, cases[i].delay_ms);
        cr_expect_eq(drill_script_is_beyond(&s, &cases[i].g), cases[i].is_beyond, "case %zu", i);
    }
}
