/* rollout/fit.c - progress meets a configuration that is not the one it was made under. */
#include "rollout/turn.h"

/* Begins anew: what was known is about something else. */
static void begin_anew(struct turn *t, enum plan_cause cause)
{
    struct progress old = *t->p, *p = t->p;
    progress_init(p, t->config);
    p->state = old.state; /* the record says where it came from */
    p->weight_ppm = old.weight_ppm;
    p->is_in_force = old.is_in_force;
    p->counted_at = old.counted_at;
    turn_move(t, ROLLOUT_PENDING, 0, cause);
}

/* The last weight of the new steps that is not above the one in force; -1 when all are. */
static int32_t step_below(const struct turn *t)
{
    int32_t found = -1;
    for (size_t i = 0; i < t->config->step_count; i++)
        if (t->config->steps[i].kind == STEP_WEIGHT && t->config->steps[i].weight_ppm <= t->p->weight_ppm)
            found = (int32_t)i;
    return found;
}

/* Of a hold that is now another: what was held counts. */
static int64_t left_of(const struct progress *p, int64_t hold_ms)
{
    int64_t held_ms = p->hold_ms - p->left_ms;
    return hold_ms > held_ms ? hold_ms - held_ms : 0;
}

/* Stays at the weight if it is one of the new steps', else goes down to the next one below: never up. Gates behind that
   weight are asked anew, since what was approved were other steps. */
static void fit_steps(struct turn *t)
{
    struct progress *p = t->p;
    bool is_paused = p->state == ROLLOUT_PAUSED;
    enum rollout_state was = is_paused ? p->paused_from : p->state;
    int32_t step = step_below(t);
    uint32_t weight_ppm = step < 0 ? 0 : t->config->steps[step].weight_ppm;
    enum rollout_state now = step < 0 ? ROLLOUT_RUNNING : ROLLOUT_HOLDING;
    if (was == ROLLOUT_BAKING) {
        now = was;
    } else if (step >= 0) {
        bool is_same = weight_ppm == p->weight_ppm;
        p->left_ms = is_same && was == ROLLOUT_HOLDING ? left_of(p, t->config->steps[step].hold_ms)
                                                       : t->config->steps[step].hold_ms;
        p->step_requests = is_same ? p->step_requests : 0;
        p->hold_ms = t->config->steps[step].hold_ms;
    }
    p->step = step;
    p->approval_count = 0;
    p->accepted = 0;
    p->is_judged = p->is_proven = false;
    p->steps_hash = progress_steps_hash(t->config);
    p->paused_from = is_paused ? now : p->paused_from;
    turn_move(t, is_paused ? ROLLOUT_PAUSED : now, weight_ppm, CAUSE_NEW_STEPS);
}

bool turn_fit(struct turn *t)
{
    struct progress *p = t->p;
    bool is_same_revision = slice_equal(slice_from_cstr(p->revision), t->config->revision);
    bool is_same_pair = p->pair_hash == progress_pair_hash(t->config);
    if (is_same_revision && is_same_pair && !rollout_state_is_active(p->state)) {
        p->steps_hash = progress_steps_hash(t->config); /* nothing is under way that it could concern */
        p->step = p->state == ROLLOUT_SUCCEEDED ? (int32_t)t->config->step_count - 1 : -1;
        return true;
    }
    if (p->is_store_down) {
        p->is_judged = p->is_proven = false; /* verdicts that come now are about something else */
        return false;
    }
    if (is_same_revision && is_same_pair)
        fit_steps(t);
    else
        begin_anew(t, is_same_pair ? CAUSE_NEW_REVISION : CAUSE_NEW_PAIR);
    return false;
}
