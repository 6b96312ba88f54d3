/* rollout/plan.c - the state machine of rollouts: what each event means. docs/rollouts.md, "Invariants of a rollout". */
#include "rollout/plan.h"

#include "rollout/calendar.h"
#include "rollout/turn.h"

#include <stdarg.h>
#include <stdio.h>

const char *const plan_cause_names[PLAN_CAUSE_COUNT] = {
    [CAUSE_STARTED] = "started",   [CAUSE_HOLD_OVER] = "hold_over",
    [CAUSE_APPROVED] = "approved", [CAUSE_WEBHOOK_PASSED] = "webhook_passed",
    [CAUSE_OPENED] = "opened",     [CAUSE_PROMOTED] = "promoted",
    [CAUSE_BAKED] = "baked",       [CAUSE_PAUSED] = "paused",
    [CAUSE_RESUMED] = "resumed",   [CAUSE_BREACH] = "breach",
    [CAUSE_UNKNOWN] = "unknown",   [CAUSE_ROLLBACK] = "rollback",
    [CAUSE_ABORT] = "abort",       [CAUSE_WEBHOOK_FAILED] = "webhook_failed",
    [CAUSE_IN_FORCE] = "in_force", [CAUSE_NEW_REVISION] = "new_revision",
    [CAUSE_NEW_PAIR] = "new_pair", [CAUSE_NEW_STEPS] = "new_steps",
    [CAUSE_REMOVED] = "removed",   [CAUSE_MISMATCH] = "sample_ratio_mismatch",
};

const char *const plan_cause_words[PLAN_CAUSE_COUNT] = {
    [CAUSE_STARTED] = "started",
    [CAUSE_HOLD_OVER] = "the hold is over",
    [CAUSE_APPROVED] = "approved",
    [CAUSE_WEBHOOK_PASSED] = "the webhook said yes",
    [CAUSE_OPENED] = "nothing keeps it any longer",
    [CAUSE_PROMOTED] = "promoted",
    [CAUSE_BAKED] = "the bake is over",
    [CAUSE_PAUSED] = "paused",
    [CAUSE_RESUMED] = "resumed",
    [CAUSE_BREACH] = "a guardrail was breached",
    [CAUSE_UNKNOWN] = "a guardrail has no answer",
    [CAUSE_ROLLBACK] = "taken back",
    [CAUSE_ABORT] = "aborted",
    [CAUSE_WEBHOOK_FAILED] = "the webhook did not say yes in time",
    [CAUSE_IN_FORCE] = "the weight is in force in every worker",
    [CAUSE_NEW_REVISION] = "the configuration has a new revision",
    [CAUSE_NEW_PAIR] = "the configuration has another pair",
    [CAUSE_NEW_STEPS] = "the configuration has other steps",
    [CAUSE_MISMATCH] = "the split does not have its share",
};

const char *plan_cause_say(struct slice name)
{
    for (size_t i = 0; i < PLAN_CAUSE_COUNT; i++)
        if (slice_equal(name, slice_from_cstr(plan_cause_names[i])))
            return plan_cause_words[i];
    return NULL;
}

