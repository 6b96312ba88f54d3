/* tests/unit/http/test_h2.c - two sessions back to back: messages and their ends, drains, limits of streams, memory. */
#include "http/h2.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "http/h2_pair.h"
#include "http/h2_parts.h"

static struct pair p;

static const size_t steps[] = { SIZE_MAX, 1, 2, 3, 7, 9, 64 };
#define EACH_STEP(i) (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)

static void answer_hello(struct side *side, enum side_event event, struct side_stream *t)
{
    (void)side;
    if (event != EV_END)
        return;
    answer(t, 200, "Content-Type: text/plain|Content-Length: 5", BODY_LENGTH);
    send_text(t, "hello");
    h2_send_end(&t->s, NULL);
}

static void answer_nothing(struct side *side, enum side_event event, struct side_stream *t)
{
    (void)side;
    if (event == EV_END)
        answer(t, 204, "", BODY_NONE);
}

Test(h2, a_request_and_its_answer)
{
    for
        EACH_STEP(i)
        {
            pair_open(&p, steps[i]);
            p.server.react = answer_hello;
            pair_request(&p, "GET", "/a?b", "Host: example.com|X-One: 1|Connection: close|Keep-Alive: 5", BODY_NONE);
            pair_run(&p);
            cr_expect_str_eq(side_log(&p.server),
                             "head 1 GET /a?b @example.com none {host: example.com|x-one: 1}; end 1; "
                             "closed 1 complete 0");
            cr_expect_str_eq(side_log(&p.client),
                             "head 1 200 length=5 {content-type: text/plain|content-length: 5}; data 1; end 1; "
                             "closed 1 complete 0");
            cr_assert_str_eq(p.client.streams[0].body.bytes, "hello");
            pair_close(&p);
        }
}

/* The server sends the body it got back, then the trailers it got. */
static void echo(struct side *side, enum side_event event, struct side_stream *t)
{
    (void)side;
    if (event == EV_HEAD)
        answer(t, 200, "", BODY_CHUNKED);
    if (event == EV_DATA) {
        h2_send_copy(&t->s, text_slice(&t->body));
        text_clear(&t->body);
    }
    if (event == EV_END) {
        struct message *trailers = arena_alloc(&t->arena, sizeof(*trailers));
        message_init(trailers, &t->arena, 0);
        fill_fields(trailers, &t->arena, "Grpc-Status: 0|connection: x");
        h2_send_end(&t->s, trailers);
    }
}

Test(h2, bodies_and_trailers_both_ways)
{
    for
        EACH_STEP(i)
        {
            pair_open(&p, steps[i]);
            p.server.react = echo;
            struct side_stream *t = pair_request(&p, "POST", "/", "TE: trailers|Trailer: X-Sum", BODY_CHUNKED);
            struct message trailers;
            message_init(&trailers, &t->arena, 0);
            fill_fields(&trailers, &t->arena, "X-Sum: 7");
            send_text(t, "one ");
            pair_run(&p);
            send_text(t, "two");
            h2_send_end(&t->s, &trailers);
            pair_run(&p);
            cr_expect_str_eq(side_log(&p.server),
                             "head 1 POST / @h chunked {host: h|trailer: X-Sum|te: trailers}; data 1; "
                             "trailers 1 {x-sum: 7}; end 1; closed 1 complete 0");
            cr_expect_str_eq(side_log(&p.client),
                             "head 1 200 chunked; data 1; trailers 1 {grpc-status: 0}; end 1; closed 1 complete 0");
            cr_assert_str_eq(t->body.bytes, "one two");
            pair_close(&p);
        }
}

Test(h2, trailers_without_a_body)
{
    pair_open(&p, SIZE_MAX);
    p.server.react = echo;
    struct side_stream *t = pair_request(&p, "POST", "/", "", BODY_CHUNKED);
    h2_send_end(&t->s, NULL);
    pair_run(&p);
    cr_expect_str_eq(side_log(&p.server), "head 1 POST / @h chunked {host: h}; end 1; closed 1 complete 0");
    cr_expect_str_eq(side_log(&p.client),
                     "head 1 200 chunked; trailers 1 {grpc-status: 0}; end 1; closed 1 complete 0");
    pair_close(&p);
}

