/* tests/unit/stats/test_eprocess.c - that the evidence is what its header claims: by sums, and by simulation. */
#include "stats/eprocess.h"

#include "base/check.h"
#include "base/hash.h"

#include <criterion/criterion.h>

#include <math.h>

static double log_choose(uint32_t n, uint32_t k)
{
    return lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0);
}

static double ratio_log_e(double theta_0, enum eprocess_side side, double rho, uint32_t canary, uint32_t stable)
{
    struct eprocess_ratio e;
    eprocess_ratio_init(&e, theta_0, side, 0);
    eprocess_ratio_add(&e, rho, canary, stable);
    return e.log_e;
}

/* The expectation of E after n events when the true relative risk is theta, summed over all outcomes. */
static double ratio_mean(double theta_0, enum eprocess_side side, double rho, double theta, uint32_t n)
{
    double q = rho * theta / (rho * theta + 1 - rho), mean = 0;
    for (uint32_t k = 0; k <= n; k++)
        mean += exp(log_choose(n, k) + k * log(q) + (n - k) * log1p(-q) + ratio_log_e(theta_0, side, rho, k, n - k));
    return mean;
}

Test(eprocess, a_ratio_has_the_expectation_one_at_its_margin_and_less_where_the_hypothesis_holds)
{
    static const double shares[] = { 0.001, 0.05, 0.1, 0.5, 0.9 }, margins[] = { 0.9, 1, 1.2, 1.5 };
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++)
        for (size_t j = 0; j < ARRAY_COUNT(margins); j++) {
            double rho = shares[i], margin = margins[j];
            for (int side = EPROCESS_MORE; side <= EPROCESS_EITHER; side++)
                cr_expect_float_eq(ratio_mean(margin, (enum eprocess_side)side, rho, margin, 60), 1, 1e-6);
            cr_expect_lt(ratio_mean(margin, EPROCESS_MORE, rho, margin * 0.8, 60), 1);
            cr_expect_gt(ratio_mean(margin, EPROCESS_MORE, rho, margin * 1.2, 60), 1);
            cr_expect_lt(ratio_mean(margin, EPROCESS_LESS, rho, margin * 1.2, 60), 1);
            cr_expect_gt(ratio_mean(margin, EPROCESS_LESS, rho, margin * 0.8, 60), 1);
        }
}

Test(eprocess, a_batch_is_the_same_as_its_events_one_by_one)
{
    struct eprocess_ratio batch, single;
    struct eprocess_points batched, requested;
    eprocess_ratio_init(&batch, 1.5, EPROCESS_MORE, 0);
    eprocess_ratio_init(&single, 1.5, EPROCESS_MORE, 0);
    eprocess_points_init(&batched, 0.01, EPROCESS_LESS, 0);
    eprocess_points_init(&requested, 0.01, EPROCESS_LESS, 0);
    for (int round = 0; round < 3; round++) {
        double rho = 0.05 * (round + 1);
        eprocess_ratio_add(&batch, rho, 7, 11);
        eprocess_points_add(&batched, rho, 100, 7, 11);
        for (int i = 0; i < 100; i++) {
            eprocess_ratio_add(&single, rho, i < 7, i >= 7 && i < 18);
            eprocess_points_add(&requested, rho, 1, i < 7, i >= 7 && i < 18);
        }
    }
    cr_expect_float_eq(batch.log_e, single.log_e, 1e-9);
    cr_expect_float_eq(batched.log_e, requested.log_e, 1e-9);
    cr_expect_geq(single.log_e_most, batch.log_e_most, "looked at more often");
}

/* Of one request: rho p_c, (1 - rho) p_s and the rest are the probabilities of the three outcomes. */
static double points_mean(double d, enum eprocess_side side, double rho, double canary, double stable)
{
    double mean = 0;
    for (int outcome = 0; outcome < 3; outcome++) {
        struct eprocess_points e;
        eprocess_points_init(&e, d, side, 0);
        eprocess_points_add(&e, rho, 1, outcome == 0, outcome == 1);
        double chances[] = { rho * canary, (1 - rho) * stable, 1 - rho * canary - (1 - rho) * stable };
        mean += chances[outcome] * exp(e.log_e);
    }
    return mean;
}

Test(eprocess, points_have_the_expectation_one_at_their_margin_at_every_base_rate)
{
    static const double shares[] = { 0.001, 0.05, 0.5, 0.95 }, bases[] = { 0, 0.001, 0.02, 0.4 };
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++)
        for (size_t j = 0; j < ARRAY_COUNT(bases); j++)
            for (int side = EPROCESS_MORE; side <= EPROCESS_LESS; side++) {
                double rho = shares[i], base = bases[j], sign = side == EPROCESS_MORE ? 1 : -1;
                cr_expect_float_eq(points_mean(0.005, side, rho, base + 0.005, base), 1, 1e-9);
                cr_expect_lt(points_mean(0.005, side, rho, base + 0.005 - sign * 0.005, base), 1);
                cr_expect_gt(points_mean(0.005, side, rho, base + 0.005 + sign * 0.005, base), 1);
            }
}

