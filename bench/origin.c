/* bench/origin.c - a fast HTTP/1.1 origin for measurements: the answer's size is in the path.
 *
 *   origin [--port PORT] [--size BYTES] [--name NAME]
 *
 * Listens on 127.0.0.1 (--port 0, the default, lets the kernel choose) and prints its port.
 * `/bytes/N` answers N bytes, every other path --size bytes (128). --name goes out as x-origin, so
 * that a client can count a split. One thread, one read and one write a request, answers built
 * once for each size. Pipelined requests are answered in order; a body is skipped when it has a
 * content-length. It trusts its peer: no chunked bodies, no timeouts, never on a public port.
 */
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "tcp.h"

enum {
    EVENTS_PER_TURN = 256,
    HEAD_BYTES = 16 * 1024, /* longest request head taken */
    SIZES = 64,             /* different answer sizes in one life */
    LARGEST = 64 * 1024 * 1024,
    DATE_OFFSET = 23, /* of the date's value in every answer: it stands right behind the status */
    DATE_BYTES = 29,
};

/* A whole answer, head and body, shared by all connections and kept for ever. */
struct answer {
    size_t body_bytes;
    size_t head_bytes;
    size_t bytes;
    char *text;
};

struct connection {
    int fd;
    bool closed;                 /* answered nothing more; freed at the end of its event */
    const struct answer *answer; /* being written; NULL: reading */
    size_t written;
    size_t end;  /* where this answer ends: the head alone for HEAD */
    size_t skip; /* body bytes still to come */
    size_t used; /* in `head` */
    char head[HEAD_BYTES + 1];
};

static int poller;
static const char *origin_name = "origin";
static size_t default_size = 128;
static struct answer answers[SIZES];
static size_t answer_count;

static void date_write(char *at, time_t now)
{
    char text[DATE_BYTES + 1];

    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
    memcpy(at, text, DATE_BYTES);
}

/* Answers carry the present second, as a real origin's do. */
static void dates_refresh(void)
{
    static time_t last;
    time_t now = time(NULL);

    if (now == last)
        return;
    last = now;
    for (size_t i = 0; i < answer_count; i++)
        date_write(answers[i].text + DATE_OFFSET, now);
}

static void answer_build(struct answer *answer, size_t body_bytes)
{
    char head[512];
    int head_bytes = snprintf(head, sizeof head,
                              "HTTP/1.1 200 OK\r\n"
                              "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                              "content-type: text/plain\r\n"
                              "content-length: %zu\r\n"
                              "x-origin: %.64s\r\n"
                              "\r\n",
                              body_bytes, origin_name);

    answer->body_bytes = body_bytes;
    answer->head_bytes = (size_t)head_bytes;
    answer->bytes = answer->head_bytes + body_bytes;
    answer->text = malloc(answer->bytes);
    if (!answer->text)
        tcp_die("malloc");
    memcpy(answer->text, head, answer->head_bytes);
    memset(answer->text + answer->head_bytes, 'x', body_bytes);
    date_write(answer->text + DATE_OFFSET, time(NULL));
}

/* The answer of that size, built at its first use; when the table is full, the default one. */
static const struct answer *answer_find(size_t body_bytes)
{
    for (size_t i = 0; i < answer_count; i++)
        if (answers[i].body_bytes == body_bytes)
            return &answers[i];
    if (answer_count == SIZES || body_bytes > LARGEST)
        return &answers[0];
    answer_build(&answers[answer_count], body_bytes);
    return &answers[answer_count++];
}

static const struct answer *answer_for(const char *head)
{
    const char *path = strchr(head, ' ');

    if (path && strncmp(path + 1, "/bytes/", 7) == 0)
        return answer_find(strtoul(path + 8, NULL, 10));
    return &answers[0];
}

/* Only what is not GET or HEAD can have a body here, so the hot path searches nothing. */
static size_t body_bytes_of(const char *head)
{
    const char *field = strcasestr(head, "\r\ncontent-length:");

    return field ? strtoul(field + strlen("\r\ncontent-length:"), NULL, 10) : 0;
}

