/* tests/unit/rollout/test_forecast.c - what a rollout would do if it were started now, and how soon it would notice what. */
#include "rollout/forecast.h"

#include <criterion/criterion.h>

#include <math.h>

#include "rollout/fixture.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   (60 * MINUTE_MS)

static void expect_time(struct wall_time t, int64_t after_noon_ms)
{
    cr_expect_eq(t.unix_ms, NOON_UNIX_MS + after_noon_ms, "%lld minutes after noon, not %lld",
                 (long long)((t.unix_ms - NOON_UNIX_MS) / MINUTE_MS), (long long)(after_noon_ms / MINUTE_MS));
}

Test(forecast, steps_follow_each_other_and_the_calendar)
{
    struct made_rollout m;
    struct forecast f;
    made_init(&m);
    made_weight(&m, 10, HOUR_MS);
    made_approve(&m, 1);
    made_weight(&m, 50, 4 * HOUR_MS);
    made_weight(&m, 100, 0);
    m.config.bake_ms = HOUR_MS;
    made_window(&m, 0x1f, 13, 17);
    forecast_make(&m.config, &(struct forecast_traffic){ .requests_per_s = 10 }, (struct wall_time){ NOON_UNIX_MS },
                  &f);
    cr_assert_eq(f.step_count, 4);
    expect_time(f.steps[0].earliest, HOUR_MS);
    cr_expect_eq(f.steps[0].wait, FORECAST_CLOSED);
    expect_time(f.steps[1].earliest, 2 * HOUR_MS);
    expect_time(f.steps[2].earliest, 2 * HOUR_MS);
    cr_expect_eq(f.steps[2].wait, FORECAST_NO_WAIT);
    expect_time(f.steps[3].earliest, 25 * HOUR_MS); /* 18:00 is outside: tomorrow at 13:00 */
    cr_expect_eq(f.steps[3].wait, FORECAST_CLOSED);
    expect_time(f.ends, 26 * HOUR_MS);
}

Test(forecast, requests_that_take_longer_than_the_hold_are_said)
{
    struct made_rollout m;
    struct forecast f;
    made_init(&m);
    made_weight(&m, 1, MINUTE_MS)->min_requests = 600;
    made_weight(&m, 100, 0)->min_requests = 1;
    forecast_make(&m.config, &(struct forecast_traffic){ .requests_per_s = 100 }, (struct wall_time){ NOON_UNIX_MS },
                  &f);
    cr_expect(f.steps[0].is_slowed_by_requests);
    cr_expect_eq(f.steps[0].lasts_ms, 10 * MINUTE_MS);
    forecast_make(&m.config, &(struct forecast_traffic){ 0 }, (struct wall_time){ NOON_UNIX_MS }, &f);
    cr_expect_eq(f.steps[0].lasts_ms, INT64_MAX, "without traffic it takes for ever");
    cr_expect_eq(f.steps[0].earliest.unix_ms, NOON_UNIX_MS);
    cr_expect(f.steps[1].wait == FORECAST_NEVER && f.ends.unix_ms == INT64_MAX, "and what follows never comes");
}

Test(forecast, what_never_opens_is_never)
{
    struct made_rollout m;
    struct forecast f;
    made_init(&m);
    made_weight(&m, 1, MINUTE_MS);
    made_weight(&m, 100, 0);
    made_freeze(&m, 0, INT64_MAX);
    forecast_make(&m.config, &(struct forecast_traffic){ 0 }, (struct wall_time){ NOON_UNIX_MS }, &f);
    cr_expect(f.steps[0].wait == FORECAST_NEVER && f.steps[1].wait == FORECAST_NEVER);
    cr_expect_eq(f.ends.unix_ms, INT64_MAX);
}

/* A test of its own kind: needs 1000 / (theta - 1) requests, whatever else. */
static double needed(void *arg, uint32_t guardrail, double share, double base, double theta)
{
    (void)guardrail;
    (void)share;
    (void)base;
    *(unsigned *)arg += 1;
    return 1000 / fabs(theta - 1);
}

