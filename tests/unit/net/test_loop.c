/* tests/unit/net/test_loop.c - what a loop does when nothing else is to be done. */
#include "net/loop.h"

#include <criterion/criterion.h>

#include <event2/event.h>
#include <unistd.h>

struct piece_of_work {
    struct chore chore;
    struct loop *loop;
    int left, done;
    struct piece_of_work *other;
    int other_done; /* when this one began last */
};

static void work(struct chore *c)
{
    struct piece_of_work *w = CONTAINER_OF(c, struct piece_of_work, chore);
    w->done++;
    w->other_done = w->other != NULL ? w->other->done : 0;
    if (--w->left > 0)
        loop_add_chore(w->loop, c);
}

static struct piece_of_work piece_of_work(struct loop *loop, int count)
{
    return (struct piece_of_work){ .chore = { .run = work }, .loop = loop, .left = count };
}

/* Nothing else would end a wait. */
Test(loop, chores_take_turns_one_a_turn_and_no_turn_waits_for_anything_else)
{
    struct loop *loop = loop_create(NULL);
    struct piece_of_work a = piece_of_work(loop, 3), b = piece_of_work(loop, 3);
    a.other = &b, b.other = &a;
    loop_add_chore(loop, &a.chore);
    loop_add_chore(loop, &b.chore);
    for (int turn = 1; turn <= 6; turn++) {
        loop_turn(loop);
        cr_assert_eq(a.done + b.done, turn);
    }
    cr_assert(a.other_done == 2 && b.other_done == 3);
    loop_destroy(loop);
}

static void read_cb(evutil_socket_t fd, short events, void *arg)
{
    char byte;
    int *count = arg;
    (void)events;
    cr_assert_eq(read(fd, &byte, 1), 1);
    ++*count;
}

Test(loop, what_is_ready_is_served_between_two_chores)
{
    struct loop *loop = loop_create(NULL);
    struct piece_of_work a = piece_of_work(loop, 10);
    int pipe_ends[2], count = 0;
    cr_assert_eq(pipe(pipe_ends), 0);
    struct event *event = event_new(loop->base, pipe_ends[0], EV_READ | EV_PERSIST, read_cb, &count);
    cr_assert_eq(event_add(event, NULL), 0);
    loop_add_chore(loop, &a.chore);
    for (int turn = 1; turn <= 10; turn++) {
        cr_assert_eq(write(pipe_ends[1], "x", 1), 1);
        loop_turn(loop);
        cr_assert(a.done == turn && count == turn);
    }
    event_free(event);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    loop_destroy(loop);
}

Test(loop, a_chore_may_be_taken_off)
{
    struct loop *loop = loop_create(NULL);
    struct piece_of_work a = piece_of_work(loop, 1), b = piece_of_work(loop, 1);
    loop_add_chore(loop, &a.chore);
    loop_add_chore(loop, &b.chore);
    list_remove(&a.chore.link);
    loop_turn(loop);
    cr_assert(a.done == 0 && b.done == 1);
    loop_destroy(loop);
}
