/* http/codec.h - the contract of the HTTP/1.1 codec: bytes in, events out; messages in, bytes out. No I/O.
 *
 * The same code reads both sides, requests from clients and answers from endpoints; only what is refused is named
 * differently. A caller drives it like this:
 *
 *   rest = what has arrived and was not consumed
 *   while ((event = h1_read(&reader, &rest, arena, &message)) != H1_MORE)
 *       act on event; leave after H1_END and H1_ERROR
 *   keep `rest`, contiguous, and come again with more behind it
 *
 * Thread: the caller's. Lifetime: a reader serves one direction of one connection, message after message
 * (h1_reader_next). */
#ifndef HTTP_CODEC_H
#define HTTP_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/reason.h"
#include "base/slice.h"

#include "http/message.h"

struct h1_limits {
    uint32_t request_line_bytes; /* 414 beyond; of a response: its status line */
    uint32_t head_bytes;         /* field lines together, 431 beyond */
    uint16_t field_count;        /* 431 beyond; leave the proxy's own lines room below 65,535 */
};

enum h1_event {
    H1_MORE,     /* everything usable was consumed; come again with what is left plus more bytes */
    H1_HEAD,     /* `message` is filled in; a 1xx response is a HEAD too (an END does not follow it, except 101) */
    H1_DATA,     /* `data` is a run of body bytes inside the input, framing removed */
    H1_TRAILERS, /* `trailers`: only when there is at least one; END follows */
    H1_END,      /* the message is complete, the rest belongs to the next one; until h1_reader_next */
    H1_ERROR     /* `reason` says why; `error_detail` is a static sentence. Sticky. */
};

enum h1_state { /* what comes next on the wire */
                H1_STATE_HEAD,
                H1_STATE_LENGTH, /* remaining_bytes of body */
                H1_STATE_CHUNK_SIZE,
                H1_STATE_CHUNK_DATA, /* remaining_bytes of this chunk */
                H1_STATE_CHUNK_CRLF,
                H1_STATE_TRAILERS,
                H1_STATE_UNTIL_CLOSE,
                H1_STATE_END,    /* END is due */
                H1_STATE_TUNNEL, /* after 101: everything is DATA until the input ends */
                H1_STATE_ERROR
};

/* Reads one side of one connection. Embedded; owns nothing.
 *
 *   HEAD -+- 1xx answer ----------------> HEAD
 *         +- no body -------------------> END
 *         +- Content-Length --> LENGTH -> END
 *         +- chunked -----> CHUNK_SIZE -> CHUNK_DATA -> CHUNK_CRLF -> CHUNK_SIZE
 *         |                     +- size 0 -> TRAILERS -> END
 *         +- 101 -------> TUNNEL ------+- h1_read_eof -> END
 *         +- none of it > UNTIL_CLOSE -+
 *   END - h1_reader_next -> HEAD               any - h1_fail -> ERROR, for good
 *
 * Invariants, asserted by h1_reader_check:
 *   1. line_start_bytes <= scanned_bytes; both are 0 where no line is being read (LENGTH, CHUNK_DATA, END...)
 *   2. LENGTH and CHUNK_DATA have remaining_bytes > 0
 *   3. ERROR if and only if there is a reason, and then there is an error_detail
 *
 * While a block of lines (a head or a trailer block) is incomplete, it stays in the input and the reader keeps offsets:
 *   [0, line_start_bytes) complete lines   [line_start_bytes, scanned_bytes) looked at, no line end   rest: not yet */
struct h1_reader {
    const struct h1_limits *limits;
    uint64_t remaining_bytes;   /* of the length-framed body or of the current chunk */
    struct slice data;          /* with H1_DATA */
    struct message *trailers;   /* with H1_TRAILERS: in the arena; only its fields are set */
    const char *error_detail;   /* with H1_ERROR: a static sentence */
    enum reason reason;         /* with H1_ERROR */
    enum h1_state state;        /* read by the owner, never written */
    enum method request_method; /* responses: of the request answered; the owner sets it before the head */
    uint32_t scanned_bytes, line_start_bytes;
    uint32_t fields_start_bytes; /* of a head: behind its first line */
    uint32_t line_count;         /* complete lines of the block */
    bool is_response;
    bool has_skipped_line; /* the one empty line that may precede a request line */
};

