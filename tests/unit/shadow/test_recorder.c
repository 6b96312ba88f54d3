/* tests/unit/shadow/test_recorder.c - what of a pair is told in its line, and what is hidden. */
#include "shadow/recorder.h"

#include "http/fields.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

static char folder[] = "/tmp/weir-recorder-XXXXXX";
static char path[64];
static struct recorder *recorder;
static struct arena arena;
static struct record_settings settings;
static struct compare_config compare;
static struct slice_list removed;

static void configure(uint32_t shadow_id)
{
    struct recorded_shadow shadow = { shadow_id, settings, &compare, &removed };
    recorder_configure(recorder, &shadow, 1);
}

static void begin(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/shadow.jsonl", folder);
    arena_init(&arena, NULL, 0);
    settings = (struct record_settings){ slice_from_cstr(path), 1 << 20, 3 };
    compare = (struct compare_config){ 0 };
    removed = (struct slice_list){ 0 };
    recorder = recorder_create();
    configure(1);
}

static void end(void)
{
    recorder_destroy(recorder);
    unlink(path);
    cr_assert_eq(rmdir(folder), 0);
    arena_reset(&arena);
}

TestSuite(recorder, .init = begin, .fini = end);

/* A request and its answer, as the fields of a table. */
struct story {
    const char *method, *target, *request_head[9], *request_body; /* heads: name, value, ..., NULL */
    uint16_t status;                                              /* 0: the primary failed */
    const char *answer_head[9], *answer_body;
    uint32_t body_limit_bytes; /* 0: enough */
    bool is_cut_off;           /* the request never ended */
};

static void head_make(struct message *m, const char *const *head)
{
    message_init(m, &arena, 8);
    for (; *head != NULL; head += 2)
        message_add(m, &arena, field_id_from_name(slice_from_cstr(head[0])), slice_from_cstr(head[0]),
                    slice_from_cstr(head[1]));
}

static struct slice text_or_empty(const char *text)
{
    return text != NULL ? slice_from_cstr(text) : SLICE("");
}

static void answer_make(struct pair *p, const struct story *s)
{
    struct message m;
    bool is_last;
    if (s->status == 0) {
        is_last = pair_failed(p, PAIR_PRIMARY, REASON_CONNECT_FAILED, 5);
    } else {
        struct slice body = text_or_empty(s->answer_body);
        head_make(&m, s->answer_head);
        m.status = s->status;
        pair_set_answer(p, PAIR_PRIMARY, &m, 1234);
        pair_add_answer_body(p, PAIR_PRIMARY, body.ptr, body.len);
        is_last = pair_answered(p, PAIR_PRIMARY);
    }
    cr_assert(is_last);
}

static struct pair *pair_make(const struct story *s)
{
    uint32_t limit = s->body_limit_bytes > 0 ? s->body_limit_bytes : 65536;
    struct pair_about about = { .shadow_id = 1,
                                .route = SLICE("shop"),
                                .upstream = SLICE("dark"),
                                .primary = SLICE("live"),
                                .control = SLICE(""),
                                .begun = { INT64_C(1700000000123) },
                                .uses = PAIR_FOR_RECORD,
                                .body_limit_bytes = limit,
                                .limit_bytes = pair_limit(limit) };
    struct pair *p = pair_create(&about);
    struct message m;
    struct slice body = text_or_empty(s->request_body);
    head_make(&m, s->request_head);
    m.method_name = slice_from_cstr(s->method);
    m.target = slice_from_cstr(s->target);
    m.authority = SLICE("shop.example.com");
    pair_set_request(p, &m);
    pair_await(p, PAIR_PRIMARY);
    pair_add_request_body(p, body.ptr, body.len);
    if (!s->is_cut_off)
        pair_end_request(p);
    answer_make(p, s);
    return p;
}

static void write_story(const struct story *s)
{
    struct pair *p = pair_make(s);
    recorder_write(recorder, p);
    recorder_flush(recorder);
    pair_destroy(p);
}

/* The newest line of the file. */
static struct recorded last_line(void)
{
    static char line[200000];
    struct recorded r;
    struct text error = { 0 };
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        ;
    fclose(file);
    cr_assert(recorded_read(slice_from_cstr(line), &arena, &r, &error), "%s: %s", error.bytes, line);
    return r;
}

static struct recorded told(const struct story *s)
{
    write_story(s);
    return last_line();
}

