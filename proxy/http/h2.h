/* http/h2.h - the contract of the HTTP/2 codec: one connection's session, either role. Bytes in, events out; messages
 * and body pieces in, bytes out. No I/O, no clock.
 *
 * What goes in and comes out is what the HTTP/1.1 codec has: the neutral message and struct h1_write (http/codec.h),
 * so that whoever routes and forwards need not know what the other side speaks. An owner, the connection of a client
 * or of an upstream, drives it like this:
 *
 *   bytes arrived:         h2_receive(h, bytes, now), which calls events; they answer with the h2_send_* functions
 *   at the turn's end:     h2_send(h, budget), once for all streams, which calls the output; then one flush. Earlier
 *                          too, outside of events, while what is to be sent is still in the caches
 *   either said H2_OVER:   h2_send once more, flush, h2_close(h), close the connection
 *   the connection broke:  h2_close(h)
 *
 * Streams (struct h2_stream) are embedded in what they serve, a request or an exchange. A stream is attached from
 * on_begin or h2_begin until on_closed, h2_reset or h2_close; only while it is attached, events come for it.
 *
 *   what the peer sends                               what we send
 *
 *   HEAD --on_head (1xx)--> HEAD                      HEAD --h2_send_head (1xx)--> HEAD
 *   HEAD --on_head--------> BODY                      HEAD --h2_send_head, h2_begin--> BODY
 *   HEAD --on_refused-----> REFUSED (read away)       HEAD --the same, without a body--> END
 *   BODY --on_data--------> BODY                      BODY --h2_send_data--> BODY
 *   BODY --on_trailers----> BODY                      BODY --h2_send_end---> END
 *   BODY --on_end---------> END                       END is on its way until h2_send has written all of it
 *
 *   both at END, or the answer at END on the server: on_closed (H2_COMPLETE)
 *   any state --peer, protocol or connection fails--> on_closed (another cause)
 *   any state --h2_reset----------------------------> detached; no event follows
 *
 * Invariants, asserted by h2_check:
 *   1. a stream is on its session's list if and only if `session` is set; then it has an id, and no other one has it
 *   2. a detached stream has an empty queue
 *   3. unconsumed_bytes <= limits.stream_window_bytes
 *   4. bytes are queued only in BODY and END of what we send
 *
 * Events and what they may do. Inside of any event the owner may call every function of this header on this session
 * and its streams, with these exceptions: h2_receive, h2_send, h2_close and h2_destroy. A stream that was
 * reset, also the event's own, gets no event any more, so its memory may go at once. After h2_goaway no event comes
 * but on_closed. Order for one stream: on_begin, on_head (several times for 1xx), on_data, on_trailers, on_end, each
 * only after the one before; on_closed is the last. on_room comes only out of h2_send, on_closed out of both.
 *
 * Bodies in: on_data has slices inside the bytes given to h2_receive, framing removed: who passes them on makes
 * (chunk, offset, length) of them. The peer may send stream_window_bytes more than were given back by h2_consume, so
 * a request that waits holds no more than that. The connection's window is given back on receipt: one stream that
 * waits starves no other.
 *
 * Bodies out: queued by reference, as far as the peer's windows and h2_send's budget allow they leave. Above
 * H2_HIGH_BYTES h2_is_full says so; on_room follows below H2_LOW_BYTES.
 *
 * Whose output is stuck should stop reading: what the peer makes us answer waits in nghttp2's queues. They are bounded,
 * by the guard and by 256 answers to PING and SETTINGS, past which the session ends.
 *
 * Owner: a client, or an upstream connection. Thread: one worker. Nothing is allocated in steady state: nghttp2's
 * memory comes from the worker's struct h2_pool. */
#ifndef HTTP_H2_H
#define HTTP_H2_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/chunk.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/pieces.h"
#include "base/reason.h"
#include "base/slice.h"

#include "http/codec.h"
#include "http/message.h"

#define H2_HIGH_BYTES   (64u * 1024) /* queued in one stream above it: the source should pause */
#define H2_LOW_BYTES    (16u * 1024) /* below it: on_room */
#define H2_PREFACE      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_STREAM_MAGIC 0x48325354u

struct h2;
struct h2_pool;
struct h2_stream;

enum h2_role { H2_SERVER, H2_CLIENT };

/* RFC 9113 7. */
enum h2_error {
    H2_NO_ERROR = 0,
    H2_PROTOCOL_ERROR = 1,
    H2_INTERNAL_ERROR = 2,
    H2_FLOW_CONTROL_ERROR = 3,
    H2_STREAM_CLOSED = 5,
    H2_REFUSED_STREAM = 7,
    H2_CANCEL = 8,
    H2_CONNECT_ERROR = 10,
    H2_ENHANCE_YOUR_CALM = 11,
    H2_HTTP_1_1_REQUIRED = 13
};

