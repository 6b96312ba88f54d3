/* tests/unit/shadow/test_recorded.c - what is written is read back, and what no server may be sent is refused. */
#include "shadow/recorded.h"

#include "base/hash.h"

#include <criterion/criterion.h>

/* ---- there and back ------------------------------------------------------------------------------------------------- */

static const struct recorded_header some_headers[] = {
    { { "accept", sizeof("accept") - 1 }, { "*/*", sizeof("*/*") - 1 }, false },
    { { "authorization", sizeof("authorization") - 1 }, { "", sizeof("") - 1 }, true },
    { { "x-latin", sizeof("x-latin") - 1 }, { "caf\xe9", sizeof("caf\xe9") - 1 }, false },
    { { "accept", sizeof("accept") - 1 }, { "", sizeof("") - 1 }, false }
};

static struct recorded example(void)
{
    struct recorded r = { .at = { INT64_C(1795622213123) },
                          .route = SLICE("checkout"),
                          .upstream = SLICE("checkout-v1"),
                          .shadow = SLICE("checkout-dark"),
                          .method = SLICE("POST"),
                          .scheme = SLICE("https"),
                          .host = SLICE("shop.example.com:8443"),
                          .target = SLICE("/checkout?a=\"b\"&c=%00"),
                          .headers = some_headers,
                          .header_count = ARRAY_COUNT(some_headers),
                          .body = SLICE("{\"price\": 12}\n\xe2\x82\xac") };
    r.answer = (struct recorded_answer){
        .status = 200, .headers = some_headers, .header_count = 1, .body_bytes = 5, .latency_us = 1234
    };
    digest_sha256_hex(SLICE("[1,2]"), r.answer.body_sha256);
    recorded_json_digest(SLICE("[1,2]"), r.answer.json_sha256);
    return r;
}

static void assert_headers(const struct recorded_header *a, size_t a_count, const struct recorded_header *b,
                           size_t count)
{
    cr_assert_eq(a_count, count);
    for (size_t i = 0; i < count; i++) {
        cr_assert(slice_equal(a[i].name, b[i].name));
        cr_assert_eq(a[i].is_redacted, b[i].is_redacted);
        cr_assert(a[i].is_redacted || slice_equal(a[i].value, b[i].value));
    }
}

static void assert_same(const struct recorded *a, const struct recorded *b)
{
    cr_assert_eq(a->at.unix_ms, b->at.unix_ms);
    cr_assert(slice_equal(a->route, b->route) && slice_equal(a->upstream, b->upstream));
    cr_assert(slice_equal(a->shadow, b->shadow) && slice_equal(a->method, b->method));
    cr_assert(slice_equal(a->scheme, b->scheme) && slice_equal(a->host, b->host));
    cr_assert(slice_equal(a->target, b->target) && slice_equal(a->body, b->body));
    cr_assert_eq(a->is_truncated, b->is_truncated);
    assert_headers(a->headers, a->header_count, b->headers, b->header_count);
    assert_headers(a->answer.headers, a->answer.header_count, b->answer.headers, b->answer.header_count);
    cr_assert_eq(a->answer.status, b->answer.status);
    cr_assert_eq(a->answer.body_bytes, b->answer.body_bytes);
    cr_assert_eq(a->answer.latency_us, b->answer.latency_us);
    cr_assert_str_eq(a->answer.body_sha256, b->answer.body_sha256);
    cr_assert_str_eq(a->answer.json_sha256, b->answer.json_sha256);
}

/* One line, ending in the only newline. */
static void assert_round_trip(const struct recorded *r)
{
    struct text line = { 0 }, again = { 0 }, error = { 0 };
    struct arena arena;
    struct recorded back;
    arena_init(&arena, NULL, 0);
    recorded_write(r, &line);
    cr_assert_eq(slice_find(text_slice(&line), '\n'), line.len - 1);
    cr_assert(recorded_read(slice_first(text_slice(&line), line.len - 1), &arena, &back, &error), "%s in %s",
              error.bytes, line.bytes);
    assert_same(r, &back);
    recorded_write(&back, &again);
    cr_assert(slice_equal(text_slice(&line), text_slice(&again)));
    arena_reset(&arena);
    text_fini(&line);
    text_fini(&again);
    text_fini(&error);
}

