/* http/h1_read.c - the HTTP/1.1 reader: bytes in, events out; which part of a message comes next.
 *
 * The states and their arrows are drawn in codec.h. Heads are h1_head.c's (with h1_start.c for the first line and
 * h1_framing.c for what it all means), chunk sizes h1_chunk.c's. Nothing is kept of the input: what is incomplete is
 * presented again. */
#include "http/codec.h"

#include "http/h1_parts.h"

void h1_reader_init_request(struct h1_reader *r, const struct h1_limits *limits)
{
    *r = (struct h1_reader){ .limits = limits, .state = H1_STATE_HEAD };
}

void h1_reader_init_response(struct h1_reader *r, const struct h1_limits *limits, enum method request_method)
{
    *r = (struct h1_reader){
        .limits = limits, .state = H1_STATE_HEAD, .is_response = true, .request_method = request_method
    };
}

void h1_reader_next(struct h1_reader *r)
{
    *r = (struct h1_reader){
        .limits = r->limits, .state = H1_STATE_HEAD, .is_response = r->is_response, .request_method = r->request_method
    };
}

void h1_reader_check(const struct h1_reader *r)
{
    bool is_error = r->state == H1_STATE_ERROR;
    bool reads_lines = r->state == H1_STATE_HEAD || r->state == H1_STATE_TRAILERS || r->state == H1_STATE_CHUNK_SIZE;
    CHECK(r->line_start_bytes <= r->scanned_bytes);                                                    /* 1 */
    CHECK(is_error || reads_lines || r->scanned_bytes == 0);                                           /* 1 */
    CHECK((r->state != H1_STATE_LENGTH && r->state != H1_STATE_CHUNK_DATA) || r->remaining_bytes > 0); /* 2 */
    CHECK(is_error == (r->reason != REASON_NONE) && is_error == (r->error_detail != NULL));            /* 3 */
}

bool h1_fail(struct h1_reader *r, enum reason reason, const char *detail)
{
    bool is_limit = reason == REASON_TARGET_TOO_LONG || reason == REASON_HEADERS_TOO_LARGE;
    if (r->is_response)
        reason = is_limit ? REASON_UPSTREAM_HEADERS : REASON_UPSTREAM_INVALID;
    r->state = H1_STATE_ERROR;
    r->reason = reason;
    r->error_detail = detail;
    return false;
}

/* Steps over a CRLF; H1_DATA when it was there. */
static enum h1_event take_crlf(struct h1_reader *r, struct slice *input, const char *fault)
{
    if (input->len >= 2 && memcmp(input->ptr, "\r\n", 2) == 0) {
        *input = slice_after(*input, 2);
        return H1_DATA;
    }
    if (input->len == 0 || (input->len == 1 && input->ptr[0] == '\r'))
        return H1_MORE;
    h1_fail(r, REASON_MALFORMED, fault);
    return H1_ERROR;
}

static enum h1_state state_after_head(const struct message *m)
{
    switch (m->framing) {
    case BODY_LENGTH:
        return H1_STATE_LENGTH;
    case BODY_CHUNKED:
        return H1_STATE_CHUNK_SIZE;
    case BODY_UNTIL_CLOSE:
        return H1_STATE_UNTIL_CLOSE;
    case BODY_NONE:
        break;
    }
    if (m->is_response && m->status == 101)
        return H1_STATE_TUNNEL;
    return m->is_response && m->status < 200 ? H1_STATE_HEAD : H1_STATE_END;
}

static enum h1_event head_is_complete(struct h1_reader *r, struct slice *input, struct arena *arena, struct message *m)
{
    *input = slice_after(*input, r->line_start_bytes);
    h1_block_rewind(r);
    if (!(r->is_response ? h1_settle_response(r, m) : h1_settle_request(r, m, arena)))
        return H1_ERROR;
    r->state = state_after_head(m);
    r->remaining_bytes = m->framing == BODY_LENGTH ? m->content_length : 0;
    return H1_HEAD;
}

/* A head that comes in pieces is checked line by line, and parsed into `m` once all of it lies in one place: the owner
   may have moved the bytes between calls, and `m` borrows from them. */
static enum h1_event read_head(struct h1_reader *r, struct slice *input, struct arena *arena, struct message *m)
{
    bool is_resumed = r->line_count > 0;
    if (!r->is_response && !r->has_skipped_line && input->len > 0 && input->ptr[0] == '\r') {
        /* RFC 9112 2.2 asks to ignore at least one empty line in front of a request line; a second one is refused. */
        enum h1_event e = take_crlf(r, input, "CR stands without LF");
        if (e != H1_DATA)
            return e;
        r->has_skipped_line = true;
    }
    enum h1_event e = h1_block_read(r, *input, arena, is_resumed ? NULL : m);
    if (e == H1_END && is_resumed) {
        h1_block_rewind(r);
        e = h1_block_read(r, *input, arena, m);
    }
    return e == H1_END ? head_is_complete(r, input, arena, m) : e;
}

