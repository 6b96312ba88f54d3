/* unit/http/test_h1_head.c - line ends, field lines and the limits of a head. */
#include "http/table.h"

#include <criterion/criterion.h>

#define GET        "GET / HTTP/1.1\r\n"
#define HEAD(rest) BYTES(GET "Host: h\r\n" rest)
#define MALFORMED  "ERROR MALFORMED"
#define PLAIN      "GET / 1.1 @h none keep"

Test(h1_head, field_lines)
{
    static const struct row rows[] = {
        { "values are trimmed", HEAD("A:b\r\nC: d\r\nE: \t f \t \r\n\r\n"), PLAIN " {Host: h|A: b|C: d|E: f} END" },
        { "empty values", HEAD("A:\r\nB: \r\nC: \t\t\r\n\r\n"), PLAIN " {Host: h|A: |B: |C: } END" },
        { "inner white space stays", HEAD("A: b \t c\r\n\r\n"), PLAIN " {Host: h|A: b \\x09 c} END" },
        { "colons in values", HEAD("A: b:c: d\r\n\r\n"), PLAIN " {Host: h|A: b:c: d} END" },
        { "names keep their case and order", HEAD("b: 1\r\nA: 2\r\nB: 3\r\n\r\n"),
          PLAIN " {Host: h|b: 1|A: 2|B: 3} END" },
        { "names of odd token bytes", HEAD("!#$%&'*+-.^_`|~0a: 1\r\n\r\n"),
          PLAIN " {Host: h|!#$%&'*+-.^_`|~0a: 1} END" },
        { "8-bit values", HEAD("A: \xff\x80\r\n\r\n"), PLAIN " {Host: h|A: \\xff\\x80} END" },
        { "a long name", HEAD("Abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz: 1\r\n\r\n"),
          PLAIN " {Host: h|Abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz: 1} END" },
        { "space before the colon", HEAD("A : b\r\n\r\n"), MALFORMED },
        { "tab before the colon", HEAD("A\t: b\r\n\r\n"), MALFORMED },
        { "space in a name", HEAD("A b: c\r\n\r\n"), MALFORMED },
        { "no colon", HEAD("A\r\n\r\n"), MALFORMED },
        { "no name", HEAD(": a\r\n\r\n"), MALFORMED },
        { "8-bit name", HEAD("\xc3\xa4: a\r\n\r\n"), MALFORMED },
        { "delimiter in a name", HEAD("A(b): c\r\n\r\n"), MALFORMED },
        { "folded line", HEAD("A: b\r\n c\r\n\r\n"), MALFORMED },
        { "line folded by a tab", HEAD("A: b\r\n\tc\r\n\r\n"), MALFORMED },
        { "white space alone", HEAD("A: b\r\n \r\n\r\n"), MALFORMED },
        { "white space before the first line", BYTES(GET " Host: h\r\n\r\n"), MALFORMED },
        { "fault before the head ends", HEAD("A b: c\r\n"), MALFORMED },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

Test(h1_head, lines_end_with_crlf_and_nothing_else)
{
    static const struct row rows[] = {
        { "bare LF behind the request line", BYTES("GET / HTTP/1.1\nHost: h\r\n\r\n"), MALFORMED },
        { "bare LF behind a field", BYTES(GET "Host: h\n\r\n"), MALFORMED },
        { "bare LF for the empty line", HEAD("\n"), MALFORMED },
        { "bare CR in the request line", BYTES("GET /\rx HTTP/1.1\r\n"), MALFORMED },
        { "bare CR in a value", HEAD("A: b\rc\r\n\r\n"), MALFORMED },
        { "bare CR in a name", HEAD("A\rb: c\r\n\r\n"), MALFORMED },
        { "two CR", HEAD("A: b\r\r\n\r\n"), MALFORMED },
        { "CR for the empty line", HEAD("\rA: b\r\n\r\n"), MALFORMED },
        { "NUL in a value", HEAD("A: b\0c\r\n\r\n"), MALFORMED },
        { "NUL in a name", HEAD("A\0b: c\r\n\r\n"), MALFORMED },
        { "control in a value", HEAD("A: b\x1f\r\n\r\n"), MALFORMED },
        { "vertical tab in a value", HEAD("A: \x0b\r\n\r\n"), MALFORMED },
        { "DEL in a value", HEAD("A: b\x7f\r\n\r\n"), MALFORMED },
        { "fault in an incomplete line", HEAD("A: \x01"), MALFORMED },
        { "incomplete", HEAD("A: b\r\n\r"), "..." },
        { "nothing", BYTES(""), "" },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

Test(h1_head, one_empty_line_may_stand_before_a_request)
{
    static const struct row rows[] = {
        { "one", BYTES("\r\n" GET "Host: h\r\n\r\n"), PLAIN " END" },
        { "two", BYTES("\r\n\r\n" GET "Host: h\r\n\r\n"), MALFORMED },
        { "one between requests", BYTES(GET "Host: h\r\n\r\n\r\n" GET "Host: h\r\n\r\n"),
          PLAIN " END / " PLAIN " END" },
        { "CR alone", BYTES("\r" GET "Host: h\r\n\r\n"), MALFORMED },
        { "LF alone", BYTES("\n" GET "Host: h\r\n\r\n"), MALFORMED },
        { "half of one", BYTES("\r"), "..." },
        { "one and nothing", BYTES("\r\n"), "" },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

Test(h1_head, pipelined_requests_come_one_by_one)
{
    static const struct row rows[] = {
        { "two", BYTES(GET "Host: a\r\n\r\n" GET "Host: b\r\n\r\n"),
          "GET / 1.1 @a none keep END / GET / 1.1 @b none keep END" },
        { "a body between", BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" GET "Host: b\r\n\r\n"),
          "POST / 1.1 @a length=2 keep \"hi\" END / GET / 1.1 @b none keep END" },
        { "a bad second", BYTES(GET "Host: a\r\n\r\nGET"), "GET / 1.1 @a none keep END ..." },
        { "garbage behind a request", BYTES(GET "Host: a\r\n\r\n\x16"), "GET / 1.1 @a none keep END ERROR MALFORMED" },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

/* Lines of 20 bytes at most, 40 bytes of fields, 3 fields. */
static const struct h1_limits small = { .request_line_bytes = 20, .head_bytes = 40, .field_count = 3 };

Test(h1_head, limits_hold_before_the_head_is_complete)
{
    static const struct row rows[] = {
        { "line at the limit", BYTES("GET /0123456 HTTP/1.1\r\nHost: h\r\n\r\n"), "ERROR TARGET_TOO_LONG" },
        { "line of 20 bytes", BYTES("GET /012345 HTTP/1.1\r\nHost: h\r\n\r\n"), "GET /012345 1.1 @h none keep END" },
        { "endless line", BYTES("GET /0123456789abcdefghijkl"), "ERROR TARGET_TOO_LONG" },
        { "a bad method goes first", BYTES("G(T /0123456789abcdefghijkl"), MALFORMED },
        { "40 bytes of fields", BYTES(GET "Host: h\r\nA: 01234567890123456789012345\r\n\r\n"), PLAIN " END" },
        { "41 bytes of fields", BYTES(GET "Host: h\r\nA: 012345678901234567890123456\r\n\r\n"),
          "ERROR HEADERS_TOO_LARGE" },
        { "endless value", BYTES(GET "Host: h\r\nA: 012345678901234567890123456789"), "ERROR HEADERS_TOO_LARGE" },
        { "a fault within the limit goes first", BYTES(GET "A\x01: 0123456789012345678901234567890123456789"),
          MALFORMED },
        { "a fault beyond the limit is not seen", BYTES(GET "A: 01234567890123456789012345678901234567890\x01"),
          "ERROR HEADERS_TOO_LARGE" },
        { "three fields", BYTES(GET "Host: h\r\nA:\r\nB:\r\n\r\n"), PLAIN " END" },
        { "four fields", BYTES(GET "Host: h\r\nA:\r\nB:\r\nC:\r\n"), "ERROR HEADERS_TOO_LARGE" },
    };
    TABLE_CHECK(&(struct feed){ .limits = &small }, rows);
}

Test(h1_head, limits_of_an_answer_are_the_upstreams_fault)
{
    static const struct row rows[] = {
        { "status line", BYTES("HTTP/1.1 200 aaaaaaaaaaaaaaaaaaaa"), "ERROR UPSTREAM_HEADERS" },
        { "fields", BYTES("HTTP/1.1 200 OK\r\nA: 0123456789012345678901234567890123456789"), "ERROR UPSTREAM_HEADERS" },
        { "too many", BYTES("HTTP/1.1 200 OK\r\nA:\r\nB:\r\nC:\r\nD:\r\n"), "ERROR UPSTREAM_HEADERS" },
        { "folded line", BYTES("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n"), "ERROR UPSTREAM_INVALID" },
        { "space before the colon", BYTES("HTTP/1.1 200 OK\r\nA : b\r\n"), "ERROR UPSTREAM_INVALID" },
        { "bare LF", BYTES("HTTP/1.1 200 OK\r\nA: b\n"), "ERROR UPSTREAM_INVALID" },
    };
    TABLE_CHECK((&(struct feed){ .limits = &small, .is_response = true }), rows);
}

/* Values of every width from 0 to 59 blanks, so that each scan ends at each place of its last step. */
Test(h1_head, a_long_head_is_the_same_in_all_splits)
{
    static const struct h1_limits wide = { .request_line_bytes = 4096, .head_bytes = 8192, .field_count = 200 };
    struct text request, expected;
    text_init(&request);
    text_init(&expected);
    text_add_cstr(&request, "GET / HTTP/1.1\r\nHost: h\r\n");
    text_add_cstr(&expected, PLAIN " {Host: h");
    for (int i = 0; i < 60; i++) {
        text_printf(&request, "X-%d:%*s\r\n", i, i, "v");
        text_printf(&expected, "|X-%d: v", i);
    }
    text_add_cstr(&request, "\r\n");
    text_add_cstr(&expected, "} END");
    struct row row = { "long", text_slice(&request), text_slice(&expected).ptr };
    table_check(&(struct feed){ .limits = &wide }, &row, 1);
    text_fini(&request);
    text_fini(&expected);
}
