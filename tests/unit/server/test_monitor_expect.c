/* tests/unit/server/test_monitor_expect.c - what is wrong with a monitor's answer is said, and nothing when it is right. */
#include "server/monitors.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#define DAY_MS INT64_C(86400000)

static const struct wall_time now = { INT64_C(1780272000000) };
static struct status_range statuses[] = { { 200, 299 }, { 404, 404 } };
static struct header_set headers[] = { { .name = { "x-version", 9 }, .value = { "2", 1 } } };

/* Everything may be expected; answers are as expected until a test changes them. */
static struct monitor_expect_config expect;
static struct courier_answer answer;
static char complaint[MONITOR_COMPLAINT_BYTES];

static void fixture_init(void)
{
    expect = (struct monitor_expect_config){ .statuses = statuses,
                                             .status_count = 2,
                                             .headers = headers,
                                             .header_count = 1,
                                             .body = SLICE("all is well"),
                                             .latency_ms = 250,
                                             .certificate_days = 14 };
    answer = (struct courier_answer){ .status = 200,
                                      .headers = SLICE("Content-Type: text/plain\nX-Version: 2\n"),
                                      .body = SLICE("here all is well, thanks"),
                                      .latency_us = 250000,
                                      .certificate_ends = { now.unix_ms + 14 * DAY_MS } };
}

TestSuite(monitor_expect, .init = fixture_init);

static void expect_complaint(const char *text)
{
    bool complains = monitor_complains(&expect, &answer, now, complaint);
    cr_expect_str_eq(complaint, text);
    cr_expect_eq(complains, text[0] != '\0');
}

Test(monitor_expect, an_answer_just_good_enough_is_good)
{
    expect_complaint("");
}

Test(monitor_expect, what_is_not_asked_for_may_be_anything)
{
    expect = (struct monitor_expect_config){ .statuses = statuses, .status_count = 2 };
    answer = (struct courier_answer){ .status = 204, .latency_us = INT64_C(3600000000) };
    expect_complaint("");
}

Test(monitor_expect, one_that_did_not_come_is_why)
{
    answer.failure = "Connection refused";
    answer.status = 0;
    expect_complaint("Connection refused");
}

Test(monitor_expect, statuses_are_ranges_with_both_ends)
{
    static const uint16_t good[] = { 200, 299, 404 }, bad[] = { 199, 300, 403, 405 };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        answer.status = good[i];
        expect_complaint("");
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[32];
        answer.status = bad[i];
        snprintf(text, sizeof text, "status %u", bad[i]);
        expect_complaint(text);
    }
}

Test(monitor_expect, headers_are_there_and_as_written)
{
    answer.headers = SLICE("Content-Type: text/plain\n");
    expect_complaint("header x-version is missing");
    answer.headers = SLICE("x-version: 20\n");
    expect_complaint("header x-version is '20'");
}

Test(monitor_expect, the_body_contains_it)
{
    answer.body = SLICE("all is not well");
    expect_complaint("the body does not contain 'all is well'");
    answer.body = SLICE("");
    expect_complaint("the body does not contain 'all is well'");
}

Test(monitor_expect, it_comes_in_time)
{
    answer.latency_us = 250001;
    expect_complaint("it took 250ms");
    answer.latency_us = 3000000;
    expect_complaint("it took 3s");
}

Test(monitor_expect, a_certificate_lasts_long_enough)
{
    answer.certificate_ends.unix_ms = now.unix_ms + 14 * DAY_MS - 1;
    expect_complaint("its certificate ends in 13 days");
    answer.certificate_ends.unix_ms = 0;
    expect_complaint("it showed no certificate");
}

Test(monitor_expect, a_long_complaint_is_cut)
{
    char long_text[2 * MONITOR_COMPLAINT_BYTES];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    answer.failure = long_text;
    cr_expect(monitor_complains(&expect, &answer, now, complaint));
    cr_expect_eq(strlen(complaint), MONITOR_COMPLAINT_BYTES - 1);
}
