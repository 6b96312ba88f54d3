/* server/rollout_events.c - one event through the plan, and its actions carried out in their order. */
#include "server/rollouts.h"

#include "base/check.h"
#include "base/log.h"
#include "server/publisher.h"

#define RETRY_FIRST_MS 100

/* What is in force by now may be another weight than the one that was ordered, and then its own event follows. Of several
   who wait the first may publish again: the others wait on. */
static void on_settled(void *arg, uint64_t ticket)
{
    struct rollouts *all = arg;
    struct rollout *r = rollouts_find_ticket(all, ticket);
    if (r == NULL)
        return;
    if (!publisher_is_settled(all->publisher)) {
        rollout_await_force(r);
        return;
    }
    struct plan_event event = { .kind = PLAN_WEIGHT_IN_FORCE, .weight_ppm = r->progress.weight_ppm };
    if (r->progress.weight_ppm == 0 && r->breach.is_way_back && r->breach.zero_exposure_us < 0)
        rollout_record_end_of_exposure(r);
    struct plan_event tick = { .kind = PLAN_TICK };
    rollout_event(r, &event, NULL, NULL);
    rollout_event(r, &tick, NULL, NULL); /* what waited for it goes on */
}

void rollout_await_force(struct rollout *r)
{
    publisher_when_settled(r->all->publisher, on_settled, r->all, r->id);
}

static void order_weight(struct rollout *r, uint32_t weight_ppm)
{
    struct rollouts *all = r->all;
    log_info("rollout %s: the canary %.*s gets %g %% of the pair", r->name, SLICE_ARG(r->config->canary),
             weight_ppm / 1e4);
    all->publish(all->arg);
    rollout_await_force(r);
}

static bool is_breach(const struct plan_transition *t)
{
    return t->cause == CAUSE_BREACH && t->guardrail != PLAN_NO_GUARDRAIL;
}

static void log_short_stable(const struct rollout *r)
{
    struct text why = { 0 };
    rollout_is_stable_short(r, &why);
    log_error("rollout %s: stable %.*s may not be able to take the load that goes back to it: %.*s", r->name,
              SLICE_ARG(r->config->stable), SLICE_ARG(text_slice(&why)));
    text_fini(&why);
}

static void log_transition(const struct rollout *r, const struct plan_transition *t)
{
    log_info("rollout %s: %s -> %s at step %d (%s by %.*s)", r->name, rollout_state_names[t->from],
             rollout_state_names[t->to], t->step + 1, plan_cause_names[t->cause], SLICE_ARG(t->who));
    if (t->is_stable_short)
        log_short_stable(r);
}

/* What is known is forgotten only once the store has it: until then the canary has its old weight, and is judged by it. */
static bool record(struct rollout *r, const struct plan_action *action, const struct rollout_word *word)
{
    const struct plan_transition *t = &action->transition;
    struct wall_time before = r->changed_at;
    r->changed_at = rollouts_wall(r->all);
    if (rollout_begins_anew(t))
        r->moment_count = 0;
    rollout_note_moment(r, r->changed_at, slice_from_cstr(plan_cause_names[t->cause]),
                        slice_from_cstr(rollout_state_names[t->to]), t->weight_ppm);
    if (t->is_stable_short && !action->must_hold)
        rollout_note_short_stable(r, r->changed_at);
    bool is_written = rollout_record(r, t, word, action->must_hold);
    if (is_written)
        r->retry_ms = 0;
    if (!is_written && action->must_hold) {
        r->changed_at = before;
        rollout_forget_moment(r);
        return false;
    }
    rollout_note_move(r, t);
    rollout_note_way_back(r, t);
    if (rollout_begins_anew(t))
        rollout_forget_evidence(r, t->cause == CAUSE_NEW_REVISION);
    log_transition(r, t);
    return true;
}

/* False: it must be stored before anything else, and could not be. */
static bool act(struct rollout *r, const struct plan_action *action, const struct rollout_word *word)
{
    const struct plan_transition *t = &action->transition;
    switch (action->kind) {
    case PLAN_DO_RECORD:
        return record(r, action, word);
    case PLAN_DO_WEIGHT:
        order_weight(r, action->weight_ppm);
        break;
    case PLAN_DO_NOTIFY:
        rollout_notify(r, t, word);
        break;
    case PLAN_DO_WEBHOOK:
        rollout_ask_webhook(r, action->step);
        break;
    }
    return true;
}

