/* tests/unit/base/test_slice.c - borrowed bytes: comparing, splitting, reading numbers. */
#include "base/slice.h"

#include <criterion/criterion.h>

Test(slice, empty_slices_are_equal_whatever_they_point_to)
{
    cr_assert(slice_equal(SLICE_NONE, SLICE("")));
    cr_assert(slice_equal_nocase(SLICE_NONE, SLICE("")));
    cr_assert_eq(slice_compare(SLICE_NONE, SLICE("")), 0);
    cr_assert(slice_has_prefix(SLICE_NONE, SLICE_NONE));
    cr_assert(slice_has_suffix(SLICE(""), SLICE_NONE));
}

Test(slice, nocase_folds_ascii_letters_only)
{
    cr_assert(slice_equal_nocase(SLICE("Content-LENGTH"), SLICE("content-length")));
    cr_assert_not(slice_equal_nocase(SLICE("@["), SLICE("`{")));
    cr_assert_not(slice_equal_nocase(SLICE("\xc4"), SLICE("\xe4")));
    cr_assert_not(slice_equal_nocase(SLICE("abc"), SLICE("abcd")));
}

Test(slice, compare_orders_bytes_as_unsigned_and_prefixes_first)
{
    cr_assert_lt(slice_compare(SLICE("a"), SLICE("ab")), 0);
    cr_assert_gt(slice_compare(SLICE("\xff"), SLICE("a")), 0);
    cr_assert_lt(slice_compare(SLICE_NONE, SLICE("a")), 0);
}

Test(slice, contains_finds_needles_at_both_ends)
{
    cr_assert(slice_contains(SLICE("abcdef"), SLICE("abc")));
    cr_assert(slice_contains(SLICE("abcdef"), SLICE("def")));
    cr_assert(slice_contains(SLICE_NONE, SLICE("")));
    cr_assert_not(slice_contains(SLICE_NONE, SLICE("a")));
    cr_assert_not(slice_contains(SLICE("abc"), SLICE("abcd")));
}

Test(slice, trim_takes_blanks_but_not_line_ends)
{
    cr_assert(slice_equal(slice_trim(SLICE(" \t a b\t ")), SLICE("a b")));
    cr_assert(slice_equal(slice_trim(SLICE("\ra\n")), SLICE("\ra\n")));
    cr_assert_eq(slice_trim(SLICE(" \t ")).len, 0);
}

Test(slice, items_are_trimmed_and_empty_ones_kept)
{
    const char *expected[] = { "a", "", "b c", "" };
    struct slice rest = SLICE(" a,, b c ,"), item;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        cr_assert(slice_next_item(&rest, ',', &item), "item %zu", i);
        cr_assert(slice_equal(item, slice_from_cstr(expected[i])), "item %zu: \"%.*s\"", i, SLICE_ARG(item));
    }
    cr_assert_not(slice_next_item(&rest, ',', &item));
    cr_assert_not(slice_next_item(&rest, ',', &item));
}

Test(slice, an_empty_text_holds_one_empty_item_and_none_holds_none)
{
    struct slice empty = SLICE(""), none = SLICE_NONE, item;
    cr_assert(slice_next_item(&empty, ',', &item));
    cr_assert_eq(item.len, 0);
    cr_assert_not(slice_next_item(&empty, ',', &item));
    cr_assert_not(slice_next_item(&none, ',', &item));
}

Test(slice, numbers_are_digits_only_and_never_overflow)
{
    uint64_t value = 7;
    cr_assert(slice_to_u64(SLICE("18446744073709551615"), &value));
    cr_assert_eq(value, UINT64_MAX);
    cr_assert(slice_to_u64(SLICE("00012"), &value));
    cr_assert_eq(value, 12);
    const char *refused[] = {
        "", "18446744073709551616", "99999999999999999999", "-1", "+1", " 1", "1 ", "0x10", "1.0"
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        cr_assert_not(slice_to_u64(slice_from_cstr(refused[i]), &value), "%s", refused[i]);
    cr_assert_not(slice_to_u64(SLICE("1\0"
                                     "2"),
                               &value));
}

Test(slice, after_and_first_clip_to_the_length)
{
    cr_assert_eq(slice_after(SLICE("abc"), 9).len, 0);
    cr_assert_eq(slice_first(SLICE("abc"), 9).len, 3);
    cr_assert_eq(slice_find(SLICE("abc"), 'x'), 3);
    cr_assert_eq(slice_find(SLICE_NONE, 'x'), 0);
}
