/* rollout/drill.c - a drill: what a rehearsal does to each guardrail in turn, and what it makes of what follows. */
#include "rollout/drill.h"

#include <math.h>

#define GOOD_US      20000 /* what a good answer takes, about */
#define TIMES_WORSE  10    /* than the margin: how much slower a slow canary is */
#define LIMITS_WORSE 2     /* how many times an absolute limit */

const char *const drill_fault_names[DRILL_FAULT_COUNT] = {
    [DRILL_ERROR] = "error", [DRILL_CONNECT] = "connect", [DRILL_LATENCY] = "latency",
    [DRILL_EVENT] = "event", [DRILL_SAMPLE] = "sample",
};

const char *const drill_result_names[DRILL_RESULT_COUNT] = {
    [DRILL_NOT_DRILLED] = "not_drilled", [DRILL_FIRED] = "fired",
    [DRILL_SILENT] = "silent",           [DRILL_FALSE_ALARM] = "false_alarm",
    [DRILL_EXPOSED] = "exposed",         [DRILL_STUCK] = "stuck",
    [DRILL_UNREACHED] = "unreached",     [DRILL_NOT_REHEARSED] = "not_rehearsed",
};

bool drill_fault_read(struct slice name, enum drill_fault *out)
{
    for (unsigned i = 0; i < DRILL_FAULT_COUNT; i++)
        if (slice_equal(name, slice_from_cstr(drill_fault_names[i]))) {
            *out = (enum drill_fault)i;
            return true;
        }
    return false;
}

/* ---- what is done --------------------------------------------------------------------------------------------------------- */

static enum drill_fault fault_of(const struct guardrail_config *g, const struct slo_config *slo)
{
    switch (g->kind) {
    case WATCH_ERROR_RATE:
        return DRILL_ERROR;
    case WATCH_LATENCY:
        return DRILL_LATENCY;
    case WATCH_CONNECT_FAILURES:
        return DRILL_CONNECT;
    case WATCH_EVENT:
        return DRILL_EVENT;
    case WATCH_SLO:
        return slo->availability_ppm != 0 ? DRILL_ERROR : DRILL_LATENCY;
    case WATCH_SHADOW_MISMATCH:
    case WATCH_SATURATION:
    case WATCH_PROMETHEUS:
    case WATCH_MONITOR:
        break;
    }
    return DRILL_SAMPLE;
}

/* 503 where that is one of the rollout's errors. */
static uint16_t bad_status(const struct rollout_config *rollout)
{
    for (size_t i = 0; i < rollout->error_count; i++)
        if (rollout->errors[i].from <= 503 && rollout->errors[i].to >= 503)
            return 503;
    return rollout->error_count > 0 && rollout->errors[0].from >= 200 ? rollout->errors[0].from : 0;
}

/* Good answers keep well within an absolute limit. */
static void fill_latency(struct drill_script *s, const struct guardrail *g, int64_t delay_ms)
{
    uint64_t worse = (uint64_t)((double)s->good_us * TIMES_WORSE * (g->margin > 1 ? g->margin : 1));
    if (g->limit_us > 0) {
        s->good_us = g->limit_us / 4 < GOOD_US ? g->limit_us / 4 : GOOD_US;
        worse = g->limit_us * LIMITS_WORSE;
    }
    s->bad_us = delay_ms > 0 ? s->good_us + (uint64_t)delay_ms * 1000 : worse;
    if (s->bad_us > DRILL_LATENCY_MOST / 2)
        s->bad_us = DRILL_LATENCY_MOST / 2;
}

static void fill_event(struct drill_script *s, const struct guardrail *g)
{
    s->event = 1u << (g->column - TALLY_EVENTS);
    s->is_event_good = g->is_less_worse || (g->kind == GUARDRAIL_RATE && isfinite(g->min));
}

static double beyond(double limit, double direction)
{
    return limit + direction * (fabs(limit) > 0 ? fabs(limit) / 2 : 1);
}

static void fill_sample(struct drill_script *s, const struct guardrail *g)
{
    bool has_max = isfinite(g->max);
    s->bad_sample = has_max ? beyond(g->max, 1) : beyond(g->min, -1);
    s->good_sample = has_max ? beyond(g->max, -1) : beyond(g->min, 1);
    if (has_max && isfinite(g->min))
        s->good_sample = (g->max + g->min) / 2;
}

void drill_script_init(struct drill_script *s, const struct rollout_config *rollout,
                       const struct guardrail_config *config, const struct guardrail *g, const struct slo_config *slo,
                       int64_t delay_ms)
{
    *s = (struct drill_script){ .fault = fault_of(config, slo), .bad_status = bad_status(rollout), .good_us = GOOD_US };
    switch (s->fault) {
    case DRILL_LATENCY:
        fill_latency(s, g, delay_ms);
        break;
    case DRILL_EVENT:
        fill_event(s, g);
        break;
    case DRILL_SAMPLE:
        fill_sample(s, g);
        break;
    case DRILL_CONNECT:
        s->bad_status = 0;
        break;
    case DRILL_ERROR:
    case DRILL_FAULT_COUNT:
        break;
    }
}

/* Between three and five quarters of it, so that a quantile is one. */
static uint64_t spread(uint64_t us, uint32_t draw)
{
    return us * 3 / 4 + us / 2 * (draw >> 16) / 65536;
}

