/* tests/unit/stats/test_expose.c - the two text formats, line by line. */
#include "stats/expose.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <stdlib.h>

static struct text out;
static struct expose e;

static void setup(void)
{
    text_init(&out);
    expose_begin(&e, &out, EXPOSE_TEXT);
}

static void teardown(void)
{
    text_fini(&out);
}

TestSuite(expose, .init = setup, .fini = teardown);

Test(expose, text_names_a_counter_with_total)
{
    expose_family(&e, EXPOSE_COUNTER, "weir_x_total", "Things \\ \"quoted\"\nand more");
    expose_u64(&e, NULL, 0, 7);
    expose_end(&e);
    cr_assert_str_eq(out.bytes, "# HELP weir_x_total Things \\\\ \"quoted\"\\nand more\n"
                                "# TYPE weir_x_total counter\n"
                                "weir_x_total 7\n");
}

Test(expose, openmetrics_names_a_counter_family_without_total_and_ends_in_eof)
{
    expose_begin(&e, &out, EXPOSE_OPENMETRICS);
    expose_family(&e, EXPOSE_COUNTER, "weir_x_total", "A \"thing\"");
    expose_u64(&e, NULL, 0, 7);
    expose_end(&e);
    cr_assert_str_eq(out.bytes, "# HELP weir_x A \\\"thing\\\"\n"
                                "# TYPE weir_x counter\n"
                                "weir_x_total 7\n"
                                "# EOF\n");
}

Test(expose, a_counter_without_total_aborts, .signal = SIGABRT)
{
    expose_family(&e, EXPOSE_COUNTER, "weir_x", "x");
}

Test(expose, a_gauge_with_total_aborts, .signal = SIGABRT)
{
    expose_family(&e, EXPOSE_GAUGE, "weir_x_total", "x");
}

Test(expose, label_values_are_escaped)
{
    struct expose_label labels[] = { { "a", SLICE("q\"b\\n\n") }, { "b", SLICE_NONE } };
    expose_family(&e, EXPOSE_GAUGE, "weir_g", "g");
    text_clear(&out);
    expose_i64(&e, labels, 2, -3);
    cr_assert_str_eq(out.bytes, "weir_g{a=\"q\\\"b\\\\n\\n\",b=\"\"} -3\n");
}

Test(expose, seconds_are_exact)
{
    expose_family(&e, EXPOSE_GAUGE, "weir_g", "g");
    text_clear(&out);
    expose_seconds(&e, NULL, 0, UINT64_MAX);
    expose_seconds(&e, NULL, 0, 1);
    cr_assert_str_eq(out.bytes, "weir_g 18446744073709.551615\nweir_g 0.000001\n");
}

/* Reads the samples of a histogram back: bounds rise, counts never fall, +Inf is the count. */
Test(expose, a_histogram_is_cumulative_with_sorted_bounds)
{
    struct histogram h = { 0 };
    for (uint64_t us = 1; us < 200000000; us = us * 3 / 2 + 1)
        histogram_add(&h, us);
    expose_family(&e, EXPOSE_HISTOGRAM, "weir_h", "h");
    struct expose_label label = { "r", SLICE("x") };
    text_clear(&out);
    expose_histogram(&e, &label, 1, &h);
    struct slice rest = text_slice(&out), line;
    double bound_before = 0;
    uint64_t count = 0, count_before = 0, lines = 0;
    while (slice_next_item(&rest, '\n', &line) && slice_has_prefix(line, SLICE("weir_h_bucket{r=\"x\",le=\""))) {
        double bound = strtod(line.ptr + sizeof "weir_h_bucket{r=\"x\",le=\"" - 1, NULL);
        cr_assert_gt(bound, bound_before, "%.*s", SLICE_ARG(line));
        cr_assert(slice_to_u64(slice_after(line, slice_find(line, ' ') + 1), &count));
        cr_assert_geq(count, count_before);
        bound_before = bound, count_before = count, lines++;
    }
    cr_assert_eq(lines, HISTOGRAM_OCTAVE_COUNT + 2);
    cr_assert_eq(bound_before, strtod("+Inf", NULL));
    cr_assert_eq(count, histogram_count(&h));
    cr_assert(slice_has_prefix(line, SLICE("weir_h_sum{r=\"x\"} ")));
    cr_assert(slice_next_item(&rest, '\n', &line));
    cr_assert(slice_has_prefix(line, SLICE("weir_h_count{r=\"x\"} ")));
}

Test(expose, a_histogram_counts_each_value_below_its_bound)
{
    struct histogram h = { 0 };
    histogram_add(&h, 63);
    histogram_add(&h, 64);
    histogram_add(&h, 127);
    histogram_add(&h, 128);
    expose_family(&e, EXPOSE_HISTOGRAM, "weir_h", "h");
    expose_histogram(&e, NULL, 0, &h);
    cr_assert(slice_contains(text_slice(&out), SLICE("weir_h_bucket{le=\"6.4e-05\"} 1\n")));
    cr_assert(slice_contains(text_slice(&out), SLICE("weir_h_bucket{le=\"0.000128\"} 3\n")));
    cr_assert(slice_contains(text_slice(&out), SLICE("weir_h_bucket{le=\"0.000256\"} 4\n")));
    cr_assert(slice_contains(text_slice(&out), SLICE("weir_h_sum 0.000382\n")));
}

Test(expose, openmetrics_is_chosen_only_when_accepted)
{
    static const struct {
        const char *accept;
        enum expose_format format;
    } rows[] = {
        { "", EXPOSE_TEXT },
        { "*/*", EXPOSE_TEXT },
        { "text/plain;version=0.0.4", EXPOSE_TEXT },
        { "application/openmetrics-text", EXPOSE_OPENMETRICS },
        { "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3", EXPOSE_OPENMETRICS },
        { "text/plain, Application/OpenMetrics-Text ; q=0.1", EXPOSE_OPENMETRICS },
        { "application/openmetrics-text;q=0", EXPOSE_TEXT },
        { "application/openmetrics-text; q=0.000, */*", EXPOSE_TEXT },
        { "application/openmetrics-textual", EXPOSE_TEXT },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert_eq(expose_format_from_accept(slice_from_cstr(rows[i].accept)), rows[i].format, "%s", rows[i].accept);
    cr_assert_eq(expose_format_from_accept(SLICE_NONE), EXPOSE_TEXT);
}
