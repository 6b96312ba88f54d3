/* stats/metrics_rollout.c - metrics of rollouts and of what watches them. */
#include "stats/metrics_parts.h"

static void write_rollout_gauges(struct expose *e, const struct metrics_facts *facts)
{
    expose_family(e, EXPOSE_GAUGE, "weir_rollout_weight_ratio", "The canary's share of its pair, 0 to 1");
    for (size_t i = 0; i < facts->rollout_count; i++) {
        struct expose_label label = { "rollout", facts->rollouts[i].name };
        expose_real(e, &label, 1, facts->rollouts[i].weight);
    }
    expose_family(e, EXPOSE_GAUGE, "weir_rollout_step", "The step of a rollout, from 1; 0 before the first");
    for (size_t i = 0; i < facts->rollout_count; i++) {
        struct expose_label label = { "rollout", facts->rollouts[i].name };
        expose_i64(e, &label, 1, facts->rollouts[i].step);
    }
}

static void write_rollout_states(struct expose *e, const struct metrics_facts *facts)
{
    expose_family(e, EXPOSE_GAUGE, "weir_rollout_state", "1 for the state that a rollout is in, 0 for all others");
    for (size_t i = 0; i < facts->rollout_count; i++)
        for (unsigned s = 0; s < facts->rollout_state_count; s++) {
            struct expose_label labels[] = { { "rollout", facts->rollouts[i].name },
                                             { "state", slice_from_cstr(facts->rollout_states[s]) } };
            expose_u64(e, labels, 2, facts->rollouts[i].state == s);
        }
}

static void write_guardrails(struct expose *e, const struct metrics_facts *facts)
{
    expose_family(e, EXPOSE_GAUGE, "weir_guardrail_evidence",
                  "How far a guardrail is from a breach: 0 nothing speaks for one, 1 it is breached");
    for (size_t i = 0; i < facts->rollout_count; i++)
        for (size_t g = 0; g < facts->rollouts[i].guardrail_count; g++) {
            struct expose_label labels[] = { { "rollout", facts->rollouts[i].name },
                                             { "guardrail", facts->rollouts[i].guardrails[g].name } };
            expose_real(e, labels, 2, facts->rollouts[i].guardrails[g].evidence);
        }
    expose_family(e, EXPOSE_COUNTER, "weir_guardrail_breaches_total",
                  "Releases that a guardrail has stopped since the process began");
    for (size_t i = 0; i < facts->rollout_count; i++)
        for (size_t g = 0; g < facts->rollouts[i].guardrail_count; g++) {
            struct expose_label labels[] = { { "rollout", facts->rollouts[i].name },
                                             { "guardrail", facts->rollouts[i].guardrails[g].name } };
            expose_u64(e, labels, 2, facts->rollouts[i].guardrails[g].breach_count);
        }
}

static void write_outcomes(struct expose *e, const struct metrics_facts *facts)
{
    expose_family(e, EXPOSE_COUNTER, "weir_outcomes_total",
                  "Business outcomes that were told by the admin API, by what became of them");
    for (size_t i = 0; i < facts->rollout_count; i++) {
        const struct metrics_rollout *r = &facts->rollouts[i];
        struct expose_label labels[] = { { "rollout", r->name }, { "result", SLICE("counted") } };
        expose_u64(e, labels, 2, r->outcomes_counted);
        labels[1].value = SLICE("repeated");
        expose_u64(e, labels, 2, r->outcomes_repeated);
        labels[1].value = SLICE("left_out");
        expose_u64(e, labels, 2, r->outcomes_left_out);
    }
}

static void write_drill_ends(struct expose *e, const struct metrics_facts *facts)
{
    expose_family(e, EXPOSE_COUNTER, "weir_drills_total", "Drills that have ended, by how");
    for (size_t i = 0; i < facts->drill_count; i++)
        for (unsigned end = 0; end < facts->drill_end_count; end++) {
            struct expose_label labels[] = { { "rollout", facts->drills[i].rollout },
                                             { "result", slice_from_cstr(facts->drill_ends[end]) } };
            expose_u64(e, labels, 2, facts->drills[i].end_counts[end]);
        }
    expose_family(e, EXPOSE_COUNTER, "weir_drill_requests_total",
                  "Synthetic requests of drills: in no other metric but those of connections");
    for (size_t i = 0; i < facts->drill_count; i++) {
        struct expose_label label = { "rollout", facts->drills[i].rollout };
        expose_u64(e, &label, 1, facts->drills[i].request_count);
    }
    expose_family(e, EXPOSE_GAUGE, "weir_drill_last_timestamp_seconds", "When the newest drill of a rollout ended");
    for (size_t i = 0; i < facts->drill_count; i++) {
        struct expose_label label = { "rollout", facts->drills[i].rollout };
        if (facts->drills[i].last_at_s > 0)
            expose_i64(e, &label, 1, facts->drills[i].last_at_s);
    }
}

enum drill_time { DRILL_TIME_DETECTION, DRILL_TIME_ROLLBACK };

