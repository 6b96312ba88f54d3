/* tests/unit/http/test_h2_write.c - bodies under flow control, budgets, marks; what leaves, and in which frames. */
#include "http/h2.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "http/h2_pair.h"

#define GET  ":method=GET|:scheme=http|:authority=h|:path=/"
#define POST ":method=POST|:scheme=http|:authority=h|:path=/"

#define WINDOW 65535 /* of streams and connections until the peer says otherwise (RFC 9113 6.9.2) */

static struct pair p;

/* A request of the peer's, which waits for its answer. */
static struct side_stream *open_request(uint32_t id)
{
    feed_head(&p.server, FLAG_END_STREAM, id, GET);
    side_log(&p.server);
    return &p.server.streams[p.server.stream_count - 1];
}

static void give_window(uint32_t id, uint32_t bytes)
{
    const char payload[4] = { (char)(bytes >> 24), (char)(bytes >> 16), (char)(bytes >> 8), (char)bytes };
    feed_frame(&p.server, FRAME_WINDOW_UPDATE, 0, id, slice_from(payload, 4));
}

/* Bytes of DATA that leave now, all streams. */
static size_t data_leaves(void)
{
    size_t bytes = 0, length;
    for (const char *at = side_frames(&p.server); (at = strstr(at, "DATA ")) != NULL; at++)
        if (sscanf(at, "DATA %*u %zu", &length) == 1)
            bytes += length;
    return bytes;
}

/* ---- frames -------------------------------------------------------------------------------------------------------- */

Test(h2_write, what_a_turn_gave_leaves_together)
{
    pair_open_server(&p);
    struct side_stream *t = open_request(1);
    answer(t, 200, "", BODY_CHUNKED);
    send_text(t, "hello ");
    send_text(t, "world");
    h2_send_end(&t->s, NULL);
    cr_expect_str_eq(side_frames(&p.server), "HEADERS 1; DATA 1 11 end");
    cr_expect_str_eq(side_log(&p.server), "closed 1 complete 0");
    pair_close(&p);
}

Test(h2_write, an_end_that_comes_late_is_an_empty_frame)
{
    pair_open_server(&p);
    struct side_stream *t = open_request(1);
    answer(t, 200, "", BODY_CHUNKED);
    send_text(t, "hello");
    cr_expect_str_eq(side_frames(&p.server), "HEADERS 1; DATA 1 5");
    cr_assert(!h2_has_output(p.server.h));
    h2_send_end(&t->s, NULL);
    cr_assert(h2_has_output(p.server.h));
    cr_expect_str_eq(side_frames(&p.server), "DATA 1 0 end");
    pair_close(&p);
}

Test(h2_write, bodies_leave_by_reference)
{
    pair_open_server(&p);
    struct side_stream *t = open_request(1);
    answer(t, 200, "", BODY_CHUNKED);
    send_pattern(t, 40000);
    p.server.push_count = 0;
    cr_expect_str_eq(side_frames(&p.server), "HEADERS 1; DATA 1 16384; DATA 1 16384; DATA 1 7232");
    cr_assert_eq(p.server.push_count, 3, "one for each chunk");
    cr_assert_eq(p.chunks.live_count, 0);
    pair_close(&p);
}

Test(h2_write, an_early_answer_stops_the_request_without_blame)
{
    pair_open_server(&p);
    feed_head(&p.server, 0, 1, POST);
    struct side_stream *t = &p.server.streams[0];
    answer(t, 413, "", BODY_NONE);
    cr_expect_str_eq(side_frames(&p.server), "HEADERS 1 end; RST 1 0");
    cr_expect_str_eq(side_log(&p.server), "head 1 POST / @h chunked {host: h}; closed 1 complete 0");
    feed_frame(&p.server, FRAME_DATA, FLAG_END_STREAM, 1, SLICE("late"));
    cr_assert(!p.server.is_over);
    pair_close(&p);
}

