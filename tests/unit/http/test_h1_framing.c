/* unit/http/test_h1_framing.c - Host, body lengths, connection options and expectations, as one reader sees them. */
#include "http/table.h"

#include <criterion/criterion.h>

#define GET       "GET / HTTP/1.1\r\n"
#define POST      "POST / HTTP/1.1\r\nHost: h\r\n"
#define MALFORMED "ERROR MALFORMED"
#define BAD_HOST  "ERROR BAD_HOST"
#define UNKNOWN   "ERROR UNKNOWN_CODING"
#define PLAIN     "GET / 1.1 @h none keep"

Test(h1_framing, host_is_there_once_and_valid)
{
    static const struct row rows[] = {
        { "name and port", BYTES(GET "Host: a.example:8080\r\n\r\n"), "GET / 1.1 @a.example:8080 none keep END" },
        { "IPv4", BYTES(GET "Host: 192.0.2.1\r\n\r\n"), "GET / 1.1 @192.0.2.1 none keep END" },
        { "IPv6", BYTES(GET "Host: [2001:db8::1]:443\r\n\r\n"), "GET / 1.1 @[2001:db8::1]:443 none keep END" },
        { "any case of the name", BYTES(GET "hOST: h\r\n\r\n"), PLAIN " {hOST: h} END" },
        { "missing", BYTES(GET "\r\n"), BAD_HOST },
        { "missing in 1.0", BYTES("GET / HTTP/1.0\r\n\r\n"), "GET / 1.0 @ none close {} END" },
        { "twice", BYTES(GET "Host: h\r\nHost: i\r\n\r\n"), BAD_HOST },
        { "twice the same", BYTES(GET "Host: h\r\nA: b\r\nhost: h\r\n\r\n"), BAD_HOST },
        { "twice in 1.0", BYTES("GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n"), BAD_HOST },
        { "empty", BYTES(GET "Host:\r\n\r\n"), BAD_HOST },
        { "a list", BYTES(GET "Host: a, b\r\n\r\n"), BAD_HOST },
        { "userinfo", BYTES(GET "Host: u@h\r\n\r\n"), BAD_HOST },
        { "a path", BYTES(GET "Host: h/x\r\n\r\n"), BAD_HOST },
        { "port without number", BYTES(GET "Host: h:\r\n\r\n"), BAD_HOST },
        { "port too high", BYTES(GET "Host: h:65536\r\n\r\n"), BAD_HOST },
        { "bracket open", BYTES(GET "Host: [::1\r\n\r\n"), BAD_HOST },
        { "invalid in 1.0", BYTES("GET / HTTP/1.0\r\nHost: a b\r\n\r\n"), BAD_HOST },
        { "invalid beside absolute-form", BYTES("GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n"), BAD_HOST },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

Test(h1_framing, a_request_has_one_length)
{
    static const struct row rows[] = {
        { "none", BYTES(POST "\r\n"), "POST / 1.1 @h none keep END" },
        { "zero", BYTES(POST "Content-Length: 0\r\n\r\n"), "POST / 1.1 @h none=0 keep END" },
        { "five", BYTES(POST "Content-Length: 5\r\n\r\nhello"), "POST / 1.1 @h length=5 keep \"hello\" END" },
        { "leading zeros", BYTES(POST "Content-Length: 0005\r\n\r\nhello"),
          "POST / 1.1 @h length=5 keep \"hello\" END" },
        { "of GET too", BYTES(GET "Host: h\r\nContent-Length: 2\r\n\r\nhi"), "GET / 1.1 @h length=2 keep \"hi\" END" },
        { "cut short", BYTES(POST "Content-Length: 5\r\n\r\nhell"), "POST / 1.1 @h length=5 keep \"hell\" ..." },
        { "equal twice", BYTES(POST "Content-Length: 2\r\nContent-Length: 02\r\n\r\nhi"),
          "POST / 1.1 @h length=2 keep \"hi\" END" },
        { "an equal list", BYTES(POST "Content-Length: 2, 2\r\n\r\nhi"), "POST / 1.1 @h length=2 keep \"hi\" END" },
        { "different twice", BYTES(POST "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi"), MALFORMED },
        { "a different list", BYTES(POST "Content-Length: 2, 3\r\n\r\nhi"), MALFORMED },
        { "a list across lines", BYTES(POST "Content-Length: 2,2\r\nContent-Length: 3\r\n\r\nhi"), MALFORMED },
        { "empty", BYTES(POST "Content-Length:\r\n\r\n"), MALFORMED },
        { "empty item", BYTES(POST "Content-Length: 2,\r\n\r\nhi"), MALFORMED },
        { "plus", BYTES(POST "Content-Length: +2\r\n\r\nhi"), MALFORMED },
        { "minus", BYTES(POST "Content-Length: -2\r\n\r\nhi"), MALFORMED },
        { "hexadecimal", BYTES(POST "Content-Length: 0x2\r\n\r\nhi"), MALFORMED },
        { "space inside", BYTES(POST "Content-Length: 1 2\r\n\r\nhi"), MALFORMED },
        { "fraction", BYTES(POST "Content-Length: 2.0\r\n\r\nhi"), MALFORMED },
        { "highest", BYTES(POST "Content-Length: 9223372036854775807\r\n\r\n"),
          "POST / 1.1 @h length=9223372036854775807 keep ..." },
        { "above the highest", BYTES(POST "Content-Length: 9223372036854775808\r\n\r\n"), MALFORMED },
        { "wraps to 2", BYTES(POST "Content-Length: 18446744073709551618\r\n\r\nhi"), MALFORMED },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

Test(h1_framing, transfer_encoding_is_one_chunked_or_nothing)
{
    static const struct row rows[] = {
        { "chunked", BYTES(POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "POST / 1.1 @h chunked keep END" },
        { "any case", BYTES(POST "transfer-encoding: CHUNKed\r\n\r\n0\r\n\r\n"), "POST / 1.1 @h chunked keep END" },
        { "with a length", BYTES(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), MALFORMED },
        { "with a length before", BYTES(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
          MALFORMED },
        { "unknown with a length", BYTES(POST "Content-Length: 5\r\nTransfer-Encoding: x\r\n\r\nhello"), MALFORMED },
        { "in 1.0", BYTES("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), MALFORMED },
        { "gzip", BYTES(POST "Transfer-Encoding: gzip\r\n\r\n"), UNKNOWN },
        { "gzip, chunked", BYTES(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), UNKNOWN },
        { "identity", BYTES(POST "Transfer-Encoding: identity\r\n\r\n"), UNKNOWN },
        { "nearly chunked", BYTES(POST "Transfer-Encoding: xchunked\r\n\r\n"), UNKNOWN },
        { "chunked, gzip", BYTES(POST "Transfer-Encoding: chunked, gzip\r\n\r\n"), MALFORMED },
        { "chunked twice", BYTES(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), MALFORMED },
        { "chunked in two lines", BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
          MALFORMED },
        { "chunked, then identity in a line",
          BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"), MALFORMED },
        { "empty", BYTES(POST "Transfer-Encoding:\r\n\r\n"), MALFORMED },
        { "empty item first", BYTES(POST "Transfer-Encoding: ,chunked\r\n\r\n"), MALFORMED },
        { "empty item last", BYTES(POST "Transfer-Encoding: chunked,\r\n\r\n"), MALFORMED },
        { "parameter", BYTES(POST "Transfer-Encoding: chunked;a=b\r\n\r\n"), MALFORMED },
        { "quoted", BYTES(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), MALFORMED },
        { "two words", BYTES(POST "Transfer-Encoding: chunked x\r\n\r\n"), MALFORMED },
        { "vertical tab",
          BYTES(POST "Transfer-Encoding: \x0b"
                     "chunked\r\n\r\n"),
          MALFORMED },
        { "8-bit space",
          BYTES(POST "Transfer-Encoding: \xa0"
                     "chunked\r\n\r\n"),
          MALFORMED },
        { "another name is no framing", BYTES(POST "Transfer_Encoding: chunked\r\n\r\n"),
          "POST / 1.1 @h none keep END" },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

Test(h1_framing, connections_persist_as_both_versions_say)
{
    static const struct row rows[] = {
        { "close", BYTES(GET "Host: h\r\nConnection: close\r\n\r\n"), "GET / 1.1 @h none close END" },
        { "close in a list", BYTES(GET "Host: h\r\nConnection: a, Close ,b\r\n\r\n"), "GET / 1.1 @h none close END" },
        { "close in a second line", BYTES(GET "Host: h\r\nConnection: a\r\nConnection: close\r\n\r\n"),
          "GET / 1.1 @h none close END" },
        { "keep-alive is the default", BYTES(GET "Host: h\r\nConnection: keep-alive\r\n\r\n"), PLAIN " END" },
        { "close wins", BYTES(GET "Host: h\r\nConnection: keep-alive, close\r\n\r\n"), "GET / 1.1 @h none close END" },
        { "nearly close", BYTES(GET "Host: h\r\nConnection: closed\r\n\r\n"), PLAIN " END" },
        { "1.0 asks", BYTES("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), "GET / 1.0 @ none keep END" },
        { "1.0 asks for both", BYTES("GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n"),
          "GET / 1.0 @ none close END" },
        { "Proxy-Connection means nothing", BYTES("GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n"),
          "GET / 1.0 @ none close END" },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

#define CHUNKED_POST POST "Transfer-Encoding: chunked\r\n"

Test(h1_framing, upgrades_expectations_and_trailers_are_noticed)
{
    static const struct row rows[] = {
        { "websocket", BYTES(GET "Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
          PLAIN " upgrade=websocket END" },
        { "with a version", BYTES(GET "Host: h\r\nConnection: keep-alive, upgrade\r\nUpgrade: foo/2\r\n\r\n"),
          PLAIN " upgrade=foo/2 END" },
        { "not in Connection", BYTES(GET "Host: h\r\nUpgrade: websocket\r\n\r\n"), PLAIN " END" },
        { "no Upgrade field", BYTES(GET "Host: h\r\nConnection: upgrade\r\n\r\n"), PLAIN " END" },
        { "in 1.0", BYTES("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
          "GET / 1.0 @ none close END" },
        { "h2c", BYTES(GET "Host: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"), PLAIN " END" },
        { "HTTP/2.0", BYTES(GET "Host: h\r\nConnection: upgrade\r\nUpgrade: HTTP/2.0\r\n\r\n"), PLAIN " END" },
        { "a choice", BYTES(GET "Host: h\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n"), PLAIN " END" },
        { "two lines", BYTES(GET "Host: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\nUpgrade: x\r\n\r\n"),
          PLAIN " END" },
        { "no protocol", BYTES(GET "Host: h\r\nConnection: upgrade\r\nUpgrade: /1\r\n\r\n"), PLAIN " END" },
        { "Expect with a body", BYTES(POST "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\nx"),
          "POST / 1.1 @h length=1 keep expect {Host: h|Content-Length: 1|Expect: 100-Continue} \"x\" END" },
        { "Expect with chunks", BYTES(CHUNKED_POST "Expect: 100-continue\r\n\r\n0\r\n\r\n"),
          "POST / 1.1 @h chunked keep expect END" },
        { "Expect without a body", BYTES(POST "Expect: 100-continue\r\n\r\n"),
          "POST / 1.1 @h none keep {Host: h} END" },
        { "Expect in 1.0", BYTES("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx"),
          "POST / 1.0 @ length=1 close {Content-Length: 1} \"x\" END" },
        { "other expectation", BYTES(POST "Expect: 200-ok\r\n\r\n"), "ERROR EXPECTATION" },
        { "a list of expectations", BYTES(POST "Expect: 100-continue, x\r\n\r\n"), "ERROR EXPECTATION" },
        { "a second expectation", BYTES(POST "Expect: 100-continue\r\nExpect: x\r\n\r\n"), "ERROR EXPECTATION" },
        { "empty expectation", BYTES(POST "Expect:\r\n\r\n"), "ERROR EXPECTATION" },
        { "TE: trailers", BYTES(GET "Host: h\r\nTE: gzip;q=1, Trailers\r\n\r\n"), PLAIN " trailers END" },
        { "TE without trailers", BYTES(GET "Host: h\r\nTE: gzip\r\n\r\n"), PLAIN " END" },
    };
    TABLE_CHECK(&(struct feed){ 0 }, rows);
}

#define OK      "HTTP/1.1 200 OK\r\n"
#define INVALID "ERROR UPSTREAM_INVALID"

Test(h1_framing, answers_with_a_body)
{
    static const struct row rows[] = {
        { "length", BYTES(OK "Content-Length: 2\r\n\r\nhi"), "200 \"OK\" 1.1 length=2 keep \"hi\" END" },
        { "chunked", BYTES(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
          "200 \"OK\" 1.1 chunked keep \"hi\" END" },
        { "until close", BYTES(OK "\r\nhi"), "200 \"OK\" 1.1 until-close close \"hi\" END" },
        { "until close, nothing", BYTES(OK "\r\n"), "200 \"OK\" 1.1 until-close close END" },
        { "cut short", BYTES(OK "Content-Length: 3\r\n\r\nhi"),
          "200 \"OK\" 1.1 length=3 keep \"hi\" ERROR UPSTREAM_RESET" },
        { "cut in a chunk", BYTES(OK "Transfer-Encoding: chunked\r\n\r\n3\r\nhi"),
          "200 \"OK\" 1.1 chunked keep \"hi\" ERROR UPSTREAM_RESET" },
        { "cut before the last chunk", BYTES(OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"),
          "200 \"OK\" 1.1 chunked keep \"hi\" ERROR UPSTREAM_RESET" },
        { "cut in the head", BYTES("HTTP/1.1 200 OK\r\nA: b"), "ERROR UPSTREAM_RESET" },
        { "1.0 until close", BYTES("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhi"),
          "200 \"OK\" 1.0 until-close close \"hi\" END" },
        { "1.0 kept", BYTES("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi"),
          "200 \"OK\" 1.0 length=2 keep \"hi\" END" },
        { "close", BYTES(OK "Connection: close\r\nContent-Length: 2\r\n\r\nhi"),
          "200 \"OK\" 1.1 length=2 close \"hi\" END" },
        { "length and chunked", BYTES(OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"), INVALID },
        { "two lengths", BYTES(OK "Content-Length: 2\r\nContent-Length: 3\r\n\r\n"), INVALID },
        { "no number", BYTES(OK "Content-Length: x\r\n\r\n"), INVALID },
        { "chunked in 1.0", BYTES("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), INVALID },
        { "unknown coding", BYTES(OK "Transfer-Encoding: gzip\r\n\r\n"), INVALID },
        { "no Host is asked for", BYTES(OK "Host: a b\r\nContent-Length: 0\r\n\r\n"),
          "200 \"OK\" 1.1 none=0 keep END" },
        { "two answers", BYTES(OK "Content-Length: 1\r\n\r\na" OK "Content-Length: 1\r\n\r\nb"),
          "200 \"OK\" 1.1 length=1 keep \"a\" END / 200 \"OK\" 1.1 length=1 keep \"b\" END" },
        { "nothing at all", BYTES(""), "" },
    };
    TABLE_CHECK((&(struct feed){ .is_response = true, .request_method = METHOD_GET, .has_eof = true }), rows);
}

Test(h1_framing, answers_without_a_body)
{
    static const struct row rows[] = {
        { "204", BYTES("HTTP/1.1 204 No Content\r\n\r\n"), "204 \"No Content\" 1.1 none keep END" },
        { "204 with a length of zero", BYTES("HTTP/1.1 204 -\r\nContent-Length: 0\r\n\r\n"),
          "204 \"-\" 1.1 none keep END" },
        { "204 that announces a body", BYTES("HTTP/1.1 204 -\r\nContent-Length: 5\r\n\r\n"),
          "204 \"-\" 1.1 none close END" },
        { "204 that announces chunks", BYTES("HTTP/1.1 204 -\r\nTransfer-Encoding: chunked\r\n\r\n"),
          "204 \"-\" 1.1 none close END" },
        { "304 tells a length", BYTES("HTTP/1.1 304 -\r\nContent-Length: 5\r\n\r\n"), "304 \"-\" 1.1 none=5 keep END" },
        { "304 with chunked", BYTES("HTTP/1.1 304 -\r\nTransfer-Encoding: chunked\r\n\r\n"),
          "304 \"-\" 1.1 none keep END" },
        { "304 with two lengths", BYTES("HTTP/1.1 304 -\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), INVALID },
        { "100 and then the answer", BYTES("HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 0\r\n\r\n"),
          "100 \"Continue\" 1.1 none keep / 200 \"OK\" 1.1 none=0 keep END" },
        { "two 103", BYTES("HTTP/1.1 103 -\r\nLink: a\r\n\r\nHTTP/1.1 103 -\r\nLink: b\r\n\r\n"),
          "103 \"-\" 1.1 none keep {Link: a} / 103 \"-\" 1.1 none keep {Link: b}" },
        { "100 with a length of zero", BYTES("HTTP/1.1 100 -\r\nContent-Length: 0\r\n\r\n"),
          "100 \"-\" 1.1 none keep" },
        { "100 with a body", BYTES("HTTP/1.1 100 -\r\nContent-Length: 1\r\n\r\n"), INVALID },
        { "103 with chunks", BYTES("HTTP/1.1 103 -\r\nTransfer-Encoding: chunked\r\n\r\n"), INVALID },
    };
    TABLE_CHECK((&(struct feed){ .is_response = true, .request_method = METHOD_GET }), rows);
}

Test(h1_framing, answers_to_head_have_no_body)
{
    static const struct row rows[] = {
        { "length", BYTES(OK "Content-Length: 5\r\n\r\n"), "200 \"OK\" 1.1 none=5 keep END" },
        { "chunked", BYTES(OK "Transfer-Encoding: chunked\r\n\r\n"), "200 \"OK\" 1.1 none keep END" },
        { "neither", BYTES(OK "\r\n"), "200 \"OK\" 1.1 none keep END" },
    };
    TABLE_CHECK((&(struct feed){ .is_response = true, .request_method = METHOD_HEAD }), rows);
}

Test(h1_framing, a_101_opens_a_tunnel)
{
    static const struct row rows[] = {
        { "to its end", BYTES("HTTP/1.1 101 -\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nany \0 bytes"),
          "101 \"-\" 1.1 none close upgrade=websocket \"any \\x00 bytes\" END" },
        { "with a length of zero", BYTES("HTTP/1.1 101 -\r\nContent-Length: 0\r\nUpgrade: x\r\n\r\nab"),
          "101 \"-\" 1.1 none close upgrade=x \"ab\" END" },
        { "without Upgrade", BYTES("HTTP/1.1 101 -\r\n\r\n"), "101 \"-\" 1.1 none close upgrade= END" },
        { "in 1.0", BYTES("HTTP/1.0 101 -\r\nUpgrade: x\r\n\r\n"), INVALID },
        { "behind a 100", BYTES("HTTP/1.1 100 -\r\n\r\nHTTP/1.1 101 -\r\nUpgrade: x\r\n\r\nab"),
          "100 \"-\" 1.1 none keep / 101 \"-\" 1.1 none close upgrade=x \"ab\" END" },
    };
    TABLE_CHECK((&(struct feed){ .is_response = true, .request_method = METHOD_GET, .has_eof = true }), rows);
}

Test(h1_framing, a_client_that_leaves_inside_a_request_aborts_it)
{
    static const struct row rows[] = {
        { "before anything", BYTES(""), "" },
        { "behind an empty line", BYTES("\r\n"), "" },
        { "between requests", BYTES(GET "Host: h\r\n\r\n"), PLAIN " END" },
        { "in a head", BYTES("GET"), "ERROR CLIENT_ABORTED" },
        { "in a body", BYTES(POST "Content-Length: 2\r\n\r\nh"),
          "POST / 1.1 @h length=2 keep \"h\" ERROR CLIENT_ABORTED" },
        { "before a body", BYTES(POST "Content-Length: 2\r\n\r\n"),
          "POST / 1.1 @h length=2 keep ERROR CLIENT_ABORTED" },
        { "in trailers", BYTES(CHUNKED_POST "\r\n0\r\n"), "POST / 1.1 @h chunked keep ERROR CLIENT_ABORTED" },
    };
    TABLE_CHECK(&(struct feed){ .has_eof = true }, rows);
}
