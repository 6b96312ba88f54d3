/* tests/unit/rollout/test_plan_properties.c - the invariants of rollout/plan.h and docs/rollouts.md, on 100,000 random lives.
 *
 * A life is some dozen random events: ticks and verdicts with clocks that stand, run and jump, people who ask for anything,
 * records that fail, restarts, changed configurations. A witness beside the plan keeps its own books (what was watched, who
 * approved, which verdict was the last) from events and answers alone, and each step of the plan is held against them. */
#include "rollout/plan.h"

#include <criterion/criterion.h>

#include "base/hash.h"
#include "rollout/fixture.h"

#define LIVES          100000
#define PARTS          8
#define EVENTS_OF_LIFE 45
#define PEOPLE         4

static const char *const people[PEOPLE] = { "alice", "bob", "carol", "unix:root" };

/* ---- the witness ------------------------------------------------------------------------------------------------- */

struct witness {
    int64_t watched_us;      /* at this weight, in force, no gap counted for more than the longest */
    uint64_t requests;       /* of the canary meanwhile */
    bool is_about_it;        /* no weight was ordered since this event began */
    bool is_good, is_proven; /* the newest verdict since the last restart, revision or change of steps */
    int64_t judged_us;
    bool passed[12];        /* gates of the steps in force */
    bool approvals[PEOPLE]; /* of the gate that is waited at */
    unsigned approval_count;
};

struct life {
    struct rng rng;
    struct made_rollout plans[2];
    const struct made_rollout *plan;
    struct progress p;
    struct witness w;
    struct mono_time mono;
    struct wall_time wall;
    struct plan_event event;
    struct progress after;
    struct plan_actions actions;
    enum plan_answer answer;
    uint64_t seen[ROLLOUT_STATE_COUNT], raises, lowered, failed_records, restarts;
};

static bool chance(struct life *l, uint32_t percent)
{
    return rng_below(&l->rng, 100) < percent;
}

/* ---- plans ------------------------------------------------------------------------------------------------------- */

static void add_gate(struct life *l, struct made_rollout *m)
{
    if (chance(l, 50)) {
        made_webhook(m, 1000 + rng_below(&l->rng, 30000));
        return;
    }
    struct step_config *gate = made_approve(m, 1 + rng_below(&l->rng, 2));
    gate->is_starter_allowed = chance(l, 30);
    for (size_t i = 0; i < 3; i++)
        m->approvers[i] = slice_from_cstr(people[i]);
    if (chance(l, 30))
        gate->approvers = (struct slice_list){ m->approvers, 3 };
}

static void make_plan(struct life *l, struct made_rollout *m)
{
    static const uint32_t percents[] = { 1, 5, 10, 50 };
    made_init(m);
    for (size_t i = 0; i < 4 && m->config.step_count < 5; i++) {
        if (chance(l, 60))
            continue;
        if (chance(l, 25))
            add_gate(l, m);
        struct step_config *step = made_weight(m, percents[i], rng_below(&l->rng, 4) * INT64_C(5000));
        step->min_requests = rng_below(&l->rng, 3) * 10;
        step->require = chance(l, 20) ? REQUIRE_NOT_WORSE : REQUIRE_NOTHING;
    }
    for (uint32_t gates = rng_below(&l->rng, 7); gates < 2; gates++) /* two in a row ask twice */
        add_gate(l, m);
    made_weight(m, 100, rng_below(&l->rng, 2) * INT64_C(5000));
    m->config.bake_ms = rng_below(&l->rng, 3) * INT64_C(5000);
    if (chance(l, 20))
        made_window(m, 1 + rng_below(&l->rng, 127), 8, 18);
    if (chance(l, 10))
        made_freeze(m, NOON_UNIX_MS + 20000, NOON_UNIX_MS + 60000);
    made_guardrail(m, "errors", POLICY_ROLLBACK);
    made_guardrail(m, "saturation", POLICY_PAUSE)->on_unknown = POLICY_IGNORE;
    m->config.start = chance(l, 30) ? ROLLOUT_START_ON_REVISION : ROLLOUT_START_MANUAL;
    if (chance(l, 10))
        m->config.start_at.unix_ms = NOON_UNIX_MS + 10000;
}

