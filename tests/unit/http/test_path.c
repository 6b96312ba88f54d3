/* unit/http/test_path.c - the normal form of paths. */
#include "http/validate.h"

#include <criterion/criterion.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct arena arena;

static enum path_verdict normalise(const char *raw, struct slice *out, bool *has_encoded_slash)
{
    return path_normalise(slice_from_cstr(raw), &arena, out, has_encoded_slash);
}

static void begin(void)
{
    arena_init(&arena, NULL, 0);
}

static void finish(void)
{
    arena_reset(&arena);
}

TestSuite(path, .init = begin, .fini = finish);

Test(path, normal_forms)
{
    static const char *const rows[][2] = {
        { "/", "/" },
        { "/a/b", "/a/b" },
        { "/a/", "/a/" },
        { "//", "//" },
        { "//a///b//", "//a///b//" },
        { "/.", "/" },
        { "/./", "/" },
        { "/a/.", "/a/" },
        { "/a/./b", "/a/b" },
        { "/a/..", "/" },
        { "/a/../", "/" },
        { "/a/../b", "/b" },
        { "/a/b/../../c", "/c" },
        { "/a/b/../..", "/" },
        { "/a//../b", "/a/b" },
        { "/a//..", "/a/" },
        { "//..", "/" },
        { "/a//../../b", "/b" },
        { "/a/.b", "/a/.b" },
        { "/.well-known/x", "/.well-known/x" },
        { "/...", "/..." },
        { "/a/..b/...", "/a/..b/..." },
        { "/a.", "/a." },
        { "/a..", "/a.." },
        { "/%61%5A%30%2d%2e%5f%7E", "/aZ0-._~" },
        { "/%2e", "/" },
        { "/a/%2e%2E/b", "/b" },
        { "/a/.%2e/b", "/b" },
        { "/a/%2e/b", "/a/b" },
        { "/%2f", "/%2F" },
        { "/a%2fb%2Fc", "/a%2Fb%2Fc" },
        { "/..%2f..%2fetc", "/..%2F..%2Fetc" },
        { "/a/..%2f", "/a/..%2F" },
        { "/%c3%a4", "/%C3%A4" },
        { "/%C3%A4", "/%C3%A4" },
        { "/%20%3f%23%3F", "/%20%3F%23%3F" },
        { "/%25", "/%25" },
        { "/%252e%252e/", "/%252e%252e/" },
        { "/a;b=c/..;/d", "/a;b=c/..;/d" },
        { "/!$&'()*+,;=:@-._~", "/!$&'()*+,;=:@-._~" },
        { "/\"<>[]^`{|}", "/\"<>[]^`{|}" },
        { "/a?b", "/a?b" },
        { "*", "*" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct slice out, again;
        bool has_encoded_slash;
        cr_expect_eq(normalise(rows[i][0], &out, &has_encoded_slash), PATH_OK, "%s", rows[i][0]);
        cr_expect(slice_equal(out, slice_from_cstr(rows[i][1])), "%s: %.*s", rows[i][0], SLICE_ARG(out));
        cr_expect_eq(has_encoded_slash, slice_contains(out, SLICE("%2F")), "%s", rows[i][0]);
        cr_expect_eq(path_normalise(out, &arena, &again, &has_encoded_slash), PATH_OK);
        cr_expect_eq(again.ptr, out.ptr, "%s: a normal path is borrowed", rows[i][0]);
    }
}

Test(path, refused)
{
    static const char *const rows[] = {
        "",          "a",       "a/b",         "**",    "*/",     "/..",     "/../",   "/../a", "/a/../..",
        "/./..",     "/%2e%2e", "/a/../.%2E/", "/%00",  "/a%00b", "/\\",     "/a\\..", "/%5c",  "/%5C",
        "/%",        "/%4",     "/%zz",        "/%4g",  "/%g4",   "/a%",     "/a b",   "/\x01", "/\x7f",
        "/\xc3\xa4", "/a#b",    "/a\tb",       "/%%41", "/a/%2",  "/%u0041",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct slice out;
        bool has_encoded_slash;
        cr_expect_eq(normalise(rows[i], &out, &has_encoded_slash), PATH_INVALID, "%s", rows[i]);
    }
    struct slice out;
    bool has_encoded_slash;
    cr_expect_eq(path_normalise(SLICE("/\0"), &arena, &out, &has_encoded_slash), PATH_INVALID);
}

Test(path, the_common_case_allocates_nothing)
{
    struct slice out;
    bool has_encoded_slash;
    cr_expect_eq(normalise("/checkout/items/42.html", &out, &has_encoded_slash), PATH_OK);
    cr_expect_eq(arena.used_bytes, 0);
    cr_expect_eq(arena.pages, NULL);
}
