/* tests/unit/config/test_rollouts.c - a rollout as it is written stands in the model, with its defaults and its indexes. */
#include "config/model_rollout.h"

#include <criterion/criterion.h>

#include "base/text.h"
#include "config/fixture.h"
#include "config/formats.h"

/* As the contract with the users has it. */
static const char example[] =
    "listeners: { web: { bind: 127.0.0.1:80 } }\n"
    "upstreams:\n"
    "  checkout-v1: { endpoints: [ h:1 ] }\n"
    "  checkout-v2: { endpoints: [ h:2 ] }\n"
    "  checkout-dark: { endpoints: [ h:3 ] }\n"
    "routes:\n"
    "  - name: checkout\n"
    "    rules: [ { name: testers, when: { header: x-t, equals: \"1\" }, to: checkout-v2, keep: true } ]\n"
    "    split: { checkout-v1: 95, checkout-v2: 5 }\n"
    "    shadow: [ { to: checkout-dark, compare: {} } ]\n"
    "rollouts:\n"
    "  checkout-v2:\n"
    "    route: checkout\n"
    "    stable: checkout-v1\n"
    "    canary: checkout-v2\n"
    "    revision: \"2.4.1\"\n"
    "    start: manual\n"
    "    steps:\n"
    "      - { weight: 1%, hold: 10m, min_requests: 500 }\n"
    "      - { weight: 10%, hold: 30m, require: not_worse }\n"
    "      - { approve: 1, approvers: [alice, bob] }\n"
    "      - { webhook: https://gate.example.com/ok, timeout: 6m }\n"
    "      - { weight: 50%, hold: 1h }\n"
    "      - { weight: 100% }\n"
    "    bake: 1h\n"
    "    errors: [5xx, 429]\n"
    "    guardrails:\n"
    "      - { metric: error_rate, max: 2%, window: 2m }\n"
    "      - { metric: error_rate, worse_than_stable: { ratio: 1.5 }, confidence: 99% }\n"
    "      - { metric: error_rate, worse_than_stable: { points: 0.5% }, confidence: 99% }\n"
    "      - { metric: latency_p99, max: 400ms, window: 1m }\n"
    "      - { metric: latency_p95, worse_than_stable: { ratio: 1.2 }, confidence: 99% }\n"
    "      - { metric: shadow_mismatch, shadow: checkout-dark, max: 1% }\n"
    "      - { metric: saturation, max: 80%, on_breach: pause }\n"
    "      - { event: purchase, worse_than_stable: { ratio: 0.9 } }\n"
    "      - { prometheus: \"sum(rate(cart_abandoned_total[1m]))\", max: 5, on_unknown: pause }\n"
    "      - { slo: checkout, burn: 14.4 }\n"
    "      - { monitor: checkout-home, max_failures: 3 }\n"
    "      - { metric: error_rate, max: 1% }\n"
    "    on_breach: rollback\n"
    "    windows: [ { days: mon-fri, from: \"09:00\", to: \"17:00\", tz: Europe/Berlin } ]\n"
    "    freeze:  [ { from: 2026-12-20T00:00:00Z, to: 2027-01-03T00:00:00Z, reason: holidays } ]\n"
    "    notify: [ ops ]\n"
    "slos:     { checkout: { route: checkout, availability: 99.9%, latency: { below: 300ms, for: 99% }, window: 30d } "
    "}\n"
    "monitors: { checkout-home: { upstreams: [checkout-v1, checkout-v2], request: { path: /checkout/health }, every: "
    "10s, "
    "expect: { status: 200, body: \"ok\" } } }\n"
    "notify:   { ops: { webhook: https://hooks.example.com/x, alertmanager: http://127.0.0.1:9093 } }\n"
    "admin:    { tokens: [ { name: alice, role: approver, sha256: "
    "\"0000000000000000000000000000000000000000000000000000000000000000\" }, { name: bob, role: admin, sha256: "
    "\"1111111111111111111111111111111111111111111111111111111111111111\" } ] }\n";

static const struct rollout_config *load(struct loaded *f, const char *yaml)
{
    loaded_init(f);
    const char *problems = loaded_read(f, yaml);
    cr_assert_not_null(f->config, "%s", problems);
    cr_assert_str_empty(problems, "%s", problems);
    return &f->config->rollouts[0];
}

static bool is_near(double a, double b)
{
    return a - b < 1e-9 && b - a < 1e-9;
}

