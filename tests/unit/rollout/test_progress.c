/* tests/unit/rollout/test_progress.c - what is stored of a rollout comes back as it was, and nothing else is taken for it. */
#include "rollout/progress.h"

#include <criterion/criterion.h>

#include "base/hash.h"
#include "rollout/fixture.h"

Test(progress, every_state_has_a_name_that_is_read_back)
{
    for (unsigned i = 0; i < ROLLOUT_STATE_COUNT; i++) {
        enum rollout_state state = ROLLOUT_STATE_COUNT;
        cr_assert(rollout_state_read(slice_from_cstr(rollout_state_names[i]), &state));
        cr_expect_eq(state, i);
    }
    enum rollout_state state;
    cr_expect_not(rollout_state_read(SLICE("held"), &state));
}

static struct progress random_progress(struct rng *rng)
{
    struct progress p = { 0 };
    p.paused_from = (enum rollout_state)rng_below(rng, ROLLOUT_BAKING + 1);
    p.is_failure = rng_below(rng, 2);
    p.hold_ms = (int64_t)(rng_next(rng) >> 1 >> rng_below(rng, 60));
    p.step_requests = rng_next(rng) >> rng_below(rng, 64);
    p.accepted = (uint32_t)rng_next(rng);
    p.pair_hash = rng_next(rng);
    p.steps_hash = rng_next(rng) >> rng_below(rng, 64);
    return p;
}

Test(progress, the_detail_is_read_back_as_it_was)
{
    struct rng rng;
    struct text text;
    rng_init(&rng, 3);
    text_init(&text);
    for (int i = 0; i < 10000; i++) {
        struct progress p = random_progress(&rng), q = { 0 };
        text_clear(&text);
        progress_write_detail(&p, &text);
        cr_assert(progress_read_detail(text_slice(&text), &q), "%s", text.bytes);
        cr_assert_eq(memcmp(&p, &q, sizeof p), 0, "%s", text.bytes);
    }
    text_fini(&text);
}

Test(progress, what_is_not_a_detail_is_refused)
{
    struct rng rng;
    struct text text;
    rng_init(&rng, 4);
    text_init(&text);
    struct progress p = random_progress(&rng), q = { 0 };
    progress_write_detail(&p, &text);
    for (size_t len = 0; len < text.len; len++)
        cr_expect_not(progress_read_detail(slice_first(text_slice(&text), len), &q), "%zu bytes", len);
    text_add_char(&text, ' ');
    cr_expect_not(progress_read_detail(text_slice(&text), &q));
    cr_expect_not(progress_read_detail(
        SLICE("{\"version\":1,\"paused_from\":9,\"is_failure\":0,\"hold_ms\":0,\"step_requests\":0,\"accepted\":0,"
              "\"pair\":\"0000000000000000\",\"steps\":\"0000000000000000\"}"),
        &q));
    text_fini(&text);
}

static void expect_other(const struct progress *p, const struct made_rollout *m, const char *what)
{
    cr_expect_not(progress_fits(p, &m->config), "%s", what);
}

Test(progress, a_change_of_revision_pair_or_steps_is_noticed)
{
    struct made_rollout m, n;
    struct progress p;
    made_init(&m);
    made_weight(&m, 10, 1000);
    made_approve(&m, 1);
    made_weight(&m, 100, 0);
    made_guardrail(&m, "errors", POLICY_ROLLBACK);
    progress_init(&p, &m.config);
    cr_assert(progress_fits(&p, &m.config));
#define WITH(change, what)                                                                                             \
    n = m;                                                                                                             \
    n.config.steps = n.steps;                                                                                          \
    n.config.guardrails = n.guardrails;                                                                                \
    change;                                                                                                            \
    expect_other(&p, &n, what)
    WITH(n.config.revision = SLICE("2"), "revision");
    WITH(n.config.canary = SLICE("c"), "canary");
    WITH(n.config.stable = SLICE("c"), "stable");
    WITH(n.config.route = SLICE("c"), "route");
    WITH(n.steps[0].hold_ms = 999, "hold");
    WITH(n.steps[0].weight_ppm++, "weight");
    WITH(n.steps[0].min_requests++, "min_requests");
    WITH(n.steps[0].require = REQUIRE_NOT_WORSE, "require");
    WITH(n.steps[1].approve_count++, "approve");
    WITH(n.steps[1].is_starter_allowed = true, "allow_starter");
    WITH(n.guardrails[0].name = SLICE("other"), "guardrail");
    n = m;
    n.config.bake_ms = 5;
    cr_expect(progress_fits(&p, &n.config), "a bake is looked at when it begins");
}
