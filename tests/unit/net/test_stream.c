/* tests/unit/net/test_stream.c - the write queue is exact, back-pressure has two marks, closing is idempotent. */
#include "net/local_limit.h"
#include "net/stream.h"

#include "net/inbox.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A stream on one end of a socket pair; the test holds the other. */
struct pair {
    struct stream stream;
    struct loop *loop;
    int peer;
    int readable_count, drained_count, connected_error;
};

static void on_readable(struct stream *s)
{
    struct pair *p = CONTAINER_OF(s, struct pair, stream);
    p->readable_count++;
    stream_pause(s);
}

static void on_drained(struct stream *s)
{
    struct pair *p = CONTAINER_OF(s, struct pair, stream);
    p->drained_count++;
}

static const struct stream_events events = { .on_readable = on_readable, .on_drained = on_drained };

static void pair_open_in(struct pair *p, struct loop *loop)
{
    int fds[2];
    *p = (struct pair){ .loop = loop };
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    p->peer = fds[1];
    int small = 4096; /* of the kernel's: the queue drains in many steps */
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    stream_open(&p->stream, p->loop, fds[0], &events);
}

static void pair_open(struct pair *p)
{
    pair_open_in(p, loop_create(NULL));
}

static void pair_close(struct pair *p)
{
    stream_close(&p->stream);
    stream_close(&p->stream);
    loop_turn_now(p->loop);
    cr_assert_eq(p->loop->chunks.live_count, 0, "every chunk was given back");
    loop_destroy(p->loop);
    close(p->peer);
}

static size_t read_peer(struct pair *p, char *out, size_t size)
{
    ssize_t got = read(p->peer, out, size);
    return got > 0 ? (size_t)got : 0;
}

Test(stream, copies_and_references_leave_in_order_in_one_write)
{
    struct pair p;
    char got[64];
    pair_open(&p);
    struct chunk *body = chunk_create(&p.loop->chunks);
    memcpy(body->bytes, "0123456789", 10);
    body->used = 10;
    stream_push_copy(&p.stream, "head:", 5);
    stream_push(&p.stream, body, 2, 3);
    stream_push(&p.stream, body, 5, 2); /* joined with the piece before it */
    stream_push_copy(&p.stream, ":end", 4);
    chunk_unref(body);
    cr_assert_eq(p.stream.queued_bytes, 14);
    cr_assert_eq(stream_flush(&p.stream), STREAM_OK);
    cr_assert_eq(p.stream.queued_bytes, 0);
    cr_assert_eq(read_peer(&p, got, sizeof(got)), 14);
    cr_assert_arr_eq(got, "head:23456:end", 14);
    pair_close(&p);
}

/* Queues chunks until the kernel takes no more, then past the high mark. */
static size_t fill(struct pair *p)
{
    size_t pushed = 0;
    while (!stream_is_full(&p->stream)) {
        struct chunk *c = chunk_create(&p->loop->chunks);
        memset(c->bytes, (int)(pushed / CHUNK_BYTES % 251), CHUNK_BYTES);
        c->used = CHUNK_BYTES;
        stream_push(&p->stream, c, 0, CHUNK_BYTES);
        chunk_unref(c);
        pushed += CHUNK_BYTES;
        cr_assert_eq(stream_flush(&p->stream), STREAM_OK);
    }
    return pushed;
}

Test(stream, above_the_high_mark_until_below_the_low_one)
{
    struct pair p;
    static char got[CHUNK_BYTES];
    pair_open(&p);
    size_t pushed = fill(&p), received = 0;
    cr_assert_gt(p.stream.queued_bytes, STREAM_HIGH_BYTES);
    cr_assert_eq(p.drained_count, 0);
    while (received < pushed) {
        size_t count = read_peer(&p, got, sizeof(got));
        for (size_t i = 0; i < count; i++)
            cr_assert_eq((unsigned char)got[i], (received + i) / CHUNK_BYTES % 251, "byte %zu", received + i);
        received += count;
        if (count == 0)
            loop_turn(p.loop);
        if (p.drained_count > 0)
            cr_assert_lt(p.stream.queued_bytes, STREAM_LOW_BYTES);
        if (p.stream.queued_bytes >= STREAM_LOW_BYTES)
            cr_assert(stream_is_full(&p.stream), "full stays full until the low mark");
    }
    cr_assert_geq(p.drained_count, 1);
    pair_close(&p);
}

Test(stream, a_gone_peer_is_an_error_that_sticks)
{
    struct pair p;
    pair_open(&p);
    close(p.peer);
    p.peer = open("/dev/null", O_RDONLY);
    stream_push_copy(&p.stream, "x", 1);
    cr_assert_eq(stream_flush(&p.stream), STREAM_ERROR);
    stream_push_copy(&p.stream, "y", 1);
    cr_assert_eq(p.stream.queued_bytes, 0, "nothing is queued any more");
    cr_assert_eq(stream_flush(&p.stream), STREAM_ERROR);
    pair_close(&p);
}

