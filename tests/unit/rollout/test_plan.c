/* tests/unit/rollout/test_plan.c - rollouts as their users see them: one story a test. */
#include "rollout/plan.h"

#include <criterion/criterion.h>

#include "rollout/fixture.h"

#define MINUTE_MS INT64_C(60000)

static void expect_state(const struct driver *d, enum rollout_state state, uint32_t percent)
{
    cr_expect_eq(d->p.state, state, "%s, not %s", rollout_state_names[d->p.state], rollout_state_names[state]);
    cr_expect_eq(d->weight_ppm, percent * 10000, "%u ppm, not %u %%", d->weight_ppm, percent);
    cr_expect_eq(d->p.weight_ppm, d->weight_ppm);
}

/* 10 %, an approval, all; a guardrail that rolls back and one that pauses. */
static void made_usual(struct made_rollout *m)
{
    made_init(m);
    made_weight(m, 10, 10 * MINUTE_MS);
    made_approve(m, 1);
    made_weight(m, 100, 0);
    m->config.bake_ms = 5 * MINUTE_MS;
    made_guardrail(m, "errors", POLICY_ROLLBACK);
    made_guardrail(m, "saturation", POLICY_PAUSE);
}

Test(plan, a_release_goes_through_its_steps)
{
    struct made_rollout m;
    struct driver d;
    made_usual(&m);
    driver_init(&d, &m.config);
    driver_watch(&d, 5, 0);
    expect_state(&d, ROLLOUT_PENDING, 0);
    cr_assert_eq(driver_do(&d, PLAN_START, "alice"), PLAN_DONE);
    expect_state(&d, ROLLOUT_HOLDING, 10);
    cr_expect_str_eq(d.p.started_by, "alice");
    driver_watch(&d, 599, 1);
    expect_state(&d, ROLLOUT_HOLDING, 10);
    driver_watch(&d, 2, 1);
    expect_state(&d, ROLLOUT_AWAITING_APPROVAL, 10);
    cr_assert_eq(driver_do(&d, PLAN_APPROVE, "bob"), PLAN_DONE);
    expect_state(&d, ROLLOUT_HOLDING, 100);
    driver_watch(&d, 2, 1);
    expect_state(&d, ROLLOUT_BAKING, 100);
    driver_watch(&d, 302, 1);
    expect_state(&d, ROLLOUT_SUCCEEDED, 100);
    cr_expect_eq(d.record_count, 5);
    cr_expect_eq(d.notify_count, 5);
    cr_expect_gt(d.save_count, 100, "progress of holds is saved");
}

Test(plan, the_record_stands_in_front_of_the_weight_and_behind_a_rollbacks)
{
    struct made_rollout m;
    struct driver d;
    made_usual(&m);
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_START, "alice");
    cr_expect_eq(d.actions.items[0].kind, PLAN_DO_RECORD);
    cr_expect(d.actions.items[0].must_hold);
    cr_expect_eq(d.actions.items[1].kind, PLAN_DO_WEIGHT);
    cr_expect_eq(d.actions.items[2].kind, PLAN_DO_NOTIFY);
    driver_do(&d, PLAN_ROLLBACK, "bob");
    cr_expect_eq(d.actions.items[0].kind, PLAN_DO_WEIGHT);
    cr_expect_eq(d.actions.items[0].weight_ppm, 0);
    cr_expect_eq(d.actions.items[1].kind, PLAN_DO_RECORD);
    cr_expect_not(d.actions.items[1].must_hold);
    cr_expect_eq(d.last.cause, CAUSE_ROLLBACK);
    cr_expect(slice_equal(d.last.who, SLICE("bob")));
}

Test(plan, a_breach_takes_it_back_and_only_a_new_revision_begins_anew)
{
    struct made_rollout m;
    struct driver d;
    made_usual(&m);
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_START, "alice");
    driver_watch(&d, 60, 1);
    driver_verdict(&d, (struct plan_verdict){ .breached = 3 });
    expect_state(&d, ROLLOUT_ROLLING_BACK, 0);
    cr_expect_eq(d.last.cause, CAUSE_BREACH);
    cr_expect_eq(d.last.guardrail, 0);
    cr_expect(plan_withdraws(&d.p));
    driver_watch(&d, 1, 0);
    expect_state(&d, ROLLOUT_ROLLED_BACK, 0);
    cr_expect_eq(driver_do(&d, PLAN_START, "alice"), PLAN_REFUSED);
    cr_expect_str_eq(d.actions.refusal, "revision '1' is rolled_back: a new revision starts anew");
    m.config.revision = SLICE("2");
    driver_watch(&d, 1, 0);
    expect_state(&d, ROLLOUT_PENDING, 0);
    cr_expect_not(plan_withdraws(&d.p));
    cr_expect_eq(driver_do(&d, PLAN_START, "alice"), PLAN_DONE);
    expect_state(&d, ROLLOUT_HOLDING, 10);
}

