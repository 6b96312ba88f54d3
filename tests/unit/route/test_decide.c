/* tests/unit/route/test_decide.c - the decision: which of its reasons applies, and what goes with each. */
#include "route/decide.h"

#include <criterion/criterion.h>

#include <stdio.h>

#include "route/fixture.h"

static void expect(const struct fixture *f, const struct decision *d, enum decision_why why, const char *upstream)
{
    cr_assert_str_eq(decision_why_names[d->why], decision_why_names[why]);
    cr_assert_str_eq(fixture_upstream_name(f, d->upstream_index), upstream);
    cr_assert_eq(d->route == NULL, why == WHY_NO_ROUTE);
    cr_assert_eq(d->rule_index == CONFIG_NONE, why != WHY_RULE);
    cr_assert_eq(d->issued_key[0] != '\0', why == WHY_ISSUED);
    bool is_split = why == WHY_ONLY || why == WHY_SPLIT || why == WHY_STICKY || why == WHY_ISSUED;
    cr_assert_eq(d->split_index == CONFIG_NONE, !is_split);
    if (is_split)
        cr_assert_eq(d->route->config->split[d->split_index].upstream_index, d->upstream_index);
}

Test(decide, no_route_matches)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, "a", NULL, "v1");
    fixture_build(&f);
    struct decision d = fixture_decide(&f, request_make(&f, "GET b /", ""), NULL);
    expect(&f, &d, WHY_NO_ROUTE, "");
    fixture_fini(&f);
}

Test(decide, the_only_entry_needs_no_draw)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, NULL, NULL, "v1")->sticky.key = (struct key_config){ .kind = KEY_COOKIE, .name = SLICE("id") };
    fixture_build(&f);
    struct decision d = fixture_decide(&f, request_make(&f, "GET h /", ""), NULL);
    expect(&f, &d, WHY_ONLY, "v1");
    cr_assert_eq(f.table->block_units, 0, "nor a block");
    fixture_fini(&f);
}

Test(decide, routes_may_answer_themselves)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, NULL, "/r", "")->action = ROUTE_REDIRECT;
    fixture_route(&f, NULL, NULL, "")->action = ROUTE_RESPOND;
    fixture_build(&f);
    struct decision d = fixture_decide(&f, request_make(&f, "GET h /r", ""), NULL);
    expect(&f, &d, WHY_REDIRECT, "");
    d = fixture_decide(&f, request_make(&f, "GET h /", ""), NULL);
    expect(&f, &d, WHY_RESPOND, "");
    fixture_fini(&f);
}

Test(decide, the_first_rule_that_matches_beats_key_and_split)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct route_config *r = fixture_route(&f, NULL, NULL, "v1=1 v2=1");
    r->sticky.key = (struct key_config){ .kind = KEY_COOKIE, .name = SLICE("id") };
    fixture_rule(&f, r, "v3", condition_present(&f, SUBJECT_HEADER, "a", true));
    fixture_rule(&f, r, "v4", condition_present(&f, SUBJECT_HEADER, "b", true));
    fixture_build(&f);
    struct decision d = fixture_decide(&f, request_make(&f, "GET h /", "b: 1\ncookie: id=7"), NULL);
    expect(&f, &d, WHY_RULE, "v4");
    cr_assert_eq(d.rule_index, 1);
    d = fixture_decide(&f, request_make(&f, "GET h /", "a: 1\nb: 1"), NULL);
    expect(&f, &d, WHY_RULE, "v3");
    cr_assert_eq(d.rule_index, 0);
    d = fixture_decide(&f, request_make(&f, "GET h /", "cookie: id=7"), NULL);
    cr_assert_eq(d.why, WHY_STICKY);
    fixture_fini(&f);
}

Test(decide, a_rule_also_goes_before_a_redirect)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct route_config *r = fixture_route(&f, NULL, NULL, "");
    r->action = ROUTE_REDIRECT;
    fixture_rule(&f, r, "v3", condition_present(&f, SUBJECT_HEADER, "a", true));
    fixture_build(&f);
    struct decision d = fixture_decide(&f, request_make(&f, "GET h /", "a: 1"), NULL);
    expect(&f, &d, WHY_RULE, "v3");
    fixture_fini(&f);
}

