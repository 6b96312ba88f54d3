/* tests/unit/server/made_plan.c - random plans of a rollout, as a configuration says them. */
#include "server/made_plan.h"

static bool chance(struct rng *rng, uint32_t percent)
{
    return rng_below(rng, 100) < percent;
}

static struct made_step *add(struct made_plan *m, enum step_kind kind)
{
    struct made_step *s = &m->steps[m->count++];
    *s = (struct made_step){ .kind = kind };
    return s;
}

void made_steps(struct made_plan *m, struct rng *rng)
{
    static const uint32_t percents[] = { 5, 10, 50 };
    m->count = 0;
    for (size_t i = 0; i < 3; i++) {
        if (chance(rng, 40))
            continue;
        if (chance(rng, 25)) {
            struct made_step *gate = add(m, chance(rng, 50) ? STEP_WEBHOOK : STEP_APPROVE);
            gate->approve_count = 1 + rng_below(rng, 2);
            gate->is_starter_allowed = chance(rng, 50);
        }
        struct made_step *step = add(m, STEP_WEIGHT);
        step->percent = percents[i];
        step->hold_ms = rng_below(rng, 4) * INT64_C(2000);
        step->min_requests = rng_below(rng, 3) * 10;
    }
    struct made_step *last = add(m, STEP_WEIGHT);
    last->percent = 100;
    last->hold_ms = rng_below(rng, 2) * INT64_C(2000);
    m->bake_ms = rng_below(rng, 2) * INT64_C(3000);
    m->is_frozen = chance(rng, 45);
    m->is_by_itself = chance(rng, 40);
    m->is_windowed = chance(rng, 25);
}

static void write_steps(const struct made_plan *m, struct text *out)
{
    for (uint32_t i = 0; i < m->count; i++) {
        const struct made_step *s = &m->steps[i];
        if (s->kind == STEP_WEIGHT)
            text_printf(out, "      - { weight: %u%%, hold: %lldms, min_requests: %llu }\n", s->percent,
                        (long long)s->hold_ms, (unsigned long long)s->min_requests);
        else if (s->kind == STEP_APPROVE)
            text_printf(out, "      - { approve: %u, allow_starter: %s }\n", s->approve_count,
                        s->is_starter_allowed ? "true" : "false");
        else
            text_add_cstr(out, "      - { webhook: \"http://127.0.0.1:9/gate\", timeout: 20s }\n");
    }
}

void made_write(const struct made_plan *m, struct text *out)
{
    text_clear(out);
    text_printf(out,
                "listeners: { web: { bind: 127.0.0.1:0 } }\n"
                "upstreams: { s: { endpoints: [ 127.0.0.1:1 ] }, c: { endpoints: [ 127.0.0.1:2 ] },"
                " d: { endpoints: [ 127.0.0.1:3 ] }, x: { endpoints: [ 127.0.0.1:4 ] } }\n"
                "routes: [ { name: shop, split: { s: 60, c: 0, d: 0, x: 40 }%s }, { name: rest, split: { s: 2, x: 2, "
                "d: 1 } } ]\n"
                "notify: { ops: { webhook: \"http://127.0.0.1:9/told\" } }\n",
                m->is_sticky ? ", sticky: { header: x-user }" : "");
    if (m->is_gone)
        return;
    text_printf(out,
                "rollouts:\n  q: { route: rest, stable: s, canary: x, revision: \"%u\", bake: 1h,\n"
                "    steps: [ { weight: 25%%, hold: 1h }, { weight: 50%%, hold: 1h }, { weight: 100%% } ],\n"
                "    guardrails: [ { metric: error_rate, max: 50%%, window: 1m } ] }\n",
                m->beside_revision);
    text_printf(out, "  r:\n    route: shop\n    stable: s\n    canary: %c\n    revision: \"%u\"\n", m->canary,
                m->revision);
    text_printf(out, "    start: %s\n    bake: %lldms\n    notify: [ ops ]\n    steps:\n",
                m->is_by_itself ? "on_revision" : "manual", (long long)m->bake_ms);
    write_steps(m, out);
    text_add_cstr(out,
                  "    guardrails:\n"
                  "      - { metric: error_rate, max: 50%, window: 1m, min_requests: 2 }\n"
                  "      - { prometheus: x, server: \"http://127.0.0.1:9\", max: 5, every: 1s, on_unknown: ignore }\n");
    if (m->is_windowed)
        text_add_cstr(out, "    windows: [ { from: \"11:00\", to: \"13:00\" } ]\n");
    if (m->is_frozen)
        text_add_cstr(out,
                      "    freeze: [ { from: 2026-11-25T12:00:08Z, to: 2026-11-25T12:00:35Z, reason: frozen } ]\n");
}