static void answer_with_hints(struct side *side, enum side_event event, struct side_stream *t)
{
    if (event != EV_END)
        return;
    answer(t, 100, "", BODY_NONE);
    answer(t, 103, "Link: a", BODY_NONE);
    answer(t, 103, "Link: b", BODY_NONE);
    answer_hello(side, event, t);
}

Test(h2, interim_answers_come_before_the_answer)
{
    for
        EACH_STEP(i)
        {
            pair_open(&p, steps[i]);
            p.server.react = answer_with_hints;
            pair_request(&p, "GET", "/", "", BODY_NONE);
            pair_run(&p);
            cr_expect_str_eq(side_log(&p.client),
                             "head 1 100 none; head 1 103 none {link: a}; head 1 103 none {link: b}; "
                             "head 1 200 length=5 {content-type: text/plain|content-length: 5}; data 1; end 1; "
                             "closed 1 complete 0");
            pair_close(&p);
        }
}

static void answer_without_body(struct side *side, enum side_event event, struct side_stream *t)
{
    if (event == EV_END)
        answer(t, (uint16_t)(side->pair->now.us % 1000), "Content-Length: 77", BODY_NONE);
}

Test(h2, answers_without_a_body_end_with_their_head)
{
    static const struct {
        const char *method;
        uint16_t status;
    } rows[] = { { "HEAD", 200 }, { "HEAD", 404 }, { "GET", 304 } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char expected[128];
        pair_open(&p, SIZE_MAX);
        p.server.react = answer_without_body;
        p.now.us += rows[i].status;
        pair_request(&p, rows[i].method, "/", "", BODY_NONE);
        pair_run(&p);
        snprintf(expected, sizeof expected, "head 1 %u none=77 {content-length: 77}; end 1; closed 1 complete 0",
                 rows[i].status);
        cr_expect_str_eq(side_log(&p.client), expected);
        pair_close(&p);
    }
}

Test(h2, a_head_of_any_spelling_and_length_arrives)
{
    static char fields[900];
    struct text t;
    text_init(&t);
    for (int i = 0; i < 8; i++)
        text_printf(&t, "%sX-Field-Number-%d: %0*d", i > 0 ? "|" : "", i, 80, i);
    memcpy(fields, t.bytes, t.len);
    for
        EACH_STEP(i)
        {
            pair_open(&p, steps[i]);
            p.server.react = answer_nothing;
            pair_request(&p, "GET", "/", fields, BODY_NONE);
            pair_run(&p);
            cr_assert_eq(p.server.streams[0].message.field_count, 9);
            struct field *f = message_field_named(p.server.streams[0].s.message, SLICE("x-field-number-7"), NULL);
            cr_assert_not_null(f);
            cr_assert_eq(f->value.len, 80);
            cr_assert(p.client.streams[0].is_over);
            pair_close(&p);
        }
    text_fini(&t);
}

static const struct h1_limits wide = { .request_line_bytes = 8192, .head_bytes = 65536, .field_count = 100 };

Test(h2, a_head_of_many_frames_arrives)
{
    struct text fields;
    text_init(&fields);
    for (int i = 0; i < 40; i++) { /* 40 KiB that HPACK cannot make small: CONTINUATION */
        text_printf(&fields, "%sx-%d: ", i > 0 ? "|" : "", i);
        for (int k = 0; k < 1000; k++)
            text_add_char(&fields,
                          (char)('!' + (k * 31 + i * 7 + k / 50) % 90 + ((k * 31 + i * 7 + k / 50) % 90 == 91)));
    }
    for (size_t k = 0; k < fields.len; k++)
        if (fields.bytes[k] == '|' && fields.bytes[k + 1] != 'x')
            fields.bytes[k] = '.';
    pair_open(&p, 1000);
    p.server.react = answer_nothing;
    ((struct h2_limits *)&p.server.h->limits)->head = wide;
    pair_request(&p, "GET", "/", fields.bytes, BODY_NONE);
    pair_run(&p);
    cr_assert_geq(p.server.streams[0].message.field_count, 40);
    cr_assert(p.client.streams[0].is_over);
    cr_assert_eq(p.client.streams[0].how.cause, H2_COMPLETE);
    pair_close(&p);
    text_fini(&fields);
}

