/* tests/unit/upstream/test_upstream.c - names with several addresses: each an endpoint, kept as long as it is told. */
#include "upstream/upstream.h"

#include "stats/stats.h"
#include "upstream/balance.h"
#include "upstream/places.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAME 0
#define ADDR 1

/* One worker with an upstream of a name and of a plain address; whatever of 127.0.0.0/8 it connects to works. */
struct world {
    struct stats *stats;
    struct loop *loop;
    struct upstream_set set;
    struct upstream *upstream;
    struct endpoint_config endpoints[2];
    struct upstream_config config;
    uint32_t ids[2];
    int listener;
    uint16_t port;
};

static int listen_anywhere(uint16_t *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(fd, 64), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void world_attach(struct world *w)
{
    w->upstream = upstream_attach(&w->set, &w->config, NULL, 1, w->ids);
}

static void world_open(struct world *w)
{
    *w = (struct world){ 0 };
    w->listener = listen_anywhere(&w->port);
    w->stats = stats_create(1);
    stats_begin_generation(w->stats);
    w->loop = loop_create(w->stats->workers[0]);
    upstream_set_init(&w->set, w->loop, 0, 1);
    w->set.places = places_create();
    w->endpoints[NAME] = (struct endpoint_config){ .address_text = SLICE("svc:80"), .weight = 2 };
    w->endpoints[NAME].address = (struct endpoint_address){ .kind = ADDRESS_NAME, .name = SLICE("svc"), .port = 80 };
    w->endpoints[ADDR] = (struct endpoint_config){ .address_text = SLICE("127.1.1.1:80"), .weight = 1 };
    cr_assert(endpoint_address_parse(SLICE("127.1.1.1:80"), &w->endpoints[ADDR].address));
    w->endpoints[ADDR].address.port = w->port;
    w->config = (struct upstream_config){ .name = SLICE("a"), .endpoints = w->endpoints, .endpoint_count = 2 };
    w->config.connect_timeout_ms = w->config.idle_timeout_ms = 60000;
    for (int i = 0; i < 2; i++)
        w->ids[i] = stats_endpoint_id(w->stats, w->config.name, w->endpoints[i].address_text);
    world_attach(w);
}

static void world_close(struct world *w)
{
    upstream_detach(w->upstream);
    loop_turn_now(w->loop);
    upstream_set_fini(&w->set);
    places_destroy(w->set.places);
    loop_destroy(w->loop);
    stats_destroy(w->stats);
    close(w->listener);
}

/* The name has 127.0.0.N for each N of the text "1 2 3". */
static void resolve(struct world *w, const char *text, uint16_t port)
{
    struct resolved_address addresses[8] = { 0 };
    size_t count = 0;
    for (const char *c = text; *c != '\0'; c++) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
        in.sin_addr.s_addr = htonl(0x7f000000u + (uint32_t)(*c - '0'));
        memcpy(&addresses[count].bytes, &in, sizeof(in));
        addresses[count++].length = sizeof(in);
    }
    upstream_set_resolved(&w->set, "a", "svc:80", addresses, count);
}

/* Until every endpoint has been tried. */
static void settle(struct world *w)
{
    bool is_settled = false;
    while (!is_settled) {
        loop_turn(w->loop);
        is_settled = true;
        for (uint32_t i = 0; i < w->upstream->endpoint_count; i++)
            is_settled &= w->upstream->endpoints[i]->health != ENDPOINT_UNTRIED;
    }
}

static struct list *idle_of(const struct world *w, uint32_t i)
{
    return w->upstream->endpoints[i]->idle.next;
}

Test(upstream, each_address_of_a_name_is_an_endpoint, .timeout = 30)
{
    struct world w;
    world_open(&w);
    cr_assert_eq(w.upstream->endpoint_count, 1, "the name has no address yet");
    cr_assert_eq(stats_sum_health(w.stats, w.ids[NAME]), STATS_UNHEALTHY);
    resolve(&w, "123", w.port);
    cr_assert_eq(w.upstream->endpoint_count, 4);
    settle(&w);
    cr_assert_eq(w.upstream->connection_count, 4, "all were probed, the probes are pooled");
    cr_assert_str_eq(w.upstream->endpoints[1]->label, "svc:80 (127.0.0.2)");
    cr_assert_str_eq(w.upstream->endpoints[3]->label, "127.1.1.1:80");
    cr_assert_eq(stats_sum_health(w.stats, w.ids[NAME]), STATS_HEALTHY);
    world_close(&w);
}

