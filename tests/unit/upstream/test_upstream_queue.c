/* tests/unit/upstream/test_upstream_queue.c - who waits for a connection, who makes room, and what a reload keeps. */
#include "upstream/fixture.h"

#include <unistd.h>

static struct house h;

/* ---- who waits -------------------------------------------------------------------------------------------------------- */

static void open_narrow(const char *plan, uint32_t max_connections, uint32_t max_pending)
{
    house_open(&h, plan);
    h.config.max_connections = max_connections;
    h.config.max_pending = max_pending;
    house_apply(&h);
}

/* Starts a call that is under way on a connection of its own. */
static int start_busy(struct call *c, const char *name)
{
    call_start(c, &h, name);
    TURN_UNTIL(&h, c->x.state == EXCHANGE_WAITING);
    int peer = peer_accept(&h, 0);
    peer_expect(peer, name);
    return peer;
}

Test(upstream_queue, who_waits_is_served_in_the_order_of_arrival)
{
    struct call busy, waiting[3];
    static const char *const names[] = { "1", "2", "3" };
    open_narrow("L", 1, 3);
    int peer = start_busy(&busy, "0");
    for (int i = 0; i < 3; i++) {
        call_start(&waiting[i], &h, names[i]);
        cr_assert_eq(waiting[i].x.state, EXCHANGE_PENDING);
        cr_assert_null(waiting[i].x.endpoint);
    }
    house_turns(&h, 2);
    peer_send(peer, OK_ANSWER);
    for (int i = 0; i < 3; i++) {
        TURN_UNTIL(&h, waiting[i].x.state == EXCHANGE_WAITING);
        cr_assert(i == 2 || waiting[i + 1].x.state == EXCHANGE_PENDING);
        peer_answer(peer, names[i]);
        TURN_UNTIL(&h, call_is_over(&waiting[i]));
        cr_assert_str_eq(waiting[i].heard, "Dhde");
    }
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_CONNECTS), 1, "one connection serves them all");
    house_close(&h);
    close(peer);
}

static struct call late;

static void begin_late(struct call *c)
{
    (void)c;
    call_start(&late, &h, "late");
}

Test(upstream_queue, who_comes_in_the_turn_in_which_a_connection_gets_free_waits_behind_the_others)
{
    struct call busy, waiting;
    open_narrow("L", 1, 3);
    int peer = start_busy(&busy, "0");
    call_start(&waiting, &h, "1");
    busy.on_end = begin_late;
    peer_send(peer, OK_ANSWER);
    TURN_UNTIL(&h, call_is_over(&busy));
    cr_assert_eq(waiting.x.state, EXCHANGE_WAITING, "U3: it was first");
    cr_assert_eq(late.x.state, EXCHANGE_PENDING);
    peer_answer(peer, "1");
    TURN_UNTIL(&h, call_is_over(&waiting));
    TURN_UNTIL(&h, late.x.state == EXCHANGE_WAITING);
    peer_answer(peer, "late");
    TURN_UNTIL(&h, call_is_over(&late));
    house_close(&h);
    close(peer);
}

Test(upstream_queue, past_max_pending_it_is_refused_at_once)
{
    for (uint32_t max_pending = 0; max_pending < 3; max_pending++) {
        struct call busy, waiting[2], refused;
        open_narrow("L", 1, max_pending);
        int peer = start_busy(&busy, "0");
        for (uint32_t i = 0; i < max_pending; i++)
            call_start(&waiting[i], &h, "wait");
        call_init(&refused, &h, METHOD_GET, "1");
        cr_assert_eq(call_begin(&refused), REASON_OVERLOADED);
        cr_assert_eq(refused.x.state, EXCHANGE_DONE);
        cr_assert_eq(h.set.exchange_count, 1 + max_pending);
        peer_send(peer, OK_ANSWER);
        TURN_UNTIL(&h, call_is_over(&busy));
        for (uint32_t i = 0; i < max_pending; i++) {
            TURN_UNTIL(&h, waiting[i].x.state == EXCHANGE_WAITING);
            peer_answer(peer, "wait");
            TURN_UNTIL(&h, call_is_over(&waiting[i]));
        }
        cr_assert_str_eq(refused.heard, "");
        house_close(&h);
        close(peer);
    }
}