Test(h2_write, what_is_given_to_a_stream_that_is_gone_goes_nowhere)
{
    pair_open_server(&p);
    feed_head(&p.server, 0, 1, POST);
    struct side_stream *t = &p.server.streams[0];
    feed_frame(&p.server, FRAME_RST, 0, 1, SLICE("\0\0\0\x08"));
    answer(t, 200, "", BODY_CHUNKED);
    send_text(t, "x");
    h2_send_copy(&t->s, SLICE("x"));
    h2_send_end(&t->s, NULL);
    h2_consume(&t->s, 5);
    h2_reset(&t->s, H2_CANCEL);
    cr_expect_str_eq(side_frames(&p.server), "");
    pair_close(&p);
}

Test(h2_write, a_reset_drops_what_is_queued)
{
    pair_open_server(&p);
    struct side_stream *t = open_request(1);
    answer(t, 200, "", BODY_CHUNKED);
    send_pattern(t, 100000);
    side_frames(&p.server);
    cr_assert_eq(t->s.out.bytes, 100000 - WINDOW);
    h2_reset(&t->s, H2_INTERNAL_ERROR);
    cr_assert_eq(p.chunks.live_count, 0);
    give_window(1, 100000);
    cr_expect_str_eq(side_frames(&p.server), "RST 1 2");
    pair_close(&p);
}

Test(h2_write, a_request_reset_before_it_left_never_leaves)
{
    pair_open_client(&p);
    struct side_stream *t = pair_request(&p, "GET", "/", "", BODY_NONE);
    h2_reset(&t->s, H2_CANCEL);
    cr_expect_str_eq(side_frames(&p.client), "");
    cr_assert(h2_can_begin(p.client.h));
    pair_request(&p, "GET", "/", "", BODY_NONE);
    cr_expect_str_eq(side_frames(&p.client), "HEADERS 3 end");
    cr_expect_str_eq(side_log(&p.client), "");
    pair_close(&p);
}

Test(h2_write, requests_beyond_a_limit_that_shrank_wait)
{
    pair_open_client(&p);
    for (int i = 0; i < 3; i++)
        pair_request(&p, "GET", "/", "", BODY_NONE);
    feed_frame(&p.client, FRAME_SETTINGS, 0, 0, SLICE("\0\3\0\0\0\2"));
    cr_expect_str_eq(side_frames(&p.client), "SETTINGS 0; HEADERS 1 end; HEADERS 3 end");
    cr_assert(!h2_can_begin(p.client.h));
    feed_head(&p.client, FLAG_END_STREAM, 1, ":status=204");
    cr_expect_str_eq(side_frames(&p.client), "HEADERS 5 end");
    pair_close(&p);
}

/* Bytes of the HEADERS frame of a request with that field. */
static size_t head_bytes_with(const char *fields)
{
    pair_request(&p, "GET", "/", fields, BODY_NONE);
    side_flush(&p.client);
    size_t bytes = p.client.wire.len;
    p.client.wire.len = 0;
    return bytes;
}

Test(h2_write, secrets_and_what_never_comes_twice_enter_no_table)
{
    static const struct {
        const char *fields;
        bool is_indexed;
    } rows[] = {
        { "User-Agent: 0123456789012345678901234567890123456789", true },
        { "X-Other: 0123456789012345678901234567890123456789", true },
        { "Authorization: 0123456789012345678901234567890123456789", false },
        { "Proxy-Authorization: 0123456789012345678901234567890123456789", false },
        { "Cookie: 0123456789", false },
        { "X-Request-Id: 0123456789012345678901234567890123456789", false },
        { "traceparent: 0123456789012345678901234567890123456789", false },
    };
    pair_open_client(&p);
    head_bytes_with("");
    size_t bare_bytes = head_bytes_with(""); /* all of it in the table by now */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t first_bytes = head_bytes_with(rows[i].fields), second_bytes = head_bytes_with(rows[i].fields);
        cr_expect_gt(first_bytes, bare_bytes + 8);
        if (rows[i].is_indexed)
            cr_expect_eq(second_bytes, bare_bytes + 1, "%s: one index", rows[i].fields);
        else
            cr_expect_gt(second_bytes, bare_bytes + 8, "%s: the value again", rows[i].fields);
    }
    pair_close(&p);
}