Test(upstream, an_address_that_stays_keeps_its_connections, .timeout = 30)
{
    struct world w;
    world_open(&w);
    resolve(&w, "12", w.port);
    settle(&w);
    struct endpoint *first = w.upstream->endpoints[0], *last = w.upstream->endpoints[2];
    struct list *pooled = idle_of(&w, 0), *pooled_last = idle_of(&w, 2);

    resolve(&w, "12", w.port);
    cr_assert_eq(w.upstream->connection_count, 3);
    resolve(&w, "13", w.port); /* 2 has vanished, 3 is new */
    settle(&w);
    cr_assert_eq(w.upstream->endpoint_count, 3);
    cr_assert_eq(w.upstream->endpoints[0], first);
    cr_assert_eq(idle_of(&w, 0), pooled);
    cr_assert_eq(w.upstream->endpoints[2], last);
    cr_assert_eq(idle_of(&w, 2), pooled_last);
    cr_assert_eq(w.upstream->connection_count, 3);

    struct upstream *before = w.upstream; /* a reload, by which the name stays */
    world_attach(&w);
    upstream_detach(before);
    cr_assert_eq(w.upstream->endpoint_count, 3);
    cr_assert_eq(idle_of(&w, 0), pooled);
    world_close(&w);
}

Test(upstream, the_addresses_of_a_name_share_its_weight, .timeout = 30)
{
    struct world w;
    world_open(&w);
    resolve(&w, "1234", w.port);
    int counts[5] = { 0 };
    for (int i = 0; i < 60; i++) {
        struct endpoint *e = balance_pick(w.upstream, NULL);
        for (int k = 0; k < 5; k++)
            counts[k] += w.upstream->endpoints[k] == e;
    }
    cr_assert_arr_eq(counts, ((int[]){ 10, 10, 10, 10, 20 }), sizeof(counts),
                     "weight 2 for the name, 1 for the address");
    world_close(&w);
}

Test(upstream, a_name_is_healthy_while_one_address_is, .timeout = 30)
{
    struct world w;
    uint16_t closed_port;
    world_open(&w);
    close(listen_anywhere(&closed_port));
    resolve(&w, "1", w.port);
    settle(&w);
    cr_assert_eq(stats_sum_health(w.stats, w.ids[NAME]), STATS_HEALTHY);
    resolve(&w, "2", closed_port);
    cr_assert_eq(stats_sum_health(w.stats, w.ids[NAME]), STATS_HEALTHY, "nobody knows better yet");
    settle(&w);
    cr_assert_eq(stats_sum_health(w.stats, w.ids[NAME]), STATS_UNHEALTHY);
    cr_assert_eq(balance_pick(w.upstream, NULL), w.upstream->endpoints[1]);
    resolve(&w, "3", w.port);
    settle(&w);
    cr_assert_eq(stats_sum_health(w.stats, w.ids[NAME]), STATS_HEALTHY);
    world_close(&w);
}

Test(upstream, a_reload_may_come_before_a_names_first_address, .timeout = 30)
{
    struct world w;
    world_open(&w);
    for (int with_address = 0; with_address <= 1; with_address++) {
        struct upstream *before = w.upstream;
        if (with_address)
            resolve(&w, "1", w.port);
        world_attach(&w);
        upstream_detach(before);
        cr_assert_eq(w.upstream->endpoint_count, with_address ? 2 : 1);
    }
    world_close(&w);
}

Test(upstream, addresses_known_in_another_set_are_adopted, .timeout = 30)
{
    struct world known, w;
    world_open(&known);
    world_open(&w);
    upstream_adopt_addresses(w.upstream, known.upstream);
    cr_assert_eq(w.upstream->endpoint_count, 1, "nothing is known yet");
    resolve(&known, "12", w.port);
    settle(&known);
    upstream_adopt_addresses(w.upstream, known.upstream);
    cr_assert_eq(w.upstream->endpoint_count, 3);
    settle(&w);
    cr_assert_str_eq(w.upstream->endpoints[1]->label, "svc:80 (127.0.0.2)");
    world_close(&w);
    world_close(&known);
}
