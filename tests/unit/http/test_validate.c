/* unit/http/test_validate.c - tokens, values and authorities. */
#include "http/validate.h"

#include <criterion/criterion.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

Test(validate, tokens_and_values)
{
    cr_expect(is_token(SLICE("Content-Length")));
    cr_expect(is_token(SLICE("!#$%&'*+-.^_`|~09AZaz")));
    cr_expect_not(is_token(SLICE("")));
    cr_expect_not(is_token(SLICE_NONE));
    cr_expect_not(is_token(SLICE("a b")));
    cr_expect_not(is_token(SLICE("a:")));
    cr_expect_not(is_token(SLICE("a\x80")));
    cr_expect_not(is_token(SLICE("this-is-longer-than-one-register-and-ends-in-a-(")));
    cr_expect(is_field_value(SLICE("")));
    cr_expect(is_field_value(SLICE_NONE));
    cr_expect(is_field_value(SLICE(" a\tb \xff")));
    cr_expect_not(is_field_value(SLICE("a\r\nb: c")));
    cr_expect_not(is_field_value(SLICE("a\n")));
    cr_expect_not(is_field_value(SLICE("\0")));
    cr_expect_not(is_field_value(SLICE("a\x1b[0m")));
    cr_expect_not(is_field_value(SLICE("\x7f")));
}

Test(validate, authorities_taken)
{
    static const char *const rows[] = {
        "a",           "a.example",   "A.Example.", "a.example:80",
        "a:0",         "a:65535",     "a:00080",    "192.0.2.1",
        "192.0.2.1:1", "[::1]",       "[::1]:443",  "[2001:DB8::192.0.2.1]:1",
        "a_b-c~d.e",   "!$&'()*+,;=", "%41b%2fc",   "xn--bcher-kva.example",
        "1.2.3",       ".",           "-",
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        cr_expect(authority_is_valid(slice_from_cstr(rows[i])), "%s", rows[i]);
}

Test(validate, authorities_refused)
{
    static const char *const rows[] = {
        "",       ":80",   "a:",      "a:b",     "a:-1",     "a:+1",      "a:65536", "a:123456",   "a:1:2",
        "u@a",    "u:p@a", "a/b",     "a?b",     "a#b",      "a b",       " a",      "a ",         "a\tb",
        "[]",     "[::1",  "::1",     "[::1]80", "[::1]:",   "[1.2.3.4]", "[a]",     "[::1%25lo]", "[v1.a]",
        "[::1]]", "a]",    "[[::1]]", "a%4",     "a%",       "a%zz",      "a\\b",    "a\"",        "a<b",
        "a^b",    "a{b}",  "a|b",     "a`",      "\xc3\xa4", "a\x7f",
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        cr_expect_not(authority_is_valid(slice_from_cstr(rows[i])), "%s", rows[i]);
    cr_expect_not(authority_is_valid(SLICE("a\0")));
    cr_expect_not(authority_is_valid(SLICE_NONE));
}

Test(validate, hosts_are_compared_without_case_port_and_final_dot)
{
    static const char *const rows[][2] = {
        { "Shop.Example.COM", "shop.example.com" },
        { "shop.example.com:8080", "shop.example.com" },
        { "shop.example.com.", "shop.example.com" },
        { "shop.example.com.:8080", "shop.example.com" },
        { "shop.example.com..", "shop.example.com." },
        { "[2001:DB8::1]:80", "[2001:db8::1]" },
        { "[::1]", "[::1]" },
        { "A%4A", "a%4a" },
        { "@Z[`", "@z[`" },
        { ".", "" },
        { "", "" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char out[64];
        struct slice host = host_normalise(slice_from_cstr(rows[i][0]), out);
        cr_expect(slice_equal(host, slice_from_cstr(rows[i][1])), "%s: %.*s", rows[i][0], SLICE_ARG(host));
    }
}
