/* net/loop.h - one thread's event loop: turns, time, deferred frees, and the pools its connections share.
 *
 * A turn is everything between two waits for the kernel, and the unit in which this program thinks: time stands still
 * in it (loop_now), orders take effect at its border, and memory of what was closed in it goes at its end, in this
 * order:
 *
 *   a chore -> wait -> callbacks of ready descriptors and due timers -> turn hooks -> unsent writes -> deferred frees
 *        -> the scratch chunk -> a chore ...
 *
 * So a client or an upstream connection that was closed inside a callback can still be read until the turn ends
 * (R3). */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/chunk.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/pieces.h"
#include "net/timer.h"
#include "net/unsent.h"

struct event;
struct event_base;
struct stats_worker;
struct tls_buffers;
struct tls_ticket_keys;

#define LOOP_MAGIC 0x4c4f4f50u

/* Something to be freed when no callback is on the stack (R3). Embedded in what is freed. */
struct deferred {
    struct deferred *next;
    void (*destroy)(struct deferred *d); /* frees what `d` is embedded in */
};

/* A read event that is due in the next turn, whatever the kernel says. Embedded in its owner, who may take it off. */
struct wake {
    struct list link; /* in loop->wakes */
    struct event *event;
};

/* Work that lets everything else go first: at most one piece of it runs a turn, at its beginning, and while there is any, no
   turn waits. So whatever was ready is served, and flushed, between two pieces. Embedded in its owner, who may take it off. */
struct chore {
    struct list link;             /* in loop->chores: the first comes next */
    void (*run)(struct chore *c); /* it is off the list then, and may add itself again */
};

/* Called once at the end of every turn in which anything happened, registration order. */
struct turn_hook {
    struct turn_hook *next;
    void (*run)(void *arg);
    void *arg;
};

/* Owner: the thread that runs it; nobody else touches it. */
struct loop {
    uint32_t magic;
    struct event_base *base; /* libevent's, without locks (Speed 2) */
    struct mono_time now;    /* read lazily, once a turn, by loop_now */
    bool is_now_known, is_stopping;
    bool are_hooks_due;  /* a hook has made work for another */
    uint32_t turn_count; /* of turns begun; wraps */
    struct wheel wheel;
    struct chunk_pool chunks;            /* of all connections */
    struct pieces_pool pieces;           /* of all write queues */
    struct arena_pool arenas;            /* of all requests */
    struct tls_buffers *tls_buffers;     /* of net/tls.c; NULL until the first use */
    struct tls_ticket_keys *ticket_keys; /* net/tls_tickets.h; NULL: no session is resumed by a ticket */
    struct chunk *scratch;               /* small pieces of all write queues are packed here; NULL between turns */
    struct unsent unsent;                /* streams that are flushed when the turn ends */
    struct list wakes;                   /* read events that the next turn begins with */
    struct list chores;                  /* what is done when nothing else is */
    struct deferred *deferred;           /* what goes at this turn's end */
    struct turn_hook *hooks;             /* in the order of registration */
    struct rng rng;                      /* for balancing, splits and ids: not secret */
    struct stats_worker *stats;          /* may be NULL (control thread) */
};

struct loop *loop_create(struct stats_worker *stats);
/* Every stream, timer and listener must be closed before. */
void loop_destroy(struct loop *loop);
/* Runs turns until loop_stop. */
void loop_run(struct loop *loop);
/* The turn that runs is the last one. From the loop's own thread: others send mail. */
void loop_stop(struct loop *loop);
/* One turn: waits for events, runs callbacks, frees what was deferred, runs hooks. For tests and loop_run. */
void loop_turn(struct loop *loop);

/* The end of a turn without waiting for events: frees what was deferred. For taking things down. */
void loop_turn_now(struct loop *loop);

struct mono_time loop_now_slow(struct loop *loop);

/* This turn's time. */
static inline struct mono_time loop_now(struct loop *loop)
{
    return loop->is_now_known ? loop->now : loop_now_slow(loop);
}

/* A chunk with at least min_bytes of room, to be filled at bytes + used and pushed piecewise; borrowed for this
   turn. */
struct chunk *loop_scratch(struct loop *loop, uint32_t min_bytes);

/* d->destroy runs at the end of this turn. */
void loop_after_turn(struct loop *loop, struct deferred *d);
/* Its event runs in the next turn, which does not wait. Idempotent; list_remove takes it back. */
void loop_wake(struct loop *loop, struct wake *w);
/* It runs once, in a turn to come, behind those that were there before. list_remove takes it back. */
void loop_add_chore(struct loop *loop, struct chore *c);
/* The hook is embedded in its owner and never removed: it lives as long as the loop. */
void loop_add_turn_hook(struct loop *loop, struct turn_hook *hook);
/* Said by who leaves work to a hook: when it is said inside a hook, all of them run once more before the turn ends. */
static inline void loop_repeat_hooks(struct loop *loop)
{
    loop->are_hooks_due = true;
}

#endif
