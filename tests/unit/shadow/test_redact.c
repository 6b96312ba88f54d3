/* tests/unit/shadow/test_redact.c - what is never stored or shown. */
#include "shadow/redact.h"

#include "shadow/fixture.h"

#include <criterion/criterion.h>

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
}

Test(redact, cuts_what_is_long)
{
    expect_json("[1,2,3,4,5]", 4, "[1,2...");
    expect_json("\"\xe2\x82\xac\"", 3, "\"...");
}
