/* http/date.h - the value of Date: an IMF-fixdate (RFC 9110 5.6.7), written once a second.
 *
 * Owner: whoever answers, one per thread (front->date). */
#ifndef HTTP_DATE_H
#define HTTP_DATE_H

#include "base/clock.h"
#include "base/slice.h"

#define HTTP_DATE_BYTES 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* All zero: nothing is written yet. */
struct http_date {
    int64_t unix_s; /* what `text` says */
    char text[HTTP_DATE_BYTES + 1];
};

/* Borrowed, and good until another second is asked for: written out, or copied, in the same turn. Years 0 to 9999. */
struct slice http_date_text(struct http_date *d, struct wall_time now);

#endif