static enum plan_answer refuse(struct turn *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static enum plan_answer refuse(struct turn *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(t->out->refusal, sizeof t->out->refusal, format, arguments);
    va_end(arguments);
    return PLAN_REFUSED;
}

/* ---- what is due ------------------------------------------------------------------------------------------------- */

static void start(struct turn *t)
{
    CHECK(person_copy(t->p->started_by, turn_who(t)));
    t->p->started_at = t->event->wall;
    turn_go_on(t, CAUSE_STARTED, false);
}

/* By itself: at its time, or with its revision. */
static bool should_start(const struct turn *t)
{
    if (t->p->is_store_down)
        return false;
    if (t->config->start_at.unix_ms != 0)
        return t->event->wall.unix_ms >= t->config->start_at.unix_ms;
    return t->config->start == ROLLOUT_START_ON_REVISION && t->config->revision.len > 0;
}

static void ask(struct turn *t)
{
    if (t->p->left_ms == 0) {
        turn_retreat(t, true, CAUSE_WEBHOOK_FAILED, PLAN_NO_GUARDRAIL);
    } else if (t->p->ask_in_ms == 0 && !t->event->is_asking) {
        turn_add(t, PLAN_DO_WEBHOOK)->step = (uint32_t)t->p->step;
        t->p->ask_in_ms = PLAN_ASK_EVERY_MS;
    }
}

/* Twice as long after each failure, and half of that at random; but of a short time at most half, so that one who comes
   back within it is heard. */
static int64_t pause_after(uint32_t failures, int64_t left_ms, uint64_t draw)
{
    int64_t whole_ms = PLAN_ASK_EVERY_MS;
    for (uint32_t i = 0; i < failures && whole_ms < PLAN_ASK_MOST_MS; i++)
        whole_ms *= 2;
    whole_ms = whole_ms < PLAN_ASK_MOST_MS ? whole_ms : PLAN_ASK_MOST_MS;
    whole_ms = whole_ms < left_ms / 2 ? whole_ms : left_ms / 2;
    if (whole_ms <= PLAN_ASK_EVERY_MS)
        return PLAN_ASK_EVERY_MS;
    int64_t least_ms = whole_ms / 2 > PLAN_ASK_EVERY_MS ? whole_ms / 2 : PLAN_ASK_EVERY_MS;
    return least_ms + (int64_t)(draw % (uint64_t)(whole_ms - least_ms + 1));
}

/* Whoever says "not yet" is asked at the usual pace, which began with the question. */
static void on_answer(struct turn *t)
{
    struct progress *p = t->p;
    p->ask_failures = t->event->is_failed ? p->ask_failures + 1 : 0;
    if (t->event->is_failed)
        p->ask_in_ms = pause_after(p->ask_failures, p->left_ms, t->event->draw);
    if (t->event->is_passed)
        turn_go_on(t, CAUSE_WEBHOOK_PASSED, false);
}

/* What the passing of time, a verdict or anything else may have made possible. */
static void go_on_if_due(struct turn *t)
{
    switch (t->p->state) {
    case ROLLOUT_PENDING:
        if (should_start(t))
            start(t);
        break;
    case ROLLOUT_RUNNING:
        turn_go_on(t, CAUSE_OPENED, false);
        break;
    case ROLLOUT_HOLDING:
        if (turn_is_hold_over(t))
            turn_go_on(t, CAUSE_HOLD_OVER, false);
        break;
    case ROLLOUT_AWAITING_WEBHOOK:
        ask(t);
        break;
    case ROLLOUT_BAKING:
        if (t->p->left_ms == 0 && t->p->is_in_force && turn_has_fresh_verdict(t) && !t->p->is_store_down)
            turn_move(t, ROLLOUT_SUCCEEDED, t->p->weight_ppm, CAUSE_BAKED);
        break;
    case ROLLOUT_ROLLING_BACK:
        if (t->p->is_in_force && !t->p->is_store_down)
            turn_move(t, t->p->is_failure ? ROLLOUT_FAILED : ROLLOUT_ROLLED_BACK, 0, CAUSE_IN_FORCE);
        break;
    case ROLLOUT_AWAITING_APPROVAL:
    case ROLLOUT_PAUSED:
    case ROLLOUT_SUCCEEDED:
    case ROLLOUT_ROLLED_BACK:
    case ROLLOUT_FAILED:
    case ROLLOUT_STATE_COUNT:
        break;
    }
}

/* ---- verdicts ---------------------------------------------------------------------------------------------------- */

/* Bits of guardrails that call for `policy`. */
static uint32_t callers(const struct turn *t, enum breach_policy policy)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < t->config->guardrail_count; i++) {
        const struct guardrail_config *g = &t->config->guardrails[i];
        bool is_breached = t->event->verdict.breached >> i & 1u, is_unknown = t->event->verdict.unknown >> i & 1u;
        if ((is_breached && g->on_breach == policy) || (is_unknown && g->on_unknown == policy))
            bits |= 1u << i;
    }
    return bits;
}

static enum plan_cause cause_of(const struct turn *t, uint32_t guardrail)
{
    return t->event->verdict.breached >> guardrail & 1u ? CAUSE_BREACH : CAUSE_UNKNOWN;
}

static void pause_for(struct turn *t, enum plan_cause cause, uint32_t guardrail)
{
    if (t->p->is_store_down)
        return; /* nothing rises meanwhile anyway, and the next verdict says it again */
    t->p->paused_from = t->p->state;
    turn_move_for(t, ROLLOUT_PAUSED, t->p->weight_ppm, cause, guardrail);
}

/* One that comes before the weight is in force everywhere is not about it. */
static void note_verdict(struct turn *t)
{
    const struct plan_verdict *v = &t->event->verdict;
    struct progress *p = t->p;
    uint32_t pausing = callers(t, POLICY_PAUSE);
    p->accepted &= v->breached | v->unknown;
    p->alarms = pausing;
    p->judged_at = t->event->mono;
    p->is_judged = p->is_in_force && v->held == 0 && (pausing & ~p->accepted) == 0;
    p->is_proven = p->is_in_force && v->is_not_worse;
    if (p->state == ROLLOUT_HOLDING && p->is_in_force)
        p->step_requests += v->canary_requests;
}