/* Days and hours counted here by themselves: noon of day 0 is a Wednesday in November 2026. */
static bool is_open(const struct made_rollout *m, struct wall_time now)
{
    int64_t hours = now.unix_ms / 3600000, day = hours / 24;
    bool is_in_window = m->config.window_count == 0;
    for (size_t i = 0; i < m->config.window_count; i++)
        is_in_window |= (m->windows[i].days >> ((day + 3) % 7) & 1u) && hours % 24 >= 8 && hours % 24 < 18;
    for (size_t i = 0; i < m->config.freeze_count; i++)
        if (now.unix_ms >= m->freezes[i].from.unix_ms && now.unix_ms < m->freezes[i].to.unix_ms)
            return false;
    return is_in_window && now.unix_ms >= m->config.start_at.unix_ms;
}

/* ---- what must hold ---------------------------------------------------------------------------------------------- */

#define HOLDS(condition, property)                                                                                     \
    cr_assert(condition, "%s: event %d, %s at %u ppm to %s at %u ppm", property, (int)l->event.kind,                   \
              rollout_state_names[l->p.state], l->p.weight_ppm, rollout_state_names[l->after.state],                   \
              l->after.weight_ppm)

static bool is_over(enum rollout_state state)
{
    return state == ROLLOUT_ROLLED_BACK || state == ROLLOUT_FAILED;
}

static bool has_fresh_good_verdict(const struct life *l)
{
    return l->w.is_good && l->mono.us - l->w.judged_us <= PLAN_VERDICT_AGE_MS * INT64_C(1000);
}

static const struct step_config *step_of_weight(const struct life *l, uint32_t weight_ppm, size_t *out_index)
{
    for (size_t i = 0; i < l->plan->config.step_count; i++)
        if (l->plan->steps[i].kind == STEP_WEIGHT && l->plan->steps[i].weight_ppm == weight_ppm) {
            *out_index = i;
            return &l->plan->steps[i];
        }
    return NULL;
}

/* P1: the hold of the step that is left was watched in full, or a person said so. */
static void expect_held(struct life *l, uint32_t weight_ppm)
{
    size_t index;
    const struct step_config *step = step_of_weight(l, weight_ppm, &index);
    HOLDS(step != NULL, "P5: a hold is at a weight of the plan");
    if (l->event.kind == PLAN_PROMOTE)
        return;
    HOLDS(l->w.watched_us / 1000 >= step->hold_ms, "P1: the hold is over");
    HOLDS(l->w.requests >= step->min_requests, "P1: the canary had its requests");
    HOLDS(step->require == REQUIRE_NOTHING || l->w.is_proven, "P1: proof was asked for");
    HOLDS(has_fresh_good_verdict(l), "P1: a fresh verdict holds nothing back");
}

/* P1, P2: the next weight of the plan, behind all its gates. */
static void expect_raise(struct life *l, uint32_t from_ppm, uint32_t to_ppm)
{
    size_t from = 0, to;
    HOLDS(step_of_weight(l, to_ppm, &to) != NULL, "P5: weights are the plan's");
    size_t gate = from_ppm > 0 && step_of_weight(l, from_ppm, &from) != NULL ? from + 1 : 0;
    for (; gate < to; gate++)
        HOLDS(l->plan->steps[gate].kind != STEP_WEIGHT && l->w.passed[gate], "P1: every gate before it was passed");
    HOLDS(!l->after.is_store_down, "P2: the store works");
    HOLDS(is_open(l->plan, l->wall), "P2: the calendar is open");
    HOLDS(from_ppm == 0 || l->event.kind == PLAN_PROMOTE || has_fresh_good_verdict(l), "P1: a fresh verdict");
    l->raises++;
}

