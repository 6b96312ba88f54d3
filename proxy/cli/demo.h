/* cli/demo.h - the parts of `weir demo`: three origins, the traffic, the story of a release, and the proxy between them as a child process.
 *
 * All but the proxy share one loop in the demo's only thread; the proxy runs in a child, forked before that loop exists, so
 * what is measured is a server like any other. Everything listens on 127.0.0.1.
 *
 *        the demo's process                          its child
 *   demo_traffic   one connection a request  -->  `weir run`: port, admin_port
 *   demo_origin x 3   <--  pooled connections         |
 *   demo_story     words and questions       -->  admin.sock
 *
 * Order: origins are bound, then the proxy's ports found and its file written, then the fork, then the loop. Owner of everything is
 * struct demo in demo.c; each part's stop is safe in any state after its start. */
#ifndef CLI_DEMO_H
#define CLI_DEMO_H

#include <netinet/in.h>
#include <sys/types.h>

#include "base/clock.h"
#include "cli/terminal.h"
#include "http/codec.h"
#include "json/json.h"
#include "net/listener.h"
#include "net/stream.h"

enum demo_upstream { DEMO_STABLE, DEMO_CANARY, DEMO_DARK, DEMO_UPSTREAM_COUNT };
extern const char *const demo_upstream_names[DEMO_UPSTREAM_COUNT];

/* ---- one HTTP/1.1 connection, either side ------------------------------------------------------------------------------ */

/* Embedded in an origin's connection and in an exchange. One chunk is its whole input:

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

/* ---- one request and its answer ---------------------------------------------------------------------------------------- */

#define DEMO_REQUEST_MAX 1024

struct demo_exchange;
struct demo_exchange_events {
    void (*on_head)(struct demo_exchange *e);                    /* may be NULL, as on_data */
    bool (*on_data)(struct demo_exchange *e, struct slice data); /* false: too much, it is over */
    /* Once, unless it is closed before; closed by then. The tail: it may stop everything. */
    void (*on_over)(struct demo_exchange *e, bool is_complete);
    void (*destroy)(struct demo_exchange *e); /* at the end of the turn in which it was closed */
};

/* On a connection of its own. Embedded in a visit and in a call, which fill in events and request. */
struct demo_exchange {
    struct demo_peer peer;
    struct deferred deferred;
    struct timer timer;
    struct loop *loop;
    const struct demo_exchange_events *events;
    char request[DEMO_REQUEST_MAX];
    uint16_t status; /* 0: no head yet */
};

/* Over after most_ms at the latest. */
void demo_exchange_start(struct demo_exchange *e, struct loop *loop, const struct sockaddr *to, socklen_t to_length,
                         enum method method, uint32_t most_ms);
void demo_exchange_close(struct demo_exchange *e);

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
    uint32_t failing_per_1000;        /* of its answers; evenly spread, the same in every run */
    uint64_t failed_count;            /* since demo_origin_set_failing */
    struct wall_time first_failed_at; /* likewise; 0: none yet */
};

/* From now on so many of its answers are 500, and they are counted anew. */
void demo_origin_set_failing(struct demo_origin *o, uint32_t per_1000);
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

/* Makes the directory and writes the configuration, with a rollout whose steps last a few holds unless hold_ms is 0. wanted_port 0: 8080
   when it is free, else any. */
bool demo_proxy_prepare(struct demo_proxy *p, uint16_t wanted_port, int64_t hold_ms,
                        const struct demo_origin origins[DEMO_UPSTREAM_COUNT], struct err_list *errors);
/* Forks; the child closes the origins' sockets and runs the server with its log in the directory. */
bool demo_proxy_start(struct demo_proxy *p, const struct demo_origin origins[DEMO_UPSTREAM_COUNT]);
/* Ends the child: TERM, and KILL after five seconds. Idempotent. */
void demo_proxy_stop(struct demo_proxy *p);
void demo_proxy_print_log(const struct demo_proxy *p);
/* The rollout as the file has it, comments and all. */
void demo_proxy_print_rollout(FILE *file, int64_t hold_ms);
/* Puts another revision into the file, which whoever watches may have changed meanwhile: false when it cannot be found there. */
bool demo_proxy_set_revision(const struct demo_proxy *p, const char *old, const char *new);
void demo_proxy_remove(struct demo_proxy *p);