enum h2_status {
    H2_OPEN,
    H2_OVER /* nothing is read any more: flush what h2_send has, then close */
};

/* Copied at h2_create. */
struct h2_limits {
    struct h1_limits head;                  /* request_line_bytes is for :path */
    uint32_t max_streams;                   /* of the peer's, at a time; the server announces it */
    uint32_t stream_window_bytes;           /* how much of a body may wait for h2_consume, one stream */
    uint32_t connection_window_bytes;       /* in flight together */
    uint32_t guard_burst, guard_per_second; /* of frames that do no work: h2_guard.h */
};

/* 128 streams, 64 KiB and 1 MiB of window, and a guard that no client at work meets. */
struct h2_limits h2_limits_with(const struct h1_limits *head);

/* How a stream ended. */
enum h2_cause {
    H2_COMPLETE,   /* request and answer went through, or the answer was complete before the request */
    H2_PEER_RESET, /* RST_STREAM from the peer */
    H2_MALFORMED,  /* the peer broke the rules in this stream; it was reset */
    H2_LOST        /* the connection failed, or the peer's GOAWAY or limits leave no room for it */
};

struct h2_closing {
    enum h2_cause cause;
    uint32_t error;     /* on the wire, enum h2_error; 0 when there was none */
    enum reason reason; /* as the HTTP/1.1 reader names it; NONE when complete */
    const char *detail; /* a static sentence */
    bool
        is_unprocessed; /* client: the peer surely did nothing with it: may be tried again, even a POST (RFC 9113 8.7) */
};

struct h2_events {
    /* Server: a request begins. The owner answers an initialised stream, or NULL: refused, may be tried again. */
    struct h2_stream *(*on_begin)(struct h2 *h);
    /* A head is complete, in s->message. Client: 1xx too, and the same message is filled again for the next one. */
    void (*on_head)(struct h2_stream *s);
    /* Server: the head is one that is to be answered with an error (431, 417, 501...), by h2_send_head and so on. What
       else comes of the request is thrown away; malformed ones never get here but end by on_closed. */
    void (*on_refused)(struct h2_stream *s, enum reason reason, const char *detail);
    void (*on_data)(struct h2_stream *s, struct slice data);
    /* At least one field, in the stream's arena; on_end follows. */
    void (*on_trailers)(struct h2_stream *s, struct message *trailers);
    void (*on_end)(struct h2_stream *s);
    /* The stream is detached. */
    void (*on_closed)(struct h2_stream *s, const struct h2_closing *how);
    void (*on_room)(struct h2_stream *s);
    /* The rest may be NULL. The peer takes no new streams: those it did not process were or will be closed. */
    void (*on_goaway)(struct h2 *h, uint32_t error);
    void (*on_settings)(struct h2 *h); /* what h2_can_begin and h2_can_upgrade answer may have changed */
    void (*on_pong)(struct h2 *h);     /* the answer to h2_ping */
};

/* Where bytes go, in order: copied framing, and body bytes of which the receiver takes a reference. */
struct h2_output {
    void (*write)(void *owner, const void *bytes, uint32_t length);
    void (*push)(void *owner, struct chunk *chunk, uint32_t offset, uint32_t length);
};

/* Embedded in a request (server) or an exchange (client). Others read only what is said to be theirs. */
struct h2_stream {
    uint32_t magic;
    int32_t id;                         /* read by the owner, for logs; kept when detached */
    struct h2 *session;                 /* read by the owner; NULL: detached */
    struct arena *arena;                /* the owner's: heads and trailers are copied into it */
    struct message *message;            /* the owner's: filled in before on_head */
    struct list link;                   /* of the session's streams */
    struct list room_link;              /* of those that wait for on_room */
    struct pieces out;                  /* of the body; out.bytes may be read */
    const struct message *out_trailers; /* the owner's, until the stream is detached; NULL: none */
    uint64_t received_bytes;            /* of the body */
    uint64_t expected_bytes;            /* Content-Length; UINT64_MAX: not announced */
    uint32_t unconsumed_bytes;
    uint32_t head_bytes;        /* of all heads and trailers so far */
    uint8_t read_state;         /* enum h2_read_state, h2_parts.h */
    uint8_t write_state;        /* enum h2_write_state, h2_parts.h */
    enum method request_method; /* client: what the answer answers */
    struct slice upgrade;       /* client: the :protocol asked for */
    bool is_tunnel;             /* extended CONNECT: bytes both ways, no message ends */
    bool is_head_written;       /* client: HEADERS left; server: the answer's */
    bool is_above_high;         /* owner waits for on_room */
};

/* ---- sessions ------------------------------------------------------------------------------------------------------ */

