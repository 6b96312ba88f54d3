/* unit/http/test_validate.c - tokens, values, authorities, and what ends at a hop. */
#include "http/validate.h"

#include <criterion/criterion.h>

#include <stdio.h>

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
        "",         ":80",     "a:",        "a:b",   "a:-1",       "a:+1",     "a:65536",
        "a:123456", "a:1:2",   "u@a",       "u:p@a", "a/b",        "a?b",      "a#b",
        "a b",      " a",      "a ",        "a\tb",  "[]",         "[::1",     "::1",
        "[::1]80",  "[::1]:",  "[1.2.3.4]", "[a]",   "[::1%25lo]", "[v1.a]",   "[::1]]",
        "a]",       "[[::1]]", "a%4",       "a%",    "a%zz",       "a\\b",     "a\"",
        "a<b",      "a^b",     "a{b}",      "a|b",   "a`",         "\xc3\xa4", "a\x7f",
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
        cr_expect(slice_equal(host, slice_from_cstr(rows[i][1])), "%s: %.*s", rows[i][0],
                  SLICE_ARG(host));
    }
}

/* A message from "Name: value" lines; what is left of it, "Name|Name". */
static struct arena arena;
static struct message message;
static char left[1024];

static void message_from(const char *const *lines)
{
    arena_init(&arena, NULL, 0);
    message_init(&message, &arena, 0);
    for (; *lines != NULL; lines++) {
        struct slice line = slice_from_cstr(*lines);
        struct slice name = slice_first(line, slice_find(line, ':'));
        message_add(&message, &arena, field_id_from_name(name), name,
                    slice_trim(slice_after(line, name.len + 1)));
    }
}

static const char *names_left(void)
{
    left[0] = '\0';
    size_t len = 0;
    for (size_t i = 0; i < message.field_count; i++) {
        const struct field *f = &message.fields[i];
        if (!f->is_dropped)
            len += (size_t)snprintf(left + len, sizeof left - len, "%s%.*s", len > 0 ? "|" : "",
                                    SLICE_ARG(f->name));
    }
    arena_reset(&arena);
    return left;
}

Test(validate, hop_by_hop_fields_end_here)
{
    static const char *const lines[] = { "Host: h",
                                         "Connection: keep-alive, X-Hop , x-other",
                                         "Keep-Alive: timeout=5",
                                         "Proxy-Connection: close",
                                         "X-Hop: 1",
                                         "x-HOP: 2",
                                         "X-Other: 1",
                                         "X-Stays: 1",
                                         "TE: trailers",
                                         "Transfer-Encoding: chunked",
                                         "Upgrade: websocket",
                                         "connection: Another",
                                         "Another: 1",
                                         "Proxy-Authenticate: Basic",
                                         "Accept: a",
                                         NULL };
    message_from(lines);
    hop_by_hop_drop(&message);
    cr_expect_str_eq(names_left(), "Host|X-Stays|Proxy-Authenticate|Accept");
}

Test(validate, connection_cannot_take_what_upstreams_rely_on)
{
    static const char *const lines[] = {
        "Connection: host, content-length, cookie, authorization, forwarded, via, x-request-id",
        "Connection: x-forwarded-for, X-Forwarded-Host, x-forwarded-proto, traceparent, tracestate",
        "Connection: content-type, set-cookie, , accept, (bad)",
        "Host: h",
        "Content-Length: 0",
        "Cookie: a=b",
        "Authorization: x",
        "Forwarded: for=a",
        "Via: a",
        "X-Request-Id: a",
        "X-Forwarded-For: a",
        "X-Forwarded-Host: a",
        "X-Forwarded-Proto: a",
        "Traceparent: a",
        "Tracestate: a",
        "Content-Type: a",
        "Set-Cookie: a",
        "Accept: a",
        NULL
    };
    message_from(lines);
    hop_by_hop_drop(&message);
    cr_expect_str_eq(names_left(),
                     "Host|Content-Length|Cookie|Authorization|Forwarded|Via|X-Request-Id|"
                     "X-Forwarded-For|X-Forwarded-Host|X-Forwarded-Proto|Traceparent|Tracestate|"
                     "Content-Type|Set-Cookie");
}

Test(validate, trailers_carry_no_framing_routing_or_rights)
{
    static const char *const lines[] = { "X-Checksum: 1",
                                         "Content-Length: 5",
                                         "Transfer-Encoding: chunked",
                                         "Host: evil",
                                         "Authorization: x",
                                         "Set-Cookie: a=b",
                                         "cache-control: no-store",
                                         "Trailer: x",
                                         "grpc-status: 0",
                                         "Content-Encoding: gzip",
                                         "X-Forwarded-For: a",
                                         "Range: bytes=0-",
                                         "Server-Timing: a",
                                         "If-Match: *",
                                         "TE: trailers",
                                         NULL };
    message_from(lines);
    trailers_filter(&message);
    cr_expect_str_eq(names_left(), "X-Checksum|grpc-status|Server-Timing");
}
