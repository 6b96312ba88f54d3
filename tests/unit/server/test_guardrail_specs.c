/* tests/unit/server/test_guardrail_specs.c - what is written of guardrails is what the judge is told. */
#include "server/guardrail_specs.h"

#include <math.h>
#include <stdio.h>

#include <criterion/criterion.h>

#include "config/fixture.h"

#define SECOND_US INT64_C(1000000)

static struct loaded loaded;
static struct guardrail_specs specs;

/* Specs of a rollout whose longest step is an hour, with this list of guardrails. */
static const struct guardrail *make(const char *guardrails)
{
    char yaml[2048];
    snprintf(yaml, sizeof yaml,
             "%s"
             "routes: [ { name: r, split: { a: 1, b: 0 }, shadow: [ { to: b, compare: {} } ] } ]\n"
             "rollouts: { r: { route: r, stable: a, canary: b, bake: 10m, guardrails: [ %s ],\n"
             "  steps: [ { weight: 10%%, hold: 1h }, { weight: 100%%, hold: 1m } ] } }\n"
             "slos:\n"
             "  answers: { route: r, availability: 99.9%%, latency: { below: 300ms, for: 99%% }, window: 30d }\n"
             "  quick: { route: r, latency: { below: 300ms, for: 99%% }, window: 30d }\n"
             "monitors: { home: { upstreams: [ a, b ], request: { path: /h }, every: 10s } }\n",
             BASE_YAML, guardrails);
    loaded_init(&loaded);
    const char *problems = loaded_read(&loaded, yaml);
    cr_assert_not_null(loaded.config, "%s", problems);
    guardrail_specs_init(&specs, loaded.config, &loaded.config->rollouts[0]);
    return specs.items;
}

static void done(void)
{
    guardrail_specs_fini(&specs);
    loaded_fini(&loaded);
}

/* Of the guardrail at a place of a list. */
static uint64_t identity(const char *guardrails, uint32_t place)
{
    uint64_t identity = make(guardrails)[place].identity;
    done();
    return identity;
}

Test(guardrail_specs, a_limit_is_for_the_canary_alone)
{
    const struct guardrail *g = make("{ metric: error_rate, max: 2%, window: 2m, min_requests: 70 },"
                                     "{ metric: latency_p99, max: 400ms, window: 1m },"
                                     "{ metric: connect_failures, max: 3 },"
                                     "{ event: purchase, min: 5% }");
    cr_assert_eq(specs.count, 4);
    cr_expect(g[0].kind == GUARDRAIL_RATE && g[0].column == TALLY_ERRORS);
    cr_expect_float_eq(g[0].max, 0.02, 1e-9);
    cr_expect_eq(g[0].min, -INFINITY);
    cr_expect_eq(g[0].window_us, 120 * SECOND_US);
    cr_expect_eq(g[0].minimum_count, 70);
    cr_expect_str_eq(g[0].name, "error_rate");
    cr_expect(g[1].kind == GUARDRAIL_LATENCY && g[1].limit_us == 400000);
    cr_expect_float_eq(g[1].quantile, 0.99, 1e-9);
    cr_expect(g[2].kind == GUARDRAIL_CONNECT_FAILURES && g[2].column == TALLY_CONNECT_FAILURES && g[2].in_a_row == 3);
    cr_expect(g[3].kind == GUARDRAIL_RATE && g[3].column == TALLY_EVENTS);
    cr_expect_float_eq(g[3].min, 0.05, 1e-9);
    cr_expect_eq(g[3].max, INFINITY);
    done();
}

Test(guardrail_specs, worse_than_stable_is_a_comparison)
{
    const struct guardrail *g = make("{ metric: error_rate, worse_than_stable: { ratio: 1.5 }, confidence: 95% },"
                                     "{ metric: error_rate, worse_than_stable: { points: 0.5% } },"
                                     "{ metric: latency_p95, worse_than_stable: { ratio: 1.2 } },"
                                     "{ metric: latency, worse_than_stable: { ratio: 1.3 } },"
                                     "{ event: purchase, worse_than_stable: { ratio: 0.9 } }");
    cr_expect(g[0].kind == GUARDRAIL_RATIO && g[0].column == TALLY_ERRORS && !g[0].is_less_worse);
    cr_expect_float_eq(g[0].margin, 1.5, 1e-9);
    cr_expect_float_eq(g[0].confidence, 0.95, 1e-9);
    cr_expect(g[1].kind == GUARDRAIL_POINTS && g[1].column == TALLY_ERRORS && !g[1].is_less_worse);
    cr_expect_float_eq(g[1].margin, 0.005, 1e-9);
    cr_expect_eq(g[2].kind, GUARDRAIL_LATENCY_RATIO);
    cr_expect_float_eq(g[2].quantile, 0.95, 1e-9);
    cr_expect_float_eq(g[2].margin, 1.2, 1e-9);
    cr_expect_eq(g[3].kind, GUARDRAIL_LATENCY_RATIO);
    cr_expect_eq(g[3].quantile, 0, "the usual three, averaged");
    cr_expect_neq(g[2].column, g[3].column, "columns of thresholds are given out");
    cr_expect(g[4].kind == GUARDRAIL_RATIO && g[4].column == TALLY_EVENTS && g[4].is_less_worse);
    done();
}

