/* tests/unit/upstream/test_exchange.c - an exchange ends once, tries again only where that is safe, and is silent when cancelled. */
#include "upstream/fixture.h"

#include <string.h>
#include <unistd.h>

static struct house h;

/* ---- the plain way ----------------------------------------------------------------------------------------------------- */

Test(exchange, a_request_goes_out_and_its_answer_comes_back)
{
    struct call c;
    house_open(&h, "L");
    call_start(&c, &h, "1");
    cr_assert_eq(c.x.state, EXCHANGE_CONNECTING);
    TURN_UNTIL(&h, c.x.state == EXCHANGE_WAITING);
    int peer = peer_serve(&h, 0, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "Dhde");
    cr_assert_eq(c.status, 200);
    cr_assert_eq(c.body_bytes, 2);
    cr_assert_eq(c.x.try_count, 1);
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_IDLE), 1, "the connection is kept");
    house_close(&h);
    peer_expect_end(peer);
}

Test(exchange, a_pooled_connection_is_used_at_once)
{
    struct call c;
    house_open(&h, "L");
    int peer = house_pool_one(&h, 0);
    call_start(&c, &h, "2");
    cr_assert_eq(c.x.state, EXCHANGE_WAITING);
    peer_answer(peer, "2");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "hde", "nobody has to be told that it goes on");
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_CONNECTS), 1);
    house_close(&h);
    peer_expect_end(peer);
}

Test(exchange, an_answer_in_pieces_with_interim_heads_and_trailers)
{
    struct call c;
    house_open(&h, "L");
    call_start(&c, &h, "1");
    TURN_UNTIL(&h, c.x.state == EXCHANGE_WAITING);
    int peer = peer_accept(&h, 0);
    peer_expect(peer, "1");
    const char *answer = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n";
    for (const char *at = answer; *at != '\0'; at++) { /* a byte a turn */
        char byte[2] = { *at, '\0' };
        peer_send(peer, byte);
        house_turn(&h);
    }
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "Dihdte");
    cr_assert_eq(c.body_bytes, 7);
    cr_assert_arr_eq(c.body, "abcdefg", 7);
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_IDLE), 1);
    house_close(&h);
    close(peer);
}

Test(exchange, interim_heads_are_counted)
{
    struct call c;
    house_open(&h, "L");
    call_start(&c, &h, "1");
    TURN_UNTIL(&h, c.x.state == EXCHANGE_WAITING);
    int peer = peer_accept(&h, 0);
    for (int i = 0; i < EXCHANGE_MAX_INFORMATIONAL; i++)
        peer_send(peer, "HTTP/1.1 102 Processing\r\n\r\n");
    TURN_UNTIL(&h, c.x.informational_count == EXCHANGE_MAX_INFORMATIONAL);
    cr_assert_eq(c.x.state, EXCHANGE_WAITING);
    peer_send(peer, "HTTP/1.1 102 Processing\r\n\r\n");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "Diiiiiiiiiiiiiiiif");
    cr_assert_eq(c.reason, REASON_UPSTREAM_INVALID);
    house_close(&h);
    close(peer);
}