Test(h2, many_requests_at_a_time)
{
    for
        EACH_STEP(i)
        {
            pair_open(&p, steps[i]);
            p.server.react = answer_hello;
            for (int k = 0; k < 100; k++)
                cr_assert_not_null(pair_request(&p, "GET", "/", "", BODY_NONE));
            pair_run(&p);
            cr_assert_eq(p.server.stream_count, 100);
            for (int k = 0; k < 100; k++) {
                cr_assert(p.client.streams[k].is_over);
                cr_assert_eq(p.client.streams[k].how.cause, H2_COMPLETE);
                cr_assert_str_eq(p.client.streams[k].body.bytes, "hello");
            }
            cr_assert_eq(h2_stream_count(p.client.h), 0);
            pair_close(&p);
        }
}

/* ---- WebSocket ----------------------------------------------------------------------------------------------------- */

static void open_tunnel(struct side *side, enum side_event event, struct side_stream *t)
{
    (void)side;
    if (event == EV_HEAD && t->message.is_upgrade)
        answer(t, 101, "Upgrade: websocket|Sec-WebSocket-Protocol: chat", BODY_NONE);
    if (event == EV_DATA)
        h2_send_copy(&t->s, slice_after(text_slice(&t->body), t->body.len - 4));
    if (event == EV_END)
        h2_send_end(&t->s, NULL);
}

Test(h2, extended_connect_is_an_upgrade_on_both_sides)
{
    pair_open(&p, SIZE_MAX);
    cr_assert(h2_can_upgrade(p.client.h));
    p.server.react = open_tunnel;
    struct side_stream *t =
        pair_request(&p, "GET", "/chat", "Upgrade: websocket|Connection: upgrade|Sec-WebSocket-Version: 13", BODY_NONE);
    pair_run(&p);
    cr_expect_str_eq(side_log(&p.server),
                     "head 1 GET /chat @h none upgrade=websocket {host: h|sec-websocket-version: 13}");
    cr_expect_str_eq(side_log(&p.client), "head 1 101 none upgrade=websocket {sec-websocket-protocol: chat}");
    send_text(t, "ping");
    pair_run(&p);
    cr_assert_str_eq(t->body.bytes, "ping");
    send_text(t, "pong");
    pair_run(&p);
    cr_assert_str_eq(t->body.bytes, "pingpong");
    h2_send_end(&t->s, NULL);
    pair_run(&p);
    cr_expect_str_eq(side_log(&p.client), "data 1; end 1; closed 1 complete 0");
    cr_expect_str_eq(side_log(&p.server), "data 1; end 1; closed 1 complete 0");
    pair_close(&p);
}

static void refuse_tunnel(struct side *side, enum side_event event, struct side_stream *t)
{
    (void)side;
    if (event != EV_HEAD)
        return;
    answer(t, 403, "Content-Length: 2", BODY_LENGTH);
    send_text(t, "no");
    h2_send_end(&t->s, NULL);
}

Test(h2, a_refused_upgrade_is_an_ordinary_answer)
{
    pair_open(&p, SIZE_MAX);
    p.server.react = refuse_tunnel;
    pair_request(&p, "GET", "/chat", "Upgrade: websocket", BODY_NONE);
    pair_run(&p);
    cr_expect_str_eq(side_log(&p.client),
                     "head 1 403 length=2 {content-length: 2}; data 1; end 1; closed 1 complete 0");
    cr_assert_eq(h2_stream_count(p.server.h), 0);
    pair_close(&p);
}

/* ---- limits -------------------------------------------------------------------------------------------------------- */

