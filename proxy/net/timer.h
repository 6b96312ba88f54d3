/* net/timer.h - deadlines on a hashed wheel: arming is a few pointer writes, never a system call.
 *
 * A proxy arms a timer for every request and every idle connection and sees nearly none of them fire. So arming must
 * cost nothing and firing may cost a little: a slot for each tick, a list in each slot, and one timer of the kernel's
 * for the first slot that is not empty.
 *
 *   slots[tick % WHEEL_SLOTS]    ..current_tick] have been run    (current_tick..+WHEEL_SLOTS) hold what is due then
 *
 * What is farther away than the wheel is long stands in the last slot, is looked at there and put on again.
 * Postponing, the commonest call (a byte moved), writes the deadline and nothing else: the timer keeps its slot, and
 * is put where it belongs when that slot comes up.
 *
 * What is due fires a few a turn: behind many a deadline stands a connection to be closed, which takes the kernel about
 * ten microseconds, and hundreds that were opened together time out together. Requests are served between them.
 *
 * Owner: whoever embeds the timer. Thread: the loop's. */
#ifndef NET_TIMER_H
#define NET_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/list.h"

struct loop;
struct event;

typedef void (*timer_fn)(void *arg);

#define WHEEL_TICK_US        8192 /* resolution; a timer fires up to one tick late, behind many others later, never early */
#define WHEEL_SLOTS          1024 /* horizon 8.4 s; later deadlines are looked at once per horizon and put back */
#define WHEEL_FIRES_PER_TURN 8

/* Embedded. Postponing an armed timer only rewrites its deadline; its slot is corrected when it comes up. */
struct timer {
    struct list link; /* linked: armed */
    struct mono_time deadline;
    int64_t slot_tick; /* the tick whose slot holds it */
    timer_fn fire;
    void *arg;
};

struct wheel {
    struct loop *loop;
    struct event *event;    /* the one libevent timer behind all of them */
    int64_t current_tick;   /* all slots up to here have been run */
    int64_t scheduled_tick; /* when `event` will run; INT64_MAX: not scheduled */
    bool is_running;        /* due slots are being run: current_tick is the one at work, and may be in the past */
    uint64_t occupied[WHEEL_SLOTS / 64]; /* a bit per slot: clear means empty; set, that something was put there */
    struct list due;                     /* of the slots that were run: fire in this turn or the next ones */
    struct list slots[WHEEL_SLOTS];
};

void timer_init(struct timer *t, timer_fn fire, void *arg);
/* Arms or re-arms: fires once at or after now + delay_ms. delay_ms <= 0 fires at the next tick. */
void timer_start(struct loop *loop, struct timer *t, int64_t delay_ms);
/* Harmless when not armed. After it returns the timer does not fire. */
void timer_stop(struct loop *loop, struct timer *t);

static inline bool timer_is_armed(const struct timer *t)
{
    return list_is_linked(&t->link);
}

void wheel_init(struct wheel *w, struct loop *loop);
void wheel_fini(struct wheel *w);

#endif
