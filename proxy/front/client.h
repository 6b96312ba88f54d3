/* front/client.h - a downstream HTTP/1.1 connection: reads requests one after the other, in order.
 *
 *   accept --> IDLE --first byte--> ACTIVE --answered, keep-alive--> IDLE
 *               |                     |  \--answered, last---------> LINGERING --FIN or time--> CLOSED
 *               +-- idle_timeout -----+---- error, abort ------------------------------------> CLOSED
 *
 * Owner: the front; freed after the turn in which it is closed. Thread: the worker's. client_set_state alone moves it
 * from list to list. It knows bytes and messages; what is done with a request is front/request.h's.
 *
 *   invariants
 *   L1 request is set exactly in ACTIVE
 *   L2 in IDLE the inbox holds no chunk and the write queue is empty or draining
 *   L3 requests of one connection never overlap: the next one is parsed when the last is finished
 */
#ifndef FRONT_CLIENT_H
#define FRONT_CLIENT_H

#include "base/units.h"
#include "front/front.h"
#include "net/inbox.h"
#include "net/stream.h"
#include "net/timer.h"

struct client {
    uint32_t magic;
    uint8_t state;        /* enum client_state */
    bool is_processing;   /* client_process is on the stack: finishing a request does not recurse into it */
    bool has_ended;       /* the peer sent FIN */
    bool has_been_served; /* a request of it was answered */
    bool is_close_due;    /* after this answer */
    uint16_t source_port;
    uint32_t watched_bytes; /* without a request: queued when the timer was armed */
    struct list link;       /* in front->clients[state] */
    struct front *front;
    struct front_listener *listener;
    struct request *request; /* ACTIVE, else NULL */
    struct inbox inbox;      /* read and not yet understood: the next request may be there already */
    struct timer timer;      /* IDLE: idle_timeout; ACTIVE: header_timeout, half-close; LINGERING: its end */
    struct mono_time accepted;
    struct ip_address source; /* the peer of the socket */
    struct deferred deferred;
    struct stream stream;
};

/* Takes the accepted fd over. limits_enter was called for the source; the client leaves again. */
void client_create(struct front_listener *l, int fd, const struct ip_address *source, uint16_t source_port);
/* Idempotent. Aborts the request if there is one. */
void client_close(struct client *c);
/* Same, with a reset: an answer that was cut short must not look complete. */
void client_reset(struct client *c);

/* The proxy is stopping: an idle client goes, unless a request of it waits to be read. */
void client_drain(struct client *c);

/* The proxy ends: a request under way is answered with that reason, or broken off. */
void client_cut_off(struct client *c);

/* From the request. */
void client_on_request_finished(struct client *c);
/* Bytes of its body are wanted again. */
void client_resume(struct client *c);
void client_pause(struct client *c);
/* Writes out what the request queued. */
void client_flush(struct client *c);
/* Reads and drops what is left of the request's body from what has already arrived; true when it is complete. */
bool client_discard_body(struct client *c);

#endif