static void expect_guardrail(const struct guardrail_config *g, const char *name, enum watch_kind kind)
{
    cr_expect(slice_equal(g->name, slice_from_cstr(name)), "%.*s, not %s", SLICE_ARG(g->name), name);
    cr_expect_eq(g->kind, kind, "%s", name);
}

Test(rollouts, steps_are_weights_and_gates)
{
    struct loaded f;
    const struct rollout_config *r = load(&f, example);
    cr_assert_eq(r->step_count, 6);
    cr_expect_eq(r->steps[0].kind, STEP_WEIGHT);
    cr_expect_eq(r->steps[0].weight_ppm, 10000);
    cr_expect_eq(r->steps[0].hold_ms, 600000);
    cr_expect_eq(r->steps[0].min_requests, 500);
    cr_expect_eq(r->steps[0].require, REQUIRE_NOTHING);
    cr_expect_eq(r->steps[1].require, REQUIRE_NOT_WORSE);
    cr_expect_eq(r->steps[2].kind, STEP_APPROVE);
    cr_expect_eq(r->steps[2].approve_count, 1);
    cr_expect_eq(r->steps[2].approvers.count, 2);
    cr_expect_not(r->steps[2].is_starter_allowed);
    cr_expect_eq(r->steps[3].kind, STEP_WEBHOOK);
    cr_expect_eq(r->steps[3].timeout_ms, 360000);
    cr_expect_eq(r->steps[5].weight_ppm, 1000000);
    cr_expect_eq(r->steps[5].hold_ms, 0);
    cr_expect_eq(r->bake_ms, 3600000);
    loaded_fini(&f);
}

Test(rollouts, guardrails_are_of_the_kind_that_their_keys_say)
{
    struct loaded f;
    const struct rollout_config *r = load(&f, example);
    const struct guardrail_config *g = r->guardrails;
    cr_assert_eq(r->guardrail_count, 12);
    expect_guardrail(&g[0], "error_rate", WATCH_ERROR_RATE);
    cr_expect(g[0].has_max && is_near(g[0].max, 0.02) && g[0].window_ms == 120000 && !guardrail_config_compares(&g[0]));
    expect_guardrail(&g[1], "error_rate_ratio", WATCH_ERROR_RATE);
    cr_expect(g[1].comparison == COMPARISON_RATIO && is_near(g[1].worse_than_stable.ratio, 1.5));
    expect_guardrail(&g[2], "error_rate_points", WATCH_ERROR_RATE);
    cr_expect(g[2].comparison == COMPARISON_POINTS && g[2].worse_than_stable.points_ppm == 5000);
    expect_guardrail(&g[3], "latency_p99", WATCH_LATENCY);
    cr_expect(g[3].quantile_permille == 990 && is_near(g[3].max, 400));
    expect_guardrail(&g[4], "latency_p95_ratio", WATCH_LATENCY);
    expect_guardrail(&g[5], "shadow_mismatch", WATCH_SHADOW_MISMATCH);
    cr_expect_eq(g[5].shadow_index, 0);
    expect_guardrail(&g[6], "saturation", WATCH_SATURATION);
    cr_expect(g[6].on_breach == POLICY_PAUSE && g[5].on_breach == POLICY_ROLLBACK);
    expect_guardrail(&g[7], "event_purchase_ratio", WATCH_EVENT);
    cr_expect(is_near(g[7].worse_than_stable.ratio, 0.9));
    expect_guardrail(&g[8], "prometheus", WATCH_PROMETHEUS);
    cr_expect(g[8].has_max && is_near(g[8].max, 5) && g[8].on_unknown == POLICY_PAUSE && g[8].every_ms == 15000);
    expect_guardrail(&g[9], "slo_checkout", WATCH_SLO);
    cr_expect(g[9].slo_index == 0 && is_near(g[9].burn, 14.4));
    expect_guardrail(&g[10], "monitor_checkout-home", WATCH_MONITOR);
    cr_expect(g[10].monitor_index == 0 && g[10].max_failures == 3);
    expect_guardrail(&g[11], "error_rate_2", WATCH_ERROR_RATE);
    loaded_fini(&f);
}

