/* unit/http/test_h1_start.c - request lines, request targets and status lines, taken and refused. */
#include "http/table.h"

#include <criterion/criterion.h>

/* A request whose first line is `line`; the rest is as dull as can be. */
#define LINE(line) BYTES(line "\r\nHost: h\r\n\r\n")
#define MALFORMED  "ERROR MALFORMED"

Test(h1_start, request_lines_are_split_at_single_spaces)
{
    static const struct row rows[] = {
        { "origin-form", LINE("GET / HTTP/1.1"), "GET / 1.1 @h none keep END" },
        { "1.0 closes", LINE("GET / HTTP/1.0"), "GET / 1.0 @h none close END" },
        { "path and query", LINE("GET /a/b?c=d&e HTTP/1.1"), "GET /a/b?c=d&e 1.1 @h none keep END" },
        { "empty query", LINE("GET /a? HTTP/1.1"), "GET /a? 1.1 @h none keep END" },
        { "second ? is query", LINE("GET /a?b?c HTTP/1.1"), "GET /a?b?c 1.1 @h none keep END" },
        { "double slash", LINE("GET // HTTP/1.1"), "GET // 1.1 @h none keep END" },
        { "host-like path", LINE("GET //evil.example/ HTTP/1.1"), "GET //evil.example/ 1.1 @h none keep END" },
        { "colon in path", LINE("GET /a:b@c HTTP/1.1"), "GET /a:b@c 1.1 @h none keep END" },
        { "odd but visible", LINE("GET /\"<>\\^`{|} HTTP/1.1"), "GET /\"<>\\^`{|} 1.1 @h none keep {Host: h} END" },
        { "unknown method", LINE("PROPFIND / HTTP/1.1"), "PROPFIND / 1.1 @h none keep END" },
        { "method of odd token bytes", LINE("!#$%&'*+-.^_`|~09aZ / HTTP/1.1"),
          "!#$%&'*+-.^_`|~09aZ / 1.1 @h none keep END" },
        { "lower case is another method", LINE("get / HTTP/1.1"), "get / 1.1 @h none keep END" },
        { "method of 32 bytes", LINE("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345 / HTTP/1.1"),
          "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345 / 1.1 @h none keep END" },
        { "method of 33 bytes", LINE("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456 / HTTP/1.1"), MALFORMED },
        { "no method", LINE(" / HTTP/1.1"), MALFORMED },
        { "method not a token", LINE("GE(T / HTTP/1.1"), MALFORMED },
        { "method in 8 bits", LINE("G\xc9T / HTTP/1.1"), MALFORMED },
        { "no target", LINE("GET  HTTP/1.1"), MALFORMED },
        { "two spaces before the target", LINE("GET  / HTTP/1.1"), MALFORMED },
        { "two spaces behind the target", LINE("GET /  HTTP/1.1"), MALFORMED },
        { "tab for a space", LINE("GET\t/ HTTP/1.1"), MALFORMED },
        { "tab behind the target", LINE("GET /\tHTTP/1.1"), MALFORMED },
        { "space in the target", LINE("GET /a b HTTP/1.1"), MALFORMED },
        { "trailing space", LINE("GET / HTTP/1.1 "), MALFORMED },
        { "fragment", LINE("GET /a#b HTTP/1.1"), MALFORMED },
        { "8-bit target", LINE("GET /\xc3\xa4 HTTP/1.1"), MALFORMED },
        { "DEL in the target", LINE("GET /\x7f HTTP/1.1"), MALFORMED },
        { "NUL in the target", LINE("GET /\0 HTTP/1.1"), MALFORMED },
        { "control in the target", LINE("GET /\x01 HTTP/1.1"), MALFORMED },
        { "relative target", LINE("GET index.html HTTP/1.1"), MALFORMED },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

Test(h1_start, versions_are_one_dot_zero_and_one_dot_one)
{
    static const struct row rows[] = {
        { "no version", LINE("GET /"), MALFORMED },
        { "space and no version", LINE("GET / "), MALFORMED },
        { "lower case", LINE("GET / http/1.1"), MALFORMED },
        { "other protocol", LINE("GET / HTTQ/1.1"), MALFORMED },
        { "two digits", LINE("GET / HTTP/1.10"), MALFORMED },
        { "leading zero", LINE("GET / HTTP/01.1"), MALFORMED },
        { "no minor", LINE("GET / HTTP/1"), MALFORMED },
        { "comma", LINE("GET / HTTP/1,1"), MALFORMED },
        { "letters", LINE("GET / HTTP/a.b"), MALFORMED },
        { "1.2", LINE("GET / HTTP/1.2"), "ERROR VERSION_REFUSED" },
        { "0.9", LINE("GET / HTTP/0.9"), "ERROR VERSION_REFUSED" },
        { "2.0", LINE("GET / HTTP/2.0"), "ERROR VERSION_REFUSED" },
        { "HTTP/2 preface", BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "ERROR VERSION_REFUSED" },
        { "preface's first line", BYTES("PRI * HTTP/2.0\r\n"), "ERROR VERSION_REFUSED" },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

Test(h1_start, targets_come_in_four_forms)
{
    static const struct row rows[] = {
        { "absolute-form", LINE("GET http://a.example/x?y HTTP/1.1"),
          "GET /x?y 1.1 @a.example none keep {Host: a.example} END" },
        { "https, upper case", LINE("GET HTTPS://A.example:8443/x HTTP/1.1"),
          "GET /x 1.1 @A.example:8443 none keep {Host: A.example:8443} END" },
        { "no path", LINE("GET http://a.example HTTP/1.1"), "GET / 1.1 @a.example none keep END" },
        { "no path but a query", LINE("GET http://a.example?q=/ HTTP/1.1"), "GET /?q=/ 1.1 @a.example none keep END" },
        { "IPv6", LINE("GET http://[::1]:80/ HTTP/1.1"), "GET / 1.1 @[::1]:80 none keep END" },
        { "absolute without Host in 1.0", BYTES("GET http://a.example/ HTTP/1.0\r\n\r\n"),
          "GET / 1.0 @a.example none close {Host: a.example} END" },
        { "absolute without Host in 1.1", BYTES("GET http://a.example/ HTTP/1.1\r\n\r\n"), "ERROR BAD_HOST" },
        { "userinfo", LINE("GET http://me@a.example/ HTTP/1.1"), "ERROR BAD_HOST" },
        { "empty authority", LINE("GET http:///x HTTP/1.1"), "ERROR BAD_HOST" },
        { "scheme alone", LINE("GET http:// HTTP/1.1"), MALFORMED },
        { "other scheme", LINE("GET ftp://a.example/ HTTP/1.1"), MALFORMED },
        { "scheme without slashes", LINE("GET http:a.example/ HTTP/1.1"), MALFORMED },
        { "bad port", LINE("GET http://a.example:99999/ HTTP/1.1"), "ERROR BAD_HOST" },
        { "asterisk", LINE("OPTIONS * HTTP/1.1"), "OPTIONS * 1.1 @h none keep END" },
        { "asterisk for GET", LINE("GET * HTTP/1.1"), MALFORMED },
        { "asterisk and more", LINE("OPTIONS *x HTTP/1.1"), MALFORMED },
        { "OPTIONS of a whole server", LINE("OPTIONS http://a.example HTTP/1.1"),
          "OPTIONS * 1.1 @a.example none keep END" },
        { "OPTIONS of its root", LINE("OPTIONS http://a.example/ HTTP/1.1"), "OPTIONS / 1.1 @a.example none keep END" },
        { "OPTIONS with a query", LINE("OPTIONS http://a.example?x HTTP/1.1"),
          "OPTIONS /?x 1.1 @a.example none keep END" },
        { "CONNECT", LINE("CONNECT a.example:443 HTTP/1.1"), "ERROR METHOD_REFUSED" },
        { "authority-form for GET", LINE("GET a.example:80 HTTP/1.1"), MALFORMED },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

Test(h1_start, garbage_is_refused_at_its_first_byte)
{
    static const struct row rows[] = {
        { "TLS hello", BYTES("\x16\x03\x01\x02\x00\x01\x00"), MALFORMED },
        { "one byte of TLS", BYTES("\x16"), MALFORMED },
        { "SSH banner is a token so far", BYTES("SSH-2.0-OpenSSH_9.2"), "..." },
        { "SSH banner", BYTES("SSH-2.0-OpenSSH_9.2\r\n"), MALFORMED },
        { "a number of 33 digits", BYTES("000000000000000000000000000000000"), MALFORMED },
        { "a quote", BYTES("\""), MALFORMED },
        { "a space", BYTES(" "), MALFORMED },
        { "a tab", BYTES("\t"), MALFORMED },
        { "an LF", BYTES("\n"), MALFORMED },
        { "a NUL", BYTES("\0"), MALFORMED },
        { "JSON", BYTES("{\"a\":1}"), MALFORMED },
        { "PROXY protocol v2", BYTES("\r\n\r\n\0\r\nQUIT\n"), MALFORMED },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

/* A response whose first line is `line`. */
#define STATUS(line) BYTES(line "\r\nContent-Length: 0\r\n\r\n")
#define INVALID      "ERROR UPSTREAM_INVALID"

Test(h1_start, status_lines)
{
    static const struct row rows[] = {
        { "plain", STATUS("HTTP/1.1 200 OK"), "200 \"OK\" 1.1 none=0 keep END" },
        { "1.0 closes", STATUS("HTTP/1.0 200 OK"), "200 \"OK\" 1.0 none=0 close END" },
        { "own phrase", STATUS("HTTP/1.1 200 Very well"), "200 \"Very well\" 1.1 none=0 keep END" },
        { "empty phrase", STATUS("HTTP/1.1 200 "), "200 \"\" 1.1 none=0 keep END" },
        { "no phrase, no space", STATUS("HTTP/1.1 200"), "200 \"\" 1.1 none=0 keep END" },
        { "8-bit phrase", STATUS("HTTP/1.1 200 \xc3\xa4\tb"), "200 \"\\xc3\\xa4\\x09b\" 1.1 none=0 keep END" },
        { "highest status", STATUS("HTTP/1.1 599 Odd"), "599 \"Odd\" 1.1 none=0 keep END" },
        { "status of two digits", STATUS("HTTP/1.1 20 OK"), INVALID },
        { "status of four digits", STATUS("HTTP/1.1 2000 OK"), INVALID },
        { "status 099", STATUS("HTTP/1.1 099 OK"), INVALID },
        { "status 600", STATUS("HTTP/1.1 600 OK"), INVALID },
        { "signed status", STATUS("HTTP/1.1 +20 OK"), INVALID },
        { "two spaces", STATUS("HTTP/1.1  200 OK"), INVALID },
        { "tab behind status", STATUS("HTTP/1.1 200\tOK"), INVALID },
        { "version 2", STATUS("HTTP/2.0 200 OK"), INVALID },
        { "version 1.2", STATUS("HTTP/1.2 200 OK"), INVALID },
        { "short version", STATUS("HTTP/1 200 OK"), INVALID },
        { "lower case", STATUS("http/1.1 200 OK"), INVALID },
        { "ICY", STATUS("ICY 200 OK"), INVALID },
        { "nothing but a body", BYTES("<html>"), INVALID },
        { "leading empty line", BYTES("\r\nHTTP/1.1 200 OK\r\n"), INVALID },
        { "control in the phrase", STATUS("HTTP/1.1 200 O\x01K"), INVALID },
        { "bare LF", BYTES("HTTP/1.1 200 OK\n"), INVALID },
        { "a first byte", BYTES("H"), "..." },
        { "a wrong first byte", BYTES("h"), INVALID },
    };
    TABLE_CHECK((&(struct feed){ .is_response = true, .request_method = METHOD_GET }), rows);
}
