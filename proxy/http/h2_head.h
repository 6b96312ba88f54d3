/* http/h2_head.h - a block of HTTP/2 fields as a message: what RFC 9113 8.2 and 8.3 allow, and nothing else.
 *
 * HPACK gives names and values of any bytes; here they become the neutral message or a refusal. What is accepted can be
 * written as HTTP/1.1 and reads as the same message there: a downgrade smuggles nothing (tests/fuzz/fuzz_h2_head.c).
 * Pure, and without nghttp2: its own checks are switched off, since it drops some bad fields in silence where we refuse
 * the request, and looks at every byte a second time.
 *
 * How the message comes out:
 *   :method, :path      method_name, target, path, query
 *   :authority, host    authority, and one Host line in front; if both are there they must agree (RFC 9113 8.3.1)
 *   :protocol           is_upgrade and upgrade; the method is GET, as in HTTP/1.1 (RFC 8441 5)
 *   :status             status; of an answer to extended CONNECT 200 becomes 101 with is_upgrade
 *   cookie              all crumbs in one line, joined by "; " (RFC 9113 8.2.3)
 *   framing             NONE when the block ends the stream (an answer has a length of 0 then, if it could have a body),
 *                       else LENGTH or CHUNKED (of unknown length)
 *   version             2 in version_major; version_minor is 1, so that nobody takes it for HTTP/1.0 */
#ifndef HTTP_H2_HEAD_H
#define HTTP_H2_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/reason.h"
#include "base/slice.h"

#include "http/codec.h"
#include "http/message.h"

enum h2_block { H2_BLOCK_REQUEST, H2_BLOCK_RESPONSE, H2_BLOCK_TRAILERS };

/* Reads one block; embedded in the session, since blocks of a connection never overlap. All bytes it keeps are copied
   into the arena. Errors are sticky. */
struct h2_head {
    enum h2_block block;
    struct h1_limits limits;
    struct arena *arena;
    struct message *message;
    struct slice method, scheme, authority, path, protocol, status; /* as they came; ptr NULL: not yet */
    size_t line_bytes;                                              /* of pseudo-fields: against request_line_bytes */
    uint32_t bytes;           /* of fields as lines, with what earlier blocks of the stream took: against head_bytes */
    uint32_t crumb_count;     /* Cookie lines */
    uint8_t has_host;         /* a Host line, besides :authority */
    bool has_regular;         /* pseudo-fields may not follow */
    bool is_answerable;       /* the error is one that a status says better than a reset */
    enum reason reason;       /* NONE: no error yet. Named as of a request, see h2_head_reason */
    const char *error_detail; /* with a reason: a static sentence */
};

/* Into `m`, which is emptied. Response: m->method and `upgrade` (the :protocol asked for, ptr NULL: none) are the
   request's. */
void h2_head_begin(struct h2_head *r, enum h2_block block, const struct h1_limits *limits, uint32_t spent_bytes,
                   struct arena *arena, struct message *m);
/* The next field of the block. False after an error. */
bool h2_head_field(struct h2_head *r, struct slice name, struct slice value);
/* The block is complete; `is_end`: END_STREAM stands on it. The message is filled in when this is true. */
bool h2_head_end(struct h2_head *r, bool is_end);
/* The row of reasons.def: UPSTREAM_INVALID or UPSTREAM_HEADERS where it was a response. */
enum reason h2_head_reason(const struct h2_head *r, bool is_response);

#endif