Test(exchange, a_connection_is_kept_only_when_nobody_can_be_misled)
{
    static const struct {
        const char *answer, *heard;
        bool is_kept;
    } cases[] = {
        { OK_ANSWER, "Dhde", true },
        { "HTTP/1.1 204 No Content\r\n\r\n", "Dhe", true },
        { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "Dhe", false },
        { "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "Dhe", false },
        { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nH", "Dhe", false }, /* a byte behind it is nobody's */
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct call c;
        house_open(&h, "L");
        call_start(&c, &h, "1");
        TURN_UNTIL(&h, c.x.state == EXCHANGE_WAITING);
        int peer = peer_accept(&h, 0);
        peer_expect(peer, "1");
        peer_send(peer, cases[i].answer);
        TURN_UNTIL(&h, call_is_over(&c));
        cr_assert_str_eq(c.heard, cases[i].heard, "case %zu: %s", i, c.heard);
        cr_assert_eq(h.set.connection_count, cases[i].is_kept ? 1 : 0, "case %zu", i);
        cr_assert_eq(house_stat(&h, STATS_UPSTREAM_IDLE), cases[i].is_kept ? 1 : 0, "case %zu", i);
        house_close(&h);
        close(peer);
    }
}

Test(exchange, an_answer_in_front_of_the_requests_end_costs_the_connection)
{
    struct call c;
    house_open(&h, "L");
    call_init(&c, &h, METHOD_POST, "1");
    c.x.write = (struct h1_write){ .framing = BODY_LENGTH, .content_length = 10, .has_content_length = true };
    cr_assert_eq(call_begin(&c), REASON_NONE);
    TURN_UNTIL(&h, exchange_is_ready(&c.x));
    call_send(&c, "12345");
    int peer = peer_serve(&h, 0, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "Dhde");
    cr_assert_eq(h.set.connection_count, 0);
    house_close(&h);
    close(peer);
}

Test(exchange, a_paused_answer_waits)
{
    struct call c;
    house_open(&h, "L");
    call_start(&c, &h, "1");
    TURN_UNTIL(&h, c.x.state == EXCHANGE_WAITING);
    int peer = peer_accept(&h, 0);
    peer_expect(peer, "1");
    peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
    TURN_UNTIL(&h, c.body_bytes == 2);
    exchange_pause(&c.x);
    peer_send(peer, "cd");
    house_turns(&h, 5);
    cr_assert_eq(c.body_bytes, 2);
    c.is_inside = true;
    exchange_resume(&c.x);
    c.is_inside = false;
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_arr_eq(c.body, "abcd", 4);
    house_close(&h);
    close(peer);
}

/* ---- connects that fail ------------------------------------------------------------------------------------------------ */

Test(exchange, a_connect_that_failed_is_tried_elsewhere)
{
    struct call c;
    house_open(&h, "RL");
    call_start(&c, &h, "1");
    cr_assert_eq(c.x.endpoint, house_endpoint(&h, 0));
    TURN_UNTIL(&h, c.x.state == EXCHANGE_WAITING);
    cr_assert_eq(c.x.endpoint, house_endpoint(&h, 1));
    int peer = peer_serve(&h, 1, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "Dhde");
    cr_assert(house_is_down(&h, 0));
    cr_assert_not(house_is_down(&h, 1));
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_RETRIES_OK), 1);
    house_close(&h);
    close(peer);
}

Test(exchange, a_body_does_not_hinder_that)
{
    struct call c;
    house_open(&h, "RL");
    call_init(&c, &h, METHOD_POST, "1");
    c.x.write = (struct h1_write){ .framing = BODY_CHUNKED };
    cr_assert_eq(call_begin(&c), REASON_NONE);
    TURN_UNTIL(&h, exchange_is_ready(&c.x));
    call_send(&c, "body");
    exchange_end_request(&c.x, NULL);
    call_flush(&c);
    int peer = peer_serve(&h, 1, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "Dhde");
    house_close(&h);
    close(peer);
}

Test(exchange, three_connects_and_no_more)
{
    struct call c;
    house_open(&h, "RRRRL");
    call_start(&c, &h, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "f");
    cr_assert_eq(c.reason, REASON_CONNECT_FAILED);
    cr_assert_eq(c.x.try_count, 3);
    cr_assert(house_is_down(&h, 0) && house_is_down(&h, 1) && house_is_down(&h, 2));
    cr_assert_eq(house_endpoint(&h, 3)->health, ENDPOINT_UNTRIED);
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_RETRIES_FAILED), 1);
    cr_assert_not(peer_has_connection(&h, 4));
    house_close(&h);
}

Test(exchange, no_endpoint_is_tried_twice)
{
    struct call c;
    house_open(&h, "RR");
    call_start(&c, &h, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_eq(c.reason, REASON_CONNECT_FAILED);
    cr_assert_eq(c.x.try_count, 2);
    house_close(&h);
}

Test(exchange, a_connect_has_its_time)
{
    struct call alone, c;
    house_open(&h, "H");
    h.config.connect_timeout_ms = 20;
    house_apply(&h);
    call_start(&alone, &h, "1");
    TURN_UNTIL(&h, call_is_over(&alone));
    cr_assert_str_eq(alone.heard, "f");
    cr_assert_eq(alone.reason, REASON_CONNECT_TIMEOUT);
    house_close(&h);
    house_open(&h, "HL");
    h.config.connect_timeout_ms = 20;
    house_apply(&h);
    call_start(&c, &h, "2");
    TURN_UNTIL(&h, c.x.state == EXCHANGE_WAITING);
    int peer = peer_serve(&h, 1, "2");
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "Dhde", "there is another endpoint");
    house_close(&h);
    close(peer);
}

