/* rollout/guardrail.c - what follows from a guardrail's settings: columns, minimum counts, bounds, windows. */
#include "rollout/guardrail.h"

#include <math.h>

/* `latency` without a quantile: the middle, the slow, and the slowest. */
static const double quantiles[] = { 0.5, 0.9, 0.99 };

static bool is_all_quantiles(const struct guardrail *g)
{
    return g->kind == GUARDRAIL_LATENCY_RATIO && g->quantile <= 0;
}

uint32_t guardrail_slow_count(const struct guardrail *g)
{
    if (g->kind == GUARDRAIL_BURN)
        return g->limit_us > 0;
    if (g->kind != GUARDRAIL_LATENCY && g->kind != GUARDRAIL_LATENCY_RATIO)
        return 0;
    return is_all_quantiles(g) ? 3 : 1;
}

double guardrail_quantile(const struct guardrail *g, uint32_t i)
{
    return is_all_quantiles(g) ? quantiles[i] : g->quantile;
}

bool guardrails_assign_columns(struct guardrail *all, uint32_t count)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t needed = guardrail_slow_count(&all[i]);
        if (needed == 0)
            continue;
        if (used + needed > TALLY_SLOW_COUNT)
            return false;
        if (all[i].kind == GUARDRAIL_BURN && all[i].slow_objective > 0)
            all[i].slow_column = TALLY_SLOW + used;
        else
            all[i].column = TALLY_SLOW + used;
        used += needed;
    }
    return true;
}

bool guardrail_is_comparative(const struct guardrail *g)
{
    return g->kind == GUARDRAIL_RATIO || g->kind == GUARDRAIL_POINTS || g->kind == GUARDRAIL_LATENCY_RATIO;
}

/* Of an absolute rule: the share of requests at which it turns. */
static double turning_share(const struct guardrail *g)
{
    switch (g->kind) {
    case GUARDRAIL_RATE:
        return isfinite(g->max) ? g->max : g->min / 5; /* ten events at a lower limit */
    case GUARDRAIL_LATENCY:
        return 1 - g->quantile;
    case GUARDRAIL_BURN:
        return g->max * (1 - fmax(g->objective, g->slow_objective)); /* the smaller of two budgets */
    case GUARDRAIL_CONNECT_FAILURES:
    case GUARDRAIL_RATIO:
    case GUARDRAIL_POINTS:
    case GUARDRAIL_LATENCY_RATIO:
    case GUARDRAIL_SAMPLE:
    case GUARDRAIL_KIND_COUNT:
        return 1;
    }
    return 1;
}

uint64_t guardrail_minimum_count(const struct guardrail *g)
{
    if (g->minimum_count > 0)
        return g->minimum_count;
    double share = turning_share(g);
    double needed = share > 0 ? ceil(2 / share - 1e-9) : 20;
    return (uint64_t)fmin(fmax(needed, 20), 1e9);
}

double guardrail_log_bound(const struct guardrail *all, uint32_t count, const struct guardrail *g)
{
    uint32_t comparative = 0;
    for (uint32_t i = 0; i < count; i++)
        comparative += guardrail_is_comparative(&all[i]);
    return log(fmax(comparative, 1) / (1 - g->confidence));
}

#define HOUR_US (INT64_C(3600) * 1000000)

void guardrail_burn_windows(double burn, int64_t objective_window_us, int64_t hold_us, int64_t *long_us,
                            int64_t *short_us)
{
    int64_t standard_us = burn >= 14.4 ? HOUR_US : burn >= 6 ? 6 * HOUR_US : 72 * HOUR_US;
    double scaled_us = (double)standard_us * (double)objective_window_us / (double)(720 * HOUR_US);
    *long_us = scaled_us < (double)hold_us ? (int64_t)scaled_us : hold_us;
    *short_us = *long_us / 12;
}
