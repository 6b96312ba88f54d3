/* rollout/drill_explain.c - why a guardrail did not fire in a drill, and what it would have needed: sentences for people. */
#include "rollout/drill.h"

#include <math.h>

#define PPM        1e6
#define LATE_TIMES 2      /* what was planned is a median */
#define LATE_US    250000 /* looks, and the way of a request */

bool drill_script_is_beyond(const struct drill_script *s, const struct guardrail *g)
{
    if (s->fault != DRILL_LATENCY)
        return true;
    double limit_us = g->limit_us > 0 ? (double)g->limit_us : (double)s->good_us * fmax(g->margin, 1);
    return (double)s->bad_us > limit_us;
}

bool drill_can_rehearse(const struct guardrail *g, uint32_t weight_ppm, struct text *why)
{
    if (!guardrail_is_comparative(g) || weight_ppm < PPM)
        return true;
    text_add_cstr(why, "it compares with stable, which has no requests when the canary has all");
    return false;
}

bool drill_trial_is_late(const struct drill_trial *t, double planned_s)
{
    int64_t detect_us = drill_trial_detect_us(t);
    return detect_us >= 0 && isfinite(planned_s) && (double)detect_us > LATE_TIMES * planned_s * 1e6 + LATE_US;
}

/* ---- silence -------------------------------------------------------------------------------------------------------------- */

static double canary_per_s(const struct drill_settings *settings, const struct drill_place *place)
{
    return settings->rate * place->weight_ppm / PPM;
}

/* Slow is too fast. */
static void explain_delay(const struct drill_script *s, const struct guardrail *g, struct text *out)
{
    if (g->limit_us > 0)
        text_printf(out, "slow answers took %.0f ms, and it allows %.0f ms", (double)s->bad_us / 1e3,
                    (double)g->limit_us / 1e3);
    else
        text_printf(out, "slow answers took %.0f ms where good ones took about %.0f ms, and it allows %g times as long",
                    (double)s->bad_us / 1e3, (double)s->good_us / 1e3, fmax(g->margin, 1));
}

/* Of the canary's requests that are in its window at a time too few are ever bad. */
static void explain_window(const struct guardrail *g, const struct drill_settings *settings,
                           const struct drill_place *place, struct text *out)
{
    double allowed = g->kind == GUARDRAIL_LATENCY ? 1 - g->quantile : g->max;
    double window_s = (double)g->window_us / 1e6, in_window = canary_per_s(settings, place) * window_s;
    if (settings->share_ppm / PPM <= allowed)
        text_printf(out, "%g %% of the canary's requests were bad, and it allows %g %%", settings->share_ppm / 1e4,
                    allowed * 100);
    else
        text_printf(
            out,
            "too little traffic: it looks at %llu or more of the canary's requests in its window of %g s, where "
            "%.0f would be; it needs %.0f requests a second in all, or a longer window",
            (unsigned long long)guardrail_minimum_count(g), window_s, in_window,
            ceil((double)guardrail_minimum_count(g) / window_s / (place->weight_ppm / PPM)));
}

static void explain_never(const struct drill_script *s, const struct guardrail *g,
                          const struct drill_settings *settings, const struct drill_place *place, struct text *out)
{
    if (!drill_script_is_beyond(s, g))
        explain_delay(s, g, out);
    else if (g->kind == GUARDRAIL_RATE || g->kind == GUARDRAIL_LATENCY)
        explain_window(g, settings, place, out);
    else if (g->kind == GUARDRAIL_BURN)
        text_printf(out, "the margin is too wide: a burn of %g times would be more than all requests failing", g->max);
    else if (guardrail_is_comparative(g))
        text_printf(out, "the margin is too wide: %g %% bad requests of the canary are within %g%s",
                    settings->share_ppm / 1e4, g->kind == GUARDRAIL_POINTS ? g->margin * 100 : g->margin,
                    g->kind == GUARDRAIL_POINTS ? " points" : " times stable's");
    else
        text_add_cstr(out, "what was done to the canary is within what it allows");
}

/* It could have fired: so long, or so many. */
static void explain_silence(const struct drill_trial *t, const struct drill_script *s, const struct guardrail *g,
                            const struct drill_settings *settings, const struct drill_place *place, struct text *out)
{
    double had_s = (double)settings->timeout_ms / 1000;
    if (!isfinite(place->planned_s))
        explain_never(s, g, settings, place, out);
    else if (place->planned_s > had_s)
        text_printf(out,
                    "too little traffic for its time: about %.0f s at %u requests a second (%.0f requests), and it had "
                    "%g s; give it a longer --timeout, or more requests",
                    place->planned_s, settings->rate, place->planned_s * settings->rate, had_s);
    else
        text_printf(
            out, "planned to fire within %.1f s, and did not in %g s: %u requests came back, %u bad ones of the canary",
            place->planned_s, had_s, t->requests, t->bad_requests);
}

void drill_explain(const struct drill_trial *t, const struct drill_script *s, const struct guardrail *g,
                   const struct drill_settings *settings, const struct drill_place *place, struct text *out)
{
    switch (t->result) {
    case DRILL_SILENT:
        explain_silence(t, s, g, settings, place, out);
        break;
    case DRILL_FALSE_ALARM:
        text_add_cstr(out, "it breached while every answer was good");
        break;
    case DRILL_EXPOSED:
        text_printf(out, "%u of %u requests met the canary after the weight was 0", t->exposed, t->checked);
        break;
    case DRILL_STUCK:
        text_printf(out, "weight 0 was not seen in force within %d s", DRILL_RETURN_MS / 1000);
        break;
    case DRILL_UNREACHED:
        text_add_cstr(out, "no request came back from the listener");
        break;
    case DRILL_NOT_REHEARSED:
        drill_can_rehearse(g, place->weight_ppm, out);
        break;
    case DRILL_NOT_DRILLED:
    case DRILL_FIRED:
    case DRILL_RESULT_COUNT:
        break;
    }
}