/* ---- flow control, out --------------------------------------------------------------------------------------------- */

Test(h2_write, no_more_leaves_than_the_peers_windows_allow)
{
    pair_open_server(&p);
    struct side_stream *t = open_request(1);
    answer(t, 200, "", BODY_CHUNKED);
    send_pattern(t, 200000);
    cr_assert_eq(data_leaves(), WINDOW);
    cr_assert(!h2_has_output(p.server.h));
    give_window(1, 1000);
    cr_assert_eq(data_leaves(), 0, "the connection's is used up");
    give_window(0, 300);
    cr_assert_eq(data_leaves(), 300);
    give_window(0, 1000000);
    cr_assert_eq(data_leaves(), 700, "now the stream's");
    give_window(1, 1000000);
    cr_assert_eq(data_leaves(), 200000 - WINDOW - 1000);
    pair_close(&p);
}

Test(h2_write, windows_shrink_and_grow_with_settings)
{
    pair_open_server(&p);
    struct side_stream *t = open_request(1);
    answer(t, 200, "", BODY_CHUNKED);
    send_pattern(t, 70000);
    feed_frame(&p.server, FRAME_SETTINGS, 0, 0, SLICE("\0\4\0\0\0\x64"));
    cr_assert_eq(data_leaves(), 100);
    feed_frame(&p.server, FRAME_SETTINGS, 0, 0, SLICE("\0\4\0\0\0\x32"));
    give_window(1, 50);
    cr_assert_eq(data_leaves(), 0, "the window was negative");
    give_window(1, 7);
    cr_assert_eq(data_leaves(), 7);
    feed_frame(&p.server, FRAME_SETTINGS, 0, 0, SLICE("\0\4\0\0\x10\0"));
    cr_assert_eq(data_leaves(), 4096 - 50);
    pair_close(&p);
}

Test(h2_write, a_frame_size_of_the_peers_is_kept)
{
    pair_open_server(&p);
    struct side_stream *t = open_request(1);
    feed_frame(&p.server, FRAME_SETTINGS, 0, 0, SLICE("\0\5\0\0\x80\0")); /* 32 KiB: ours stay at 16 */
    answer(t, 200, "", BODY_CHUNKED);
    send_pattern(t, 20000);
    cr_expect_str_eq(side_frames(&p.server), "SETTINGS 0; HEADERS 1; DATA 1 16384; DATA 1 3616");
    pair_close(&p);
}

Test(h2_write, the_budget_ends_a_sending)
{
    pair_open_server(&p);
    struct side_stream *t = open_request(1);
    answer(t, 200, "", BODY_CHUNKED);
    send_pattern(t, 60000);
    cr_assert_eq(h2_send(p.server.h, 20000), H2_OPEN);
    cr_assert_geq(p.server.wire.len, 20000);
    cr_assert_lt(p.server.wire.len, 20000 + 16384 + 9);
    cr_assert(h2_has_output(p.server.h));
    p.server.wire.len = 0;
    p.budget_bytes = 1000;
    cr_assert_eq(data_leaves(), 60000 - 2 * 16384, "step by step");
    pair_close(&p);
}

Test(h2_write, streams_take_turns)
{
    pair_open_server(&p);
    feed_frame(&p.server, FRAME_SETTINGS, 0, 0, SLICE("\0\4\0\x10\0\0"));
    give_window(0, 1000000);
    struct side_stream *t[3];
    for (uint32_t i = 0; i < 3; i++) {
        t[i] = open_request(2 * i + 1);
        answer(t[i], 200, "", BODY_CHUNKED);
        send_pattern(t[i], 160000);
    }
    cr_assert_eq(h2_send(p.server.h, 250000), H2_OPEN);
    for (int i = 0; i < 3; i++) {
        cr_assert_lt(t[i]->s.out.bytes, 160000 - 60000, "stream %d had its share", i);
        cr_assert_gt(t[i]->s.out.bytes, 160000 - 110000);
    }
    pair_close(&p);
}

