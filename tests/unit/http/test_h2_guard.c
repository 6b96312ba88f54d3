/* tests/unit/http/test_h2_guard.c - vain frames run out of tokens, work does not; with a clock that the test sets. */
#include "http/h2_guard.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "http/h2_pair.h"

static struct mono_time at_ms(int64_t ms)
{
    return (struct mono_time){ 5000000 + ms * 1000 };
}

Test(h2_guard, a_burst_and_then_as_time_gives)
{
    struct h2_guard g;
    h2_guard_init(&g, 10, 2);
    h2_guard_tick(&g, at_ms(0));
    cr_assert(h2_guard_take(&g, 10));
    h2_guard_tick(&g, at_ms(499));
    struct h2_guard early = g;
    cr_assert(!h2_guard_take(&early, 1));
    h2_guard_tick(&g, at_ms(500));
    cr_assert(h2_guard_take(&g, 1));
    h2_guard_tick(&g, at_ms(1000000));
    cr_assert(h2_guard_take(&g, 10), "never more than the burst");
    cr_assert(!h2_guard_take(&g, 1));
    h2_guard_tick(&g, at_ms(2000000));
    h2_guard_earn(&g, 100);
    cr_assert(!h2_guard_take(&g, 1), "for good");
}

Test(h2_guard, work_earns_up_to_the_burst)
{
    struct h2_guard g;
    h2_guard_init(&g, 10, 0);
    for (int i = 0; i < 1000; i++) {
        cr_assert(h2_guard_take(&g, 5));
        h2_guard_earn(&g, 5);
    }
    h2_guard_earn(&g, 1000);
    cr_assert(h2_guard_take(&g, 10));
    cr_assert(!h2_guard_take(&g, 1));
}

Test(h2_guard, a_clock_that_stands_or_goes_back_gives_nothing)
{
    struct h2_guard g;
    h2_guard_init(&g, 10, 1000);
    h2_guard_tick(&g, at_ms(1000));
    cr_assert(h2_guard_take(&g, 10));
    h2_guard_tick(&g, at_ms(1000));
    h2_guard_tick(&g, at_ms(0));
    cr_assert(!h2_guard_take(&g, 1));
}

Test(h2_guard, any_span_of_time_is_added_without_overflow)
{
    struct h2_guard g;
    h2_guard_init(&g, UINT32_MAX, UINT32_MAX);
    h2_guard_tick(&g, (struct mono_time){ 1 });
    cr_assert(h2_guard_take(&g, UINT32_MAX));
    h2_guard_tick(&g, (struct mono_time){ INT64_MAX });
    cr_assert(h2_guard_take(&g, UINT32_MAX));
}

/* ---- the same, as frames ------------------------------------------------------------------------------------------- */

#define GET  ":method=GET|:scheme=http|:authority=h|:path=/"
#define POST ":method=POST|:scheme=http|:authority=h|:path=/"

static struct pair p;
static const struct slice cancel = { "\0\0\0\x08", 4 };

/* One round of an attack, with an id that no round had before. */
typedef void round_fn(uint32_t id);

static void rapid_reset(uint32_t id)
{
    feed_head(&p.server, FLAG_END_STREAM, id, GET);
    feed_frame(&p.server, FRAME_RST, 0, id, cancel);
}

static void made_us_reset_by_head(uint32_t id)
{
    feed_head(&p.server, FLAG_END_STREAM, id, GET "|connection=close");
}

static void made_us_reset_by_window(uint32_t id)
{
    feed_head(&p.server, FLAG_END_STREAM, id, GET);
    feed_frame(&p.server, FRAME_WINDOW_UPDATE, 0, id, SLICE("\x7f\xff\xff\xff"));
}

static void made_us_reset_by_length(uint32_t id)
{
    feed_head(&p.server, 0, id, POST "|content-length=1");
    feed_frame(&p.server, FRAME_DATA, FLAG_END_STREAM, id, SLICE(""));
}

static void made_us_refuse(uint32_t id)
{
    p.server.refuses = true;
    feed_head(&p.server, FLAG_END_STREAM, id, GET);
}

static void pings(uint32_t id)
{
    (void)id;
    feed_frame(&p.server, FRAME_PING, 0, 0, SLICE("12345678"));
}

static void settings(uint32_t id)
{
    (void)id;
    feed_frame(&p.server, FRAME_SETTINGS, 0, 0, SLICE("\0\4\0\1\0\0"));
}

static void window_updates(uint32_t id)
{
    (void)id;
    feed_frame(&p.server, FRAME_WINDOW_UPDATE, 0, 0, SLICE("\0\0\0\1"));
}

static void priorities(uint32_t id)
{
    feed_frame(&p.server, FRAME_PRIORITY, 0, id, SLICE("\0\0\0\0\1"));
}

static void unknown_frames(uint32_t id)
{
    (void)id;
    for (int i = 0; i < 64; i++)
        feed_frame(&p.server, 0xbb, 0, 0, SLICE("grease"));
}

static void empty_data(uint32_t id)
{
    if (id == 1)
        feed_head(&p.server, 0, 1, POST);
    feed_frame(&p.server, FRAME_DATA, 0, 1, SLICE(""));
}

static void heads_of_a_stream_that_is_gone(uint32_t id)
{
    if (id == 1) {
        feed_head(&p.server, FLAG_END_STREAM, 1, GET);
        h2_reset(&p.server.streams[0].s, H2_CANCEL);
        side_flush(&p.server);
    }
    for (int i = 0; i < 16; i++)
        feed_head(&p.server, FLAG_END_STREAM, 1, "a=123456789012345678901234567890123456789012345678901234567890");
}

