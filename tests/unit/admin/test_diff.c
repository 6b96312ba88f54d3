/* tests/unit/admin/test_diff.c - unified differences, checked by applying them. */
#include "admin/diff.h"

#include <stdio.h>

#include <criterion/criterion.h>

#include "base/hash.h"

static void assert_diff(const char *a, const char *b, const char *expected)
{
    struct text out = { 0 };
    diff_write(&out, "old", slice_from_cstr(a), "new", slice_from_cstr(b));
    cr_assert_str_eq(out.bytes != NULL ? out.bytes : "", expected);
    text_fini(&out);
}

Test(diff, equal_texts_have_none)
{
    assert_diff("", "", "");
    assert_diff("a\nb\n", "a\nb\n", "");
}

Test(diff, a_line_changed_in_the_middle_has_three_lines_around_it)
{
    assert_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n",
                "--- old\n+++ new\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
}

Test(diff, an_empty_side_names_the_line_before)
{
    assert_diff("", "a\nb\n", "--- old\n+++ new\n@@ -0,0 +1,2 @@\n+a\n+b\n");
    assert_diff("a\n", "", "--- old\n+++ new\n@@ -1,1 +0,0 @@\n-a\n");
}

Test(diff, changes_near_each_other_share_a_hunk_and_far_ones_do_not)
{
    assert_diff("a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
                "--- old\n+++ new\n@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n");
    assert_diff("a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
                "--- old\n+++ new\n@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n");
}

Test(diff, the_script_is_the_shortest)
{
    /* The example of Myers (1986): ABCABBA to CBABAC takes five edits. */
    struct text out = { 0 };
    diff_write(&out, "o", SLICE("A\nB\nC\nA\nB\nB\nA\n"), "n", SLICE("C\nB\nA\nB\nA\nC\n"));
    int edits = -2; /* the names */
    struct slice rest = text_slice(&out);
    while (rest.len > 0) {
        edits += rest.ptr[0] == '-' || rest.ptr[0] == '+';
        rest = slice_after(rest, slice_find(rest, '\n') + 1);
    }
    cr_assert_eq(edits, 5, "%s", out.bytes);
    text_fini(&out);
}

/* Applies hunks to a text; what lies between them is copied. */
static void apply(struct text *out, struct slice old, struct slice diff)
{
    int at = 1; /* the next line of `old` */
    while (diff.len > 0) {
        struct slice line = slice_first(diff, slice_find(diff, '\n') + 1);
        diff = slice_after(diff, line.len);
        int begin, count;
        if (sscanf(line.ptr, "@@ -%d,%d ", &begin, &count) == 2) {
            for (; at < begin + (count == 0); at++) {
                text_add(out, slice_first(old, slice_find(old, '\n') + 1));
                old = slice_after(old, slice_find(old, '\n') + 1);
            }
        } else if (slice_has_prefix(line, SLICE("---")) || slice_has_prefix(line, SLICE("+++"))) {
            continue;
        } else if (line.ptr[0] == '+') {
            text_add(out, slice_after(line, 1));
        } else {
            cr_assert(slice_has_prefix(old, slice_after(line, 1)), "a line that is not there");
            if (line.ptr[0] == ' ')
                text_add(out, slice_after(line, 1));
            old = slice_after(old, line.len - 1);
            at++;
        }
    }
    text_add(out, old);
}

static void random_lines(struct text *t, struct rng *rng, uint32_t count, uint32_t kinds)
{
    for (uint32_t i = 0; i < count; i++)
        text_printf(t, "%u\n", rng_below(rng, kinds));
}

static void assert_applies(const struct text *a, const struct text *b)
{
    struct text diff = { 0 }, patched = { 0 };
    diff_write(&diff, "a", text_slice(a), "b", text_slice(b));
    apply(&patched, text_slice(a), text_slice(&diff));
    cr_assert(slice_equal(text_slice(&patched), text_slice(b)), "%s", diff.bytes);
    text_fini(&diff);
    text_fini(&patched);
}

Test(diff, applying_it_to_the_old_text_gives_the_new_one)
{
    struct rng rng;
    rng_init(&rng, 7);
    for (int round = 0; round < 2000; round++) {
        struct text a = { 0 }, b = { 0 };
        uint32_t kinds = 1 + rng_below(&rng, 12);
        random_lines(&a, &rng, rng_below(&rng, 40), kinds);
        random_lines(&b, &rng, rng_below(&rng, 40), kinds);
        assert_applies(&a, &b);
        text_fini(&a);
        text_fini(&b);
    }
}

Test(diff, texts_with_nothing_in_common_are_replaced_at_once)
{
    struct text a = { 0 }, b = { 0 };
    for (int i = 0; i < 2 * DIFF_EDITS_MAX; i++) {
        text_printf(&a, "a%d\n", i);
        text_printf(&b, "b%d\n", i);
    }
    assert_applies(&a, &b);
    text_fini(&a);
    text_fini(&b);
}

Test(diff, a_last_line_without_newline_counts)
{
    assert_diff("a", "a\nb", "--- old\n+++ new\n@@ -1,1 +1,2 @@\n a\n+b\n");
}
