/* tests/unit/shadow/test_pair.c - answers that come at the same time are kept apart, and nothing outgrows its bound. */
#include "shadow/pair.h"

#include "base/memory.h"

#include <criterion/criterion.h>

#include <string.h>

static struct pair *pair_new(uint32_t body_limit_bytes, uint32_t limit_bytes)
{
    struct pair_about about = {
        .shadow_id = 7,
        .route = SLICE("checkout"),
        .upstream = SLICE("dark"),
        .primary = SLICE("live"),
        .control = SLICE("twin"),
        .begun = { 1234 },
        .uses = PAIR_FOR_COMPARE,
        .body_limit_bytes = body_limit_bytes,
        .limit_bytes = limit_bytes,
    };
    return pair_create(&about);
}

static void set_request(struct pair *p, struct arena *arena)
{
    struct message m;
    message_init(&m, arena, 4);
    m.method_name = SLICE("POST");
    m.target = SLICE("/buy?x=1");
    m.authority = SLICE("shop.example.com");
    message_add(&m, arena, FIELD_OTHER, SLICE("Accept-Language"), SLICE("de"));
    message_add(&m, arena, FIELD_CONNECTION, SLICE("Connection"), SLICE("close"))->is_dropped = true;
    message_add(&m, arena, FIELD_OTHER, SLICE("X-Empty"), SLICE(""));
    pair_set_request(p, &m);
}

static void set_answer(struct pair *p, struct arena *arena, enum pair_side side, uint16_t status, const char *type)
{
    struct message m;
    message_init(&m, arena, 2);
    m.is_response = true;
    m.status = status;
    message_add(&m, arena, FIELD_CONTENT_TYPE, SLICE("Content-Type"), slice_from_cstr(type));
    pair_set_answer(p, side, &m, 1000 + (int64_t)side);
}

static void add_body(struct pair *p, enum pair_side side, const char *text)
{
    pair_add_answer_body(p, side, text, strlen(text));
    pair_check(p);
}

static uint64_t hash_of(const char *text)
{
    struct hash_stream s;
    hash_stream_init(&s);
    hash_stream_add(&s, text, strlen(text));
    return hash_stream_value(&s);
}

static void expect_body(const struct pair *p, const struct pair_body *body, const char *wanted)
{
    struct text scratch;
    text_init(&scratch);
    struct slice got = pair_body(p, body, &scratch);
    cr_expect(slice_equal(got, slice_from_cstr(wanted)), "'%.*s' is not '%s'", SLICE_ARG(got), wanted);
    text_fini(&scratch);
}

Test(pair, keeps_what_three_upstreams_answered_at_the_same_time_apart)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct pair *p = pair_new(1000, pair_limit(1000));
    set_request(p, &arena);
    pair_await(p, PAIR_PRIMARY);
    pair_await(p, PAIR_SHADOW);
    pair_await(p, PAIR_CONTROL);
    pair_add_request_body(p, "body", 4);
    set_answer(p, &arena, PAIR_SHADOW, 500, "text/plain");
    add_body(p, PAIR_SHADOW, "oh ");
    set_answer(p, &arena, PAIR_PRIMARY, 200, "application/json");
    add_body(p, PAIR_PRIMARY, "{\"a\"");
    add_body(p, PAIR_SHADOW, "no");
    pair_add_request_body(p, "guard", 5);
    pair_end_request(p);
    add_body(p, PAIR_PRIMARY, ":");
    add_body(p, PAIR_PRIMARY, "1}");
    cr_assert_not(pair_answered(p, PAIR_PRIMARY));
    cr_assert_not(pair_failed(p, PAIR_CONTROL, REASON_CONNECT_FAILED, 77));
    cr_assert(pair_answered(p, PAIR_SHADOW));
    pair_check(p);

    expect_body(p, &p->request.body, "bodyguard");
    expect_body(p, &p->answers[PAIR_PRIMARY].body, "{\"a\":1}");
    expect_body(p, &p->answers[PAIR_SHADOW].body, "oh no");
    expect_body(p, &p->answers[PAIR_CONTROL].body, "");
    cr_expect_eq(p->answers[PAIR_PRIMARY].body_hash, hash_of("{\"a\":1}"));
    cr_expect_eq(p->answers[PAIR_SHADOW].body_hash, hash_of("oh no"));
    cr_expect_eq(p->answers[PAIR_SHADOW].status, 500);
    cr_expect_eq(p->answers[PAIR_SHADOW].latency_us, 1001);
    cr_expect_eq(p->answers[PAIR_CONTROL].outcome, PAIR_FAILED);
    cr_expect_eq(p->answers[PAIR_CONTROL].reason, REASON_CONNECT_FAILED);
    cr_expect_eq(p->answers[PAIR_CONTROL].latency_us, 77);
    cr_expect(
        slice_equal(pair_field(p, &p->answers[PAIR_PRIMARY].head, SLICE("content-type")), SLICE("application/json")));
    arena_reset(&arena);
    pair_destroy(p);
}