/* ---- calls of the admin API ------------------------------------------------------------------------------------------------ */

struct demo_call;
/* status 0 and a NULL answer: none that can be read. The answer is borrowed for the call; the demo_call is over. */
typedef void demo_answer_fn(void *arg, uint16_t status, const struct json *answer);
/* GET, or POST with that reason; path is below /api/v1/. on_answer comes once, never from inside, unless it is cancelled before. */
struct demo_call *demo_call_start(struct loop *loop, const char *directory, const char *path, const char *reason,
                                  demo_answer_fn *on_answer, void *arg);
void demo_call_cancel(struct demo_call *c);

/* ---- the story of a release ------------------------------------------------------------------------------------------------- */

#define DEMO_GUARDRAILS 4 /* shown at most; the demo's rollout has two */

struct demo_guardrail {
    char name[40], verdict[16];
    double progress;        /* 0 to 1: a breach */
    double evidence, bound; /* comparative: E and where it is a breach; else 0 */
};

/* What the admin API said last of the rollout; state "": nothing yet. */
struct demo_release {
    char state[24], revision[24], who[40];
    int64_t step, step_count; /* from 1 */
    int64_t hold_ms, hold_left_ms;
    double weight;
    struct demo_guardrail guardrails[DEMO_GUARDRAILS];
    size_t guardrail_count;
    char breach_reason[240], breach_guardrail[40]; /* "": none */
    struct wall_time breached_at;
    double zero_exposure_ms; /* below 0: not yet */
};

void demo_release_read(struct demo_release *r, const struct json *answer);

/*   CALM -> FIRST -> BAD -> BACK -> MENDED -> SECOND -> OVER      each waits for what the proxy says, none for a time alone;
 *     any of them -> OVER                                         by a person's word, or when the API refuses one  */
enum demo_scene { DEMO_CALM, DEMO_FIRST, DEMO_BAD, DEMO_BACK, DEMO_MENDED, DEMO_SECOND, DEMO_OVER };

/* Asks for the rollout four times a second, says what the script has next, and tells it. Owner: the demo. */
struct demo_story {
    struct loop *loop;
    const struct demo_proxy *proxy;
    struct demo_origin *canary, *stable;
    const struct demo_traffic *traffic;
    int64_t hold_ms; /* the first step's; the story's pauses follow it */
    /* One line for whoever watches; called from inside the loop. */
    void (*tell)(void *arg, enum paint paint, const char *line);
    void *arg;
    struct demo_call *call; /* NULL: none under way */
    struct timer poll;
    enum demo_scene scene;
    struct mono_time scene_start;
    struct demo_release seen;
    int64_t told_step;        /* the last that a line was about */
    uint64_t answered_before; /* requests when the canary turned bad */
    const char *said;         /* the word under way; NULL: a question */
};

/* The caller has filled in loop to arg; the proxy serves. */
void demo_story_start(struct demo_story *s);
/* Harmless before the start. */
void demo_story_stop(struct demo_story *s);

/* ---- what people see ------------------------------------------------------------------------------------------------------ */

/* On a terminal a few lines that are written again and again, below the lines of the story; elsewhere one line a second.

     9.3s  canary turns bad ...       lines of the story scroll up
     stable  ##########....  70 %     block_lines lines: moved over and written anew
     ...                                                                          */
struct demo_view {
    bool is_live, is_coloured;
    unsigned block_lines;             /* on the screen now, to be written over */
    unsigned line_count;              /* without a terminal */
    struct demo_counts shown, recent; /* all as of shown_at; those of the second before it */
    struct mono_time start, shown_at;
};

#define DEMO_VIEW_MS 250 /* between two calls of demo_view_show */
void demo_view_init(struct demo_view *v);
/* Counts and lines change once a second, the block each time. story NULL: none. */
void demo_view_show(struct demo_view *v, const struct demo_traffic *traffic, const struct demo_story *story,
                    struct mono_time now);
void demo_view_tell(struct demo_view *v, enum paint paint, const char *line, struct mono_time now);

#endif