Test(h2, the_peers_limit_of_streams_is_kept)
{
    pair_open(&p, SIZE_MAX);
    size_t begun = 0;
    while (h2_can_begin(p.client.h)) {
        cr_assert_not_null(pair_request(&p, "GET", "/", "", BODY_NONE));
        begun++;
    }
    cr_assert_eq(begun, 128, "the server announced it");
    cr_assert_null(pair_request(&p, "GET", "/", "", BODY_NONE), "no more fit");
    pair_run(&p);
    cr_assert_eq(h2_stream_count(p.server.h), 128);
    answer(&p.server.streams[5], 204, "", BODY_NONE);
    pair_run(&p);
    cr_assert(h2_can_begin(p.client.h), "one has ended");
    cr_assert(!h2_is_closing(p.client.h));
    pair_close(&p);
}

Test(h2, ids_are_used_up_one_day)
{
    pair_open(&p, SIZE_MAX);
    p.server.react = answer_nothing;
    cr_assert_eq(nghttp2_session_set_next_stream_id(p.client.h->session, INT32_MAX - 2), 0);
    cr_assert_not_null(pair_request(&p, "GET", "/", "", BODY_NONE));
    cr_assert(h2_can_begin(p.client.h));
    cr_assert_not_null(pair_request(&p, "GET", "/", "", BODY_NONE));
    cr_assert(!h2_can_begin(p.client.h));
    cr_assert(h2_is_closing(p.client.h));
    pair_run(&p);
    cr_assert_eq(p.client.streams[1].how.cause, H2_COMPLETE);
    cr_assert_null(pair_request(&p, "GET", "/", "", BODY_NONE));
    pair_close(&p);
}

Test(h2, a_refused_request_may_be_tried_again)
{
    pair_open(&p, SIZE_MAX);
    p.server.refuses = true;
    pair_request(&p, "POST", "/", "", BODY_CHUNKED);
    pair_run(&p);
    cr_expect_str_eq(side_log(&p.client), "closed 1 peer-reset 7 UPSTREAM_RESET unprocessed");
    p.server.refuses = false;
    p.server.react = answer_nothing;
    pair_request(&p, "GET", "/", "", BODY_NONE);
    pair_run(&p);
    cr_expect_str_eq(side_log(&p.client), "head 3 204 none; end 3; closed 3 complete 0");
    pair_close(&p);
}

/* ---- the end of a session ------------------------------------------------------------------------------------------ */

Test(h2, a_server_drains_in_two_steps)
{
    pair_open(&p, SIZE_MAX);
    struct side_stream *first = pair_request(&p, "GET", "/1", "", BODY_NONE);
    pair_run(&p);
    h2_shutdown(p.server.h);
    h2_shutdown(p.server.h);
    side_flush(&p.server);
    /* Sent before the notice arrives: still served. */
    struct side_stream *late = pair_request(&p, "GET", "/2", "", BODY_NONE);
    pair_run(&p);
    cr_assert_eq(p.server.stream_count, 2);
    cr_assert(h2_is_closing(p.client.h));
    cr_assert(!h2_can_begin(p.client.h));
    cr_assert(!p.server.is_over && !p.client.is_over);
    answer(&p.server.streams[0], 204, "", BODY_NONE);
    pair_run(&p);
    cr_assert(first->is_over && !late->is_over);
    cr_assert(!p.server.is_over);
    answer(&p.server.streams[1], 204, "", BODY_NONE);
    pair_run(&p);
    cr_assert(p.server.is_over, "the last stream's end is the session's");
    cr_assert(p.client.is_over);
    cr_expect_str_eq(side_log(&p.client), "goaway 0; goaway 0; head 1 204 none; end 1; closed 1 complete 0; "
                                          "head 3 204 none; end 3; closed 3 complete 0");
    pair_close(&p);
}

Test(h2, an_idle_server_drains_at_once)
{
    pair_open(&p, SIZE_MAX);
    h2_shutdown(p.server.h);
    pair_run(&p);
    cr_assert(p.server.is_over);
    cr_assert(p.client.is_over);
    pair_close(&p);
}

