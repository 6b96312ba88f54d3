/* tests/unit/crypto/test_base64.c - the vectors of RFC 4648, every length, and texts that are nearly base64. */
#include "crypto/base64.h"

#include <criterion/criterion.h>

static void assert_pair(struct slice bytes, const char *expected)
{
    struct text out = { 0 };
    struct arena arena;
    struct slice back;
    arena_init(&arena, NULL, 0);
    base64_add(&out, bytes);
    cr_assert(slice_equal(text_slice(&out), slice_from_cstr(expected)), "%s is not %s", out.bytes, expected);
    cr_assert(base64_read(&arena, text_slice(&out), &back));
    cr_assert(slice_equal(back, bytes));
    text_fini(&out);
    arena_reset(&arena);
}

Test(base64, the_vectors_of_the_rfc)
{
    assert_pair(SLICE(""), "");
    assert_pair(SLICE("f"), "Zg==");
    assert_pair(SLICE("fo"), "Zm8=");
    assert_pair(SLICE("foo"), "Zm9v");
    assert_pair(SLICE("foob"), "Zm9vYg==");
    assert_pair(SLICE("fooba"), "Zm9vYmE=");
    assert_pair(SLICE("foobar"), "Zm9vYmFy");
}

Test(base64, any_bytes_of_any_length_come_back)
{
    static char bytes[8192];
    struct text out = { 0 };
    struct arena arena;
    arena_init(&arena, NULL, 0);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 + i / 256);
    for (size_t length = 0; length <= sizeof(bytes); length += length < 100 ? 1 : 251) {
        struct slice back;
        text_clear(&out);
        base64_add(&out, slice_from(bytes, length));
        cr_assert_eq(out.len, (length + 2) / 3 * 4);
        cr_assert(base64_read(&arena, text_slice(&out), &back));
        cr_assert(slice_equal(back, slice_from(bytes, length)));
        arena_reset(&arena);
    }
    text_fini(&out);
}

Test(base64, one_form_only)
{
    static const char *const wrong[] = {
        "Z",    "Zg",   "Zg=",    "Zh==",  "Zm9=", "=",        "==",    "====",
        "Z===", "Zm 9", "Zm9v\n", " Zm9v", "Zm-_", "Zg==Zg==", "Zm9v=", "\xff\xff\xff\xff"
    };
    struct arena arena;
    struct slice out;
    arena_init(&arena, NULL, 0);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        cr_assert_not(base64_read(&arena, slice_from_cstr(wrong[i]), &out), "\"%s\" was taken", wrong[i]);
    arena_reset(&arena);
}

Test(base64, the_alphabet_of_urls_has_no_padding)
{
    struct arena arena;
    struct slice out;
    arena_init(&arena, NULL, 0);
    cr_assert(base64url_read(&arena, SLICE("-_-_"), &out) && slice_equal(out, SLICE("\xfb\xff\xbf")));
    cr_assert(base64url_read(&arena, SLICE("Zm9vYg"), &out) && slice_equal(out, SLICE("foob")));
    cr_assert(base64url_read(&arena, SLICE(""), &out) && out.len == 0);
    static const char *const refused[] = { "Zg==", "+/+/", "Z", "Zh", "Zm9vYh", "Zm 9", "Zm9v\n", "Zm9vY" };
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++)
        cr_assert_not(base64url_read(&arena, slice_from_cstr(refused[i]), &out), "%s", refused[i]);
    arena_reset(&arena);
}
