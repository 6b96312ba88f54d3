/* stats/metrics.h - all metrics that /metrics answers, in one document. Pure: what it cannot know is passed in.
 *
 * The one place that knows every metric's name, type, help and labels; dashboards and alerts depend on them, and tests
 * hold them. A family is written even when it has no sample yet, so that a scrape shows what exists.
 *
 * Thread: main. Costs as much as there are names and workers; workers do not notice. */
#ifndef STATS_METRICS_H
#define STATS_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/text.h"
#include "stats/budget.h"
#include "stats/expose.h"
#include "stats/stats.h"

/* The process as the kernel sees it (/proc/self), read by the caller. */
struct metrics_process {
    uint64_t cpu_us; /* user and system, of all threads */
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_fd_count, max_fd_count;
    struct wall_time started;
};

/* Reloads so far, as the main thread knows them. */
struct metrics_config {
    uint64_t generation;
    uint64_t applied_count, rejected_count, unchanged_count;
    struct wall_time last_reload; /* the last applied one; the start counts */
};

/* A certificate in use. */
struct metrics_certificate {
    struct slice file;
    int64_t expires_unix_s;
};

/* Lines of record files (shadow/recorder.h). */
struct metrics_records {
    uint64_t written_count, lost_count;
};

/* weir.shared (lua/shared_map.h). */
struct metrics_shared {
    uint64_t entry_count, used_bytes, evicted_count;
};

struct metrics_guardrail {
    struct slice name;
    double evidence; /* 0..1 */
    uint64_t breach_count;
};

struct metrics_rollout {
    struct slice name;
    double weight;  /* of the pair, 0..1 */
    int64_t step;   /* from 1 */
    unsigned state; /* index of rollout_states */
    const struct metrics_guardrail *guardrails;
    size_t guardrail_count;
    uint64_t outcomes_counted, outcomes_repeated, outcomes_left_out;
};

struct metrics_drilled {
    struct slice guardrail;
    double detect_s, rollback_s; /* below 0: it did not come to that */
};

struct metrics_drill {
    struct slice rollout;
    const uint64_t *end_counts; /* by drill_ends */
    uint64_t request_count;
    int64_t last_at_s; /* of the end of the newest one, since 1970; 0: there was none */
    const struct metrics_drilled *guardrails;
    size_t guardrail_count;
};

struct metrics_monitor {
    struct slice monitor, upstream;
    bool is_known, is_good;
    uint64_t good_count, bad_count;
};

struct metrics_slo {
    struct slice name;
    bool has_window[BUDGET_WINDOW_COUNT];
    double burn_rates[BUDGET_WINDOW_COUNT];
    double budget_remaining; /* 1: all; below 0: overdrawn */
};

/* Words that events are often of: the rest is "other", the last, so that whoever posts makes no series. */
#define METRICS_DEPLOYMENT_KINDS 8u
extern const char *const metrics_deployment_kinds[METRICS_DEPLOYMENT_KINDS];

/* Events of one kind that were posted. */
struct metrics_deployment {
    uint64_t count;        /* since the process began */
    struct wall_time last; /* also before that; 0: not known */
};

struct metrics_facts {
    const char *version;
    const struct metrics_deployment *deployments; /* by kind; NULL: none */
    const struct metrics_rollout *rollouts;
    size_t rollout_count;
    const char *const *rollout_states;
    unsigned rollout_state_count;
    const struct metrics_drill *drills;
    size_t drill_count;
    const char *const *drill_ends;
    unsigned drill_end_count;
    const struct metrics_monitor *monitors;
    size_t monitor_count;
    const struct metrics_slo *slos;
    size_t slo_count;
    const struct metrics_certificate *certificates;
    size_t certificate_count;
    struct metrics_records records;
    struct metrics_shared shared;
    struct metrics_process process;
    struct metrics_config config;
};

void metrics_write(struct text *out, enum expose_format format, const struct stats *stats,
                   const struct metrics_facts *facts);

#endif
