/* tests/unit/outbound/test_courier.c - errands to a server of four manners: each comes back once, whatever happens. */
#include "outbound/courier.h"

#include "base/text.h"
#include "net/loop.h"

#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Answers by the path: /echo with what it was sent, /long with a body past the limit, /silent not at all. */
struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    int silent_fds[8];
    unsigned silent_count;
};

static void say(int fd, const char *head, const char *body, size_t length)
{
    char line[128];
    int n = snprintf(line, sizeof line,
                     "HTTP/1.1 %s\r\nContent-Length: %zu\r\nX-Kind: test\r\nConnection: close\r\n\r\n", head, length);
    cr_assert_eq(send(fd, line, (size_t)n, MSG_NOSIGNAL), n);
    for (size_t at = 0; at < length;) {
        ssize_t sent = send(fd, body + at, length - at, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        at += (size_t)sent;
    }
}

/* Heads and bodies of these tests fit into one segment each, and may come apart. */
static size_t read_request(int fd, char *bytes, size_t room, const char **body)
{
    size_t have = 0;
    for (;;) {
        ssize_t got = recv(fd, bytes + have, room - 1 - have, 0);
        if (got <= 0)
            return 0;
        have += (size_t)got;
        bytes[have] = '\0';
        char *end = strstr(bytes, "\r\n\r\n");
        if (end == NULL)
            continue;
        const char *length = strstr(bytes, "Content-Length: ");
        size_t wanted = length != NULL ? strtoul(length + strlen("Content-Length: "), NULL, 10) : 0;
        *body = end + 4;
        if (have - (size_t)(*body - bytes) >= wanted)
            return have;
    }
}

static void serve_one(struct server *s, int fd)
{
    char bytes[4096];
    const char *body;
    if (read_request(fd, bytes, sizeof bytes, &body) == 0) {
        close(fd);
    } else if (strstr(bytes, " /silent") != NULL) {
        s->silent_fds[s->silent_count++] = fd;
    } else if (strstr(bytes, " /long") != NULL) {
        static char long_body[COURIER_ANSWER_MAX + 1];
        say(fd, "200 OK", long_body, sizeof long_body);
        close(fd);
    } else {
        say(fd, "403 Forbidden", bytes, strlen(bytes));
        close(fd);
    }
}

static void *serve(void *arg)
{
    struct server *s = arg;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0;)
        serve_one(s, fd);
    return NULL;
}