Test(h2, a_client_that_shuts_down_begins_nothing_more)
{
    pair_open(&p, SIZE_MAX);
    struct side_stream *t = pair_request(&p, "GET", "/", "", BODY_NONE);
    h2_shutdown(p.client.h);
    cr_assert(!h2_can_begin(p.client.h));
    pair_run(&p);
    cr_assert(!p.client.is_over);
    answer(&p.server.streams[0], 204, "", BODY_NONE);
    pair_run(&p);
    cr_assert_eq(t->how.cause, H2_COMPLETE);
    cr_assert(p.client.is_over);
    pair_close(&p);
}

Test(h2, a_session_that_ends_at_once_tells_why)
{
    const char *detail;
    pair_open(&p, SIZE_MAX);
    pair_request(&p, "GET", "/", "", BODY_NONE);
    pair_run(&p);
    h2_goaway(p.server.h, H2_INTERNAL_ERROR);
    pair_run(&p);
    cr_assert(p.server.is_over);
    cr_assert(!p.client.is_over, "the server may still answer what it took");
    cr_assert_eq(h2_failure(p.client.h, &detail), H2_INTERNAL_ERROR);
    cr_assert_str_eq(detail, "the peer sent GOAWAY");
    side_log(&p.client);
    h2_close(p.client.h);
    cr_expect_str_eq(side_log(&p.client), "closed 1 lost 2 UPSTREAM_RESET");
    h2_close(p.server.h);
    cr_expect_str_eq(side_log(&p.server), "head 1 GET / @h none {host: h}; end 1; closed 1 lost 2 CLIENT_ABORTED");
    pair_close(&p);
}

Test(h2, a_lost_connection_closes_every_stream)
{
    pair_open(&p, SIZE_MAX);
    pair_request(&p, "GET", "/1", "", BODY_NONE);
    pair_run(&p);
    pair_request(&p, "POST", "/2", "", BODY_NONE); /* queued, and never left */
    h2_close(p.client.h);
    cr_expect_str_eq(side_log(&p.client), "closed 1 lost 0 UPSTREAM_RESET; closed 3 lost 0 UPSTREAM_RESET unprocessed");
    cr_assert_eq(h2_receive(p.client.h, SLICE("anything"), p.now), H2_OVER);
    cr_assert_eq(h2_send(p.client.h, 100), H2_OVER);
    cr_assert(!h2_has_output(p.client.h));
    p.client.wire.len = 0;
    pair_close(&p);
}

Test(h2, a_ping_comes_back)
{
    pair_open(&p, SIZE_MAX);
    h2_ping(p.client.h);
    pair_run(&p);
    cr_expect_str_eq(side_log(&p.client), "pong");
    cr_expect_str_eq(side_log(&p.server), "");
    pair_close(&p);
}

Test(h2, what_is_no_preface_ends_it)
{
    const char *detail;
    pair_open(&p, SIZE_MAX);
    struct side *other = &p.client; /* a client session reads frames, and no preface */
    side_feed(other, SLICE("HTTP/1.1 400 Bad Request\r\n\r\n"));
    side_flush(other);
    cr_assert(other->is_over);
    cr_assert_neq(h2_failure(other->h, &detail), 0);
    pair_close(&p);
}

/* ---- memory -------------------------------------------------------------------------------------------------------- */

Test(h2, steady_traffic_takes_nothing_from_the_heap)
{
    pair_open(&p, SIZE_MAX);
    p.server.react = answer_hello;
    size_t free_bytes = 0, live_bytes = 0;
    for (int i = 0; i < 200; i++) {
        pair_request(&p, "GET", "/steady", "User-Agent: test|Accept: x", BODY_NONE);
        pair_run(&p);
        if (i == 100) {
            free_bytes = p.pool->blocks.free_bytes;
            live_bytes = p.pool->blocks.live_bytes;
        }
    }
    cr_assert_eq(p.pool->blocks.free_bytes, free_bytes, "blocks come from the free lists and go back to them");
    cr_assert_eq(p.pool->blocks.live_bytes, live_bytes);
    pair_close(&p);
}