Test(pair, keeps_names_and_the_lines_of_a_head_in_their_order)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct pair *p = pair_new(0, pair_limit(0));
    set_request(p, &arena);
    arena_reset(&arena); /* it holds nothing of the worker's */
    struct slice name, value;
    uint32_t cursor = 0;
    cr_assert(pair_next_field(p, &p->request.head, &cursor, &name, &value));
    cr_expect(slice_equal(name, SLICE("Accept-Language")) && slice_equal(value, SLICE("de")));
    cr_assert(pair_next_field(p, &p->request.head, &cursor, &name, &value));
    cr_expect(slice_equal(name, SLICE("X-Empty")) && value.len == 0);
    cr_assert_not(pair_next_field(p, &p->request.head, &cursor, &name, &value));
    cr_expect_null(pair_field(p, &p->request.head, SLICE("connection")).ptr);
    cr_expect(slice_equal(pair_text(p, p->route), SLICE("checkout")));
    cr_expect(slice_equal(pair_text(p, p->upstream), SLICE("dark")));
    cr_expect(slice_equal(pair_text(p, p->primary), SLICE("live")));
    cr_expect(slice_equal(pair_text(p, p->control), SLICE("twin")));
    cr_expect(slice_equal(pair_text(p, p->request.method), SLICE("POST")));
    cr_expect(slice_equal(pair_text(p, p->request.target), SLICE("/buy?x=1")));
    cr_expect(slice_equal(pair_text(p, p->request.host), SLICE("shop.example.com")));
    pair_destroy(p);
}

Test(pair, knows_a_long_body_by_its_beginning_its_length_and_its_hash)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct pair *p = pair_new(10, pair_limit(10));
    pair_await(p, PAIR_PRIMARY);
    set_answer(p, &arena, PAIR_PRIMARY, 200, "text/plain");
    add_body(p, PAIR_PRIMARY, "01234567");
    add_body(p, PAIR_PRIMARY, "89abcdef");
    add_body(p, PAIR_PRIMARY, "g");
    cr_assert(pair_answered(p, PAIR_PRIMARY));
    const struct pair_answer *a = &p->answers[PAIR_PRIMARY];
    expect_body(p, &a->body, "0123456789");
    cr_expect_not(pair_body_is_kept(&a->body));
    cr_expect_eq(a->body.total_bytes, 17);
    cr_expect_eq(a->body_hash, hash_of("0123456789abcdefg"));
    arena_reset(&arena);
    pair_destroy(p);
}

/* Every bound from where nothing fits to where all does: never more memory, never a body with a hole. */
Test(pair, stays_inside_any_bound)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    for (uint32_t limit = 1; limit < 400; limit++) {
        struct pair *p = pair_new(1000, limit);
        set_request(p, &arena);
        pair_await(p, PAIR_PRIMARY);
        pair_await(p, PAIR_SHADOW);
        set_answer(p, &arena, PAIR_PRIMARY, 200, "text/plain");
        set_answer(p, &arena, PAIR_SHADOW, 200, "text/plain");
        for (int i = 0; i < 10; i++) {
            add_body(p, PAIR_PRIMARY, "abcdefghij");
            add_body(p, PAIR_SHADOW, "klm");
        }
        cr_assert_not(pair_answered(p, PAIR_PRIMARY));
        cr_assert(pair_answered(p, PAIR_SHADOW));
        cr_assert_leq(pair_memory_bytes(p), sizeof *p + limit);
        struct text scratch;
        text_init(&scratch);
        struct slice kept = pair_body(p, &p->answers[PAIR_PRIMARY].body, &scratch);
        cr_assert_eq(kept.len, p->answers[PAIR_PRIMARY].body.kept_bytes);
        for (size_t i = 0; i < kept.len; i++)
            cr_assert_eq(kept.ptr[i], 'a' + (char)(i % 10));
        text_fini(&scratch);
        pair_destroy(p);
    }
    arena_reset(&arena);
}

/* Others take the memory that there was: it grows by what is left, and what it keeps stays a beginning. */
Test(pair, grows_no_further_than_it_is_told_while_it_is_filled)
{
    static const char piece[1000];
    struct pair *p = pair_new(1 << 20, 1 << 20);
    pair_await(p, PAIR_PRIMARY);
    struct arena arena;
    arena_init(&arena, NULL, 0);
    set_answer(p, &arena, PAIR_PRIMARY, 200, "text/plain");
    pair_add_answer_body(p, PAIR_PRIMARY, piece, sizeof piece);
    size_t before = pair_memory_bytes(p);
    pair_limit_growth(p, 5000);
    for (int i = 0; i < 100; i++) {
        pair_add_answer_body(p, PAIR_PRIMARY, piece, sizeof piece);
        pair_check(p);
    }
    cr_expect_eq(pair_memory_bytes(p), before + 5000);
    size_t kept = p->answers[PAIR_PRIMARY].body.kept_bytes;
    cr_expect(kept > 5000 && kept < 7000, "%zu", kept);
    pair_limit_growth(p, 1 << 20);
    pair_add_answer_body(p, PAIR_PRIMARY, piece, sizeof piece);
    cr_expect_eq(p->answers[PAIR_PRIMARY].body.kept_bytes, kept);
    cr_expect(pair_answered(p, PAIR_PRIMARY));
    pair_destroy(p);
    arena_reset(&arena);
}

Test(pair, marks_a_head_that_did_not_fit)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct pair *small = pair_new(10, 60), *large = pair_new(10, pair_limit(10));
    set_request(small, &arena);
    set_request(large, &arena);
    cr_expect(small->request.head.is_cut);
    cr_expect_not(large->request.head.is_cut);
    arena_reset(&arena);
    pair_destroy(small);
    pair_destroy(large);
}

Test(pair, the_limit_holds_four_bodies_and_has_a_limit_itself)
{
    cr_expect_eq(pair_limit(1000), 4000 + PAIR_HEADS_BYTES);
    cr_expect_eq(pair_limit(UINT32_MAX), PAIR_BYTES_MAX);
}
