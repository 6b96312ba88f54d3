/* tests/unit/base/test_err.c - order, wording and nearest words of operator errors. */
#include "base/err.h"

#include <criterion/criterion.h>

#include <stdio.h>

static struct arena arena;
static struct err_list list;

static void setup(void)
{
    arena_init(&arena, NULL, 0);
    err_list_init(&list, &arena);
}

static void teardown(void)
{
    arena_reset(&arena);
}

TestSuite(err, .init = setup, .fini = teardown);

static void assert_formatted(const struct err *e, const char *expected)
{
    cr_assert_str_eq(err_format(&arena, e).ptr, expected);
}

Test(err, formats_what_is_known_of_the_place)
{
    struct err *e = err_add(&list, (struct place){ "w.yaml", 3, 7 }, "unknown key \"%s\"", "lisen");
    assert_formatted(e, "w.yaml:3:7: unknown key \"lisen\"");
    err_hint(&list, e, "did you mean \"%s\"?", "listen");
    assert_formatted(e, "w.yaml:3:7: unknown key \"lisen\" (did you mean \"listen\"?)");
    e->place.column = 0;
    e->hint = NULL;
    assert_formatted(e, "w.yaml:3: unknown key \"lisen\"");
    e->place.line = 0;
    assert_formatted(e, "w.yaml: unknown key \"lisen\"");
    e->place.file = NULL;
    assert_formatted(e, "unknown key \"lisen\"");
}

Test(err, warnings_are_marked_and_counted_apart)
{
    struct err *e = err_add_warning(&list, (struct place){ "w.yaml", 1, 1 }, "expired");
    assert_formatted(e, "w.yaml:1:1: warning: expired");
    cr_assert_eq(list.warning_count, 1);
    cr_assert_eq(list.error_count, 0);
}

Test(err, sorting_orders_by_file_line_column_and_is_stable)
{
    static const struct place places[] = { { "b", 1, 1 }, { "a", 9, 1 }, { "a", 2, 8 },
                                           { "a", 2, 3 }, { "a", 2, 8 }, { "a", 0, 0 } };
    for (size_t i = 0; i < ARRAY_COUNT(places); i++)
        err_add(&list, places[i], "%zu", i);
    err_list_sort(&list);
    char order[16] = "";
    for (const struct err *e = list.first; e != NULL; e = e->next)
        snprintf(order + strlen(order), sizeof order - strlen(order), "%s", e->message);
    cr_assert_str_eq(order, "532410");
    err_add(&list, (struct place){ "z", 1, 1 }, "last");
    const struct err *e = list.first;
    while (e->next != NULL)
        e = e->next;
    cr_assert_str_eq(e->message, "last", "adding after sorting appends");
}

Test(err, sorting_few_errors_works)
{
    err_list_sort(&list);
    cr_assert_null(list.first);
    err_add(&list, (struct place){ "a", 1, 1 }, "only");
    err_list_sort(&list);
    cr_assert_str_eq(list.first->message, "only");
    cr_assert_null(list.first->next);
}

static const char *nearest(const char *word)
{
    static const char *const known[] = { "listeners", "limits", "upstreams", "routes", "log", "to" };
    return err_nearest_word(slice_from_cstr(word), known, ARRAY_COUNT(known));
}

Test(err, nearest_word_forgives_two_slips)
{
    cr_assert_str_eq(nearest("listners"), "listeners");
    cr_assert_str_eq(nearest("lsiteners"), "listeners");
    cr_assert_str_eq(nearest("upsteram"), "upstreams");
    cr_assert_str_eq(nearest("limit"), "limits");
    cr_assert_str_eq(nearest("route"), "routes");
    cr_assert_str_eq(nearest("lgo"), "log", "two swapped neighbours are one slip");
}

Test(err, nearest_word_does_not_guess_wildly)
{
    cr_assert_null(nearest("shadow"));
    cr_assert_null(nearest("xx"), "two slips are all of a two-letter word");
    cr_assert_null(nearest("og"), "one slip is half of it");
    cr_assert_null(nearest(""));
    char longest[500];
    memset(longest, 'a', sizeof longest);
    cr_assert_null(err_nearest_word(slice_from(longest, sizeof longest), NULL, 0));
    const char *known = "listeners";
    cr_assert_null(err_nearest_word(slice_from(longest, sizeof longest), &known, 1));
}
