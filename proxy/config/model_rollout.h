/* config/model_rollout.h - rollouts and what watches over them as plain structs: the rest of config/model.h.
 *
 * Owner and threads as there: the snapshot's arena, written by the load alone. The main thread reads it, workers do not:
 * what a rollout means to them is in the weights (route/weights.h). */
#ifndef CONFIG_MODEL_ROLLOUT_H
#define CONFIG_MODEL_ROLLOUT_H

#include "base/zone.h"

#include "config/model.h"

/* From `from` to `to`, both included. */
struct status_range {
    uint16_t from, to;
};

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* A step raises the weight and stays there for a while, or is a gate before the next one that does. */
enum step_kind { STEP_WEIGHT, STEP_APPROVE, STEP_WEBHOOK };

enum step_require { REQUIRE_NOTHING, REQUIRE_NOT_WORSE };

#define STEPS_MAX     64u
#define APPROVALS_MAX 16u

struct step_config {
    enum step_kind kind;
    uint32_t weight_ppm;         /* WEIGHT: the canary's share of the pair, more than that of the step before */
    int64_t hold_ms;             /* WEIGHT: watched at least this long */
    uint32_t min_requests;       /* WEIGHT: of the canary at this step; 0: any number */
    enum step_require require;   /* WEIGHT */
    uint32_t approve_count;      /* APPROVE: so many different people */
    struct slice_list approvers; /* APPROVE: of these; empty: anybody whose role allows it */
    bool is_starter_allowed;     /* APPROVE: who started the rollout may be one of them */
    struct slice webhook;        /* WEBHOOK */
    int64_t timeout_ms;          /* WEBHOOK: until it has said yes */
    struct place place;
};

/* ---- guardrails -------------------------------------------------------------------------------------------------- */

enum watch_kind {
    WATCH_ERROR_RATE,
    WATCH_LATENCY,
    WATCH_SHADOW_MISMATCH,
    WATCH_SATURATION,
    WATCH_CONNECT_FAILURES,
    WATCH_EVENT,
    WATCH_PROMETHEUS,
    WATCH_SLO,
    WATCH_MONITOR
};

/* What `metric` says: latencies with their quantile. */
enum watch_metric {
    METRIC_NONE, /* event, prometheus, slo or monitor instead */
    METRIC_ERROR_RATE,
    METRIC_LATENCY,
    METRIC_LATENCY_P50,
    METRIC_LATENCY_P75,
    METRIC_LATENCY_P90,
    METRIC_LATENCY_P95,
    METRIC_LATENCY_P99,
    METRIC_LATENCY_P999,
    METRIC_SHADOW_MISMATCH,
    METRIC_SATURATION,
    METRIC_CONNECT_FAILURES
};

/* RATIO: canary against stable as a quotient; POINTS: as a difference. */
enum comparison_kind { COMPARISON_NONE, COMPARISON_RATIO, COMPARISON_POINTS };

/* INHERIT: as the rollout says. IGNORE: `on_unknown` only. */
enum breach_policy { POLICY_INHERIT, POLICY_ROLLBACK, POLICY_PAUSE, POLICY_IGNORE };

/* Of a rollout. Workers count each request for these: sets of guardrails are bits of a uint32_t, and what is slow, and which
   events there are, are columns (stats/tally.h). */
#define ROLLOUT_GUARDRAILS_MAX 16u
#define ROLLOUT_QUANTILES_MAX  12u /* `latency` is three, an slo with `latency` one */
#define ROLLOUT_EVENTS_MAX     8u

struct comparison_config {
    double ratio;        /* 0: not given */
    uint32_t points_ppm; /* 0: not given */
};

struct guardrail_config {
    struct slice name;    /* the label in metrics: given, or made from the rest; unique in its rollout */
    enum watch_kind kind; /* follows from which key was given */
    enum watch_metric metric;
    uint32_t quantile_permille; /* LATENCY: 500..999; 0: the usual ones together */
    enum comparison_kind comparison;
    struct comparison_config worse_than_stable; /* event with a ratio below 1: less is worse */
    uint32_t confidence_ppm;                    /* comparisons: 1,000,000 less what may be false alarms */
    bool has_max, has_min;                      /* without a comparison at least one, but for SLO and MONITOR */
    double max, min;                            /* shares as 0..1, latencies in milliseconds, else as written */
    int64_t window_ms;                          /* max and min: over so long */
    uint32_t min_requests;                      /* with fewer nothing is said; 0: as many as it takes to say anything */
    struct slice max_text, min_text;
    struct slice event, prometheus, server, shadow, slo, monitor;
    struct place shadow_place, slo_place, monitor_place;
    uint32_t shadow_index;             /* in the route's shadows; CONFIG_NONE: none */
    uint32_t slo_index, monitor_index; /* CONFIG_NONE: none */
    int64_t told_within_ms;            /* EVENT: outcomes that are told later are in no comparison */
    int64_t every_ms;                  /* PROMETHEUS: how often it is asked */
    double burn;                       /* SLO: times the rate that would use up the budget in its window */
    uint32_t max_failures;             /* MONITOR: one after the other, of the canary */
    enum breach_policy on_breach;      /* never IGNORE */
    enum breach_policy on_unknown;     /* PROMETHEUS, never INHERIT */
    struct place place;
};