/* Body bytes that are there, up to `limit_bytes`: a view into the input, which the owner may pass on without a copy. */
static enum h1_event take_data(struct h1_reader *r, struct slice *input, uint64_t limit_bytes)
{
    if (input->len == 0)
        return H1_MORE;
    r->data = input->len < limit_bytes ? *input : slice_first(*input, (size_t)limit_bytes);
    *input = slice_after(*input, r->data.len);
    return H1_DATA;
}

static enum h1_event read_counted(struct h1_reader *r, struct slice *input, enum h1_state next)
{
    enum h1_event e = take_data(r, input, r->remaining_bytes);
    if (e == H1_DATA) {
        r->remaining_bytes -= r->data.len;
        if (r->remaining_bytes == 0)
            r->state = next;
    }
    return e;
}

/* First all lines are checked, then kept: trailers are rare, and nothing is allocated for those that never arrive. */
static enum h1_event read_trailers(struct h1_reader *r, struct slice *input, struct arena *arena)
{
    enum h1_event e = h1_block_read(r, *input, arena, NULL);
    if (e != H1_END)
        return e;
    if (r->line_count > 1) {
        r->trailers = arena_alloc(arena, sizeof *r->trailers);
        message_init(r->trailers, arena, 0);
        h1_block_rewind(r);
        h1_block_read(r, *input, arena, r->trailers);
        e = H1_TRAILERS;
    }
    *input = slice_after(*input, r->line_start_bytes);
    h1_block_rewind(r);
    r->state = H1_STATE_END;
    return e;
}

/* Between chunks: up to the next one's data or to the trailer block. */
static enum h1_event read_chunk_head(struct h1_reader *r, struct slice *input)
{
    if (r->state == H1_STATE_CHUNK_CRLF) {
        enum h1_event e = take_crlf(r, input, "no CRLF behind a chunk's data");
        if (e != H1_DATA)
            return e;
        r->state = H1_STATE_CHUNK_SIZE;
    }
    enum h1_event e = h1_chunk_size_read(r, input);
    if (e == H1_DATA)
        r->state = r->remaining_bytes > 0 ? H1_STATE_CHUNK_DATA : H1_STATE_TRAILERS;
    return e;
}

/* Framing between chunks yields no event of its own, so it is stepped over first. */
enum h1_event h1_read(struct h1_reader *r, struct slice *input, struct arena *arena, struct message *message)
{
    if (r->state == H1_STATE_CHUNK_CRLF || r->state == H1_STATE_CHUNK_SIZE) {
        enum h1_event e = read_chunk_head(r, input);
        if (e != H1_DATA)
            return e;
    }
    switch (r->state) {
    case H1_STATE_HEAD:
        return read_head(r, input, arena, message);
    case H1_STATE_LENGTH:
        return read_counted(r, input, H1_STATE_END);
    case H1_STATE_CHUNK_DATA:
        return read_counted(r, input, H1_STATE_CHUNK_CRLF);
    case H1_STATE_TRAILERS:
        return read_trailers(r, input, arena);
    case H1_STATE_UNTIL_CLOSE:
    case H1_STATE_TUNNEL:
        return take_data(r, input, UINT64_MAX);
    case H1_STATE_END:
        return H1_END;
    case H1_STATE_ERROR:
    case H1_STATE_CHUNK_SIZE:
    case H1_STATE_CHUNK_CRLF:
        break;
    }
    return H1_ERROR;
}

enum h1_event h1_read_eof(struct h1_reader *r, size_t pending_bytes)
{
    switch (r->state) {
    case H1_STATE_UNTIL_CLOSE:
    case H1_STATE_TUNNEL:
        r->state = H1_STATE_END;
        return H1_END;
    case H1_STATE_END:
        return H1_END;
    case H1_STATE_ERROR:
        return H1_ERROR;
    case H1_STATE_HEAD:
        if (pending_bytes == 0)
            return H1_MORE;
        break;
    case H1_STATE_LENGTH:
    case H1_STATE_CHUNK_SIZE:
    case H1_STATE_CHUNK_DATA:
    case H1_STATE_CHUNK_CRLF:
    case H1_STATE_TRAILERS:
        break;
    }
    /* Not h1_fail's translation: an upstream that goes away is another fault than one that talks nonsense. */
    h1_fail(r, REASON_CLIENT_ABORTED, "the connection ended inside a message");
    if (r->is_response)
        r->reason = REASON_UPSTREAM_RESET;
    return H1_ERROR;
}