Test(recorded, what_is_written_is_read_back)
{
    struct recorded r = example();
    assert_round_trip(&r);
    r.is_truncated = true;
    r.answer = (struct recorded_answer){ 0 };
    r.header_count = 0;
    r.host = r.body = r.route = SLICE("");
    assert_round_trip(&r);
}

/* The bytes of bodies and values as anything may send them, from texts to noise. */
Test(recorded, any_bytes_come_back)
{
    struct rng rng;
    static char bytes[3000];
    rng_init(&rng, 4);
    for (int i = 0; i < 500; i++) {
        struct recorded r = example();
        size_t length = rng_below(&rng, sizeof(bytes));
        uint32_t kinds = 1 + rng_below(&rng, 256);
        for (size_t j = 0; j < length; j++)
            bytes[j] = (char)rng_below(&rng, kinds);
        r.body = slice_from(bytes, length);
        assert_round_trip(&r);
    }
}

Test(recorded, control_characters_cost_no_more_than_base64)
{
    static char bytes[60000]; /* all NUL, then all 0x01 */
    for (int c = 0; c < 2; c++) {
        struct recorded r = example();
        struct text line = { 0 };
        memset(bytes, c, sizeof(bytes));
        r.body = slice_from(bytes, sizeof(bytes));
        recorded_write(&r, &line);
        cr_assert_lt(line.len, 82000);
        text_fini(&line);
    }
}

/* ---- what is refused ------------------------------------------------------------------------------------------------ */

static void assert_refused(struct slice line, const char *why)
{
    struct text error = { 0 };
    struct arena arena;
    struct recorded r;
    arena_init(&arena, NULL, 0);
    cr_assert_not(recorded_read(line, &arena, &r, &error), "taken: %.*s", SLICE_ARG(line));
    cr_assert(error.len > 0 && slice_contains(text_slice(&error), slice_from_cstr(why)), "\"%s\" does not say \"%s\"",
              error.bytes, why);
    arena_reset(&arena);
    text_fini(&error);
}

Test(recorded, a_line_cut_anywhere_is_refused)
{
    struct recorded r = example();
    struct text line = { 0 };
    recorded_write(&r, &line);
    for (size_t length = 0; length < line.len - 1; length++)
        assert_refused(slice_first(text_slice(&line), length), "");
    text_fini(&line);
}

/* The example's line with the first `from` replaced. */
static void assert_edit_refused(const char *from, const char *to, const char *why)
{
    struct recorded r = example();
    struct text line = { 0 }, edited = { 0 };
    recorded_write(&r, &line);
    const char *at = strstr(line.bytes, from);
    cr_assert_not_null(at, "%s is not in %s", from, line.bytes);
    text_add(&edited, slice_from(line.bytes, (size_t)(at - line.bytes)));
    text_add_cstr(&edited, to);
    text_add_cstr(&edited, at + strlen(from));
    assert_refused(slice_first(text_slice(&edited), edited.len - 1), why);
    text_fini(&line);
    text_fini(&edited);
}

Test(recorded, every_member_is_needed_and_of_its_kind)
{
    assert_refused(SLICE(""), "");
    assert_refused(SLICE("null"), "'weir_record' is missing");
    assert_refused(SLICE("{\"weir_record\":\"1\"}"), "'weir_record' is missing");
    assert_edit_refused("\"weir_record\":1", "\"weir_record\":2", "a version that this weir does not know");
    assert_edit_refused("\"at\":\"20", "\"at\":\"x", "'at' is no time");
    assert_edit_refused("\"route\":", "\"rote\":", "'route' is missing");
    assert_edit_refused("\"upstream\":\"checkout-v1\"", "\"upstream\":7", "'upstream' is neither text nor base64");
    assert_edit_refused("\"request\":", "\"requests\":", "'request' is missing");
    assert_edit_refused("\"truncated\":false", "\"truncated\":0", "'truncated'");
    assert_edit_refused("\"answer\":", "\"answers\":", "'status'");
    assert_edit_refused("\"status\":200", "\"status\":99", "'status'");
    assert_edit_refused("\"body_bytes\":5", "\"body_bytes\":-5", "'body_bytes'");
    assert_edit_refused("\"body_sha256\":\"", "\"body_sha256\":\"0", "'body_sha256' is no SHA-256");
    assert_edit_refused("\"json_sha256\":\"", "\"json_sha256\":null,\"x\":\"", "'json_sha256' is no SHA-256");
    assert_edit_refused("\"latency_us\":1234", "\"latency_us\":-1", "'latency_us'");
    assert_edit_refused("\"headers\":[[\"accept\",\"*/*\"],", "\"headers\":[[\"accept\"],", "pairs of name and value");
    assert_edit_refused("\"headers\":[[\"accept\",\"*/*\"],", "\"headers\":{},\"x\":[", "'headers'");
}