/* "a: 1\nb: (hidden)\n" */
static void assert_headers(const struct recorded_header *headers, size_t count, const char *expected)
{
    struct text out = { 0 };
    text_add_cstr(&out, "");
    for (size_t i = 0; i < count; i++)
        text_printf(&out, "%.*s: %.*s\n", SLICE_ARG(headers[i].name),
                    SLICE_ARG(headers[i].is_redacted ? SLICE("(hidden)") : headers[i].value));
    cr_assert_str_eq(out.bytes, expected);
    text_fini(&out);
}

static void assert_slice(struct slice found, const char *expected)
{
    cr_assert(slice_equal(found, slice_from_cstr(expected)), "%.*s is not %s", SLICE_ARG(found), expected);
}

/* ---- the whole --------------------------------------------------------------------------------------------------------- */

Test(recorder, a_request_and_the_digest_of_its_answer)
{
    struct story s = {
        .method = "POST",
        .target = "/cart?x=1",
        .request_body = "hello",
        .status = 201,
        .request_head = { "Accept", "*/*", "X-Forwarded-Proto", "https" },
        .answer_head = { "Content-Type", "application/json" },
        .answer_body = "{\"b\":1,\"a\":2}",
    };
    struct recorded r = told(&s);
    char digest[DIGEST_SHA256_HEX_SIZE];
    cr_assert_eq(r.at.unix_ms, INT64_C(1700000000123));
    assert_slice(r.route, "shop");
    assert_slice(r.upstream, "live");
    assert_slice(r.shadow, "dark");
    assert_slice(r.method, "POST");
    assert_slice(r.scheme, "https");
    assert_slice(r.host, "shop.example.com");
    assert_slice(r.target, "/cart?x=1");
    assert_slice(r.body, "hello");
    cr_assert_not(r.is_truncated);
    assert_headers(r.headers, r.header_count, "Accept: */*\nX-Forwarded-Proto: https\n");
    assert_headers(r.answer.headers, r.answer.header_count, "Content-Type: application/json\n");
    cr_assert_eq(r.answer.status, 201);
    cr_assert_eq(r.answer.latency_us, 1234);
    cr_assert_eq(r.answer.body_bytes, 13);
    digest_sha256_hex(SLICE("{\"b\":1,\"a\":2}"), digest);
    cr_assert_str_eq(r.answer.body_sha256, digest);
    digest_sha256_hex(SLICE("{\"a\":2,\"b\":1}"), digest);
    cr_assert_str_eq(r.answer.json_sha256, digest);
}

Test(recorder, a_failed_answer_is_none)
{
    struct story s = { .method = "GET", .target = "/" };
    struct recorded r = told(&s);
    cr_assert_eq(r.answer.status, 0);
    assert_slice(r.scheme, "http");
}

Test(recorder, a_target_that_names_the_host_is_told_without)
{
    static const char *const pairs[][2] = { { "http://shop.example.com/a?b", "/a?b" },
                                            { "https://shop.example.com", "/" },
                                            { "http://shop.example.com?q=/", "/?q=/" },
                                            { "*", "*" } };
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        struct story s = { .method = "OPTIONS", .target = pairs[i][0] };
        assert_slice(told(&s).target, pairs[i][1]);
    }
}

Test(recorder, a_shadow_that_is_not_recorded_writes_nothing)
{
    struct story s = { .method = "GET", .target = "/" };
    configure(2);
    write_story(&s);
    cr_assert_neq(access(path, F_OK), 0);
    configure(1);
    write_story(&s);
    cr_assert_eq(records_written_count(recorder_records(recorder)), 1);
}

/* ---- what is hidden ------------------------------------------------------------------------------------------------------ */

Test(recorder, credentials_are_null_and_headers_of_the_connection_absent)
{
    struct story s = { .method = "GET",
                       .target = "/?a=1&token=hush",
                       .status = 200,
                       .request_head = { "Authorization", "hush", "Host", "x", "X-Internal", "7", "X-A", "1" },
                       .answer_head = { "Set-Cookie", "sid=hush", "Date", "now", "X-B", "2", "Via", "1.1 x" } };
    struct slice names[] = { SLICE("x-internal"), SLICE("authorization") };
    removed = (struct slice_list){ names, 2 };
    configure(1);
    struct recorded r = told(&s);
    assert_headers(r.headers, r.header_count, "Authorization: (hidden)\nX-A: 1\n");
    assert_headers(r.answer.headers, r.answer.header_count, "Set-Cookie: (hidden)\nX-B: 2\n");
    assert_slice(r.target, "/?a=1&token=[redacted]");
}

