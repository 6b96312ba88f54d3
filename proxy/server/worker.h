/* server/worker.h - one worker thread as the main thread sees it: start it, mail it, hear from it.
 *
 * Owner: main, which calls everything here. The thread owns its loop, listeners, clients and pools; nothing of that is seen
 * from outside. Orders are copied into a mail and take effect later, reports come back by the mailbox of the main thread, and
 * mail to one worker arrives in the order it was sent: that is all the synchronisation there is (design.md, Threads).
 *
 *   worker_start -> orders ... -> worker_order_stop -> worker_join */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include <pthread.h>
#include <stdint.h>

#include "net/mailbox.h"
#include "net/resolve.h"
#include "net/tls_tickets.h"
#include "route/snapshot.h"
#include "route/weights.h"
#include "server/access_writer.h"
#include "stats/counters.h"

struct limits;
struct places;
struct script_host;
struct watchdog;
struct shared_map;
struct worker;

/* From the main thread to a worker. All of them take effect at a turn's boundary. */
enum worker_order {
    ORDER_SWAP,      /* use this snapshot, these weights and these listening sockets from now on */
    ORDER_WEIGHTS,   /* use these weights (of the current snapshot) */
    ORDER_SCRIPTS,   /* here is another state for the scripts of `generation` */
    ORDER_ADDRESSES, /* a name among the endpoints has these addresses now */
    ORDER_TICKETS,   /* seal session tickets with these keys */
    ORDER_DRAIN,     /* accept no more; answer with Connection: close; report when empty */
    ORDER_STOP       /* close everything, end the thread */
};

/* From a worker to the main thread. */
enum worker_report {
    REPORT_SWAPPED,         /* `generation` is in use; swap_us is what it took */
    REPORT_SNAPSHOT_UNUSED, /* no request of this worker pins `generation` any more */
    REPORT_SCRIPTS_FULL,    /* the scripts of `generation` have filled their state: ORDER_SCRIPTS is wanted */
    REPORT_SCRIPTS_UNUSED,  /* `scripts` are not used any more */
    REPORT_WEIGHTS_SET,     /* `generation` of the weights; older ones are not read any more by this worker */
    REPORT_NOT_ACCEPTING,   /* draining: every accept queue was emptied, no socket is listened on */
    REPORT_DRAINED          /* no client is left */
};

/* Made by the worker with memory_alloc, freed by the main thread. */
struct worker_report_mail {
    struct mail mail; /* kind: enum worker_report */
    uint32_t worker_index;
    uint64_t generation;         /* of what the report speaks of; 0 for NOT_ACCEPTING and DRAINED */
    uint32_t swap_us;            /* SWAPPED only */
    struct script_host *scripts; /* SNAPSHOT_UNUSED and SCRIPTS_UNUSED: for the main thread to destroy; NULL: none */
};

struct worker_options {
    uint32_t index;
    struct mailbox *to_main;             /* outlives the worker */
    struct access_writer *access_writer; /* outlives the worker */
    const int *listener_fds;             /* one per listener of the first snapshot, in config order; borrowed */
    uint32_t listener_count;
    struct snapshot *snapshot;                 /* the first; borrowed until reported unused */
    const struct weights *weights;             /* the first; borrowed until replaced and reported */
    struct stats_worker *stats;                /* owned by the main thread */
    struct limits *limits;                     /* shared by all workers; owned by the main thread */
    struct places *places;                     /* likewise */
    struct places *shadow_places;              /* likewise: of copies under way */
    struct comparer *comparer;                 /* likewise */
    struct watchdog *watchdog;                 /* likewise */
    struct shared_map *shared;                 /* likewise */
    const struct tls_ticket_keys *ticket_keys; /* the first; copied */
    struct slice pseudonym;                    /* "weir-5f3a9c21": names this process in Via; outlives the worker */
    uint32_t worker_count;                     /* max_connections of upstreams are divided among so many */
};

/* Starts the thread; returns when it serves. The listeners' fds and the snapshot must exist; access lines are submitted only
   while snapshot->config->log.access is not ACCESS_OFF. */
struct worker *worker_start(const struct worker_options *options);
/* listener_fds: this worker's socket for each listener of the new snapshot, in its order; copied. A descriptor that was
   there before stays as it is (its accept queue too), a new one is listened on, one that is gone is drained until its queue
   is empty before REPORT_SWAPPED is sent; the main thread closes it. */
void worker_order_swap(struct worker *w, struct snapshot *snapshot, const struct weights *weights,
                       const int *listener_fds);
void worker_order_weights(struct worker *w, const struct weights *weights);
/* After REPORT_SCRIPTS_FULL of that snapshot. Loads its scripts on this thread. */
void worker_order_scripts(struct worker *w, const struct snapshot *snapshot);
/* Sorted; copied. */
void worker_order_addresses(struct worker *w, const char *upstream, const char *label,
                            const struct resolved_address *addresses, size_t count);
/* Copied. */
void worker_order_tickets(struct worker *w, const struct tls_ticket_keys *keys);
void worker_order_drain(struct worker *w);
void worker_order_stop(struct worker *w);
/* After ORDER_STOP: waits for the thread's end and frees it. */
void worker_join(struct worker *w);

#endif
