/* bench/floor.c - a bare epoll TCP relay: the cost that no proxy built on sockets can go below.
 *
 *   floor --port PORT --upstream PORT      (127.0.0.1 both; --port 0 lets the kernel choose)
 *
 * One thread, one upstream connection for each client connection, no look at the bytes. In steady
 * state a request costs two reads, two writes and its share of an epoll_wait: every descriptor is
 * registered once for its whole life, and a short read is taken as "drained". Nothing here is
 * clever on purpose; whatever a proxy spends beyond this is its own.
 */
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tcp.h"

enum {
    EVENTS_PER_TURN = 256,
    COPY_BYTES = 64 * 1024,
};

/* One end of a pair. `rest` is what its socket did not take yet; while there is some, the peer is
 * not read, so at most COPY_BYTES wait for each end. */
struct side {
    int fd;
    struct side *peer;
    struct pair *pair;
    char *rest; /* NULL: nothing waits */
    size_t rest_offset;
    size_t rest_bytes;
};

/* Owned by the loop. Both ends may have an event in the same turn, so a closed pair is freed only
 * when the turn is over. */
struct pair {
    struct side client;
    struct side upstream;
    bool closed;
    struct pair *next_dead;
};

static int poller;
static int upstream_port;
static struct pair *dead;

static void watch(struct side *side, int operation)
{
    struct epoll_event event = { .data.ptr = side };

    if (!side->peer->rest)
        event.events |= EPOLLIN;
    if (side->rest)
        event.events |= EPOLLOUT;
    if (epoll_ctl(poller, operation, side->fd, &event) < 0)
        tcp_die("epoll_ctl");
}

static void pair_close(struct pair *pair)
{
    if (pair->closed)
        return;
    pair->closed = true;
    close(pair->client.fd);
    close(pair->upstream.fd);
    pair->next_dead = dead;
    dead = pair;
}

static void free_dead(void)
{
    while (dead) {
        struct pair *pair = dead;

        dead = pair->next_dead;
        free(pair->client.rest);
        free(pair->upstream.rest);
        free(pair);
    }
}

/* Keeps what did not fit, and stops reading its source until it is gone. */
static void side_park(struct side *side, const char *bytes, size_t count)
{
    side->rest = malloc(count);
    if (!side->rest)
        tcp_die("malloc");
    memcpy(side->rest, bytes, count);
    side->rest_offset = 0;
    side->rest_bytes = count;
    watch(side, EPOLL_CTL_MOD);
    watch(side->peer, EPOLL_CTL_MOD);
}

static void side_flush(struct side *side)
{
    ssize_t put = write(side->fd, side->rest + side->rest_offset, side->rest_bytes - side->rest_offset);

    if (put < 0) {
        if (errno != EAGAIN)
            pair_close(side->pair);
        return;
    }
    side->rest_offset += (size_t)put;
    if (side->rest_offset < side->rest_bytes)
        return;
    free(side->rest);
    side->rest = NULL;
    watch(side, EPOLL_CTL_MOD);
    watch(side->peer, EPOLL_CTL_MOD);
}

/* The whole point of the program: one read, one write. */
static void side_copy(struct side *from)
{
    static char bytes[COPY_BYTES];
    struct side *to = from->peer;
    ssize_t got = read(from->fd, bytes, sizeof bytes);
    ssize_t put;

    /* An EOF finds nothing waiting for the peer, or `from` would not have been read. */
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            pair_close(from->pair);
        return;
    }
    put = write(to->fd, bytes, (size_t)got);
    if (put == got)
        return;
    if (put < 0 && errno != EAGAIN) {
        pair_close(from->pair);
        return;
    }
    side_park(to, bytes + (put < 0 ? 0 : put), (size_t)(got - (put < 0 ? 0 : put)));
}

static void side_on_event(struct side *side, uint32_t events)
{
    if (side->pair->closed)
        return;
    if (side->rest && (events & EPOLLOUT))
        side_flush(side);
    if (side->pair->closed)
        return;
    if (side->peer->rest) {
        /* Not reading it now: only its end can have been reported. */
        if (events & (EPOLLHUP | EPOLLERR))
            pair_close(side->pair);
        return;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        side_copy(side);
}

static void side_init(struct side *side, struct side *peer, struct pair *pair, int fd)
{
    side->fd = fd;
    side->peer = peer;
    side->pair = pair;
}

static void accept_one(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct pair *pair;

    if (fd < 0)
        return;
    pair = calloc(1, sizeof *pair);
    if (!pair)
        tcp_die("calloc");
    side_init(&pair->client, &pair->upstream, pair, fd);
    side_init(&pair->upstream, &pair->client, pair, tcp_connect(upstream_port));
    watch(&pair->client, EPOLL_CTL_ADD);
    watch(&pair->upstream, EPOLL_CTL_ADD);
}

static _Noreturn void loop(int listener)
{
    struct epoll_event events[EVENTS_PER_TURN];
    struct epoll_event accepting = { .events = EPOLLIN, .data.ptr = NULL };

    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &accepting) < 0)
        tcp_die("epoll_ctl");
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS_PER_TURN, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                side_on_event(events[i].data.ptr, events[i].events);
            else
                accept_one(listener);
        }
        free_dead();
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "port", required_argument, NULL, 'p' },
        { "upstream", required_argument, NULL, 'u' },
        { NULL, 0, NULL, 0 },
    };
    int port = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            port = atoi(optarg);
        else if (option == 'u')
            upstream_port = atoi(optarg);
        else
            return 2;
    }
    if (upstream_port <= 0 || optind != argc) {
        fprintf(stderr, "usage: floor [--port PORT] --upstream PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        tcp_die("epoll_create1");
    loop(tcp_listen(port));
}
