/* unit/http/test_h1_write.c - heads and chunk framing as they go on the wire. */
#include "http/feed.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct arena arena;
static struct message m;
static char out[4096];

static void begin(void)
{
    arena_init(&arena, NULL, 0);
    message_init(&m, &arena, 0);
}

static void finish(void)
{
    arena_reset(&arena);
}

TestSuite(h1_write, .init = begin, .fini = finish);

static void add(const char *name, const char *value)
{
    struct slice n = slice_from_cstr(name);
    message_add(&m, &arena, field_id_from_name(n), n, slice_from_cstr(value));
}

static void expect_request(const struct h1_write *w, const char *wanted)
{
    size_t len = h1_write_request(&m, SLICE("/x?y"), w, out, sizeof out);
    cr_expect(slice_equal(slice_from(out, len), slice_from_cstr(wanted)), "%.*s", (int)len, out);
}

static void expect_response(const struct h1_write *w, const char *wanted)
{
    size_t len = h1_write_response(&m, w, out, sizeof out);
    cr_expect(slice_equal(slice_from(out, len), slice_from_cstr(wanted)), "%.*s", (int)len, out);
}

#define LINE "GET /x?y HTTP/1.1\r\n"

Test(h1_write, fields_go_on_as_received_but_for_framing)
{
    m.method_name = SLICE("GET");
    add("hOST", "h");
    add("Content-Length", "5");
    add("Transfer-Encoding", "chunked");
    add("Connection", "close");
    add("Upgrade", "x");
    add("TE", "gzip");
    add("A-rather-long-name-of-more-than-32-bytes", "a value that is longer than thirty-two bytes");
    add("X", "");
    add("Dropped", "1");
    m.fields[m.field_count - 1].is_dropped = true;
    expect_request(&(struct h1_write){ 0 },
                   LINE "hOST: h\r\n"
                        "A-rather-long-name-of-more-than-32-bytes: a value that is longer than "
                        "thirty-two bytes\r\nX: \r\n\r\n");
}

Test(h1_write, framing_is_the_codecs_own)
{
    m.method_name = SLICE("GET");
    expect_request(&(struct h1_write){ .framing = BODY_LENGTH, .content_length = 18446744073709551615u },
                   LINE "Content-Length: 18446744073709551615\r\n\r\n");
    expect_request(&(struct h1_write){ .has_content_length = true }, LINE "Content-Length: 0\r\n\r\n");
    expect_request(&(struct h1_write){ .framing = BODY_CHUNKED, .has_content_length = true },
                   LINE "Transfer-Encoding: chunked\r\n\r\n");
    expect_request(&(struct h1_write){ .is_close = true }, LINE "Connection: close\r\n\r\n");
    expect_request(&(struct h1_write){ .is_close = true, .is_keep_alive_1_0 = true }, LINE "Connection: close\r\n\r\n");
    expect_request(&(struct h1_write){ .wants_trailers = true }, LINE "Connection: TE\r\nTE: trailers\r\n\r\n");
    expect_request(&(struct h1_write){ .upgrade = SLICE("websocket") },
                   LINE "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    expect_request(&(struct h1_write){ .is_close = true, .upgrade = SLICE("a/1"), .wants_trailers = true },
                   LINE "Connection: close, upgrade, TE\r\nUpgrade: a/1\r\nTE: trailers\r\n\r\n");
}

