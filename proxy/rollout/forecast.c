/* rollout/forecast.c - walks the steps through the calendar, and asks each guardrail how long it would take. */
#include "rollout/forecast.h"

#include "base/check.h"
#include "rollout/calendar.h"

#include <math.h>

#define WHOLE_PPM 1e6

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static enum forecast_wait wait_of(const struct rollout_config *config, struct wall_time at)
{
    struct calendar_view view;
    calendar_look(config, at, &view);
    switch (view.block) {
    case CALENDAR_BEFORE_START:
        return FORECAST_BEFORE_START;
    case CALENDAR_FROZEN:
        return FORECAST_FROZEN;
    case CALENDAR_CLOSED:
        return FORECAST_CLOSED;
    case CALENDAR_OPEN:
        break;
    }
    return FORECAST_NO_WAIT;
}

/* INT64_MAX: they never come; a hundred years count as that. */
static int64_t requests_ms(double requests, double per_s)
{
    const double most_ms = 3.2e12;
    if (requests <= 0)
        return 0;
    double ms = per_s > 0 ? ceil(requests / per_s * 1000) : most_ms;
    return ms < most_ms ? (int64_t)ms : INT64_MAX;
}

static void forecast_weight(const struct rollout_config *config, const struct forecast_traffic *traffic,
                            struct wall_time *at, struct forecast_step *out)
{
    const struct step_config *step = out->step;
    double canary_per_s = traffic->requests_per_s * step->weight_ppm / WHOLE_PPM;
    int64_t needed_ms = requests_ms(step->min_requests, canary_per_s);
    out->wait = wait_of(config, *at);
    out->earliest = calendar_next_open(config, *at);
    out->is_slowed_by_requests = needed_ms > step->hold_ms;
    out->lasts_ms = out->is_slowed_by_requests ? needed_ms : step->hold_ms;
    *at = (struct wall_time){ INT64_MAX };
    if (out->earliest.unix_ms == INT64_MAX)
        out->wait = FORECAST_NEVER;
    else if (out->lasts_ms != INT64_MAX)
        at->unix_ms = out->earliest.unix_ms + out->lasts_ms;
}

void forecast_make(const struct rollout_config *config, const struct forecast_traffic *traffic, struct wall_time now,
                   struct forecast *out)
{
    struct wall_time at = now;
    *out = (struct forecast){ .step_count = config->step_count };
    CHECK(config->step_count <= STEPS_MAX);
    for (size_t i = 0; i < config->step_count; i++) {
        struct forecast_step *step = &out->steps[i];
        step->step = &config->steps[i];
        step->earliest = at;
        if (at.unix_ms == INT64_MAX)
            step->wait = FORECAST_NEVER;
        else if (step->step->kind == STEP_WEIGHT)
            forecast_weight(config, traffic, &at, step);
    }
    out->ends = at;
    if (at.unix_ms != INT64_MAX)
        out->ends.unix_ms += config->bake_ms;
}

/* ---- guardrails -------------------------------------------------------------------------------------------------- */

/* What people ask about, as multiples of stable's figure. */
static const double multiples[] = { 1.5, 2, 5, 10 };

/* A comparison looks at this rate of events on stable; 0: not known. Beyond its own quantile a request is slow. */
static double base_of(const struct rollout_config *config, const struct forecast_traffic *traffic, uint32_t guardrail)
{
    const struct guardrail_config *g = &config->guardrails[guardrail];
    if (g->kind == WATCH_LATENCY)
        return 1 - (g->quantile_permille > 0 ? g->quantile_permille / 1000.0 : 0.9);
    return g->kind == WATCH_EVENT ? traffic->event_rates[guardrail] : traffic->error_rate;
}

static bool is_beyond_margin(const struct guardrail_config *g, double base, double times)
{
    if (g->comparison == COMPARISON_POINTS)
        return base * (times - 1) > g->worse_than_stable.points_ppm / WHOLE_PPM;
    double margin = g->kind == WATCH_LATENCY ? 1 : g->worse_than_stable.ratio; /* latencies count slow answers */
    return margin < 1 ? times < margin : times > margin;
}

