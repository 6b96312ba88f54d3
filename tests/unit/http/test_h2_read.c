/* tests/unit/http/test_h2_read.c - frames by hand: what our own client would never send, in any order. */
#include "http/h2.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "http/h2_pair.h"

#define GET  ":method=GET|:scheme=http|:authority=h|:path=/"
#define POST ":method=POST|:scheme=http|:authority=h|:path=/"

static struct pair p;
static const struct slice cancel = { "\0\0\0\x08", 4 };

/* ---- malformed messages -------------------------------------------------------------------------------------------- */

Test(h2_read, a_malformed_head_resets_the_stream_and_no_other)
{
    pair_open_server(&p);
    feed_head(&p.server, FLAG_END_STREAM, 1, GET "|Upper=x");
    cr_expect_str_eq(side_log(&p.server), "closed 1 malformed 1 MALFORMED");
    cr_expect_str_eq(side_frames(&p.server), "RST 1 1");
    feed_head(&p.server, FLAG_END_STREAM, 3, GET);
    cr_expect_str_eq(side_log(&p.server), "head 3 GET / @h none {host: h}; end 3");
    pair_close(&p);
}

Test(h2_read, a_head_that_is_too_large_is_answered)
{
    static char large[1100];
    pair_open_server(&p);
    snprintf(large, sizeof large,
             GET "|a=%0100d|b=%0100d|c=%0100d|d=%0100d|e=%0100d|f=%0100d|g=%0100d|h=%0100d|"
                 "i=%0100d|j=%0100d",
             0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    feed_head(&p.server, 0, 1, large);
    cr_expect_str_eq(side_log(&p.server), "refused 1 HEADERS_TOO_LARGE");
    feed_frame(&p.server, FRAME_DATA, 0, 1, SLICE("thrown away"));
    answer(&p.server.streams[0], 431, "", BODY_NONE);
    cr_expect_str_eq(side_frames(&p.server), "HEADERS 1 end; RST 1 0");
    cr_expect_str_eq(side_log(&p.server), "closed 1 complete 0");
    pair_close(&p);
}

Test(h2_read, a_refused_head_that_ends_needs_no_reset)
{
    pair_open_server(&p);
    feed_head(&p.server, 0, 1, POST "|expect=magic");
    feed_head(&p.server, FLAG_END_STREAM, 1, "x=trailer");
    cr_expect_str_eq(side_log(&p.server), "refused 1 EXPECTATION");
    answer(&p.server.streams[0], 417, "", BODY_NONE);
    cr_expect_str_eq(side_frames(&p.server), "HEADERS 1 end");
    cr_expect_str_eq(side_log(&p.server), "closed 1 complete 0");
    pair_close(&p);
}

struct body_row {
    const char *name, *fields;
    struct slice first, second; /* DATA; the second ends the stream */
    const char *expected;
};

Test(h2_read, content_length_is_the_length_of_data)
{
    static const struct body_row rows[] = {
        { "exact", POST "|content-length=5", { "hel", 3 }, { "lo", 2 }, "data 1; end 1" },
        { "exact in the first", POST "|content-length=5", { "hello", 5 }, { "", 0 }, "data 1; end 1" },
        { "too short", POST "|content-length=6", { "hel", 3 }, { "lo", 2 }, "data 1; closed 1 malformed 1 MALFORMED" },
        { "nothing", POST "|content-length=1", { "", 0 }, { "", 0 }, "closed 1 malformed 1 MALFORMED" },
        { "too long", POST "|content-length=4", { "hel", 3 }, { "lo", 2 }, "data 1; closed 1 malformed 1 MALFORMED" },
        { "not zero", POST "|content-length=0", { "x", 1 }, { "", 0 }, "closed 1 malformed 1 MALFORMED" },
        { "zero", POST "|content-length=0", { "", 0 }, { "", 0 }, "end 1" },
        { "unknown", POST, { "hel", 3 }, { "lo", 2 }, "data 1; end 1" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pair_open_server(&p);
        feed_head(&p.server, 0, 1, rows[i].fields);
        side_log(&p.server);
        if (rows[i].first.len > 0)
            feed_frame(&p.server, FRAME_DATA, 0, 1, rows[i].first);
        feed_frame(&p.server, FRAME_DATA, FLAG_END_STREAM, 1, rows[i].second);
        cr_expect_str_eq(side_log(&p.server), rows[i].expected, "%s", rows[i].name);
        pair_close(&p);
    }
}

Test(h2_read, content_length_holds_before_trailers_too)
{
    pair_open_server(&p);
    feed_head(&p.server, 0, 1, POST "|content-length=6");
    feed_frame(&p.server, FRAME_DATA, 0, 1, SLICE("hello"));
    feed_head(&p.server, FLAG_END_STREAM, 1, "x=y");
    cr_expect_str_eq(side_log(&p.server), "head 1 POST / @h length=6 {host: h|content-length: 6}; data 1; "
                                          "trailers 1 {x: y}; closed 1 malformed 1 MALFORMED");
    pair_close(&p);
}

Test(h2_read, trailers_end_the_stream_or_break_it)
{
    pair_open_server(&p);
    feed_head(&p.server, 0, 1, POST);
    side_log(&p.server);
    feed_head(&p.server, 0, 1, "x=y");
    cr_expect_str_eq(side_log(&p.server), "closed 1 malformed 1 MALFORMED");
    feed_head(&p.server, 0, 3, POST);
    side_log(&p.server);
    feed_head(&p.server, FLAG_END_STREAM, 3, ":path=/");
    cr_expect_str_eq(side_log(&p.server), "closed 3 malformed 1 MALFORMED");
    pair_close(&p);
}

/* A stream of the client's whose request has left. */
static struct side_stream *asked(const char *method)
{
    struct side_stream *t = pair_request(&p, method, "/", "", BODY_NONE);
    side_flush(&p.client);
    p.client.wire.len = 0;
    return t;
}

Test(h2_read, answers_that_are_malformed)
{
    static const struct {
        const char *name, *method, *fields;
        struct slice data;
        const char *expected;
    } rows[] = {
        { "a field in upper case", "GET", ":status=200|A=b", { NULL, 0 }, "closed 1 malformed 1 UPSTREAM_INVALID" },
        { "101", "GET", ":status=101", { NULL, 0 }, "closed 1 malformed 1 UPSTREAM_INVALID" },
        { "data behind an interim answer",
          "GET",
          ":status=103",
          { "x", 1 },
          "head 1 103 none; closed 1 malformed 1 UPSTREAM_INVALID" },
        { "a body to HEAD",
          "HEAD",
          ":status=200",
          { "x", 1 },
          "head 1 200 none; closed 1 malformed 1 UPSTREAM_INVALID" },
        { "a body of 204", "GET", ":status=204", { "x", 1 }, "head 1 204 none; closed 1 malformed 1 UPSTREAM_INVALID" },
        { "a body of 304", "GET", ":status=304", { "x", 1 }, "head 1 304 none; closed 1 malformed 1 UPSTREAM_INVALID" },
        { "longer than announced",
          "GET",
          ":status=200|content-length=1",
          { "xy", 2 },
          "head 1 200 length=1 {content-length: 1}; closed 1 malformed 1 UPSTREAM_INVALID" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pair_open_client(&p);
        asked(rows[i].method);
        feed_head(&p.client, 0, 1, rows[i].fields);
        if (rows[i].data.ptr != NULL)
            feed_frame(&p.client, FRAME_DATA, 0, 1, rows[i].data);
        cr_expect_str_eq(side_log(&p.client), rows[i].expected, "%s", rows[i].name);
        cr_expect_str_eq(side_frames(&p.client), "RST 1 1", "%s", rows[i].name);
        pair_close(&p);
    }
}

Test(h2_read, data_before_any_head_ends_the_connection)
{
    pair_open_client(&p);
    asked("GET");
    feed_frame(&p.client, FRAME_DATA, 0, 1, SLICE("x"));
    cr_expect_str_eq(side_frames(&p.client), "GOAWAY 0 0 1");
    cr_assert(p.client.is_over);
    pair_close(&p);
}

Test(h2_read, an_end_without_a_head_is_no_answer)
{
    pair_open_client(&p);
    asked("GET");
    feed_head(&p.client, 0, 1, ":status=100");
    feed_frame(&p.client, FRAME_DATA, FLAG_END_STREAM, 1, SLICE(""));
    cr_expect_str_eq(side_log(&p.client), "head 1 100 none; closed 1 malformed 1 UPSTREAM_INVALID");
    pair_close(&p);
}

Test(h2_read, a_pushed_stream_is_refused)
{
    struct text payload;
    pair_open_client(&p);
    asked("GET");
    text_init(&payload);
    text_add(&payload, SLICE("\0\0\0\2"));
    put_block(&payload, GET);
    feed_frame(&p.client, FRAME_PUSH, FLAG_END_HEADERS, 1, text_slice(&payload));
    side_flush(&p.client);
    cr_assert(p.client.is_over, "ENABLE_PUSH was 0, and that was acknowledged");
    text_fini(&payload);
    pair_close(&p);
}

/* ---- how streams end ----------------------------------------------------------------------------------------------- */

Test(h2_read, a_reset_by_the_peer)
{
    pair_open_server(&p);
    feed_head(&p.server, 0, 1, POST);
    feed_frame(&p.server, FRAME_RST, 0, 1, cancel);
    cr_expect_str_eq(side_log(&p.server), "head 1 POST / @h chunked {host: h}; closed 1 peer-reset 8 CLIENT_ABORTED");
    cr_expect_str_eq(side_frames(&p.server), "");
    pair_close(&p);
}

Test(h2_read, a_reset_between_head_and_continuation)
{
    struct text block;
    pair_open_server(&p);
    text_init(&block);
    put_block(&block, GET);
    feed_frame(&p.server, FRAME_HEADERS, 0, 1, slice_first(text_slice(&block), 10));
    h2_reset(&p.server.streams[0].s, H2_CANCEL);
    feed_frame(&p.server, FRAME_CONTINUATION, FLAG_END_HEADERS, 1, slice_after(text_slice(&block), 10));
    cr_expect_str_eq(side_log(&p.server), "", "a reset stream has no events");
    cr_expect_str_eq(side_frames(&p.server), "RST 1 8");
    feed_head(&p.server, FLAG_END_STREAM, 3, GET);
    cr_expect_str_eq(side_log(&p.server), "head 3 GET / @h none {host: h}; end 3", "HPACK went on");
    text_fini(&block);
    pair_close(&p);
}

Test(h2_read, an_answer_that_was_complete_stays_so)
{
    pair_open_client(&p);
    struct side_stream *t = pair_request(&p, "POST", "/", "", BODY_CHUNKED);
    side_flush(&p.client);
    feed_head(&p.client, FLAG_END_STREAM, 1, ":status=413");
    feed_frame(&p.client, FRAME_RST, 0, 1, SLICE("\0\0\0\0"));
    cr_expect_str_eq(side_log(&p.client), "head 1 413 none=0; end 1; closed 1 complete 0");
    h2_send_copy(&t->s, SLICE("late")); /* harmless: detached */
    h2_send_end(&t->s, NULL);
    pair_close(&p);
}

Test(h2_read, a_refused_stream_was_not_processed)
{
    pair_open_client(&p);
    asked("POST");
    feed_frame(&p.client, FRAME_RST, 0, 1, SLICE("\0\0\0\7"));
    cr_expect_str_eq(side_log(&p.client), "closed 1 peer-reset 7 UPSTREAM_RESET unprocessed");
    pair_close(&p);
}

Test(h2_read, a_cancelled_stream_may_have_been_processed)
{
    pair_open_client(&p);
    asked("POST");
    feed_frame(&p.client, FRAME_RST, 0, 1, cancel);
    cr_expect_str_eq(side_log(&p.client), "closed 1 peer-reset 8 UPSTREAM_RESET");
    pair_close(&p);
}

Test(h2_read, goaway_tells_which_streams_were_not_processed)
{
    pair_open_client(&p);
    asked("GET");
    asked("POST");
    asked("POST");
    feed_frame(&p.client, FRAME_GOAWAY, 0, 0, SLICE("\0\0\0\3\0\0\0\0"));
    const char *log = side_log(&p.client);
    cr_assert_not_null(strstr(log, "closed 5 lost 7 UPSTREAM_RESET unprocessed"), "%s", log);
    cr_assert_eq(h2_stream_count(p.client.h), 2);
    cr_assert(!h2_can_begin(p.client.h));
    feed_head(&p.client, FLAG_END_STREAM, 1, ":status=204");
    feed_head(&p.client, FLAG_END_STREAM, 3, ":status=204");
    cr_expect_str_eq(side_log(&p.client), "head 1 204 none; end 1; closed 1 complete 0; "
                                          "head 3 204 none; end 3; closed 3 complete 0");
    cr_assert(p.client.is_over, "nothing is left to wait for");
    pair_close(&p);
}

Test(h2_read, requests_that_wait_when_goaway_comes_were_not_processed)
{
    pair_open_client(&p);
    asked("GET");
    pair_request(&p, "POST", "/", "", BODY_NONE); /* still here */
    feed_frame(&p.client, FRAME_GOAWAY, 0, 0, SLICE("\0\0\0\1\0\0\0\0"));
    side_flush(&p.client);
    cr_expect_str_eq(side_log(&p.client), "goaway 0; closed 3 lost 7 UPSTREAM_RESET unprocessed");
    pair_close(&p);
}

Test(h2_read, frames_of_streams_that_are_gone_are_read_away)
{
    pair_open_server(&p);
    feed_head(&p.server, 0, 1, POST);
    h2_reset(&p.server.streams[0].s, H2_CANCEL);
    side_flush(&p.server);
    side_log(&p.server);
    feed_frame(&p.server, FRAME_DATA, 0, 1, SLICE("in flight"));
    feed_head(&p.server, FLAG_END_STREAM, 1, "x=y");
    feed_frame(&p.server, FRAME_WINDOW_UPDATE, 0, 1, SLICE("\0\0\1\0"));
    feed_frame(&p.server, FRAME_RST, 0, 1, cancel);
    cr_expect_str_eq(side_log(&p.server), "");
    cr_assert(!p.server.is_over);
    pair_close(&p);
}

/* ---- the connection ------------------------------------------------------------------------------------------------ */

Test(h2_read, rules_of_the_connection)
{
    static const struct {
        const char *name;
        uint8_t type, flags;
        uint32_t id;
        struct slice payload;
        const char *expected;
    } rows[] = {
        { "DATA without a stream", FRAME_DATA, 0, 0, { "x", 1 }, "GOAWAY 0 0 1" },
        { "DATA of an idle stream", FRAME_DATA, 0, 1, { "x", 1 }, "GOAWAY 0 0 1" },
        { "HEADERS without a stream", FRAME_HEADERS, FLAG_END_HEADERS, 0, { "\x82", 1 }, "GOAWAY 0 0 1" },
        { "HEADERS of an even stream", FRAME_HEADERS, FLAG_END_HEADERS, 2, { "\x82", 1 }, "GOAWAY 0 0 1" },
        { "a broken block", FRAME_HEADERS, FLAG_END_HEADERS, 1, { "\xff\xff\xff\xff\xff\xff\xff", 7 }, "GOAWAY 0 1 9" },
        { "CONTINUATION alone", FRAME_CONTINUATION, FLAG_END_HEADERS, 1, { "", 0 }, "GOAWAY 0 0 1" },
        { "RST of an idle stream", FRAME_RST, 0, 1, { "\0\0\0\x08", 4 }, "GOAWAY 0 0 1" },
        { "a short RST", FRAME_RST, 0, 1, { "\0\0", 2 }, "GOAWAY 0 0 6" },
        { "PING of a stream", FRAME_PING, 0, 1, { "12345678", 8 }, "GOAWAY 0 0 1" },
        { "a short PING", FRAME_PING, 0, 0, { "1234", 4 }, "GOAWAY 0 0 6" },
        { "SETTINGS of a stream", FRAME_SETTINGS, 0, 1, { "", 0 }, "GOAWAY 0 0 1" },
        { "uneven SETTINGS", FRAME_SETTINGS, 0, 0, { "1234567", 7 }, "GOAWAY 0 0 6" },
        { "a push of a client", FRAME_PUSH, FLAG_END_HEADERS, 1, { "\0\0\0\2\x82", 5 }, "GOAWAY 0 0 1" },
        { "no increment", FRAME_WINDOW_UPDATE, 0, 0, { "\0\0\0\0", 4 }, "GOAWAY 0 0 1" },
        { "too much window", FRAME_WINDOW_UPDATE, 0, 0, { "\x7f\xff\xff\xff", 4 }, "GOAWAY 0 0 3" },
        { "a huge initial window", FRAME_SETTINGS, 0, 0, { "\0\4\x80\0\0\0", 6 }, "GOAWAY 0 0 3" },
        { "a tiny frame size", FRAME_SETTINGS, 0, 0, { "\0\5\0\0\0\1", 6 }, "GOAWAY 0 0 1" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *detail;
        pair_open_server(&p);
        feed_frame(&p.server, rows[i].type, rows[i].flags, rows[i].id, rows[i].payload);
        const char *frames = side_frames(&p.server);
        cr_expect_str_eq(frames, rows[i].expected, "%s: %s", rows[i].name, frames);
        cr_expect(p.server.is_over, "%s", rows[i].name);
        cr_expect_neq(h2_failure(p.server.h, &detail), 0);
        cr_expect_gt(strlen(detail), 5);
        pair_close(&p);
    }
}

Test(h2_read, ids_go_upwards)
{
    pair_open_server(&p);
    feed_head(&p.server, FLAG_END_STREAM, 5, GET);
    feed_head(&p.server, FLAG_END_STREAM, 3, GET);
    cr_expect_str_eq(side_log(&p.server), "head 5 GET / @h none {host: h}; end 5",
                     "the lower one is closed, or never was");
    cr_assert_eq(p.server.stream_count, 1);
    pair_close(&p);
}

Test(h2_read, more_streams_than_announced_end_the_connection)
{
    pair_open_server(&p);
    uint32_t id = 1;
    for (; id < 2 * 128; id += 2)
        feed_head(&p.server, FLAG_END_STREAM, id, GET);
    cr_assert_eq(h2_stream_count(p.server.h), 128);
    cr_assert(!p.server.is_over);
    feed_head(&p.server, FLAG_END_STREAM, id, GET);
    cr_expect_str_eq(side_frames(&p.server), "GOAWAY 0 255 1");
    cr_assert(p.server.is_over);
    pair_close(&p);
}

Test(h2_read, padding_and_priority_are_read_away)
{
    struct text block;
    pair_open_server(&p);
    text_init(&block);
    text_add(&block, SLICE("\3\0\0\0\0\x10"));
    put_block(&block, POST);
    text_add(&block, SLICE("\0\0\0"));
    feed_frame(&p.server, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_PADDED | FLAG_PRIORITY, 1, text_slice(&block));
    feed_frame(&p.server, FRAME_PRIORITY, 0, 1, SLICE("\0\0\0\0\x10"));
    feed_frame(&p.server, FRAME_DATA, FLAG_PADDED, 1, SLICE("\2hello\0\0"));
    feed_frame(&p.server, FRAME_DATA, FLAG_PADDED | FLAG_END_STREAM, 1, SLICE("\2\0\0"));
    cr_expect_str_eq(side_log(&p.server), "head 1 POST / @h chunked {host: h}; data 1; end 1");
    cr_assert_str_eq(p.server.streams[0].body.bytes, "hello");
    text_fini(&block);
    pair_close(&p);
}

/* ---- re-entrancy --------------------------------------------------------------------------------------------------- */

static enum side_event reset_in;

static void reset_inside(struct side *side, enum side_event event, struct side_stream *t)
{
    (void)side;
    if (event == reset_in)
        h2_reset(&t->s, H2_CANCEL);
}

Test(h2_read, an_event_may_reset_its_own_stream)
{
    static const struct {
        enum side_event event;
        const char *expected;
    } rows[] = {
        { EV_HEAD, "head 1 POST / @h chunked {host: h}" },
        { EV_DATA, "head 1 POST / @h chunked {host: h}; data 1" },
        { EV_TRAILERS, "head 1 POST / @h chunked {host: h}; data 1; trailers 1 {x: y}" },
        { EV_END, "head 1 POST / @h chunked {host: h}; data 1; trailers 1 {x: y}; end 1" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pair_open_server(&p);
        reset_in = rows[i].event;
        p.server.react = reset_inside;
        feed_head(&p.server, 0, 1, POST);
        feed_frame(&p.server, FRAME_DATA, 0, 1, SLICE("hello"));
        feed_head(&p.server, FLAG_END_STREAM, 1, "x=y");
        cr_expect_str_eq(side_log(&p.server), rows[i].expected);
        cr_expect_str_eq(side_frames(&p.server), "RST 1 8");
        cr_assert(!p.server.is_over);
        pair_close(&p);
    }
}

/* Frees the stream's memory at once, as an owner may: poisoned, so that a late read is found. */
static void forget_inside(struct side *side, enum side_event event, struct side_stream *t)
{
    if (event != reset_in)
        return;
    if (event != EV_CLOSED)
        h2_reset(&t->s, H2_CANCEL);
    arena_reset(&t->arena);
    text_fini(&t->body);
    memset(t, 0xee, sizeof(*t));
    side->stream_count = 0;
}

Test(h2_read, a_streams_memory_may_go_inside_its_event)
{
    static const enum side_event when[] = { EV_BEGIN + 1, EV_DATA, EV_TRAILERS, EV_END, EV_CLOSED };
    for (size_t i = 0; i < sizeof when / sizeof when[0]; i++) {
        pair_open_server(&p);
        reset_in = when[i];
        p.server.react = forget_inside;
        feed_head(&p.server, 0, 1, POST);
        feed_frame(&p.server, FRAME_DATA, 0, 1, SLICE("hello"));
        feed_head(&p.server, FLAG_END_STREAM, 1, "x=y");
        feed_frame(&p.server, FRAME_RST, 0, 1, cancel);
        side_flush(&p.server);
        cr_assert_eq(h2_stream_count(p.server.h), 0);
        pair_close(&p);
    }
}

static void fail_inside(struct side *side, enum side_event event, struct side_stream *t)
{
    (void)t;
    if (event == reset_in)
        h2_goaway(side->h, H2_INTERNAL_ERROR);
}

Test(h2_read, an_event_may_end_the_session)
{
    static const struct {
        enum side_event event;
        const char *expected;
    } rows[] = {
        { EV_BEGIN, "" },
        { EV_HEAD, "head 1 POST / @h chunked {host: h}" },
        { EV_DATA, "head 1 POST / @h chunked {host: h}; data 1" },
        { EV_TRAILERS, "head 1 POST / @h chunked {host: h}; data 1; trailers 1 {x: y}" },
        { EV_END, "head 1 POST / @h chunked {host: h}; data 1; trailers 1 {x: y}; end 1" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct text all;
        pair_open_server(&p);
        reset_in = rows[i].event;
        p.server.react = fail_inside;
        text_init(&all);
        struct text block;
        text_init(&block);
        put_block(&block, POST);
        put_frame(&all, FRAME_HEADERS, FLAG_END_HEADERS, 1, text_slice(&block));
        put_frame(&all, FRAME_DATA, 0, 1, SLICE("hello"));
        text_clear(&block);
        put_block(&block, "x=y");
        put_frame(&all, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, 1, text_slice(&block));
        text_clear(&block);
        put_block(&block, GET);
        put_frame(&all, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, 3, text_slice(&block));
        side_feed(&p.server, text_slice(&all)); /* in one go: what stands behind is not read */
        cr_expect_str_eq(side_log(&p.server), rows[i].expected);
        cr_assert(p.server.is_over);
        cr_expect_str_eq(side_frames(&p.server), "GOAWAY 0 1 2");
        side_log(&p.server);
        p.server.react = NULL;
        h2_close(p.server.h);
        cr_expect_str_eq(side_log(&p.server), "closed 1 lost 2 CLIENT_ABORTED");
        text_fini(&block);
        text_fini(&all);
        pair_close(&p);
    }
}

/* All other streams, from inside of one's end. */
static void reset_others(struct side *side, enum side_event event, struct side_stream *t)
{
    if (event != EV_CLOSED || t->s.id != 1)
        return;
    for (size_t i = 0; i < side->stream_count; i++)
        h2_reset(&side->streams[i].s, H2_CANCEL);
}

Test(h2_read, an_event_may_reset_other_streams)
{
    pair_open_client(&p);
    p.client.react = reset_others;
    for (int i = 0; i < 5; i++)
        asked("GET");
    pair_request(&p, "GET", "/", "", BODY_NONE); /* queued */
    feed_frame(&p.client, FRAME_GOAWAY, 0, 0, SLICE("\0\0\0\0\0\0\0\0"));
    side_flush(&p.client);
    cr_assert_eq(h2_stream_count(p.client.h), 0);
    pair_close(&p);
}

static void begin_again(struct side *side, enum side_event event, struct side_stream *t)
{
    if (event == EV_CLOSED && side->stream_count < 3 && t->how.is_unprocessed)
        pair_request(side->pair, "GET", "/again", "", BODY_NONE);
}

Test(h2_read, an_event_may_begin_a_stream)
{
    pair_open_client(&p);
    p.client.react = begin_again;
    asked("GET");
    feed_frame(&p.client, FRAME_RST, 0, 1, SLICE("\0\0\0\7"));
    cr_expect_str_eq(side_frames(&p.client), "HEADERS 3 end");
    feed_head(&p.client, FLAG_END_STREAM, 3, ":status=204");
    cr_expect_str_eq(side_log(&p.client), "closed 1 peer-reset 7 UPSTREAM_RESET unprocessed; "
                                          "head 3 204 none; end 3; closed 3 complete 0");
    pair_close(&p);
}
