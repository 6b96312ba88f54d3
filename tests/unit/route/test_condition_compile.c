/* tests/unit/route/test_condition_compile.c - combinations, segments, and conditions that cannot be. */
#include "route/condition.h"

#include <criterion/criterion.h>

#include <stdio.h>

#include "route/fixture.h"

/* ---- combinations ------------------------------------------------------------------------------------------------ */

Test(condition_compile, combinations_follow_their_truth_tables)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct condition_config *a = condition_flag(&f, "a"), *b = condition_flag(&f, "b"), *c = condition_flag(&f, "c");
    struct condition_config *all = CONDITION_GROUP(&f, CONDITION_ALL, a, b, c);
    struct condition_config *any = CONDITION_GROUP(&f, CONDITION_ANY, a, b, c);
    struct condition_config *not_all = CONDITION_GROUP(&f, CONDITION_NOT, all);
    struct condition_config *mixed =
        CONDITION_GROUP(&f, CONDITION_ALL, CONDITION_GROUP(&f, CONDITION_ANY, a, b),
                        CONDITION_GROUP(&f, CONDITION_NOT, CONDITION_GROUP(&f, CONDITION_ALL, b, c)));
    for (int bits = 0; bits < 8; bits++) {
        bool has_a = bits & 1, has_b = bits & 2, has_c = bits & 4;
        char headers[40];
        snprintf(headers, sizeof headers, "%s%s%sz: 1", has_a ? "a: 1\n" : "", has_b ? "b: 1\n" : "",
                 has_c ? "c: 1\n" : "");
        struct route_request *r = request_make(&f, "GET h /", headers);
        cr_assert_eq(condition_holds(&f, all, r), has_a && has_b && has_c, "all %d", bits);
        cr_assert_eq(condition_holds(&f, any, r), has_a || has_b || has_c, "any %d", bits);
        cr_assert_eq(condition_holds(&f, not_all, r), !(has_a && has_b && has_c), "not %d", bits);
        cr_assert_eq(condition_holds(&f, mixed, r), (has_a || has_b) && !(has_b && has_c), "mixed %d", bits);
    }
    fixture_fini(&f);
}

Test(condition_compile, empty_groups_are_what_logic_says)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct route_request *r = request_make(&f, "GET h /", "");
    cr_assert(condition_holds(&f, condition_group(&f, CONDITION_ALL, 0, NULL), r));
    cr_assert_not(condition_holds(&f, condition_group(&f, CONDITION_ANY, 0, NULL), r));
    fixture_fini(&f);
}

/* Random trees of tests on five headers against the tree walked by hand. */
static struct condition_config *random_tree(struct fixture *f, int depth)
{
    static const char *const names[] = { "a", "b", "c", "d", "e" };
    uint32_t kind = depth == 0 ? 0 : rng_below(&f->rng, 4);
    if (kind == 0)
        return condition_flag(f, names[rng_below(&f->rng, 5)]);
    struct condition_config *children[4];
    size_t count = kind == 3 ? 1 : rng_below(&f->rng, 5);
    for (size_t i = 0; i < count; i++)
        children[i] = random_tree(f, depth - 1);
    return condition_group(f, kind == 1 ? CONDITION_ALL : kind == 2 ? CONDITION_ANY : CONDITION_NOT, count, children);
}

static bool walk(const struct condition_config *c, const struct route_request *r)
{
    if (c->kind == CONDITION_TEST)
        return message_field_named(r->message, c->name, NULL) != NULL;
    if (c->kind == CONDITION_NOT)
        return !walk(&c->children[0], r);
    bool is_all = c->kind == CONDITION_ALL;
    for (size_t i = 0; i < c->child_count; i++)
        if (walk(&c->children[i], r) != is_all)
            return !is_all;
    return is_all;
}

