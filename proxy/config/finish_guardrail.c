/* config/finish_guardrail.c - what the keys of a guardrail mean together, and what it is called. */
#include "config/finish_parts.h"

#include "config/finish.h"
#include "config/formats.h"

#define WHOLE_PPM 1000000u

/* ---- guardrails -------------------------------------------------------------------------------------------------- */

void comparison_finish(struct fill *f, const struct node *map, void *target)
{
    static const char *const kinds[] = { "ratio", "points" };
    (void)target;
    finish_find_only(f, map, kinds, ARRAY_COUNT(kinds), "'worse_than_stable' does not say by how much",
                     "write ratio: 1.5, or points: 0.5%");
}

/* How a bound is written. */
enum bound_unit { BOUND_NONE, BOUND_SHARE, BOUND_DURATION, BOUND_NUMBER };

/* What each kind of guardrail may say. */
static const struct guardrail_form {
    const char *owner; /* for messages: "of a guardrail with ..." */
    enum bound_unit max, min;
    bool has_ratio, has_points;
    const char *own[3]; /* keys that only this kind has; ends in NULL */
} forms[] = {
    [WATCH_ERROR_RATE] = { "with metric: error_rate", BOUND_SHARE, BOUND_NONE, true, true, { NULL } },
    [WATCH_LATENCY] = { "with metric: latency", BOUND_DURATION, BOUND_NONE, true, false, { NULL } },
    [WATCH_SHADOW_MISMATCH] = { "with metric: shadow_mismatch", BOUND_SHARE, BOUND_NONE, false, false, { "shadow" } },
    [WATCH_SATURATION] = { "with metric: saturation", BOUND_SHARE, BOUND_NONE, false, false, { NULL } },
    [WATCH_CONNECT_FAILURES] = { "with metric: connect_failures", BOUND_NUMBER, BOUND_NONE, false, false, { NULL } },
    [WATCH_EVENT] = { "with 'event'", BOUND_SHARE, BOUND_SHARE, true, false, { "told_within" } },
    [WATCH_PROMETHEUS] = { "with 'prometheus'",
                           BOUND_NUMBER,
                           BOUND_NUMBER,
                           false,
                           false,
                           { "server", "every", "on_unknown" } },
    [WATCH_SLO] = { "with 'slo'", BOUND_NONE, BOUND_NONE, false, false, { "burn" } },
    [WATCH_MONITOR] = { "with 'monitor'", BOUND_NONE, BOUND_NONE, false, false, { "max_failures" } },
};

static enum watch_kind kind_of_metric(enum watch_metric metric)
{
    switch (metric) {
    case METRIC_SHADOW_MISMATCH:
        return WATCH_SHADOW_MISMATCH;
    case METRIC_SATURATION:
        return WATCH_SATURATION;
    case METRIC_CONNECT_FAILURES:
        return WATCH_CONNECT_FAILURES;
    case METRIC_LATENCY:
    case METRIC_LATENCY_P50:
    case METRIC_LATENCY_P75:
    case METRIC_LATENCY_P90:
    case METRIC_LATENCY_P95:
    case METRIC_LATENCY_P99:
    case METRIC_LATENCY_P999:
        return WATCH_LATENCY;
    case METRIC_NONE:
    case METRIC_ERROR_RATE:
        break;
    }
    return WATCH_ERROR_RATE;
}

static uint32_t quantile_of_metric(enum watch_metric metric)
{
    static const uint16_t permille[] = {
        [METRIC_LATENCY_P50] = 500, [METRIC_LATENCY_P75] = 750, [METRIC_LATENCY_P90] = 900,
        [METRIC_LATENCY_P95] = 950, [METRIC_LATENCY_P99] = 990, [METRIC_LATENCY_P999] = 999,
    };
    return metric < ARRAY_COUNT(permille) ? permille[metric] : 0;
}

/* Reads `max` or `min` in the unit that the kind counts in. */
static bool bound_finish(struct fill *f, const struct node *map, const char *key, struct slice text,
                         enum bound_unit unit, const char *owner, double *out)
{
    static const char *const faults[] = {
        [BOUND_SHARE] = "is not a share", [BOUND_DURATION] = "is not a duration", [BOUND_NUMBER] = "is not a number"
    };
    static const char *const hints[] = { [BOUND_SHARE] = "write a share, such as 2%",
                                         [BOUND_DURATION] = "write a duration, such as 400ms",
                                         [BOUND_NUMBER] = "write a bare number" };
    uint32_t ppm = 0;
    int64_t ms = 0;
    if (text.len == 0)
        return false;
    if (unit == BOUND_NONE) {
        finish_refuse_strangers(f, map, &key, 1, owner);
        return false;
    }
    bool is_good = unit == BOUND_SHARE      ? units_parse_share(text, &ppm)
                   : unit == BOUND_DURATION ? units_parse_duration(text, &ms)
                                            : format_read_number(text, out);
    if (!is_good) {
        struct err *e =
            err_add(f->errors, finish_place(map, key), "'%s': %s %s %s", key, fill_quote(f, text), faults[unit], owner);
        err_hint(f->errors, e, "%s", hints[unit]);
        return false;
    }
    if (unit == BOUND_SHARE)
        *out = (double)ppm / WHOLE_PPM;
    if (unit == BOUND_DURATION)
        *out = (double)ms;
    return true;
}

