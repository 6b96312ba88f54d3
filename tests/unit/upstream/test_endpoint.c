/* tests/unit/upstream/test_endpoint.c - which endpoints are down and for how long, and the probes that find out. */
#include "upstream/endpoint.h"

#include "upstream/fixture.h"
#include "upstream/internal.h"

#include <unistd.h>

static struct house h;

/* E2, for workers that do not drain */
static void check_watched(const struct endpoint *e)
{
    bool is_watched = timer_is_armed(&e->probe_timer) || list_is_linked(&e->probe_link) || e->probe != NULL;
    cr_assert_eq(e->health == ENDPOINT_DOWN, is_watched, "E2: %s", e->label);
}

Test(endpoint, it_is_left_alone_for_longer_each_time_up_to_a_limit)
{
    static const int64_t period_ms[] = { 1000, 2000, 4000, 8000, 16000, 16000, 16000 };
    house_open(&h, "L");
    struct endpoint *e = house_endpoint(&h, 0);
    cr_assert(endpoint_is_usable(e), "until it was tried");
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < ARRAY_COUNT(period_ms); i++) {
            timer_stop(h.loop, &e->probe_timer); /* it has come */
            endpoint_on_connect_failed(e, "could not connect");
            cr_assert_not(endpoint_is_usable(e));
            cr_assert_eq(e->down_period_ms, period_ms[i], "after %zu failures", i + 1);
            check_watched(e);
        }
        endpoint_on_connected(e);
        cr_assert(endpoint_is_usable(e), "one that works marks it up");
        check_watched(e);
    }
    house_close(&h);
}

Test(endpoint, failures_in_one_period_are_one)
{
    house_open(&h, "L");
    struct endpoint *e = house_endpoint(&h, 0);
    for (int i = 0; i < 5; i++)
        endpoint_on_connect_failed(e, "could not connect");
    cr_assert_eq(e->down_period_ms, 1000);
    house_close(&h);
}

Test(endpoint, what_was_not_tried_stays_what_it_was)
{
    house_open(&h, "L");
    struct endpoint *e = house_endpoint(&h, 0);
    endpoint_on_not_tried(e);
    cr_assert_eq(e->health, ENDPOINT_UNTRIED);
    endpoint_on_connect_failed(e, "could not connect");
    timer_stop(h.loop, &e->probe_timer);
    endpoint_on_not_tried(e);
    cr_assert_eq(e->health, ENDPOINT_DOWN);
    cr_assert_eq(e->down_period_ms, 1000, "that was no failure of its own");
    check_watched(e);
    house_close(&h);
}

Test(endpoint, probes_find_out_who_is_up)
{
    struct call c;
    house_open(&h, "LR");
    upstream_probe(h.upstream);
    cr_assert_not_null(house_endpoint(&h, 0)->probe);
    TURN_UNTIL(&h, house_endpoint(&h, 0)->probe == NULL && house_is_down(&h, 1));
    cr_assert_eq(house_endpoint(&h, 0)->health, ENDPOINT_UP);
    check_watched(house_endpoint(&h, 0));
    check_watched(house_endpoint(&h, 1));
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_IDLE), 1, "the probe is pooled");
    upstream_probe(h.upstream);
    cr_assert_null(house_endpoint(&h, 0)->probe, "it has a connection already");
    cr_assert_not_null(house_endpoint(&h, 1)->probe);
    call_start(&c, &h, "1");
    cr_assert_eq(c.x.state, EXCHANGE_WAITING, "the first request finds it");
    int peer = peer_serve(&h, 0, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    house_close(&h);
    close(peer);
}

Test(endpoint, who_is_down_is_probed_by_itself_and_comes_back)
{
    house_open(&h, "R");
    upstream_probe(h.upstream);
    TURN_UNTIL(&h, house_is_down(&h, 0));
    cr_assert_eq(listen(h.listeners[0], 8), 0);
    TURN_UNTIL(&h, house_endpoint(&h, 0)->health == ENDPOINT_UP);
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_IDLE), 1);
    house_close(&h);
}