Test(stream, what_may_wait_leaves_when_the_turn_ends)
{
    struct pair p;
    char got[16];
    pair_open(&p);
    stream_push_copy(&p.stream, "so", 2);
    cr_assert_eq(stream_flush_soon(&p.stream), STREAM_OK);
    stream_push_copy(&p.stream, "on", 2);
    cr_assert_eq(stream_flush_soon(&p.stream), STREAM_OK);
    cr_assert_eq(read_peer(&p, got, sizeof(got)), 0, "it waits");
    loop_turn_now(p.loop);
    cr_assert_eq(read_peer(&p, got, sizeof(got)), 4);
    cr_assert_arr_eq(got, "soon", 4);
    pair_close(&p);
}

Test(stream, what_waits_leaves_before_a_later_flush_a_fin_and_the_end)
{
    struct pair p;
    char got[16];
    pair_open(&p);
    stream_push_copy(&p.stream, "a", 1);
    cr_assert_eq(stream_flush_soon(&p.stream), STREAM_OK);
    stream_push_copy(&p.stream, "b", 1);
    cr_assert_eq(stream_flush(&p.stream), STREAM_OK);
    cr_assert_eq(read_peer(&p, got, sizeof(got)), 2);
    stream_push_copy(&p.stream, "c", 1);
    cr_assert_eq(stream_flush_soon(&p.stream), STREAM_OK);
    stream_shutdown(&p.stream);
    cr_assert_eq(read_peer(&p, got, sizeof(got)), 1);
    cr_assert_eq(read(p.peer, got, sizeof(got)), 0, "the FIN is behind it, and not in a later turn");
    pair_close(&p);

    pair_open(&p);
    stream_push_copy(&p.stream, "last", 4);
    cr_assert_eq(stream_flush_soon(&p.stream), STREAM_OK);
    stream_close(&p.stream);
    cr_assert_eq(read_peer(&p, got, sizeof(got)), 4);
    pair_close(&p);
}

Test(stream, what_is_long_waits_for_nobody)
{
    struct pair p;
    static char got[CHUNK_BYTES];
    pair_open(&p);
    for (int i = 0; i < 2; i++) {
        struct chunk *c = chunk_create(&p.loop->chunks);
        memset(c->bytes, 'x', CHUNK_BYTES);
        c->used = CHUNK_BYTES;
        stream_push(&p.stream, c, 0, CHUNK_BYTES);
        chunk_unref(c);
    }
    cr_assert_eq(stream_flush_soon(&p.stream), STREAM_OK);
    cr_assert_gt(read_peer(&p, got, sizeof(got)), 0);
    pair_close(&p);
}

Test(stream, no_more_than_so_many_wait)
{
    static struct pair first, others[UNSENT_MAX];
    char got[16];
    pair_open(&first);
    for (int i = 0; i < UNSENT_MAX; i++)
        pair_open_in(&others[i], first.loop);
    stream_push_copy(&first.stream, "x", 1);
    cr_assert_eq(stream_flush_soon(&first.stream), STREAM_OK);
    for (int i = 0; i < UNSENT_MAX - 2; i++) {
        stream_push_copy(&others[i].stream, "y", 1);
        cr_assert_eq(stream_flush_soon(&others[i].stream), STREAM_OK);
    }
    cr_assert_eq(read_peer(&first, got, sizeof(got)), 0);
    stream_push_copy(&others[UNSENT_MAX - 2].stream, "z", 1);
    cr_assert_eq(stream_flush_soon(&others[UNSENT_MAX - 2].stream), STREAM_OK);
    cr_assert_eq(read_peer(&first, got, sizeof(got)), 1, "in the middle of the turn");
    for (int i = 0; i < UNSENT_MAX; i++) {
        stream_close(&others[i].stream);
        close(others[i].peer);
    }
    pair_close(&first);
}

static void close_on_drained(struct stream *s)
{
    on_drained(s);
    cr_assert(s->has_failed);
    stream_close(s);
}

Test(stream, a_peer_that_is_gone_when_the_turn_ends_is_told_of_then)
{
    static const struct stream_events closing = { .on_readable = on_readable, .on_drained = close_on_drained };
    struct pair p;
    pair_open(&p);
    p.stream.events = &closing;
    close(p.peer);
    p.peer = open("/dev/null", O_RDONLY);
    stream_push_copy(&p.stream, "x", 1);
    cr_assert_eq(stream_flush_soon(&p.stream), STREAM_OK);
    cr_assert_eq(p.drained_count, 0, "never from inside a stream function");
    loop_turn_now(p.loop);
    cr_assert_eq(p.drained_count, 1);
    cr_assert_eq(p.stream.fd, -1);
    pair_close(&p);
}

