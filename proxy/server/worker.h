/* server/worker.h - one worker thread as the main thread sees it: start it, mail it, hear from it. */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include <pthread.h>
#include <stdint.h>

#include "net/mailbox.h"
#include "route/snapshot.h"
#include "route/weights.h"
#include "stats/counters.h"

struct worker;

/* From the main thread to a worker. All of them take effect at a turn's boundary. */
enum worker_order {
    ORDER_SWAP,    /* use this snapshot and these weights from now on */
    ORDER_WEIGHTS, /* use these weights (of the current snapshot) */
    ORDER_DRAIN,   /* accept no more; answer with Connection: close; report when empty */
    ORDER_STOP     /* close everything, end the thread */
};

/* From a worker to the main thread. */
enum worker_report {
    REPORT_SWAPPED,         /* `generation` is in use; swap_us is what it took */
    REPORT_SNAPSHOT_UNUSED, /* no request of this worker pins `generation` any more */
    REPORT_WEIGHTS_SET, /* `generation` of the weights; older ones are not read any more by this worker */
    REPORT_DRAINED,      /* no client is left */
    REPORT_ACCESS_LINES, /* a buffer of access log lines */
    REPORT_STATUS        /* an answer to worker_ask_status */
};

struct worker_report_mail {
    struct mail mail; /* kind: enum worker_report */
    uint32_t worker_index;
    uint64_t generation;
    uint32_t swap_us;
    struct chunk *
        lines; /* REPORT_ACCESS_LINES: malloc-backed; the receiver frees it with access_lines_free */
};

/* Live objects of one worker: zero after a drain but for idle upstream connections. Read by the main thread at any time
   (relaxed atomics in the worker's stats block). */

struct worker_options {
    uint32_t index;
    struct mailbox *to_main; /* outlives the worker */
    const int *listener_fds; /* one per listener of the first snapshot, in config order; borrowed */
    uint32_t listener_count;
    struct snapshot *snapshot;     /* the first; borrowed until reported unused */
    const struct weights *weights; /* the first; borrowed until replaced and reported */
    struct stats_worker *stats;    /* owned by the main thread */
};

/* Starts the thread; returns when it serves. */
struct worker *worker_start(const struct worker_options *options);
void worker_order_swap(struct worker *w, struct snapshot *snapshot, const struct weights *weights);
void worker_order_weights(struct worker *w, const struct weights *weights);
void worker_order_drain(struct worker *w);
void worker_order_stop(struct worker *w);
/* After ORDER_STOP: waits for the thread's end and frees it. */
void worker_join(struct worker *w);

#endif