/* Margins that cannot be meant. */
static void ratio_finish(struct fill *f, const struct node *map, const struct guardrail_config *g)
{
    if (g->worse_than_stable.ratio <= 0)
        return;
    if (g->kind == WATCH_EVENT && g->worse_than_stable.ratio >= 1 && g->worse_than_stable.ratio <= 1)
        finish_refuse(f, map, "worse_than_stable", "with ratio: 1 does not say whether more or less is worse",
                      "write 0.95 where less is worse, 1.05 where more is");
    if (g->kind != WATCH_EVENT && g->worse_than_stable.ratio < 1)
        finish_refuse(f, map, "worse_than_stable", "with a ratio below 1 would call a better canary worse",
                      "write 1 or more, such as 1.5");
}

static void compare_form(struct fill *f, const struct node *map, struct guardrail_config *g)
{
    static const char *const of_bounds[] = { "max", "min", "window" };
    const struct guardrail_form *form = &forms[g->kind];
    g->comparison = g->worse_than_stable.points_ppm > 0 ? COMPARISON_POINTS : COMPARISON_RATIO;
    if (!form->has_ratio)
        finish_refuse(f, map, "worse_than_stable", arena_printf(f->errors->arena, "has no effect %s", form->owner).ptr,
                      "remove it");
    else if (g->comparison == COMPARISON_POINTS && !form->has_points)
        finish_refuse(f, map, "worse_than_stable", "with points is for error_rate alone", "write ratio: 1.2");
    ratio_finish(f, map, g);
    finish_refuse_strangers(f, map, of_bounds, ARRAY_COUNT(of_bounds), "beside 'worse_than_stable'");
}

/* What a guardrail without comparison goes by. */
static void limit_form(struct fill *f, const struct node *map, struct guardrail_config *g)
{
    static const char *const of_comparison[] = { "confidence", "told_within" };
    static const char *const of_window[] = { "window", "min_requests" };
    const struct guardrail_form *form = &forms[g->kind];
    g->has_max = bound_finish(f, map, "max", g->max_text, form->max, form->owner, &g->max);
    g->has_min = bound_finish(f, map, "min", g->min_text, form->min, form->owner, &g->min);
    finish_refuse_strangers(f, map, of_comparison, ARRAY_COUNT(of_comparison), "without 'worse_than_stable'");
    if (g->kind == WATCH_PROMETHEUS || g->kind == WATCH_SLO || g->kind == WATCH_MONITOR ||
        g->kind == WATCH_CONNECT_FAILURES)
        finish_refuse_strangers(f, map, of_window, ARRAY_COUNT(of_window), form->owner);
    if (g->kind == WATCH_SLO && g->burn <= 0 && node_get(map, "burn") == NULL)
        finish_refuse(f, map, "slo", "has no 'burn'",
                      "add burn: 14.4, which uses up 2 % of a budget of 30 days in an hour");
    if (g->kind == WATCH_CONNECT_FAILURES && g->has_max &&
        (g->max < 1 || g->max > 1000 || g->max != (double)(int)g->max))
        finish_refuse(f, map, "max", "is not a whole number from 1 to 1000", NULL);
    if (g->has_max && g->has_min && g->min > g->max)
        finish_refuse(f, map, "min", "is more than 'max'", NULL);
    if (g->kind == WATCH_LATENCY && g->quantile_permille == 0 && node_get(map, "max") != NULL)
        finish_refuse(f, map, "max", "needs to know which latency", "write metric: latency_p99, or another quantile");
    if (form->max == BOUND_NONE || node_get(map, "max") != NULL || node_get(map, "min") != NULL)
        return;
    struct err *e = err_add(f->errors, map->place, "the guardrail has no limit");
    err_hint(f->errors, e, "add max: %s%s%s",
             form->max == BOUND_DURATION ? "400ms"
             : form->max == BOUND_SHARE  ? "2%"
                                         : "5",
             form->min != BOUND_NONE ? ", min:" : "", form->has_ratio ? ", or worse_than_stable: { ratio: 1.5 }" : "");
}

