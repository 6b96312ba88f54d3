/* tests/unit/route/test_weights.c - a rollout's share of its pair: who moves, who does not, and where a canary that was taken
 * back still leads. */
#include "route/weights.h"

#include <criterion/criterion.h>

#include <stdio.h>

#include "route/fixture.h"

#define USERS 3000

static const uint32_t steps_ppm[] = { 0, 10000, 100000, 500000, 1000000 };
#define STEPS (sizeof steps_ppm / sizeof *steps_ppm)

enum { STABLE, THIRD, CANARY };

static struct weights weights_at(struct fixture *f, struct weights_override *override, uint32_t canary_ppm,
                                 bool is_back)
{
    static uint64_t generation;
    weights_override_share(override, &f->arena, &f->table->routes[0], STABLE, CANARY, canary_ppm, is_back);
    return (struct weights){ .generation = ++generation, .route_count = 1, .overrides = override };
}

static uint32_t entry_of_user(struct fixture *f, int user, const struct weights *weights)
{
    char header[24];
    snprintf(header, sizeof header, "u: %d", user);
    return fixture_decide(f, request_make(f, "GET h /", header), weights).split_index;
}

static void sticky_fixture(struct fixture *f, const char *split)
{
    fixture_init(f, 1);
    struct route_config *r = fixture_route(f, NULL, NULL, split);
    r->sticky.key = (struct key_config){ .kind = KEY_HEADER, .name = SLICE("u") };
    fixture_build(f);
}

Test(weights, each_step_moves_users_only_from_stable_to_the_canary)
{
    struct fixture f;
    struct weights_override override;
    static uint32_t before[USERS], first[USERS];
    sticky_fixture(&f, "stable=7 third=2 canary=1");
    for (size_t step = 0; step < STEPS; step++) {
        struct weights weights = weights_at(&f, &override, steps_ppm[step], false);
        int moved = 0, on_canary = 0, on_third = 0;
        for (int user = 0; user < USERS; user++) {
            uint32_t now = entry_of_user(&f, user, &weights);
            if (step > 0)
                cr_assert(now == before[user] || (before[user] == STABLE && now == CANARY), "user %d at step %zu", user,
                          step);
            else
                first[user] = now;
            moved += step > 0 && now != before[user];
            before[user] = now;
            on_canary += now == CANARY;
            on_third += now == THIRD;
        }
        double expected = 0.8 * USERS * steps_ppm[step] / 1e6;
        cr_expect(on_canary > expected - 110 && on_canary < expected + 110, "step %zu: %d, not about %.0f", step,
                  on_canary, expected);
        cr_expect(on_third > 0.2 * USERS - 110 && on_third < 0.2 * USERS + 110, "%d", on_third);
        cr_expect(step == 0 || moved > 0);
    }
    struct weights back = weights_at(&f, &override, 0, true); /* and back: everybody is where they were */
    for (int user = 0; user < USERS; user++)
        cr_assert_eq(entry_of_user(&f, user, &back), first[user], "user %d", user);
    fixture_fini(&f);
}

Test(weights, an_unsticky_split_is_exact_in_each_block)
{
    struct fixture f;
    struct weights_override override;
    fixture_init(&f, 1);
    fixture_route(&f, NULL, NULL, "stable=7 third=2 canary=1");
    fixture_build(&f);
    struct weights weights = weights_at(&f, &override, 100000, false); /* 36, 10 and 4 of 50 */
    const struct route_request *request = request_make(&f, "GET h /", "");
    for (int block = 0; block < 20; block++) {
        int counts[3] = { 0 };
        for (int i = 0; i < 25; i++)
            counts[fixture_decide(&f, request, &weights).split_index]++;
        cr_assert(counts[STABLE] == 18 && counts[THIRD] == 5 && counts[CANARY] == 2, "block %d: %d, %d, %d", block,
                  counts[STABLE], counts[THIRD], counts[CANARY]);
    }
    fixture_fini(&f);
}

/* What each way of naming the canary leads to. */
static struct decision decide(struct fixture *f, const char *headers, const char *script_upstream,
                              const struct weights *weights)
{
    struct decision d;
    const struct route_request *request = request_make(f, "GET h /", headers);
    route_decide_begin(f->table, request, weights, &d);
    if (script_upstream != NULL)
        route_decide_target(&d, fixture_upstream(f, script_upstream));
    route_decide_finish(request, weights, &f->draw, &d);
    return d;
}

static void expect_upstream(struct fixture *f, const struct decision *d, enum decision_why why, const char *upstream,
                            uint32_t entry)
{
    cr_expect_str_eq(decision_why_names[d->why], decision_why_names[why]);
    cr_expect_str_eq(fixture_upstream_name(f, d->upstream_index), upstream);
    cr_expect_eq(d->split_index, entry, "%s: %u", upstream, d->split_index);
}

Test(weights, after_a_rollback_names_of_the_canary_lead_to_stable)
{
    struct fixture f;
    struct weights_override override;
    fixture_init(&f, 1);
    struct route_config *r = fixture_route(&f, NULL, NULL, "stable=7 third=2 canary=1");
    fixture_rule(&f, r, "canary", condition_flag(&f, "x-test"));
    fixture_rule(&f, r, "canary", condition_flag(&f, "x-keep"));
    fixture_rule(&f, r, "third", condition_flag(&f, "x-third"));
    r->rules[1].is_kept = true;
    fixture_build(&f);
    for (int is_back = 0; is_back < 2; is_back++) {
        struct weights weights = weights_at(&f, &override, 0, is_back);
        struct decision d = decide(&f, "x-test: 1", NULL, &weights);
        expect_upstream(&f, &d, WHY_RULE, is_back ? "stable" : "canary", is_back ? STABLE : CONFIG_NONE);
        cr_expect_eq(d.rule_index, 0);
        d = decide(&f, "x-keep: 1", NULL, &weights);
        expect_upstream(&f, &d, WHY_RULE, "canary", CONFIG_NONE);
        d = decide(&f, "x-third: 1", NULL, &weights);
        expect_upstream(&f, &d, WHY_RULE, "third", CONFIG_NONE);
        d = decide(&f, "", "canary", &weights);
        expect_upstream(&f, &d, WHY_SCRIPT, is_back ? "stable" : "canary", is_back ? STABLE : CONFIG_NONE);
        d = decide(&f, "", "third", &weights);
        expect_upstream(&f, &d, WHY_SCRIPT, "third", CONFIG_NONE);
        for (int i = 0; i < 40; i++)
            cr_assert_neq(fixture_decide(&f, request_make(&f, "GET h /", ""), &weights).split_index, CANARY);
    }
    fixture_fini(&f);
}

Test(weights, a_script_that_answers_is_not_redirected)
{
    struct fixture f;
    struct weights_override override;
    struct decision d;
    fixture_init(&f, 1);
    fixture_route(&f, NULL, NULL, "stable=7 third=2 canary=1");
    fixture_build(&f);
    struct weights weights = weights_at(&f, &override, 0, true);
    route_decide_begin(f.table, request_make(&f, "GET h /", ""), &weights, &d);
    route_decide_answer(&d);
    cr_expect_eq(d.upstream_index, CONFIG_NONE);
    cr_expect_eq(d.split_index, CONFIG_NONE);
    fixture_fini(&f);
}
