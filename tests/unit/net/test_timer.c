/* tests/unit/net/test_timer.c - the wheel: never early, at most a tick late, postponed by one store. */
#include "net/timer.h"

#include "net/loop.h"

#include <criterion/criterion.h>
#include <unistd.h>

struct probe {
    struct timer timer;
    struct loop *loop;
    int fired_count;
    struct mono_time fired_at;
};

static void on_fire(void *arg)
{
    struct probe *p = arg;
    p->fired_count++;
    p->fired_at = clock_mono();
    loop_stop(p->loop);
}

static void probe_init(struct probe *p, struct loop *loop)
{
    *p = (struct probe){ .loop = loop };
    timer_init(&p->timer, on_fire, p);
}

static void run_until_stopped(struct loop *loop)
{
    loop->is_stopping = false;
    loop_run(loop);
}

Test(timer, fires_once_and_never_early)
{
    struct loop *loop = loop_create(NULL);
    struct probe p;
    probe_init(&p, loop);
    struct mono_time begun = clock_mono();
    timer_start(loop, &p.timer, 30);
    run_until_stopped(loop);
    cr_assert_eq(p.fired_count, 1);
    cr_assert_geq(mono_diff_us(p.fired_at, begun), 30000);
    cr_assert_not(timer_is_armed(&p.timer));
    loop_destroy(loop);
}

Test(timer, stopped_does_not_fire)
{
    struct loop *loop = loop_create(NULL);
    struct probe stopped, last;
    probe_init(&stopped, loop);
    probe_init(&last, loop);
    timer_start(loop, &stopped.timer, 10);
    timer_start(loop, &last.timer, 40);
    timer_stop(loop, &stopped.timer);
    timer_stop(loop, &stopped.timer); /* harmless */
    run_until_stopped(loop);
    cr_assert_eq(stopped.fired_count, 0);
    cr_assert_eq(last.fired_count, 1);
    loop_destroy(loop);
}

Test(timer, postponing_keeps_the_slot_and_moves_the_deadline)
{
    struct loop *loop = loop_create(NULL);
    struct probe p;
    probe_init(&p, loop);
    timer_start(loop, &p.timer, 20);
    int64_t slot = p.timer.slot_tick;
    struct mono_time begun = clock_mono();
    timer_start(loop, &p.timer, 60);
    cr_assert_eq(p.timer.slot_tick, slot, "postponing only rewrites the deadline");
    run_until_stopped(loop);
    cr_assert_eq(p.fired_count, 1);
    cr_assert_geq(mono_diff_us(p.fired_at, begun), 60000);
    loop_destroy(loop);
}

Test(timer, an_earlier_deadline_moves_it_forward)
{
    struct loop *loop = loop_create(NULL);
    struct probe p;
    probe_init(&p, loop);
    timer_start(loop, &p.timer, 600000);
    timer_start(loop, &p.timer, 10);
    cr_assert_leq(p.timer.slot_tick, loop->wheel.current_tick + 3, "moved to a slot that comes up in time");
    run_until_stopped(loop);
    cr_assert_eq(p.fired_count, 1);
    loop_destroy(loop);
}

Test(timer, a_deadline_beyond_the_horizon_waits_in_the_last_slot)
{
    struct loop *loop = loop_create(NULL);
    struct probe p;
    probe_init(&p, loop);
    timer_start(loop, &p.timer, 3600000);
    cr_assert_eq(p.timer.slot_tick, loop->wheel.current_tick + WHEEL_SLOTS - 1);
    timer_stop(loop, &p.timer);
    loop_destroy(loop);
}

static struct probe victim;

static void stop_the_victim(void *arg)
{
    timer_stop(arg, &victim.timer);
}

Test(timer, a_callback_may_stop_another_that_is_due_in_the_same_tick)
{
    struct loop *loop = loop_create(NULL);
    struct probe last;
    struct timer killer;
    timer_init(&killer, stop_the_victim, loop);
    probe_init(&victim, loop);
    probe_init(&last, loop);
    timer_start(loop, &killer, 10);
    timer_start(loop, &victim.timer, 10);
    timer_start(loop, &last.timer, 50);
    run_until_stopped(loop);
    cr_assert_eq(victim.fired_count, 0);
    loop_destroy(loop);
}