/* Keys of other kinds. */
static void kind_form(struct fill *f, const struct node *map, const struct guardrail_config *g)
{
    for (size_t kind = 0; kind < ARRAY_COUNT(forms); kind++)
        for (size_t i = 0; i < ARRAY_COUNT(forms[kind].own) && forms[kind].own[i] != NULL; i++)
            if (kind != (size_t)g->kind)
                finish_refuse_strangers(f, map, &forms[kind].own[i], 1, forms[g->kind].owner);
    if (g->kind == WATCH_SHADOW_MISMATCH && node_get(map, "shadow") == NULL)
        finish_refuse(f, map, "metric", "shadow_mismatch does not say of which shadow", "add shadow: UPSTREAM");
}

void guardrail_finish(struct fill *f, const struct node *map, void *target)
{
    static const char *const subjects[] = { "metric", "event", "prometheus", "slo", "monitor" };
    static const enum watch_kind kinds[] = { WATCH_ERROR_RATE, WATCH_EVENT, WATCH_PROMETHEUS, WATCH_SLO,
                                             WATCH_MONITOR };
    struct guardrail_config *g = target;
    const char *subject = finish_find_only(f, map, subjects, ARRAY_COUNT(subjects), "the guardrail watches nothing",
                                           "a guardrail has one of metric, event, prometheus, slo and monitor");
    g->shadow_index = g->slo_index = g->monitor_index = CONFIG_NONE;
    if (subject == NULL || (subject == subjects[0] && g->metric == METRIC_NONE))
        return; /* a metric that was refused: what belongs to it is not known */
    for (size_t i = 0; i < ARRAY_COUNT(subjects); i++)
        if (subject == subjects[i])
            g->kind = kinds[i];
    if (g->metric != METRIC_NONE)
        g->kind = kind_of_metric(g->metric);
    g->quantile_permille = quantile_of_metric(g->metric);
    kind_form(f, map, g);
    if (node_get(map, "worse_than_stable") != NULL)
        compare_form(f, map, g);
    else
        limit_form(f, map, g);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* What metrics call a guardrail that was given no name. */
static struct slice made_name(struct fill *f, const struct guardrail_config *g)
{
    static const char *const metrics[] = {
        [METRIC_NONE] = "",
        [METRIC_ERROR_RATE] = "error_rate",
        [METRIC_LATENCY] = "latency",
        [METRIC_LATENCY_P50] = "latency_p50",
        [METRIC_LATENCY_P75] = "latency_p75",
        [METRIC_LATENCY_P90] = "latency_p90",
        [METRIC_LATENCY_P95] = "latency_p95",
        [METRIC_LATENCY_P99] = "latency_p99",
        [METRIC_LATENCY_P999] = "latency_p999",
        [METRIC_SHADOW_MISMATCH] = "shadow_mismatch",
        [METRIC_SATURATION] = "saturation",
        [METRIC_CONNECT_FAILURES] = "connect_failures",
    };
    static const char *const comparisons[] = { "", "_ratio", "_points" };
    const char *prefix = g->kind == WATCH_EVENT        ? "event_"
                         : g->kind == WATCH_SLO        ? "slo_"
                         : g->kind == WATCH_MONITOR    ? "monitor_"
                         : g->kind == WATCH_PROMETHEUS ? "prometheus"
                                                       : metrics[g->metric];
    struct slice what = g->kind == WATCH_EVENT     ? g->event
                        : g->kind == WATCH_SLO     ? g->slo
                        : g->kind == WATCH_MONITOR ? g->monitor
                                                   : SLICE("");
    return arena_printf(f->arena, "%s%.*s%s", prefix, SLICE_ARG(what), comparisons[g->comparison]);
}

static bool is_name_taken(const struct rollout_config *r, size_t index, struct slice name)
{
    for (size_t i = 0; i < r->guardrail_count; i++)
        if (i != index && slice_equal(r->guardrails[i].name, name))
            return true;
    return false;
}

/* Made ones get a number where they would stand twice: _2, _3. Given ones go first. */
void guardrail_names_finish(struct fill *f, struct rollout_config *r)
{
    for (size_t i = 0; i < r->guardrail_count; i++)
        if (r->guardrails[i].name.len > 0 && is_name_taken(r, i, r->guardrails[i].name))
            err_add(f->errors, r->guardrails[i].place, "two guardrails are named '%.*s'",
                    SLICE_ARG(r->guardrails[i].name));
    for (size_t i = 0; i < r->guardrail_count; i++) {
        struct guardrail_config *g = &r->guardrails[i];
        if (g->name.len > 0)
            continue;
        struct slice made = made_name(f, g), name = made;
        for (unsigned n = 2; is_name_taken(r, i, name); n++)
            name = arena_printf(f->arena, "%.*s_%u", SLICE_ARG(made), n);
        g->name = name;
    }
}
