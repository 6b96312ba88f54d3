/* tests/unit/shadow/test_redact.c - what is never stored or shown. */
#include "shadow/redact.h"

#include "shadow/fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, NULL, 0);
}

static void teardown(void)
{
    arena_reset(&arena);
}

TestSuite(redact, .init = setup, .fini = teardown);

static const struct redact *rules(void)
{
    static const char *const texts[] = { "X-Secret", "$.card.number", "$.users[*].mail", "?iban", NULL };
    struct slice_list list = texts_of(&arena, texts);
    return redact_compile(&arena, &list);
}

Test(redact, hides_credentials_and_what_rules_name)
{
    const struct redact *r = rules();
    static const char *const hidden[] = { "authorization",       "Cookie",    "SET-COOKIE",
                                          "proxy-authorization", "X-Api-Key", "x-secret" };
    for (size_t i = 0; i < ARRAY_COUNT(hidden); i++)
        cr_expect(redact_hides_header(r, slice_from_cstr(hidden[i])), "%s", hidden[i]);
    cr_expect_not(redact_hides_header(r, SLICE("accept")));
    cr_expect_not(redact_hides_header(r, SLICE("")));
}

static void expect_target(const char *target, const char *wanted)
{
    struct text out = { 0 };
    redact_write_target(rules(), slice_from_cstr(target), &out);
    cr_expect(slice_equal(text_slice(&out), slice_from_cstr(wanted)), "%s: %s", target, out.bytes);
    text_fini(&out);
}

Test(redact, hides_arguments_of_the_query)
{
    expect_target("/a?b=1&iban=DE12&c=2", "/a?b=1&iban=[redacted]&c=2");
    expect_target("/a?TOKEN=x", "/a?TOKEN=[redacted]");
    expect_target("/a?t%6Fken=x&&y=", "/a?t%6Fken=[redacted]&&y=");
    expect_target("/a?token", "/a?token");
    expect_target("/a", "/a");
    expect_target("/a?", "/a?");
    expect_target("/a?b=1;token=x;c=2&d=3", "/a?b=1;token=[redacted]&d=3");
}

/* What a client sends to get a token (RFC 6749 2.3.1, 4.1.3, 6), and what signs an address. */
Test(redact, hides_credentials_in_forms)
{
    static const char *const names[] = { "client_secret", "refresh_token",    "id_token",
                                         "assertion",     "client_assertion", "code",
                                         "code_verifier", "password",         "X-Amz-Signature" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char target[64], wanted[64];
        snprintf(target, sizeof target, "?a=1&%s=hush&b=2", names[i]);
        snprintf(wanted, sizeof wanted, "?a=1&%s=[redacted]&b=2", names[i]);
        expect_target(target, wanted);
    }
}

static void expect_header(const char *name, const char *value, const char *wanted)
{
    struct text out = { 0 };
    bool is_hidden = redact_write_header(rules(), slice_from_cstr(name), slice_from_cstr(value), &out);
    cr_expect(slice_equal(text_slice(&out), slice_from_cstr(wanted)), "%s: %.*s", value, (int)out.len, out.bytes);
    cr_expect_eq(is_hidden, strcmp(value, wanted) != 0, "%s", value);
    text_fini(&out);
}

Test(redact, hides_arguments_of_addresses_in_headers)
{
    expect_header("Cookie", "sid=1", "[redacted]");
    expect_header("Referer", "http://a/?iban=DE12&b=2", "http://a/?iban=[redacted]&b=2");
    expect_header("Location", "/cb#access_token=abc&state=1", "/cb#access_token=[redacted]&state=1");
    expect_header("Location", "/login?code=abc#top", "/login?code=[redacted]");
    expect_header("Link", "</a?b=1&sig=abc>; rel=next, </c?d>; rel=\"x\"", "</a?b=1&sig=[redacted]");
    expect_header("Refresh", "0; url=/a?token=abc", "0; url=/a?token=[redacted]");
    expect_header("X-Auth", "v1; token=abc", "v1; token=[redacted]");
    expect_header("Accept", "text/html;q=0.5, a/b;code", "text/html;q=0.5, a/b;code");
    expect_header("X-Empty", "", "");
}

static void expect_json(const char *document, size_t limit_bytes, const char *wanted)
{
    struct text error = { 0 }, out = { 0 };
    struct json_step steps[JSON_MAX_DEPTH + 2];
    struct json *parsed = json_parse(slice_from_cstr(document), &error);
    cr_assert_not_null(parsed, "%s", error.bytes);
    redact_write_json(rules(), parsed, steps, 0, limit_bytes, &out);
    cr_expect_str_eq(out.bytes, wanted);
    json_destroy(parsed);
    text_fini(&error);
    text_fini(&out);
}

Test(redact, hides_places_in_json_and_writes_the_rest)
{
    expect_json("{\"card\": {\"number\": \"4111\", \"name\": \"A\"}, \"users\": [{\"mail\": \"a@b\", \"id\": 1}]}",
                1000,
                "{\"card\":{\"number\":\"[redacted]\",\"name\":\"A\"},\"users\":[{\"mail\":\"[redacted]\",\"id\":1}]}");
    expect_json("{\"deep\":[{\"password\":{\"x\":1}}],\"n\":[null,true,0.1,1e300,\"\\u0001\"]}", 1000,
                "{\"deep\":[{\"password\":\"[redacted]\"}],\"n\":[null,true,0.1,1e+300,\"\\u0001\"]}");
    expect_json("[[],{}]", 1000, "[[],{}]");
    expect_json("{\"accessToken\":1,\"refreshToken\":2,\"token\":3}", 1000,
                "{\"accessToken\":\"[redacted]\",\"refreshToken\":\"[redacted]\",\"token\":\"[redacted]\"}");
}

Test(redact, cuts_what_is_long)
{
    expect_json("[1,2,3,4,5]", 4, "[1,2...");
    expect_json("\"\xe2\x82\xac\"", 3, "\"...");
}