static size_t notices(struct made_rollout *m, const struct forecast_traffic *traffic, double share, unsigned *asked,
                      struct forecast_notice *out)
{
    static struct monitor_config monitor = { .every_ms = 10000 };
    static struct slo_config slo = { .availability_ppm = 999000, .window_ms = 30 * 24 * HOUR_MS };
    struct config config = { .monitors = &monitor, .monitor_count = 1, .slos = &slo, .slo_count = 1 };
    struct step_config step = { .weight_ppm = (uint32_t)(share * 1e6 + 0.5), .hold_ms = 10 * MINUTE_MS };
    *asked = 0;
    return forecast_notices(&config, &m->config, 0, &step, traffic, needed, asked, out);
}

Test(forecast, comparisons_are_asked_for_what_is_beyond_their_margin)
{
    struct made_rollout m;
    struct forecast_notice n[FORECAST_NOTICES_MAX];
    struct forecast_traffic traffic = { .requests_per_s = 100, .error_rate = 0.01, .event_rates = { 0.2 } };
    unsigned asked;
    made_init(&m);
    struct guardrail_config *g = made_guardrail(&m, "errors", POLICY_ROLLBACK);
    g->comparison = COMPARISON_RATIO;
    g->worse_than_stable.ratio = 1.6;
    cr_assert_eq(notices(&m, &traffic, 0.1, &asked, n), 3);
    cr_expect(n[0].times > 1.9 && n[0].times < 2.1 && n[0].seconds > 9.9 && n[0].seconds < 10.1);
    cr_expect(n[2].times > 9.9 && n[2].seconds < n[1].seconds && n[1].seconds < n[0].seconds, "worse is sooner");
    g->comparison = COMPARISON_POINTS; /* half a point of 1 %: twice is a point more */
    g->worse_than_stable = (struct comparison_config){ .points_ppm = 6000 };
    cr_assert_eq(notices(&m, &traffic, 0.1, &asked, n), 3);
    g->kind = WATCH_EVENT; /* less is worse */
    g->comparison = COMPARISON_RATIO;
    g->worse_than_stable = (struct comparison_config){ .ratio = 0.6 };
    cr_assert_eq(notices(&m, &traffic, 0.1, &asked, n), 3);
    cr_expect(n[0].times > 0.4 && n[0].times < 0.6);
    traffic.event_rates[0] = 0;
    cr_assert_gt(notices(&m, &traffic, 0.1, &asked, n), 0);
    cr_expect(isinf(n[0].seconds) && asked == 0, "of a rate that is not known nothing is said");
    traffic.event_rates[0] = 0.2;
    traffic.requests_per_s = 0;
    cr_assert_gt(notices(&m, &traffic, 0.1, &asked, n), 0);
    cr_expect(isinf(n[0].seconds), "without traffic it is never");
}

Test(forecast, limits_fill_their_window)
{
    struct made_rollout m;
    struct forecast_notice n[FORECAST_NOTICES_MAX];
    struct forecast_traffic traffic = { .requests_per_s = 1000 };
    unsigned asked;
    made_init(&m);
    struct guardrail_config *g = made_guardrail(&m, "errors", POLICY_ROLLBACK);
    g->has_max = true;
    g->max = 0.02;
    g->window_ms = MINUTE_MS;
    cr_assert_eq(notices(&m, &traffic, 0.1, &asked, n), 4); /* 6,000 requests in the window, 121 of them bad */
    cr_expect(n[0].times < 1.6 && n[0].seconds > 40 && n[0].seconds < 41, "%f", n[0].seconds);
    cr_expect(n[3].is_all_bad && n[3].seconds > 1.2 && n[3].seconds < 1.3, "%f", n[3].seconds);
    traffic.requests_per_s = 1;
    cr_assert_eq(notices(&m, &traffic, 0.01, &asked, n), 4);
    cr_expect(isinf(n[3].seconds), "less than a request in a window never breaches it");
    g->kind = WATCH_CONNECT_FAILURES;
    g->max = 5;
    cr_assert_eq(notices(&m, &traffic, 0.5, &asked, n), 1);
    cr_expect(n[0].seconds > 9.9 && n[0].seconds < 10.1);
    cr_expect_eq(asked, 0);
}