Test(plan, a_breach_that_pauses_holds_the_weight_and_can_be_resumed_over)
{
    struct made_rollout m;
    struct driver d;
    struct plan_verdict saturated = { .breached = 2, .canary_requests = 1 };
    made_usual(&m);
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_START, "alice");
    driver_watch(&d, 60, 1);
    driver_verdict(&d, saturated);
    expect_state(&d, ROLLOUT_PAUSED, 10);
    cr_expect_eq(d.last.guardrail, 1);
    int64_t left_ms = d.p.left_ms;
    driver_watch(&d, 1000, 1);
    driver_verdict(&d, saturated);
    expect_state(&d, ROLLOUT_PAUSED, 10);
    cr_expect_eq(d.p.left_ms, left_ms, "a pause is no hold");
    cr_expect_eq(driver_do(&d, PLAN_RESUME, "bob"), PLAN_DONE);
    driver_verdict(&d, saturated);
    expect_state(&d, ROLLOUT_HOLDING, 10);
    driver_watch(&d, 5, 1); /* over, and then it comes again */
    driver_verdict(&d, saturated);
    expect_state(&d, ROLLOUT_PAUSED, 10);
    driver_verdict(&d, (struct plan_verdict){ .breached = 1 });
    expect_state(&d, ROLLOUT_ROLLING_BACK, 0);
}

Test(plan, a_missing_answer_does_what_on_unknown_says)
{
    static const struct {
        enum breach_policy policy;
        enum rollout_state state;
    } rows[] = { { POLICY_PAUSE, ROLLOUT_PAUSED },
                 { POLICY_ROLLBACK, ROLLOUT_ROLLING_BACK },
                 { POLICY_IGNORE, ROLLOUT_HOLDING } };
    for (size_t i = 0; i < 3; i++) {
        struct made_rollout m;
        struct driver d;
        made_usual(&m);
        m.guardrails[0].on_unknown = rows[i].policy;
        driver_init(&d, &m.config);
        driver_do(&d, PLAN_START, "alice");
        driver_verdict(&d, (struct plan_verdict){ .unknown = 1 });
        cr_expect_eq(d.p.state, rows[i].state, "%zu: %s", i, rollout_state_names[d.p.state]);
        cr_expect(i == 2 || d.last.cause == CAUSE_UNKNOWN);
    }
}

Test(plan, a_step_waits_for_requests_proof_and_a_verdict_that_holds_nothing_back)
{
    struct made_rollout m;
    struct driver d;
    made_init(&m);
    struct step_config *step = made_weight(&m, 10, 10000);
    step->min_requests = 100;
    step->require = REQUIRE_NOT_WORSE;
    made_weight(&m, 100, 0);
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_START, "alice");
    driver_watch(&d, 99, 1);
    expect_state(&d, ROLLOUT_HOLDING, 10);
    driver_verdict(&d, (struct plan_verdict){ .is_not_worse = true });
    expect_state(&d, ROLLOUT_HOLDING, 10);
    cr_expect_eq(d.p.step_requests, 99);
    driver_verdict(&d, (struct plan_verdict){ .is_not_worse = false, .canary_requests = 1 });
    expect_state(&d, ROLLOUT_HOLDING, 10);
    driver_verdict(&d, (struct plan_verdict){ .is_not_worse = true, .held = 1 });
    expect_state(&d, ROLLOUT_HOLDING, 10);
    driver_verdict(&d, (struct plan_verdict){ .is_not_worse = true });
    expect_state(&d, ROLLOUT_HOLDING, 100);
}

Test(plan, without_verdicts_no_step_is_taken)
{
    struct made_rollout m;
    struct driver d;
    made_init(&m);
    made_weight(&m, 10, 1000);
    made_weight(&m, 100, 0);
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_START, "alice");
    driver_verdict(&d, (struct plan_verdict){ 0 });
    for (int i = 0; i < 100; i++) {
        d.mono = mono_add_ms(d.mono, PLAN_VERDICT_AGE_MS + 1);
        driver_do(&d, PLAN_TICK, "");
    }
    expect_state(&d, ROLLOUT_HOLDING, 10);
    cr_expect_eq(d.p.left_ms, 0);
    driver_verdict(&d, (struct plan_verdict){ 0 });
    expect_state(&d, ROLLOUT_HOLDING, 100);
}