static void connection_consume(struct connection *c, size_t count)
{
    c->used -= count;
    memmove(c->head, c->head + count, c->used);
}

static void connection_begin_answer(struct connection *c, size_t head_bytes)
{
    bool is_head = strncmp(c->head, "HEAD ", 5) == 0;
    char kept = c->head[head_bytes];

    c->head[head_bytes] = '\0';
    if (!is_head && strncmp(c->head, "GET ", 4) != 0)
        c->skip = body_bytes_of(c->head);
    c->answer = answer_for(c->head);
    c->end = is_head ? c->answer->head_bytes : c->answer->bytes;
    c->written = 0;
    c->head[head_bytes] = kept;
    connection_consume(c, head_bytes);
}

static void connection_watch(struct connection *c, uint32_t events, int operation)
{
    struct epoll_event event = { .events = events, .data.ptr = c };

    if (epoll_ctl(poller, operation, c->fd, &event) < 0)
        tcp_die("epoll_ctl");
}

/* Writes on until the answer is out or the socket is full. True: the answer is out. */
static bool connection_write(struct connection *c)
{
    while (c->written < c->end) {
        ssize_t put = write(c->fd, c->answer->text + c->written, c->end - c->written);

        if (put < 0) {
            c->closed = errno != EAGAIN;
            return false;
        }
        c->written += (size_t)put;
    }
    c->answer = NULL;
    return true;
}

/* Takes one request out of the buffer. False: it is not all there yet, or is too long. */
static bool connection_next(struct connection *c)
{
    size_t skipped = c->skip < c->used ? c->skip : c->used;
    const char *end;

    c->skip -= skipped;
    if (skipped)
        connection_consume(c, skipped);
    end = memmem(c->head, c->used, "\r\n\r\n", 4);
    if (!end) {
        c->closed = c->used == HEAD_BYTES;
        return false;
    }
    connection_begin_answer(c, (size_t)(end - c->head) + 4);
    return true;
}

static void connection_answer(struct connection *c)
{
    while (connection_next(c)) {
        if (connection_write(c))
            continue;
        if (!c->closed)
            connection_watch(c, EPOLLOUT, EPOLL_CTL_MOD);
        return;
    }
}

static void connection_on_event(struct connection *c)
{
    ssize_t got;

    if (c->answer) {
        if (!connection_write(c))
            return;
        connection_watch(c, EPOLLIN, EPOLL_CTL_MOD);
        connection_answer(c);
        return;
    }
    got = read(c->fd, c->head + c->used, HEAD_BYTES - c->used);
    if (got <= 0) {
        c->closed = got == 0 || errno != EAGAIN;
        return;
    }
    c->used += (size_t)got;
    connection_answer(c);
}

static void accept_one(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct connection *c;

    if (fd < 0)
        return;
    c = calloc(1, sizeof *c);
    if (!c)
        tcp_die("calloc");
    c->fd = fd;
    connection_watch(c, EPOLLIN, EPOLL_CTL_ADD);
}

static void dispatch(struct connection *c)
{
    connection_on_event(c);
    if (c->closed) {
        close(c->fd);
        free(c);
    }
}

static _Noreturn void loop(int listener)
{
    struct epoll_event events[EVENTS_PER_TURN];
    struct epoll_event accepting = { .events = EPOLLIN, .data.ptr = NULL };

    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &accepting) < 0)
        tcp_die("epoll_ctl");
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS_PER_TURN, -1);

        dates_refresh();
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                dispatch(events[i].data.ptr);
            else
                accept_one(listener);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "port", required_argument, NULL, 'p' },
        { "size", required_argument, NULL, 's' },
        { "name", required_argument, NULL, 'n' },
        { NULL, 0, NULL, 0 },
    };
    int port = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            port = atoi(optarg);
        else if (option == 's')
            default_size = strtoul(optarg, NULL, 10);
        else if (option == 'n')
            origin_name = optarg;
        else
            return 2;
    }
    if (optind != argc || default_size > LARGEST) {
        fprintf(stderr, "usage: origin [--port PORT] [--size BYTES] [--name NAME]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    answer_find(default_size);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        tcp_die("epoll_create1");
    loop(tcp_listen(port));
}
