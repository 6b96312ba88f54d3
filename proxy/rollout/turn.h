/* rollout/turn.h - one event on its way through the plan: actions, time, steps. For rollout/plan.c only. */
#ifndef ROLLOUT_TURN_H
#define ROLLOUT_TURN_H

#include "base/check.h"
#include "rollout/plan.h"

struct turn {
    const struct rollout_config *config;
    const struct plan_event *event;
    struct progress *p; /* becomes `after` */
    struct plan_actions *out;
};

struct plan_action *turn_add(struct turn *t, enum plan_action_kind kind);
struct slice turn_who(const struct turn *t);
/* To a state and a weight: record, weight, notification. turn_move is by no guardrail. */
void turn_move_for(struct turn *t, enum rollout_state to, uint32_t weight_ppm, enum plan_cause cause,
                   uint32_t guardrail);
void turn_move(struct turn *t, enum rollout_state to, uint32_t weight_ppm, enum plan_cause cause);
/* To ROLLING_BACK: weight 0, record, notification. */
void turn_retreat(struct turn *t, bool is_failure, enum plan_cause cause, uint32_t guardrail);

/* Whether time counts down what is left. */
bool turn_is_counting(const struct progress *p);
void turn_count_down(struct turn *t);
bool turn_has_fresh_verdict(const struct turn *t);

/* HOLDING: nothing of this step is in the way of the next. */
bool turn_is_hold_over(const struct turn *t);
/* On from a step that is done: the next one, or what comes after all of them. is_forced: a person said so. */
void turn_go_on(struct turn *t, enum plan_cause cause, bool is_forced);

/* Makes the progress one of this configuration, before anything else is made of an event. False when nothing more may come
   of the event: that was a transition, and one event makes one at most; or it cannot be said so now, as the store that has
   to know does not work, and then nothing but a way back is taken. */
bool turn_fit(struct turn *t);

#endif