Test(plan, approvals_are_by_different_people_and_not_by_who_started_it)
{
    struct made_rollout m;
    struct driver d;
    made_init(&m);
    struct step_config *gate = made_approve(&m, 2);
    made_weight(&m, 100, 0);
    m.approvers[0] = SLICE("alice");
    m.approvers[1] = SLICE("bob");
    m.approvers[2] = SLICE("unix:root");
    gate->approvers = (struct slice_list){ m.approvers, 3 };
    driver_init(&d, &m.config);
    cr_expect_eq(driver_do(&d, PLAN_APPROVE, "bob"), PLAN_REFUSED);
    driver_do(&d, PLAN_START, "alice");
    expect_state(&d, ROLLOUT_AWAITING_APPROVAL, 0);
    cr_expect_eq(driver_do(&d, PLAN_PROMOTE, "alice"), PLAN_REFUSED, "no hold, but a gate");
    cr_expect_eq(driver_do(&d, PLAN_APPROVE, "alice"), PLAN_REFUSED);
    cr_expect_str_eq(d.actions.refusal, "'alice' started the rollout: somebody else has to approve it");
    cr_expect_eq(driver_do(&d, PLAN_APPROVE, "carol"), PLAN_REFUSED);
    cr_expect_eq(driver_do(&d, PLAN_APPROVE, "bob"), PLAN_DONE);
    cr_expect_eq(driver_do(&d, PLAN_APPROVE, "bob"), PLAN_REFUSED);
    cr_expect_str_eq(d.actions.refusal, "'bob' has approved already");
    expect_state(&d, ROLLOUT_AWAITING_APPROVAL, 0);
    cr_expect_eq(driver_do(&d, PLAN_APPROVE, "unix:root"), PLAN_DONE);
    expect_state(&d, ROLLOUT_HOLDING, 100);

    gate->is_starter_allowed = true;
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_START, "alice");
    driver_do(&d, PLAN_APPROVE, "bob");
    cr_expect_eq(driver_do(&d, PLAN_APPROVE, "alice"), PLAN_DONE);
    expect_state(&d, ROLLOUT_HOLDING, 100);
}

Test(plan, a_webhook_is_asked_until_it_says_yes_or_its_time_is_over)
{
    struct made_rollout m;
    struct driver d;
    made_init(&m);
    made_webhook(&m, MINUTE_MS);
    made_weight(&m, 100, 0);
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_START, "alice");
    driver_watch(&d, 25, 0);
    expect_state(&d, ROLLOUT_AWAITING_WEBHOOK, 0);
    cr_expect_eq(d.webhook_count, 3, "now, and every ten seconds: %u", d.webhook_count);
    driver_send(&d, (struct plan_event){ .kind = PLAN_WEBHOOK_ANSWER, .is_passed = false });
    expect_state(&d, ROLLOUT_AWAITING_WEBHOOK, 0);
    struct driver late = d;
    driver_send(&d, (struct plan_event){ .kind = PLAN_WEBHOOK_ANSWER, .is_passed = true });
    expect_state(&d, ROLLOUT_HOLDING, 100);
    driver_watch(&late, 40, 0);
    expect_state(&late, ROLLOUT_FAILED, 0);
    driver_send(&late, (struct plan_event){ .kind = PLAN_WEBHOOK_ANSWER, .is_passed = true });
    expect_state(&late, ROLLOUT_FAILED, 0);
}

/* Seconds from this answer to the next question. */
static int64_t pause_behind(struct driver *d, struct plan_event answer)
{
    unsigned asked = d->webhook_count;
    int64_t seconds = 0;
    answer.kind = PLAN_WEBHOOK_ANSWER;
    driver_send(d, answer);
    for (; d->webhook_count == asked && seconds < 3600; seconds++)
        driver_watch(d, 1, 0);
    return seconds;
}

static void at_webhook(struct made_rollout *m, struct driver *d, int64_t timeout_ms)
{
    made_init(m);
    made_webhook(m, timeout_ms);
    made_weight(m, 100, 0);
    driver_init(d, &m->config);
    driver_do(d, PLAN_START, "alice");
    driver_watch(d, 1, 0);
    cr_assert_eq(d->webhook_count, 1);
}