void h1_reader_init_request(struct h1_reader *r, const struct h1_limits *limits);
void h1_reader_init_response(struct h1_reader *r, const struct h1_limits *limits, enum method request_method);
/* Asserts the invariants; for tests, which call it after every event. */
void h1_reader_check(const struct h1_reader *r);
/* Ready for the next message on the same connection. */
void h1_reader_next(struct h1_reader *r);

/* Takes the next event off *input and moves its start behind what was consumed. With H1_MORE the bytes left in *input
   must be presented again, contiguous, with more behind them. A head and a trailer block are consumed whole; `message`
   borrows from the input, its field array and `trailers` come from `arena`. Errors: the message's faults as rows of
   reasons.def (MALFORMED, BAD_HOST, TARGET_TOO_LONG, HEADERS_TOO_LARGE, UNKNOWN_CODING, VERSION_REFUSED,
   METHOD_REFUSED, EXPECTATION; for responses UPSTREAM_INVALID and UPSTREAM_HEADERS). */
enum h1_event h1_read(struct h1_reader *r, struct slice *input, struct arena *arena, struct message *message);

/* The peer sent FIN. H1_END when that ends the message properly (BODY_UNTIL_CLOSE, TUNNEL), H1_MORE between messages
   with nothing begun, H1_ERROR otherwise (CLIENT_ABORTED, UPSTREAM_RESET). `pending_bytes`: unconsumed input. */
enum h1_event h1_read_eof(struct h1_reader *r, size_t pending_bytes);

/* What of the message goes into a head it is written to: see h1_write_request. */
size_t h1_head_bytes(const struct message *m);

/* How the head's connection-level fields are written: the codec writes Content-Length, Transfer-Encoding, Connection,
   TE, Upgrade itself; fields with those ids in the message are never written. */
struct h1_write {
    enum body_framing framing;
    uint64_t content_length; /* with BODY_LENGTH; with BODY_NONE when has_content_length (HEAD, 304) */
    bool has_content_length;
    bool is_close;          /* writes Connection: close (or, to an HTTP/1.0 peer, no keep-alive) */
    bool is_keep_alive_1_0; /* the peer speaks HTTP/1.0 and asked: write Connection: keep-alive */
    struct slice upgrade;   /* not empty: Connection: upgrade and Upgrade: value */
    bool wants_trailers;    /* TE: trailers and its Connection option */
};

/* Of a request that goes on with the body, the upgrade and the trailers it came with. */
static inline struct h1_write h1_write_of(const struct message *m)
{
    return (struct h1_write){ .framing = m->framing,
                              .content_length = m->content_length,
                              .has_content_length = m->has_content_length,
                              .upgrade = m->is_upgrade ? m->upgrade : SLICE_NONE,
                              .wants_trailers = m->wants_trailers };
}

/* Serialize the head from the parsed message (never copied text): request line from method_name and `target`, status
   line from status and reason phrase (NULL: the standard one), then the fields that are not dropped, then framing.
   Always HTTP/1.1. Returns bytes written, 0 when `capacity` is too small: h1_head_bytes(m) + 256 suffices, plus the
   lengths of a `target` or `upgrade` that are not the message's own. CHECKs that no name, value or phrase holds a
   control but HTAB and that the target is one: parsed ones are; what comes from elsewhere is validated before it gets
   here. */
size_t h1_write_request(const struct message *m, struct slice target, const struct h1_write *w, char *out,
                        size_t capacity);
size_t h1_write_response(const struct message *m, const struct h1_write *w, char *out, size_t capacity);
/* "1a2b\r\n" for a chunk of `bytes` (> 0): at most 18 characters. The data is followed by "\r\n". */
size_t h1_write_chunk_size(uint64_t bytes, char out[18]);
/* "0\r\n", trailer fields if any (NULL: none), "\r\n"; 0 when `capacity` is too small. */
size_t h1_write_last_chunk(const struct message *trailers, char *out, size_t capacity);

/* The standard reason phrase of a status, "" when there is none. */
struct slice h1_reason_phrase(uint16_t status);

#endif
