/* tests/unit/rollout/test_releases.c - bench/rollout-sim in short: each of its scenarios, and the limit, in seconds. */
#include "releases/detect.h"
#include "releases/peers.h"
#include "releases/traffic.h"

#include <criterion/criterion.h>

#include <math.h>

#define RELEASES 40
#define SECONDS  400

/* At 1 %, five of forty have a chance of one in 15,000. */
static void expect_few_alarms(uint32_t from, uint32_t step)
{
    for (uint32_t i = from; i < scenario_count; i += step) {
        if (scenarios[i].is_naive)
            continue;
        struct outcome out = scenario_run(&scenarios[i], RELEASES, SECONDS, 1);
        cr_expect_leq(out.breaches, 4, "%s: %u of %u", scenarios[i].name, out.breaches, out.releases);
        cr_expect_leq(out.voids, 2, "%s: %u of %u mismatched", scenarios[i].name, out.voids, out.releases);
    }
}

Test(releases, few_of_those_without_a_difference_are_taken_back)
{
    expect_few_alarms(0, 2);
}

Test(releases, few_of_those_at_the_edge_of_their_margin_are_taken_back)
{
    expect_few_alarms(1, 2);
}

Test(releases, a_simulation_is_the_same_twice)
{
    struct outcome first = scenario_run(&scenarios[scenario_count - 1], 30, SECONDS, 7);
    struct outcome again = scenario_run(&scenarios[scenario_count - 1], 30, SECONDS, 7);
    cr_expect_eq(first.breaches, again.breaches);
    cr_expect_gt(first.breaches, 1, "counting every error of sticky users is what goes wrong");
}

/* Few releases, so the bound is wide: the bench holds 1.6. */
Test(releases, bad_ones_take_about_as_many_requests_as_the_limit)
{
    struct guardrail ratio = rail_ratio(1), points = rail_points(0), latency = rail_latency(0.95, 1);
    const struct guardrail *rails[] = { &ratio, &points, &latency };
    for (uint32_t i = 0; i < 3; i++) {
        const struct fault *f = &faults[i < 2 ? 0 : fault_count - 1];
        struct detection d = fault_detect(f, rails[i], 100, 0.1, 61, 4000, 1);
        cr_expect(d.requests < 2 * d.limit_requests && d.requests > 0.8 * d.limit_requests, "%s: %g against %g",
                  f->name, d.requests, d.limit_requests);
    }
}

Test(releases, the_share_of_slow_answers_is_that_of_the_distribution)
{
    cr_expect_float_eq(slow_share(1), 0.05, 1e-6);
    cr_expect_float_eq(slow_share(1.3), 0.1314, 1e-3);
}

/* ---- the peers --------------------------------------------------------------------------------------------------------- */

static struct series series_of(double stable, double canary)
{
    struct series s;
    for (uint32_t i = 0; i < PEER_MINUTES; i++) {
        s.stable[i] = stable + 0.001 * (i * 7 % 10);
        s.canary[i] = canary + 0.001 * (i * 3 % 10);
    }
    return s;
}

Test(releases, thresholds_count_bad_minutes)
{
    struct series s = series_of(1, 1);
    s.canary[3] = s.canary[8] = s.canary[20] = 9;
    cr_expect_eq(peer_threshold(&s, 5, 1), 4);
    cr_expect_eq(peer_threshold(&s, 5, 3), 21);
    cr_expect_eq(peer_threshold(&s, 5, 4), 0);
}

Test(releases, a_rank_test_sees_a_shift_and_no_difference_where_there_is_none)
{
    struct series same = series_of(1, 1), worse = series_of(1, 1.5), better = series_of(1, 0.5);
    cr_expect_eq(peer_kayenta(&same), 0);
    cr_expect_eq(peer_kayenta(&worse), 10);
    cr_expect_eq(peer_kayenta(&better), 0);
}