Test(plan, a_webhook_that_fails_is_asked_less_and_less_often)
{
    static const int64_t longest[] = { 20, 40, 80, 120, 120, 120 };
    const struct plan_event no = { .is_failed = false }, late = { .is_failed = true, .draw = 0 };
    struct made_rollout m;
    struct driver d;
    at_webhook(&m, &d, 600 * MINUTE_MS);
    cr_expect_eq(pause_behind(&d, no), 10, "who says not yet keeps the pace");
    for (size_t i = 0; i < sizeof longest / sizeof *longest; i++) {
        struct driver least = d, most = d;
        cr_expect_eq(pause_behind(&least, late), longest[i] / 2, "of %zu failures", i + 1);
        const struct plan_event last = { .is_failed = true, .draw = (uint64_t)(longest[i] * 500) };
        cr_expect_eq(pause_behind(&most, last), longest[i], "of %zu failures", i + 1);
        pause_behind(&d, late);
    }
    cr_expect_eq(pause_behind(&d, no), 10, "it is well again");
    cr_expect_eq(pause_behind(&d, late), 10, "and begins anew");
}

Test(plan, a_webhook_that_fails_is_asked_again_before_its_time_is_over)
{
    const struct plan_event late = { .is_failed = true, .draw = UINT64_MAX };
    struct made_rollout m;
    struct driver d;
    at_webhook(&m, &d, 5 * MINUTE_MS);
    while (d.p.left_ms > 25000)
        cr_assert_leq(pause_behind(&d, late), 120);
    expect_state(&d, ROLLOUT_AWAITING_WEBHOOK, 0);
    cr_expect_gt(d.webhook_count, 5, "%u times", d.webhook_count);
    driver_send(&d, (struct plan_event){ .kind = PLAN_WEBHOOK_ANSWER, .is_passed = true });
    expect_state(&d, ROLLOUT_HOLDING, 100);
}

Test(plan, a_webhook_has_one_question_at_a_time)
{
    struct made_rollout m;
    struct driver d;
    at_webhook(&m, &d, 60 * MINUTE_MS);
    d.is_asking = true;
    driver_watch(&d, 100, 0);
    cr_expect_eq(d.webhook_count, 1, "%u", d.webhook_count);
    d.is_asking = false;
    driver_watch(&d, 1, 0);
    cr_expect_eq(d.webhook_count, 2, "its sender has lost it");
}

Test(plan, steps_wait_for_their_window_and_rollbacks_do_not)
{
    struct made_rollout m;
    struct driver d;
    made_init(&m);
    made_weight(&m, 10, 60000);
    made_weight(&m, 100, 0);
    made_window(&m, 0x7f, 13, 14);
    driver_init(&d, &m.config);
    cr_expect_eq(driver_do(&d, PLAN_START, "alice"), PLAN_DONE);
    expect_state(&d, ROLLOUT_RUNNING, 0);
    cr_expect_eq(driver_do(&d, PLAN_PROMOTE, "alice"), PLAN_REFUSED);
    cr_expect_str_eq(d.actions.refusal, "no step is taken now: outside of the windows");
    driver_watch(&d, 3599, 1);
    expect_state(&d, ROLLOUT_RUNNING, 0);
    driver_watch(&d, 1, 1);
    expect_state(&d, ROLLOUT_HOLDING, 10);
    cr_expect_eq(d.last.cause, CAUSE_OPENED);
    d.wall.unix_ms += 3600000;
    driver_watch(&d, 120, 1);
    expect_state(&d, ROLLOUT_RUNNING, 10);
    driver_do(&d, PLAN_ROLLBACK, "bob");
    driver_watch(&d, 1, 0);
    expect_state(&d, ROLLOUT_ROLLED_BACK, 0);
}

Test(plan, it_starts_by_itself_at_its_time_or_with_its_revision)
{
    struct made_rollout m;
    struct driver d;
    made_init(&m);
    made_approve(&m, 1);
    made_weight(&m, 100, 0);
    m.config.start = ROLLOUT_START_ON_REVISION;
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_TICK, "");
    expect_state(&d, ROLLOUT_AWAITING_APPROVAL, 0);
    cr_expect_str_eq(d.p.started_by, "weir");
    m.config.start_at = (struct wall_time){ NOON_UNIX_MS + 5000 };
    driver_init(&d, &m.config);
    driver_watch(&d, 4, 0);
    expect_state(&d, ROLLOUT_PENDING, 0);
    driver_watch(&d, 1, 0);
    expect_state(&d, ROLLOUT_AWAITING_APPROVAL, 0);
}