static size_t comparison_notices(const struct rollout_config *config, const struct forecast_traffic *traffic,
                                 uint32_t guardrail, double share, forecast_requests_fn *requests_needed, void *arg,
                                 struct forecast_notice *out)
{
    const struct guardrail_config *g = &config->guardrails[guardrail];
    bool is_less_worse = g->kind == WATCH_EVENT && g->worse_than_stable.ratio < 1;
    double base = base_of(config, traffic, guardrail);
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(multiples); i++) {
        double times = is_less_worse ? 1 / multiples[i] : multiples[i];
        if (base * times > 1 || (base > 0 && !is_beyond_margin(g, base, times)))
            continue;
        double requests = base > 0 ? requests_needed(arg, guardrail, share, base, times) : INFINITY;
        double seconds = traffic->requests_per_s > 0 ? requests / traffic->requests_per_s : INFINITY;
        out[count++] = (struct forecast_notice){ .times = times, .seconds = seconds };
    }
    return count;
}

/* Requests of the canary until more than max of a whole window are bad, when `rate` of them are: three bad ones at least, and
   the minimum; but what is bad beyond any doubt needs no full window (docs of guardrails). */
static double window_seconds(const struct guardrail_config *g, double max, double canary_per_s, double rate)
{
    double minimum = g->min_requests > 0 ? g->min_requests : fmax(20, ceil(2 / fmax(max, 1e-6)));
    double window_s = (double)g->window_ms / 1000, in_window = canary_per_s * window_s;
    double bad_needed = fmax(3, floor(max * fmax(in_window, minimum)) + 1);
    double seconds = canary_per_s > 0 ? bad_needed / (rate * canary_per_s) : INFINITY;
    bool is_ever = in_window * rate >= bad_needed; /* else the first have left the window before the last come */
    return is_ever ? seconds : INFINITY;
}

static size_t window_notices(const struct guardrail_config *g, double canary_per_s, struct forecast_notice *out)
{
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(multiples) - 1; i++)
        if (g->max * multiples[i] < 1)
            out[count++] =
                (struct forecast_notice){ .times = multiples[i],
                                          .seconds = window_seconds(g, g->max, canary_per_s, g->max * multiples[i]) };
    out[count++] =
        (struct forecast_notice){ .is_all_bad = true, .seconds = window_seconds(g, g->max, canary_per_s, 1) };
    return count;
}

/* Of a budget that is an hour's worth of a month's at 14.4 times its rate: the usual windows for that (SRE Workbook,
   "Alerting on SLOs"), and no longer than the hold. All bad, the long one is the later of the two to be over its bound. */
static double burn_seconds(const struct slo_config *slo, const struct guardrail_config *g, int64_t hold_ms,
                           double canary_per_s)
{
    const double hour_ms = 3600e3, month_ms = 30 * 24 * hour_ms;
    uint32_t target_ppm = slo->availability_ppm > 0 ? slo->availability_ppm : slo->latency.for_ppm;
    double of_month_ms = g->burn >= 14.4 ? hour_ms : g->burn >= 6 ? 6 * hour_ms : 72 * hour_ms;
    double long_ms = of_month_ms * (double)slo->window_ms / month_ms;
    double bad_share = g->burn * (1 - target_ppm / WHOLE_PPM);
    if (hold_ms > 0 && long_ms > (double)hold_ms)
        long_ms = (double)hold_ms;
    if (bad_share > 1 || canary_per_s <= 0)
        return INFINITY;
    return fmax(bad_share * long_ms / 1000, 3 / canary_per_s);
}

static struct forecast_notice all_bad(double seconds)
{
    return (struct forecast_notice){ .is_all_bad = true, .seconds = seconds };
}

static struct forecast_notice beyond_limit(double ms)
{
    return (struct forecast_notice){ .times = 1, .seconds = ms / 1000 };
}

/* The kinds that have one answer. */
static struct forecast_notice notice_of(const struct config *config, const struct guardrail_config *g, int64_t hold_ms,
                                        double canary_per_s)
{
    const double second_ms = 1000;
    switch (g->kind) {
    case WATCH_CONNECT_FAILURES:
        return all_bad(canary_per_s > 0 ? g->max / canary_per_s : INFINITY);
    case WATCH_LATENCY: /* more of a window than the quantile leaves is slow: when all are, by its third */
        return all_bad(canary_per_s > 0 ? 3 / canary_per_s : INFINITY);
    case WATCH_PROMETHEUS:
        return beyond_limit((double)g->every_ms);
    case WATCH_MONITOR:
        return beyond_limit((double)config->monitors[g->monitor_index].every_ms * g->max_failures);
    case WATCH_SLO:
        return all_bad(burn_seconds(&config->slos[g->slo_index], g, hold_ms, canary_per_s));
    case WATCH_EVENT: /* what does not happen is missed when the window has nothing else */
        return beyond_limit((double)g->window_ms);
    case WATCH_SATURATION:
    case WATCH_ERROR_RATE:
    case WATCH_SHADOW_MISMATCH:
        break;
    }
    return beyond_limit(second_ms);
}