Test(decide, an_unsticky_split_draws_exactly_its_weights)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, NULL, NULL, "v1=19 v2=1");
    fixture_build(&f);
    struct route_request *request = request_make(&f, "GET h /", "");
    int canary_count = 0;
    for (int i = 0; i < 200; i++) {
        struct decision d = fixture_decide(&f, request, NULL);
        expect(&f, &d, WHY_SPLIT, d.split_index == 0 ? "v1" : "v2");
        canary_count += d.split_index == 1;
    }
    cr_assert_eq(canary_count, 10);
    fixture_fini(&f);
}

Test(decide, every_entry_of_a_long_split_is_reached)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, "a", NULL, "v1=1 v2=1");
    fixture_route(&f, NULL, NULL, "v7=1 v6=1 v5=1 v4=1 v3=1 v2=1");
    fixture_build(&f);
    int seen = 0;
    for (int i = 0; i < 6; i++) {
        struct decision d = fixture_decide(&f, request_make(&f, "GET h /", ""), NULL);
        cr_assert_eq(d.upstream_index, d.route->config->split[d.split_index].upstream_index);
        seen |= 1 << d.split_index;
    }
    cr_assert_eq(seen, 0x3f, "one block of six");
    fixture_fini(&f);
}

Test(decide, routes_draw_from_blocks_of_their_own)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, NULL, "/a", "v1=1 v2=1");
    fixture_route(&f, NULL, "/b", "v1=1 v2=1");
    fixture_build(&f);
    for (int i = 0; i < 50; i++) {
        uint32_t of_a[2], of_b[2];
        for (int n = 0; n < 2; n++) {
            of_a[n] = fixture_decide(&f, request_make(&f, "GET h /a", ""), NULL).split_index;
            of_b[n] = fixture_decide(&f, request_make(&f, "GET h /b", ""), NULL).split_index;
        }
        cr_assert_eq(of_a[0] + of_a[1], 1);
        cr_assert_eq(of_b[0] + of_b[1], 1);
    }
    fixture_fini(&f);
}

/* ---- sticky ------------------------------------------------------------------------------------------------------ */

static struct route_config *sticky_route(struct fixture *f, enum key_kind kind, const char *name)
{
    struct route_config *r = fixture_route(f, NULL, NULL, "v1=1 v2=1");
    r->sticky.key.kind = kind;
    r->sticky.key.name = slice_from_cstr(name);
    return r;
}

static struct decision decide_with(struct fixture *f, const char *target, const char *headers)
{
    char line[80];
    snprintf(line, sizeof line, "GET h %s", target);
    return fixture_decide(f, request_make(f, line, headers), NULL);
}

Test(decide, a_missing_cookie_is_issued_and_then_chooses_the_same)
{
    struct fixture f;
    fixture_init(&f, 1);
    sticky_route(&f, KEY_COOKIE, "weir_id");
    fixture_build(&f);
    int counts[2] = { 0 };
    for (int i = 0; i < 400; i++) {
        struct decision first = decide_with(&f, "/", "cookie: other=1");
        expect(&f, &first, WHY_ISSUED, first.split_index == 0 ? "v1" : "v2");
        cr_assert_eq(((struct block *)f.draw.blocks)->left_total, 0, "no block takes part");
        cr_assert_eq(strlen(first.issued_key), 32);
        cr_assert_eq(strspn(first.issued_key, "0123456789abcdef"), 32);
        char cookie[64];
        snprintf(cookie, sizeof cookie, "cookie: weir_id=%s", first.issued_key);
        struct decision again = decide_with(&f, "/", cookie);
        expect(&f, &again, WHY_STICKY, fixture_upstream_name(&f, first.upstream_index));
        counts[first.split_index]++;
    }
    cr_assert(counts[0] > 140 && counts[1] > 140, "%d to %d", counts[0], counts[1]);
    fixture_fini(&f);
}

Test(decide, issued_keys_differ)
{
    struct fixture f;
    fixture_init(&f, 1);
    sticky_route(&f, KEY_COOKIE, "weir_id");
    fixture_build(&f);
    struct decision a = decide_with(&f, "/", ""), b = decide_with(&f, "/", "");
    cr_assert_str_neq(a.issued_key, b.issued_key);
    cr_assert_neq(strncmp(a.issued_key, a.issued_key + 16, 16), 0);
    fixture_fini(&f);
}