static bool is_reset(enum plan_cause cause)
{
    return cause == CAUSE_NEW_REVISION || cause == CAUSE_NEW_PAIR;
}

static void note_verdict(struct life *l, enum rollout_state state)
{
    const struct plan_verdict *v = &l->event.verdict;
    if (l->event.kind != PLAN_VERDICT || !rollout_state_is_active(state))
        return;
    bool is_about_it = l->p.is_in_force && l->w.is_about_it;
    l->w.is_good = is_about_it && v->held == 0;
    l->w.is_proven = is_about_it && v->is_not_worse;
    l->w.judged_us = l->mono.us;
    if (state == ROLLOUT_HOLDING && l->p.is_in_force)
        l->w.requests += v->canary_requests;
}

/* What the witness forgets and notes at a change of state. A verdict that comes with new steps is one about them. */
static void note_transition(struct life *l, const struct plan_transition *t)
{
    bool is_forward = t->from == ROLLOUT_HOLDING && t->cause != CAUSE_NEW_STEPS && !is_reset(t->cause) &&
                      t->to != ROLLOUT_ROLLING_BACK && t->to != ROLLOUT_PAUSED;
    if (is_forward)
        expect_held(l, t->from_weight_ppm);
    if (t->cause == CAUSE_WEBHOOK_PASSED && t->from == ROLLOUT_AWAITING_WEBHOOK)
        l->w.passed[l->p.step] = true;
    if (is_reset(t->cause) || t->cause == CAUSE_NEW_STEPS) {
        memset(l->w.passed, 0, sizeof l->w.passed);
        memset(l->w.approvals, 0, sizeof l->w.approvals);
        l->w.approval_count = 0;
        l->w.is_good = l->w.is_proven = false;
        note_verdict(l, t->from == ROLLOUT_HOLDING ? ROLLOUT_RUNNING : t->to); /* its requests were counted before */
    }
    if (t->to == ROLLOUT_AWAITING_APPROVAL && t->from != t->to && t->cause != CAUSE_RESUMED) {
        memset(l->w.approvals, 0, sizeof l->w.approvals);
        l->w.approval_count = 0;
    }
}

static void note_weight(struct life *l)
{
    l->w.watched_us = 0;
    l->w.requests = 0;
    l->w.is_good = l->w.is_proven = l->w.is_about_it = false;
}

/* P4: the records lead from the state before to the state after, and each weight stands behind the record that says it; a
   rollback's in front. */
static void expect_recorded(struct life *l)
{
    enum rollout_state state = l->p.state;
    uint32_t weight_ppm = l->p.weight_ppm, records = 0;
    for (uint32_t i = 0; i < l->actions.count; i++) {
        const struct plan_action *action = &l->actions.items[i];
        const struct plan_action *next = i + 1 < l->actions.count ? action + 1 : NULL;
        if (action->kind == PLAN_DO_RECORD) {
            bool is_back = action->transition.to == ROLLOUT_ROLLING_BACK;
            HOLDS(records++ == 0, "P4: one event makes one transition");
            HOLDS(action->transition.from == state, "P4: the record begins where it stood");
            HOLDS(is_back || action->transition.from_weight_ppm == weight_ppm, "P4: records know the weight");
            HOLDS(action->must_hold != is_back, "P3: only a way back goes on unrecorded");
            note_transition(l, &action->transition);
            state = action->transition.to;
        }
        if (action->kind != PLAN_DO_WEIGHT)
            continue;
        bool is_first = next != NULL && next->kind == PLAN_DO_RECORD && next->transition.to == ROLLOUT_ROLLING_BACK;
        if (!is_first) {
            const struct plan_transition *t = &l->actions.items[i - 1].transition;
            HOLDS(i > 0 && l->actions.items[i - 1].kind == PLAN_DO_RECORD && t->weight_ppm == action->weight_ppm,
                  "P4: a weight stands behind its record");
            bool is_lower = is_reset(t->cause) || t->cause == CAUSE_NEW_STEPS;
            HOLDS(action->weight_ppm > weight_ppm || is_lower, "P1: nothing else lowers a weight");
        } else {
            HOLDS(action->weight_ppm == 0, "P3: the way back leads to 0");
        }
        if (action->weight_ppm > weight_ppm)
            expect_raise(l, weight_ppm, action->weight_ppm);
        else
            l->lowered++;
        note_weight(l);
        weight_ppm = action->weight_ppm;
    }
    HOLDS(state == l->after.state && weight_ppm == l->after.weight_ppm, "P4: every change has its record");
}