static void write_drill_times(struct expose *e, const struct metrics_facts *facts, enum drill_time which)
{
    for (size_t i = 0; i < facts->drill_count; i++)
        for (size_t g = 0; g < facts->drills[i].guardrail_count; g++) {
            const struct metrics_drilled *drilled = &facts->drills[i].guardrails[g];
            double seconds = which == DRILL_TIME_DETECTION ? drilled->detect_s : drilled->rollback_s;
            struct expose_label labels[] = { { "rollout", facts->drills[i].rollout },
                                             { "guardrail", drilled->guardrail } };
            if (seconds >= 0)
                expose_real(e, labels, 2, seconds);
        }
}

static void write_drills(struct expose *e, const struct metrics_facts *facts)
{
    write_drill_ends(e, facts);
    expose_family(e, EXPOSE_GAUGE, "weir_drill_detection_seconds",
                  "How long a guardrail took to fire in the newest drill, at the slowest step");
    write_drill_times(e, facts, DRILL_TIME_DETECTION);
    expose_family(e, EXPOSE_GAUGE, "weir_drill_rollback_seconds",
                  "How long until the weight was 0 in every worker, in the newest drill, at the slowest step");
    write_drill_times(e, facts, DRILL_TIME_ROLLBACK);
}

static void write_monitors(struct expose *e, const struct metrics_facts *facts)
{
    expose_family(e, EXPOSE_GAUGE, "weir_monitor_up",
                  "1 when the last answer of every endpoint to a monitor was as expected, else 0");
    for (size_t i = 0; i < facts->monitor_count; i++) {
        const struct metrics_monitor *m = &facts->monitors[i];
        struct expose_label labels[] = { { "monitor", m->monitor }, { "upstream", m->upstream } };
        if (m->is_known)
            expose_u64(e, labels, 2, m->is_good);
    }
    expose_family(e, EXPOSE_COUNTER, "weir_monitor_checks_total", "Checks of monitors by result");
    for (size_t i = 0; i < facts->monitor_count; i++) {
        const struct metrics_monitor *m = &facts->monitors[i];
        struct expose_label labels[] = { { "monitor", m->monitor },
                                         { "upstream", m->upstream },
                                         { "result", SLICE("ok") } };
        expose_u64(e, labels, 3, m->good_count);
        labels[2].value = SLICE("failed");
        expose_u64(e, labels, 3, m->bad_count);
    }
}

static void write_slos(struct expose *e, const struct metrics_facts *facts)
{
    expose_family(e, EXPOSE_GAUGE, "weir_slo_burn_rate",
                  "How many times faster than it would last an objective's budget burns, over a window");
    for (size_t i = 0; i < facts->slo_count; i++)
        for (int w = 0; w < BUDGET_WINDOW_COUNT; w++) {
            struct expose_label labels[] = { { "slo", facts->slos[i].name },
                                             { "window", slice_from_cstr(budget_window_names[w]) } };
            if (facts->slos[i].has_window[w])
                expose_real(e, labels, 2, facts->slos[i].burn_rates[w]);
        }
    expose_family(e, EXPOSE_GAUGE, "weir_slo_budget_remaining_ratio",
                  "What is left of an objective's budget over its window: 1 all of it, 0 nothing, below 0 overdrawn");
    for (size_t i = 0; i < facts->slo_count; i++) {
        struct expose_label label = { "slo", facts->slos[i].name };
        expose_real(e, &label, 1, facts->slos[i].budget_remaining);
    }
}

const char *const metrics_deployment_kinds[METRICS_DEPLOYMENT_KINDS] = {
    "deploy", "rollback", "config", "flag", "migration", "scale", "maintenance", "other"
};

static void write_deployments(struct expose *e, const struct metrics_facts *facts)
{
    unsigned count = facts->deployments != NULL ? METRICS_DEPLOYMENT_KINDS : 0;
    expose_family(e, EXPOSE_COUNTER, "weir_deployment_events_total", "Events told by POST /api/v1/events, by kind");
    for (unsigned i = 0; i < count; i++) {
        struct expose_label label = { "kind", slice_from_cstr(metrics_deployment_kinds[i]) };
        expose_u64(e, &label, 1, facts->deployments[i].count);
    }
    expose_family(e, EXPOSE_GAUGE, "weir_deployment_event_timestamp_seconds", "When the last event of a kind was");
    for (unsigned i = 0; i < count; i++) {
        struct expose_label label = { "kind", slice_from_cstr(metrics_deployment_kinds[i]) };
        if (facts->deployments[i].last.unix_ms > 0)
            expose_seconds(e, &label, 1, (uint64_t)facts->deployments[i].last.unix_ms * 1000);
    }
}

void metrics_write_rollouts(struct expose *e, const struct metrics_facts *facts)
{
    write_rollout_gauges(e, facts);
    write_rollout_states(e, facts);
    write_guardrails(e, facts);
    write_outcomes(e, facts);
    write_drills(e, facts);
    write_monitors(e, facts);
    write_slos(e, facts);
    write_deployments(e, facts);
}
