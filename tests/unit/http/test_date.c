/* unit/http/test_date.c - the value of Date, and that it is written anew only for another second. */
#include "http/date.h"

#include <criterion/criterion.h>

static struct wall_time at(const char *text)
{
    struct wall_time t;
    cr_assert(wall_parse(text, strlen(text), &t));
    return t;
}

static void expect(struct http_date *d, const char *rfc3339, const char *date)
{
    struct slice text = http_date_text(d, at(rfc3339));
    cr_assert(slice_equal(text, slice_from_cstr(date)), "%s is %.*s", rfc3339, SLICE_ARG(text));
}

Test(date, is_an_imf_fixdate)
{
    struct http_date d = { 0 };
    expect(&d, "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMT"); /* RFC 9110 5.6.7 */
    expect(&d, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT");
    expect(&d, "2024-02-29T23:59:59Z", "Thu, 29 Feb 2024 23:59:59 GMT");
    expect(&d, "2026-12-31T12:00:00Z", "Thu, 31 Dec 2026 12:00:00 GMT");
    expect(&d, "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT");
}

Test(date, the_first_second_of_all_is_written_too)
{
    struct http_date d = { 0 };
    expect(&d, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT");
}

Test(date, is_written_once_a_second_and_follows_a_clock_that_is_set_back)
{
    struct http_date d = { 0 };
    expect(&d, "2026-11-25T10:00:00.001Z", "Wed, 25 Nov 2026 10:00:00 GMT");
    d.text[0] = 'X'; /* shows whether it is written again */
    expect(&d, "2026-11-25T10:00:00.999Z", "Xed, 25 Nov 2026 10:00:00 GMT");
    expect(&d, "2026-11-25T10:00:01Z", "Wed, 25 Nov 2026 10:00:01 GMT");
    expect(&d, "2026-11-25T09:59:59Z", "Wed, 25 Nov 2026 09:59:59 GMT");
}
