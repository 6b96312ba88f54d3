/* tests/unit/base/test_units.c - durations, sizes, shares and rates, both ways. */
#include "base/units.h"

#include <criterion/criterion.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

Test(units, durations_are_a_whole_number_and_one_unit)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = { { "0s", 0 },      { "250ms", 250 },  { "10s", 10000 },
                 { "5m", 300000 }, { "1h", 3600000 }, { "30d", 2592000000 },
                 { "007s", 7000 }, { "0ms", 0 },      { "9223372036854775807ms", INT64_MAX } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t ms = -1;
        cr_assert(units_parse_duration(slice_from_cstr(rows[i].text), &ms), "%s", rows[i].text);
        cr_assert_eq(ms, rows[i].ms, "%s", rows[i].text);
    }
}

Test(units, durations_refuse_everything_else)
{
    static const char *const rows[] = { "",
                                        "s",
                                        "10",
                                        "10 s",
                                        " 10s",
                                        "10s ",
                                        "-1s",
                                        "+1s",
                                        "1.5s",
                                        "1h30m",
                                        "10S",
                                        "10sec",
                                        "1us",
                                        "0",
                                        "9223372036854775808ms",
                                        "106751991168d",
                                        "18446744073709551616ms",
                                        "213503982335d" };
    int64_t ms;
    for (size_t i = 0; i < COUNT(rows); i++)
        cr_assert_not(units_parse_duration(slice_from_cstr(rows[i]), &ms), "%s", rows[i]);
}

Test(units, sizes_are_bytes_or_binary_multiples)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = { { "0", 0 },
                 { "512", 512 },
                 { "512B", 512 },
                 { "64KiB", 65536 },
                 { "1MiB", 1 << 20 },
                 { "2GiB", (uint64_t)2 << 30 },
                 { "1TiB", (uint64_t)1 << 40 },
                 { "18446744073709551615", UINT64_MAX },
                 { "16777215TiB", (uint64_t)16777215 << 40 } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t bytes = 1;
        cr_assert(units_parse_size(slice_from_cstr(rows[i].text), &bytes), "%s", rows[i].text);
        cr_assert_eq(bytes, rows[i].bytes, "%s", rows[i].text);
    }
}

Test(units, sizes_refuse_other_units_and_overflow)
{
    static const char *const rows[] = {
        "", "KiB", "1KB", "1k", "1kib", "1 KiB", "-1", "1.5MiB", "0x10", "1MiB ", "18446744073709551616", "16777216TiB"
    };
    uint64_t bytes;
    for (size_t i = 0; i < COUNT(rows); i++)
        cr_assert_not(units_parse_size(slice_from_cstr(rows[i]), &bytes), "%s", rows[i]);
}

Test(units, shares_are_percent_with_up_to_four_decimals)
{
    static const struct {
        const char *text;
        uint32_t ppm;
    } rows[] = { { "0%", 0 },      { "5%", 50000 },        { "0.1%", 1000 },     { "100%", 1000000 },
                 { "0.0001%", 1 }, { "99.9999%", 999999 }, { "12.50%", 125000 }, { "100.0000%", 1000000 } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint32_t ppm = 7;
        cr_assert(units_parse_share(slice_from_cstr(rows[i].text), &ppm), "%s", rows[i].text);
        cr_assert_eq(ppm, rows[i].ppm, "%s", rows[i].text);
    }
}

Test(units, shares_refuse_what_is_no_percentage)
{
    static const char *const rows[] = { "",    "%",         "5",    "0.05",   ".5%",
                                        "5.%", "100.0001%", "101%", "-1%",    "1e2%",
                                        "5 %", "0.00001%",  "5%%",  "1.2.3%", "18446744073709551617%" };
    uint32_t ppm;
    for (size_t i = 0; i < COUNT(rows); i++)
        cr_assert_not(units_parse_share(slice_from_cstr(rows[i]), &ppm), "%s", rows[i]);
}

