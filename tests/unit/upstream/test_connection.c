/* tests/unit/upstream/test_connection.c - a pooled connection that says anything is closed; which are pooled, and who gets them. */
#include "upstream/connection.h"

#include "upstream/fixture.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct house h;

static void say_a_byte(int peer)
{
    peer_send(peer, "H");
}

static void say_an_answer(int peer)
{
    peer_send(peer, OK_ANSWER);
}

static void say_fin(int peer)
{
    shutdown(peer, SHUT_WR);
}

Test(connection, pooled_it_has_nothing_to_say_but_goodbye)
{
    static void (*const says[])(int peer) = { say_a_byte, say_an_answer, say_fin };
    for (size_t i = 0; i < ARRAY_COUNT(says); i++) {
        struct call c;
        house_open(&h, "L");
        int peer = house_pool_one(&h, 0);
        says[i](peer);
        TURN_UNTIL(&h, h.set.connection_count == 0);
        cr_assert_eq(house_stat(&h, STATS_UPSTREAM_IDLE), 0);
        peer_expect_end(peer);
        call_start(&c, &h, "1");
        TURN_UNTIL(&h, c.x.state == EXCHANGE_WAITING);
        peer = peer_serve(&h, 0, "1");
        TURN_UNTIL(&h, call_is_over(&c));
        cr_assert_str_eq(c.heard, "Dhde", "the next one gets its own answer");
        cr_assert_not(house_is_down(&h, 0), "that is no failure");
        house_close(&h);
        close(peer);
    }
}

Test(connection, pooled_and_reset_it_is_closed)
{
    house_open(&h, "L");
    peer_reset(house_pool_one(&h, 0));
    TURN_UNTIL(&h, h.set.connection_count == 0);
    house_close(&h);
}

Test(connection, a_fin_found_when_it_is_taken_ends_no_request)
{
    struct call c;
    house_open(&h, "L");
    int peer = house_pool_one(&h, 0);
    shutdown(peer, SHUT_WR); /* nobody has looked yet */
    call_start(&c, &h, "1");
    cr_assert_eq(c.x.state, EXCHANGE_WAITING);
    TURN_UNTIL(&h, strcmp(c.heard, "D") == 0);
    int fresh = peer_serve(&h, 0, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "Dhde");
    house_close(&h);
    close(peer);
    close(fresh);
}

Test(connection, idle_for_too_long_it_is_closed)
{
    house_open(&h, "L");
    h.config.idle_timeout_ms = 20;
    house_apply(&h);
    int peer = house_pool_one(&h, 0);
    TURN_UNTIL(&h, h.set.connection_count == 0);
    peer_expect_end(peer);
    house_close(&h);
}

Test(connection, the_idle_time_says_nothing_while_it_is_busy)
{
    struct call c;
    house_open(&h, "L");
    h.config.idle_timeout_ms = 20;
    house_apply(&h);
    int peer = house_pool_one(&h, 0);
    call_start(&c, &h, "1");
    cr_assert_eq(c.x.state, EXCHANGE_WAITING);
    struct mono_time due = mono_add_ms(loop_now(h.loop), 60);
    TURN_UNTIL(&h, mono_is_before(due, loop_now(h.loop)));
    cr_assert_str_eq(c.heard, "");
    peer_answer(peer, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "hde");
    house_close(&h);
    close(peer);
}

