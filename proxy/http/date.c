/* http/date.c - the value of Date: an IMF-fixdate (RFC 9110 5.6.7), written once a second.
 *
 * Not by strftime, whose names of days and months are the locale's. */
#include "http/date.h"

#include <stdio.h>
#include <time.h>

static void write_text(struct http_date *d)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm;
    time_t seconds = (time_t)d->unix_s;
    gmtime_r(&seconds, &tm);
    /* The remainders change nothing: they tell the compiler how long the text is at most. */
    snprintf(d->text, sizeof(d->text), "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + 3 * tm.tm_wday,
             (unsigned)tm.tm_mday % 100, months + 3 * tm.tm_mon, (unsigned)(tm.tm_year + 1900) % 10000,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

struct slice http_date_text(struct http_date *d, struct wall_time now)
{
    int64_t unix_s = now.unix_ms / 1000;
    if (d->unix_s != unix_s || d->text[0] == '\0') {
        d->unix_s = unix_s;
        write_text(d);
    }
    return slice_from(d->text, HTTP_DATE_BYTES);
}
