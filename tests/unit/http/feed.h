/* unit/http/feed.h - feeds a reader in pieces that end at a guard page, and writes down what it says. */
#ifndef TESTS_UNIT_HTTP_FEED_H
#define TESTS_UNIT_HTTP_FEED_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/text.h"

#include "http/codec.h"

/* What a reader is, and how its input arrives. */
struct feed {
    const struct h1_limits *limits; /* NULL: feed_limits */
    bool is_response;
    enum method request_method; /* of a response */
    bool has_eof;               /* the peer closes behind the last byte */
    bool shows_fields;
    size_t first_bytes, step_bytes; /* the first piece and all others */
};

/* Small enough for tables to reach every one: 256 bytes of line, 1,024 of head, 12 fields. */
extern const struct h1_limits feed_limits;

/* Appends a transcript, the same text however the input was cut. For each message
 *   GET /path?query 1.1 @authority FRAMING keep|close [expect] [upgrade=VALUE] [trailers] [{Name: value|...}]
 *   200 "OK" 1.1 FRAMING ...
 * with FRAMING none, none=0 (Content-Length: 0), length=N, chunked or until-close; then "body", +{trailers}, and how it ended:
 * END, ERROR REASON, or ... when the reader wants more. " / " stands before the next message. */
void feed_run(const struct feed *feed, struct slice bytes, struct text *transcript);

/* Copies into memory whose last byte stands before an unreadable page; valid until the next call. */
struct slice feed_guarded(struct slice bytes);

#endif
