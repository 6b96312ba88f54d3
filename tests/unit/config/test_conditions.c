/* tests/unit/config/test_conditions.c - each way to write a condition, as the struct it becomes. */
#include "config/conditions.h"

#include <criterion/criterion.h>

#include "config/fixture.h"

/* Loads one condition as a route's; it stays valid until loaded_fini. */
static const struct condition_config *read_condition(struct loaded *f, const char *written)
{
    loaded_init(f);
    const char *yaml = arena_printf(&f->arena,
                                    BASE_YAML "segments: { staff: { header: x-staff, equals: 1 } }\n"
                                              "routes:\n- { name: r, split: { a: 1, b: 1 }, match: { when: %s } }\n"
                                              "- { name: s, to: a, match: { when: { segment: staff } } }\n",
                                    written)
                           .ptr;
    const char *problems = loaded_read(f, yaml);
    cr_assert_str_empty(problems, "%s: %s", written, problems);
    return f->config->routes[0].match.when;
}

static void expect_test(const char *written, enum condition_subject subject, const char *name,
                        enum condition_operator op, const char *values)
{
    struct loaded f;
    const struct condition_config *c = read_condition(&f, written);
    struct slice joined = SLICE("");
    for (size_t i = 0; i < c->values.count; i++)
        joined = arena_printf(&f.arena, "%s%s%s", joined.ptr, i ? "," : "", c->values.items[i].ptr);
    cr_expect_eq(c->kind, CONDITION_TEST, "%s", written);
    cr_expect_eq(c->subject, subject, "%s", written);
    cr_expect_eq(c->op, op, "%s", written);
    cr_expect(slice_equal(c->name, slice_from_cstr(name)), "%s", written);
    cr_expect_str_eq(joined.ptr, values, "%s", written);
    loaded_fini(&f);
}

Test(conditions, named_subjects_take_an_operator_beside_them)
{
    expect_test("{ header: X-A, equals: 1 }", SUBJECT_HEADER, "X-A", OPERATOR_EQUALS, "1");
    expect_test("{ equals: on, header: x }", SUBJECT_HEADER, "x", OPERATOR_EQUALS, "on");
    expect_test("{ cookie: c, in: [ a, b ] }", SUBJECT_COOKIE, "c", OPERATOR_IN, "a,b");
    expect_test("{ cookie: c, in: a }", SUBJECT_COOKIE, "c", OPERATOR_IN, "a");
    expect_test("{ query: q, prefix: p }", SUBJECT_QUERY, "q", OPERATOR_PREFIX, "p");
    expect_test("{ header: x, suffix: s }", SUBJECT_HEADER, "x", OPERATOR_SUFFIX, "s");
    expect_test("{ header: x, contains: '' }", SUBJECT_HEADER, "x", OPERATOR_CONTAINS, "");
    expect_test("{ header: x, regex: '^a[0-9]+$' }", SUBJECT_HEADER, "x", OPERATOR_REGEX, "^a[0-9]+$");
    expect_test("{ header: x, present: true }", SUBJECT_HEADER, "x", OPERATOR_PRESENT, "");
}

Test(conditions, path_host_and_method_are_written_in_three_ways)
{
    expect_test("{ path, prefix: /x }", SUBJECT_PATH, "", OPERATOR_PREFIX, "/x");
    expect_test("{ path: , prefix: /x }", SUBJECT_PATH, "", OPERATOR_PREFIX, "/x");
    expect_test("{ path: true, prefix: /x }", SUBJECT_PATH, "", OPERATOR_PREFIX, "/x");
    expect_test("{ path: { regex: x } }", SUBJECT_PATH, "", OPERATOR_REGEX, "x");
    expect_test("{ path: /x }", SUBJECT_PATH, "", OPERATOR_EQUALS, "/x");
    expect_test("{ method: [ GET, HEAD ] }", SUBJECT_METHOD, "", OPERATOR_IN, "GET,HEAD");
    expect_test("{ method, in: [ GET, HEAD ] }", SUBJECT_METHOD, "", OPERATOR_IN, "GET,HEAD");
    expect_test("{ host: { suffix: .Example.COM } }", SUBJECT_HOST, "", OPERATOR_SUFFIX, ".example.com");
    expect_test("{ host: Example.COM }", SUBJECT_HOST, "", OPERATOR_EQUALS, "example.com");
}

Test(conditions, present_and_range_hold_their_values)
{
    struct loaded f;
    cr_expect(read_condition(&f, "{ header: x, present: true }")->is_present);
    loaded_fini(&f);
    cr_expect_not(read_condition(&f, "{ header: x, present: false }")->is_present);
    loaded_fini(&f);
    const struct condition_config *c = read_condition(&f, "{ header: x, range: [ -1.5, 1e3 ] }");
    cr_expect_eq(c->op, OPERATOR_RANGE);
    cr_expect_float_eq(c->low, -1.5, 1e-9);
    cr_expect_float_eq(c->high, 1000, 1e-9);
    loaded_fini(&f);
}

Test(conditions, whole_subjects_need_no_operator)
{
    struct loaded f;
    const struct condition_config *c = read_condition(&f, "{ source: [ 10.0.0.0/8, '::1' ] }");
    cr_expect_eq(c->subject, SUBJECT_SOURCE);
    cr_expect_eq(c->op, OPERATOR_NONE);
    cr_expect_eq(c->network_count, 2);
    loaded_fini(&f);
    c = read_condition(&f, "{ segment: staff }");
    cr_expect_eq(c->segment_index, 0);
    loaded_fini(&f);
    c = read_condition(&f, "{ sample: 0.1%, by: { header: x-user } }");
    cr_expect_eq(c->share_ppm, 1000);
    cr_expect_eq(c->sample_key.kind, KEY_HEADER);
    cr_expect_str_eq(c->sample_key.name.ptr, "x-user");
    loaded_fini(&f);
    c = read_condition(&f, "{ between: [ 2026-06-01, 2026-06-01T02:00:00+01:00 ] }");
    cr_expect_eq(c->from.unix_ms, FIXTURE_NOW_UNIX_MS);
    cr_expect_eq(c->until.unix_ms, FIXTURE_NOW_UNIX_MS + 3600000);
    loaded_fini(&f);
}

Test(conditions, combinations_nest)
{
    struct loaded f;
    const struct condition_config *c = read_condition(
        &f, "{ all: [ { any: [ { method: GET }, { method: HEAD } ] }, { not: { header: x, present: true } } ] }");
    cr_expect_eq(c->kind, CONDITION_ALL);
    cr_assert_eq(c->child_count, 2);
    cr_expect_eq(c->children[0].kind, CONDITION_ANY);
    cr_expect_eq(c->children[0].child_count, 2);
    cr_expect_eq(c->children[1].kind, CONDITION_NOT);
    cr_assert_eq(c->children[1].child_count, 1);
    cr_expect_eq(c->children[1].children[0].subject, SUBJECT_HEADER);
    cr_expect_eq(c->children[1].children[0].place.line, 5);
    loaded_fini(&f);
}

Test(conditions, the_place_of_a_pattern_is_its_own)
{
    struct loaded f;
    const struct condition_config *c = read_condition(&f, "{ header: x, regex: '(' }");
    cr_expect_eq(c->value_place.line, 5);
    cr_expect_eq(c->value_place.column, 72, "%u", c->value_place.column);
    loaded_fini(&f);
}