Test(eprocess, shares_of_nothing_and_everything_say_nothing)
{
    struct eprocess_ratio e;
    struct eprocess_points p;
    eprocess_ratio_init(&e, 1, EPROCESS_MORE, 0);
    eprocess_points_init(&p, 0, EPROCESS_MORE, 0);
    for (int i = 0; i < 2; i++) {
        eprocess_ratio_add(&e, i, 1000, 1000);
        eprocess_points_add(&p, i, 9000, 1000, 1000);
    }
    cr_expect_float_eq(e.log_e, 0, 1e-12);
    cr_expect_float_eq(p.log_e, 0, 1e-12);
}

Test(eprocess, counts_beyond_all_measure_stay_numbers)
{
    double much = ratio_log_e(1, EPROCESS_MORE, 0.01, 400000000, 10);
    double little = ratio_log_e(1, EPROCESS_MORE, 0.01, 10, 4000000000);
    cr_expect(isfinite(much) && much > 1e6);
    cr_expect(isfinite(little) && little < -1000);
}

/* Given out at two moments, among outcomes of either kind: still 1 at the margin. */
Test(eprocess, a_reserve_changes_no_expectation)
{
    double rho = 0.2, q = rho * 1.5 / (rho * 1.5 + 1 - rho), mean = 0, points = 0;
    double canary = 0.3, stable = 0.25, none = 1 - rho * canary - (1 - rho) * stable;
    for (uint32_t path = 0; path < 1u << 10; path++) {
        struct eprocess_ratio e;
        double chance = 1;
        eprocess_ratio_init(&e, 1.5, EPROCESS_MORE, 0.1);
        for (int i = 0; i < 10; i++) {
            bool is_canary = path >> i & 1;
            if (i == 3 || i == 7)
                eprocess_ratio_refill(&e);
            eprocess_ratio_add(&e, rho, is_canary, !is_canary);
            chance *= is_canary ? q : 1 - q;
        }
        mean += chance * exp(e.log_e);
    }
    cr_expect_float_eq(mean, 1, 1e-9);
    for (uint32_t path = 0; path < 729; path++) {
        struct eprocess_points e;
        double chance = 1;
        uint32_t outcomes = path;
        eprocess_points_init(&e, 0.05, EPROCESS_MORE, 0.1);
        for (int i = 0; i < 6; i++, outcomes /= 3) {
            if (i == 2)
                eprocess_points_refill(&e);
            eprocess_points_add(&e, rho, 1, outcomes % 3 == 1, outcomes % 3 == 2);
            chance *= (double[]){ none, rho * canary, (1 - rho) * stable }[outcomes % 3];
        }
        points += chance * exp(e.log_e);
    }
    cr_expect_float_eq(points, 1, 1e-9);
}

Test(eprocess, a_reserve_finds_what_turns_bad_late)
{
    int events[2] = { 0, 0 };
    for (int has_reserve = 0; has_reserve < 2; has_reserve++) {
        struct eprocess_ratio e;
        eprocess_ratio_init(&e, 1, EPROCESS_MORE, has_reserve ? 0.1 : 0);
        for (int minute = 0; minute < 60; minute++) {
            eprocess_ratio_refill(&e);
            eprocess_ratio_add(&e, 0.05, 3, 57);
        }
        cr_expect_lt(e.log_e_most, 0.1);
        for (; e.log_e < log(100); events[has_reserve]++)
            eprocess_ratio_add(&e, 0.05, 1, 0);
    }
    cr_expect(events[1] < 20 && events[0] > 2 * events[1], "%d against %d", events[1], events[0]);
}

/* A canary that is wholly broken is found after some events, not some thousand. */
Test(eprocess, a_broken_canary_takes_a_handful_of_events)
{
    struct eprocess_ratio e;
    eprocess_ratio_init(&e, 1.5, EPROCESS_MORE, 0);
    int events = 0;
    for (; e.log_e < log(100); events++)
        eprocess_ratio_add(&e, 0.1, 1, 0);
    cr_expect_leq(events, 4, "%d events", events);
}

Test(eprocess, the_forecast_of_growth_is_what_a_simulation_sees)
{
    struct eprocess_ratio e;
    struct rng rng;
    rng_init(&rng, 1);
    eprocess_ratio_init(&e, 1, EPROCESS_MORE, 0);
    double rho = 0.1, theta = 2, q = rho * theta / (rho * theta + 1 - rho);
    double growth = eprocess_ratio_growth(&e, rho, theta);
    uint32_t n = 200000, canary = 0;
    for (uint32_t i = 0; i < n; i++)
        canary += rng_below(&rng, 1000000) < q * 1e6;
    eprocess_ratio_add(&e, rho, canary, n - canary);
    cr_expect_float_eq(e.log_e / n / growth, 1, 0.05);
    cr_expect_lt(eprocess_ratio_growth(&e, rho, 0.99), 0, "there is nothing to find");
}
