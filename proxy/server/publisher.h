/* server/publisher.h - what the workers use: the snapshot and the weights in force, and when the old ones may go.
 *
 * Owner and thread: main. Both are handed to all workers by mail and are immutable from then on.
 *
 *   invariants
 *   P1 the newest publication is the current one; older ones wait until every worker reported their snapshot unused
 *   P2 a set of weights goes when every worker uses a newer one, or with its snapshot
 *   P3 generations only grow: of snapshots over restarts, of weights within the process */
#ifndef SERVER_PUBLISHER_H
#define SERVER_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/loop.h"
#include "route/snapshot.h"
#include "route/weights.h"
#include "server/worker.h"

/* Weights in an arena of their own. */
struct weights_set {
    struct list link;
    struct arena arena;
    struct weights weights;
};

/* A worker as it last reported. Orders under way are not in it: what it will use next is the newest publication. */
struct worker_use {
    struct worker *worker;                   /* NULL before its start */
    uint64_t generation, weights_generation; /* in use */
    uint32_t last_swap_us;                   /* that its thread stood still for a swap; 0 before the first */
    bool is_accepting;                       /* until it has emptied its accept queues in a drain */
    bool is_drained;                         /* no client is left, and none can come */
};

struct publisher {
    struct loop *loop;
    struct worker_use *uses;     /* by worker index */
    uint32_t worker_count;       /* fixed for the life of the process */
    struct list publications;    /* newest first */
    uint64_t weights_generation; /* of the newest set made; 0 before the first */
    struct list waiters;         /* of publisher_when_settled, oldest first */
    bool is_ending;              /* the workers are being stopped: what they report does not matter any more */
    struct timer settled_timer;  /* for waiters that came when everything was settled */
    /* Every worker uses what was published last, and touches no socket that it does not name. */
    void (*on_settled)(void *arg);
    /* The last worker has stopped accepting. */
    void (*on_not_accepting)(void *arg);
    /* The last worker has drained. */
    void (*on_drained)(void *arg);
    /* No worker decides by the weights of that generation any more. Also while it ends. */
    void (*on_weights_unused)(void *arg, uint64_t generation);
    void *arg;
};

void publisher_init(struct publisher *p, struct loop *loop, uint32_t worker_count);
/* After the workers are joined: frees every snapshot and all weights. */
void publisher_fini(struct publisher *p);

/* An empty set of the next generation, to be filled and published. */
struct weights_set *weights_set_create(struct publisher *p);

/* Takes both over. `fds`: worker_count rows of one descriptor per listener; only read when the workers run already. */
void publish_snapshot(struct publisher *p, struct snapshot *snapshot, struct weights_set *set, const int *fds);
/* Weights for the current snapshot; taken over. */
void publish_weights(struct publisher *p, struct weights_set *set);

struct snapshot *publisher_snapshot(const struct publisher *p);
/* The current one, and those that some worker still uses. */
size_t publisher_snapshot_count(const struct publisher *p);
const struct weights *publisher_weights(const struct publisher *p);

/* A report of a worker; called for each mail, which the caller frees. */
void publisher_on_report(struct publisher *p, const struct worker_report_mail *report);

/* Every worker uses what was published last. */
bool publisher_is_settled(const struct publisher *p);
/* done(arg, ticket) runs once, not before this returns, when every worker uses what is current then. */
void publisher_when_settled(struct publisher *p, void (*done)(void *arg, uint64_t ticket), void *arg, uint64_t ticket);

#endif