/* One that calls for the way back has taken it before (try_way_back). */
static void on_verdict(struct turn *t)
{
    if (!rollout_state_is_active(t->p->state))
        return;
    note_verdict(t);
    uint32_t pausing = t->p->alarms & ~t->p->accepted;
    if (pausing != 0 && t->p->state != ROLLOUT_PAUSED) {
        uint32_t guardrail = (uint32_t)__builtin_ctz(pausing);
        pause_for(t, cause_of(t, guardrail), guardrail);
    }
}

/* ---- people ------------------------------------------------------------------------------------------------------ */

static enum plan_answer refuse_state(struct turn *t, const char *what)
{
    return refuse(t, "the rollout is %s: %s", rollout_state_names[t->p->state], what);
}

static enum plan_answer on_start(struct turn *t)
{
    if (rollout_state_is_over(t->p->state) || t->p->state == ROLLOUT_SUCCEEDED)
        return refuse(t, "revision '%s' is %s: a new revision starts anew", t->p->revision,
                      rollout_state_names[t->p->state]);
    if (t->p->state != ROLLOUT_PENDING)
        return refuse_state(t, "it was started before");
    start(t);
    return PLAN_DONE;
}

static bool is_named(const struct slice_list *names, struct slice who)
{
    for (size_t i = 0; i < names->count; i++)
        if (slice_equal(names->items[i], who))
            return true;
    return names->count == 0;
}

static enum plan_answer on_approve(struct turn *t)
{
    struct progress *p = t->p;
    struct slice who = t->event->who;
    if (p->state != ROLLOUT_AWAITING_APPROVAL)
        return refuse_state(t, "there is nothing to approve");
    const struct step_config *step = &t->config->steps[p->step];
    if (!is_named(&step->approvers, who))
        return refuse(t, "'%.*s' is not among the approvers of this step", SLICE_ARG(who));
    if (!step->is_starter_allowed && slice_equal(slice_from_cstr(p->started_by), who))
        return refuse(t, "'%.*s' started the rollout: somebody else has to approve it", SLICE_ARG(who));
    for (uint32_t i = 0; i < p->approval_count; i++)
        if (slice_equal(slice_from_cstr(p->approvals[i]), who))
            return refuse(t, "'%.*s' has approved already", SLICE_ARG(who));
    CHECK(p->approval_count < APPROVALS_MAX && person_copy(p->approvals[p->approval_count], who));
    p->approval_count++;
    if (p->approval_count >= step->approve_count)
        turn_go_on(t, CAUSE_APPROVED, false);
    else
        turn_move(t, ROLLOUT_AWAITING_APPROVAL, p->weight_ppm, CAUSE_APPROVED);
    return PLAN_DONE;
}

/* Instead of the hold and of what the judge says, never instead of a gate or the calendar. */
static enum plan_answer on_promote(struct turn *t)
{
    struct calendar_view view;
    char why[120];
    if (t->p->state == ROLLOUT_BAKING) {
        turn_move(t, ROLLOUT_SUCCEEDED, t->p->weight_ppm, CAUSE_PROMOTED);
        return PLAN_DONE;
    }
    if (t->p->state != ROLLOUT_HOLDING && t->p->state != ROLLOUT_RUNNING)
        return refuse_state(t, "no hold could be ended");
    calendar_look(t->config, t->event->wall, &view);
    if (view.block != CALENDAR_OPEN) {
        calendar_say(&view, t->config, why, sizeof why);
        return refuse(t, "no step is taken now: %s", why);
    }
    turn_go_on(t, CAUSE_PROMOTED, true);
    return PLAN_DONE;
}

static enum plan_answer on_pause(struct turn *t)
{
    if (t->p->state == ROLLOUT_PAUSED)
        return refuse_state(t, "nothing goes on until somebody resumes it");
    if (!rollout_state_is_active(t->p->state))
        return refuse_state(t, "nothing is under way");
    pause_for(t, CAUSE_PAUSED, PLAN_NO_GUARDRAIL);
    return PLAN_DONE;
}

/* Who resumes over an alarm has seen it: it does not pause again while it lasts. */
static enum plan_answer on_resume(struct turn *t)
{
    if (t->p->state != ROLLOUT_PAUSED)
        return refuse_state(t, "there is nothing to resume");
    t->p->accepted |= t->p->alarms;
    t->p->is_judged = false;
    t->p->ask_in_ms = 0;
    t->p->ask_failures = 0;
    turn_move(t, t->p->paused_from, t->p->weight_ppm, CAUSE_RESUMED);
    return PLAN_DONE;
}

