/* net/timer.c - deadlines on a hashed wheel: arming is a few pointer writes, never a system call. */
#include "net/timer.h"

#include "net/loop.h"

#include <event2/event.h>
#include <sys/time.h>

/* The first tick at whose start the time has come. */
static int64_t tick_at_or_after(struct mono_time t)
{
    return (t.us + WHEEL_TICK_US - 1) / WHEEL_TICK_US;
}

static void wheel_schedule(struct wheel *w, int64_t tick)
{
    int64_t wait_us = tick * WHEEL_TICK_US - loop_now(w->loop).us;
    if (wait_us < 0)
        wait_us = 0;
    struct timeval wait = { .tv_sec = wait_us / 1000000, .tv_usec = wait_us % 1000000 };
    event_add(w->event, &wait);
    w->scheduled_tick = tick;
}

/* The next tick whose slot may hold a timer, or INT64_MAX. */
static int64_t wheel_next_tick(const struct wheel *w)
{
    for (int64_t tick = w->current_tick + 1; tick <= w->current_tick + WHEEL_SLOTS;) {
        unsigned slot = (unsigned)(tick % WHEEL_SLOTS);
        uint64_t word = w->occupied[slot / 64] >> (slot % 64);
        if (word != 0)
            return tick + __builtin_ctzll(word);
        tick += 64 - slot % 64;
    }
    return INT64_MAX;
}

static void wheel_place(struct wheel *w, struct timer *t)
{
    int64_t tick = tick_at_or_after(t->deadline);
    if (tick <= w->current_tick)
        tick = w->current_tick + 1;
    if (tick >= w->current_tick + WHEEL_SLOTS)
        tick = w->current_tick + WHEEL_SLOTS - 1; /* beyond the horizon: looked at again there */
    unsigned slot = (unsigned)(tick % WHEEL_SLOTS);
    t->slot_tick = tick;
    w->occupied[slot / 64] |= 1ull << (slot % 64);
    list_append(&w->slots[slot], &t->link);
}

static void wheel_take_slot(struct wheel *w, int64_t tick)
{
    unsigned slot = (unsigned)(tick % WHEEL_SLOTS);
    w->current_tick = tick;
    w->occupied[slot / 64] &= ~(1ull << (slot % 64));
    while (!list_is_empty(&w->slots[slot]))
        list_append(&w->due, list_pop(&w->slots[slot]));
}

/* Fires what has come due, at most *left timers. */
static void wheel_run_due(struct wheel *w, unsigned *left)
{
    struct list *link;
    while (*left > 0 && (link = list_pop(&w->due)) != NULL) {
        struct timer *t = LIST_ITEM(link, struct timer, link);
        if (mono_is_before(loop_now(w->loop), t->deadline)) {
            wheel_place(w, t);
        } else {
            t->fire(t->arg);
            --*left;
        }
    }
}

static void wheel_on_time(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct wheel *w = arg;
    int64_t now_tick = loop_now(w->loop).us / WHEEL_TICK_US;
    unsigned left = WHEEL_FIRES_PER_TURN;
    w->scheduled_tick = INT64_MAX;
    w->is_running = true;
    wheel_run_due(w, &left);
    for (int64_t tick; left > 0 && (tick = wheel_next_tick(w)) <= now_tick;) {
        wheel_take_slot(w, tick);
        wheel_run_due(w, &left);
    }
    w->is_running = false;
    if (left == 0) {
        wheel_schedule(w, w->current_tick); /* the next turn goes on */
        return;
    }
    if (now_tick > w->current_tick)
        w->current_tick = now_tick;
    int64_t next = wheel_next_tick(w);
    if (next != INT64_MAX)
        wheel_schedule(w, next);
}

void wheel_init(struct wheel *w, struct loop *loop)
{
    w->loop = loop;
    w->event = evtimer_new(loop->base, wheel_on_time, w);
    CHECK(w->event != NULL);
    w->current_tick = loop_now(loop).us / WHEEL_TICK_US;
    w->scheduled_tick = INT64_MAX;
    list_init(&w->due);
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        list_init(&w->slots[i]);
}

void wheel_fini(struct wheel *w)
{
    event_free(w->event);
}

void timer_init(struct timer *t, timer_fn fire, void *arg)
{
    list_init(&t->link);
    t->fire = fire;
    t->arg = arg;
}

void timer_start(struct loop *loop, struct timer *t, int64_t delay_ms)
{
    struct wheel *w = &loop->wheel;
    t->deadline = mono_add_ms(loop_now(loop), delay_ms);
    if (timer_is_armed(t)) {
        if (t->slot_tick <= tick_at_or_after(t->deadline))
            return; /* its slot comes up first and will put it where it belongs */
        list_remove(&t->link);
    }
    if (w->scheduled_tick == INT64_MAX && !w->is_running) /* the wheel stood still: nothing is in its past */
        w->current_tick = loop_now(loop).us / WHEEL_TICK_US;
    wheel_place(w, t);
    if (t->slot_tick < w->scheduled_tick && !w->is_running) /* else it is scheduled when the due slots are done */
        wheel_schedule(w, t->slot_tick);
}

void timer_stop(struct loop *loop, struct timer *t)
{
    (void)loop;
    list_remove(&t->link);
}