Test(endpoint, probes_keep_to_the_limit_and_give_way_to_a_request_once)
{
    struct call c;
    house_open(&h, "HHL");
    h.config.max_connections = 2;
    house_apply(&h);
    upstream_probe(h.upstream);
    cr_assert_eq(h.upstream->connection_count, 2);
    cr_assert_null(house_endpoint(&h, 2)->probe);
    endpoint_on_connect_failed(house_endpoint(&h, 0), "could not connect");
    endpoint_on_connect_failed(house_endpoint(&h, 1), "could not connect");
    call_start(&c, &h, "1");
    cr_assert_eq(c.x.endpoint, house_endpoint(&h, 2));
    cr_assert_eq(h.upstream->connection_count, 2, "a probe gave way");
    cr_assert_null(house_endpoint(&h, 0)->probe);
    cr_assert(list_is_linked(&house_endpoint(&h, 0)->probe_link), "and is owed");
    TURN_UNTIL(&h, c.x.state == EXCHANGE_WAITING);
    int peer = peer_serve(&h, 2, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    TURN_UNTIL(&h, house_endpoint(&h, 0)->probe != NULL);
    cr_assert(house_endpoint(&h, 0)->is_probe_firm, "what it was owed it keeps");
    house_close(&h);
    close(peer);
}

/* Endpoint 0 works and has the one call `busy`; the others hang, and are owed probes. */
static void open_with_owed_probes(const char *plan, uint32_t max_connections, struct call *busy)
{
    house_open(&h, plan);
    h.config.max_connections = max_connections;
    h.config.connect_timeout_ms = 600000; /* what comes in time does not come by it */
    house_apply(&h);
    for (uint32_t i = 1; i < h.upstream->endpoint_count; i++)
        endpoint_on_connect_failed(house_endpoint(&h, i), "could not connect");
    call_start(busy, &h, "0");
    TURN_UNTIL(&h, busy->x.state == EXCHANGE_WAITING);
    for (uint32_t i = 1; i < h.upstream->endpoint_count; i++) {
        timer_stop(h.loop, &house_endpoint(&h, i)->probe_timer);
        endpoint_owe_probe(house_endpoint(&h, i));
    }
}

/* The time for which it is firm ends now. */
static void end_firm(struct endpoint *e)
{
    cr_assert(timer_is_armed(&e->firm_timer));
    timer_start(h.loop, &e->firm_timer, 1);
}

Test(endpoint, a_firm_probe_of_one_that_hangs_gives_way_after_a_while)
{
    struct call busy, next;
    open_with_owed_probes("LH", 1, &busy);
    struct endpoint *hung = house_endpoint(&h, 1);
    uint64_t failures = house_stat(&h, STATS_UPSTREAM_CONNECT_FAILURES);
    int peer = peer_serve(&h, 0, "0");
    TURN_UNTIL(&h, call_is_over(&busy) && hung->is_probe_firm);
    call_start(&next, &h, "1");
    house_turns(&h, 5);
    cr_assert_eq(next.x.state, EXCHANGE_PENDING, "the probe has the only connection");
    end_firm(hung);
    TURN_UNTIL(&h, next.x.state == EXCHANGE_WAITING);
    cr_assert_eq(next.x.endpoint, house_endpoint(&h, 0));
    cr_assert_null(hung->probe);
    cr_assert_not(list_is_linked(&hung->probe_link), "it has had its chance");
    cr_assert_eq(hung->down_period_ms, 2000, "as if it had failed");
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_CONNECT_FAILURES), failures + 1, "and counted as that");
    check_watched(hung);
    close(peer);
    peer = peer_serve(&h, 0, "1");
    TURN_UNTIL(&h, call_is_over(&next));
    house_close(&h);
    close(peer);
}

Test(endpoint, a_slow_probe_that_nobody_needs_to_give_way_goes_on)
{
    struct call busy;
    open_with_owed_probes("LH", 1, &busy);
    struct endpoint *hung = house_endpoint(&h, 1);
    int peer = peer_serve(&h, 0, "0");
    TURN_UNTIL(&h, call_is_over(&busy) && hung->is_probe_firm);
    end_firm(hung);
    TURN_UNTIL(&h, !hung->is_probe_firm);
    house_turns(&h, 5);
    cr_assert_not_null(hung->probe);
    house_close(&h);
    close(peer);
}

Test(endpoint, one_probe_is_firm_at_a_time)
{
    struct call busy, next;
    open_with_owed_probes("LHH", 2, &busy);
    int peer = peer_serve(&h, 0, "0");
    TURN_UNTIL(&h, call_is_over(&busy) && house_endpoint(&h, 1)->is_probe_firm);
    upstream_on_room(h.upstream);
    house_turns(&h, 5);
    cr_assert_null(house_endpoint(&h, 2)->probe, "there is room for both, but requests need some");
    call_start(&next, &h, "1");
    cr_assert_eq(next.x.state, EXCHANGE_WAITING);
    peer_answer(peer, "1");
    TURN_UNTIL(&h, call_is_over(&next));
    connection_close(house_endpoint(&h, 1)->probe);
    TURN_UNTIL(&h, house_endpoint(&h, 2)->is_probe_firm);
    house_close(&h);
    close(peer);
}

Test(endpoint, after_a_firm_probe_a_request_comes_before_the_next)
{
    struct call busy, next;
    open_with_owed_probes("LHH", 1, &busy);
    int peer = peer_serve(&h, 0, "0");
    TURN_UNTIL(&h, call_is_over(&busy) && house_endpoint(&h, 1)->is_probe_firm);
    call_start(&next, &h, "1");
    cr_assert_eq(next.x.state, EXCHANGE_PENDING);
    end_firm(house_endpoint(&h, 1));
    TURN_UNTIL(&h, next.x.state == EXCHANGE_WAITING);
    cr_assert_null(house_endpoint(&h, 2)->probe);
    close(peer);
    peer = peer_serve(&h, 0, "1");
    TURN_UNTIL(&h, call_is_over(&next) && house_endpoint(&h, 2)->is_probe_firm);
    house_close(&h);
    close(peer);
}

Test(endpoint, a_worker_that_drains_probes_nobody)
{
    house_open(&h, "L");
    upstream_set_stop_probing(&h.set);
    upstream_probe(h.upstream);
    cr_assert_null(house_endpoint(&h, 0)->probe);
    cr_assert_eq(h.upstream->connection_count, 0);
    house_close(&h);
}

Test(endpoint, closing_what_is_idle_leaves_what_is_busy)
{
    struct call busy;
    house_open(&h, "LH");
    int idle = house_pool_one(&h, 0);
    connection_open(house_endpoint(&h, 1), NULL);
    endpoint_on_connect_failed(house_endpoint(&h, 1), "could not connect");
    call_start(&busy, &h, "0");
    cr_assert_eq(busy.x.state, EXCHANGE_WAITING);
    int second = -1;
    connection_open(house_endpoint(&h, 0), NULL);
    TURN_UNTIL(&h, house_endpoint(&h, 0)->probe == NULL);
    second = peer_accept(&h, 0);
    upstream_set_close_idle(&h.set);
    cr_assert_null(house_endpoint(&h, 1)->probe);
    cr_assert_eq(h.set.connection_count, 1);
    peer_expect_end(second);
    peer_answer(idle, "0");
    TURN_UNTIL(&h, call_is_over(&busy));
    cr_assert_str_eq(busy.heard, "hde");
    house_close(&h);
    peer_expect_end(idle);
}
