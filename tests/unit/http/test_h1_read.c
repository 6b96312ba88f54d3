/* unit/http/test_h1_read.c - the reader as its owner sees it: events, states, memory. */
#include "http/feed.h"

#include <criterion/criterion.h>

static struct arena arena;
static struct message message;
static struct h1_reader reader;

static void begin(void)
{
    arena_init(&arena, NULL, 0);
    h1_reader_init_request(&reader, &feed_limits);
}

static void finish(void)
{
    arena_reset(&arena);
}

TestSuite(h1_read, .init = begin, .fini = finish);

static enum h1_event read_from(struct slice *input)
{
    return h1_read(&reader, input, &arena, &message);
}

Test(h1_read, the_end_repeats_until_the_next_message)
{
    struct slice input = SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n");
    size_t half = input.len / 2;
    cr_expect_eq(read_from(&input), H1_HEAD);
    cr_expect_eq(input.len, half, "a head is consumed whole");
    cr_expect_eq(read_from(&input), H1_END);
    cr_expect_eq(read_from(&input), H1_END);
    cr_expect_eq(h1_read_eof(&reader, input.len), H1_END);
    cr_expect_eq(input.len, half);
    h1_reader_next(&reader);
    cr_expect_eq(read_from(&input), H1_HEAD);
    cr_expect(slice_equal(message.authority, SLICE("b")));
    cr_expect_eq(input.len, 0);
}

Test(h1_read, an_error_stays)
{
    struct slice input = SLICE("G@T / HTTP/1.1\r\n");
    cr_expect_eq(read_from(&input), H1_ERROR);
    struct slice good = SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_expect_eq(read_from(&good), H1_ERROR);
    cr_expect_eq(reader.reason, REASON_MALFORMED);
    cr_expect_not_null(reader.error_detail);
    cr_expect_eq(h1_read_eof(&reader, 0), H1_ERROR);
    cr_expect_eq(reader.reason, REASON_MALFORMED, "the first reason is the reason");
}

Test(h1_read, body_bytes_are_not_copied)
{
    struct slice input = SLICE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET");
    const char *body = input.ptr + input.len - 6;
    cr_expect_eq(read_from(&input), H1_HEAD);
    cr_expect_eq(read_from(&input), H1_DATA);
    cr_expect_eq(reader.data.ptr, body);
    cr_expect_eq(reader.data.len, 3);
    cr_expect_eq(read_from(&input), H1_END);
    cr_expect_eq(input.ptr, body + 3);
}

Test(h1_read, nothing_comes_of_nothing)
{
    struct slice input = SLICE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    struct slice nothing = SLICE("");
    cr_expect_eq(read_from(&nothing), H1_MORE);
    cr_expect_eq(read_from(&input), H1_HEAD);
    cr_expect_eq(read_from(&input), H1_MORE);
    cr_expect_eq(h1_read_eof(&reader, 0), H1_ERROR);
    cr_expect_eq(reader.reason, REASON_CLIENT_ABORTED);
}

/* Lines of an incomplete head are kept at most once besides the final pass, and none while the first one is coming in. */
Test(h1_read, a_head_in_single_bytes_takes_no_more_than_twice_the_memory)
{
    struct slice head = SLICE("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\nE: f\r\nG: h\r\n\r\n");
    struct slice input = head;
    cr_expect_eq(read_from(&input), H1_HEAD);
    size_t whole_bytes = 16 * sizeof(struct field);
    finish();
    begin();
    char *before = arena_alloc(&arena, 8);
    enum h1_event e = H1_MORE;
    for (size_t len = 1; len <= head.len; len++) {
        input = slice_first(head, len);
        e = read_from(&input);
    }
    cr_expect_eq(e, H1_HEAD);
    char *after = arena_alloc(&arena, 8);
    cr_expect_leq((size_t)(after - before), 8 + 2 * whole_bytes);
}

/* What an idle connection keeps: see the budget for its bytes in bench/. */
Test(h1_read, a_reader_is_small)
{
    cr_expect_leq(sizeof(struct h1_reader), 96);
}
