/* lua/watchdog.h - cuts off calls that used up their time, from outside.
 *
 * A count hook that is always installed would more than double what a script costs (design.md, Speed 9). So nothing
 * is installed while a call keeps its budget: one thread looks at all workers once a millisecond, reads how much CPU
 * time a worker has used since it first saw the call, and past the budget sends the worker's thread a signal. Its
 * handler runs between two instructions of that very thread, where lua_sethook is allowed, and says `cut`.
 *
 * Time is the thread's CPU time: a worker that the system does not run is not a script that takes long. A call ends
 * within its budget and two looks (2 ms): it may begin just behind a look, and use up its budget just behind another.
 * Starting and ending a call costs two plain stores and a load; while no call runs for a while, the thread sleeps.
 *
 *   worker:    call_started -> [ call ] -> call_ended        seq: odd while a call runs, and never the same again
 *   watchdog:  look, look... seq unchanged and budget used up -> late_seq = seq, signal
 *   handler:   late_seq == seq -> cut(arg)                   else the call that was meant is over
 *
 * Owner: the server, which makes one for all workers. */
#ifndef LUA_WATCHDOG_H
#define LUA_WATCHDOG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "base/check.h"
#include "base/list.h"

struct watchdog;

/* One worker's calls. Embedded; lives longer than it is attached. */
struct call_watch {
    uint32_t magic;
    struct watchdog *dog;
    struct list link;             /* of the watchdog's; under its lock */
    pthread_t thread;             /* who makes the calls, and gets the signal */
    clockid_t cpu_clock;          /* of that thread */
    void (*cut)(void *arg);       /* runs in the signal's handler, on that thread: async-signal-safe */
    void *arg;                    /* written by the worker between calls */
    _Atomic(int64_t) budget_us;   /* of the call that runs */
    _Atomic(uint64_t) seq;        /* written by the worker alone */
    _Atomic(uint64_t) late_seq;   /* written by the watchdog alone: the call that is to be cut */
    _Atomic(uint64_t) seen_seq;   /* written by the watchdog alone: the call it saw last ... */
    _Atomic(int64_t) seen_cpu_us; /* ... and the thread's CPU time then */
};

/* Starts the thread. */
struct watchdog *watchdog_create(void);
/* Every watch must be detached. Joins the thread. */
void watchdog_destroy(struct watchdog *dog);

/* By the thread that will make the calls. */
void watch_attach(struct call_watch *w, struct watchdog *dog, void (*cut)(void *arg), void *arg);
/* By the same thread, between calls. Afterwards no signal of this watch comes any more. */
void watch_detach(struct call_watch *w);

void watchdog_wake(struct watchdog *dog);
bool watchdog_is_asleep(struct watchdog *dog);

/* CPU time of this thread: what budgets are counted in. A system call. */
int64_t watch_cpu_us(void);

/* How much of it the last call, which is over, has used since the watchdog saw it first: at most a look less than all. 0: it was
   too short to be seen. Two system calls' work: for calls that took long on the clock. */
int64_t watch_last_call_cpu_us(const struct call_watch *w);

/* Calls do not nest. */
void watch_call_started(struct call_watch *w, int64_t budget_us);
void watch_call_ended(struct call_watch *w);

#endif
