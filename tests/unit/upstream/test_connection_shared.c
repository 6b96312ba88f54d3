/* tests/unit/upstream/test_connection_shared.c - exchanges that share connections, as far as nobody has answered yet. */
#include "upstream/fixture.h"

static struct house h;
static struct call calls[6];
static const char *const names[] = { "0", "1", "2", "3", "4", "5" };

static void open_http2(const char *plan, uint32_t max_connections)
{
    house_open(&h, plan);
    h.config.protocol = UPSTREAM_HTTP2;
    h.config.max_connections = max_connections;
    house_apply(&h);
}

static void start(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        call_start(&calls[i], &h, names[i]);
}

static void cancel_and_close(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        call_cancel(&calls[i]);
    house_close(&h);
}

Test(connection_shared, exchanges_gather_on_one_that_is_being_made)
{
    open_http2("H", 0);
    start(3);
    house_turn(&h);
    struct upstream_connection *c = calls[0].x.connection;
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_CONNECTS), 1);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(calls[i].x.state, EXCHANGE_CONNECTING);
        cr_assert_eq(calls[i].x.connection, c);
    }
    call_cancel(&calls[0]);
    cr_assert_eq(c->exchange_count, 2);
    cr_assert_eq(c->state, CONNECTION_CONNECTING, "others still wait for it");
    call_cancel(&calls[1]);
    call_cancel(&calls[2]);
    cr_assert_eq(c->state, CONNECTION_CLOSED, "nobody does");
    house_close(&h);
}

Test(connection_shared, all_who_gathered_hear_that_it_failed)
{
    open_http2("R", 0);
    start(3);
    for (int i = 0; i < 3; i++) {
        TURN_UNTIL(&h, call_is_over(&calls[i]));
        cr_assert_str_eq(calls[i].heard, "f");
        cr_assert_eq(calls[i].reason, REASON_CONNECT_FAILED);
    }
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_CONNECTS), 1);
    house_close(&h);
}

/* Who accepts and says nothing is asked by PING: from the first moment on, however many have gathered. */
Test(connection_shared, silence_is_watched_for_those_who_gathered)
{
    open_http2("L", 0);
    start(3);
    const struct upstream_connection *c = calls[0].x.connection;
    TURN_UNTIL(&h, c->state == CONNECTION_BUSY);
    cr_assert_eq(c->exchange_count, 3);
    cr_assert(timer_is_armed(&c->timer));
    cancel_and_close(3);
}

static void cancel_second(struct call *c)
{
    (void)c;
    call_cancel(&calls[1]);
}

/* Its owner's client may have been the cause of both. */
Test(connection_shared, who_hears_that_it_failed_may_cancel_another)
{
    open_http2("R", 0);
    start(3);
    calls[0].on_end = cancel_second;
    TURN_UNTIL(&h, call_is_over(&calls[2]));
    cr_assert_str_eq(calls[0].heard, "f");
    cr_assert_str_eq(calls[2].heard, "f");
    cr_assert_eq(calls[1].x.state, EXCHANGE_DONE);
    cr_assert_str_eq(calls[1].heard, "");
    house_close(&h);
}

Test(connection_shared, a_full_one_gets_a_second_and_then_they_wait)
{
    open_http2("H", 2);
    house_endpoint(&h, 0)->exchange_limit = 2;
    start(5);
    cr_assert_eq(calls[0].x.connection, calls[1].x.connection);
    cr_assert_eq(calls[2].x.connection, calls[3].x.connection);
    cr_assert_neq(calls[0].x.connection, calls[2].x.connection);
    cr_assert_eq(calls[4].x.state, EXCHANGE_PENDING);
    call_cancel(&calls[0]);
    house_turn(&h);
    cr_assert_eq(calls[4].x.connection, calls[1].x.connection, "the place that became free");
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_CONNECTS), 2);
    cancel_and_close(5);
}

Test(connection_shared, at_the_limit_room_to_another_endpoint_will_do)
{
    open_http2("HH", 2);
    house_endpoint(&h, 0)->exchange_limit = 1;
    house_endpoint(&h, 1)->exchange_limit = 3;
    start(5);
    const struct endpoint *roomy = house_endpoint(&h, 1);
    cr_assert_eq(roomy->in_flight_count, 3);
    cr_assert_eq(house_endpoint(&h, 0)->in_flight_count, 1);
    cr_assert_eq(house_pending_count(&h), 1);
    cancel_and_close(5);
}

Test(connection_shared, who_leaves_is_not_joined)
{
    open_http2("H", 0);
    start(1);
    h.config.protocol = UPSTREAM_HTTP1;
    house_apply(&h);
    call_start(&calls[1], &h, "1");
    cr_assert_neq(calls[0].x.connection, calls[1].x.connection, "it speaks what is not configured any more");
    cancel_and_close(2);
}
