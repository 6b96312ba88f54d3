/* server/guardrail_specs.c - a rollout's guardrails as its judge understands them, made from the configuration. */
#include "server/guardrail_specs.h"

#include "base/check.h"
#include "base/hash.h"

#include <math.h>

#define MS INT64_C(1000)
/* How old a sample may be, in parts of what it is asked every so often. */
#define SAMPLE_AGES 3

static const char *name_copy(struct arena *arena, struct slice name)
{
    return arena_printf(arena, "%.*s", SLICE_ARG(name)).ptr;
}

/* What decides whether evidence of before a reload still speaks of the same thing. */
static uint64_t identity_of(const struct guardrail_config *g)
{
    static const struct hash_key key = { 0x77656972u, 0x67756172u };
    const double numbers[] = { g->kind,
                               g->metric,
                               g->quantile_permille,
                               g->comparison,
                               g->worse_than_stable.ratio,
                               g->worse_than_stable.points_ppm,
                               g->has_max ? g->max : 0,
                               g->has_min ? g->min : 0,
                               (double)g->window_ms,
                               g->burn };
    const struct slice texts[] = { g->name, g->event, g->prometheus, g->server, g->shadow, g->slo, g->monitor };
    uint64_t hash = hash_siphash(key, (const char *)numbers, sizeof numbers);
    for (uint64_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const struct hash_key of_place = { key.k0 + i, key.k1 };
        hash ^= hash_siphash(of_place, texts[i].len > 0 ? texts[i].ptr : "", texts[i].len);
    }
    return hash;
}

static uint32_t event_column(struct guardrail_specs *specs, struct slice event)
{
    uint32_t i = 0;
    while (i < specs->event_count && !slice_equal(specs->events[i], event))
        i++;
    CHECK(i < TALLY_EVENT_COUNT); /* checked with the configuration */
    if (i == specs->event_count)
        specs->events[specs->event_count++] = arena_copy(&specs->arena, event);
    return TALLY_EVENTS + i;
}

static void fill_comparison(struct guardrail *out, const struct guardrail_config *g)
{
    bool is_points = g->comparison == COMPARISON_POINTS;
    out->kind = is_points ? GUARDRAIL_POINTS : GUARDRAIL_RATIO;
    out->margin = is_points ? g->worse_than_stable.points_ppm / 1e6 : g->worse_than_stable.ratio;
    out->is_less_worse = !is_points && out->margin < 1;
}

static void fill_rate(struct guardrail *out, const struct guardrail_config *g, uint32_t column)
{
    out->column = column;
    if (guardrail_config_compares(g))
        fill_comparison(out, g);
    else
        out->kind = GUARDRAIL_RATE;
}

static void fill_latency(struct guardrail *out, const struct guardrail_config *g)
{
    out->kind = guardrail_config_compares(g) ? GUARDRAIL_LATENCY_RATIO : GUARDRAIL_LATENCY;
    out->quantile = g->quantile_permille / 1000.0;
    out->margin = g->worse_than_stable.ratio;
    out->limit_us = g->has_max ? (uint64_t)(g->max * 1000) : 0;
}

/* An objective's budget of errors, of slow answers, or both. */
static void fill_burn(struct guardrail *out, const struct guardrail_config *g, const struct slo_config *slo,
                      int64_t hold_ms)
{
    bool is_slow_alone = slo->availability_ppm == 0, has_latency = slo->latency.below_ms > 0;
    out->kind = GUARDRAIL_BURN;
    out->column = TALLY_ERRORS;
    out->max = g->burn;
    out->limit_us = has_latency ? (uint64_t)slo->latency.below_ms * 1000 : 0;
    out->objective = (is_slow_alone ? slo->latency.for_ppm : slo->availability_ppm) / 1e6;
    out->slow_objective = has_latency && !is_slow_alone ? slo->latency.for_ppm / 1e6 : 0;
    guardrail_burn_windows(g->burn, slo->window_ms * MS, hold_ms * MS, &out->window_us, &out->short_window_us);
}

static void fill_sample(struct guardrail *out, const struct guardrail_config *g)
{
    int64_t age_ms = g->kind == WATCH_PROMETHEUS ? SAMPLE_AGES * g->every_ms : g->window_ms;
    out->kind = GUARDRAIL_SAMPLE;
    out->window_us = (age_ms > 0 ? age_ms : 60000) * MS;
}

/* A check that failed is a sample of 1, one that did not of 0. */
static void fill_monitor(struct guardrail *out, const struct guardrail_config *g, const struct monitor_config *monitor)
{
    out->kind = GUARDRAIL_SAMPLE;
    out->max = 0.5;
    out->in_a_row = g->max_failures;
    out->window_us = SAMPLE_AGES * monitor->every_ms * MS;
}

static void fill(struct guardrail_specs *specs, const struct config *config, const struct guardrail_config *g,
                 int64_t hold_ms, struct guardrail *out)
{
    *out = (struct guardrail){ .identity = identity_of(g),
                               .name = name_copy(&specs->arena, g->name),
                               .max = g->has_max ? g->max : INFINITY,
                               .min = g->has_min ? g->min : -INFINITY,
                               .window_us = g->window_ms * MS,
                               .minimum_count = g->min_requests,
                               .confidence = g->confidence_ppm / 1e6 };
    switch (g->kind) {
    case WATCH_ERROR_RATE:
        fill_rate(out, g, TALLY_ERRORS);
        break;
    case WATCH_EVENT:
        fill_rate(out, g, event_column(specs, g->event));
        out->told_us = g->told_within_ms * MS;
        break;
    case WATCH_LATENCY:
        fill_latency(out, g);
        break;
    case WATCH_CONNECT_FAILURES:
        out->kind = GUARDRAIL_CONNECT_FAILURES;
        out->column = TALLY_CONNECT_FAILURES;
        out->in_a_row = (uint32_t)g->max;
        break;
    case WATCH_SLO:
        fill_burn(out, g, &config->slos[g->slo_index], hold_ms);
        break;
    case WATCH_MONITOR:
        fill_monitor(out, g, &config->monitors[g->monitor_index]);
        break;
    case WATCH_SHADOW_MISMATCH:
    case WATCH_SATURATION:
    case WATCH_PROMETHEUS:
        fill_sample(out, g);
        break;
    }
}

static int64_t longest_hold_ms(const struct rollout_config *rollout)
{
    int64_t longest = rollout->bake_ms;
    for (size_t i = 0; i < rollout->step_count; i++)
        if (rollout->steps[i].hold_ms > longest)
            longest = rollout->steps[i].hold_ms;
    return longest;
}

void guardrail_specs_init(struct guardrail_specs *specs, const struct config *config,
                          const struct rollout_config *rollout)
{
    *specs = (struct guardrail_specs){ .count = (uint32_t)rollout->guardrail_count };
    CHECK(specs->count <= GUARDRAILS_MAX);
    arena_init(&specs->arena, NULL, 0);
    for (uint32_t i = 0; i < specs->count; i++)
        fill(specs, config, &rollout->guardrails[i], longest_hold_ms(rollout), &specs->items[i]);
    CHECK(guardrails_assign_columns(specs->items, specs->count)); /* checked with the configuration */
}

void guardrail_specs_fini(struct guardrail_specs *specs)
{
    arena_reset(&specs->arena);
}