Test(units, rates_are_a_count_per_second_minute_or_hour)
{
    uint32_t count, period_ms;
    cr_assert(units_parse_rate(SLICE("100/s"), &count, &period_ms));
    cr_assert(count == 100 && period_ms == 1000);
    cr_assert(units_parse_rate(SLICE("5/m"), &count, &period_ms));
    cr_assert(count == 5 && period_ms == 60000);
    cr_assert(units_parse_rate(SLICE("4294967295/h"), &count, &period_ms));
    cr_assert(count == UINT32_MAX && period_ms == 3600000);
    static const char *const rows[] = { "",     "100",  "100/",  "/s",           "0/s",  "1/d",
                                        "1/ms", "-1/s", "1.5/s", "4294967296/s", "1/s/s" };
    for (size_t i = 0; i < COUNT(rows); i++)
        cr_assert_not(units_parse_rate(slice_from_cstr(rows[i]), &count, &period_ms), "%s", rows[i]);
}

static void assert_duration_text(int64_t ms, const char *expected)
{
    char out[32];
    units_format_duration(ms, out, sizeof out);
    cr_assert_str_eq(out, expected);
}

static void assert_size_text(uint64_t bytes, const char *expected)
{
    char out[32];
    units_format_size(bytes, out, sizeof out);
    cr_assert_str_eq(out, expected);
}

static void assert_share_text(uint32_t ppm, const char *expected)
{
    char out[32];
    units_format_share(ppm, out, sizeof out);
    cr_assert_str_eq(out, expected);
}

Test(units, a_span_is_said_in_two_units_at_most)
{
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {
        { INT64_MIN, "0s" },
        { 0, "0s" },
        { 1, "1us" },
        { 999, "999us" },
        { 1000, "1ms" },
        { 2849, "2.8ms" },
        { 9999, "9.9ms" },
        { 10000, "10ms" },
        { 28999, "28ms" },
        { 999999, "999ms" },
        { 1000000, "1s" },
        { 1449999, "1.4s" },
        { 59999999, "59.9s" },
        { 60000000, "1m 00s" },
        { 200000000, "3m 20s" },
        { 3599999999, "59m 59s" },
        { 3600000000, "1h 00m" },
        { 172799999999, "47h 59m" },
        { 172800000000, "2d 00h" },
        { INT64_MAX, "106751991d 04h" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char out[UNITS_SPAN_BYTES];
        units_say_span(rows[i].us, out);
        cr_assert_str_eq(out, rows[i].text);
    }
}

Test(units, formats_are_the_shortest_exact_ones)
{
    assert_duration_text(0, "0s");
    assert_duration_text(1, "1ms");
    assert_duration_text(1500, "1500ms");
    assert_duration_text(90000, "90s");
    assert_duration_text(7200000, "2h");
    assert_duration_text(86400000, "1d");
    assert_duration_text(INT64_MAX, "9223372036854775807ms");
    assert_size_text(0, "0B");
    assert_size_text(65536, "64KiB");
    assert_size_text(65537, "65537B");
    assert_size_text(UINT64_MAX, "18446744073709551615B");
    assert_share_text(0, "0%");
    assert_share_text(1, "0.0001%");
    assert_share_text(1000, "0.1%");
    assert_share_text(10500, "1.05%");
    assert_share_text(1000000, "100%");
}

Test(units, what_is_formatted_is_read_back)
{
    for (uint32_t ppm = 0; ppm <= 1000000; ppm += 37) {
        char out[32];
        uint32_t back;
        units_format_share(ppm, out, sizeof out);
        cr_assert(units_parse_share(slice_from_cstr(out), &back) && back == ppm, "%s", out);
    }
    for (int64_t ms = 1; ms > 0 && ms < INT64_MAX / 3; ms = ms * 3 + 1) {
        char out[32];
        int64_t back;
        units_format_duration(ms, out, sizeof out);
        cr_assert(units_parse_duration(slice_from_cstr(out), &back) && back == ms, "%s", out);
    }
}