/* P3. */
static void expect_way_back(struct life *l)
{
    bool is_asked = l->event.kind == PLAN_ROLLBACK || l->event.kind == PLAN_ABORT;
    bool is_fatal =
        l->event.kind == PLAN_VERDICT && (l->event.verdict.breached & 1u) && rollout_state_is_active(l->p.state);
    if (!is_asked && !is_fatal)
        return;
    HOLDS(l->answer == PLAN_DONE && l->after.weight_ppm == 0, "P3: a rollback wins");
    HOLDS(l->after.state == ROLLOUT_ROLLING_BACK || is_over(l->after.state), "P3: a rollback leads back");
    bool is_there = l->p.state == ROLLOUT_ROLLING_BACK || is_over(l->p.state);
    HOLDS(is_there || (l->actions.count > 0 && l->actions.items[0].kind == PLAN_DO_WEIGHT), "P3: exposure ends first");
}

static bool was_reset(const struct life *l)
{
    for (uint32_t i = 0; i < l->actions.count; i++)
        if (l->actions.items[i].kind == PLAN_DO_RECORD && is_reset(l->actions.items[i].transition.cause))
            return true;
    return false;
}

/* P5, P6, P7. */
static void expect_states(struct life *l)
{
    enum rollout_state from = l->p.state, to = l->after.state;
    size_t index;
    bool is_zero = to == ROLLOUT_PENDING || to == ROLLOUT_ROLLING_BACK || is_over(to);
    HOLDS(!is_zero || l->after.weight_ppm == 0, "P5: nobody is exposed");
    HOLDS(to != ROLLOUT_SUCCEEDED || l->after.weight_ppm == 1000000, "P5: the canary has all");
    HOLDS(l->after.weight_ppm == 0 || l->after.weight_ppm == l->p.weight_ppm ||
              step_of_weight(l, l->after.weight_ppm, &index) != NULL,
          "P5: weights are the plan's");
    bool is_back = to == ROLLOUT_ROLLING_BACK;
    HOLDS(!is_over(from) || to == from || was_reset(l), "P6: over is over");
    HOLDS(from != ROLLOUT_SUCCEEDED || to == from || was_reset(l) || (is_back && l->event.who.len > 0),
          "P6: success ends by a person or a new revision");
    HOLDS(from != ROLLOUT_PAUSED || to == from || is_back || was_reset(l) || l->event.kind == PLAN_RESUME,
          "P7: nothing else ends a pause");
    HOLDS(from != ROLLOUT_PAUSED || l->after.weight_ppm <= l->p.weight_ppm || was_reset(l) ||
              l->event.kind == PLAN_RESUME,
          "P7: a pause holds the weight");
    HOLDS(to != ROLLOUT_PAUSED || l->after.left_ms == l->p.left_ms || l->p.steps_hash != l->after.steps_hash ||
              from != ROLLOUT_PAUSED,
          "P7: a pause is no hold");
}

