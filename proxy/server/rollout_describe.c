/* server/rollout_describe.c - where a rollout stands, as the admin API shows it. */
#include "server/rollouts.h"

#include "rollout/calendar.h"
#include "store/rollouts.h"

#define HISTORY_SHOWN 6

static void describe_step(const struct step_config *step, struct json *object)
{
    struct json *approvers;
    switch (step->kind) {
    case STEP_WEIGHT:
        json_put_real(object, "weight", step->weight_ppm / 1e6);
        json_put_i64(object, "hold_ms", step->hold_ms);
        json_put_u64(object, "min_requests", step->min_requests);
        json_put_bool(object, "requires_proof", step->require == REQUIRE_NOT_WORSE);
        break;
    case STEP_APPROVE:
        json_put_u64(object, "approve", step->approve_count);
        json_put_bool(object, "allow_starter", step->is_starter_allowed);
        approvers = json_put_array(object, "approvers");
        for (size_t i = 0; i < step->approvers.count; i++)
            json_push_string(approvers, step->approvers.items[i]);
        break;
    case STEP_WEBHOOK:
        json_put_string(object, "webhook", step->webhook);
        json_put_i64(object, "timeout_ms", step->timeout_ms);
        break;
    }
}

static void describe_guardrail(const struct rollout *r, uint32_t i, struct json *object)
{
    json_put_cstr(object, "name", r->specs.items[i].name);
    json_put_u64(object, "breaches", r->breach_counts[i]);
    if (i >= r->judged.count) {
        json_put_cstr(object, "verdict", "unknown");
        return;
    }
    const struct judgement *j = &r->judged.guardrails[i];
    json_put_cstr(object, "verdict", judge_verdict_names[j->verdict]);
    json_put_cstr(object, "reason", j->reason);
    json_put_real(object, "progress", j->progress);
    if (j->bound_log10 > 0) {
        json_put_real(object, "evidence_log10", j->evidence_log10);
        json_put_real(object, "bound_log10", j->bound_log10);
        json_put_real(object, "proof_progress", j->proof_progress);
    }
}

static void describe_requests(const struct rollout *r, struct json *object)
{
    json_put_u64(object, "stable", r->evidence.requests[TALLY_STABLE]);
    json_put_u64(object, "canary", r->evidence.requests[TALLY_CANARY]);
    json_put_u64(object, "at_step", r->progress.step_requests);
}

/* What keeps the weight from rising now, beside its hold. */
static void describe_calendar(const struct rollout *r, struct json *object)
{
    struct calendar_view view;
    char why[160];
    calendar_look(r->config, rollouts_wall(r->all), &view);
    json_put_bool(object, "is_open", view.block == CALENDAR_OPEN);
    if (view.block == CALENDAR_OPEN)
        return;
    calendar_say(&view, r->config, why, sizeof why);
    json_put_cstr(object, "why", why);
    json_put_time(object, "opens_at", wall_or_none(calendar_next_open(r->config, rollouts_wall(r->all))));
}

/* `next_ask_ms` only while it waits for that. */
static void describe_gate(const struct rollout *r, struct json *object)
{
    const struct progress *p = &r->progress;
    rollout_write_gate(r, object);
    json_put_u64(object, "failures_in_a_row", p->ask_failures);
    json_put_bool(object, "is_asked_now", r->gate.ticket != 0);
    if (p->state == ROLLOUT_AWAITING_WEBHOOK && r->gate.ticket == 0)
        json_put_i64(object, "next_ask_ms", p->ask_in_ms);
}

static void describe_breach(const struct rollout_breach *breach, struct json *object)
{
    json_put_time(object, "at", breach->at);
    json_put_cstr(object, "guardrail", breach->guardrail);
    json_put_cstr(object, "reason", breach->reason);
    if (breach->zero_exposure_us >= 0)
        json_put_real(object, "zero_exposure_ms", (double)breach->zero_exposure_us / 1000);
}

static void describe_approvals(const struct progress *p, struct json *array)
{
    for (uint32_t i = 0; i < p->approval_count; i++)
        json_push_string(array, slice_from_cstr(p->approvals[i]));
}

/* What brought it here, newest first; without the store nothing. */
static void describe_history(const struct rollout *r, struct json *array)
{
    struct arena arena;
    struct transition_row *rows;
    size_t count;
    arena_init(&arena, NULL, 0);
    if (!transitions_list(r->all->store, &arena, slice_from_cstr(r->name), HISTORY_SHOWN, &rows, &count))
        count = 0;
    for (size_t i = 0; i < count; i++) {
        struct json *object = json_push_object(array);
        char at[25];
        wall_format(rows[i].at, at);
        json_put_cstr(object, "at", at);
        json_put_string(object, "revision", rows[i].revision);
        json_put_string(object, "from", rows[i].from_state);
        json_put_string(object, "to", rows[i].to_state);
        json_put_i64(object, "step", rows[i].step + 1);
        json_put_real(object, "weight", rows[i].weight_ppm / 1e6);
        json_put_string(object, "who", rows[i].who);
        json_put_string(object, "reason", rows[i].reason);
    }
    arena_reset(&arena);
}

void rollout_describe(const struct rollout *r, struct json *object)
{
    const struct progress *p = &r->progress;
    json_put_cstr(object, "name", r->name);
    json_put_string(object, "route", r->config->route);
    json_put_string(object, "stable", r->config->stable);
    json_put_string(object, "canary", r->config->canary);
    json_put_cstr(object, "revision", p->revision);
    json_put_cstr(object, "state", rollout_state_names[p->state]);
    json_put_i64(object, "step", p->step + 1);
    json_put_real(object, "weight", p->weight_ppm / 1e6);
    json_put_bool(object, "is_in_force", p->is_in_force);
    json_put_i64(object, "hold_ms", p->hold_ms);
    json_put_i64(object, "hold_left_ms", p->left_ms);
    json_put_cstr(object, "started_by", p->started_by);
    json_put_time(object, "started_at", p->started_at);
    json_put_time(object, "changed_at", r->changed_at);
    json_put_bool(object, "is_store_down", p->is_store_down);
    if (p->state != ROLLOUT_PENDING && p->state != ROLLOUT_SUCCEEDED && rollout_is_stable_short(r, NULL))
        rollout_write_short_stable(r, object);
    describe_approvals(p, json_put_array(object, "approvals"));
    if (r->gate.asked_count > 0)
        describe_gate(r, json_put_object(object, "gate"));
    describe_requests(r, json_put_object(object, "requests"));
    describe_calendar(r, json_put_object(object, "calendar"));
    struct json *steps = json_put_array(object, "steps"), *guardrails = json_put_array(object, "guardrails");
    for (size_t i = 0; i < r->config->step_count; i++)
        describe_step(&r->config->steps[i], json_push_object(steps));
    for (uint32_t i = 0; i < r->specs.count; i++)
        describe_guardrail(r, i, json_push_object(guardrails));
    if (r->judged.is_void)
        json_put_cstr(object, "void", r->judged.void_reason);
    if (r->breach.at.unix_ms != 0)
        describe_breach(&r->breach, json_put_object(object, "breach"));
    describe_history(r, json_put_array(object, "history"));
}