Test(connection, the_one_that_was_used_last_is_taken_first)
{
    struct call first, second, c;
    house_open(&h, "L");
    call_start(&first, &h, "x");
    call_start(&second, &h, "y");
    TURN_UNTIL(&h, first.x.state == EXCHANGE_WAITING && second.x.state == EXCHANGE_WAITING);
    int x = peer_accept(&h, 0), y = peer_accept(&h, 0);
    peer_answer(y, "y");
    TURN_UNTIL(&h, call_is_over(&second));
    peer_answer(x, "x");
    TURN_UNTIL(&h, call_is_over(&first));
    call_start(&c, &h, "1");
    peer_answer(x, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    house_close(&h);
    close(x);
    close(y);
}

Test(connection, while_draining_none_is_pooled)
{
    struct call c;
    house_open(&h, "L");
    int peer = house_pool_one(&h, 0);
    call_start(&c, &h, "1");
    h.set.is_draining = true;
    peer_answer(peer, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_eq(h.set.connection_count, 0);
    peer_expect_end(peer);
    house_close(&h);
}

Test(connection, to_an_address_that_is_no_more_it_is_not_pooled)
{
    struct call c;
    house_open(&h, "NLL");
    h.config.endpoint_count = 1;
    house_apply(&h);
    house_resolve(&h, 0, 1);
    TURN_UNTIL(&h, house_endpoint(&h, 0)->probe == NULL);
    call_start(&c, &h, "1");
    int peer = peer_accept(&h, 1);
    house_resolve(&h, 0, 2);
    cr_assert_eq(c.x.state, EXCHANGE_WAITING, "who uses the old one is not disturbed");
    peer_answer(peer, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "hde");
    peer_expect_end(peer);
    house_close(&h);
    close(h.listeners[1]);
    close(h.listeners[2]);
}

Test(connection, a_failure_at_an_old_address_says_nothing_of_the_new_one)
{
    struct call c;
    house_open(&h, "NRL");
    h.config.endpoint_count = 1;
    house_apply(&h);
    upstream_set_stop_probing(&h.set); /* the request shall be the first to find out */
    house_resolve(&h, 0, 1);
    call_start(&c, &h, "1");
    cr_assert_eq(c.x.state, EXCHANGE_CONNECTING);
    house_resolve(&h, 0, 2);
    TURN_UNTIL(&h, c.x.state == EXCHANGE_WAITING);
    cr_assert_not(house_is_down(&h, 0));
    int peer = peer_serve(&h, 2, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "Dhde");
    house_close(&h);
    close(peer);
    close(h.listeners[1]);
    close(h.listeners[2]);
}

Test(connection, a_probe_serves_nobody_until_it_is_connected)
{
    house_open(&h, "L");
    struct endpoint *e = house_endpoint(&h, 0);
    endpoint_on_connect_failed(e, "could not connect");
    struct upstream_connection *probe = connection_open(e, NULL);
    cr_assert_eq(probe->state, CONNECTION_CONNECTING);
    cr_assert_eq(e->probe, probe);
    cr_assert(list_is_empty(&probe->exchanges));
    TURN_UNTIL(&h, e->probe == NULL);
    cr_assert_eq(probe->state, CONNECTION_IDLE);
    cr_assert_eq(e->health, ENDPOINT_UP);
    cr_assert_eq(probe->served_count, 0, "a request on it is not on a reused one");
    house_close(&h);
}

Test(connection, a_probe_that_fails_marks_its_endpoint_down)
{
    house_open(&h, "RH");
    h.config.connect_timeout_ms = 20;
    house_apply(&h);
    upstream_probe(h.upstream);
    TURN_UNTIL(&h, h.set.connection_count == 0);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert(house_is_down(&h, i));
        cr_assert_null(house_endpoint(&h, i)->probe);
    }
    house_close(&h);
}

Test(connection, closing_is_idempotent_and_tells_nobody)
{
    struct call c;
    house_open(&h, "L");
    int peer = house_pool_one(&h, 0);
    struct upstream_connection *idle = LIST_ITEM(house_endpoint(&h, 0)->idle.next, struct upstream_connection, link);
    connection_close(idle);
    connection_close(idle);
    cr_assert_eq(idle->state, CONNECTION_CLOSED, "it can still be read in this turn (R3)");
    cr_assert_null(idle->endpoint);
    call_init(&c, &h, METHOD_GET, "1");
    cr_assert_null(connection_take(house_endpoint(&h, 0), &c.x));
    house_turn(&h);
    peer_expect_end(peer);
    house_close(&h);
}