Test(h2_write, uploads_take_turns_too)
{
    pair_open_client(&p);
    feed_frame(&p.client, FRAME_SETTINGS, 0, 0, SLICE("\0\4\0\x10\0\0"));
    feed_frame(&p.client, FRAME_WINDOW_UPDATE, 0, 0, SLICE("\0\x10\0\0"));
    struct side_stream *t[3];
    for (int i = 0; i < 3; i++) {
        t[i] = pair_request(&p, "POST", "/", "", BODY_CHUNKED);
        send_pattern(t[i], 160000);
    }
    cr_assert_eq(h2_send(p.client.h, 250000), H2_OPEN);
    for (int i = 0; i < 3; i++)
        cr_assert_lt(t[i]->s.out.bytes, 160000 - 60000, "stream %d had its share", i);
    pair_close(&p);
}

Test(h2_write, above_the_high_mark_until_below_the_low_one)
{
    pair_open_server(&p);
    struct side_stream *t = open_request(1);
    answer(t, 200, "", BODY_CHUNKED);
    send_pattern(t, H2_HIGH_BYTES);
    cr_assert(!h2_is_full(&t->s));
    send_text(t, "x");
    cr_assert(h2_is_full(&t->s));
    send_pattern(t, 50000);
    cr_assert_eq(data_leaves(), WINDOW);
    cr_assert_str_eq(side_log(&p.server), "", "still above the low mark");
    cr_assert(h2_is_full(&t->s), "full stays full until then");
    give_window(0, 100000);
    give_window(1, t->s.out.bytes - H2_LOW_BYTES);
    cr_assert_gt(data_leaves(), 0);
    cr_assert_str_eq(side_log(&p.server), "");
    give_window(1, 1);
    side_frames(&p.server);
    cr_assert_str_eq(side_log(&p.server), "room 1");
    cr_assert(!h2_is_full(&t->s));
    pair_close(&p);
}

static void send_more(struct side *side, enum side_event event, struct side_stream *t)
{
    if (event != EV_ROOM)
        return;
    if (side->stream_count++ < 20) /* counts the rooms */
        send_pattern(t, 80000);
    else
        h2_send_end(&t->s, NULL);
    h2_is_full(&t->s);
}

Test(h2_write, a_source_that_follows_the_marks_sends_everything)
{
    pair_open(&p, SIZE_MAX);
    struct side_stream *t = pair_request(&p, "GET", "/", "", BODY_NONE);
    pair_run(&p);
    struct side_stream *from = &p.server.streams[0];
    p.server.react = send_more;
    answer(from, 200, "", BODY_CHUNKED);
    send_pattern(from, 80000);
    h2_is_full(&from->s);
    pair_run(&p);
    p.server.stream_count = 1;
    cr_assert_eq(t->how.cause, H2_COMPLETE);
    cr_assert_eq(t->body.len, 20 * 80000);
    for (size_t i = 0; i < 20; i++)
        cr_assert(is_pattern(slice_from(t->body.bytes + i * 80000, 80000)));
    pair_close(&p);
}

Test(h2_write, short_pieces_behind_a_slow_peer_are_packed)
{
    pair_open_server(&p);
    struct side_stream *t = open_request(1);
    answer(t, 200, "", BODY_CHUNKED);
    send_pattern(t, WINDOW);
    side_frames(&p.server);
    for (int i = 0; i < 6000; i++)
        send_text(t, "0123456789"); /* each in a chunk of its own */
    cr_assert_eq(t->s.out.bytes, 60000);
    cr_assert_lt(p.chunks.live_count, 420, "not one for each");
    pair_close(&p);
}

/* ---- flow control, in ---------------------------------------------------------------------------------------------- */

static char zeros[16384];