/* A record file is somebody's input: it shall not write lines of its own into what is sent. */
Test(recorded, nothing_that_could_smuggle_is_taken)
{
    assert_edit_refused("\"method\":\"POST\"", "\"method\":\"GET / HTTP/1.1\\r\\n\"", "'method' is no method");
    assert_edit_refused("\"scheme\":\"https\"", "\"scheme\":\"file\"", "'scheme' is neither http nor https");
    assert_edit_refused("shop.example.com", "shop\\r\\nx: y", "'host' is no host");
    assert_edit_refused("\"target\":\"/checkout", "\"target\":\"/ HTTP/1.1\\r\\n", "'target' is no request target");
    assert_edit_refused("\"target\":\"/checkout", "\"target\":\"http://elsewhere/", "'target' is no request target");
    assert_edit_refused("\"accept\"", "\"ac cept\"", "no header name");
    assert_edit_refused("\"*/*\"", "\"a\\r\\nx: y\"", "control characters");
    assert_edit_refused("\"*/*\"", "{\"base64\":\"DQo=\"}", "control characters");
    assert_edit_refused("\"*/*\"", "{\"base64\":\"!!\"}", "is not base64");
}

Test(recorded, members_that_nobody_knows_are_passed_over)
{
    struct recorded r = example(), back;
    struct text line = { 0 }, edited = { 0 }, error = { 0 };
    struct arena arena;
    arena_init(&arena, NULL, 0);
    recorded_write(&r, &line);
    text_add_cstr(&edited, "{\"comment\":[1,{}],");
    text_add(&edited, slice_after(text_slice(&line), 1));
    cr_assert(recorded_read(slice_trim(text_slice(&edited)), &arena, &back, &error), "%s", error.bytes);
    assert_same(&r, &back);
    arena_reset(&arena);
    text_fini(&line);
    text_fini(&edited);
    text_fini(&error);
}

/* ---- digests of JSON ------------------------------------------------------------------------------------------------- */

static const char *json_digest(const char *body)
{
    static char digests[2][DIGEST_SHA256_HEX_SIZE];
    static int next;
    next = !next;
    recorded_json_digest(slice_from_cstr(body), digests[next]);
    return digests[next];
}

Test(recorded, formatting_of_json_does_not_change_its_digest)
{
    cr_assert_str_eq(json_digest("{\"a\":1,\"b\":[1,2]}"), json_digest(" { \"b\" : [1, 2],\n \"a\" : 1 } "));
    cr_assert_str_eq(json_digest("[\"\\u00e9\"]"), json_digest("[\"\xc3\xa9\"]"));
    cr_assert_str_neq(json_digest("{\"a\":1}"), json_digest("{\"a\":2}"));
    cr_assert_str_neq(json_digest("[1,2]"), json_digest("[2,1]"));
}

Test(recorded, what_is_no_document_has_no_digest_of_json)
{
    cr_assert_str_eq(json_digest(""), "");
    cr_assert_str_eq(json_digest("ok"), "");
    cr_assert_str_eq(json_digest("12"), "");
    cr_assert_str_eq(json_digest("{\"a\":1,\"a\":2}"), "");
    cr_assert_str_eq(json_digest("{\"a\":1} and more"), "");
}