static void server_start(struct server *s)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    *s = (struct server){ .fd = socket(AF_INET, SOCK_STREAM, 0) };
    cr_assert_eq(bind(s->fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(s->fd, 64), 0);
    cr_assert_eq(getsockname(s->fd, (struct sockaddr *)&address, &length), 0);
    s->port = ntohs(address.sin_port);
    cr_assert_eq(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    for (unsigned i = 0; i < s->silent_count; i++)
        close(s->silent_fds[i]);
}

struct seen_answer {
    unsigned count;
    uint64_t ticket;
    char failure[256];
    uint16_t status;
    struct text body;
    char kind[64]; /* the header X-Kind */
};

static void on_done(void *arg, uint64_t ticket, const struct courier_answer *answer)
{
    struct seen_answer *seen = arg;
    seen->count++;
    seen->ticket = ticket;
    seen->status = answer->status;
    snprintf(seen->failure, sizeof seen->failure, "%s", answer->failure != NULL ? answer->failure : "");
    text_clear(&seen->body);
    text_add(&seen->body, answer->body);
    struct slice kind = SLICE("none");
    courier_answer_header(answer, SLICE("x-kind"), &kind);
    snprintf(seen->kind, sizeof seen->kind, "%.*s", SLICE_ARG(kind));
}

static bool send_to(struct courier *c, struct seen_answer *seen, uint16_t port, const char *path, int64_t timeout_ms)
{
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
    const struct courier_errand errand = { .url = slice_from_cstr(url),
                                           .method = SLICE("POST"),
                                           .content_type = SLICE("application/json"),
                                           .body = SLICE("{\"a\": 1}"),
                                           .timeout_ms = timeout_ms,
                                           .done = on_done,
                                           .arg = seen,
                                           .ticket = 7 };
    return courier_send(c, &errand);
}

/* To this port, whatever the URL names, with headers of one's own. */
static bool send_elsewhere(struct courier *c, struct seen_answer *seen, uint16_t port)
{
    char peer[64];
    snprintf(peer, sizeof peer, "127.0.0.1:%u", port);
    const struct http_header headers[] = { { SLICE("User-Agent"), SLICE("tester") }, { SLICE("X-A"), SLICE("b") } };
    const struct courier_errand errand = { .url = SLICE("http://nowhere.invalid/echo"),
                                           .method = SLICE("GET"),
                                           .headers = headers,
                                           .header_count = 2,
                                           .connect_to = peer,
                                           .timeout_ms = 10000,
                                           .done = on_done,
                                           .arg = seen };
    return courier_send(c, &errand);
}

static void run_until(struct loop *loop, const struct seen_answer *seen, unsigned count)
{
    while (seen->count < count)
        loop_turn(loop);
}

Test(courier, brings_what_it_was_given_and_what_was_answered)
{
    struct server server;
    struct loop *loop = loop_create(NULL);
    struct courier *c = courier_start(loop);
    struct seen_answer seen = { 0 };
    server_start(&server);
    cr_assert(send_to(c, &seen, server.port, "/echo?a=b", 10000));
    cr_assert_eq(seen.count, 0, "never before it returns");
    run_until(loop, &seen, 1);
    cr_assert_eq(seen.ticket, 7);
    cr_assert_eq(seen.status, 403);
    cr_assert_str_eq(seen.failure, "");
    cr_assert_eq(strncmp(seen.body.bytes, "POST /echo?a=b HTTP/1.1\r\n", 25), 0, "%s", seen.body.bytes);
    cr_assert_neq(strstr(seen.body.bytes, "Content-Type: application/json\r\n"), NULL, "%s", seen.body.bytes);
    cr_assert_neq(strstr(seen.body.bytes, "\r\n\r\n{\"a\": 1}"), NULL, "%s", seen.body.bytes);
    cr_assert(send_to(c, &seen, server.port, "", 10000));
    run_until(loop, &seen, 2);
    cr_assert_eq(strncmp(seen.body.bytes, "POST / HTTP/1.1\r\n", 17), 0, "%s", seen.body.bytes);
    courier_stop(c);
    server_stop(&server);
    text_fini(&seen.body);
    loop_destroy(loop);
}

Test(courier, goes_where_it_is_told_with_the_headers_it_was_given)
{
    struct server server;
    struct loop *loop = loop_create(NULL);
    struct courier *c = courier_start(loop);
    struct seen_answer seen = { 0 };
    server_start(&server);
    cr_assert(send_elsewhere(c, &seen, server.port));
    run_until(loop, &seen, 1);
    cr_assert_str_eq(seen.failure, "");
    cr_assert_neq(strstr(seen.body.bytes, "Host: nowhere.invalid\r\n"), NULL, "%s", seen.body.bytes);
    cr_assert_neq(strstr(seen.body.bytes, "User-Agent: tester\r\n"), NULL, "%s", seen.body.bytes);
    cr_assert_eq(strstr(seen.body.bytes, "User-Agent: weir"), NULL, "%s", seen.body.bytes);
    cr_assert_neq(strstr(seen.body.bytes, "X-A: b\r\n"), NULL, "%s", seen.body.bytes);
    cr_assert_str_eq(seen.kind, "test");
    courier_stop(c);
    server_stop(&server);
    text_fini(&seen.body);
    loop_destroy(loop);
}

Test(courier, a_failure_says_why)
{
    struct server server;
    struct loop *loop = loop_create(NULL);
    struct courier *c = courier_start(loop);
    struct seen_answer silent = { 0 }, too_long = { 0 }, refused = { 0 };
    server_start(&server);
    cr_assert(send_to(c, &silent, server.port, "/silent", 50));
    cr_assert(send_to(c, &too_long, server.port, "/long", 10000));
    run_until(loop, &silent, 1);
    run_until(loop, &too_long, 1);
    server_stop(&server);
    cr_assert(send_to(c, &refused, server.port, "/", 10000));
    run_until(loop, &refused, 1);
    cr_assert_neq(silent.failure[0], '\0');
    cr_assert_eq(silent.status, 0);
    cr_assert_str_eq(too_long.failure, "the answer is too long");
    cr_assert_leq(too_long.body.len, COURIER_ANSWER_MAX);
    cr_assert_neq(refused.failure[0], '\0');
    cr_assert_eq(refused.status, 0);
    courier_stop(c);
    text_fini(&silent.body);
    text_fini(&too_long.body);
    text_fini(&refused.body);
    loop_destroy(loop);
}

Test(courier, takes_a_bounded_number_and_tells_nobody_after_its_end)
{
    struct server server;
    struct loop *loop = loop_create(NULL);
    struct courier *c = courier_start(loop);
    struct seen_answer seen = { 0 };
    server_start(&server);
    for (unsigned i = 0; i < COURIER_ERRANDS_MAX; i++)
        cr_assert(send_to(c, &seen, server.port, "/echo", 10000));
    cr_assert_not(send_to(c, &seen, server.port, "/echo", 10000));
    run_until(loop, &seen, COURIER_ERRANDS_MAX);
    cr_assert(send_to(c, &seen, server.port, "/silent", 60000), "there is room again");
    courier_stop(c);
    cr_assert_eq(seen.count, COURIER_ERRANDS_MAX);
    server_stop(&server);
    text_fini(&seen.body);
    loop_destroy(loop);
}
