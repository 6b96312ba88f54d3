/* http/h1_parts.h - what the files of the HTTP/1.1 reader share; nobody else includes it.
 *
 *   h1_read.c     what comes next: the states, the events
 *   h1_head.c     blocks of lines, whose first is
 *   h1_start.c    read as a request or status line; and when the block is complete
 *   h1_framing.c  says what it all means
 *   h1_chunk.c    the line in front of a chunk
 *
 * All of them take the reader and change its offsets; what was consumed is taken off the input by h1_read.c, and of a
 * chunk's line by h1_chunk.c. */
#ifndef HTTP_H1_PARTS_H
#define HTTP_H1_PARTS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/slice.h"

#include "http/codec.h"
#include "http/message.h"

/* h1_read.c: puts the reader into its error state. Always false, so that a check can end with it. Reasons are named as
   for a request; of a response they become UPSTREAM_HEADERS (limits) and UPSTREAM_INVALID (all else). */
bool h1_fail(struct h1_reader *r, enum reason reason, const char *detail);

/* h1_head.c: reads lines up to the empty one that ends a head or a trailer block, from where the reader left off.
   H1_MORE, H1_ERROR, or H1_END with line_start_bytes behind the empty line. `m` NULL: checks the lines and keeps
   nothing. */
enum h1_event h1_block_read(struct h1_reader *r, struct slice input, struct arena *arena, struct message *m);
/* Forgets the block: the next one (or a second pass over this one) starts at the input's first byte. */
void h1_block_rewind(struct h1_reader *r);

/* Where scan_control stopped in a line, `end` when nowhere: at its CRLF, or at what may yet become one? */
static inline bool h1_is_line_end(const char *at, const char *end)
{
    return end - at >= 2 && at[0] == '\r' && at[1] == '\n';
}

static inline bool h1_is_half_line_end(const char *at, const char *end)
{
    return at == end || (at[0] == '\r' && at + 1 == end);
}

/* h1_head.c: why the byte at `at`, neither of both, breaks a line. */
const char *h1_line_fault(const char *at);

/* h1_start.c: the first line of a head, without its CRLF. */
bool h1_request_line(struct h1_reader *r, struct slice line, struct message *m);
bool h1_status_line(struct h1_reader *r, struct slice line, struct message *m);
/* Refuses a first line that cannot become a valid one whatever follows, however little of it is there. */
bool h1_start_is_plausible(struct h1_reader *r, struct slice part);

/* h1_framing.c: what the complete head means: authority, body, connection, expectations. */
bool h1_settle_request(struct h1_reader *r, struct message *m, struct arena *arena);
bool h1_settle_response(struct h1_reader *r, struct message *m);

/* h1_chunk.c: takes a chunk-size line off the input: H1_MORE, H1_ERROR, or H1_DATA with remaining_bytes set. */
enum h1_event h1_chunk_size_read(struct h1_reader *r, struct slice *input);

#endif