Test(exchange, nobody_to_ask_is_told_at_once)
{
    struct call c;
    house_open(&h, "NN");
    call_init(&c, &h, METHOD_GET, "1");
    cr_assert_eq(call_begin(&c), REASON_NO_ENDPOINT);
    cr_assert_eq(c.x.state, EXCHANGE_DONE);
    call_cancel(&c);
    house_turns(&h, 2);
    cr_assert_str_eq(c.heard, "");
    house_close(&h);
}

/* ---- connections that were dead --------------------------------------------------------------------------------------- */

/* Two pooled connections to the only endpoint; the newer one is the next to be taken. */
static void pool_two(int *older, int *newer)
{
    static struct call first, second;
    call_start(&first, &h, "x");
    call_start(&second, &h, "y");
    TURN_UNTIL(&h, first.x.state == EXCHANGE_WAITING && second.x.state == EXCHANGE_WAITING);
    *older = peer_serve(&h, 0, "x");
    TURN_UNTIL(&h, call_is_over(&first));
    *newer = peer_serve(&h, 0, "y");
    TURN_UNTIL(&h, call_is_over(&second));
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_IDLE), 2);
}

Test(exchange, a_reused_connection_that_is_dead_costs_an_idempotent_request_nothing)
{
    static const enum method methods[] = { METHOD_GET, METHOD_HEAD, METHOD_PUT, METHOD_DELETE };
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
        struct call c;
        int older, newer;
        house_open(&h, "L");
        pool_two(&older, &newer);
        call_init(&c, &h, methods[i], "1");
        cr_assert_eq(call_begin(&c), REASON_NONE);
        peer_expect(newer, "1");
        close(newer);
        TURN_UNTIL(&h, strcmp(c.heard, "D") == 0);
        cr_assert_eq(house_stat(&h, STATS_UPSTREAM_IDLE), 1, "the other pooled one may be as dead: it is not taken");
        int fresh = peer_accept(&h, 0);
        peer_expect(fresh, "1");
        peer_send(fresh, "HTTP/1.1 204 No Content\r\n\r\n");
        TURN_UNTIL(&h, call_is_over(&c));
        cr_assert_str_eq(c.heard, "Dhe", "method %d", (int)methods[i]);
        cr_assert_eq(house_stat(&h, STATS_UPSTREAM_RETRIES_OK), 1);
        house_close(&h);
        close(older);
        close(fresh);
    }
}

Test(exchange, it_is_sent_again_once)
{
    struct call c;
    house_open(&h, "L");
    int peer = house_pool_one(&h, 0);
    call_start(&c, &h, "1");
    peer_expect(peer, "1");
    peer_reset(peer);
    TURN_UNTIL(&h, strcmp(c.heard, "D") == 0);
    peer = peer_accept(&h, 0);
    peer_expect(peer, "1");
    close(peer);
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "Df");
    cr_assert_eq(c.reason, REASON_UPSTREAM_RESET);
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_RETRIES_FAILED), 1);
    cr_assert_not(peer_has_connection(&h, 0));
    house_close(&h);
}

Test(exchange, others_are_not_sent_again)
{
    static const struct {
        enum method method;
        enum body_framing framing;
        const char *begun; /* of the answer */
        bool is_reused;
    } cases[] = {
        { METHOD_POST, BODY_NONE, "", true },
        { METHOD_PUT, BODY_LENGTH, "", true },
        { METHOD_GET, BODY_CHUNKED, "", true },
        { METHOD_GET, BODY_NONE, "H", true },
        { METHOD_GET, BODY_NONE, "HTTP/1.1 200 OK\r\n", true },
        { METHOD_GET, BODY_NONE, "", false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct call c;
        house_open(&h, "L");
        int peer = cases[i].is_reused ? house_pool_one(&h, 0) : -1;
        call_init(&c, &h, cases[i].method, "1");
        c.x.write = (struct h1_write){ .framing = cases[i].framing, .content_length = 4, .has_content_length = true };
        cr_assert_eq(call_begin(&c), REASON_NONE);
        TURN_UNTIL(&h, c.x.state == EXCHANGE_WAITING);
        if (!cases[i].is_reused)
            peer = peer_accept(&h, 0);
        peer_expect(peer, "1");
        peer_send(peer, cases[i].begun);
        close(peer);
        TURN_UNTIL(&h, call_is_over(&c));
        cr_assert_str_eq(c.heard, cases[i].is_reused ? "f" : "Df", "case %zu: %s", i, c.heard);
        cr_assert_eq(c.reason, REASON_UPSTREAM_RESET, "case %zu", i);
        cr_assert_not(peer_has_connection(&h, 0), "case %zu", i);
        house_close(&h);
    }
}

Test(exchange, an_answer_that_breaks_off_is_not_asked_for_again)
{
    struct call c;
    house_open(&h, "L");
    int peer = house_pool_one(&h, 0);
    call_start(&c, &h, "1");
    peer_expect(peer, "1");
    peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome");
    close(peer);
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "hdf");
    cr_assert_eq(c.reason, REASON_UPSTREAM_RESET);
    house_close(&h);
}

