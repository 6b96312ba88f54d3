/* tests/unit/upstream/fixture.h - an upstream whose endpoints the test plays, and exchanges that tell what they heard.
 *
 * Sockets and loop are real, threads there are none: the test turns the loop, and after every turn house_check and
 * call_check assert the invariants of proxy/upstream/ (U1 to X3). */
#ifndef TESTS_UPSTREAM_FIXTURE_H
#define TESTS_UPSTREAM_FIXTURE_H

#include "http/message.h"
#include "stats/counters.h"
#include "upstream/connection.h"
#include "upstream/exchange.h"
#include "upstream/places.h"
#include "upstream/upstream.h"

#include <criterion/criterion.h>

#define HOUSE_ENDPOINTS_MAX 8
#define HOUSE_CALLS_MAX     16
#define HOUSE_UPSTREAM_ID   3
#define TURNS_MOST          3000 /* of 10 ms when nothing happens: then something hangs */

/* One worker's world with the upstream `a`. */
struct house {
    struct loop *loop;
    struct stats_worker *stats;
    struct upstream_set set;
    struct upstream *upstream;
    struct upstream_config config; /* for house_apply */
    struct endpoint_config endpoints[HOUSE_ENDPOINTS_MAX];
    struct tls_context *tls; /* for house_apply; NULL: plain text */
    char labels[HOUSE_ENDPOINTS_MAX][32];
    uint32_t stats_ids[HOUSE_ENDPOINTS_MAX];
    int listeners[HOUSE_ENDPOINTS_MAX]; /* -1: none */
    struct call *calls[HOUSE_CALLS_MAX];
    uint32_t call_count;
    struct timer tick; /* ends a turn in which nothing happens */
};

/* An endpoint for each letter: L listens, R refuses, H hangs (its queue is full), N is a name, which has no
   address and so no endpoint before house_resolve. */
void house_open(struct house *h, const char *plan);
/* Everything must be over; asserts that nothing is left. */
void house_close(struct house *h);
/* The configuration as it stands now, as by a reload. */
void house_apply(struct house *h);
void house_turn(struct house *h);
/* So many turns: for what must not happen. */
void house_turns(struct house *h, int count);
struct endpoint *house_endpoint(const struct house *h, uint32_t index);
uint32_t house_pending_count(const struct house *h);
bool house_is_down(const struct house *h, uint32_t index);
/* The name that the letter at `name` stands for has the address of the letter at `listener`. */
void house_resolve(struct house *h, uint32_t name, uint32_t listener);
uint64_t house_stat(const struct house *h, enum stats_upstream_cell cell);

#define TURN_UNTIL(h, condition)                                                                                       \
    do {                                                                                                               \
        for (int turn_ = 0; !(condition); turn_++) {                                                                   \
            cr_assert_lt(turn_, TURNS_MOST, "still not so: %s", #condition);                                           \
            house_turn(h);                                                                                             \
        }                                                                                                              \
    } while (0)

/* An exchange and its owner. */
struct call {
    struct exchange x;
    struct house *house;
    struct arena arena;
    struct message request;
    char target[8];
    /* What the owner heard: D drained, i interim head, h final head, d data (once for a run), t trailers, e end,
       f failed, c half-closed. Batches are not told. */
    char heard[64];
    char cancel_at;                 /* cancels inside that callback; 0: never. B: on_batch */
    void (*on_end)(struct call *c); /* more to do then; NULL: nothing */
    bool is_inside;                 /* a function of the exchange is on the stack: nothing may be heard (X3) */
    uint16_t status;
    enum reason reason;
    char body[256];
    uint32_t body_bytes;
};

/* A request with target /NAME, not begun. */
void call_init(struct call *c, struct house *h, enum method method, const char *name);
/* Whatever can leave has left: tests stand between two turns, and what waits for a turn's end would wait for another. */
void call_flush(struct call *c);
/* Begins and flushes. */
enum reason call_begin(struct call *c);
/* A GET on its way. */
void call_start(struct call *c, struct house *h, const char *name);
void call_cancel(struct call *c);
/* A piece of the request's body, flushed. */
void call_send(struct call *c, const char *text);
bool call_is_over(const struct call *c);

/* The endpoint's side. Sockets block, for at most 30 s. */
int peer_accept(const struct house *h, uint32_t index);
bool peer_has_connection(const struct house *h, uint32_t index);
/* Reads a head, which must be of a request for /NAME. */
void peer_expect(int fd, const char *name);
void peer_send(int fd, const char *text);
/* Accepts, expects, and answers 200 with the body "ok". */
int peer_serve(const struct house *h, uint32_t index, const char *name);
void peer_answer(int fd, const char *name);
void peer_reset(int fd);
/* Reads up to the proxy's end of the connection; anything in front of it fails the test. */
void peer_expect_end(int fd);

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* A whole exchange on a new connection, which stays pooled: the endpoint's side of it. */
int house_pool_one(struct house *h, uint32_t index);

#endif
