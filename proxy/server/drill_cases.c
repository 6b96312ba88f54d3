/* server/drill_cases.c - what a drill rehearses: which guardrails, at the weights of which steps, and what is to be expected. */
#include "server/drills.h"

#include "base/memory.h"
#include "rollout/forecast.h"
#include "server/publisher.h"

#include <math.h>

#define PPM 1e6

/* ---- steps ---------------------------------------------------------------------------------------------------------------- */

static bool is_step_meant(const struct drill_wish *wish, const struct step_config *step, uint32_t number)
{
    if (step->kind != STEP_WEIGHT)
        return false;
    if (wish->step > 0 || wish->weight_ppm > 0)
        return wish->step == number || (wish->step == 0 && wish->weight_ppm == step->weight_ppm);
    return true;
}

static void refuse_step(const struct drill_wish *wish, struct text *error)
{
    if (wish->step > 0)
        text_printf(error, "no step %u has a weight", wish->step);
    else
        text_printf(error, "no step has the weight %g %%", wish->weight_ppm / 1e4);
}

/* Their numbers, from 1; returns how many. Without a word about steps the first one alone. */
static size_t choose_steps(const struct drill *d, uint32_t out[STEPS_MAX])
{
    size_t count = 0;
    for (uint32_t number = 1; number <= d->source->step_count; number++)
        if (is_step_meant(&d->wish, &d->source->steps[number - 1], number) && (count == 0 || d->wish.is_all_steps))
            out[count++] = number;
    return count;
}

/* ---- guardrails ----------------------------------------------------------------------------------------------------------- */

static double requests_needed(void *arg, uint32_t guardrail, double share, double base, double theta)
{
    const struct drill *d = arg;
    return judge_requests_needed(d->specs.items, d->specs.count, guardrail, share, base, theta);
}

/* What `rollout NAME plan` would say of this fault, were the drill's traffic today's. */
static double plan_seconds(struct drill *d, const struct config *config, const struct drill_case *c)
{
    const struct drill_settings *settings = &d->wish.settings;
    if (!drill_script_is_beyond(&d->scripts[c->guardrail], &d->specs.items[c->guardrail]))
        return INFINITY;
    struct step_config step = { .kind = STEP_WEIGHT,
                                .weight_ppm = c->place.weight_ppm,
                                .hold_ms = d->source->steps[c->step - 1].hold_ms };
    return forecast_fault_seconds(config, d->source, c->guardrail, &step, settings->rate, settings->share_ppm / PPM,
                                  requests_needed, d);
}

static bool is_guardrail_meant(const struct drill *d, uint32_t i)
{
    const struct drill_wish *wish = &d->wish;
    return (wish->guardrail.len == 0 || slice_equal(wish->guardrail, d->source->guardrails[i].name)) &&
           (!wish->has_fault || wish->fault == d->scripts[i].fault);
}

static void add_case(struct drill *d, const struct config *config, uint32_t step, uint32_t weight_ppm,
                     uint32_t guardrail)
{
    struct drill_case *c = &d->cases[d->case_count++];
    struct text why = { 0 };
    c->step = step;
    c->guardrail = guardrail;
    c->is_wanted = is_guardrail_meant(d, guardrail);
    c->place.weight_ppm = weight_ppm;
    c->place.planned_s = plan_seconds(d, config, c);
    if (c->is_wanted && !drill_can_rehearse(&d->specs.items[guardrail], weight_ppm, &why))
        c->trial.result = DRILL_NOT_REHEARSED;
    text_fini(&why);
}

static void fill_scripts(struct drill *d, const struct config *config)
{
    for (uint32_t i = 0; i < d->specs.count; i++) {
        const struct guardrail_config *g = &d->source->guardrails[i];
        const struct slo_config *slo = g->kind == WATCH_SLO ? &config->slos[g->slo_index] : NULL;
        drill_script_init(&d->scripts[i], d->source, g, &d->specs.items[i], slo, d->wish.settings.delay_ms);
    }
}

static bool has_case(const struct drill *d)
{
    for (uint32_t i = 0; i < d->case_count; i++)
        if (d->cases[i].is_wanted && d->cases[i].trial.result != DRILL_NOT_REHEARSED)
            return true;
    return false;
}

static void refuse_guardrails(const struct drill *d, struct text *error)
{
    const struct drill_wish *wish = &d->wish;
    for (uint32_t i = 0; i < d->case_count; i++)
        if (d->cases[i].is_wanted) {
            text_printf(error, "\"%s\" cannot be rehearsed at %g %%: ", d->specs.items[d->cases[i].guardrail].name,
                        d->cases[i].place.weight_ppm / 1e4);
            drill_can_rehearse(&d->specs.items[d->cases[i].guardrail], d->cases[i].place.weight_ppm, error);
            return;
        }
    if (wish->has_fault)
        text_printf(error, "no guardrail%s%.*s watches for the fault \"%s\"", wish->guardrail.len > 0 ? " " : "",
                    SLICE_ARG(wish->guardrail), drill_fault_names[wish->fault]);
    else if (wish->guardrail.len > 0)
        text_printf(error, "there is no guardrail \"%.*s\"", SLICE_ARG(wish->guardrail));
    else
        text_add_cstr(error, "the rollout has no guardrail");
}

/* ---- both ----------------------------------------------------------------------------------------------------------------- */

/* Without gates, calendar or anybody to tell; steps come with each case. */
static void fill_config(struct drill *d)
{
    d->config = *d->source;
    d->config.steps = d->steps;
    d->config.step_count = 2;
    d->config.start = ROLLOUT_START_MANUAL;
    d->config.start_at = (struct wall_time){ 0 };
    d->config.bake_ms = 0;
    d->config.window_count = d->config.freeze_count = d->config.notify.count = 0;
}

/* Real users come as they come. */
static void take_rate(struct drill *d, struct rollout *r)
{
    double per_s = rollout_requests_per_s(r);
    d->wish.settings.rate = per_s < 1 ? 1 : per_s < UINT32_MAX ? (uint32_t)(per_s + 0.5) : UINT32_MAX;
}

bool drill_choose(struct drill *d, struct rollout *r, struct text *error)
{
    const struct config *config = publisher_snapshot(d->all->rollouts->publisher)->config;
    uint32_t steps[STEPS_MAX];
    size_t count = choose_steps(d, steps);
    if (count == 0) {
        refuse_step(&d->wish, error);
        return false;
    }
    if (d->wish.is_live) {
        count = 1;
        take_rate(d, r);
    }
    fill_config(d);
    fill_scripts(d, config);
    d->cases = memory_zalloc(count * GUARDRAILS_MAX * sizeof *d->cases);
    for (size_t s = 0; s < count; s++) {
        uint32_t number = d->wish.is_live && r->progress.step >= 0 ? (uint32_t)r->progress.step + 1 : steps[s];
        uint32_t weight_ppm = d->wish.is_live ? r->progress.weight_ppm : d->source->steps[number - 1].weight_ppm;
        for (uint32_t i = 0; i < d->specs.count; i++)
            add_case(d, config, number, weight_ppm, i);
    }
    if (!has_case(d))
        refuse_guardrails(d, error);
    return has_case(d);
}