Test(timer, many_timers_fire_in_the_order_of_their_ticks)
{
    enum { COUNT = 200 };
    static struct probe probes[COUNT];
    struct loop *loop = loop_create(NULL);
    struct probe last;
    for (int i = 0; i < COUNT; i++) {
        probe_init(&probes[i], loop);
        timer_start(loop, &probes[i].timer, (i * 37) % 150);
    }
    probe_init(&last, loop);
    timer_start(loop, &last.timer, 250);
    while (last.fired_count == 0)
        run_until_stopped(loop);
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(probes[i].fired_count, 1, "timer %d", i);
    loop_destroy(loop);
}

struct crowd_member {
    struct timer timer;
    struct loop *loop;
    uint64_t turn;
};

static void note_turn(void *arg)
{
    struct crowd_member *m = arg;
    m->turn = m->loop->turn_count;
}

Test(timer, a_crowd_that_is_due_together_fires_over_several_turns)
{
    enum { COUNT = 100 };
    static struct crowd_member crowd[COUNT];
    struct loop *loop = loop_create(NULL);
    for (int i = 0; i < COUNT; i++) {
        crowd[i] = (struct crowd_member){ .loop = loop };
        timer_init(&crowd[i].timer, note_turn, &crowd[i]);
        timer_start(loop, &crowd[i].timer, 20);
    }
    struct probe last;
    probe_init(&last, loop);
    timer_start(loop, &last.timer, 21); /* postponed and put back, it waits for all of them */
    timer_start(loop, &last.timer, 60);
    while (last.fired_count == 0)
        run_until_stopped(loop);
    for (int i = 0; i < COUNT; i++)
        cr_assert_neq(crowd[i].turn, 0, "timer %d did not fire", i);
    for (int i = 0; i + WHEEL_FIRES_PER_TURN < COUNT; i++)
        cr_assert_lt(crowd[i].turn, crowd[i + WHEEL_FIRES_PER_TURN].turn, "too many fired in turn %ju",
                     (uintmax_t)crowd[i].turn);
    loop_destroy(loop);
}

static void stop_the_next(void *arg)
{
    struct crowd_member *m = arg;
    note_turn(m);
    timer_stop(m->loop, &m[1].timer);
}

Test(timer, one_of_a_crowd_may_be_stopped_while_it_waits_for_its_turn)
{
    enum { COUNT = 3 * WHEEL_FIRES_PER_TURN };
    static struct crowd_member crowd[COUNT];
    struct loop *loop = loop_create(NULL);
    for (int i = 0; i < COUNT; i++) {
        crowd[i] = (struct crowd_member){ .loop = loop };
        timer_init(&crowd[i].timer, i % 2 == 0 ? stop_the_next : note_turn, &crowd[i]);
        timer_start(loop, &crowd[i].timer, 10);
    }
    struct probe last;
    probe_init(&last, loop);
    timer_start(loop, &last.timer, 60);
    run_until_stopped(loop);
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(crowd[i].turn != 0, i % 2 == 0, "timer %d", i);
    loop_destroy(loop);
}

struct sleeper {
    struct timer timer;
    struct loop *loop;
};

static void oversleep(void *arg)
{
    (void)arg;
    usleep(60000); /* a stall of several ticks */
}

static void rearm_once(void *arg)
{
    struct sleeper *s = arg;
    timer_init(&s->timer, oversleep, s);
    timer_start(s->loop, &s->timer, 200);
}

Test(timer, a_stall_and_a_callback_that_arms_skip_no_slot)
{
    struct loop *loop = loop_create(NULL);
    struct timer stall;
    struct sleeper rearming = { .loop = loop };
    struct probe last;
    timer_init(&stall, oversleep, NULL);
    timer_init(&rearming.timer, rearm_once, &rearming);
    probe_init(&last, loop);
    timer_start(loop, &stall, 5);
    timer_start(loop, &rearming.timer, 20);
    timer_start(loop, &last.timer, 40);
    struct mono_time begun = clock_mono();
    run_until_stopped(loop);
    cr_assert_eq(last.fired_count, 1);
    cr_assert_lt(mono_diff_us(last.fired_at, begun), WHEEL_TICK_US * (WHEEL_SLOTS / 2),
                 "not a whole turn of the wheel later");
    timer_stop(loop, &rearming.timer);
    loop_destroy(loop);
}
