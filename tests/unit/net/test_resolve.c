/* tests/unit/net/test_resolve.c - all addresses of a name, told when they change and not when they rotate. */
#include "net/resolve.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LAST_MOST 100

/* A name server of one name: 10.0.0.N for each N in `last`, beginning at another one each time. */
struct name_server {
    int fd;
    pthread_t thread;
    _Atomic int answer_count;
    pthread_mutex_t mutex;
    uint8_t last[LAST_MOST];
    size_t last_count;
};

static void server_set(struct name_server *s, const uint8_t *last, size_t count)
{
    pthread_mutex_lock(&s->mutex);
    memcpy(s->last, last, count);
    s->last_count = count;
    pthread_mutex_unlock(&s->mutex);
}

/* The answer's bytes behind the question, RFC 1035 4.1.3. */
static size_t server_add_answers(struct name_server *s, uint8_t *out, bool is_a)
{
    static const uint8_t head[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 0, 0 }; /* TTL 0 */
    size_t count = is_a ? s->last_count : 0;
    uint8_t *at = out;
    for (size_t i = 0; i < count; i++) {
        memcpy(at, head, sizeof(head));
        at[sizeof(head)] = s->last[(i + (size_t)s->answer_count) % count];
        at += sizeof(head) + 1;
    }
    return (size_t)(at - out);
}

static void *server_run(void *arg)
{
    struct name_server *s = arg;
    uint8_t packet[4096];
    struct sockaddr_in peer;
    socklen_t peer_length = sizeof(peer);
    ssize_t got;
    while ((got = recvfrom(s->fd, packet, 512, 0, (struct sockaddr *)&peer, &peer_length)) > 16) {
        size_t name = strlen((char *)packet + 12) + 1, question = 12 + name + 4;
        bool is_a = packet[12 + name + 1] == 1;
        pthread_mutex_lock(&s->mutex);
        size_t answers = server_add_answers(s, packet + question, is_a);
        pthread_mutex_unlock(&s->mutex);
        uint8_t counts[] = { 0x81, 0x80, 0, 1, 0, (uint8_t)(answers / 16), 0, 0, 0, 0 };
        memcpy(packet + 2, counts, sizeof(counts));
        sendto(s->fd, packet, question + answers, 0, (struct sockaddr *)&peer, peer_length);
        s->answer_count += is_a;
    }
    return NULL;
}

/* Writes a resolv.conf that names it. */
static void server_start(struct name_server *s, char path[32])
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t length = sizeof(address);
    s->fd = socket(AF_INET, SOCK_DGRAM, 0);
    pthread_mutex_init(&s->mutex, NULL);
    cr_assert_eq(bind(s->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(getsockname(s->fd, (struct sockaddr *)&address, &length), 0);
    strcpy(path, "/tmp/weir-resolv-XXXXXX");
    FILE *file = fdopen(mkstemp(path), "w");
    fprintf(file, "nameserver 127.0.0.1:%d\n", ntohs(address.sin_port));
    fclose(file);
    cr_assert_eq(pthread_create(&s->thread, NULL, server_run, s), 0);
}

static void server_stop(struct name_server *s)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    getsockname(s->fd, (struct sockaddr *)&address, &length);
    sendto(s->fd, "", 0, 0, (struct sockaddr *)&address, length);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

/* What the resolver has told. */
struct told {
    int times;
    size_t count;
    uint8_t last[LAST_MOST];
    uint16_t port;
};

static void on_addresses(void *arg, const char *key, const struct resolved_address *addresses, size_t count,
                         const char *problem)
{
    struct told *t = arg;
    cr_assert_str_eq(key, "the key");
    cr_assert_null(problem);
    t->times++;
    t->count = count;
    for (size_t i = 0; i < count; i++) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&addresses[i].bytes;
        t->last[i] = (uint8_t)ntohl(in->sin_addr.s_addr);
        t->port = ntohs(in->sin_port);
    }
}

struct world {
    struct name_server server;
    struct loop *loop;
    struct resolver *resolver;
    struct told told;
    char path[32];
};

static void world_open(struct world *w, const uint8_t *last, size_t count)
{
    server_set(&w->server, last, count);
    server_start(&w->server, w->path);
    w->loop = loop_create(NULL);
    w->resolver = resolver_create(w->loop, w->path, on_addresses, &w->told);
    resolver_begin_generation(w->resolver);
    resolver_add(w->resolver, SLICE("the key"), SLICE("svc.weir.test"), 8080);
    resolver_end_generation(w->resolver);
}

static void world_close(struct world *w)
{
    resolver_destroy(w->resolver);
    loop_turn_now(w->loop);
    loop_destroy(w->loop);
    server_stop(&w->server);
    unlink(w->path);
}

Test(resolve, answers_that_rotate_are_one_answer, .timeout = 60)
{
    struct world w = { 0 };
    world_open(&w, (uint8_t[]){ 7, 200, 3 }, 3);
    while (w.server.answer_count < 6)
        loop_turn(w.loop);
    cr_assert_eq(w.told.times, 1);
    cr_assert_eq(w.told.count, 3);
    cr_assert_arr_eq(w.told.last, ((uint8_t[]){ 3, 7, 200 }), 3);
    cr_assert_eq(w.told.port, 8080);

    server_set(&w.server, (uint8_t[]){ 200, 3 }, 2);
    while (w.told.times < 2)
        loop_turn(w.loop);
    cr_assert_eq(w.told.count, 2);
    cr_assert_arr_eq(w.told.last, ((uint8_t[]){ 3, 200 }), 2);
    world_close(&w);
}

Test(resolve, repeated_addresses_count_once, .timeout = 60)
{
    struct world w = { 0 };
    world_open(&w, (uint8_t[]){ 9, 4, 9, 4, 4 }, 5);
    while (w.told.times < 1)
        loop_turn(w.loop);
    cr_assert_eq(w.told.count, 2);
    cr_assert_arr_eq(w.told.last, ((uint8_t[]){ 4, 9 }), 2);
    world_close(&w);
}