Test(rollouts, names_are_indexes_and_times_are_numbers)
{
    struct loaded f;
    const struct rollout_config *r = load(&f, example);
    const struct window_config *window = &r->windows[0];
    cr_expect(r->route_index == 0 && r->stable_entry == 0 && r->canary_entry == 1);
    cr_expect(r->notify.count == 1 && r->notify_indexes[0] == 0);
    cr_expect_eq(r->error_count, 2);
    cr_expect(r->errors[0].from == 500 && r->errors[0].to == 599 && r->errors[1].from == 429 && r->errors[1].to == 429);
    cr_expect(window->days == 0x1f && window->from_s == 9 * 3600 && window->to_s == 17 * 3600);
    cr_expect_eq(zone_offset_at(window->zone, 1785499200 /* 2026-07-31 */), 7200);
    cr_expect_eq(r->freezes[0].from.unix_ms, INT64_C(1797724800000));
    cr_expect(f.config->routes[0].rules[0].is_kept);
    cr_expect_eq(f.config->slos[0].route_index, 0);
    cr_expect(f.config->monitors[0].upstream_indexes[1] == 1 && f.config->monitors[0].timeout_ms == 5000);
    cr_expect(f.config->monitors[0].expect.statuses[0].from == 200 &&
              f.config->monitors[0].expect.statuses[0].to == 200);
    loaded_fini(&f);
}

Test(rollouts, what_is_not_written_has_its_default)
{
    struct loaded f;
    const struct rollout_config *r =
        load(&f, BASE_YAML "routes: [ { name: r, split: { a: 1, b: 0 } } ]\n"
                           "rollouts: { x: { route: r, stable: a, canary: b, windows: [ {} ], steps: [ { webhook: "
                           "\"http://x\" }, { weight: 100% } ], guardrails: [ { metric: error_rate, max: 1% } ] } }\n"
                           "monitors: { m: { upstreams: [ a ], every: 2s } }\n");
    cr_expect(r->start == ROLLOUT_START_MANUAL && r->start_at.unix_ms == 0 && r->bake_ms == 0);
    cr_expect(r->steps[0].timeout_ms == 300000 && r->on_breach == POLICY_ROLLBACK);
    cr_expect(r->error_count == 1 && r->errors[0].from == 500 && r->errors[0].to == 599);
    cr_expect(r->windows[0].days == 0x7f && r->windows[0].from_s == 0 && r->windows[0].to_s == 86400);
    cr_expect_eq(zone_offset_at(r->windows[0].zone, 0), 0);
    cr_expect(r->guardrails[0].confidence_ppm == 990000 && r->guardrails[0].min_requests == 0);
    cr_expect_eq(f.config->monitors[0].timeout_ms, 2000, "a time-out is not longer than the time to the next request");
    cr_expect(f.config->monitors[0].expect.statuses[0].from == 200 &&
              f.config->monitors[0].expect.statuses[0].to == 299);
    loaded_fini(&f);
}

Test(rollouts, a_notifications_webhook_is_hidden_where_the_text_is_shown)
{
    struct loaded f;
    struct text shown;
    load(&f, example);
    text_init(&shown);
    config_text_masked(f.config, &shown);
    cr_expect_null(strstr(shown.bytes, "hooks.example.com"));
    cr_expect_not_null(strstr(shown.bytes, "gate.example.com"));
    text_fini(&shown);
    loaded_fini(&f);
}

Test(rollouts, days_and_statuses_are_read)
{
    unsigned days;
    uint16_t from, to;
    int32_t s;
    double number;
    cr_expect(format_read_days(SLICE("mon-fri"), &days) && days == 0x1f);
    cr_expect(format_read_days(SLICE("sat-mon"), &days) && days == 0x61);
    cr_expect(format_read_days(SLICE("wed"), &days) && days == 0x04);
    cr_expect_not(format_read_days(SLICE("mon-fri-"), &days));
    cr_expect(format_read_status(SLICE("4xx"), &from, &to) && from == 400 && to == 499);
    cr_expect(format_read_status(SLICE("500-504"), &from, &to) && from == 500 && to == 504);
    cr_expect_not(format_read_status(SLICE("504-500"), &from, &to));
    cr_expect_not(format_read_status(SLICE("99"), &from, &to));
    cr_expect(format_read_clock(SLICE("24:00"), &s) && s == 86400);
    cr_expect_not(format_read_clock(SLICE("24:01"), &s));
    cr_expect_not(format_read_clock(SLICE("9:00"), &s));
    cr_expect(format_read_number(SLICE("-1.5"), &number) && is_near(number, -1.5));
    cr_expect_not(format_read_number(SLICE("1."), &number));
    cr_expect_not(format_read_number(SLICE("1.1234567"), &number));
    cr_expect_not(format_read_number(SLICE("--1"), &number));
}
