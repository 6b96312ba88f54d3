/* tests/unit/base/test_text.c - growing strings and JSON escaping of whatever bytes come. */
#include "base/text.h"

#include <criterion/criterion.h>

Test(text, grows_and_always_ends_in_nul)
{
    struct text t;
    text_init(&t);
    for (int i = 0; i < 1000; i++)
        text_printf(&t, "%d,", i);
    cr_assert_eq(t.len, 3890);
    cr_assert_eq(t.bytes[t.len], '\0');
    cr_assert(slice_has_suffix(text_slice(&t), SLICE("998,999,")));
    text_clear(&t);
    cr_assert_str_eq(t.bytes, "");
    text_fini(&t);
}

/* Lengths around the first capacity: the printed text just fits, or just does not. */
Test(text, printf_is_exact_at_the_edge_of_the_buffer)
{
    for (int len = 250; len < 260; len++) {
        struct text t;
        text_init(&t);
        text_add_char(&t, 'x');
        text_printf(&t, "%0*d", len, 7);
        cr_assert_eq(t.len, (size_t)len + 1);
        cr_assert_eq(strlen(t.bytes), t.len);
        cr_assert_eq(t.bytes[t.len - 1], '7');
        text_fini(&t);
    }
}

Test(text, an_empty_text_is_an_empty_slice)
{
    struct text t;
    text_init(&t);
    cr_assert_eq(text_slice(&t).len, 0);
    cr_assert_not_null(text_slice(&t).ptr);
    text_add(&t, SLICE_NONE);
    cr_assert_str_eq(t.bytes, "");
    text_fini(&t);
}

static void assert_json(struct slice input, const char *expected)
{
    struct text t;
    text_init(&t);
    text_add_json(&t, input);
    cr_assert_str_eq(text_slice(&t).ptr, expected);
    text_fini(&t);
}

Test(text, json_escapes_quotes_backslashes_and_controls)
{
    assert_json(SLICE("plain / text"), "plain / text");
    assert_json(SLICE("a\"b\\c"), "a\\\"b\\\\c");
    assert_json(SLICE("\b\f\n\r\t"), "\\b\\f\\n\\r\\t");
    assert_json(SLICE("\0\x01\x1f\x7f"), "\\u0000\\u0001\\u001f\x7f");
    assert_json(SLICE_NONE, "");
}

Test(text, json_keeps_well_formed_utf8)
{
    assert_json(SLICE("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"), "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
    assert_json(SLICE("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"), "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf");
}

#define FFFD "\xef\xbf\xbd"

Test(text, json_replaces_each_broken_byte)
{
    assert_json(SLICE("a\xff"
                      "b"),
                "a" FFFD "b");
    assert_json(SLICE("\x80"), FFFD);
    assert_json(SLICE("\xc3"), FFFD);
    assert_json(SLICE("\xe2\x82"), FFFD FFFD);
    assert_json(SLICE("\xf0\x9f\x98"), FFFD FFFD FFFD);
    assert_json(SLICE("\xc3("), FFFD "(");
    assert_json(SLICE("\xe2\x82\""), FFFD FFFD "\\\"");
}

Test(text, json_refuses_overlong_forms_surrogates_and_beyond_unicode)
{
    assert_json(SLICE("\xc0\xaf"), FFFD FFFD);
    assert_json(SLICE("\xc1\xbf"), FFFD FFFD);
    assert_json(SLICE("\xe0\x80\xaf"), FFFD FFFD FFFD);
    assert_json(SLICE("\xed\xa0\x80"), FFFD FFFD FFFD);
    assert_json(SLICE("\xf0\x8f\xbf\xbf"), FFFD FFFD FFFD FFFD);
    assert_json(SLICE("\xf4\x90\x80\x80"), FFFD FFFD FFFD FFFD);
    assert_json(SLICE("\xf5\x80\x80\x80"), FFFD FFFD FFFD FFFD);
}

Test(text, is_not_cut_inside_a_character)
{
    struct text t = { 0 };
    text_add_cstr(&t, "ab\xe2\x82\xac");
    text_cut(&t, 10);
    cr_expect_eq(t.len, 5);
    text_cut(&t, 4);
    cr_expect_str_eq(t.bytes, "ab");
    text_cut(&t, 0);
    cr_expect_str_eq(t.bytes, "");
    text_fini(&t);
}

Test(text, utf8_is_well_formed_or_not)
{
    cr_assert(text_is_utf8(SLICE("")));
    cr_assert(text_is_utf8(SLICE_NONE));
    cr_assert(text_is_utf8(SLICE("plain\n\x01 and \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80")));
    cr_assert_not(text_is_utf8(SLICE("\xff")));
    cr_assert_not(text_is_utf8(SLICE("cut \xe2\x82")));
    cr_assert_not(text_is_utf8(SLICE("\xc0\x80 overlong")));
    cr_assert_not(text_is_utf8(SLICE("surrogate \xed\xa0\x80")));
}