Test(decide, an_empty_or_absurd_cookie_counts_as_absent)
{
    struct fixture f;
    fixture_init(&f, 1);
    sticky_route(&f, KEY_COOKIE, "weir_id");
    fixture_build(&f);
    char cookie[KEY_MAX_BYTES + 32] = "cookie: weir_id=";
    size_t start = strlen(cookie);
    struct decision d = decide_with(&f, "/", cookie);
    cr_assert_eq(d.why, WHY_ISSUED, "empty");
    memset(cookie + start, 'k', KEY_MAX_BYTES);
    d = decide_with(&f, "/", cookie);
    cr_assert_eq(d.why, WHY_STICKY, "the longest");
    memset(cookie + start, 'k', KEY_MAX_BYTES + 1);
    d = decide_with(&f, "/", cookie);
    cr_assert_eq(d.why, WHY_ISSUED, "too long");
    fixture_fini(&f);
}

Test(decide, other_keys_stick_too_and_without_one_the_block_decides)
{
    static const struct {
        enum key_kind kind;
        const char *name, *target, *headers;
        enum decision_why why;
    } rows[] = {
        { KEY_HEADER, "x-user", "/", "X-User: 7", WHY_STICKY },
        { KEY_HEADER, "x-user", "/", "", WHY_SPLIT },
        { KEY_HEADER, "x-user", "/", "x-user:", WHY_SPLIT },
        { KEY_QUERY, "user", "/?user=7", "", WHY_STICKY },
        { KEY_QUERY, "user", "/?u=7", "", WHY_SPLIT },
        { KEY_SOURCE_IP, "", "/", "", WHY_STICKY },
        { KEY_NONE, "", "/", "", WHY_SPLIT },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct fixture f;
        fixture_init(&f, 1);
        sticky_route(&f, rows[i].kind, rows[i].name);
        fixture_build(&f);
        struct decision first = decide_with(&f, rows[i].target, rows[i].headers);
        cr_assert_eq(first.why, rows[i].why, "row %zu", i);
        for (int n = 0; n < 20 && rows[i].why == WHY_STICKY; n++)
            cr_assert_eq(decide_with(&f, rows[i].target, rows[i].headers).split_index, first.split_index);
        fixture_fini(&f);
    }
}

Test(decide, sources_are_keys)
{
    struct fixture f;
    fixture_init(&f, 1);
    sticky_route(&f, KEY_SOURCE_IP, "");
    fixture_build(&f);
    int counts[2] = { 0 };
    for (int i = 0; i < 200; i++) {
        struct route_request *request = request_make(&f, "GET h /", "");
        request->source.bytes[15] = (uint8_t)i;
        counts[fixture_decide(&f, request, NULL).split_index]++;
    }
    cr_assert(counts[0] > 60 && counts[1] > 60, "%d to %d", counts[0], counts[1]);
    fixture_fini(&f);
}

/* ---- weights set at run time ------------------------------------------------------------------------------------- */

Test(decide, weights_at_run_time_replace_those_of_the_file)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, NULL, "/a", "v1=1 v2=1");
    fixture_route(&f, NULL, "/b", "v1=1 v2=0");
    fixture_build(&f);
    const uint32_t all_to_v2[] = { 0, 100 };
    struct weights_override overrides[2] = { { .weights = all_to_v2, .pair = { UINT32_MAX, UINT32_MAX, 0 } },
                                             { .pair = { UINT32_MAX, UINT32_MAX, 0 } } };
    const struct weights weights = { .generation = 42, .route_count = 2, .overrides = overrides };
    for (int i = 0; i < 20; i++) {
        struct decision d = fixture_decide(&f, request_make(&f, "GET h /a", ""), &weights);
        expect(&f, &d, WHY_SPLIT, "v2");
        cr_assert_eq(d.weights_generation, 42);
        d = fixture_decide(&f, request_make(&f, "GET h /b", ""), &weights);
        expect(&f, &d, WHY_SPLIT, "v1");
    }
    const struct weights none = { .generation = 43, .route_count = 2 };
    struct decision d = fixture_decide(&f, request_make(&f, "GET h /a", ""), &none);
    cr_assert_eq(d.weights_generation, 43);
    cr_assert_eq(fixture_decide(&f, request_make(&f, "GET h /a", ""), NULL).weights_generation, 0);
    fixture_fini(&f);
}