/* One per worker; outlives its sessions. The pools are the worker's. */
struct h2_pool *h2_pool_create(struct pieces_pool *pieces, struct chunk_pool *chunks);
void h2_pool_destroy(struct h2_pool *pool);
/* Sessions alive; zero after a drain. */
uint32_t h2_pool_live_count(const struct h2_pool *pool);

/* The preface and SETTINGS leave with the first h2_send. `events` and `output` stay the owner's. */
struct h2 *h2_create(struct h2_pool *pool, enum h2_role role, const struct h2_limits *limits,
                     const struct h2_events *events, const struct h2_output *output, void *owner);
/* The connection is no more: every attached stream gets on_closed (H2_LOST). Idempotent; afterwards nothing but h2_destroy
   has an effect. */
void h2_close(struct h2 *h);
/* After h2_close, never inside an event. */
void h2_destroy(struct h2 *h);
void *h2_owner(const struct h2 *h);

/* Reads all of `bytes` (server: the preface first). Time is monotonic and only for the guard. */
enum h2_status h2_receive(struct h2 *h, struct slice bytes, struct mono_time now) MUST_CHECK;
/* Hands to the output what is ready, and stops after about `budget_bytes`. */
enum h2_status h2_send(struct h2 *h, size_t budget_bytes) MUST_CHECK;
/* Would h2_send write anything now? Cheap. */
bool h2_has_output(const struct h2 *h);
/* Is one of h2_receive and h2_send under way, so that neither may be called? */
bool h2_is_inside(const struct h2 *h);

/* Streams attached. */
uint32_t h2_stream_count(const struct h2 *h);
/* Why it is over: the error we or the peer gave, and a static sentence ("" when there is none). For logs. */
uint32_t h2_failure(const struct h2 *h, const char **detail);

/* Server: drains in two steps (RFC 9113 6.8): GOAWAY without a limit now, the real one when the PING behind it came
   back; streams go on, and H2_OVER follows the last. Client: no new streams begin. Idempotent. */
void h2_shutdown(struct h2 *h);
/* Ends at once: GOAWAY, then H2_OVER. Attached streams stay until h2_close. */
void h2_goaway(struct h2 *h, enum h2_error error);
void h2_ping(struct h2 *h);
/* Asserts the invariants; for tests. */
void h2_check(const struct h2 *h);

/* ---- streams ------------------------------------------------------------------------------------------------------- */

/* Arena and message are the owner's and outlive the stream's attachment. */
void h2_stream_init(struct h2_stream *s, struct arena *arena, struct message *message);

/* Client: may h2_begin be called? No after GOAWAY, at the peer's limit of streams, and when ids are used up. */
bool h2_can_begin(const struct h2 *h);
/* Client: how many streams the peer allows at a time; 100 until it says so, UINT32_MAX: any number. */
uint32_t h2_peer_max_streams(const struct h2 *h);
/* No stream will ever begin again: GOAWAY, or ids are used up. */
bool h2_is_closing(const struct h2 *h);
/* Client: the peer takes extended CONNECT (RFC 8441); known after its first SETTINGS. */
bool h2_can_upgrade(const struct h2 *h);
/* Client: sends a request. Target and scheme become :path and :scheme; Host becomes :authority. `w` as for
   h1_write_request: BODY_NONE ends the request; `upgrade` makes it an extended CONNECT. False when there is no room
   (h2_can_begin). The message may go when this returns. */
bool h2_begin(struct h2 *h, struct h2_stream *s, const struct message *m, struct slice target, struct slice scheme,
              const struct h1_write *w) MUST_CHECK;

/* Server: sends a head, 1xx too. `w` as for h1_write_response: with BODY_NONE it is the end, but for 1xx; a 101
   answers an extended CONNECT and opens the tunnel. The message may go when this returns. Before the request's end the
   answer may be complete: the rest of the request is then refused with NO_ERROR (RFC 9113 8.1). */
void h2_send_head(struct h2_stream *s, const struct message *m, const struct h1_write *w);
/* Queues bytes [offset, offset + length) by a reference of its own; short ones behind others by a copy. */
void h2_send_data(struct h2_stream *s, struct chunk *chunk, uint32_t offset, uint32_t length);
void h2_send_copy(struct h2_stream *s, struct slice bytes);
/* Behind what is queued. `trailers` (NULL: none) are the owner's and stay until the stream is detached. Of a tunnel only our
   direction ends. */
void h2_send_end(struct h2_stream *s, const struct message *trailers);

/* So many bytes from on_data were passed on. */
void h2_consume(struct h2_stream *s, uint32_t bytes);
/* Detaches the stream, drops its queue, and tells the peer. Harmless on a detached one. */
void h2_reset(struct h2_stream *s, enum h2_error error);

/* Above the high mark: pause the source until on_room. */
static inline bool h2_is_full(struct h2_stream *s)
{
    if (s->out.bytes > H2_HIGH_BYTES)
        s->is_above_high = true;
    return s->is_above_high;
}

#endif