Test(upstream_queue, who_waits_gets_a_connection_of_its_own_when_the_last_is_not_kept)
{
    struct call busy, waiting;
    open_narrow("L", 1, 1);
    int peer = start_busy(&busy, "0");
    call_start(&waiting, &h, "1");
    peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    TURN_UNTIL(&h, waiting.x.state == EXCHANGE_WAITING);
    int fresh = peer_serve(&h, 0, "1");
    TURN_UNTIL(&h, call_is_over(&waiting));
    cr_assert_str_eq(waiting.heard, "Dhde");
    house_close(&h);
    close(peer);
    close(fresh);
}

Test(upstream_queue, who_leaves_the_queue_hears_nothing_and_makes_room)
{
    struct call busy, gone, waiting;
    open_narrow("L", 1, 1);
    int peer = start_busy(&busy, "0");
    call_start(&gone, &h, "gone");
    call_cancel(&gone);
    cr_assert_eq(house_pending_count(&h), 0);
    call_start(&waiting, &h, "1");
    peer_send(peer, OK_ANSWER);
    TURN_UNTIL(&h, waiting.x.state == EXCHANGE_WAITING);
    peer_answer(peer, "1");
    TURN_UNTIL(&h, call_is_over(&waiting));
    cr_assert_str_eq(gone.heard, "");
    house_close(&h);
    close(peer);
}

Test(upstream_queue, a_cancelled_exchange_lets_the_next_one_go_on)
{
    struct call busy, waiting;
    open_narrow("L", 1, 1);
    int peer = start_busy(&busy, "0");
    call_start(&waiting, &h, "1");
    call_cancel(&busy);
    TURN_UNTIL(&h, waiting.x.state == EXCHANGE_WAITING);
    int fresh = peer_serve(&h, 0, "1");
    TURN_UNTIL(&h, call_is_over(&waiting));
    house_close(&h);
    close(peer);
    close(fresh);
}