Test(forecast, kinds_that_look_now_and_then_take_as_long)
{
    struct made_rollout m;
    struct forecast_notice n[FORECAST_NOTICES_MAX];
    struct forecast_traffic traffic = { .requests_per_s = 100 };
    unsigned asked;
    made_init(&m);
    struct guardrail_config *g = made_guardrail(&m, "x", POLICY_ROLLBACK);
    g->every_ms = 15000;
    g->kind = WATCH_PROMETHEUS;
    cr_assert_eq(notices(&m, &traffic, 0.1, &asked, n), 1);
    cr_expect(n[0].seconds > 14.9 && n[0].seconds < 15.1);
    g->kind = WATCH_MONITOR;
    g->max_failures = 3;
    cr_assert_eq(notices(&m, &traffic, 0.1, &asked, n), 1);
    cr_expect(n[0].seconds > 29.9 && n[0].seconds < 30.1);
    g->kind = WATCH_SLO; /* 1.44 % of ten minutes */
    g->burn = 14.4;
    cr_assert_eq(notices(&m, &traffic, 0.1, &asked, n), 1);
    cr_expect(n[0].is_all_bad && n[0].seconds > 8.6 && n[0].seconds < 8.7, "%f", n[0].seconds);
    g->burn = 2000;
    notices(&m, &traffic, 0.1, &asked, n);
    cr_expect(isinf(n[0].seconds), "no budget burns so fast");
    g->kind = WATCH_ERROR_RATE;
    g->comparison = COMPARISON_RATIO;
    g->worse_than_stable.ratio = 1.5;
    cr_expect_eq(notices(&m, &traffic, 1, &asked, n), 0, "with all of the pair there is nothing to compare with");
}

/* A real judge's arithmetic is test_judge.c's; here what it is asked for. */
static double fault_seconds(struct made_rollout *m, double share, double per_s, double bad_share)
{
    static struct slo_config slo = { .availability_ppm = 999000, .window_ms = 30 * 24 * HOUR_MS };
    struct config config = { .slos = &slo, .slo_count = 1 };
    struct step_config step = { .weight_ppm = (uint32_t)(share * 1e6 + 0.5), .hold_ms = 10 * MINUTE_MS };
    unsigned asked = 0;
    return forecast_fault_seconds(&config, &m->config, 0, &step, per_s, bad_share, needed, &asked);
}

Test(forecast, a_fault_takes_the_requests_that_its_guardrail_needs)
{
    struct made_rollout m;
    made_init(&m);
    struct guardrail_config *g = made_guardrail(&m, "errors", POLICY_ROLLBACK);
    g->max = 0.5;
    g->window_ms = 60000;
    cr_expect_float_eq(fault_seconds(&m, 0.5, 20, 1), 30.1, 0.2, "more than half of a whole window: 301 of 600");
    cr_expect_eq(fault_seconds(&m, 0.5, 20, 0.4), INFINITY, "within its limit");
    g->min_requests = 100000;
    cr_expect_eq(fault_seconds(&m, 0.5, 20, 1), INFINITY, "so many never are in its window");
    g->comparison = COMPARISON_RATIO;
    g->worse_than_stable.ratio = 1.5;
    g->min_requests = 0;
    cr_expect(fault_seconds(&m, 0.5, 20, 1) < 1, "far beyond its margin");
    cr_expect_eq(fault_seconds(&m, 1, 20, 1), INFINITY, "nobody is left to compare with");
    g->min_requests = 1000;
    cr_expect_float_eq(fault_seconds(&m, 0.5, 20, 1), 100, 1, "it says nothing before");
    g->min_requests = 0;
    g->worse_than_stable.ratio = 2000;
    cr_expect_eq(fault_seconds(&m, 0.5, 20, 1), INFINITY);
}

Test(forecast, failures_in_a_row_are_rarer_when_only_some_fail)
{
    struct made_rollout m;
    made_init(&m);
    struct guardrail_config *g = made_guardrail(&m, "refused", POLICY_ROLLBACK);
    g->kind = WATCH_CONNECT_FAILURES;
    g->max = 3;
    cr_expect_float_eq(fault_seconds(&m, 0.5, 20, 1), 0.3, 1e-6);
    cr_expect_float_eq(fault_seconds(&m, 0.5, 20, 0.5), 1.4, 1e-6, "14 tosses for three heads in a row");
    g->kind = WATCH_LATENCY;
    g->quantile_permille = 950;
    g->window_ms = 60000;
    cr_expect_eq(fault_seconds(&m, 0.5, 20, 0.04), INFINITY, "a p95 lets five in a hundred be");
    cr_expect(fault_seconds(&m, 0.5, 20, 1) < fault_seconds(&m, 0.5, 20, 0.2));
}
