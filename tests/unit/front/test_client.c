/* tests/unit/front/test_client.c - how long a client lingers, on a clock that the test sets. */
#include "front/client.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* One client of a front that has nothing else; the test holds the other end of its connection. */
struct fixture {
    struct config config;
    struct snapshot snapshot;
    struct binding binding;
    struct front front;
    struct front_listener listener;
    struct client *client;
    struct mono_time begun;
    int peer;
};

static void on_readable(struct fixture *f)
{
    f->client->stream.events->on_readable(&f->client->stream);
}

static void set_time(struct fixture *f, int64_t ms)
{
    f->front.loop->now = mono_add_ms(f->begun, ms);
    f->front.loop->is_now_known = true;
}

static void fixture_open(struct fixture *f)
{
    struct ip_address source = { { 0 } };
    uint32_t place;
    int fds[2];
    memset(f, 0, sizeof(*f));
    f->front = (struct front){ .loop = loop_create(NULL), .stats = stats_worker_create(), .limits = limits_create() };
    f->front.current = &f->binding;
    f->binding.snapshot = &f->snapshot;
    f->snapshot.config = &f->config;
    f->config.limits.idle_timeout_ms = 75000;
    f->listener.front = &f->front;
    for (size_t i = 0; i < CLIENT_STATE_COUNT; i++)
        list_init(&f->front.clients[i]);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    f->peer = fds[1];
    int small = 4096; /* of the kernel's: a queue drains in many steps */
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    f->begun = loop_now(f->front.loop);
    cr_assert(limits_enter(f->front.limits, &source, 0, 0, &place));
    client_create(&f->listener, fds[0], &source, 0, place);
    f->client = LIST_ITEM(f->front.clients[CLIENT_IDLE].next, struct client, link);
}

static void fixture_close(struct fixture *f)
{
    if (f->front.client_count > 0)
        client_close(f->client);
    loop_turn_now(f->front.loop);
    loop_destroy(f->front.loop);
    stats_worker_destroy(f->front.stats);
    limits_destroy(f->front.limits);
    close(f->peer);
}

static int64_t ends_at_ms(const struct fixture *f)
{
    cr_assert(timer_is_armed(&f->client->timer));
    return mono_diff_us(f->client->timer.deadline, f->begun) / 1000;
}

Test(client, lingers_as_long_as_bytes_come_but_not_for_ever)
{
    static char bytes[100000];
    struct fixture f;
    fixture_open(&f);
    client_linger(f.client);
    cr_assert_eq(ends_at_ms(&f), 5000, "of silence");
    for (int64_t ms = 4000; ms < 30000; ms += 4000) {
        set_time(&f, ms);
        cr_assert_gt(write(f.peer, bytes, sizeof(bytes)), 0);
        on_readable(&f);
        cr_assert_eq(f.client->state, CLIENT_LINGERING);
        cr_assert_eq(ends_at_ms(&f), ms + 5000 < 30000 ? ms + 5000 : 30000);
    }
    f.client->timer.fire(f.client->timer.arg);
    cr_assert_eq(f.client->state, CLIENT_CLOSED);
    loop_turn_now(f.front.loop);
    cr_assert_eq(f.front.loop->chunks.live_count, 0);
    fixture_close(&f);
}

Test(client, lingers_from_when_its_answer_has_left)
{
    static char bytes[600000];
    struct fixture f;
    fixture_open(&f);
    struct chunk *chunk = chunk_create_sized(&f.front.loop->chunks, sizeof(bytes));
    stream_push(&f.client->stream, chunk, 0, sizeof(bytes));
    chunk_unref(chunk);
    client_flush(f.client);
    cr_assert(stream_is_full(&f.client->stream));
    client_linger(f.client);
    cr_assert_eq(ends_at_ms(&f), 75000, "idle_timeout while the answer is on its way");
    set_time(&f, 7000);
    cr_assert_eq(write(f.peer, "x", 1), 1);
    on_readable(&f);
    cr_assert_eq(ends_at_ms(&f), 75000);
    while (f.client->stream.queued_bytes > 0) {
        cr_assert_gt(read(f.peer, bytes, sizeof(bytes)), 0);
        f.front.loop->is_now_known = false;
        loop_turn(f.front.loop);
        cr_assert_eq(f.client->state, CLIENT_LINGERING);
    }
    int64_t left_ms = mono_diff_us(f.client->timer.deadline, loop_now(f.front.loop)) / 1000;
    cr_assert(left_ms > 4000 && left_ms <= 5000, "%lld", (long long)left_ms);
    fixture_close(&f);
}

Test(client, that_has_ended_gets_the_rest_of_its_answer)
{
    static char bytes[600000];
    struct fixture f;
    size_t received = 0;
    fixture_open(&f);
    struct chunk *chunk = chunk_create_sized(&f.front.loop->chunks, sizeof(bytes));
    stream_push(&f.client->stream, chunk, 0, sizeof(bytes));
    chunk_unref(chunk);
    client_flush(f.client);
    cr_assert(stream_is_full(&f.client->stream), "so that on_drained comes at the low mark, and not only at the end");
    client_linger(f.client);
    cr_assert_eq(shutdown(f.peer, SHUT_WR), 0);
    on_readable(&f);
    cr_assert(f.client->has_ended);
    for (ssize_t got = -1; got != 0; received += got > 0 ? (size_t)got : 0)
        if ((got = read(f.peer, bytes, sizeof(bytes))) < 0)
            loop_turn(f.front.loop);
    cr_assert_eq(received, sizeof(bytes));
    fixture_close(&f);
}