Test(plan, a_stopped_or_jumping_clock_shortens_no_hold)
{
    struct made_rollout m;
    struct driver d;
    made_init(&m);
    made_weight(&m, 10, 10 * MINUTE_MS);
    made_weight(&m, 100, 0);
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_START, "alice");
    d.wall.unix_ms += INT64_C(86400000) * 30; /* set forward by a month */
    driver_watch(&d, 60, 1);
    expect_state(&d, ROLLOUT_HOLDING, 10);
    cr_expect_eq(d.p.left_ms, 9 * MINUTE_MS);
    d.wall.unix_ms -= INT64_C(86400000) * 60; /* and back */
    driver_watch(&d, 60, 1);
    cr_expect_eq(d.p.left_ms, 8 * MINUTE_MS);
    for (int i = 0; i < 100; i++) { /* stopped */
        driver_verdict(&d, (struct plan_verdict){ 0 });
        driver_do(&d, PLAN_TICK, "");
    }
    cr_expect_eq(d.p.left_ms, 8 * MINUTE_MS);
    d.mono = mono_add_ms(d.mono, 60 * MINUTE_MS); /* an hour in which the process did not run */
    driver_verdict(&d, (struct plan_verdict){ 0 });
    cr_expect_eq(d.p.left_ms, 8 * MINUTE_MS - PLAN_WATCH_GAP_MS);
    expect_state(&d, ROLLOUT_HOLDING, 10);
}

Test(plan, a_restart_goes_on_at_the_same_step_with_the_rest_of_the_hold)
{
    struct made_rollout m;
    struct driver d;
    made_usual(&m);
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_START, "alice");
    driver_watch(&d, 300, 1);
    driver_restart(&d);
    expect_state(&d, ROLLOUT_HOLDING, 10);
    cr_expect_eq(d.p.left_ms, 5 * MINUTE_MS);
    driver_do(&d, PLAN_TICK, "");
    driver_watch(&d, 299, 1);
    expect_state(&d, ROLLOUT_HOLDING, 10);
    driver_watch(&d, 2, 1);
    expect_state(&d, ROLLOUT_AWAITING_APPROVAL, 10);
    driver_restart(&d);
    cr_expect_eq(driver_do(&d, PLAN_APPROVE, "alice"), PLAN_REFUSED, "who started it is known");
    driver_do(&d, PLAN_APPROVE, "bob");
    expect_state(&d, ROLLOUT_RUNNING, 10); /* nothing was judged since the restart */
    driver_watch(&d, 1, 1);
    expect_state(&d, ROLLOUT_HOLDING, 100);
}

Test(plan, a_store_that_fails_stops_everything_but_the_way_back)
{
    struct made_rollout m;
    struct driver d;
    made_usual(&m);
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_STORE_FAILED, "");
    cr_expect_eq(driver_do(&d, PLAN_START, "alice"), PLAN_REFUSED);
    driver_do(&d, PLAN_STORE_WORKS, "");
    driver_do(&d, PLAN_START, "alice");
    driver_do(&d, PLAN_STORE_FAILED, "");
    driver_watch(&d, 1200, 1);
    expect_state(&d, ROLLOUT_HOLDING, 10);
    cr_expect_eq(driver_do(&d, PLAN_PAUSE, "alice"), PLAN_REFUSED);
    m.config.revision = SLICE("2"); /* not even this is looked at */
    driver_verdict(&d, (struct plan_verdict){ .breached = 1 });
    expect_state(&d, ROLLOUT_ROLLING_BACK, 0);
    driver_watch(&d, 10, 0);
    expect_state(&d, ROLLOUT_ROLLING_BACK, 0);
    m.config.revision = SLICE("1");
    driver_do(&d, PLAN_STORE_WORKS, "");
    expect_state(&d, ROLLOUT_ROLLED_BACK, 0);
}