static void note_breaches(struct rollout *r, const struct plan_actions *actions)
{
    for (uint32_t i = 0; i < actions->count; i++)
        if (actions->items[i].kind == PLAN_DO_RECORD && is_breach(&actions->items[i].transition)) {
            rollout_note_breach(r, actions->items[i].transition.guardrail);
            return;
        }
}

static void tell_store(struct rollout *r, enum plan_event_kind kind)
{
    struct plan_event event = { .kind = kind };
    if (r->progress.is_store_down == (kind == PLAN_STORE_FAILED))
        return;
    rollout_event(r, &event, NULL, NULL);
}

void rollout_try_save(struct rollout *r)
{
    bool is_saved = rollout_save(r);
    if (is_saved && !r->progress.is_store_down) /* on a full disk a save may find room where a record finds none */
        r->retry_ms = 0;
    tell_store(r, is_saved ? PLAN_STORE_WORKS : PLAN_STORE_FAILED);
}

bool rollout_may_retry(struct rollout *r, struct mono_time now)
{
    if (r->retry_ms != 0 && mono_is_before(now, r->retry_at))
        return false;
    r->retry_ms = r->retry_ms == 0 ? RETRY_FIRST_MS : 2 * r->retry_ms;
    r->retry_ms = r->retry_ms < ROLLOUT_RETRY_MOST_MS ? r->retry_ms : ROLLOUT_RETRY_MOST_MS;
    r->retry_at = mono_add_ms(now, r->retry_ms);
    return true;
}

enum rollout_answer rollout_event(struct rollout *r, struct plan_event *event, const struct rollout_word *word,
                                  struct text *error)
{
    CHECK_MAGIC(r, ROLLOUT_MAGIC);
    if (!r->is_loaded) {
        if (error != NULL)
            text_printf(error, "where it stands cannot be read: %s", store_message(r->all->store));
        return ROLLOUT_NOT_STORED;
    }
    struct progress before = r->progress;
    struct plan_actions actions;
    event->mono = loop_now(r->all->loop);
    event->wall = rollouts_wall(r->all);
    event->is_stable_short = rollout_is_stable_short(r, NULL);
    event->is_asking = r->gate.ticket != 0;
    if (plan_next(r->config, &before, event, &r->progress, &actions) == PLAN_REFUSED) {
        if (error != NULL)
            text_add_cstr(error, actions.refusal);
        return ROLLOUT_REFUSED;
    }
    note_breaches(r, &actions);
    for (uint32_t i = 0; i < actions.count; i++)
        if (!act(r, &actions.items[i], word)) {
            r->progress = before;
            tell_store(r, PLAN_STORE_FAILED);
            if (error != NULL)
                text_printf(error, "it could not be stored: %s", store_message(r->all->store));
            return ROLLOUT_NOT_STORED;
        }
    if (r->is_feed_new) /* a new revision that leaves the weight as it is */
        r->all->publish(r->all->arg);
    if (actions.should_save)
        rollout_try_save(r);
    return ROLLOUT_DONE;
}

enum rollout_answer rollout_say(struct rollout *r, const struct rollout_word *word, struct text *error)
{
    struct plan_event event = { .kind = word->kind, .who = word->who }, tick = { .kind = PLAN_TICK };
    bool is_way_back = word->kind == PLAN_ROLLBACK || word->kind == PLAN_ABORT;
    int32_t step = r->progress.step;
    if (!is_way_back && r->is_loaded && r->progress.is_store_down)
        rollout_try_save(r);
    if (r->progress.step != step && (word->kind == PLAN_PROMOTE || word->kind == PLAN_APPROVE)) {
        text_add_cstr(error, "the store works again, and it has just gone on by itself: look, and say it again");
        return ROLLOUT_REFUSED; /* what was said was said of the step before */
    }
    if (!is_way_back && !progress_fits(&r->progress, r->config))
        rollout_event(r, &tick, NULL, NULL); /* a configuration that has changed is taken over first */
    enum rollout_answer answer = rollout_event(r, &event, word, error);
    /* It could be said again, and nothing about the rollout forbids it: another cause than a refusal. */
    if (answer == ROLLOUT_REFUSED && r->progress.is_store_down && !is_way_back) {
        text_printf(error, " (%s)", store_message(r->all->store));
        return ROLLOUT_NOT_STORED;
    }
    if (answer == ROLLOUT_DONE)
        timer_start(r->all->loop, &r->all->timer, 0); /* what was looked at once a second may be exposed now */
    return answer;
}