/* DATA by hand, and what the server says to it. */
static const char *upload(uint32_t id, size_t bytes)
{
    for (; bytes > 0; bytes -= bytes < sizeof zeros ? bytes : sizeof zeros)
        feed_frame(&p.server, FRAME_DATA, 0, id, slice_from(zeros, bytes < sizeof zeros ? bytes : sizeof zeros));
    return side_frames(&p.server);
}

static void keep_window(struct side *side, enum side_event event, struct side_stream *t)
{
    (void)side;
    t->keeps_window |= event == EV_BEGIN;
}

Test(h2_write, a_streams_window_comes_back_when_its_bytes_were_passed_on)
{
    pair_open_server(&p);
    p.server.react = keep_window;
    feed_head(&p.server, 0, 1, POST);
    struct side_stream *t = &p.server.streams[0];
    cr_expect_str_eq(upload(1, 65536), "");
    h2_consume(&t->s, 20000);
    cr_expect_str_eq(side_frames(&p.server), "", "updates are batched");
    h2_consume(&t->s, 20000);
    cr_expect_str_eq(side_frames(&p.server), "WINDOW_UPDATE 1 40000");
    cr_expect_str_eq(upload(1, 40000), "");
    cr_assert(!p.server.is_over);
    upload(1, 1);
    cr_assert(p.server.is_over || t->is_over, "beyond the window");
    pair_close(&p);
}

Test(h2_write, a_stream_that_waits_starves_no_other)
{
    pair_open_server(&p);
    p.server.react = keep_window;
    for (uint32_t id = 1; id <= 63; id += 2)
        feed_head(&p.server, 0, id, POST);
    for (uint32_t id = 1; id <= 63; id += 2) { /* 2 MiB that nobody passes on, through a window of 1 MiB */
        upload(id, 65536);
        cr_assert(!p.server.is_over, "stream %u", id);
    }
    cr_assert_eq(p.server.streams[31].body.len, 65536);
    pair_close(&p);
}

Test(h2_write, data_thrown_away_gives_the_connections_window_back)
{
    pair_open_server(&p);
    feed_head(&p.server, 0, 1, POST);
    h2_reset(&p.server.streams[0].s, H2_CANCEL);
    cr_expect_str_eq(side_frames(&p.server), "RST 1 8");
    size_t updates = 0;
    for (int i = 0; i < 40; i++) {
        const char *frames = upload(1, 16384);
        updates += strstr(frames, "WINDOW_UPDATE 0") != NULL;
    }
    cr_assert_geq(updates, 1);
    cr_assert(!p.server.is_over);
    pair_close(&p);
}

Test(h2_write, padding_is_given_back_though_nobody_sees_it)
{
    pair_open_server(&p);
    feed_head(&p.server, 0, 1, POST);
    char padded[256] = { (char)255 };
    for (int i = 0; i < 1000; i++) {
        feed_frame(&p.server, FRAME_DATA, FLAG_PADDED, 1, slice_from(padded, sizeof padded));
        side_frames(&p.server);
        if (p.server.is_over)
            break;
    }
    cr_assert(!p.server.streams[0].is_over || p.server.is_over, "no window ran out");
    pair_close(&p);
}

Test(h2_write, a_large_body_goes_both_ways_within_the_windows)
{
    static const size_t sizes[] = { 1, 16384, 16385, 65535, 65536, 1000000, 3000000 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        pair_open(&p, 5000);
        struct side_stream *t = pair_request(&p, "POST", "/", "", BODY_CHUNKED);
        send_pattern(t, sizes[i]);
        h2_send_end(&t->s, NULL);
        pair_run(&p);
        struct side_stream *at = &p.server.streams[0];
        cr_assert_eq(at->body.len, sizes[i]);
        cr_assert(is_pattern(text_slice(&at->body)));
        answer(at, 200, "", BODY_CHUNKED);
        send_pattern(at, sizes[i]);
        h2_send_end(&at->s, NULL);
        pair_run(&p);
        cr_assert_eq(t->body.len, sizes[i]);
        cr_assert(is_pattern(text_slice(&t->body)));
        cr_assert_eq(t->how.cause, H2_COMPLETE);
        pair_close(&p);
    }
}
