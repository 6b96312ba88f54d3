/* tests/unit/config/test_formats.c - texts that are taken, and texts that are refused. */
#include "config/formats.h"

#include <criterion/criterion.h>

struct row {
    const struct text_format *format;
    bool is_good;
    const char *text;
};

static const struct row rows[] = {
    { &format_name, true, "a" },
    { &format_name, true, "checkout-v1.2_x" },
    { &format_name, false, "" },
    { &format_name, false, "a b" },
    { &format_name, false, "a=b" },
    { &format_name, false, "a/b" },
    { &format_name, false, "\xc3\xa4" },
    { &format_header_name, true, "X-Any_thing.1" },
    { &format_header_name, true, "!#$%&'*+-.^_`|~" },
    { &format_header_name, false, "" },
    { &format_header_name, false, "a:" },
    { &format_header_name, false, ":path" },
    { &format_header_name, false, "a b" },
    { &format_editable_header, true, "authorization" },
    { &format_editable_header, true, "x-forwarded-for" },
    { &format_editable_header, false, "TE" },
    { &format_editable_header, false, "Transfer-Encoding" },
    { &format_editable_header, false, "content-length" },
    { &format_editable_header, false, "UPGRADE" },
    { &format_editable_header, false, "host" },
    { &format_header_value, true, "" },
    { &format_header_value, true, "a\tb c" },
    { &format_header_value, true, "\xc3\xa4" },
    { &format_header_value, false, "a\r\nb: c" },
    { &format_header_value, false, "a\n" },
    { &format_header_value, false, "a\x7f" },
    { &format_header_value, false, " a" },
    { &format_header_value, false, "a\t" },
    { &format_method, true, "GET" },
    { &format_method, true, "M-SEARCH" },
    { &format_method, false, "Get" },
    { &format_method, false, "CONNECT" },
    { &format_method, false, "" },
    { &format_host_pattern, true, "a.b-c.d_e" },
    { &format_host_pattern, true, "a.b." },
    { &format_host_pattern, true, "*.b" },
    { &format_host_pattern, true, "10.0.0.1" },
    { &format_host_pattern, true, "[2001:db8::1]" },
    { &format_host_pattern, false, "[2001:db8::x]" },
    { &format_host_pattern, false, "." },
    { &format_host_pattern, false, "a.." },
    { &format_host_pattern, false, ".a" },
    { &format_host_pattern, false, "*.*.a" },
    { &format_host_pattern, false, "*" },
    { &format_host_pattern, false, "a:80" },
    { &format_host_pattern, false, "a/b" },
    { &format_authority, true, "a.b:80" },
    { &format_authority, true, "a.b" },
    { &format_authority, true, "[::1]:80" },
    { &format_authority, true, "[::1]" },
    { &format_authority, false, "a:b" },
    { &format_authority, false, "a:65536" },
    { &format_authority, false, "user@a" },
    { &format_authority, false, "" },
    { &format_authority, false, "a:" },
    { &format_path, true, "/" },
    { &format_path, true, "//a/" },
    { &format_path, true, "/a%2Fb%20c" },
    { &format_path, true, "/a.b/..c/...;x=1@:!$&'()*+,~" },
    { &format_path, false, "" },
    { &format_path, false, "a" },
    { &format_path, false, "/a/." },
    { &format_path, false, "/../a" },
    { &format_path, false, "/a%2fb" },
    { &format_path, false, "/a%41" },
    { &format_path, false, "/a%" },
    { &format_path, false, "/a%2" },
    { &format_path, false, "/%00" },
    { &format_path, false, "/%5C" },
    { &format_path, false, "/\\" },
    { &format_path, false, "/a b" },
    { &format_path, false, "/\xc3\xa4" },
    { &format_path, false, "/a?" },
    { &format_path, false, "/a#" },
    { &format_redirect, true, "https://a.b" },
    { &format_redirect, true, "http://a:81/p?q=1#f" },
    { &format_redirect, false, "https://" },
    { &format_redirect, false, "https:///p" },
    { &format_redirect, false, "//a" },
    { &format_redirect, false, "https://a?q" },
    { &format_redirect, true, "https://a/?q" },
    { &format_redirect, false, "https://a/\r\nx: y" },
    { &format_redirect, false, "https://a/\xc3\xa4" },
    { &format_redirect, false, "https://u@a/" },
    { &format_bind, true, "0.0.0.0:80" },
    { &format_bind, true, "unix:/x" },
    { &format_bind, false, "localhost:80" },
    { &format_endpoint, true, "localhost:80" },
    { &format_endpoint, false, "localhost:0" },
    { &format_digest, true, "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF" },
    { &format_digest, false, "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEF" },
    { &format_digest, false, "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFG" },
    { &format_pattern, true, "(" },
    { &format_pattern, false, "" },
    { &format_argument, true, "a b" },
    { &format_argument, false, "" },
    { &format_token, true, "__Host-id" },
    { &format_token, false, "a=b" },
};

Test(formats, good_texts_are_taken_and_bad_ones_refused)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *fault = rows[i].format->fault(slice_from_cstr(rows[i].text));
        cr_expect_eq(fault == NULL, rows[i].is_good, "%s \"%s\": %s", rows[i].format->noun, rows[i].text,
                     fault ? fault : "was taken");
    }
}

/* No text of the configuration holds one; those of scripts may. */
Test(formats, a_nul_is_no_character_of_a_name)
{
    cr_expect_not_null(format_editable_header.fault(slice_from("x\0", 2)));
    cr_expect_not_null(format_header_name.fault(slice_from("\0", 1)));
    cr_expect_not_null(format_method.fault(slice_from("GET\0", 4)));
}