Test(stream, shutdown_waits_for_the_queue)
{
    struct pair p;
    char got[16];
    pair_open(&p);
    stream_push_copy(&p.stream, "bye", 3);
    stream_shutdown(&p.stream);
    cr_assert_not(p.stream.has_shut_down);
    cr_assert_eq(stream_flush(&p.stream), STREAM_OK);
    cr_assert(p.stream.has_shut_down);
    cr_assert_eq(read_peer(&p, got, sizeof(got)), 3);
    cr_assert_eq(read(p.peer, got, sizeof(got)), 0, "then FIN");
    pair_close(&p);
}

Test(stream, full_and_then_flushed_at_once_is_told_too)
{
    struct pair p;
    static char got[CHUNK_BYTES];
    pair_open(&p);
    size_t pushed = fill(&p), received = 0;
    cr_assert(stream_is_full(&p.stream));
    while (p.stream.queued_bytes > 0) { /* the peer reads, and the owner flushes before the loop comes by */
        received += read_peer(&p, got, sizeof(got));
        cr_assert_eq(stream_flush(&p.stream), STREAM_OK);
    }
    cr_assert_eq(p.drained_count, 0, "not from inside a stream function");
    while (received < pushed)
        received += read_peer(&p, got, sizeof(got));
    loop_turn(p.loop);
    cr_assert_eq(p.drained_count, 1, "who paused its source must hear that it may go on");
    cr_assert_not(stream_is_full(&p.stream));
    cr_assert_not(p.stream.is_write_armed);
    pair_close(&p);
}

Test(stream, small_pieces_for_a_slow_peer_share_chunks)
{
    struct pair p;
    pair_open(&p);
    while (!p.stream.is_write_armed) {
        stream_push_copy(&p.stream, "0123456789abcdef", 16);
        cr_assert_eq(stream_flush(&p.stream), STREAM_OK);
    }
    uint32_t queued_before = p.stream.queued_bytes;
    for (int i = 0; i < 4096; i++) { /* each in a turn of its own */
        char piece[17];
        snprintf(piece, sizeof(piece), "%016d", i);
        stream_push_copy(&p.stream, piece, 16);
        loop_turn_now(p.loop);
    }
    cr_assert_eq(p.stream.queued_bytes, queued_before + 65536);
    cr_assert_leq(p.loop->chunks.live_count, 8, "%u chunks hold 64 KiB", p.loop->chunks.live_count);
    int seen = 0;
    char piece[17] = "";
    while (seen < 4096) { /* what went before is no number */
        size_t count = 0;
        while ((count += read_peer(&p, piece + count, 16 - count)) < 16)
            loop_turn(p.loop);
        if (memcmp(piece, "0123456789abcdef", 16) != 0)
            cr_assert_eq(atoi(piece), seen++);
    }
    pair_close(&p);
}

Test(stream, closing_with_a_full_queue_gives_every_chunk_back)
{
    struct pair p;
    pair_open(&p);
    fill(&p);
    pair_close(&p);
}

static void run_for_20_ms(struct pair *p)
{
    struct timer wake;
    timer_init(&wake, (timer_fn)loop_stop, p->loop);
    timer_start(p->loop, &wake, 20);
    loop_run(p->loop);
    p->loop->is_stopping = false;
}

Test(stream, paused_reading_reports_nothing_and_resuming_reports_what_waits)
{
    struct pair p;
    pair_open(&p);
    stream_pause(&p.stream);
    cr_assert_eq(write(p.peer, "x", 1), 1);
    run_for_20_ms(&p);
    cr_assert_eq(p.readable_count, 0);
    stream_resume(&p.stream);
    loop_turn(p.loop);
    cr_assert_eq(p.readable_count, 1);
    pair_close(&p);
}

Test(stream, a_watched_one_reports_neither_bytes_nor_fin_but_the_peers_end)
{
    struct pair p;
    pair_open(&p);
    stream_watch(&p.stream);
    stream_watch(&p.stream);
    cr_assert_eq(write(p.peer, "x", 1), 1);
    run_for_20_ms(&p);
    cr_assert_eq(shutdown(p.peer, SHUT_WR), 0);
    run_for_20_ms(&p);
    cr_assert_eq(p.readable_count, 0);
    cr_assert_eq(p.drained_count, 0);
    cr_assert_not(p.stream.has_failed);
    close(p.peer);
    p.peer = open("/dev/null", O_RDONLY);
    while (p.drained_count == 0)
        loop_turn(p.loop);
    cr_assert(p.stream.has_failed);
    cr_assert_eq(p.drained_count, 1);
    pair_close(&p);
}