Test(guardrail_specs, numbers_of_others_are_samples_of_some_age)
{
    const struct guardrail *g = make("{ metric: shadow_mismatch, shadow: b, max: 1%, window: 90s },"
                                     "{ metric: saturation, max: 80% },"
                                     "{ prometheus: x, server: \"http://h:9090\", max: 5, every: 7s },"
                                     "{ monitor: home, max_failures: 2 }");
    for (uint32_t i = 0; i < 4; i++)
        cr_expect_eq(g[i].kind, GUARDRAIL_SAMPLE, "%u", i);
    cr_expect_eq(g[0].window_us, 90 * SECOND_US);
    cr_expect_float_eq(g[0].max, 0.01, 1e-9);
    cr_expect_float_eq(g[1].max, 0.8, 1e-9);
    cr_expect_gt(g[1].window_us, 0);
    cr_expect_eq(g[2].max, 5);
    cr_expect_eq(g[2].window_us, 21 * SECOND_US, "three times it may be asked in vain");
    cr_expect(g[3].in_a_row == 2 && g[3].window_us == 30 * SECOND_US);
    cr_expect(g[3].max > 0 && g[3].max < 1, "between a good check and a bad one");
    done();
}

Test(guardrail_specs, an_objective_is_about_errors_about_time_or_both)
{
    const struct guardrail *g = make("{ slo: answers, burn: 14.4 }, { slo: quick, burn: 6 }");
    cr_expect(g[0].kind == GUARDRAIL_BURN && g[0].column == TALLY_ERRORS && g[0].limit_us == 300000);
    cr_expect_eq(g[0].slow_column, TALLY_SLOW);
    cr_expect_float_eq(g[0].slow_objective, 0.99, 1e-9);
    cr_expect_float_eq(g[0].max, 14.4, 1e-9);
    cr_expect_float_eq(g[0].objective, 0.999, 1e-9);
    cr_expect_eq(g[0].window_us, 3600 * SECOND_US, "as long as the longest step");
    cr_expect_eq(g[0].short_window_us, 300 * SECOND_US);
    cr_expect(g[1].kind == GUARDRAIL_BURN && g[1].limit_us == 300000 && g[1].slow_objective <= 0);
    cr_expect_float_eq(g[1].objective, 0.99, 1e-9);
    cr_expect_eq(g[1].window_us, 3600 * SECOND_US, "six hours, but no step is as long");
    done();
}

Test(guardrail_specs, guardrails_on_one_event_share_its_column)
{
    const struct guardrail *g =
        make("{ event: purchase, worse_than_stable: { ratio: 0.9 } }, { event: refund, max: 1% },"
             "{ event: purchase, min: 1% }");
    cr_expect_eq(specs.event_count, 2);
    cr_expect(slice_equal(specs.events[0], SLICE("purchase")) && slice_equal(specs.events[1], SLICE("refund")));
    cr_expect_eq(g[1].column, TALLY_EVENTS + 1);
    cr_expect_eq(g[2].column, g[0].column);
    done();
}

Test(guardrail_specs, evidence_stays_while_its_guardrail_says_the_same)
{
    uint64_t before = identity("{ name: g, metric: error_rate, max: 2%, window: 1m }", 0);
    cr_expect_eq(identity("{ metric: saturation, max: 80% }, { name: g, metric: error_rate, max: 2%, window: 1m }", 1),
                 before, "another one beside it changes nothing");
    const char *const others[] = {
        "{ name: g, metric: error_rate, max: 3%, window: 1m }",
        "{ name: g, metric: error_rate, max: 2%, window: 2m }",
        "{ name: h, metric: error_rate, max: 2%, window: 1m }",
        "{ name: g, metric: error_rate, worse_than_stable: { ratio: 1.5 } }",
        "{ name: g, metric: saturation, max: 2%, window: 1m }",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        cr_expect_neq(identity(others[i], 0), before, "%s", others[i]);
    cr_expect_neq(identity("{ name: g, metric: error_rate, worse_than_stable: { ratio: 1.5 } }", 0),
                  identity("{ name: g, metric: error_rate, worse_than_stable: { ratio: 1.6 } }", 0));
}
