/* upstream/exchange.h - one request forwarded to one endpoint, its response, and its second try.
 *
 *   exchange_begin --> exchange_try ----------> PENDING     when max_connections is reached
 *                                   ----------> CONNECTING  on a new connection
 *                                   ----------> WAITING     on a pooled one, the head is queued
 *   PENDING    -- exchange_leave_queue -------> exchange_try
 *   CONNECTING -- exchange_on_connected ------> WAITING
 *   WAITING    -- connection_on_head ---------> STREAMING   with a final head
 *   STREAMING  -- connection_on_end ----------> DONE
 *   CONNECTING -- exchange_on_left_out -------> exchange_try, when HTTP/1.1 was agreed on and another came first
 *   WAITING    -- exchange_on_left_out -------> exchange_try, when HTTP/2 was agreed on and takes no tunnels
 *   CONNECTING, WAITING, STREAMING -- connection_fail, connection_fail_connect --> LOST
 *   LOST       -- exchange_on_connect_failed -> exchange_try, or DONE
 *   LOST       -- exchange_on_lost -----------> exchange_try, or DONE
 *   any        -- exchange_cancel ------------> DONE
 *
 * Owner: the request it is embedded in, which fills in what to send and hears what comes back. Thread: the worker's.
 * It borrows a connection and gives it back or closes it; it never outlives its request.
 *
 * What is tried again, and why that is safe: a connect that failed, elsewhere and thrice at most, since nothing was
 * sent; a request that was sent on a reused connection which turns out to be closed, once and on a new connection,
 * when the method is idempotent and there was no body (RFC 9110 9.2.2, RFC 9112 9.3.1); a request of which the endpoint
 * says in HTTP/2 that it did nothing with it, thrice at most, whatever its method, as long as no byte of its body was
 * sent (RFC 9113 8.7).
 *
 *   invariants
 *   X1 `connection` is set exactly in CONNECTING, WAITING, STREAMING
 *   X2 exactly one of on_end, on_failed follows a begin that answered REASON_NONE, unless exchange_cancel comes first
 *   X3 no callback runs inside exchange_begin, exchange_send, exchange_end_request, exchange_cancel, exchange_resume
 */
#ifndef UPSTREAM_EXCHANGE_H
#define UPSTREAM_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/chunk.h"
#include "base/list.h"
#include "base/reason.h"
#include "http/codec.h"
#include "http/h2.h"
#include "upstream/upstream.h"

struct upstream_connection;

#define EXCHANGE_MAX_INFORMATIONAL 16 /* 1xx heads before an answer is called invalid */

/* What the owner hears. The exchange's owner may cancel it inside any of them. */
struct exchange_events {
    /* A head: 1xx ones too (an END follows only the final one). Its slices borrow from the connection until it
       returns. */
    void (*on_head)(struct exchange *x, struct message *response);
    void (*on_data)(struct exchange *x, struct chunk *chunk, uint32_t offset, uint32_t length);
    void (*on_trailers)(struct exchange *x, struct message *trailers);
    /* Everything one read brought was delivered and the response goes on: flush now. */
    void (*on_batch)(struct exchange *x);
    void (*on_end)(struct exchange *x);
    void (*on_failed)(struct exchange *x, enum reason reason);
    /* The queue to the endpoint has room again (after exchange_is_full), or the head has just been queued: the owner adds
       what it has of the body and flushes, so that all leaves together. */
    void (*on_drained)(struct exchange *x);
    /* Tunnels: the endpoint sent FIN; nothing more is read. The owner ends the exchange by exchange_cancel. */
    void (*on_half_closed)(struct exchange *x);
};

enum exchange_state {
    EXCHANGE_NEW,
    EXCHANGE_PENDING,
    EXCHANGE_CONNECTING,
    EXCHANGE_WAITING,   /* for the final response head */
    EXCHANGE_STREAMING, /* its body; also tunnels */
    EXCHANGE_LOST,      /* the connection is gone; the exchange is told in the same callback */
    EXCHANGE_DONE
};

/* Embedded in its owner (a request). The first block is filled in by the owner before exchange_begin. */
struct exchange {
    uint32_t magic;
    const struct exchange_events *events;
    struct upstream *upstream;
    struct arena *arena;           /* the owner's: the response's field array */
    const struct message *request; /* serialized again on a second try */
    struct slice target;           /* what goes on the request line */
    struct h1_write write;         /* the request's framing */
    bool is_tried_once;            /* whatever happens: its head is not needed any more once it was queued */

    enum exchange_state state;
    struct endpoint *endpoint; /* NULL while pending */
    struct upstream_connection *connection;
    struct list link; /* PENDING: in upstream->pending; else in its connection's exchanges */
    struct message response;
    uint8_t informational_count; /* 1xx heads so far */
    uint8_t try_count;           /* tries begun */
    bool is_body_begun;          /* a byte of the request's body, or its end, was queued */
    bool is_request_complete;    /* its last byte was queued */
    bool is_response_begun;      /* a byte of it was seen */
    bool is_tunnel;              /* after a 101 */
    bool is_retried;             /* a second try was begun: its outcome is counted */
    bool is_new_connection_due;  /* the second try must not take one that works */

    struct h2_stream stream; /* HTTP/2: attached once the head was sent, until the answer is complete */
    struct list batch_link;  /* HTTP/2: in the connection's batch: on_batch is due */
    bool is_held;            /* HTTP/2: the head cannot be sent yet */
    bool is_paused;          /* HTTP/2: what comes is not given back to the peer's window */
    bool is_answer_complete; /* HTTP/2: its last byte was seen */
    bool is_end_due;         /* HTTP/2: the end of what we send was queued and is on its way */
};

/* Starts. REASON_NONE: under way. Anything else: refused at once (NO_ENDPOINT, OVERLOADED, UPGRADE_UNSUPPORTED), no callback follows. */
enum reason exchange_begin(struct exchange *x) MUST_CHECK;

/* Body bytes, framed as x->write says. Only in WAITING and STREAMING: before, the owner keeps its source paused. */
void exchange_send(struct exchange *x, struct chunk *chunk, uint32_t offset, uint32_t length);
/* The end of the request's body; trailers may be NULL, and stay the owner's until the exchange is over. */
void exchange_end_request(struct exchange *x, const struct message *trailers);
/* Writes out what was queued; failures are reported later by on_failed. */
void exchange_flush(struct exchange *x);
/* Tunnels: the client sent FIN. */
void exchange_shutdown(struct exchange *x);

/* Can body bytes be taken now? */
static inline bool exchange_is_ready(const struct exchange *x)
{
    return x->state == EXCHANGE_WAITING || x->state == EXCHANGE_STREAMING;
}

bool exchange_is_full(struct exchange *x);
/* Something is queued: on_drained follows when most of it has left, also when it was never full. */
void exchange_await_room(struct exchange *x);
/* Bytes that wait to be written to the endpoint. */
uint32_t exchange_queued_bytes(const struct exchange *x);

/* Stops and goes on reading the response. */
void exchange_pause(struct exchange *x);
void exchange_resume(struct exchange *x);

/* Idempotent. No callback follows; the connection is closed unless the exchange was over. */
void exchange_cancel(struct exchange *x);

#endif
