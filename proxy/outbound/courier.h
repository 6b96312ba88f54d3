/* outbound/courier.h - HTTP requests that the main thread sends and does not wait for: gates, queries, notices.
 *
 * libcurl may wait for a name server, so it gets a thread of its own. An errand goes there, its answer comes back by mail
 * into the loop of who sent it. No errand shares its connection with another at the same time, so that none waits for what
 * libcurl or the peer makes of the other. At most COURIER_ERRANDS_MAX are under way: past that an errand is refused at once, and
 * who sends it treats that as any other failure.
 *
 *   main: courier_send -> thread: http_multi -> mailbox -> main: done(arg, answer)     exactly once, never before send returns
 *
 * Owner and thread: main, for every call. done is not called any more once courier_stop has begun. */
#ifndef OUTBOUND_COURIER_H
#define OUTBOUND_COURIER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/slice.h"
#include "outbound/http_multi.h"

struct loop;
struct courier;

#define COURIER_ERRANDS_MAX 256u
#define COURIER_ANSWER_MAX  (256u * 1024) /* bytes of a body that are kept; a longer one is a failure */
#define COURIER_HEAD_MAX    (64u * 1024)  /* bytes of headers that are kept; what comes behind is left out */

struct courier_answer {
    const char *failure;  /* one line why no whole answer came; NULL: it did */
    uint16_t status;      /* 0: no head came */
    struct slice headers; /* "name: value" and a newline for each */
    struct slice body;
    int64_t latency_us;                /* to its end, without what the connection took; 0: there was no connection */
    struct wall_time certificate_ends; /* of the peer; 0: no TLS, or it was not asked for */
};

/* Everything is copied. */
struct courier_errand {
    struct slice url; /* http:// or https://, path and query included */
    struct slice method;
    struct slice content_type, body;   /* "": none */
    const struct http_header *headers; /* beside Content-Type; User-Agent is weir's unless it is among them */
    size_t header_count;
    int64_t timeout_ms;     /* for all of it, > 0 */
    const char *connect_to; /* as in http_send, also the next two */
    const struct http_tls *tls;
    bool is_http2, is_alone;
    void (*done)(void *arg, uint64_t ticket, const struct courier_answer *answer);
    void *arg;       /* outlives the courier */
    uint64_t ticket; /* the sender's own */
};

struct courier *courier_start(struct loop *loop);
void courier_stop(struct courier *c);

/* False: too many are under way. A URL that cannot be used fails like a connection. */
bool courier_send(struct courier *c, const struct courier_errand *errand) MUST_CHECK;

/* The value of the first header with that name; false: there is none. */
bool courier_answer_header(const struct courier_answer *answer, struct slice name, struct slice *value);

#endif