Test(upstream_queue, an_idle_connection_elsewhere_makes_room)
{
    struct call c;
    open_narrow("LL", 1, 0);
    int idle = house_pool_one(&h, 0);
    call_start(&c, &h, "1"); /* round robin: the other endpoint's turn */
    cr_assert_eq(c.x.state, EXCHANGE_CONNECTING);
    cr_assert_eq(c.x.endpoint, house_endpoint(&h, 1));
    peer_expect_end(idle);
    TURN_UNTIL(&h, c.x.state == EXCHANGE_WAITING);
    int peer = peer_serve(&h, 1, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_eq(h.upstream->connection_count, 1);
    house_close(&h);
    close(peer);
}

Test(upstream_queue, zero_connections_at_most_means_no_limit)
{
    struct call calls[12];
    int peers[12];
    open_narrow("L", 0, 0);
    for (int i = 0; i < 12; i++)
        peers[i] = start_busy(&calls[i], "many");
    cr_assert_eq(h.upstream->connection_count, 12);
    for (int i = 0; i < 12; i++) {
        call_cancel(&calls[i]);
        close(peers[i]);
    }
    house_close(&h);
}

/* ---- reloads ----------------------------------------------------------------------------------------------------------- */

Test(upstream_queue, the_parts_of_all_workers_are_the_limit_but_nobody_has_none)
{
    uint32_t all = 0;
    house_open(&h, "L");
    h.set.worker_count = 3;
    h.config.max_connections = 10;
    for (uint32_t i = 0; i < 3; i++) {
        h.set.worker_index = i;
        house_apply(&h);
        cr_assert(h.upstream->max_connections == 3 || h.upstream->max_connections == 4);
        all += h.upstream->max_connections;
    }
    cr_assert_eq(all, 10);
    h.config.max_connections = 2;
    house_apply(&h);
    cr_assert_eq(h.upstream->max_connections, 1, "of the last worker");
    h.config.max_connections = 0;
    house_apply(&h);
    cr_assert_eq(h.upstream->max_connections, 0, "no limit stays none");
    house_close(&h);
}

Test(upstream_queue, a_reload_finds_it_by_name_and_keeps_its_pool)
{
    struct call c;
    house_open(&h, "LL");
    struct upstream *before = h.upstream;
    struct endpoint *first = house_endpoint(&h, 0), *second = house_endpoint(&h, 1);
    int peer = house_pool_one(&h, 0);
    struct endpoint_config config = h.endpoints[0];
    h.endpoints[0] = h.endpoints[1]; /* in another order, with another weight */
    h.endpoints[1] = config;
    h.endpoints[1].weight = 9;
    house_apply(&h);
    cr_assert_eq(h.upstream, before);
    cr_assert_eq(house_endpoint(&h, 0), second);
    cr_assert_eq(house_endpoint(&h, 1), first);
    cr_assert_eq(first->weight, 9 * WEIGHT_PARTS);
    call_start(&c, &h, "1");
    cr_assert_eq(c.x.state, EXCHANGE_WAITING, "the pooled connection is taken");
    peer_answer(peer, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    house_close(&h);
    close(peer);
}

Test(upstream_queue, an_endpoint_that_leaves_ends_with_its_last_exchange)
{
    struct call busy;
    house_open(&h, "LL");
    int idle = house_pool_one(&h, 0);
    call_start(&busy, &h, "0"); /* the second endpoint's turn */
    TURN_UNTIL(&h, busy.x.state == EXCHANGE_WAITING);
    int peer = peer_accept(&h, 1);
    peer_expect(peer, "0");
    h.config.endpoint_count = 1; /* the first stays */
    house_apply(&h);
    house_turn(&h);
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_IDLE), 1);
    cr_assert_not(list_is_empty(&h.upstream->leaving));
    peer_send(peer, OK_ANSWER);
    TURN_UNTIL(&h, call_is_over(&busy));
    cr_assert_str_eq(busy.heard, "Dhde", "its answer is not cut");
    peer_expect_end(peer); /* it is not pooled */
    cr_assert(list_is_empty(&h.upstream->leaving));
    house_close(&h);
    close(idle);
    close(h.listeners[1]);
}

Test(upstream_queue, an_idle_endpoint_leaves_at_once)
{
    house_open(&h, "LL");
    int idle = house_pool_one(&h, 0);
    h.endpoints[0] = h.endpoints[1];
    h.config.endpoint_count = 1;
    house_apply(&h);
    peer_expect_end(idle);
    cr_assert(list_is_empty(&h.upstream->leaving));
    cr_assert_eq(h.upstream->connection_count, 0);
    house_close(&h);
}

Test(upstream_queue, a_limit_that_rose_lets_those_who_wait_go_on)
{
    struct call busy, waiting[2];
    open_narrow("L", 1, 2);
    int peer = start_busy(&busy, "0"), fresh[2];
    call_start(&waiting[0], &h, "1");
    call_start(&waiting[1], &h, "2");
    h.config.max_connections = 3;
    house_apply(&h);
    TURN_UNTIL(&h, waiting[0].x.state == EXCHANGE_WAITING && waiting[1].x.state == EXCHANGE_WAITING);
    fresh[0] = peer_serve(&h, 0, "1");
    fresh[1] = peer_serve(&h, 0, "2");
    TURN_UNTIL(&h, call_is_over(&waiting[0]) && call_is_over(&waiting[1]));
    call_cancel(&busy);
    house_close(&h);
    close(peer);
    close(fresh[0]);
    close(fresh[1]);
}
