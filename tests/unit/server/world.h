/* tests/unit/server/world.h - the driver of rollouts in a world of the test's: a real store, and its own clocks, workers and courier.
 *
 * Nothing happens by itself. A process is booted and begun, killed or stopped; time passes when world_pass says so, the
 * driver looks when world_look says so, and a worker uses new weights once world_take does. Two rollouts, on a route
 * each: "r", and "q" beside it, which gets no traffic. */
#ifndef TESTS_SERVER_WORLD_H
#define TESTS_SERVER_WORLD_H

#include <sqlite3.h>

#include "base/hash.h"
#include "server/publisher.h"
#include "server/rollouts.h"
#include "stats/stats.h"

#define WORLD_WORKERS     2u
#define WORLD_ERRANDS_MAX 64u
#define WORLD_RUNNING_MAX 16u
#define WORLD_NOON_MS     INT64_C(1795608000000) /* Wednesday, 2026-11-25T12:00:00Z */

enum world_fault {
    WORLD_WELL,
    WORLD_LOCKED,     /* by another process: nothing is written */
    WORLD_FULL,       /* no new page */
    WORLD_UNREADABLE, /* every statement fails */
    WORLD_FAULT_COUNT
};

/* Sent, and not answered. */
struct world_errand {
    void (*done)(void *arg, uint64_t ticket, const struct courier_answer *answer);
    void *arg;
    uint64_t ticket;
    bool is_gate;
};

/* A request that a worker has begun and not ended. */
struct world_request {
    struct tally_sheet *sheet;
    uint32_t worker;
    enum tally_arm arm;
};

struct world {
    char folder[64], database[80], empty[80]; /* a database with tables and nothing in them */
    struct text yaml;                         /* what the next boot or reload reads */
    struct rng rng;
    struct loop *loop;
    struct wall_time wall;
    struct stats *stats;
    struct store *store; /* these three: of the process that runs */
    struct publisher publisher;
    struct rollouts all;
    uint64_t generation;
    const struct weights *used[WORLD_WORKERS]; /* as that worker reported last */
    struct world_request running[WORLD_RUNNING_MAX];
    uint32_t running_count;
    struct world_errand errands[WORLD_ERRANDS_MAX];
    uint32_t errand_count;
    bool is_courier_full;
    struct text notice; /* the newest that somebody was told */
    enum world_fault fault;
    sqlite3 *locker, *reader;      /* of other processes */
    void (*on_publish)(void *arg); /* behind each publication of weights alone; may leave by longjmp */
    void (*on_instant)(void *arg); /* wherever the driver looks at the clock or sends something: the same */
    void *arg;
    uint64_t ended[TALLY_ARM_COUNT]; /* requests since the boot */
    uint64_t errors;                 /* of the canary's */
    uint64_t write_attempts, publish_count;
};

/* Once; then any number of databases, each with any number of processes. */
void world_init(struct world *w, uint64_t seed);
void world_fini(struct world *w);
void world_database_begin(struct world *w);
void world_database_end(struct world *w);

/* Up to the first publication; what is stored has been taken up. With a fault it finds the store so. */
void world_boot(struct world *w, enum world_fault fault);
/* The driver begins to look. */
void world_begin(struct world *w);
void world_kill(struct world *w);
/* An orderly end: the workers have ended before. */
void world_stop(struct world *w);
void world_reload(struct world *w);

struct rollout *world_rollout(struct world *w); /* r; NULL: there is none */
struct rollout *world_beside(struct world *w);  /* q */
void world_pass(struct world *w, int64_t ms);
/* The timer fires, when it is armed. False: it is not. */
bool world_look(struct world *w);
void world_take(struct world *w, uint32_t worker);
void world_take_all(struct world *w);
bool world_is_taken(const struct world *w);
/* So many requests by the weights in use; of the canary's so many in a hundred fail. */
void world_serve(struct world *w, unsigned count, unsigned failing_percent);
/* So many that all fail, of the canary alone. */
void world_burst(struct world *w, unsigned count);
/* The i-th errand. */
void world_answer(struct world *w, uint32_t i, unsigned status);
enum rollout_answer world_say(struct world *w, enum plan_event_kind kind, const char *who);
enum rollout_answer world_say_beside(struct world *w, enum plan_event_kind kind, const char *who);
void world_break(struct world *w, enum world_fault fault);

/* Of the newest weights: the canary's share of the pair, in millionths; and of all the split, that of the pair. */
double world_canary_share(struct world *w, double *pair_share);
double world_beside_share(struct world *w, double *pair_share);
/* Every worker gives the canary just that. */
bool world_is_in_force(struct world *w);
/* The newest transition that is on the disk, or waits to be there. False: there is none. */
bool world_newest_transition(struct world *w, const char *rollout, struct text *state, uint32_t *weight_ppm);
/* A number, or -1 for none, as another process reads it. */
int64_t world_query(struct world *w, const char *sql);

#endif
