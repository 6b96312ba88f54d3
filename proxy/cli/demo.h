/* cli/demo.h - the parts of `weir demo`: three origins, the traffic, and the proxy between them as a child process.
 *
 * Origins and traffic share one loop in the demo's only thread; the proxy runs in a child, forked before that loop exists, so
 * what is measured is a server like any other. Everything listens on 127.0.0.1.
 *
 *        the demo's process                          its child
 *   demo_traffic   one connection a request  -->  `weir run`: port, admin_port
 *   demo_origin x 3   <--  pooled connections         |
 *
 * Order: origins are bound, then the proxy's ports found and its file written, then the fork, then the loop. Owner of everything is
 * struct demo in demo.c; each part's stop is safe in any state after its start. */
#ifndef CLI_DEMO_H
#define CLI_DEMO_H

#include <netinet/in.h>
#include <sys/types.h>

#include "http/codec.h"
#include "net/listener.h"
#include "net/stream.h"

enum demo_upstream { DEMO_STABLE, DEMO_CANARY, DEMO_DARK, DEMO_UPSTREAM_COUNT };
extern const char *const demo_upstream_names[DEMO_UPSTREAM_COUNT];

/* ---- one HTTP/1.1 connection, either side ------------------------------------------------------------------------------ */

/* Embedded in an origin's connection and in a visit. One chunk is its whole input:

     bytes   0 ......... start ........... used ......... end of the chunk
             parsed      read, not parsed  room for the next read

   What is parsed is dropped by the next read, which moves the rest to the front; so a message's slices hold until then. */
struct demo_peer {
    struct stream stream;
    struct h1_reader reader;
    struct message message; /* the head read last; valid until demo_peer_finish_message */
    struct arena arena;
    struct chunk *in; /* bytes [start, used) are read and not parsed yet */
    uint32_t start;
};

void demo_peer_init(struct demo_peer *p, struct loop *loop);
void demo_peer_close(struct demo_peer *p);
/* Reads what the kernel has. STREAM_AGAIN and STREAM_OK both mean: ask demo_peer_next. A head beyond a chunk is an error. */
enum stream_status demo_peer_read(struct demo_peer *p);
/* The next event of what was read; H1_MORE: nothing complete is left. */
enum h1_event demo_peer_next(struct demo_peer *p);
void demo_peer_finish_message(struct demo_peer *p);

/* ---- origins ------------------------------------------------------------------------------------------------------------ */

/* A tiny HTTP server: answers everything with its name. Owner: the demo. */
struct demo_origin {
    enum demo_upstream upstream;
    int fd; /* listening; bound before the fork, so that the configuration can name the port */
    uint16_t port;
    struct loop *loop;
    struct listener listener;
    struct list connections;
    uint64_t request_count;
};

/* False with the problem in errors. */
bool demo_origin_open(struct demo_origin *o, enum demo_upstream upstream, struct err_list *errors);
void demo_origin_start(struct demo_origin *o, struct loop *loop);
/* Closes its connections too; they are freed at the turn's end. */
void demo_origin_stop(struct demo_origin *o);

/* ---- traffic ------------------------------------------------------------------------------------------------------------ */

/* What came back, by the upstream that the proxy says it chose. */
struct demo_counts {
    uint64_t answered[DEMO_UPSTREAM_COUNT];
    uint64_t failed[DEMO_UPSTREAM_COUNT]; /* of these, with status 500 and above */
    uint64_t lost;                        /* no answer, or one that names no upstream */
};

/* A bounded stream of requests to the proxy. One request a visit, one connection a request. */
struct demo_traffic {
    struct loop *loop;
    struct sockaddr_in proxy;
    uint32_t rate; /* requests per second; 0: only the probes until the first answer */
    struct timer timer;
    struct mono_time start;
    uint64_t sent_count;
    uint32_t live_count;
    struct list visits;
    struct demo_counts counts;
    void (*on_first_answer)(void *arg); /* called once; sets the rate */
    void *arg;
    bool has_answered;
};

void demo_traffic_start(struct demo_traffic *t, struct loop *loop, uint16_t port);
/* From now on `rate` requests a second; forgets what the probes counted. */
void demo_traffic_set_rate(struct demo_traffic *t, uint32_t rate);
void demo_traffic_stop(struct demo_traffic *t);

/* ---- the proxy ---------------------------------------------------------------------------------------------------------- */

struct demo_proxy {
    char directory[64]; /* configuration, state and log; removed at the end */
    uint16_t port, admin_port;
    pid_t pid; /* 0: not running */
};

/* Makes the directory and writes the configuration. wanted_port 0: 8080 when it is free, else any. */
bool demo_proxy_prepare(struct demo_proxy *p, uint16_t wanted_port,
                        const struct demo_origin origins[DEMO_UPSTREAM_COUNT], struct err_list *errors);
/* Forks; the child closes the origins' sockets and runs the server with its log in the directory. */
bool demo_proxy_start(struct demo_proxy *p, const struct demo_origin origins[DEMO_UPSTREAM_COUNT]);
/* Ends the child: TERM, and KILL after five seconds. Idempotent. */
void demo_proxy_stop(struct demo_proxy *p);
void demo_proxy_print_log(const struct demo_proxy *p);
void demo_proxy_remove(struct demo_proxy *p);

#endif
