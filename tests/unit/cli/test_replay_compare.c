/* tests/unit/cli/test_replay_compare.c - what counts as a difference, what does not, and when requests are due. */
#include "cli/replay.h"

#include <criterion/criterion.h>

static const struct option_list nothing_ignored = { 0 };

static struct recorded_header header(const char *name, const char *value)
{
    return (struct recorded_header){ slice_from_cstr(name), slice_from_cstr(value ? value : ""), value == NULL };
}

/* An answer as recorded and as it comes now, both of the same body. */
struct both {
    struct arena arena;
    struct recorded_header before[4], after[4];
    struct recorded_answer recorded;
    struct replay_answer now;
};

static void begin(struct both *b, const char *before, const char *after)
{
    *b = (struct both){ 0 };
    arena_init(&b->arena, NULL, 0);
    b->recorded = (struct recorded_answer){ .status = 200, .headers = b->before, .body_bytes = strlen(before) };
    b->now = (struct replay_answer){ .status = 200, .headers = b->after, .body_bytes = strlen(after) };
    b->now.body = slice_from_cstr(after);
    digest_sha256_hex(slice_from_cstr(before), b->recorded.body_sha256);
    recorded_json_digest(slice_from_cstr(before), b->recorded.json_sha256);
    digest_sha256_hex(b->now.body, b->now.body_sha256);
}

/* "status: 200 -> 500" and so on, one behind the other. */
static void assert_differences(struct both *b, const struct option_list *ignored, const char *expected)
{
    static const char *const words[] = { "status", "header ", "body" };
    struct text out = { 0 };
    text_add_cstr(&out, "");
    for (struct replay_difference *d = replay_compare(&b->arena, &b->recorded, &b->now, ignored); d != NULL;
         d = d->next)
        text_printf(&out, "%s%.*s: %.*s -> %.*s\n", words[d->kind], SLICE_ARG(d->name), SLICE_ARG(d->recorded),
                    SLICE_ARG(d->now));
    cr_assert_str_eq(out.bytes, expected);
    text_fini(&out);
    arena_reset(&b->arena);
}

Test(replay_compare, the_same_is_the_same)
{
    struct both b;
    begin(&b, "hello", "hello");
    assert_differences(&b, &nothing_ignored, "");
}

Test(replay_compare, the_status_counts)
{
    struct both b;
    begin(&b, "", "");
    b.now.status = 500;
    assert_differences(&b, &nothing_ignored, "status: 200 -> 500\n");
}

Test(replay_compare, bodies_are_compared_by_their_bytes)
{
    struct both b;
    begin(&b, "hello", "hallo");
    assert_differences(&b, &nothing_ignored, "body: 5 bytes, sha256 2cf24dba5fb0 -> 5 bytes, sha256 d3751d33f9cd\n");
}

Test(replay_compare, documents_are_compared_by_what_they_say)
{
    struct both b;
    begin(&b, "{\"a\":1,\"b\":2}", "{ \"b\": 2,\n  \"a\": 1 }\n");
    assert_differences(&b, &nothing_ignored, "");
    begin(&b, "{\"a\":1}", "{\"a\":2}");
    assert_differences(&b, &nothing_ignored,
                       "body: 7 bytes of JSON, sha256 015abd7f5cc5 -> 7 bytes of JSON, sha256 7e8059f49558\n");
    begin(&b, "{\"a\":1}", "oops");
    assert_differences(&b, &nothing_ignored,
                       "body: 7 bytes of JSON, sha256 015abd7f5cc5 -> 4 bytes, sha256 d13f2eadd4ed\n");
}

Test(replay_compare, without_a_digest_a_body_is_not_compared)
{
    struct both b;
    begin(&b, "seen in part", "all of it");
    b.recorded.body_sha256[0] = '\0';
    assert_differences(&b, &nothing_ignored, "");
}

Test(replay_compare, recorded_headers_are_looked_for_by_name_and_as_a_list)
{
    struct both b;
    begin(&b, "", "");
    b.before[0] = header("Content-Type", "text/plain");
    b.before[1] = header("x-part", "1");
    b.before[2] = header("x-part", "2");
    b.before[3] = header("x-gone", "");
    b.recorded.header_count = 4;
    b.after[0] = header("x-part", "1, 2");
    b.after[1] = header("content-type", "text/html");
    b.after[2] = header("x-new", "is nobody's business");
    b.now.header_count = 3;
    assert_differences(&b, &nothing_ignored,
                       "header Content-Type: text/plain -> text/html\nheader x-gone:  -> (absent)\n");
}

