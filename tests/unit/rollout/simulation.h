/* tests/unit/rollout/simulation.h - small simulated releases that feed real evidence. */
#ifndef SIMULATION_H
#define SIMULATION_H

#include "releases/draw.h"
#include "rollout/evidence.h"
#include "rollout/judge.h"

#include <string.h>

static inline struct mono_time second(int64_t s)
{
    return (struct mono_time){ s * 1000000 };
}

static inline struct guardrail ratio_of(double margin, double confidence)
{
    return (struct guardrail){ .kind = GUARDRAIL_RATIO,
                               .identity = 1,
                               .name = "error_rate",
                               .column = TALLY_ERRORS,
                               .margin = margin,
                               .confidence = confidence };
}

static inline struct guardrail points_of(double margin, double confidence)
{
    return (struct guardrail){ .kind = GUARDRAIL_POINTS,
                               .identity = 2,
                               .name = "error_rate",
                               .column = TALLY_ERRORS,
                               .margin = margin,
                               .confidence = confidence };
}

static inline struct guardrail latency_of(double quantile, double margin, double confidence)
{
    return (struct guardrail){ .kind = GUARDRAIL_LATENCY_RATIO,
                               .identity = 3,
                               .name = "latency",
                               .column = TALLY_SLOW,
                               .margin = margin,
                               .quantile = quantile,
                               .confidence = confidence };
}

/* Counts of one report. */
static inline struct tally_counts counts_of(uint64_t canary, uint64_t canary_errors, uint64_t stable,
                                            uint64_t stable_errors)
{
    struct tally_counts c;
    memset(&c, 0, sizeof c);
    c.begun[TALLY_CANARY] = c.requests[TALLY_CANARY] = canary;
    c.begun[TALLY_STABLE] = c.requests[TALLY_STABLE] = stable;
    c.columns[TALLY_CANARY][TALLY_ERRORS] = canary_errors;
    c.columns[TALLY_STABLE][TALLY_ERRORS] = stable_errors;
    return c;
}

/* One second of requests that are each assigned by an independent draw. */
static inline void add_second(struct evidence *e, struct rng *rng, uint64_t generation, uint32_t requests, double share,
                              double canary_rate, double stable_rate, int64_t at)
{
    uint32_t canary = draw_binomial(rng, requests, share), stable = requests - canary;
    struct tally_counts c =
        counts_of(canary, draw_binomial(rng, canary, canary_rate), stable, draw_binomial(rng, stable, stable_rate));
    evidence_add_counts(e, generation, &c, second(at));
}

static inline bool is_breached(const struct evidence *e, int64_t at)
{
    return judge_guardrail(e, 0, second(at)) == JUDGE_BREACH;
}

/* Three standard errors above the expected number of alarms. */
static inline double most_alarms(double alpha, uint32_t releases)
{
    return releases * alpha + 3 * sqrt(releases * alpha * (1 - alpha));
}

/* ---- sticky users ------------------------------------------------------------------------------------------------------ */

/* Users have a fixed position in the pair and their own way of failing: most rarely, some often, as people with one odd
   browser or one broken account do. */
struct user {
    uint64_t key;
    double position, error_rate;
};

static inline void users_make(struct user *users, uint32_t count, struct rng *rng, double rate)
{
    for (uint32_t i = 0; i < count; i++) {
        users[i].key = rng_next(rng);
        users[i].position = draw_unit(rng);
        users[i].error_rate = draw_chance(rng, 0.1) ? 0.5 : rate;
    }
}

/* One request of a user under the newest generation; its worker mails everything. */
static inline void user_request(struct evidence *e, struct rng *rng, const struct user *u, uint64_t generation,
                                double share, double relative_risk)
{
    struct tally_rules rules;
    bool is_canary = u->position < share;
    double rate = u->error_rate * (is_canary ? relative_risk : 1);
    struct tally_first first = { generation, u->key, draw_chance(rng, rate) ? 1u << TALLY_ERRORS : 0,
                                 is_canary ? TALLY_CANARY : TALLY_STABLE };
    evidence_rules(e, &rules);
    if (u->position * 1e6 >= rules.fresh_from_ppm)
        evidence_add_first(e, &first);
}

#endif
