/* server/drill_describe.c - what a drill was asked for and what it has found, as its row has it. */
#include "server/drills.h"

#include <math.h>

static void put_duration(struct json *object, const char *key, int64_t us)
{
    if (us >= 0)
        json_put_real(object, key, (double)us / 1000);
    else
        json_put_null(object, key);
}

/* A rehearsal has one under trial; live, all that watch for errors are, at once and without a beginning that is good. */
static const char *result_of(const struct drill *d, uint32_t i)
{
    static const char *const stages[] = { "warming", "failing", "returning", "checking" };
    const struct drill_case *c = &d->cases[i];
    const struct drill_trial *t = &c->trial;
    bool is_live = d->wish.is_live, is_meant = is_live ? d->scripts[c->guardrail].fault == DRILL_ERROR : i == d->at;
    if (!is_meant || !c->is_wanted || t->stage == DRILL_DONE || d->is_ending || d->ended_at.unix_ms != 0 ||
        t->result == DRILL_NOT_REHEARSED)
        return drill_result_names[t->result];
    return stages[is_live && t->stage == DRILL_WARMING ? DRILL_FAILING : t->stage];
}

static void put_times(const struct drill_case *c, struct json *object)
{
    const struct drill_trial *t = &c->trial;
    put_duration(object, "planned_ms", isfinite(c->place.planned_s) ? (int64_t)(c->place.planned_s * 1e6) : -1);
    put_duration(object, "detect_ms", drill_trial_detect_us(t));
    json_put_bool(object, "is_late", drill_trial_is_late(t, c->place.planned_s));
    put_duration(object, "rollback_ms", drill_trial_rollback_us(t));
    json_put_u64(object, "requests", t->requests);
    json_put_u64(object, "bad_requests", t->bad_requests);
    json_put_u64(object, "exposed_after", t->exposed);
}

static void put_case(const struct drill *d, uint32_t i, struct json *object)
{
    const struct drill_case *c = &d->cases[i];
    const struct drill_script *script = &d->scripts[c->guardrail];
    struct text why = { 0 };
    json_put_u64(object, "step", c->step);
    json_put_real(object, "weight", c->place.weight_ppm / 1e6);
    json_put_cstr(object, "name", d->specs.items[c->guardrail].name);
    json_put_cstr(object, "fault", drill_fault_names[script->fault]);
    json_put_bool(object, "is_simulated", script->fault == DRILL_SAMPLE);
    json_put_cstr(object, "result", result_of(d, i));
    json_put_bool(object, "is_paused", c->trial.is_paused);
    put_times(c, object);
    json_put_cstr(object, "reason", c->reason);
    drill_explain(&c->trial, script, &d->specs.items[c->guardrail], &d->wish.settings, &c->place, &why);
    json_put_string(object, "why", text_slice(&why));
    text_fini(&why);
}

void drill_write_detail(const struct drill *d, struct json *object)
{
    const struct drill_settings *s = &d->wish.settings;
    json_put_bool(object, "live", d->wish.is_live);
    json_put_string(object, "listener", d->listener);
    json_put_real(object, "weight", d->cases[0].place.weight_ppm / 1e6);
    json_put_u64(object, "rate", s->rate);
    json_put_real(object, "share", s->share_ppm / 1e6);
    json_put_i64(object, "delay_ms", s->delay_ms);
    json_put_i64(object, "timeout_ms", s->timeout_ms);
    if (d->cause != NULL)
        json_put_cstr(object, "cause", d->cause);
    struct json *guardrails = json_put_array(object, "guardrails");
    for (uint32_t i = 0; i < d->case_count; i++)
        put_case(d, i, json_push_object(guardrails));
}