Test(replay_compare, headers_of_the_moment_redacted_ones_and_ignored_ones_do_not_count)
{
    struct both b;
    const char *names[] = { "X-Build" };
    struct option_list ignored = { names, 1 };
    begin(&b, "", "");
    b.before[0] = header("Date", "Wed, 25 Nov 2026 16:00:00 GMT");
    b.before[1] = header("set-cookie", NULL);
    b.before[2] = header("x-build", "41");
    b.recorded.header_count = 3;
    assert_differences(&b, &ignored, "");
}

/* A head of many lines with one name, as a hostile server or file has it: the list is made once, not again for each line. */
Test(replay_compare, many_lines_of_one_name_take_the_memory_of_one_list)
{
    enum { LINE_COUNT = 20000 };
    static struct recorded_header lines[LINE_COUNT];
    struct both b;
    begin(&b, "", "");
    for (size_t i = 0; i < LINE_COUNT; i++)
        lines[i] = header("x", "12345678");
    b.before[0] = header("x", "1");
    b.recorded.header_count = 1;
    b.now.headers = lines;
    b.now.header_count = LINE_COUNT;
    cr_assert_not_null(replay_compare(&b.arena, &b.recorded, &b.now, &nothing_ignored));
    cr_assert_leq(b.arena.used_bytes, 4 * LINE_COUNT * sizeof("12345678"));
    arena_reset(&b.arena);
}

/* ---- pace ------------------------------------------------------------------------------------------------------------ */

static int64_t due_us(const char *speed, int64_t after_ms, uint64_t index)
{
    struct replay_pace pace;
    cr_assert(replay_pace_parse(speed, &pace), "%s", speed);
    return replay_pace_due_us(&pace, (struct wall_time){ 5000 + after_ms }, (struct wall_time){ 5000 }, index);
}

Test(replay_pace, speeds_scale_distances_or_set_them)
{
    cr_assert_eq(due_us("1x", 1500, 3), 1500000);
    cr_assert_eq(due_us("2x", 1500, 3), 750000);
    cr_assert_eq(due_us("0.5x", 1500, 3), 3000000);
    cr_assert_eq(due_us("1x", -20, 3), -20000);
    cr_assert_eq(due_us("100/s", 1500, 3), 30000);
    cr_assert_eq(due_us("6/m", 0, 3), 30000000);
    cr_assert_eq(due_us("max", 1500, 3), 0);
}

Test(replay_pace, times_that_are_ages_apart_are_just_far_away)
{
    int64_t ages_ms = INT64_C(9990) * 366 * 86400000;
    cr_assert_gt(due_us("0.001x", ages_ms, 1), INT64_C(1) << 60);
    cr_assert_lt(due_us("0.001x", -ages_ms, 1), -(INT64_C(1) << 60));
    cr_assert_gt(due_us("1/m", 0, UINT64_MAX), 0);
}

Test(replay_pace, what_is_no_speed_is_refused)
{
    static const char *const wrong[] = {
        "", "2", "x", "-1x", "0x", "1e9x", "nanx", "infx", "2x ", "0/s", "fast", "1xx"
    };
    struct replay_pace pace;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        cr_assert_not(replay_pace_parse(wrong[i], &pace), "\"%s\" was taken", wrong[i]);
}

/* ---- latencies ------------------------------------------------------------------------------------------------------- */

Test(replay_latencies, quantiles_are_exact_up_to_the_bound_and_near_it_afterwards)
{
    struct replay_report report;
    struct arena arena;
    struct replay_latencies *l = &report.now;
    arena_init(&arena, NULL, 0);
    replay_report_init(&report, &arena, NULL, NULL);
    cr_assert_eq(replay_latencies_quantile_us(l, 0.5), 0);
    for (int i = 0; i < 1000; i++)
        replay_latencies_add(l, (i * 7) % 1000);
    cr_assert_eq(replay_latencies_quantile_us(l, 0.5), 500);
    cr_assert_eq(replay_latencies_quantile_us(l, 0.99), 990);
    for (uint32_t i = 0; i < 10 * REPLAY_LATENCIES_MAX; i++)
        replay_latencies_add(l, 5000 + (i * 7) % 1000);
    cr_assert_eq(l->count, REPLAY_LATENCIES_MAX);
    uint32_t median = replay_latencies_quantile_us(l, 0.5);
    cr_assert(median > 5450 && median < 5550, "%u", median);
    replay_report_fini(&report);
}