Test(plan, new_steps_never_raise_the_weight_by_themselves)
{
    struct made_rollout m, n;
    struct driver d;
    made_init(&m);
    made_weight(&m, 10, 10 * MINUTE_MS);
    made_weight(&m, 50, 10 * MINUTE_MS);
    made_weight(&m, 100, 0);
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_START, "alice");
    driver_watch(&d, 602, 1);
    expect_state(&d, ROLLOUT_HOLDING, 50);
    driver_watch(&d, 300, 1);
    made_init(&n); /* the same weight, a longer hold: what was held counts */
    made_weight(&n, 20, 10 * MINUTE_MS);
    made_weight(&n, 50, 20 * MINUTE_MS);
    made_weight(&n, 100, 0);
    int64_t held_ms = d.p.hold_ms - d.p.left_ms;
    d.config = &n.config;
    driver_do(&d, PLAN_TICK, "");
    expect_state(&d, ROLLOUT_HOLDING, 50);
    cr_expect_eq(d.last.cause, CAUSE_NEW_STEPS);
    cr_expect_eq(d.p.left_ms, 20 * MINUTE_MS - held_ms);
    made_init(&m); /* no such weight any more: down to the next below */
    made_weight(&m, 30, MINUTE_MS);
    made_weight(&m, 60, MINUTE_MS);
    made_weight(&m, 100, 0);
    d.config = &m.config;
    driver_do(&d, PLAN_TICK, "");
    expect_state(&d, ROLLOUT_HOLDING, 30);
    made_init(&n); /* all are above */
    made_approve(&n, 1);
    made_weight(&n, 100, 0);
    d.config = &n.config;
    driver_do(&d, PLAN_TICK, "");
    expect_state(&d, ROLLOUT_RUNNING, 0);
    driver_do(&d, PLAN_TICK, ""); /* one event makes one transition */
    expect_state(&d, ROLLOUT_AWAITING_APPROVAL, 0);
}

Test(plan, a_person_ends_a_hold_but_no_gate)
{
    struct made_rollout m;
    struct driver d;
    made_usual(&m);
    driver_init(&d, &m.config);
    cr_expect_eq(driver_do(&d, PLAN_PROMOTE, "alice"), PLAN_REFUSED);
    driver_do(&d, PLAN_START, "alice");
    cr_expect_eq(driver_do(&d, PLAN_PROMOTE, "alice"), PLAN_DONE);
    expect_state(&d, ROLLOUT_AWAITING_APPROVAL, 10);
    cr_expect_eq(driver_do(&d, PLAN_PROMOTE, "alice"), PLAN_REFUSED);
    driver_verdict(&d, (struct plan_verdict){ 0 });
    driver_do(&d, PLAN_APPROVE, "bob");
    expect_state(&d, ROLLOUT_HOLDING, 100);
    driver_do(&d, PLAN_PROMOTE, "alice");
    expect_state(&d, ROLLOUT_BAKING, 100);
    driver_do(&d, PLAN_PROMOTE, "alice");
    expect_state(&d, ROLLOUT_SUCCEEDED, 100);
}

/* Blue and green: the old side is kept, and the way back is one word. */
Test(plan, one_step_to_all_has_an_instant_way_back_even_when_it_is_done)
{
    struct made_rollout m;
    struct driver d;
    made_init(&m);
    made_weight(&m, 100, 0);
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_START, "alice");
    driver_watch(&d, 1, 1);
    expect_state(&d, ROLLOUT_SUCCEEDED, 100);
    driver_verdict(&d, (struct plan_verdict){ .breached = 1 });
    expect_state(&d, ROLLOUT_SUCCEEDED, 100);
    driver_do(&d, PLAN_ROLLBACK, "alice");
    expect_state(&d, ROLLOUT_ROLLING_BACK, 0);
    driver_do(&d, PLAN_TICK, "");
    expect_state(&d, ROLLOUT_ROLLED_BACK, 0);
}

Test(plan, a_stable_that_cannot_take_the_load_is_told_and_rolled_back_onto)
{
    struct made_rollout m;
    struct driver d;
    made_usual(&m);
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_START, "alice");
    driver_send(&d, (struct plan_event){ .kind = PLAN_VERDICT, .is_stable_short = true, .verdict = { .breached = 1 } });
    expect_state(&d, ROLLOUT_ROLLING_BACK, 0);
    cr_expect(d.last.is_stable_short);
}

Test(plan, an_abort_ends_as_failed)
{
    struct made_rollout m;
    struct driver d;
    made_usual(&m);
    driver_init(&d, &m.config);
    driver_do(&d, PLAN_START, "alice");
    cr_expect_eq(driver_do(&d, PLAN_ABORT, "alice"), PLAN_DONE);
    driver_do(&d, PLAN_TICK, "");
    expect_state(&d, ROLLOUT_FAILED, 0);
    cr_expect_eq(driver_do(&d, PLAN_ROLLBACK, "alice"), PLAN_DONE);
    expect_state(&d, ROLLOUT_FAILED, 0);
    cr_expect_eq(d.actions.count, 0);
}