/* P8, from who was let through. */
static void note_approval(struct life *l)
{
    if (l->event.kind != PLAN_APPROVE || l->answer != PLAN_DONE)
        return;
    HOLDS(l->p.state == ROLLOUT_AWAITING_APPROVAL, "P8: at a gate");
    const struct step_config *step = &l->plan->steps[l->p.step];
    unsigned who = 0;
    while (!slice_equal(l->event.who, slice_from_cstr(people[who])))
        who++;
    HOLDS(!l->w.approvals[who], "P8: different people");
    HOLDS(step->is_starter_allowed || strcmp(l->p.started_by, people[who]) != 0, "P8: not who started it");
    HOLDS(step->approvers.count == 0 || who < 3, "P8: one of the approvers");
    l->w.approvals[who] = true;
    l->w.approval_count++;
    if (l->w.approval_count < step->approve_count)
        return;
    l->w.passed[l->p.step] = true;
    l->w.approval_count = 0;
    memset(l->w.approvals, 0, sizeof l->w.approvals);
}

/* ---- a life ------------------------------------------------------------------------------------------------------ */

/* Before the event: what passed was watched, if it was. */
static void note_time(struct life *l, int64_t passed_us)
{
    bool is_held = l->p.state == ROLLOUT_HOLDING && l->p.is_in_force;
    if (is_held)
        l->w.watched_us +=
            passed_us < PLAN_WATCH_GAP_MS * INT64_C(1000) ? passed_us : PLAN_WATCH_GAP_MS * INT64_C(1000);
}

static void pass_time(struct life *l)
{
    static const int64_t gaps_us[] = {
        0, 400, 700000, 1000000, 1000000, 1000000, 4000000, 4000000, 30000000, 3600000000
    };
    int64_t passed_us = gaps_us[rng_below(&l->rng, 10)];
    l->mono.us += passed_us;
    l->wall.unix_ms += passed_us / 1000;
    if (chance(l, 3)) /* somebody sets the clock */
        l->wall.unix_ms += ((int64_t)rng_below(&l->rng, 2000) - 1000) * 600000;
    note_time(l, passed_us);
}

static struct plan_event random_event(struct life *l)
{
    struct plan_event event = { .mono = l->mono, .wall = l->wall };
    uint32_t dice = rng_below(&l->rng, 100);
    if (dice < 45) {
        event.kind = PLAN_VERDICT;
        event.verdict.canary_requests = rng_below(&l->rng, 30);
        event.verdict.is_not_worse = chance(l, 60);
        event.verdict.held = chance(l, 10);
        event.verdict.breached = (uint32_t)chance(l, 1) | (uint32_t)chance(l, 3) << 1;
        event.verdict.unknown = (uint32_t)chance(l, 2) << 1;
    } else if (dice < 55) {
        event.kind = PLAN_TICK;
    } else if (dice < 62) {
        event.kind = PLAN_WEBHOOK_ANSWER;
        event.is_passed = chance(l, 70);
    } else if (dice < 64) {
        event.kind = PLAN_STORE_FAILED;
    } else if (dice < 70) {
        event.kind = PLAN_STORE_WORKS;
    } else {
        static const enum plan_event_kind kinds[] = { PLAN_START,   PLAN_START,   PLAN_START,   PLAN_APPROVE,
                                                      PLAN_APPROVE, PLAN_APPROVE, PLAN_APPROVE, PLAN_RESUME,
                                                      PLAN_RESUME,  PLAN_RESUME,  PLAN_PROMOTE, PLAN_PROMOTE,
                                                      PLAN_PAUSE };
        event.kind = chance(l, 4) ? (chance(l, 50) ? PLAN_ROLLBACK : PLAN_ABORT) : kinds[rng_below(&l->rng, 13)];
        event.who = slice_from_cstr(people[rng_below(&l->rng, PEOPLE)]);
    }
    return event;
}

static bool begins_with_a_record(const struct life *l)
{
    return l->actions.count > 0 && l->actions.items[0].kind == PLAN_DO_RECORD;
}

