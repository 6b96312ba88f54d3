/* tests/unit/shadow/test_compare.c - answers against each other: whether they came, status, headers, bodies. */
#include "shadow/compare.h"

#include "shadow/fixture.h"

#include <criterion/criterion.h>

#include <string.h>

static struct arena arena;
static struct compare_config config;

static void setup(void)
{
    arena_init(&arena, NULL, 0);
    memset(&config, 0, sizeof config);
}

static void teardown(void)
{
    arena_reset(&arena);
}

TestSuite(compare, .init = setup, .fini = teardown);

static void expect_pair(struct pair *p, const char *wanted)
{
    struct comparison c;
    comparison_init(&c);
    cr_assert(compare_is_possible(p));
    compare_pair(compare_plan_build(&arena, &config), p, &c);
    struct slice got = comparison_text(&arena, &c);
    cr_expect(slice_equal(got, slice_from_cstr(wanted)), "got\n%.*swanted\n%s", SLICE_ARG(got), wanted);
    comparison_clear(&c);
    pair_destroy(p);
}

#define TOLD(...) (&(struct told){ __VA_ARGS__ })
#define HEAD(...)                                                                                                      \
    .head = (const char *const[])                                                                                      \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }

Test(compare, finds_nothing_where_answers_are_the_same)
{
    expect_pair(
        told_pair(TOLD(200, HEAD("Date", "1", "A", "b"), "x"), TOLD(200, HEAD("a", "b", "Date", "2"), "x"), NULL), "");
    expect_pair(json_pair("{\"a\":1}", "{ \"a\": 1.0 }", "{\"a\":1}"), "");
    expect_pair(told_pair(TOLD(.status = 404), TOLD(.status = 404), TOLD(.status = 404)), "");
}

Test(compare, a_status_that_differs_is_all_that_is_said)
{
    expect_pair(
        told_pair(TOLD(200, HEAD("A", "b"), "x"), TOLD(500, HEAD("A", "c"), "y"), TOLD(200, HEAD("A", "b"), "x")),
        "status @ status: 200 | 500 | - [s]\n");
}

Test(compare, an_answer_that_did_not_come_differs)
{
    expect_pair(told_pair(TOLD(.status = 200), TOLD(.failure = REASON_CONNECT_FAILED), TOLD(.status = 200)),
                "answer @ answer: 200 | connect_failed | - [s]\n");
}

/* The control came no further than its status: of the price nothing is learnt. */
Test(compare, a_field_is_checked_only_where_both_were_looked_at)
{
    static const char *const json[] = { "Content-Type", "application/json", NULL };
    struct told primary = { 200, json, "{\"price\":1}", REASON_NONE, 0 },
                shadow = { 200, json, "{\"price\":2}", REASON_NONE, 0 };
    expect_pair(told_pair(&primary, &shadow, TOLD(.status = 503)),
                "$.price @ $.price: 1 | 2 | - [s?]\nstatus @ status: 200 | - | 503 [c]\n");
    expect_pair(told_pair(&primary, &shadow, TOLD(.failure = REASON_RESPONSE_TIMEOUT)),
                "$.price @ $.price: 1 | 2 | - [s?]\nanswer @ answer: 200 | - | response_timeout [c]\n");
    expect_pair(told_pair(&primary, &shadow, NULL), "$.price @ $.price: 1 | 2 | - [s?]\n");
    expect_pair(json_pair("{\"price\":1}", "{\"price\":2}", "{\"price\":1}"), "$.price @ $.price: 1 | 2 | - [s]\n");
    expect_pair(json_pair("{\"price\":1}", "{\"price\":2}", "no"),
                "$.price @ $.price: 1 | 2 | - [s?]\nbody @ body: 11 bytes, xxh64 0d6123c77cce51b8, JSON | - | 2 bytes, "
                "xxh64 b6ebefd2aa757f67 [c]\n");
    expect_pair(json_pair("{\"t\":1}", "{\"t\":2}", "{\"t\":3}"), "$.t @ $.t: 1 | 2 | 3 [sc]\n");
}

Test(compare, headers_are_compared_by_name_whatever_their_order)
{
    expect_pair(
        told_pair(TOLD(200, HEAD("X", "1", "Y", "2", "x", "3")), TOLD(200, HEAD("Y", "2", "X", "1", "X", "3")), NULL),
        "");
    expect_pair(told_pair(TOLD(200, HEAD("X", "1", "X", "3")), TOLD(200, HEAD("X", "3", "X", "1")), NULL),
                "header:x @ header:x: 1, 3 | 3, 1 | - [s?]\n");
    expect_pair(told_pair(TOLD(200, HEAD("Content-Security-Policy", "default-src 'self'")), TOLD(.status = 200), NULL),
                "header:content-security-policy @ header:content-security-policy: default-src 'self' | - | - [s?]\n");
}

