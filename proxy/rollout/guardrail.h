/* rollout/guardrail.h - what is watched while a release is exposed: one guardrail as the judge understands it. Pure.
 *
 * Made from the configuration by who reads that; nothing here knows YAML. What each kind tolerates, and why, is told to
 * users in docs/guardrails.md. Three families:
 *
 *   absolute      the canary alone, over the last `window_us`: no statistics, but never on fewer than three events
 *   comparative   the canary against stable at the same time, by a test that is valid at every look (stats/eprocess.h)
 *   sampled       a number that somebody else measured: Prometheus, a monitor, the comparer of shadows, a pool */
#ifndef ROLLOUT_GUARDRAIL_H
#define ROLLOUT_GUARDRAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "stats/tally.h"

#define GUARDRAILS_MAX 16u /* of one rollout */

enum guardrail_kind {
    GUARDRAIL_RATE,             /* absolute: the share of requests with `column` is at most `max`, at least `min` */
    GUARDRAIL_LATENCY,          /* absolute: a share `quantile` of the answers takes at most `limit_us` */
    GUARDRAIL_CONNECT_FAILURES, /* absolute: fewer than `in_a_row` in a row */
    GUARDRAIL_BURN,             /* absolute: an SLO's budget burns less than `max` times as fast as it lasts */
    GUARDRAIL_RATIO,            /* comparative: events of `column`; at most `margin` times as likely as on stable, or,
                                   with `is_less_worse`, at least */
    GUARDRAIL_POINTS,        /* comparative: at most `margin` (0.005: half a point) more likely; unsticky routes only */
    GUARDRAIL_LATENCY_RATIO, /* comparative: the quantile is at most `margin` times stable's */
    GUARDRAIL_SAMPLE,        /* sampled: at most `max`, at least `min` */
    GUARDRAIL_KIND_COUNT
};

/* Members that a kind does not name are not looked at. */
struct guardrail {
    enum guardrail_kind kind;
    uint64_t identity; /* a hash of what the user wrote, unique in the rollout: evidence is stored under it */
    const char *name; /* for reasons: "error_rate", "latency_p95", "purchase". Borrowed: outlives the judge's answers */
    uint32_t column;  /* enum tally_column. What is about latency: set by guardrails_assign_columns */
    double max, min;  /* INFINITY, -INFINITY: no such limit */
    double margin;
    int64_t told_us;         /* RATIO of an event: outcomes of a request are awaited so long (rollout/outcomes.h) */
    bool is_less_worse;      /* RATIO: an event that fewer of is bad, as a purchase */
    double quantile;         /* 0.95; LATENCY_RATIO: 0 means p50, p90 and p99, averaged */
    uint64_t limit_us;       /* LATENCY; BURN of an SLO about latency, else 0 */
    int64_t window_us;       /* RATE, LATENCY, BURN (the long one). SAMPLE: how old a sample may be */
    int64_t short_window_us; /* BURN */
    double objective;        /* BURN: 0.999, of `column` */
    double slow_objective; /* BURN of an SLO about both: 0.99 in limit_us, counted in slow_column; 0: about one alone */
    uint32_t slow_column;  /* set by guardrails_assign_columns */
    uint64_t
        minimum_count; /* canary requests in the window (comparative: in all) before anything is said; 0: default */
    uint32_t in_a_row; /* CONNECT_FAILURES; SAMPLE: bad samples in a row before it counts as a breach, 0 means 1 */
    double confidence; /* comparative: 0.99. 1 - confidence is what the rollout may spend on false alarms in all */
};

/* Columns of thresholds that it needs: 0, 1, or 3. */
uint32_t guardrail_slow_count(const struct guardrail *g);
/* Gives each guardrail about latency its columns, in their order. False when there are more than TALLY_SLOW_COUNT. */
bool guardrails_assign_columns(struct guardrail *all, uint32_t count);
bool guardrail_is_comparative(const struct guardrail *g);
/* Where the thresholds of a guardrail that has some are counted; its first column. */
static inline uint32_t guardrail_slow_column(const struct guardrail *g)
{
    return g->kind == GUARDRAIL_BURN && g->slow_objective > 0 ? g->slow_column : g->column;
}
/* Of the i-th column: 0.95; 0.5, 0.9, 0.99. */
double guardrail_quantile(const struct guardrail *g, uint32_t i);
/* What stands in for a minimum_count of 0: enough requests that a share at its limit is two events (so that a breach
   takes three), and at least 20. */
uint64_t guardrail_minimum_count(const struct guardrail *g);
/* ln(1/a) with a = (1 - confidence) / k, k being the number of comparative guardrails: where evidence becomes a breach. */
double guardrail_log_bound(const struct guardrail *all, uint32_t count, const struct guardrail *g);

/* The two windows for a burn rate (Google SRE Workbook, "Alerting on SLOs"): for an objective over 30 days 1 h and 5 m
   at 14.4 or more, 6 h and 30 m at 6 or more, else 3 d and 6 h; in proportion for other objectives. A canary is not
   watched for so long, so the long one is at most the step's hold, and the short one a twelfth of the long. */
void guardrail_burn_windows(double burn, int64_t objective_window_us, int64_t hold_us, int64_t *long_us,
                            int64_t *short_us);

#endif
