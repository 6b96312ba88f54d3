/* unit/cli/test_top.c - shares, errors and quantiles of what happened between two looks at /metrics. */
#include "cli/top.h"

#include <criterion/criterion.h>
#include <math.h>

#define BUCKETS(upstream, one, two, all)                                                                               \
    "weir_request_duration_seconds_bucket{route=\"shop\",upstream=\"" upstream "\",le=\"0.1\"} " #one "\n"             \
    "weir_request_duration_seconds_bucket{route=\"shop\",upstream=\"" upstream "\",le=\"0.2\"} " #two "\n"             \
    "weir_request_duration_seconds_bucket{route=\"shop\",upstream=\"" upstream "\",le=\"+Inf\"} " #all "\n"
#define COUNT(upstream, code, n)                                                                                       \
    "weir_requests_total{route=\"shop\",upstream=\"" upstream "\",code=\"" code "\"} " #n "\n"

static const char before[] = "# HELP weir_requests_total all\n" COUNT("v1", "200", 100) COUNT("v1", "503", 2)
    BUCKETS("v1", 100, 102, 102) "weir_requests_in_flight{route=\"shop\",upstream=\"v1\"} 3\nnot a metric at all";
static const char after[] =
    COUNT("v1", "200", 172) COUNT("v1", "503", 5) BUCKETS("v1", 140, 175, 177) COUNT("v2", "500", 25)
        BUCKETS("v2", 25, 25, 25) "weir_requests_in_flight{route=\"shop\",upstream=\"v1\"} 4\n"
                                  "weir_requests_total{route=\"a \\\"b\\\", c\",upstream=\"\",code=\"404\"} 9";

static void compare(const char *old, const char *new, struct top_sample *now, struct top_figures out[4],
                    struct arena *arena)
{
    struct top_sample then;
    arena_init(arena, NULL, 0);
    top_read(&then, slice_from_cstr(old), arena);
    top_read(now, slice_from_cstr(new), arena);
    cr_assert_leq(now->count, 4);
    top_compare(now, &then, out);
}

Test(top, figures_are_of_what_happened_in_between)
{
    struct arena arena;
    struct top_sample now;
    struct top_figures f[4];
    compare(before, after, &now, f, &arena);
    cr_assert_eq(now.count, 3);
    cr_expect(slice_equal(now.rows[2].route, SLICE("a \\\"b\\\", c")));
    cr_expect_eq(f[0].requests, 75);
    cr_expect_eq(f[0].errors, 3);
    cr_expect_float_eq(f[0].share, 0.75, 1e-9);
    cr_expect_eq(f[0].in_flight, 4);
    /* 40, then 33, then 2 of 75: the median is the 37.5th, and the 99th percentile is beyond all bounds. */
    cr_expect_float_eq(f[0].p50_s, 0.1 * 37.5 / 40, 1e-9);
    cr_expect_float_eq(f[0].p99_s, 0.2, 1e-9);
    cr_expect_eq(f[1].errors, 25);
    cr_expect_float_eq(f[1].share, 0.25, 1e-9);
    cr_expect_float_eq(f[2].share, 1, 1e-9);
    cr_expect(isnan(f[2].p50_s), "no histogram");
    arena_reset(&arena);
}

Test(top, another_process_counts_from_zero_and_silence_has_no_share)
{
    struct arena arena;
    struct top_sample now;
    struct top_figures f[4];
    compare(after, before, &now, f, &arena);
    cr_assert_eq(now.count, 1);
    cr_expect_eq(f[0].requests, 102);
    cr_expect_eq(f[0].errors, 2);
    arena_reset(&arena);
    compare(before, before, &now, f, &arena);
    cr_expect_eq(f[0].requests, 0);
    cr_expect(isnan(f[0].share) && isnan(f[0].p99_s));
    arena_reset(&arena);
    compare("", "", &now, f, &arena);
    cr_expect_eq(now.count, 0);
    arena_reset(&arena);
}