Test(recorder, a_header_with_an_address_that_holds_a_secret_is_null)
{
    struct story s = { .method = "GET",
                       .target = "/",
                       .status = 302,
                       .request_head = { "Referer", "http://a/?token=hush", "Origin", "http://a" },
                       .answer_head = { "Location", "/cb?code=hush", "Link", "</a?b=1>" } };
    struct recorded r = told(&s);
    assert_headers(r.headers, r.header_count, "Referer: (hidden)\nOrigin: http://a\n");
    assert_headers(r.answer.headers, r.answer.header_count, "Location: (hidden)\nLink: </a?b=1>\n");
}

Test(recorder, rules_of_the_comparison_count)
{
    struct story s = { .method = "POST",
                       .target = "/",
                       .status = 200,
                       .request_body = "{\"card\": {\"number\": 4111, \"n\": 1.50}}",
                       .request_head = { "X-User", "jo", "content-type", "application/json" },
                       .answer_head = { "X-B", "2", "X-C", "3" } };
    struct slice redact[] = { SLICE("x-user"), SLICE("$.card.number") }, ignored[] = { SLICE("x-c") };
    compare.redact = (struct slice_list){ redact, 2 };
    compare.ignore_headers = (struct slice_list){ ignored, 1 };
    configure(1);
    struct recorded r = told(&s);
    assert_headers(r.headers, r.header_count, "X-User: (hidden)\ncontent-type: application/json\n");
    assert_headers(r.answer.headers, r.answer.header_count, "X-B: 2\n");
    assert_slice(r.body, "{\"card\":{\"number\":\"[redacted]\",\"n\":1.5}}");
    cr_assert_not(r.is_truncated);
}

Test(recorder, a_document_with_nothing_to_hide_stays_byte_for_byte)
{
    struct story s = { .method = "POST",
                       .target = "/",
                       .status = 200,
                       .request_body = " { \"b\": 1.50,\n\"a\": [] }\n",
                       .request_head = { "content-type", "application/json" } };
    assert_slice(told(&s).body, " { \"b\": 1.50,\n\"a\": [] }\n");
}

Test(recorder, forms_are_redacted_like_queries)
{
    struct story s = { .method = "POST",
                       .target = "/",
                       .status = 200,
                       .request_body = "user=jo&password=hush&x=1",
                       .request_head = { "Content-Type", "Application/X-WWW-Form-Urlencoded; charset=utf-8" } };
    assert_slice(told(&s).body, "user=jo&password=[redacted]&x=1");
}

Test(recorder, a_document_by_another_name_is_looked_through_too)
{
    struct story s = { .method = "POST",
                       .target = "/",
                       .status = 200,
                       .request_body = "\n{\"password\":\"hush\"}",
                       .request_head = { "content-type", "text/plain" } };
    assert_slice(told(&s).body, "{\"password\":\"[redacted]\"}");
}

/* ---- what is left out ------------------------------------------------------------------------------------------------------ */

static void assert_left_out(const struct story *s)
{
    struct recorded r = told(s);
    cr_assert(r.is_truncated);
    assert_slice(r.body, "");
}

Test(recorder, what_cannot_be_looked_into_is_left_out)
{
    struct story s = { .method = "POST",
                       .target = "/",
                       .status = 200,
                       .request_body = "{\"password\":\"hush",
                       .request_head = { "content-type", "application/json" } };
    assert_left_out(&s);
    s.request_body = "{\"password\":\"hush\"}";
    s.body_limit_bytes = 10;
    assert_left_out(&s);
    s.body_limit_bytes = 0;
    s.is_cut_off = true;
    assert_left_out(&s);
    s.is_cut_off = false;
    s.request_head[1] = "text/plain"; /* as browsers call what a script hands them */
    s.request_body = "{\"password\":\"hush\"}\n{\"password\":\"hush\"}\n";
    assert_left_out(&s);
    s.body_limit_bytes = 10;
    assert_left_out(&s);
    s.body_limit_bytes = 0;
    s.request_head[1] = "application/json";
    s.request_head[2] = "content-encoding";
    s.request_head[3] = "gzip";
    assert_left_out(&s);
}

Test(recorder, of_other_bodies_the_beginning_is_kept)
{
    struct story s = { .method = "PUT",
                       .target = "/",
                       .status = 200,
                       .request_body = "0123456789",
                       .body_limit_bytes = 4,
                       .answer_body = "9876543210" };
    struct recorded r = told(&s);
    assert_slice(r.body, "0123");
    cr_assert(r.is_truncated);
    cr_assert_eq(r.answer.body_bytes, 10);
    cr_assert_str_eq(r.answer.body_sha256, "");
}
