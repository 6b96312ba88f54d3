/* tests/unit/admin/test_dispatch.c - the table of endpoints: its patterns, and what every row must have. */
#include "admin/dispatch.h"

#include "admin/answers.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

static bool matches(const char *pattern, const char *path, struct slice params[CALL_PARAMS_MAX])
{
    struct endpoint_row row = { .path = pattern };
    return endpoint_matches(&row, slice_from_cstr(path), params);
}

Test(dispatch, patterns_match_segment_by_segment)
{
    struct slice params[CALL_PARAMS_MAX];
    cr_assert(matches("/a/{x}/c", "/a/b/c", params));
    cr_assert(slice_equal(params[0], SLICE("b")));
    cr_assert(matches("/{x}/{y}", "/1/2", params));
    cr_assert(slice_equal(params[0], SLICE("1")) && slice_equal(params[1], SLICE("2")));
    cr_assert(matches("/a", "/a", params));
}

Test(dispatch, patterns_refuse_what_is_longer_shorter_or_empty)
{
    struct slice params[CALL_PARAMS_MAX];
    cr_assert_not(matches("/a/{x}/c", "/a//c", params));
    cr_assert_not(matches("/a/{x}/c", "/a/b", params));
    cr_assert_not(matches("/a/{x}", "/a/b/c", params));
    cr_assert_not(matches("/a", "/a/", params));
    cr_assert_not(matches("/a", "/", params));
    cr_assert_not(matches("/a", "", params));
    cr_assert_not(matches("/a", "*", params));
    cr_assert_not(matches("/a", "/A", params));
}

Test(dispatch, every_row_is_whole)
{
    for (size_t i = 0; i < endpoint_row_count; i++) {
        const struct endpoint_row *row = &endpoint_rows[i];
        bool is_write = strcmp(row->method, "GET") != 0;
        cr_assert_eq(row->path[0], '/');
        cr_assert_not_null((void *)(uintptr_t)row->run, "%s", row->path);
        cr_assert_gt(strlen(row->summary), 8, "%s", row->path);
        cr_assert_eq(strlen(row->success), 3, "%s", row->path);
        cr_assert(!is_write || row->access == ACCESS_ROLE, "%s is a public write", row->path);
        cr_assert(!is_write || row->role >= ROLE_OPERATOR, "%s lets viewers write", row->path);
        cr_assert(is_write || row->body == NULL, "%s has a body", row->path);
    }
}

Test(dispatch, every_row_has_an_answer)
{
    for (size_t i = 0; i < endpoint_row_count; i++)
        cr_expect_not_null(answer_find(endpoint_rows[i].method, endpoint_rows[i].path),
                           "%s %s: say in proxy/admin/answers.c what it answers with", endpoint_rows[i].method,
                           endpoint_rows[i].path);
}

Test(dispatch, no_two_rows_answer_the_same_request)
{
    for (size_t i = 0; i < endpoint_row_count; i++)
        for (size_t j = 0; j < i; j++)
            cr_assert(strcmp(endpoint_rows[i].method, endpoint_rows[j].method) != 0 ||
                          strcmp(endpoint_rows[i].path, endpoint_rows[j].path) != 0,
                      "%s", endpoint_rows[i].path);
}

Test(dispatch, percent_decoding_refuses_what_is_broken)
{
    struct arena arena;
    struct slice out;
    arena_init(&arena, NULL, 0);
    cr_assert(percent_decode(SLICE("a%2fb%20c+"), &arena, &out));
    cr_assert(slice_equal(out, SLICE("a/b c+")));
    cr_assert(percent_decode(SLICE("%41"), &arena, &out) && slice_equal(out, SLICE("A")));
    cr_assert_not(percent_decode(SLICE("%"), &arena, &out));
    cr_assert_not(percent_decode(SLICE("%4"), &arena, &out));
    cr_assert_not(percent_decode(SLICE("%4g"), &arena, &out));
    cr_assert_not(percent_decode(SLICE("%00"), &arena, &out));
    arena_reset(&arena);
}

static void assert_documented(const struct text *page, const struct endpoint_row *row)
{
    struct text cell = { 0 };
    text_printf(&cell, "| `%s %s` | %s", row->method, row->path,
                row->access == ACCESS_ROLE ? role_names[row->role] : "");
    cr_assert(slice_contains(text_slice(page), text_slice(&cell)), "docs/admin-api.md lacks \"%s\"", cell.bytes);
    text_fini(&cell);
}

Test(dispatch, the_documentation_has_every_row_with_its_role)
{
    char bytes[4096];
    struct text page = { 0 };
    FILE *f = fopen(TOP_SRCDIR "/docs/admin-api.md", "r");
    cr_assert_not_null(f);
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, f)) > 0;)
        text_add(&page, slice_from(bytes, n));
    fclose(f);
    for (size_t i = 0; i < endpoint_row_count; i++)
        assert_documented(&page, &endpoint_rows[i]);
    text_fini(&page);
}
