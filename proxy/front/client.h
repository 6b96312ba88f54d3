/* front/client.h - a downstream connection: its life from accept to close, whatever protocol it speaks.
 *
 *   accept --> IDLE --first byte--> ACTIVE --answered, keep-alive--> IDLE
 *               |                     |  \--answered, last---------> LINGERING --FIN or time--> CLOSED
 *               +-- idle_timeout -----+---- error, abort ------------------------------------> CLOSED
 *
 * Owner: the front; freed after the turn in which it is closed. Thread: the worker's. client_set_state alone moves it
 * from list to list. It knows bytes and time; messages are its protocol's (front/client_h1.c, front/client_h2.c), and what is done with a
 * request is front/request.h's.
 *
 *   invariants
 *   L1 between turns: in ACTIVE there is a request (HTTP/2: at least one), in the other states there is none
 *   L2 in IDLE the inbox holds no chunk and the write queue is empty or draining
 *   L3 HTTP/1.1: requests of one connection never overlap: the next one is parsed when the last is finished
 *   L4 HTTP/2: who has something queued between two of its flushes is on front->flush_due
 */
#ifndef FRONT_CLIENT_H
#define FRONT_CLIENT_H

#include "base/units.h"
#include "front/front.h"
#include "net/inbox.h"
#include "net/stream.h"
#include "net/timer.h"
#include "stats/counters.h"

struct client;
struct message;
struct request;

/* How a protocol carries requests over a client's connection. */
struct client_protocol {
    enum stats_protocol stats;

    /* From the connection. Each may close the client. */
    void (*on_readable)(struct client *c); /* not in LINGERING */
    void (*on_drained)(struct client *c);  /* the write queue has room, or is empty; not in LINGERING */
    void (*on_timer)(struct client *c);    /* in IDLE and ACTIVE */
    /* The proxy is stopping: the connection ends as soon as what was begun is answered. In IDLE and ACTIVE. */
    void (*on_drain)(struct client *c);
    /* The client is closing: aborts its requests. */
    void (*on_close)(struct client *c);
    /* The proxy ends: requests under way are answered with REASON_DRAINING, or broken off. */
    void (*cut_off)(struct client *c);

    /* From a request: the answer. All but `flush` only queue. `m` says by its framing what body follows; a 101 has none:
       what follows is the tunnel. */
    void (*send_interim)(struct request *r, const struct message *m);
    void (*send_head)(struct request *r, const struct message *m);
    void (*send_data)(struct request *r, struct chunk *chunk, uint32_t offset, uint32_t length);
    void (*send_end)(struct request *r, const struct message *trailers); /* NULL: none */
    void (*shutdown)(struct request *r);                                 /* a tunnel's FIN, behind what is queued */
    /* Lets what was queued go, now or at the turn's end. May close the client, and abort the request with it. */
    void (*flush)(struct request *r);
    bool (*is_full)(struct request *r); /* pause the source until request_on_drained */
    /* Has the whole answer left the request? Else request_resume follows when it has, or request_abort. */
    bool (*is_delivered)(const struct request *r);
    uint32_t (*queued_bytes)(const struct request *r); /* of its answer */

    /* From a request: its body, or what a tunnel brings. */
    void (*pause)(struct request *r);
    void (*resume)(struct request *r);
    /* Reads and drops what is left of the body from what has already arrived; true when it is complete. */
    bool (*discard_body)(struct request *r);

    /* The request was recorded and is about to be freed: `finish` lets go of it, frees it by request_free, and goes on
       with the connection. r->is_cut: the answer broke off and must not look complete. */
    void (*finish)(struct request *r);
    /* From request_free: lets go of what the protocol keeps of it and in it. */
    void (*forget)(struct request *r);
};

extern const struct client_protocol client_h1, client_h2;

struct client {
    uint32_t magic;
    uint8_t state;        /* enum client_state */
    bool is_recognised;   /* the first bytes were seen to be HTTP/1.1, or the preface of HTTP/2 */
    bool is_processing;   /* HTTP/1.1: client_process is on the stack: finishing a request does not recurse into it */
    bool has_ended;       /* the peer sent FIN */
    bool has_been_served; /* a request of it was answered */
    bool is_close_due;    /* after this answer */
    uint16_t source_port;
    uint32_t watched_bytes; /* without a request: queued when the timer was armed */
    struct list link;       /* in front->clients[state] */
    struct front *front;
    struct front_listener *listener;
    const struct client_protocol *protocol;
    struct request *request; /* HTTP/1.1: in ACTIVE, else NULL */
    struct client_h2 *h2;    /* what HTTP/2 needs; NULL with HTTP/1.1 */
    struct inbox inbox;      /* read and not yet understood: the next request may be there already */
    struct timer timer;      /* IDLE: idle_timeout; ACTIVE: header_timeout, half-close; LINGERING: its end */
    struct mono_time accepted;
    struct mono_time linger_end; /* LINGERING, the answer has left: closed then at the latest */
    struct ip_address source;    /* the peer of the socket, or who its PROXY header says */
    uint32_t limits_place;       /* where it is counted for its source */
    struct deferred deferred;
    struct stream stream;
};

#define CLIENT_MAGIC 0x434c4945u

/* Takes the accepted fd over. limits_enter gave the place; the client leaves it again. */
void client_create(struct front_listener *l, int fd, const struct ip_address *source, uint16_t source_port,
                   uint32_t limits_place);
/* Idempotent. Aborts the request if there is one. */
void client_close(struct client *c);
/* Same, with a reset: an answer that was cut short must not look complete. */
void client_reset(struct client *c);

/* The proxy is stopping. */
void client_drain(struct client *c);
/* The proxy ends: a request under way is answered with that reason, or broken off. */
void client_cut_off(struct client *c);

/* ---- for the protocols ---------------------------------------------------------------------------------------------- */

/* The only way from state to state. */
void client_set_state(struct client *c, enum client_state state);
/* Without a request: on_timer in delay_ms, unless what is queued still leaves then. */
void client_close_in(struct client *c, int64_t delay_ms);
/* No request is left: IDLE, for as long as idle_timeout and max_connection_age allow. */
void client_wait(struct client *c);
/* The last answer is queued. What the peer still sends is read and dropped for a while: closing at once would make the kernel send a
   reset, which may destroy the answer on its way (RFC 9112 9.6). */
void client_linger(struct client *c);
/* HTTP/1.1: in IDLE while the proxy stops: goes, unless a request of it waits to be read. */
void client_drain_idle(struct client *c);
/* What it speaks was not known when it came. */
void client_set_protocol(struct client *c, const struct client_protocol *protocol);
/* Does max_connection_age end it with the answer under way? */
bool client_is_too_old(struct client *c);
/* Does its connection end with what is under way? The proxy drains, or a reload took its listener away. */
bool client_is_leaving(const struct client *c);
/* Writes out what is queued; closes the client when its peer is gone. */
void client_flush(struct client *c);

static inline const struct limits_config *client_limits(const struct client *c)
{
    return &c->front->current->snapshot->config->limits;
}

#endif