Test(stream, a_watched_one_may_write_and_read_on)
{
    struct pair p;
    static char got[CHUNK_BYTES];
    pair_open(&p);
    stream_watch(&p.stream);
    size_t pushed = fill(&p), received = 0;
    while (received < pushed || p.drained_count == 0) {
        size_t count = read_peer(&p, got, sizeof(got));
        received += count;
        if (count == 0)
            loop_turn(p.loop);
    }
    cr_assert_not(p.stream.is_write_armed);
    cr_assert_eq(write(p.peer, "x", 1), 1);
    run_for_20_ms(&p);
    cr_assert_eq(p.readable_count, 0);
    stream_resume(&p.stream);
    while (p.readable_count == 0)
        loop_turn(p.loop);
    cr_assert_not(p.stream.has_failed);
    pair_close(&p);
}

Test(inbox, what_waits_stays_contiguous_while_it_grows)
{
    struct pair p;
    struct inbox in = { NULL, 0 };
    static char piece[1000];
    bool is_drained;
    size_t sent = 0;
    pair_open(&p);
    for (int i = 0; i < 40; i++) { /* 40,000 bytes of one unfinished head */
        memset(piece, 'a' + i % 26, sizeof(piece));
        cr_assert_eq(write(p.peer, piece, sizeof(piece)), (ssize_t)sizeof(piece));
        sent += sizeof(piece);
        cr_assert_eq(inbox_fill(&in, &p.stream, 49152, &is_drained), STREAM_OK);
        cr_assert(is_drained);
    }
    struct slice all = inbox_bytes(&in);
    cr_assert_eq(all.len, sent);
    for (size_t i = 0; i < all.len; i++)
        cr_assert_eq(all.ptr[i], 'a' + (int)(i / 1000) % 26);
    inbox_keep(&in, slice_after(all, all.len));
    inbox_release_if_empty(&in);
    cr_assert_null(in.chunk, "an empty inbox holds nothing");
    pair_close(&p);
}

Test(inbox, a_bulk_read_takes_no_more_than_the_body)
{
    struct pair p;
    struct chunk *chunks[BULK_CHUNKS];
    enum stream_status status;
    bool is_drained;
    static char bytes[30000];
    pair_open(&p);
    cr_assert_eq(write(p.peer, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
    int count = stream_read_bulk(&p.stream, 20000, chunks, &status, &is_drained);
    cr_assert_eq(count, 2);
    cr_assert_eq(chunks[0]->used + chunks[1]->used, 20000);
    for (int i = 0; i < count; i++)
        chunk_unref(chunks[i]);
    pair_close(&p);
}

Test(inbox, a_limit_that_shrank_does_not_cut_what_waits)
{
    struct pair p;
    struct inbox in = { NULL, 0 };
    static char bytes[15000];
    bool is_drained;
    pair_open(&p);
    memset(bytes, 'w', sizeof(bytes));
    cr_assert_eq(write(p.peer, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
    cr_assert_eq(inbox_fill(&in, &p.stream, 49152, &is_drained), STREAM_OK);
    cr_assert_eq(write(p.peer, bytes, 1000), 1000);
    cr_assert_eq(inbox_fill(&in, &p.stream, 2048, &is_drained), STREAM_OK, "a reload came in between");
    cr_assert_eq(inbox_bytes(&in).len, sizeof(bytes) + 1000);
    inbox_fini(&in);
    pair_close(&p);
}

/* Of a connect to an IPv4 address. */
static const char *local_limit(int error, uint32_t address)
{
    struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(80), .sin_addr = { htonl(address) } };
    return local_limit_of(error, (const struct sockaddr *)&peer, sizeof(peer));
}

Test(stream, what_this_machine_lacks_is_told_from_what_the_peer_does)
{
    cr_assert(strstr(local_limit(EMFILE, INADDR_LOOPBACK), "RLIMIT_NOFILE") != NULL);
    cr_assert(strstr(local_limit(ENFILE, INADDR_LOOPBACK), "fs.file-max") != NULL);
    cr_assert_not_null(local_limit(ENOBUFS, INADDR_LOOPBACK));
    cr_assert(strstr(local_limit(EADDRNOTAVAIL, INADDR_LOOPBACK), "ip_local_port_range") != NULL);
    cr_assert_null(local_limit(EADDRNOTAVAIL, INADDR_BROADCAST),
                   "no address to reach it from: the ports are not the matter");
    cr_assert_null(local_limit(ECONNREFUSED, INADDR_LOOPBACK));
    cr_assert_null(local_limit(ETIMEDOUT, INADDR_LOOPBACK));
    cr_assert_null(local_limit(EHOSTUNREACH, INADDR_LOOPBACK));
}
