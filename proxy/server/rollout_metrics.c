/* server/rollout_metrics.c - rollouts and monitors for /metrics. */
#include "server/rollouts.h"

#include "stats/metrics.h"

static void fill_guardrails(const struct rollout *r, struct arena *arena, struct metrics_rollout *out)
{
    struct metrics_guardrail *guardrails = arena_zalloc_array(arena, r->specs.count + 1, sizeof *guardrails);
    for (uint32_t i = 0; i < r->specs.count; i++) {
        guardrails[i].name = slice_from_cstr(r->specs.items[i].name);
        guardrails[i].evidence = i < r->judged.count ? r->judged.guardrails[i].progress : 0;
        guardrails[i].breach_count = r->breach_counts[i];
    }
    out->guardrails = guardrails;
    out->guardrail_count = r->specs.count;
}

static size_t rollout_count(struct rollouts *all)
{
    size_t count = 0;
    LIST_FOREACH_SAFE (link, &all->items)
        count++;
    return count;
}

static void fill_rollouts(struct rollouts *all, struct arena *arena, struct metrics_facts *facts)
{
    struct metrics_rollout *out = arena_zalloc_array(arena, rollout_count(all) + 1, sizeof *out);
    facts->rollouts = out;
    LIST_FOREACH_SAFE (link, &all->items) {
        const struct rollout *r = LIST_ITEM(link, struct rollout, link);
        struct metrics_rollout *one = &out[facts->rollout_count++];
        one->name = slice_from_cstr(r->name);
        one->weight = r->progress.weight_ppm / 1e6;
        one->step = r->progress.step + 1;
        one->state = r->progress.state;
        one->outcomes_counted = r->outcomes.counted;
        one->outcomes_repeated = r->outcomes.repeated;
        one->outcomes_left_out = r->outcomes.left_out;
        fill_guardrails(r, arena, one);
    }
}

static void fill_monitors(const struct monitors *monitors, struct arena *arena, struct metrics_facts *facts)
{
    facts->monitor_count = monitors_count(monitors);
    struct metrics_monitor *out = arena_zalloc_array(arena, facts->monitor_count + 1, sizeof *out);
    for (size_t i = 0; i < facts->monitor_count; i++) {
        const struct monitor_status *s = monitors_at(monitors, i);
        out[i] =
            (struct metrics_monitor){ s->monitor, s->upstream, s->is_known, s->is_good, s->good_count, s->bad_count };
    }
    facts->monitors = out;
}

void rollouts_fill_metrics(struct rollouts *all, struct arena *arena, struct metrics_facts *facts)
{
    facts->rollout_states = rollout_state_names;
    facts->rollout_state_count = ROLLOUT_STATE_COUNT;
    fill_rollouts(all, arena, facts);
    fill_monitors(all->monitors, arena, facts);
}
