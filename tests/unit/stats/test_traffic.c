/* tests/unit/stats/test_traffic.c - what came before a moment and after it, of a route, an upstream, or all. */
#include "stats/traffic.h"

#include <criterion/criterion.h>

#include <stdio.h>

static struct stats *stats;
static struct traffic traffic;
static const struct traffic_scope whole = { { 0 }, { 0 } };

static void setup(void)
{
    stats = stats_create(2);
    stats_begin_generation(stats);
    traffic = (struct traffic){ 0 };
}

static void teardown(void)
{
    traffic_fini(&traffic);
    stats_destroy(stats);
}

TestSuite(traffic, .init = setup, .fini = teardown);

static void count(const char *route, const char *upstream, unsigned requests, uint16_t status, uint64_t us)
{
    uint32_t id = stats_series_id(stats, slice_from_cstr(route), slice_from_cstr(upstream));
    for (unsigned i = 0; i < requests; i++) {
        stats_request_begin(stats->workers[i % 2], id);
        stats_request_end(stats->workers[i % 2], id, status, REASON_NONE, us);
    }
}

static struct mono_time second(int64_t s)
{
    return (struct mono_time){ s * 1000000 };
}

static struct traffic_figures between(const struct traffic_scope *scope, int64_t from_s, int64_t to_s, int64_t now_s)
{
    struct traffic_counts from, to;
    struct mono_time from_of, to_of;
    cr_assert(traffic_read(&traffic, stats, scope, second(from_s), second(now_s), &from, &from_of));
    cr_assert(traffic_read(&traffic, stats, scope, second(to_s), second(now_s), &to, &to_of));
    return traffic_compare(&from, &to, mono_diff_us(to_of, from_of));
}

Test(traffic, before_and_after_are_told_apart)
{
    traffic_look(&traffic, stats, second(0));
    count("shop", "v1", 90, 200, 1000);
    count("shop", "v1", 10, 500, 1000);
    traffic_look(&traffic, stats, second(10));
    count("shop", "v1", 30, 200, 100000);
    count("shop", "v1", 10, 503, 100000);
    struct traffic_scope scope = { SLICE("shop"), SLICE_NONE };
    struct traffic_figures before = between(&scope, 0, 10, 20), after = between(&scope, 10, 20, 20);
    cr_expect_eq(before.requests, 100);
    cr_expect_float_eq(before.seconds, 10, 1e-9);
    cr_expect_float_eq(before.rate, 10, 1e-9);
    cr_expect_float_eq(before.error_ratio, 0.1, 1e-9);
    cr_expect(before.p99_us >= 750 && before.p99_us <= 1350, "%llu", (unsigned long long)before.p99_us);
    cr_expect_eq(after.requests, 40);
    cr_expect_eq(after.errors, 10);
    cr_expect_float_eq(after.rate, 4, 1e-9);
    cr_expect_float_eq(after.error_ratio, 0.25, 1e-9);
    cr_expect(after.p50_us >= 75000 && after.p50_us <= 135000, "%llu", (unsigned long long)after.p50_us);
}

Test(traffic, a_scope_has_its_own_and_the_whole_has_all)
{
    traffic_look(&traffic, stats, second(0));
    count("shop", "v1", 1, 200, 10);
    count("shop", "v2", 2, 200, 10);
    count("cart", "v2", 4, 200, 10);
    count("", "", 8, 404, 10);
    traffic_look(&traffic, stats, second(5));
    const struct {
        struct traffic_scope scope;
        uint64_t requests;
    } rows[] = { { { SLICE("shop"), SLICE_NONE }, 3 },
                 { { SLICE_NONE, SLICE("v2") }, 6 },
                 { { SLICE("shop"), SLICE("v2") }, 2 },
                 { { SLICE("none"), SLICE_NONE }, 0 },
                 { whole, 15 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(between(&rows[i].scope, 0, 5, 7).requests, rows[i].requests, "row %zu", i);
        cr_expect_eq(between(&rows[i].scope, 0, 7, 7).requests, rows[i].requests, "row %zu, now", i);
    }
}

Test(traffic, the_nearest_moment_counts_and_says_which_it_is)
{
    struct traffic_counts counts;
    struct mono_time of;
    traffic_look(&traffic, stats, second(0));
    traffic_look(&traffic, stats, second(5));
    count("shop", "v1", 7, 200, 10);
    const struct {
        int64_t at_s, of_s;
        uint32_t requests;
    } rows[] = { { -100, 0, 0 }, { 2, 0, 0 }, { 3, 5, 0 }, { 6, 5, 0 }, { 8, 9, 7 }, { 9, 9, 7 }, { 100, 9, 7 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_assert(traffic_read(&traffic, stats, &whole, second(rows[i].at_s), second(9), &counts, &of));
        cr_expect_eq(of.us, second(rows[i].of_s).us, "row %zu", i);
        cr_expect_eq(counts.requests, rows[i].requests, "row %zu", i);
    }
}

Test(traffic, without_a_look_there_is_now_alone)
{
    cr_expect_eq(traffic_oldest(&traffic, second(3)).us, second(3).us);
    count("shop", "v1", 7, 200, 10);
    cr_expect_eq(between(&whole, 0, 3, 3).requests, 0);
}

Test(traffic, the_ring_goes_round_and_forgets_the_oldest)
{
    struct traffic_scope scope = { SLICE("shop"), SLICE_NONE };
    for (unsigned i = 0; i < 2 * TRAFFIC_LOOK_COUNT; i++) {
        traffic_look(&traffic, stats, second(5 * (int64_t)i));
        count("shop", "v1", 1, 200, 10);
    }
    int64_t newest_s = 5 * (2 * (int64_t)TRAFFIC_LOOK_COUNT - 1);
    cr_expect_eq(traffic_oldest(&traffic, second(newest_s)).us, second(newest_s - 300).us);
    cr_expect_eq(between(&scope, newest_s - 300, newest_s, newest_s).requests, 61);
    cr_expect_eq(between(&scope, newest_s - 300, newest_s - 5, newest_s).requests, 59);
    cr_expect_eq(between(&whole, 0, newest_s - 295, newest_s).requests, 1);
}

Test(traffic, beyond_the_bound_the_whole_is_right_and_a_part_says_that_it_is_not_known)
{
    char name[16];
    struct traffic_counts counts;
    struct mono_time of;
    traffic_look(&traffic, stats, second(0));
    for (unsigned i = 0; i < TRAFFIC_SERIES_MAX + 1; i++) {
        snprintf(name, sizeof name, "r%u", i);
        count(name, "v1", 1, 200, 10);
    }
    traffic_look(&traffic, stats, second(5));
    struct traffic_scope kept = { SLICE("r0"), SLICE_NONE }, lost = { slice_from_cstr(name), SLICE_NONE };
    cr_expect_eq(between(&whole, 0, 5, 20).requests, TRAFFIC_SERIES_MAX + 1);
    cr_expect_eq(between(&kept, 0, 5, 20).requests, 1);
    cr_expect_not(traffic_read(&traffic, stats, &lost, second(5), second(20), &counts, &of));
}

Test(traffic, totals_may_go_over_their_edge)
{
    struct traffic_counts from = { .requests = UINT32_MAX - 1, .errors = UINT32_MAX },
                          to = { .requests = 8, .errors = 1 };
    struct traffic_figures f = traffic_compare(&from, &to, 10000000);
    cr_expect_eq(f.requests, 10);
    cr_expect_eq(f.errors, 2);
    cr_expect_eq(traffic_compare(&to, &to, 0).rate, 0.0);
}
