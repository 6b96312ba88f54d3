/* tests/unit/base/test_clock.c - RFC 3339 both ways, against the C library's calendar. */
#include "base/clock.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool parse(const char *text, int64_t *unix_ms)
{
    struct wall_time t;
    bool is_valid = wall_parse(text, strlen(text), &t);
    *unix_ms = t.unix_ms;
    return is_valid;
}

Test(clock, reads_rfc_3339)
{
    static const struct {
        const char *text;
        int64_t unix_ms;
    } rows[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-01-01T00:00:00.001Z", 1 },
        { "1969-12-31T23:59:59.999Z", -1 },
        { "2026-11-23T21:45:13.042Z", 1795470313042 },
        { "2026-11-23T22:45:13.042+01:00", 1795470313042 },
        { "2026-11-23T16:15:13.042-05:30", 1795470313042 },
        { "2026-11-23t21:45:13.042z", 1795470313042 },
        { "2026-11-23T21:45:13.0429999Z", 1795470313042 },
        { "2026-11-23T21:45:13.5Z", 1795470313500 },
        { "2000-02-29T00:00:00Z", 951782400000 },
        { "2016-12-31T23:59:60Z", 1483228800000 },
        { "1970-01-01T00:00:00-00:00", 0 },
        { "9999-12-31T23:59:59.999Z", 253402300799999 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t unix_ms;
        cr_assert(parse(rows[i].text, &unix_ms), "%s", rows[i].text);
        cr_assert_eq(unix_ms, rows[i].unix_ms, "%s: %lld", rows[i].text, (long long)unix_ms);
    }
}

Test(clock, refuses_what_is_not_rfc_3339)
{
    static const char *const rows[] = {
        "",
        "2026-11-23",
        "2026-11-23T21:45:13",
        "2026-11-23 21:45:13Z",
        "2026-11-23T21:45Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T21:60:00Z",
        "2026-11-23T21:45:61Z",
        "2026-11-23T21:45:13.Z",
        "2026-11-23T21:45:13,5Z",
        "2026-11-23T21:45:13+0100",
        "2026-11-23T21:45:13+24:00",
        "2026-11-23T21:45:13Z ",
        "26-11-23T21:45:13Z",
        "+026-11-23T21:45:13Z",
    };
    int64_t unix_ms;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_assert_not(parse(rows[i], &unix_ms), "%s", rows[i]);
}

/* Steps of 19 days and a bit visit every month and both kinds of leap year over eight centuries. */
Test(clock, agrees_with_gmtime_and_reads_back_what_it_writes)
{
    for (int64_t ms = -12219292800000; ms < 13569465600000; ms += 1658765433) {
        char out[25], expected[64];
        wall_format((struct wall_time){ ms }, out);
        int64_t in_second = ((ms % 1000) + 1000) % 1000;
        time_t seconds = (time_t)((ms - in_second) / 1000);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)in_second);
        cr_assert_str_eq(out, expected);
        int64_t back;
        cr_assert(parse(out, &back) && back == ms, "%s", out);
    }
}

Test(clock, times_beyond_four_digit_years_are_clipped)
{
    char out[25];
    wall_format((struct wall_time){ INT64_MAX }, out);
    cr_assert_str_eq(out, "9999-12-31T23:59:59.999Z");
    wall_format((struct wall_time){ INT64_MIN }, out);
    cr_assert_str_eq(out, "0000-01-01T00:00:00.000Z");
}

Test(clock, monotonic_time_does_not_go_back)
{
    struct mono_time before = clock_mono();
    for (int i = 0; i < 1000; i++) {
        struct mono_time now = clock_mono();
        cr_assert_not(mono_is_before(now, before));
        before = now;
    }
    cr_assert_eq(mono_diff_us(mono_add_ms(before, 3), before), 3000);
}
