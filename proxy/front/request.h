/* front/request.h - one request's life, from its first byte to its line in the access log.
 *
 * Owner: the client, which creates it with a request's first byte and is told when it is finished; front/request.c has
 * the steps in between. Thread: the worker's. Freed at once when it is finished (its memory goes to the front's free
 * list), so whoever calls a function below that may finish it does not touch it afterwards: request_on_head,
 * request_on_data, request_on_error, request_on_client_eof, request_abort, request_resume, request_on_scripted,
 * request_refuse.
 *
 * While it lives it pins the binding it began with: configuration and upstreams do not change under it. Weights are
 * looked at once, by `decide`. */
#ifndef FRONT_REQUEST_H
#define FRONT_REQUEST_H

#include "base/arena.h"
#include "base/reason.h"
#include "front/binding.h"
#include "front/client.h"
#include "front/exposure.h"
#include "http/codec.h"
#include "http/h2.h"
#include "http/trace.h"
#include "route/decide.h"
#include "upstream/connection.h"
#include "upstream/exchange.h"

#define REQUEST_MAGIC 0x52455155u

/* What only HTTP/2 keeps of a request; front/client_h2.c's own. */
struct h2_request {
    struct h2_stream stream;
    struct list link;         /* of the client's requests */
    struct list touched_link; /* of those whose exchange is to be flushed when the batch is read */
    struct pieces body;       /* came and was not passed on; at most a stream's window */
    bool is_end_due;          /* the end of the request came, behind `body` */
};

/* Everything the slices point to lives in head_chunk or arena. Up to `view` a new request is all zero; behind it
   stands what its step fills in before anybody reads it. */
struct request {
    uint32_t magic;
    uint8_t step;              /* index into the table of steps in request.c; 0: its head is being read */
    struct request *next_free; /* in the front's free list, when not in use */
    struct client *client;
    struct front *front;
    struct binding *binding;
    struct chunk *head_chunk; /* HTTP/1.1: one reference: the head's slices borrow from it */
    struct arena arena;
    struct timer timer;          /* response timeout, then stream idle timeout */
    struct mono_time answer_due; /* route.timeout runs out then: set when `waits_for` changes */
    uint8_t waits_for;           /* enum request_wait */
    struct mono_time begun;      /* its first byte */
    union {
        struct h1_reader reader; /* HTTP/1.1 */
        struct h2_request h2;    /* HTTP/2 */
    };
    struct decision decision;
    uint32_t series;                     /* what it counts in, from `decide` on; 0: what met no route */
    enum reason reason;                  /* why it did not get its upstream's answer */
    uint16_t status;                     /* sent to the client; 0: none yet */
    enum body_framing response_framing;  /* as written to the client */
    uint64_t received_bytes, sent_bytes; /* of bodies */
    uint64_t watched_bytes;              /* queued to either side when the timer was armed */
    int64_t retry_after_ms;              /* with 429 */
    struct slice endpoint;               /* label of the one that answered, in the arena; empty: none */
    struct message *request_trailers, *response_trailers; /* in the arena; NULL: none */
    struct slice request_id;
    struct exposure exposure;
    struct drill_part *drill;   /* in the arena; NULL: it is not a drill's */
    struct pair *pairs;         /* want its answer, to compare it; NULL: none */
    struct script_call *script; /* in the arena; NULL: the route has none, or was not found yet */
    struct fetch *fetch;        /* what its hook waits for, if for an answer; else NULL */
    struct script_pause *pause; /* front/script.c's own; in the arena */
    bool is_hook_waiting;       /* on_request waits, for an answer or for others that go first */
    struct shadow *shadows;     /* copies that want the rest of the body; NULL: none */
    bool has_encoded_slash;
    bool is_view_known;     /* `view` is filled in */
    bool is_source_trusted; /* the peer is one of the listener's trusted_proxies */
    bool is_head_timed;     /* header_timeout runs */
    bool is_counted;        /* in_flight of its series was raised */
    bool is_body_done;      /* the request was read to its end */
    bool is_answer_begun;   /* a final head was queued for the client */
    bool is_tunnel;
    bool has_client_ended, has_upstream_ended; /* tunnels: FIN seen */
    bool is_close_due;                         /* the connection ends with this answer */
    bool is_cut;                               /* the answer broke off: the client gets a reset */

    struct route_request view; /* the request as routing sees it; filled in by `validate` */
    struct trace_context trace;
    struct message message; /* filled in by the reader with the head */
    struct exchange exchange;
};

/* A request begins with its first byte. */
struct request *request_create(struct client *c);

/* For client_protocol.finish: nothing of it may be touched afterwards. */
void request_free(struct request *r);

/* Gives the free list back to the heap. */
void request_free_all(struct front *f);

/* The head is complete: runs the steps. */
void request_on_head(struct request *r);
void request_on_data(struct request *r, struct chunk *chunk, uint32_t offset, uint32_t length);
/* What came was flushed to the endpoint. Watched from here: what a flush takes at once must not count as movement later. May end a
   tunnel, and the request with it. */
void request_on_flushed(struct request *r);
void request_on_end(struct request *r);
/* The message cannot be read on: answers with the reason if nothing was answered yet. */
void request_on_error(struct request *r, enum reason reason);
/* The client, or its stream, went away: cancels the exchange, records, frees. An incomplete head is recorded only with a reason
   that is the client's fault. */
void request_abort(struct request *r, enum reason reason);

/* Goes on with the next step; called by what a step waited for. */
void request_resume(struct request *r);
/* The hook that it waited for is over; `reason`: what the request ends with. */
void request_on_scripted(struct request *r, enum reason reason);
/* Ends the wait with a reason: an answer of the proxy's own, or a cut connection when an answer has begun. */
void request_refuse(struct request *r, enum reason reason);
/* Arms the timer for what is due next: called whenever a byte moved. */
void request_watch(struct request *r);
/* Is there still an exchange that its body may be of use to? */
bool request_is_forwarded(const struct request *r);
/* May there be one? Its hook waits: what comes of its body is kept, and none of it is given back to the peer's window. */
bool request_may_be_forwarded(const struct request *r);
/* Can body bytes be taken now? Else the client is paused until client_resume. */
bool request_wants_body(struct request *r);
/* The whole answer has left: see client_protocol.is_delivered. May finish the request. */
void request_on_delivered(struct request *r);
/* The client's write queue has room again. */
void request_on_drained(struct request *r);
/* Tunnels: the client sent FIN; request_on_flushed follows. */
void request_on_client_eof(struct request *r);
/* Ends a tunnel when both sides have, and the endpoint's queue is empty: closing would drop it. False: it goes on. */
bool request_end_tunnel(struct request *r);

static inline const struct route_config *request_route(const struct request *r)
{
    return r->decision.route != NULL ? r->decision.route->config : NULL;
}

static inline const struct config *request_config(const struct request *r)
{
    return r->binding->snapshot->config;
}

#endif
