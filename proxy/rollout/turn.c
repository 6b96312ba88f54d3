/* rollout/turn.c - what one event leads to: a record and its weight, a way back, the next step. */
#include "rollout/turn.h"

#include "rollout/calendar.h"

/* ---- actions ----------------------------------------------------------------------------------------------------- */

struct plan_action *turn_add(struct turn *t, enum plan_action_kind kind)
{
    CHECK(t->out->count < PLAN_ACTIONS_MAX);
    struct plan_action *action = &t->out->items[t->out->count++];
    *action = (struct plan_action){ .kind = kind };
    return action;
}

static void order_weight(struct turn *t, uint32_t weight_ppm)
{
    turn_add(t, PLAN_DO_WEIGHT)->weight_ppm = weight_ppm;
    t->p->weight_ppm = weight_ppm;
    t->p->is_in_force = false;
}

struct slice turn_who(const struct turn *t)
{
    return t->event->who.len > 0 ? t->event->who : SLICE("weir");
}

static void notify(struct turn *t, const struct plan_transition *transition)
{
    if (t->config->notify.count > 0)
        turn_add(t, PLAN_DO_NOTIFY)->transition = *transition;
}

/* A record first, then its weight: what is not written down does not happen. */
void turn_move_for(struct turn *t, enum rollout_state to, uint32_t weight_ppm, enum plan_cause cause,
                   uint32_t guardrail)
{
    struct plan_action *record = turn_add(t, PLAN_DO_RECORD);
    struct plan_transition transition = { .from = t->p->state,
                                          .to = to,
                                          .step = t->p->step,
                                          .from_weight_ppm = t->p->weight_ppm,
                                          .weight_ppm = weight_ppm,
                                          .cause = cause,
                                          .who = turn_who(t),
                                          .guardrail = guardrail };
    record->transition = transition;
    record->must_hold = true;
    if (weight_ppm != t->p->weight_ppm)
        order_weight(t, weight_ppm);
    t->p->state = to;
    t->p->unsaved_ms = 0; /* the record's row is a save */
    notify(t, &transition);
}

void turn_move(struct turn *t, enum rollout_state to, uint32_t weight_ppm, enum plan_cause cause)
{
    turn_move_for(t, to, weight_ppm, cause, PLAN_NO_GUARDRAIL);
}

/* The other way round: exposure ends before anything else is done, and whether it could be written down or not. */
void turn_retreat(struct turn *t, bool is_failure, enum plan_cause cause, uint32_t guardrail)
{
    struct plan_transition transition = { .from = t->p->state,
                                          .to = ROLLOUT_ROLLING_BACK,
                                          .step = t->p->step,
                                          .from_weight_ppm = t->p->weight_ppm,
                                          .cause = cause,
                                          .who = turn_who(t),
                                          .guardrail = guardrail,
                                          .is_stable_short = t->event->is_stable_short };
    order_weight(t, 0);
    turn_add(t, PLAN_DO_RECORD)->transition = transition;
    t->p->state = ROLLOUT_ROLLING_BACK;
    t->p->is_failure = is_failure;
    t->p->left_ms = t->p->hold_ms = 0;
    notify(t, &transition);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

bool turn_is_counting(const struct progress *p)
{
    if (p->state == ROLLOUT_AWAITING_WEBHOOK)
        return true;
    return (p->state == ROLLOUT_HOLDING || p->state == ROLLOUT_BAKING) && p->is_in_force;
}

/* Counts down what passed since the last event, by the monotonic clock. A longer gap counts as the longest allowed one:
   nobody watched for the rest. Parts of a millisecond are left for the next time. */
void turn_count_down(struct turn *t)
{
    struct progress *p = t->p;
    int64_t passed_ms = mono_diff_us(t->event->mono, p->counted_at) / 1000;
    if (passed_ms < 0)
        return;
    p->counted_at = mono_add_ms(p->counted_at, passed_ms);
    if (passed_ms > PLAN_WATCH_GAP_MS)
        passed_ms = PLAN_WATCH_GAP_MS;
    if (!turn_is_counting(p))
        return;
    p->left_ms = passed_ms < p->left_ms ? p->left_ms - passed_ms : 0;
    p->ask_in_ms = passed_ms < p->ask_in_ms ? p->ask_in_ms - passed_ms : 0;
    p->unsaved_ms += passed_ms;
}

bool turn_has_fresh_verdict(const struct turn *t)
{
    int64_t age_us = mono_diff_us(t->event->mono, t->p->judged_at);
    return t->p->is_judged && age_us >= 0 && age_us <= PLAN_VERDICT_AGE_MS * INT64_C(1000);
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static void enter_weight(struct turn *t, const struct step_config *step, enum plan_cause cause)
{
    t->p->step++;
    t->p->hold_ms = t->p->left_ms = step->hold_ms;
    t->p->step_requests = 0;
    t->p->is_judged = t->p->is_proven = false;
    t->p->approval_count = 0;
    turn_move(t, ROLLOUT_HOLDING, step->weight_ppm, cause);
}

/* Enters the next weight if nothing is in its way, else waits in RUNNING. Without anybody exposed there is nothing that a
   verdict could be about, and so the first weight needs none. */
static void try_weight(struct turn *t, const struct step_config *step, enum plan_cause cause, bool is_forced)
{
    bool is_judged = is_forced || t->p->weight_ppm == 0 || turn_has_fresh_verdict(t);
    if (is_judged && calendar_is_open(t->config, t->event->wall))
        enter_weight(t, step, cause);
    else if (t->p->state != ROLLOUT_RUNNING)
        turn_move(t, ROLLOUT_RUNNING, t->p->weight_ppm, cause);
}

static void enter_gate(struct turn *t, const struct step_config *step, enum plan_cause cause)
{
    bool is_webhook = step->kind == STEP_WEBHOOK;
    t->p->step++;
    t->p->approval_count = 0;
    t->p->hold_ms = t->p->left_ms = is_webhook ? step->timeout_ms : 0;
    t->p->ask_in_ms = 0;
    t->p->ask_failures = 0;
    turn_move(t, is_webhook ? ROLLOUT_AWAITING_WEBHOOK : ROLLOUT_AWAITING_APPROVAL, t->p->weight_ppm, cause);
}

/* The last step is done. */
static void enter_bake(struct turn *t, enum plan_cause cause)
{
    t->p->hold_ms = t->p->left_ms = t->config->bake_ms;
    t->p->is_judged = false;
    turn_move(t, t->config->bake_ms > 0 ? ROLLOUT_BAKING : ROLLOUT_SUCCEEDED, t->p->weight_ppm, cause);
}

/* On from a step that is done: the next one, or what comes after all of them. */
void turn_go_on(struct turn *t, enum plan_cause cause, bool is_forced)
{
    size_t next = (size_t)(t->p->step + 1);
    if (t->p->is_store_down)
        return;
    if (next >= t->config->step_count)
        enter_bake(t, cause);
    else if (t->config->steps[next].kind == STEP_WEIGHT)
        try_weight(t, &t->config->steps[next], cause, is_forced);
    else
        enter_gate(t, &t->config->steps[next], cause);
}

bool turn_is_hold_over(const struct turn *t)
{
    const struct step_config *step = &t->config->steps[t->p->step];
    return t->p->is_in_force && t->p->left_ms == 0 && t->p->step_requests >= step->min_requests &&
           (step->require == REQUIRE_NOTHING || t->p->is_proven) && turn_has_fresh_verdict(t);
}
