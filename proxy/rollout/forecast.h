/* rollout/forecast.h - what a rollout would do if it were started now: `weir ctl rollout NAME plan`. Pure.
 *
 * When each step could begin at the earliest, and how long each guardrail would need at it to notice what, at a given
 * traffic. An estimate for people, from medians and averages: nothing is decided by it. */
#ifndef ROLLOUT_FORECAST_H
#define ROLLOUT_FORECAST_H

#include "rollout/progress.h"

/* The traffic it is made for: as measured, or as somebody asks. */
struct forecast_traffic {
    double requests_per_s;                      /* of the pair together */
    double error_rate;                          /* of stable, 0..1 */
    double event_rates[ROLLOUT_GUARDRAILS_MAX]; /* EVENT: of stable, by the guardrail's place; 0: not known */
};

/* ---- steps ------------------------------------------------------------------------------------------------------- */

enum forecast_wait { FORECAST_NO_WAIT, FORECAST_BEFORE_START, FORECAST_FROZEN, FORECAST_CLOSED, FORECAST_NEVER };

struct forecast_step {
    const struct step_config *step;
    struct wall_time
        earliest;            /* it begins then, if every gate opens at once and nothing is breached; INT64_MAX: never */
    enum forecast_wait wait; /* what it waits for before that */
    int64_t lasts_ms;        /* its hold, or what its requests take if that is longer; gates: 0; INT64_MAX: for ever */
    bool is_slowed_by_requests; /* min_requests take longer than the hold */
};

struct forecast {
    struct forecast_step steps[STEPS_MAX];
    size_t step_count;
    struct wall_time ends; /* the bake is over; INT64_MAX: never */
};

/* As if it were started now. */
void forecast_make(const struct rollout_config *config, const struct forecast_traffic *traffic, struct wall_time now,
                   struct forecast *out);

/* ---- guardrails -------------------------------------------------------------------------------------------------- */

/* Requests (both arms) that a comparison takes in the median to notice a canary on which events of a rate `base` are theta
   times as likely, at this share: judge_requests_needed of rollout/judge.h, behind a pointer so that this knows no evidence. */
typedef double forecast_requests_fn(void *arg, uint32_t guardrail, double share, double base, double theta);

/* "twice as many errors", and how long it would last. */
struct forecast_notice {
    double times;   /* so many times stable's figure (ratios and points), or the guardrail's limit (max); 0: see kind */
    double seconds; /* INFINITY: never, or it cannot be said: no traffic, or a rate of stable that is not known */
    bool is_all_bad; /* each request of the canary is bad */
};

#define FORECAST_NOTICES_MAX 4u

/* What a guardrail would notice at a step that is a weight; returns how many. Kinds whose figures come from elsewhere
   (saturation, Prometheus, monitors) notice what is beyond their limit as often as they look: one notice with times 1.
   `config` is the whole that the rollout belongs to. */
size_t forecast_notices(const struct config *config, const struct rollout_config *rollout, uint32_t guardrail,
                        const struct step_config *step, const struct forecast_traffic *traffic,
                        forecast_requests_fn *requests_needed, void *arg,
                        struct forecast_notice out[FORECAST_NOTICES_MAX]);

/* The same arithmetic for what a drill does: `bad_share` of the canary's requests are as bad as can be in what this guardrail
   watches, and none of stable's. Seconds until that is noticed, in the median; INFINITY: never. */
double forecast_fault_seconds(const struct config *config, const struct rollout_config *rollout, uint32_t guardrail,
                              const struct step_config *step, double requests_per_s, double bad_share,
                              forecast_requests_fn *requests_needed, void *arg);

#endif