Test(h1_write, status_lines_keep_the_upstreams_phrase)
{
    const struct h1_write none = { .framing = BODY_UNTIL_CLOSE, .is_keep_alive_1_0 = true };
    const char *rest = "\r\nConnection: keep-alive\r\n\r\n";
    static const struct {
        uint16_t status;
        const char *phrase, *line;
    } rows[] = {
        { 200, NULL, "HTTP/1.1 200 OK" },
        { 200, "OK", "HTTP/1.1 200 OK" },
        { 200, "Fine", "HTTP/1.1 200 Fine" },
        { 200, "", "HTTP/1.1 200 " },
        { 299, NULL, "HTTP/1.1 299 " },
        { 299, "Odd", "HTTP/1.1 299 Odd" },
        { 100, NULL, "HTTP/1.1 100 Continue" },
        { 599, NULL, "HTTP/1.1 599 " },
        { 431, NULL, "HTTP/1.1 431 Request Header Fields Too Large" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char wanted[128];
        m.status = rows[i].status;
        m.reason_phrase = slice_from_cstr(rows[i].phrase);
        snprintf(wanted, sizeof wanted, "%s%s", rows[i].line, rest);
        expect_response(&none, wanted);
    }
}

Test(h1_write, standard_phrases)
{
    cr_expect(slice_equal(h1_reason_phrase(404), SLICE("Not Found")));
    cr_expect(slice_equal(h1_reason_phrase(508), SLICE("Loop Detected")));
    static const uint16_t without[] = { 0, 99, 104, 299, 418, 512, 599, 600, 65535 };
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
        cr_expect_eq(h1_reason_phrase(without[i]).len, 0, "%u", without[i]);
}

Test(h1_write, too_little_room_writes_nothing)
{
    m.method_name = SLICE("GET");
    m.target = SLICE("/x?y");
    add("Host", "a.example");
    m.upgrade = SLICE("websocket");
    struct h1_write w = {
        .framing = BODY_LENGTH, .content_length = 1, .is_close = true, .upgrade = m.upgrade, .wants_trailers = true
    };
    size_t enough = h1_head_bytes(&m) + 256;
    cr_expect_gt(h1_write_request(&m, m.target, &w, out, enough), 0);
    cr_expect_eq(h1_write_request(&m, m.target, &w, out, 40), 0);
    m.status = 200;
    cr_expect_gt(h1_write_response(&m, &w, out, enough), 0);
    cr_expect_eq(h1_write_response(&m, &w, out, 40), 0);
}

Test(h1_write, chunk_sizes)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        { 1, "1\r\n" },
        { 9, "9\r\n" },
        { 15, "f\r\n" },
        { 16, "10\r\n" },
        { 255, "ff\r\n" },
        { 256, "100\r\n" },
        { 6699, "1a2b\r\n" },
        { 65536, "10000\r\n" },
        { UINT64_MAX, "ffffffffffffffff\r\n" },
        { 1ull << 60, "1000000000000000\r\n" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[18];
        size_t len = h1_write_chunk_size(rows[i].bytes, line);
        cr_expect(slice_equal(slice_from(line, len), slice_from_cstr(rows[i].text)), "%s", rows[i].text);
    }
}

Test(h1_write, the_last_chunk_and_its_trailers)
{
    size_t len = h1_write_last_chunk(NULL, out, 5);
    cr_expect(slice_equal(slice_from(out, len), SLICE("0\r\n\r\n")));
    cr_expect_eq(h1_write_last_chunk(NULL, out, 4), 0);
    add("A", "b");
    add("Content-Length", "5");
    add("Dropped", "");
    m.fields[2].is_dropped = true;
    len = h1_write_last_chunk(&m, out, 11);
    cr_expect(slice_equal(slice_from(out, len), SLICE("0\r\nA: b\r\n\r\n")));
    cr_expect_eq(h1_write_last_chunk(&m, out, 10), 0);
}

static void write_with_field(const char *name, struct slice value)
{
    m.method_name = SLICE("GET");
    struct slice n = slice_from_cstr(name);
    message_add(&m, &arena, FIELD_OTHER, n, value);
    h1_write_request(&m, SLICE("/"), &(struct h1_write){ 0 }, out, sizeof out);
}

Test(h1_write, a_value_with_a_line_end_is_a_bug, .signal = SIGABRT)
{
    write_with_field("A", SLICE("b\r\nEvil: 1"));
}

Test(h1_write, a_value_with_lf_is_a_bug, .signal = SIGABRT)
{
    write_with_field("A", SLICE("b\nEvil: 1"));
}

Test(h1_write, a_value_with_nul_is_a_bug, .signal = SIGABRT)
{
    write_with_field("A", SLICE("b\0"));
}

Test(h1_write, a_name_with_a_line_end_is_a_bug, .signal = SIGABRT)
{
    write_with_field("A\r\nEvil", SLICE("1"));
}

Test(h1_write, a_value_that_would_end_the_head_is_a_bug, .signal = SIGABRT)
{
    write_with_field("A", SLICE("b\r\n\r\nGET / HTTP/1.1"));
}

Test(h1_write, a_target_with_a_space_is_a_bug, .signal = SIGABRT)
{
    m.method_name = SLICE("GET");
    h1_write_request(&m, SLICE("/a b"), &(struct h1_write){ 0 }, out, sizeof out);
}

Test(h1_write, a_phrase_with_a_line_end_is_a_bug, .signal = SIGABRT)
{
    m.status = 200;
    m.reason_phrase = SLICE("OK\r\nEvil: 1");
    h1_write_response(&m, &(struct h1_write){ 0 }, out, sizeof out);
}
