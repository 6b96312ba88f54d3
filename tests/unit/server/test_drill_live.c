/* tests/unit/server/test_drill_live.c - a live drill on a release of the driver's: whose breach it is, and what it says of it. */
#include "server/drills.h"

#include <criterion/criterion.h>

#include "base/log.h"
#include "base/memory.h"
#include "server/guardrail_specs.h"
#include "server/world.h"

static struct world w;
static struct drills drills;
static struct drill d;
static struct drill_case one;

static void fixture_init(void)
{
    log_set_level(LOG_ERROR + 1);
    world_init(&w, 1);
    world_database_begin(&w);
    text_printf(&w.yaml, "listeners: { web: { bind: 127.0.0.1:0 } }\n"
                         "upstreams: { s: { endpoints: [ 127.0.0.1:1 ] }, c: { endpoints: [ 127.0.0.1:2 ] } }\n"
                         "routes: [ { name: shop, split: { s: 100, c: 0 } } ]\n"
                         "rollouts: { r: { route: shop, stable: s, canary: c, revision: \"1\",\n"
                         "  steps: [ { weight: 50%%, hold: 1h }, { weight: 100%% } ],\n"
                         "  guardrails: [ { metric: error_rate, max: 50%%, window: 1m, min_requests: 2 } ] } }\n");
    world_boot(&w, WORLD_WELL);
    world_begin(&w);
    world_take_all(&w);
    cr_assert_eq(world_say(&w, PLAN_START, "alice"), ROLLOUT_DONE);
    world_take_all(&w);
    drills = (struct drills){ .rollouts = &w.all };
    one = (struct drill_case){ .is_wanted = true };
    d = (struct drill){ .all = &drills, .rollout = world_rollout(&w)->name, .cases = &one, .case_count = 1 };
    d.wish.settings.timeout_ms = INT64_C(600000);
    d.scripts[0].fault = DRILL_ERROR;
    guardrail_specs_init(&d.specs, publisher_snapshot(&w.publisher)->config, world_rollout(&w)->config);
}

static void fixture_fini(void)
{
    guardrail_specs_fini(&d.specs);
    memory_free(d.cause);
    world_kill(&w);
    world_database_end(&w);
    world_fini(&w);
}

TestSuite(drill_live, .init = fixture_init, .fini = fixture_fini);

static struct mono_time later(struct mono_time then)
{
    return (struct mono_time){ then.us + 1 };
}

/* The canary fails until the guardrail has taken it back. */
static void fail(void)
{
    world_pass(&w, 100);
    world_burst(&w, 20);
    cr_assert(world_look(&w));
    cr_assert_eq(world_rollout(&w)->progress.state, ROLLOUT_ROLLING_BACK);
}

static void settle(void)
{
    world_take_all(&w);
    world_pass(&w, 100);
    world_look(&w);
    cr_assert_eq(world_rollout(&w)->progress.state, ROLLOUT_ROLLED_BACK);
}

Test(drill_live, a_breach_that_does_not_wait_for_the_slowest_worker_is_the_drills)
{
    drill_live_begin(&d, clock_mono());
    cr_assert(!drill_live_look(&d, clock_mono()), "not in force everywhere");
    fail();
    cr_assert(!drill_live_look(&d, clock_mono()), "nor now");
    settle();
    d.failing_since = later(world_rollout(&w)->breach.mono);
    cr_assert(!drill_live_look(&d, clock_mono()));
    cr_assert(drill_live_look(&d, clock_mono()));
    cr_assert_null(d.cause, "%s", d.cause);
    cr_expect_eq(one.trial.result, DRILL_FIRED);
    cr_expect_eq(one.trial.bad.us, d.published.us, "the first worker that may have let it fail");
    cr_expect_eq(one.trial.bad_requests, 20, "%u", one.trial.bad_requests);
}

Test(drill_live, a_breach_behind_the_slowest_worker_is_told_from_there_on)
{
    drill_live_begin(&d, clock_mono());
    d.failing_since = later(d.published);
    fail();
    settle();
    cr_assert(!drill_live_look(&d, clock_mono()));
    cr_assert(drill_live_look(&d, clock_mono()));
    cr_expect_eq(one.trial.result, DRILL_FIRED);
    cr_expect_eq(one.trial.bad.us, d.failing_since.us);
}

Test(drill_live, a_breach_of_before_is_not_the_drills)
{
    fail();
    settle();
    drill_live_begin(&d, later(world_rollout(&w)->breach.mono));
    d.failing_since = later(d.published);
    cr_assert(drill_live_look(&d, clock_mono()));
    cr_assert_not_null(d.cause);
    cr_expect_neq(one.trial.result, DRILL_FIRED);
}