size_t forecast_notices(const struct config *config, const struct rollout_config *rollout, uint32_t guardrail,
                        const struct step_config *step, const struct forecast_traffic *traffic,
                        forecast_requests_fn *requests_needed, void *arg,
                        struct forecast_notice out[FORECAST_NOTICES_MAX])
{
    const struct guardrail_config *g = &rollout->guardrails[guardrail];
    double share = step->weight_ppm / WHOLE_PPM, canary_per_s = traffic->requests_per_s * share;
    if (guardrail_config_compares(g))
        return share < 1 ? comparison_notices(rollout, traffic, guardrail, share, requests_needed, arg, out) : 0;
    if (g->kind == WATCH_ERROR_RATE || g->kind == WATCH_SHADOW_MISMATCH)
        return window_notices(g, canary_per_s, out);
    out[0] = notice_of(config, g, step->hold_ms, canary_per_s);
    return 1;
}

/* ---- a drill's fault ------------------------------------------------------------------------------------------------------ */

/* Of stable, and how many times as likely on the canary. Where stable has no bad one at all, one in a thousand of what the
   canary has stands for it: the bound is on a ratio. */
static void fault_rates(const struct guardrail_config *g, double bad_share, double *base, double *theta)
{
    const double next_to_none = 1e-3;
    *base = bad_share * next_to_none;
    *theta = 1 / next_to_none;
    if (g->kind == WATCH_LATENCY) {
        *base = 1 - (g->quantile_permille > 0 ? g->quantile_permille / 1000.0 : 0.9);
        *theta = (bad_share + (1 - bad_share) * *base) / *base;
    } else if (g->kind == WATCH_EVENT && g->worse_than_stable.ratio < 1) {
        *base = 1;
        *theta = fmax(1 - bad_share, next_to_none);
    }
}

static double comparison_fault_seconds(const struct guardrail_config *g, uint32_t guardrail, double share,
                                       double requests_per_s, double bad_share, forecast_requests_fn *requests_needed,
                                       void *arg)
{
    double base, theta;
    fault_rates(g, bad_share, &base, &theta);
    if (share >= 1 || !is_beyond_margin(g, base, theta))
        return INFINITY;
    return fmax(requests_needed(arg, guardrail, share, base, theta) / requests_per_s,
                g->min_requests / (requests_per_s * share));
}

/* So many in a row, when each is one with that probability. */
static double row_seconds(double in_a_row, double canary_per_s, double bad_share)
{
    double requests = bad_share >= 1 ? in_a_row : (pow(bad_share, -in_a_row) - 1) / (1 - bad_share);
    return requests / canary_per_s;
}

double forecast_fault_seconds(const struct config *config, const struct rollout_config *rollout, uint32_t guardrail,
                              const struct step_config *step, double requests_per_s, double bad_share,
                              forecast_requests_fn *requests_needed, void *arg)
{
    const struct guardrail_config *g = &rollout->guardrails[guardrail];
    double share = step->weight_ppm / WHOLE_PPM, canary_per_s = requests_per_s * share;
    if (guardrail_config_compares(g))
        return comparison_fault_seconds(g, guardrail, share, requests_per_s, bad_share, requests_needed, arg);
    if (g->kind == WATCH_ERROR_RATE)
        return bad_share > g->max ? window_seconds(g, g->max, canary_per_s, bad_share) : INFINITY;
    if (g->kind == WATCH_LATENCY) {
        double slow_max = 1 - g->quantile_permille / 1000.0;
        return bad_share > slow_max ? window_seconds(g, slow_max, canary_per_s, bad_share) : INFINITY;
    }
    if (g->kind == WATCH_CONNECT_FAILURES)
        return row_seconds(g->max, canary_per_s, bad_share);
    if (g->kind == WATCH_SLO)
        return burn_seconds(&config->slos[g->slo_index], g, step->hold_ms, canary_per_s * bad_share);
    return notice_of(config, g, step->hold_ms, canary_per_s).seconds;
}