static void resets_of_a_stream_that_is_gone(uint32_t id)
{
    if (id == 1)
        rapid_reset(1);
    feed_frame(&p.server, FRAME_RST, 0, 1, SLICE("\0\0\0\10"));
}

static void forget_streams(void)
{
    for (size_t i = 0; i < p.server.stream_count; i++) {
        struct side_stream *t = &p.server.streams[i];
        if (t->s.session != NULL)
            return;
        arena_reset(&t->arena);
        text_fini(&t->body);
    }
    p.server.stream_count = 0;
}

Test(h2_guard, every_attack_runs_out)
{
    static const struct {
        const char *name;
        round_fn *run;
        uint32_t rounds_least; /* that an honest peer may do at once */
    } rows[] = {
        { "rapid reset", rapid_reset, 300 },
        { "resets provoked by heads", made_us_reset_by_head, 80 },
        { "resets provoked by windows", made_us_reset_by_window, 80 },
        { "resets provoked by lengths", made_us_reset_by_length, 80 },
        { "refused streams", made_us_refuse, 300 },
        { "PING", pings, 900 },
        { "SETTINGS", settings, 150 },
        { "WINDOW_UPDATE", window_updates, 1900 },
        { "PRIORITY", priorities, 1900 },
        { "unknown frames", unknown_frames, 500 },
        { "empty DATA", empty_data, 300 },
        { "HEADERS of a closed stream", heads_of_a_stream_that_is_gone, 500 },
        { "RST of a closed stream", resets_of_a_stream_that_is_gone, 1900 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *detail;
        uint32_t rounds = 0;
        pair_open_server(&p);
        for (uint32_t id = 1; !p.server.is_over && rounds < 5000; id += 2, rounds++) {
            rows[i].run(id);
            if (!p.server.is_over)
                side_frames(&p.server);
            forget_streams();
        }
        cr_expect(p.server.is_over, "%s", rows[i].name);
        cr_expect_eq(h2_failure(p.server.h, &detail), H2_ENHANCE_YOUR_CALM, "%s: %s", rows[i].name, detail);
        cr_expect_geq(rounds, rows[i].rounds_least, "%s: only %u", rows[i].name, rounds);
        cr_expect_leq(rounds, 2500, "%s: %u", rows[i].name, rounds);
        const char *last = strstr(side_frames(&p.server), "GOAWAY");
        cr_expect(last == NULL || strstr(last, " 11") != NULL, "%s", last);
        pair_close(&p);
    }
}

Test(h2_guard, continuations_are_few)
{
    struct text block;
    pair_open_server(&p);
    text_init(&block);
    put_block(&block, GET);
    feed_frame(&p.server, FRAME_HEADERS, 0, 1, text_slice(&block));
    for (int i = 0; i < 100 && !p.server.is_over; i++)
        feed_frame(&p.server, FRAME_CONTINUATION, 0, 1, SLICE(""));
    cr_assert(p.server.is_over);
    cr_expect_str_eq(side_frames(&p.server), "GOAWAY 0 1 11");
    text_fini(&block);
    pair_close(&p);
}

Test(h2_guard, answers_that_nobody_reads_are_few)
{
    pair_open_server(&p);
    for (int i = 0; i < 3000 && !p.server.is_over; i++) { /* never flushed */
        p.now.us += 100000;
        pings(0);
    }
    cr_assert(p.server.is_over, "though time gave tokens enough");
    pair_close(&p);
}

Test(h2_guard, the_same_in_more_time_is_fine)
{
    pair_open_server(&p);
    for (uint32_t id = 1; id < 4000; id += 2) {
        p.now.us += 100000;
        rapid_reset(id);
        side_frames(&p.server);
        forget_streams();
        cr_assert(!p.server.is_over, "ten a second");
    }
    pair_close(&p);
}

static void answer_all(struct side *side, enum side_event event, struct side_stream *t)
{
    (void)side;
    if (event == EV_END)
        answer(t, 204, "", BODY_NONE);
}

/* A client at work, as fast as it can be: the clock stands. */
Test(h2_guard, work_never_runs_out)
{
    pair_open_server(&p);
    p.server.react = answer_all;
    for (uint32_t id = 1; id < 20000; id += 2) {
        feed_head(&p.server, FLAG_END_STREAM, id, GET);
        if (id % 20 == 1)
            pings(0);
        if (id % 6 == 1)
            rapid_reset(id += 2);
        side_frames(&p.server);
        forget_streams();
        cr_assert(!p.server.is_over, "stream %u", id);
    }
    pair_close(&p);
}

Test(h2_guard, a_download_may_be_acknowledged_as_finely_as_it_likes)
{
    pair_open_server(&p);
    feed_head(&p.server, FLAG_END_STREAM, 1, GET);
    struct side_stream *t = &p.server.streams[0];
    answer(t, 200, "", BODY_CHUNKED);
    for (int i = 0; i < 1000; i++) {
        send_pattern(t, 16384);
        side_frames(&p.server);
        for (int k = 0; k < 4; k++) { /* every 4 KiB, both windows; and a PING for each frame */
            feed_frame(&p.server, FRAME_WINDOW_UPDATE, 0, 0, SLICE("\0\0\x10\0"));
            feed_frame(&p.server, FRAME_WINDOW_UPDATE, 0, 1, SLICE("\0\0\x10\0"));
        }
        pings(0);
        cr_assert(!p.server.is_over, "frame %d", i);
    }
    pair_close(&p);
}