static void tell(struct life *l, struct plan_event event)
{
    struct witness before = l->w;
    l->event = event;
    l->answer = plan_next(&l->plan->config, &l->p, &l->event, &l->after, &l->actions);
    if (l->answer == PLAN_REFUSED) {
        HOLDS(memcmp(&l->p, &l->after, sizeof l->p) == 0 && l->actions.count == 0, "what is refused changes nothing");
        HOLDS(event.kind != PLAN_ROLLBACK && event.kind != PLAN_ABORT, "P3: a way back is never refused");
        HOLDS(event.who.len > 0 && l->actions.refusal[0] != '\0', "only people are refused, and told why");
        return;
    }
    l->w.is_about_it = true;
    note_verdict(l, l->p.state);
    note_approval(l);
    expect_recorded(l);
    expect_way_back(l);
    expect_states(l);
    if (begins_with_a_record(l) && chance(l, 5)) { /* it cannot be written: nothing of all this has happened */
        l->w = before;
        l->failed_records++;
        tell(l, (struct plan_event){ .kind = PLAN_STORE_FAILED, .mono = l->mono, .wall = l->wall });
        return;
    }
    l->seen[l->after.state] += l->after.state != l->p.state;
    l->p = l->after;
}

/* The store gives back what it was given, and the plan goes on from there. */
static void restart(struct life *l)
{
    struct progress again = progress_through_store(&l->p, l->mono), expected = l->p;
    plan_restore(&expected, l->mono);
    memset(expected.approvals[expected.approval_count], 0,
           (APPROVALS_MAX - expected.approval_count) * sizeof *expected.approvals);
    cr_assert_eq(memcmp(&again, &expected, sizeof again), 0, "restored is not what was stored, in %s",
                 rollout_state_names[l->p.state]);
    l->p = again;
    l->w.is_good = l->w.is_proven = false;
    l->restarts++;
}

static void change_configuration(struct life *l)
{
    struct made_rollout *other = l->plan == &l->plans[0] ? &l->plans[1] : &l->plans[0];
    make_plan(l, other);
    other->config.revision = chance(l, 30) ? SLICE("2") : slice_from_cstr(l->p.revision);
    other->config.stable = chance(l, 10) ? SLICE("c") : l->plan->config.stable;
    if (slice_equal(other->config.revision, slice_from_cstr(l->p.revision))) /* borrowed from what will change */
        other->config.revision = l->plan->config.revision;
    l->plan = other;
}

static void live(struct life *l)
{
    make_plan(l, &l->plans[0]);
    l->plan = &l->plans[0];
    l->mono = (struct mono_time){ 1000000 };
    l->wall = (struct wall_time){ NOON_UNIX_MS };
    l->w = (struct witness){ 0 };
    memset(&l->p, 0, sizeof l->p);
    progress_init(&l->p, &l->plan->config);
    plan_restore(&l->p, l->mono);
    for (int i = 0; i < EVENTS_OF_LIFE; i++) {
        pass_time(l);
        if (chance(l, 1))
            restart(l);
        if (chance(l, 1))
            change_configuration(l);
        tell(l, random_event(l));
        if (!l->p.is_in_force && chance(l, 80))
            tell(l,
                 (struct plan_event){
                     .kind = PLAN_WEIGHT_IN_FORCE, .mono = l->mono, .wall = l->wall, .weight_ppm = l->p.weight_ppm });
    }
}

static void live_many(uint64_t seed)
{
    static struct life l; /* large */
    rng_init(&l.rng, seed);
    for (int i = 0; i < LIVES / PARTS; i++)
        live(&l);
    for (unsigned state = 0; state < ROLLOUT_STATE_COUNT; state++)
        cr_expect_gt(l.seen[state], 100, "%s was reached %llu times", rollout_state_names[state],
                     (unsigned long long)l.seen[state]);
    cr_expect_gt(l.raises, 4000);
    cr_expect_gt(l.lowered, 1000);
    cr_expect_gt(l.failed_records, 500);
    cr_expect_gt(l.restarts, 2000);
}

/* In eight parts, which run beside each other. */
#define PART(number)                                                                                                   \
    Test(plan_properties, hold_for_all_lives_of_part_##number)                                                         \
    {                                                                                                                  \
        live_many(number);                                                                                             \
    }
PART(1)
PART(2)
PART(3)
PART(4)
PART(5)
PART(6)
PART(7)
PART(8)