/* From anywhere but where it has led already. */
static void on_way_back(struct turn *t)
{
    bool is_abort = t->event->kind == PLAN_ABORT;
    if (!rollout_state_is_over(t->p->state) && t->p->state != ROLLOUT_ROLLING_BACK)
        turn_retreat(t, is_abort, is_abort ? CAUSE_ABORT : CAUSE_ROLLBACK, PLAN_NO_GUARDRAIL);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static bool is_a_persons(enum plan_event_kind kind)
{
    return kind >= PLAN_START && kind <= PLAN_ABORT;
}

static bool is_way_back(enum plan_event_kind kind)
{
    return kind == PLAN_ROLLBACK || kind == PLAN_ABORT;
}

static enum plan_answer on_person(struct turn *t)
{
    static enum plan_answer (*const handlers[PLAN_EVENT_COUNT])(struct turn *) = {
        [PLAN_START] = on_start, [PLAN_APPROVE] = on_approve, [PLAN_PROMOTE] = on_promote,
        [PLAN_PAUSE] = on_pause, [PLAN_RESUME] = on_resume,
    };
    return handlers[t->event->kind](t);
}

/* What holds whatever the configuration says. */
static void on_news(struct turn *t)
{
    enum plan_event_kind kind = t->event->kind;
    if (kind == PLAN_WEIGHT_IN_FORCE && t->event->weight_ppm == t->p->weight_ppm)
        t->p->is_in_force = true;
    if (kind == PLAN_STORE_FAILED || kind == PLAN_STORE_WORKS)
        t->p->is_store_down = kind == PLAN_STORE_FAILED;
}

/* Before the configuration is looked at: nothing comes before a way back. True when it was taken. */
static bool try_way_back(struct turn *t)
{
    uint32_t fatal = t->event->kind == PLAN_VERDICT ? callers(t, POLICY_ROLLBACK) : 0;
    if (is_way_back(t->event->kind)) {
        on_way_back(t);
        return true;
    }
    if (fatal == 0 || !rollout_state_is_active(t->p->state))
        return false;
    uint32_t guardrail = (uint32_t)__builtin_ctz(fatal); /* the first of the configuration */
    turn_retreat(t, false, cause_of(t, guardrail), guardrail);
    return true;
}

static int64_t wake_of(const struct turn *t)
{
    const struct progress *p = t->p;
    if (p->state == ROLLOUT_AWAITING_WEBHOOK)
        return p->ask_in_ms < p->left_ms && !t->event->is_asking ? p->ask_in_ms : p->left_ms;
    return turn_is_counting(p) && p->left_ms > 0 ? p->left_ms : -1;
}

static enum plan_answer handle(struct turn *t)
{
    enum plan_event_kind kind = t->event->kind;
    if (is_a_persons(kind) && t->event->who.len >= PERSON_BYTES)
        return refuse(t, "the name is longer than %u bytes", PERSON_BYTES - 1);
    if (is_a_persons(kind) && !is_way_back(kind) && t->p->is_store_down)
        return refuse(t, "the store does not work: nothing but a rollback is done");
    on_news(t);
    if (kind == PLAN_WEIGHT_IN_FORCE) /* no more than that, so that it is not lost where a record fails */
        return PLAN_DONE;
    if (try_way_back(t))
        return PLAN_DONE;
    if (!progress_fits(t->p, t->config) && !turn_fit(t))
        return is_a_persons(kind) ? refuse(t, "the configuration has just changed: say it again") : PLAN_DONE;
    if (is_a_persons(kind))
        return on_person(t);
    if (kind == PLAN_VERDICT)
        on_verdict(t);
    if (kind == PLAN_WEBHOOK_ANSWER && t->p->state == ROLLOUT_AWAITING_WEBHOOK)
        on_answer(t);
    go_on_if_due(t);
    return PLAN_DONE;
}

enum plan_answer plan_next(const struct rollout_config *config, const struct progress *before,
                           const struct plan_event *event, struct progress *after, struct plan_actions *out)
{
    struct progress next = *before;
    struct turn t = { config, event, &next, out };
    *out = (struct plan_actions){ .wake_in_ms = -1 };
    turn_count_down(&t);
    enum plan_answer answer = handle(&t);
    if (answer == PLAN_REFUSED) {
        *after = *before;
        out->count = 0;
        return answer;
    }
    out->should_save = next.unsaved_ms >= PLAN_SAVE_EVERY_MS;
    next.unsaved_ms = out->should_save ? 0 : next.unsaved_ms;
    out->wake_in_ms = wake_of(&t);
    *after = next;
    return answer;
}

void plan_restore(struct progress *p, struct mono_time now)
{
    p->is_in_force = p->is_judged = p->is_proven = p->is_store_down = false;
    p->alarms = 0;
    p->judged_at = p->counted_at = now;
    p->ask_in_ms = p->unsaved_ms = 0;
    p->ask_failures = 0;
}