Test(condition_compile, random_trees_agree_with_their_definition)
{
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct fixture f;
        fixture_init(&f, seed);
        struct condition_config *tree = random_tree(&f, 5);
        for (int bits = 0; bits < 32; bits++) {
            char headers[64] = "z: 1";
            for (int i = 0; i < 5; i++)
                if (bits >> i & 1)
                    snprintf(headers + strlen(headers), sizeof headers - strlen(headers), "\n%c: 1", 'a' + i);
            struct route_request *r = request_make(&f, "GET h /", headers);
            struct condition_program *p = condition_compile(&f.arena, &f.config, tree, &f.errors);
            cr_assert_eq(condition_matches(p, r), walk(tree, r), "seed %d", (int)seed);
            cr_assert_gt(condition_explain(&f.arena, &f.config, tree, p, r).len, 0);
        }
        fixture_fini(&f);
    }
}

/* ---- segments ---------------------------------------------------------------------------------------------------- */

static const char *first_error(struct fixture *f, struct condition_config *c)
{
    struct condition_program *p = condition_compile(&f->arena, &f->config, c, &f->errors);
    cr_assert_null(p);
    cr_assert_eq(f->errors.error_count, 1, "%zu errors", f->errors.error_count);
    cr_assert_eq(f->errors.first->place.line, 7);
    return f->errors.first->message;
}

Test(condition_compile, a_segment_may_use_another)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_segment(&f, "inner", condition_flag(&f, "a"));
    fixture_segment(&f, "outer", CONDITION_GROUP(&f, CONDITION_NOT, condition_segment(&f, 0)));
    cr_assert(condition_holds(&f, condition_segment(&f, 1), request_make(&f, "GET h /", "b: 1")));
    cr_assert_not(condition_holds(&f, condition_segment(&f, 1), request_make(&f, "GET h /", "a: 1")));
    fixture_fini(&f);
}

Test(condition_compile, a_segment_that_refers_to_itself_is_an_error)
{
    struct fixture f;
    fixture_init(&f, 1);
    fixture_segment(&f, "one", condition_segment(&f, 1));
    fixture_segment(&f, "two", CONDITION_GROUP(&f, CONDITION_NOT, condition_segment(&f, 0)));
    cr_assert_str_eq(first_error(&f, condition_segment(&f, 0)), "segment \"one\" refers to itself");
    fixture_fini(&f);
}

/* s0 uses s1 twice, s1 uses s2 twice ...: 2^40 tests for a request if nobody counted. */
Test(condition_compile, segments_that_multiply_are_refused)
{
    struct fixture f;
    fixture_init(&f, 1);
    for (uint32_t i = 0; i < 20; i++)
        fixture_segment(
            &f, "s",
            i == 19 ? condition_flag(&f, "a")
                    : CONDITION_GROUP(&f, CONDITION_ANY, condition_segment(&f, i + 1), condition_segment(&f, i + 1)));
    cr_assert(strstr(first_error(&f, condition_segment(&f, 0)), "tests for one request"));
    fixture_fini(&f);
}

Test(condition_compile, nesting_has_an_end)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct condition_config *c = condition_flag(&f, "a");
    for (int i = 0; i < 63; i++)
        c = CONDITION_GROUP(&f, CONDITION_NOT, c);
    cr_assert_not(condition_holds(&f, c, request_make(&f, "GET h /", "a: 1")), "63 nots are one");
    c = CONDITION_GROUP(&f, CONDITION_NOT, c);
    cr_assert_str_eq(first_error(&f, c), "conditions and segments nest more than 64 deep");
    fixture_fini(&f);
}

/* ---- values that cannot be --------------------------------------------------------------------------------------- */

Test(condition_compile, a_bad_regex_is_an_error_at_its_place)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct condition_config *c = condition_value(&f, SUBJECT_HEADER, "a", OPERATOR_REGEX, "a(b");
    c->value_place = (struct place){ "f.yaml", 7, 20 };
    cr_assert_str_eq(first_error(&f, c), "regex \"a(b\" does not compile: missing closing "
                                         "parenthesis (at character 4)");
    cr_assert_eq(f.errors.first->place.column, 20);
    fixture_fini(&f);
}

Test(condition_compile, a_path_that_no_request_can_have_is_an_error)
{
    static const char *const paths[] = { "a", "", "/%zz", "/a/../..", "/%00" };
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        struct fixture f;
        fixture_init(&f, 1);
        first_error(&f, condition_value(&f, SUBJECT_PATH, NULL, OPERATOR_EQUALS, paths[i]));
        fixture_fini(&f);
    }
}