Test(compare, headers_to_compare_and_to_ignore_can_be_named)
{
    static const char *const only[] = { "ETag", "x-a", NULL }, *const ignored[] = { "X-A", NULL };
    config.headers = texts_of(&arena, only);
    expect_pair(told_pair(TOLD(200, HEAD("etag", "1", "x-b", "1")), TOLD(200, HEAD("etag", "2", "x-b", "2")), NULL),
                "header:etag @ header:etag: 1 | 2 | - [s?]\n");
    config.ignore_headers = texts_of(&arena, ignored);
    expect_pair(told_pair(TOLD(200, HEAD("x-a", "1")), TOLD(200, HEAD("x-a", "2")), NULL), "");
}

Test(compare, cookies_are_compared_without_their_values)
{
    expect_pair(told_pair(TOLD(200, HEAD("Set-Cookie", "sid=abc; Path=/; Expires=Wed, 1")),
                          TOLD(200, HEAD("set-cookie", "sid=def; Path=/; Expires=Thu, 2")), NULL),
                "");
    expect_pair(
        told_pair(TOLD(200, HEAD("Set-Cookie", "sid=abc; HttpOnly")), TOLD(200, HEAD("Set-Cookie", "sid=abc")), NULL),
        "header:set-cookie @ header:set-cookie: [redacted] | [redacted] | - [s?]\n");
}

Test(compare, addresses_are_compared_whole_and_shown_without_secrets)
{
    expect_pair(
        told_pair(TOLD(302, HEAD("Location", "/cb?code=abc")), TOLD(302, HEAD("Location", "/cb?code=def")), NULL),
        "header:location @ header:location: /cb?code=[redacted] | /cb?code=[redacted] | - [s?]\n");
}

Test(compare, bodies_that_are_no_json_are_compared_by_hash_and_length)
{
    expect_pair(told_pair(TOLD(200, .body = "abc"), TOLD(200, .body = "a"), NULL),
                "body @ body: 3 bytes, xxh64 44bc2cf5ad770999 | 1 bytes, xxh64 d24ec4f1a98c6e5b | - [s?]\n");
    expect_pair(json_pair("[1]", "[1", NULL),
                "body @ body: 3 bytes, xxh64 607272446207f440, JSON | 2 bytes, xxh64 8c4ce12b1cc29f8a | - [s?]\n");
}

Test(compare, json_is_known_by_its_type_and_must_be_plain)
{
    static const struct {
        const char *type, *coding;
        bool is_json;
    } rows[] = {
        { "application/json", NULL, true },
        { "application/problem+json; charset=utf-8", NULL, true },
        { "Application/JSON", "identity", true },
        { "text/json", NULL, true },
        { "application/json", "gzip", false },
        { "application/jsonp", NULL, false },
        { "text/plain", NULL, false },
        { "json", NULL, false },
        { "application/json-seq", "identity", false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *head[] = { "Content-Type", rows[i].type, rows[i].coding != NULL ? "Content-Encoding" : NULL,
                               rows[i].coding, NULL };
        struct told primary = { 200, head, "{\"a\":1}", REASON_NONE, 0 },
                    shadow = { 200, head, "{\"a\":2}", REASON_NONE, 0 };
        struct pair *p = told_pair(&primary, &shadow, NULL);
        struct comparison c;
        comparison_init(&c);
        compare_pair(compare_plan_build(&arena, &config), p, &c);
        cr_assert_eq(c.count, 1);
        cr_expect_eq(slice_equal(c.items[0].field, SLICE("$.a")), rows[i].is_json, "%s %s", rows[i].type,
                     rows[i].coding);
        comparison_clear(&c);
        pair_destroy(p);
    }
}

Test(compare, without_an_answer_of_the_primary_there_is_nothing_to_compare)
{
    struct pair *p = told_pair(TOLD(.failure = REASON_CONNECT_FAILED), TOLD(.status = 200), NULL);
    cr_expect_not(compare_is_possible(p));
    pair_destroy(p);
    p = told_pair(TOLD(.status = 200), NULL, TOLD(.status = 200));
    cr_expect_not(compare_is_possible(p));
    pair_destroy(p);
}