Test(decide, a_rollout_step_moves_users_only_from_stable_to_canary)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct route_config *r = fixture_route(&f, NULL, NULL, "stable=60 third=40 canary=0");
    r->sticky.key = (struct key_config){ .kind = KEY_HEADER, .name = SLICE("u") };
    fixture_build(&f);
    const uint32_t step[] = { 30, 40, 30 };
    struct weights_override override = { .weights = step, .pair = { 0, 2, 500000 } };
    const struct weights weights = { .generation = 2, .route_count = 1, .overrides = &override };
    int moved = 0;
    for (int i = 0; i < 2000; i++) {
        char header[24];
        snprintf(header, sizeof header, "u: %d", i);
        struct route_request *request = request_make(&f, "GET h /", header);
        uint32_t before = fixture_decide(&f, request, NULL).split_index;
        uint32_t after = fixture_decide(&f, request, &weights).split_index;
        cr_assert(before == after || (before == 0 && after == 2), "user %d", i);
        moved += before != after;
    }
    cr_assert(moved > 520 && moved < 680, "%d", moved);
    fixture_fini(&f);
}

/* ---- in steps, with a script between them ------------------------------------------------------------------------------ */

static struct decision decide_with_script(struct fixture *f, const struct route_request *request, const char *upstream)
{
    struct decision d;
    route_decide_begin(f->table, request, NULL, &d);
    route_decide_target(&d, fixture_upstream(f, upstream));
    route_decide_finish(request, NULL, &f->draw, &d);
    return d;
}

Test(decide, a_scripts_upstream_draws_nothing_from_the_block)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_upstream(&f, "v3");
    fixture_route(&f, NULL, NULL, "v1=1 v2=1");
    fixture_build(&f);
    const struct route_request *request = request_make(&f, "GET h /", "");
    for (int block = 0; block < 20; block++) {
        struct decision first = fixture_decide(&f, request, NULL);
        struct decision d = decide_with_script(&f, request, "v3");
        expect(&f, &d, WHY_SCRIPT, "v3");
        struct decision second = fixture_decide(&f, request, NULL);
        cr_assert_neq(first.upstream_index, second.upstream_index, "each block has one of both");
    }
    fixture_fini(&f);
}

Test(decide, weights_that_change_while_a_script_waits_are_those_of_the_decision)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, NULL, NULL, "v1=1 v2=1");
    fixture_build(&f);
    const struct route_request *request = request_make(&f, "GET h /", "");
    const uint32_t all_to_v2[] = { 0, 100 };
    struct weights_override override = { .weights = all_to_v2, .pair = { UINT32_MAX, UINT32_MAX, 0 } };
    const struct weights before = { .generation = 42, .route_count = 1 };
    const struct weights after = { .generation = 43, .route_count = 1, .overrides = &override };
    for (int i = 0; i < 20; i++) {
        struct decision d;
        fixture_decide(&f, request, &before); /* the block is of the old ones */
        route_decide_begin(f.table, request, &before, &d);
        route_decide_finish(request, &after, &f.draw, &d);
        expect(&f, &d, WHY_SPLIT, "v2");
        cr_assert_eq(d.weights_generation, 43);
    }
    fixture_fini(&f);
}

Test(decide, a_scripts_upstream_issues_no_key)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_route(&f, NULL, NULL, "v1=1 v2=1")->sticky.key =
        (struct key_config){ .kind = KEY_COOKIE, .name = SLICE("id") };
    fixture_build(&f);
    struct decision d = decide_with_script(&f, request_make(&f, "GET h /", ""), "v2");
    expect(&f, &d, WHY_SCRIPT, "v2");
    fixture_fini(&f);
}

Test(decide, a_rule_beats_a_script_and_a_script_a_redirect)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct route_config *r = fixture_route(&f, NULL, NULL, "");
    r->action = ROUTE_REDIRECT;
    fixture_rule(&f, r, "v1", condition_flag(&f, "x-rule"));
    fixture_upstream(&f, "v2");
    fixture_build(&f);
    struct decision d = decide_with_script(&f, request_make(&f, "GET h /", "x-rule: 1"), "v2");
    expect(&f, &d, WHY_RULE, "v1");
    d = decide_with_script(&f, request_make(&f, "GET h /", ""), "v2");
    expect(&f, &d, WHY_SCRIPT, "v2");
    fixture_fini(&f);
}