static inline bool guardrail_config_compares(const struct guardrail_config *g)
{
    return g->comparison != COMPARISON_NONE;
}

/* ---- when -------------------------------------------------------------------------------------------------------- */

/* When weights may rise. */
struct window_config {
    struct slice_list day_texts;
    struct slice from_text, to_text, tz;
    struct place tz_place;
    unsigned days;           /* bit 0: Monday */
    int32_t from_s, to_s;    /* of the day, from < to <= 86,400 */
    const struct zone *zone; /* of tz */
    struct place place;
};

/* When they may not. */
struct freeze_config {
    struct wall_time from, to; /* from <= now < to */
    struct slice reason;
    struct place place;
};

/* ---- rollouts ---------------------------------------------------------------------------------------------------- */

enum rollout_start { ROLLOUT_START_MANUAL, ROLLOUT_START_ON_REVISION };

struct rollout_config {
    struct slice name;
    struct slice route, stable, canary;
    struct place route_place, stable_place, canary_place;
    uint32_t route_index;                /* in config->routes */
    uint32_t stable_entry, canary_entry; /* in the route's split */
    struct slice revision;               /* "": none is told */
    enum rollout_start start;
    struct wall_time start_at; /* unix_ms 0: none */
    struct step_config *steps; /* at least one; the last is a weight of 100 % */
    size_t step_count;
    int64_t bake_ms;
    struct slice_list error_texts;
    struct status_range *errors; /* answers that are errors, beside the upstream's own faults */
    size_t error_count;
    struct guardrail_config *guardrails;
    size_t guardrail_count;
    enum breach_policy on_breach; /* ROLLBACK or PAUSE */
    struct window_config *windows;
    size_t window_count; /* 0: always open */
    struct freeze_config *freezes;
    size_t freeze_count;
    struct slice_list notify;
    struct place notify_place;
    uint32_t *notify_indexes; /* as many as names */
    struct ownership_config ownership;
    struct place place;
};

/* The rollout that owns the split of a route, or NULL: no other weights are set there (409). */
static inline const struct rollout_config *rollout_config_of_route(const struct config *config, uint32_t route_index)
{
    for (size_t i = 0; i < config->rollout_count; i++)
        if (config->rollouts[i].route_index == route_index)
            return &config->rollouts[i];
    return NULL;
}

/* ---- what else watches ------------------------------------------------------------------------------------------- */

struct slo_latency_config {
    int64_t below_ms; /* 0: not given */
    uint32_t for_ppm;
};

struct slo_config {
    struct slice name;
    struct slice route;
    struct place route_place;
    uint32_t route_index;
    uint32_t availability_ppm; /* 0: not given */
    struct slo_latency_config latency;
    int64_t window_ms;
    struct ownership_config ownership;
    struct place place;
};

struct monitor_request_config {
    struct slice method, path, host; /* host "": the endpoint's own */
    struct header_set *headers;
    size_t header_count;
};

struct monitor_expect_config {
    struct slice_list status_texts;
    struct status_range *statuses;
    size_t status_count;
    struct slice body; /* part of the answer's; "": any */
    struct header_set *headers;
    size_t header_count;
    int64_t latency_ms;        /* to its last byte; 0: any */
    uint32_t certificate_days; /* left at least; 0: any */
};

struct monitor_config {
    struct slice name;
    struct slice_list upstreams;
    struct place upstreams_place;
    uint32_t *upstream_indexes; /* as many as names */
    struct monitor_request_config request;
    struct monitor_expect_config expect;
    int64_t every_ms, timeout_ms;
    uint32_t unready_after; /* failures in a row of one of its upstreams; 0: it says nothing about readiness */
    struct ownership_config ownership;
    struct place place;
};

struct notify_config {
    struct slice name;
    struct slice webhook, alertmanager; /* "": none */
    struct place place;
};

#endif