void drill_script_request(const struct drill_script *s, bool is_bad, uint32_t draw, struct drill_request *out)
{
    const struct drill_outcome good = { 200, spread(s->good_us, draw), s->is_event_good ? s->event : 0 };
    struct drill_outcome bad = good;
    switch (s->fault) {
    case DRILL_ERROR:
    case DRILL_CONNECT:
        bad.status = s->bad_status;
        break;
    case DRILL_LATENCY:
        bad.latency_us = s->bad_us;
        break;
    case DRILL_EVENT:
        bad.events ^= s->event;
        break;
    case DRILL_SAMPLE:
    case DRILL_FAULT_COUNT:
        break;
    }
    *out = (struct drill_request){ { good, is_bad ? bad : good } };
}

/* ---- a trial -------------------------------------------------------------------------------------------------------------- */

void drill_trial_begin(struct drill_trial *t)
{
    *t = (struct drill_trial){ .stage = DRILL_WARMING };
}

static void end(struct drill_trial *t, enum drill_result result)
{
    t->stage = DRILL_DONE;
    t->result = result;
}

/* Workers have counted it before its answer is here: the breach may come in between. */
static bool was_sent_failing(const struct drill_trial *t, struct mono_time sent)
{
    return t->failing.us != 0 && mono_diff_us(sent, t->failing) >= 0 &&
           (t->breach.us == 0 || mono_diff_us(t->breach, sent) > 0);
}

/* One that was under way when the stage changed belongs to the one before. */
void drill_trial_on_answer(struct drill_trial *t, bool is_canary, bool is_bad, struct mono_time sent)
{
    t->answers++;
    if (was_sent_failing(t, sent)) {
        t->requests++;
        t->bad_requests += is_canary && is_bad;
        if (is_canary && is_bad && t->bad.us == 0)
            t->bad = sent;
    }
    if (t->stage == DRILL_CHECKING && mono_diff_us(sent, t->unexposed) >= 0) {
        t->checked++;
        t->exposed += is_canary;
    }
}

void drill_trial_on_loss(struct drill_trial *t)
{
    t->lost++;
}

void drill_trial_on_sample(struct drill_trial *t, bool is_bad, struct mono_time now)
{
    if (t->stage == DRILL_FAILING && is_bad && t->bad.us == 0)
        t->bad = now;
}

static void look_at_failing(struct drill_trial *t, const struct drill_settings *settings, const struct drill_view *view,
                            struct mono_time now)
{
    if (!view->is_breached) {
        if (mono_diff_us(now, t->failing) > settings->timeout_ms * 1000)
            end(t, DRILL_SILENT);
        return;
    }
    t->breach = now;
    if (t->bad.us == 0)
        t->bad = t->failing; /* its answer is still on the way */
    t->stage = DRILL_RETURNING;
    if (view->is_paused) {
        t->is_paused = true;
        end(t, DRILL_FIRED);
    }
}

static void look_at_return(struct drill_trial *t, const struct drill_view *view, struct mono_time now)
{
    if (t->stage == DRILL_RETURNING && view->is_in_force) {
        t->unexposed = now;
        t->stage = DRILL_CHECKING;
    }
    if (t->stage == DRILL_CHECKING && t->checked >= DRILL_CHECK_ANSWERS)
        end(t, t->exposed > 0 ? DRILL_EXPOSED : DRILL_FIRED);
    else if (mono_diff_us(now, t->breach) > DRILL_RETURN_MS * 1000)
        end(t, t->exposed > 0 ? DRILL_EXPOSED : DRILL_STUCK);
}

void drill_trial_look(struct drill_trial *t, const struct drill_settings *settings, const struct drill_view *view,
                      struct mono_time now)
{
    if (t->stage == DRILL_DONE)
        return;
    if (t->answers == 0 && t->lost >= DRILL_LOST_MOST) {
        end(t, DRILL_UNREACHED);
        return;
    }
    switch (t->stage) {
    case DRILL_WARMING:
        if (view->is_breached) {
            end(t, DRILL_FALSE_ALARM);
        } else if (t->answers >= DRILL_WARM_ANSWERS && view->is_in_force) {
            t->stage = DRILL_FAILING;
            t->failing = now;
        }
        break;
    case DRILL_FAILING:
        look_at_failing(t, settings, view, now);
        break;
    case DRILL_RETURNING:
    case DRILL_CHECKING:
        look_at_return(t, view, now);
        break;
    case DRILL_DONE:
        break;
    }
}

int64_t drill_trial_detect_us(const struct drill_trial *t)
{
    return t->breach.us != 0 ? mono_diff_us(t->breach, t->bad) : -1;
}

int64_t drill_trial_rollback_us(const struct drill_trial *t)
{
    return t->unexposed.us != 0 ? mono_diff_us(t->unexposed, t->breach) : -1;
}

void drill_sum_add(struct drill_sum *sum, enum drill_result result)
{
    sum->fired += result == DRILL_FIRED;
    sum->not_rehearsed += result == DRILL_NOT_REHEARSED;
    sum->failed += result != DRILL_FIRED && result != DRILL_NOT_REHEARSED && result != DRILL_NOT_DRILLED;
}