/* ---- tunnels ----------------------------------------------------------------------------------------------------------- */

/* A call whose answer was 101. */
static int tunnel_open(struct call *c)
{
    call_init(c, &h, METHOD_GET, "1");
    c->request.upgrade = SLICE("echo");
    c->x.write = (struct h1_write){ .framing = BODY_NONE, .upgrade = c->request.upgrade };
    cr_assert_eq(call_begin(c), REASON_NONE);
    TURN_UNTIL(&h, c->x.state == EXCHANGE_WAITING);
    int peer = peer_accept(&h, 0);
    peer_expect(peer, "1");
    peer_send(peer, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    TURN_UNTIL(&h, c->x.is_tunnel);
    return peer;
}

Test(exchange, a_tunnel_is_half_closed_and_ended_by_its_owner)
{
    struct call c;
    char got[8] = "";
    house_open(&h, "L");
    int peer = tunnel_open(&c);
    peer_send(peer, "there");
    TURN_UNTIL(&h, c.body_bytes == 5);
    shutdown(peer, SHUT_WR);
    TURN_UNTIL(&h, strcmp(c.heard, "Dhdc") == 0);
    house_turns(&h, 5);
    cr_assert_str_eq(c.heard, "Dhdc", "once");
    call_send(&c, "back");
    cr_assert_eq(read(peer, got, sizeof(got)), 4, "the other direction goes on");
    call_cancel(&c);
    peer_expect_end(peer);
    cr_assert_eq(h.set.connection_count, 0, "it is no HTTP any more");
    house_close(&h);
}

Test(exchange, a_tunnels_reset_is_none_the_less_one_when_a_write_found_it)
{
    for (int is_half_closed = 0; is_half_closed <= 1; is_half_closed++) {
        struct call c;
        house_open(&h, "L");
        int peer = tunnel_open(&c);
        if (is_half_closed) {
            shutdown(peer, SHUT_WR);
            TURN_UNTIL(&h, strcmp(c.heard, "Dhc") == 0);
        }
        peer_reset(peer);
        call_send(&c, "lost"); /* takes the error off the socket: reading sees what looks like FIN */
        TURN_UNTIL(&h, call_is_over(&c));
        cr_assert_str_eq(c.heard, is_half_closed ? "Dhcf" : "Dhf");
        cr_assert_eq(c.reason, REASON_UPSTREAM_RESET);
        house_close(&h);
    }
}

/* ---- cancelled --------------------------------------------------------------------------------------------------------- */

/* Cancelled, it hears nothing more, holds nothing, and hinders nobody. */
static void cancel_and_check(struct call *c, int peer)
{
    char heard[sizeof(c->heard)];
    memcpy(heard, c->heard, sizeof(heard));
    call_cancel(c);
    call_cancel(c);
    cr_assert_eq(c->x.state, EXCHANGE_DONE);
    cr_assert_null(c->x.connection);
    if (peer >= 0)
        peer_expect_end(peer);
    house_turns(&h, 3);
    cr_assert_str_eq(c->heard, heard);
    cr_assert_eq(h.set.connection_count, 0);
    struct call next;
    call_start(&next, &h, "next");
    TURN_UNTIL(&h, next.x.state == EXCHANGE_WAITING);
    peer = peer_serve(&h, 0, "next");
    TURN_UNTIL(&h, call_is_over(&next));
    cr_assert_str_eq(next.heard, "Dhde");
    house_close(&h);
    close(peer);
}

Test(exchange, cancelled_before_its_begin)
{
    struct call c;
    house_open(&h, "L");
    call_init(&c, &h, METHOD_GET, "1");
    call_cancel(&c);
    cr_assert_eq(c.x.state, EXCHANGE_NEW);
    house_turns(&h, 2);
    cr_assert_str_eq(c.heard, "");
    house_close(&h);
}

Test(exchange, cancelled_while_connecting)
{
    struct call c;
    house_open(&h, "L");
    call_start(&c, &h, "1");
    cr_assert_eq(c.x.state, EXCHANGE_CONNECTING);
    cancel_and_check(&c, peer_accept(&h, 0));
}

Test(exchange, cancelled_while_it_waits_for_the_head)
{
    struct call c;
    house_open(&h, "L");
    call_start(&c, &h, "1");
    TURN_UNTIL(&h, c.x.state == EXCHANGE_WAITING);
    cancel_and_check(&c, peer_serve(&h, 0, "1")); /* whose answer is there already */
}

Test(exchange, cancelled_inside_an_answer)
{
    struct call c;
    house_open(&h, "L");
    call_start(&c, &h, "1");
    TURN_UNTIL(&h, c.x.state == EXCHANGE_WAITING);
    int peer = peer_accept(&h, 0);
    peer_expect(peer, "1");
    peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
    TURN_UNTIL(&h, c.body_bytes == 2);
    peer_send(peer, "cd");
    cancel_and_check(&c, peer);
}

Test(exchange, cancelled_at_its_end)
{
    struct call c;
    house_open(&h, "L");
    int peer = house_pool_one(&h, 0);
    call_start(&c, &h, "1");
    c.cancel_at = 'e';
    peer_answer(peer, "1");
    TURN_UNTIL(&h, call_is_over(&c));
    call_cancel(&c);
    cr_assert_eq(house_stat(&h, STATS_UPSTREAM_IDLE), 1, "the connection was given back already");
    house_close(&h);
    peer_expect_end(peer);
}

Test(exchange, cancelled_when_it_failed)
{
    struct call c;
    house_open(&h, "R");
    call_init(&c, &h, METHOD_GET, "1");
    c.cancel_at = 'f';
    cr_assert_eq(call_begin(&c), REASON_NONE);
    TURN_UNTIL(&h, call_is_over(&c));
    cr_assert_str_eq(c.heard, "f");
    house_close(&h);
}

Test(exchange, cancelled_inside_a_callback)
{
    static const struct {
        char at;
        const char *heard;
    } cases[] = { { 'D', "D" }, { 'i', "Di" }, { 'h', "Dih" }, { 'd', "Dihd" }, { 't', "Dihdt" } };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct call c;
        house_open(&h, "L");
        call_init(&c, &h, METHOD_GET, "1");
        c.cancel_at = cases[i].at;
        cr_assert_eq(call_begin(&c), REASON_NONE);
        int peer = peer_accept(&h, 0);
        peer_send(peer, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n");
        TURN_UNTIL(&h, c.x.state == EXCHANGE_DONE);
        house_turns(&h, 3);
        cr_assert_str_eq(c.heard, cases[i].heard);
        cr_assert_eq(h.set.connection_count, 0);
        house_close(&h);
        close(peer);
    }
}

Test(exchange, cancelled_behind_a_batch)
{
    struct call c;
    house_open(&h, "L");
    call_init(&c, &h, METHOD_GET, "1");
    c.cancel_at = 'B';
    cr_assert_eq(call_begin(&c), REASON_NONE);
    int peer = peer_accept(&h, 0);
    peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
    TURN_UNTIL(&h, c.x.state == EXCHANGE_DONE);
    house_turns(&h, 3);
    cr_assert_str_eq(c.heard, "Dhd");
    house_close(&h);
    close(peer);
}

Test(exchange, cancelled_in_a_tunnel_at_its_half_close)
{
    struct call c;
    house_open(&h, "L");
    int peer = tunnel_open(&c);
    c.cancel_at = 'c';
    shutdown(peer, SHUT_WR);
    TURN_UNTIL(&h, c.x.state == EXCHANGE_DONE);
    cr_assert_str_eq(c.heard, "Dhc");
    house_close(&h);
    peer_expect_end(peer);
}

Test(exchange, cancelled_between_two_tries)
{
    struct call c;
    house_open(&h, "L");
    int peer = house_pool_one(&h, 0);
    call_start(&c, &h, "1");
    peer_expect(peer, "1");
    close(peer);
    TURN_UNTIL(&h, c.x.is_retried);
    int fresh = peer_accept(&h, 0);
    call_cancel(&c);
    house_turns(&h, 3);
    cr_assert(strpbrk(c.heard, "hef") == NULL, "%s", c.heard);
    cr_assert_eq(h.set.connection_count, 0);
    house_close(&h);
    close(fresh);
}
