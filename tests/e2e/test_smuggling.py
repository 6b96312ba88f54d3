# e2e/test_smuggling.py - whatever two parties could read in two ways is refused, and the origin never sees it.
import pytest

from harness import CLOSE, HOLD, Origin, Proxy, chunked, find_status, reply, request


@pytest.fixture(scope="module", name="house")
def fixture_house():
    with Proxy(Origin(), limits={"headers": "8KiB", "request_line": "2KiB"}) as proxy:
        yield proxy


@pytest.fixture(name="origin")
def fixture_origin(proxy):
    return proxy.origins[0]


def post(*fields):
    """A POST with these raw field lines behind Host."""
    return b"POST /up HTTP/1.1\r\nHost: example.com\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n"


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n"

# What is wrong, the bytes, the status, the code. Each is followed by a request that must never be read.
HEADS = [
    # Transfer-Encoding and Content-Length
    ("te and cl", post(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400, "malformed"),
    ("cl and te", post(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n", 400, "malformed"),
    ("te and cl 0", post(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400, "malformed"),
    ("te in 1.0", post(b"Transfer-Encoding: chunked").replace(b"1.1", b"1.0") + b"0\r\n\r\n", 400, "malformed"),
    ("te identity", post(b"Transfer-Encoding: identity"), 501, "unknown_coding"),
    ("te gzip, chunked", post(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 501, "unknown_coding"),
    ("te chunked, gzip", post(b"Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n", 400, "malformed"),
    ("te chunked twice", post(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n", 400, "malformed"),
    ("te on two lines", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400, "malformed"),
    ("te on two lines, other", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x"), 400, "malformed"),
    ("te xchunked", post(b"Transfer-Encoding: xchunked"), 501, "unknown_coding"),
    ("te quoted", post(b'Transfer-Encoding: "chunked"'), 400, "malformed"),
    ("te with parameter", post(b"Transfer-Encoding: chunked;q=1"), 400, "malformed"),
    ("te with vertical tab", post(b"Transfer-Encoding: \x0bchunked"), 400, "malformed"),
    ("te with a space before the colon", post(b"Transfer-Encoding : chunked", b"Content-Length: 3"), 400, "malformed"),
    ("te with a tab before the colon", post(b"Transfer-Encoding\t: chunked"), 400, "malformed"),
    ("te with a NUL", post(b"Transfer-Encoding: chunked\x00"), 400, "malformed"),
    ("te folded", post(b"Transfer-Encoding:\r\n chunked"), 400, "malformed"),
    ("te behind a bare CR", post(b"X: y\rTransfer-Encoding: chunked"), 400, "malformed"),
    ("te behind a bare LF", post(b"X: y\nTransfer-Encoding: chunked"), 400, "malformed"),
    ("te with high space", post(b"Transfer-Encoding: \xa0chunked"), 400, "malformed"),
    # Content-Length
    ("cl twice, different", post(b"Content-Length: 5", b"Content-Length: 6"), 400, "malformed"),
    ("cl list, different", post(b"Content-Length: 5, 6"), 400, "malformed"),
    ("cl plus", post(b"Content-Length: +5"), 400, "malformed"),
    ("cl minus", post(b"Content-Length: -5"), 400, "malformed"),
    ("cl minus zero", post(b"Content-Length: -0"), 400, "malformed"),
    ("cl hex", post(b"Content-Length: 0x5"), 400, "malformed"),
    ("cl float", post(b"Content-Length: 5.0"), 400, "malformed"),
    ("cl with space inside", post(b"Content-Length: 5 0"), 400, "malformed"),
    ("cl word", post(b"Content-Length: five"), 400, "malformed"),
    ("cl underscore", post(b"Content-Length: 1_0"), 400, "malformed"),
    ("cl 2^63", post(b"Content-Length: 9223372036854775808"), 400, "malformed"),
    ("cl 2^64+5", post(b"Content-Length: 18446744073709551621"), 400, "malformed"),
    ("cl 40 digits", post(b"Content-Length: " + b"1" * 40), 400, "malformed"),
    ("cl with a space before the colon", post(b"Content-Length : 5"), 400, "malformed"),
    ("cl arabic digits", post("Content-Length: ٥".encode()), 400, "malformed"),
    # Lines
    ("folded line", post(b"X-A: one\r\n two"), 400, "malformed"),
    ("folded first line", b"GET / HTTP/1.1\r\n Host: example.com\r\n\r\n", 400, "malformed"),
    ("tab before the first field", b"GET / HTTP/1.1\r\n\tX: y\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("bare LF everywhere", b"GET / HTTP/1.1\nHost: example.com\n\n", 400, "malformed"),
    ("bare LF after the request line", b"GET / HTTP/1.1\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("bare LF at the end", b"GET / HTTP/1.1\r\nHost: example.com\r\n\n", 400, "malformed"),
    ("bare CR in a value", post(b"X-A: one\rtwo"), 400, "malformed"),
    ("CR CR LF", post(b"X-A: one\r"), 400, "malformed"),
    ("NUL in a value", post(b"X-A: one\x00two"), 400, "malformed"),
    ("control in a value", post(b"X-A: one\x01two"), 400, "malformed"),
    ("DEL in a value", post(b"X-A: one\x7ftwo"), 400, "malformed"),
    ("no colon", post(b"X-A"), 400, "malformed"),
    ("empty name", post(b": value"), 400, "malformed"),
    ("space before the colon", post(b"X-A : value"), 400, "malformed"),
    ("space in a name", post(b"X A: value"), 400, "malformed"),
    ("quote in a name", post(b'X"A: value'), 400, "malformed"),
    ("high byte in a name", post(b"X\xe9: value"), 400, "malformed"),
    ("NUL in a name", post(b"X\x00A: value"), 400, "malformed"),
    # Request lines
    ("no version", b"GET /\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("two spaces", b"GET  / HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("two spaces at the version", b"GET /  HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("tab", b"GET\t/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("space at the end", b"GET / HTTP/1.1 \r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("space at the start", b" GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("space in the target", b"GET /a b HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("control in the target", b"GET /a\x01 HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("high byte in the target", b"GET /\xe9 HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("fragment", b"GET /a#b HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("relative target", b"GET a HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("ftp target", b"GET ftp://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("lower-case version", b"GET / http/1.1\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("version 1.11", b"GET / HTTP/1.11\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("version 01.1", b"GET / HTTP/01.1\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("version 2.0", b"GET / HTTP/2.0\r\nHost: example.com\r\n\r\n", 505, "version_refused"),
    ("version 1.2", b"GET / HTTP/1.2\r\nHost: example.com\r\n\r\n", 505, "version_refused"),
    ("version 0.9", b"GET / HTTP/0.9\r\nHost: example.com\r\n\r\n", 505, "version_refused"),
    ("bad method", b"G(T / HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("long method", b"G" * 40 + b" / HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "malformed"),
    ("connect", b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", 501, "method_refused"),
    ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), 400, "malformed"),
    # Hosts
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 400, "bad_host"),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: example.com\r\nHost: example.com\r\n\r\n", 400, "bad_host"),
    ("two hosts, other", b"GET / HTTP/1.1\r\nHost: example.com\r\nX: y\r\nhost: evil\r\n\r\n", 400, "bad_host"),
    ("empty host", b"GET / HTTP/1.1\r\nHost: \r\n\r\n", 400, "bad_host"),
    ("host with a path", b"GET / HTTP/1.1\r\nHost: example.com/x\r\n\r\n", 400, "bad_host"),
    ("host with user", b"GET / HTTP/1.1\r\nHost: user@example.com\r\n\r\n", 400, "bad_host"),
    ("host list", b"GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n", 400, "bad_host"),
    ("host with space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "bad_host"),
    ("host with a bad port", b"GET / HTTP/1.1\r\nHost: example.com:99999\r\n\r\n", 400, "bad_host"),
    ("host with a word for a port", b"GET / HTTP/1.1\r\nHost: example.com:http\r\n\r\n", 400, "bad_host"),
    ("host with an open bracket", b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, "bad_host"),
    ("host of nothing but a port", b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400, "bad_host"),
    ("absolute target with user", b"GET http://u@example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad_host"),
    ("absolute target without host", b"GET http:///x HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad_host"),
    ("absolute target, no Host", b"GET http://example.com/ HTTP/1.1\r\n\r\n", 400, "bad_host"),
    # Paths
    ("NUL in a path", b"GET /a%00b HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad_path"),
    ("backslash", b"GET /a\\b HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad_path"),
    ("encoded backslash", b"GET /a%5Cb HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad_path"),
    ("broken escape", b"GET /a%2 HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad_path"),
    ("not hex", b"GET /a%zz HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad_path"),
    ("above the root", b"GET /../etc HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad_path"),
    ("above the root, encoded", b"GET /a/%2e%2E/.%2e/etc HTTP/1.1\r\nHost: example.com\r\n\r\n", 400, "bad_path"),
    # Expectations
    ("unknown expectation", post(b"Expect: 200-ok", b"Content-Length: 1"), 417, "expectation"),
]


@pytest.mark.parametrize("data, status, code", [pytest.param(*row[1:], id=row[0]) for row in HEADS])
def test_a_head_is_refused(proxy, origin, data, status, code):
    client = proxy.client().send(data + SMUGGLED)
    response = client.response()
    assert (response.status, response.error) == (status, code), response
    if "bad_path" != code or response.get("Connection") == "close":
        assert response.get("Connection") == "close"
        client.expect_closed()
        assert origin.received == b""
    else:  # well framed: the connection may go on, with the next request as its own
        assert client.response().status == 200
        assert [r.target for r in origin.requests] == ["/smuggled"]


ALIKE = [
    ("cl twice, equal", post(b"Content-Length: 5", b"Content-Length: 5") + b"hello"),
    ("cl list, equal", post(b"Content-Length: 5, 5") + b"hello"),
    ("cl with zeros", post(b"Content-Length: 005") + b"hello"),
    ("cl with blanks", post(b"Content-Length: \t 5 \t") + b"hello"),
    ("te in capitals", post(b"Transfer-Encoding: CHUNKED") + chunked(b"hello")),
    ("te with blanks", post(b"Transfer-Encoding:\tchunked ") + chunked(b"hello")),
]


@pytest.mark.parametrize("data", [pytest.param(row[1], id=row[0]) for row in ALIKE])
def test_what_has_one_meaning_is_forwarded_with_it(proxy, origin, data):
    client = proxy.client().send(data + request("/next"))
    assert [client.response().status, client.response().status] == [200, 200]
    first, second = origin.requests
    assert first.body == b"hello" and second.target == "/next"
    assert first.get("Content-Length") in (None, "5")  # written anew, never copied
    assert first.get("Transfer-Encoding") in (None, "chunked")


CHUNKED = post(b"Transfer-Encoding: chunked")
BODIES = [
    ("size not hex", b"xyz\r\nhello\r\n0\r\n\r\n"),
    ("size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("size with a sign", b"+5\r\nhello\r\n0\r\n\r\n"),
    ("negative size", b"-5\r\nhello\r\n0\r\n\r\n"),
    ("size with a space in front", b" 5\r\nhello\r\n0\r\n\r\n"),
    ("size missing", b"\r\nhello\r\n0\r\n\r\n"),
    ("size overflows", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("size of 2^63", b"8000000000000000\r\nhello\r\n0\r\n\r\n"),
    ("size of 100 digits", b"0" * 100 + b"5\r\nhello\r\n0\r\n\r\n"),
    ("bare LF behind the size", b"5\nhello\r\n0\r\n\r\n"),
    ("bare CR behind the size", b"5\rhello\r\n0\r\n\r\n"),
    ("bare LF behind the data", b"5\r\nhello\n0\r\n\r\n"),
    ("no CRLF behind the data", b"5\r\nhello0\r\n\r\n"),
    ("data longer than the size", b"4\r\nhello\r\n0\r\n\r\n"),
    ("LF in an extension", b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    ("CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("NUL in an extension", b"5;a\x00b\r\nhello\r\n0\r\n\r\n"),
    ("extension without a name", b"5;=x\r\nhello\r\n0\r\n\r\n"),
    ("extension without a semicolon", b"5 x\r\nhello\r\n0\r\n\r\n"),
    ("open quote in an extension", b'5;a="b\r\nhello\r\n0\r\n\r\n'),
    ("endless extension", b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n"),
    ("bare LF at the end", b"5\r\nhello\r\n0\r\n\n"),
    ("trailer without a colon", b"5\r\nhello\r\n0\r\nX\r\n\r\n"),
    ("trailer folded", b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"),
    ("trailer with a space before the colon", b"5\r\nhello\r\n0\r\nX : y\r\n\r\n"),
    ("trailer with NUL", b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n"),
]


@pytest.mark.parametrize("body", [pytest.param(row[1], id=row[0]) for row in BODIES])
@pytest.mark.parametrize("cut", ["whole", "head first"])
def test_a_chunked_body_is_refused(proxy, origin, body, cut):
    client = proxy.client()
    if cut == "whole":
        client.send(CHUNKED + body + SMUGGLED)
    else:
        client.send(CHUNKED)
        origin.wait_connections(1)
        client.send(body + SMUGGLED)
    response = client.response()
    assert (response.status, response.error, response.get("Connection")) == (400, "malformed", "close")
    client.expect_closed()
    for connection in origin.connections:
        connection.wait_end()
    assert b"smuggled" not in origin.received
    assert not any(r.is_complete for r in origin.requests)  # what began without a fault was never ended


def test_a_long_trailer_block_is_refused(proxy, origin):
    client = proxy.client()
    client.send(CHUNKED + b"5\r\nhello\r\n0\r\n" + b"X: %s\r\n" % (b"a" * 9000) + b"\r\n" + SMUGGLED)
    response = client.response()
    assert (response.status, response.error) == (431, "headers_too_large")
    client.expect_closed()
    assert not any(r.is_complete for r in origin.requests)


def test_a_body_that_looks_like_a_request_is_a_body(proxy, origin):
    client = proxy.client()
    client.send(post(b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED + request("/next"))
    assert [client.response().status, client.response().status] == [200, 200]
    assert [r.target for r in origin.requests] == ["/up", "/next"]
    assert origin.requests[0].body == SMUGGLED


def test_a_body_for_a_refused_request_is_not_read_as_a_request(start, origin):
    proxy = start(origin, routes=[{"name": "one", "match": {"path": {"exact": "/one"}}, "to": "a"}])
    client = proxy.client()
    client.send(post(b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED + request("/one"))
    assert client.response().error == "no_route"
    assert client.response().body == b"ok"  # all of the body was there: the connection goes on behind it
    client.send(post(b"Content-Length: 1000") + SMUGGLED)
    assert client.response().error == "no_route"
    client.expect_closed()
    assert [r.target for r in origin.requests] == ["/one"]


# ---- answers -----------------------------------------------------------------------------------------------------------


ANSWERS = [
    ("nothing of HTTP", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    ("HTTP/0.9", b"<html>hello</html>"),
    ("version 2.0", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("version 3", b"HTTP/3 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status of two digits", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status 099", b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status 600", b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status word", b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"),
    ("two spaces", b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("NUL in the phrase", b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n"),
    ("bare CR in the phrase", b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n"),
    ("te and cl", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("te gzip", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello"),
    ("te chunked twice", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("te in 1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("cl twice, different", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    ("cl list, different", b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello"),
    ("cl negative", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"),
    ("cl overflows", b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n\r\nhello"),
    ("cl word", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello"),
    ("NUL in a value", b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n"),
    ("bare CR in a value", b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n"),
    ("no colon", b"HTTP/1.1 200 OK\r\nX\r\nContent-Length: 0\r\n\r\n"),
    ("space before the colon", b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"),
    ("space in a name", b"HTTP/1.1 200 OK\r\nContent Length: 0\r\n\r\n"),
    ("101 nobody asked for", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
    ("interim with a body", b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello" + reply(b"ok")),
    ("interim chunked", b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + reply(b"ok")),
]


@pytest.mark.parametrize("answer", [pytest.param(row[1], id=row[0]) for row in ANSWERS])
def test_an_answer_is_refused(proxy, origin, answer):
    origin.answer = [answer, HOLD]
    client = proxy.client()
    response = client.get("/")
    assert (response.status, response.error) == (502, "upstream_invalid")
    assert origin.connections[0].wait_end() in ("fin", "reset")
    origin.answer = reply(b"fine")
    assert client.get("/").body == b"fine"  # it was the origin's fault: the client's connection goes on
    assert len(origin.connections) == 2


FOLDED = [
    ("folded", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok"),
    ("bare LF", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
]


@pytest.mark.parametrize("answer", [pytest.param(row[1], id=row[0]) for row in FOLDED])
def test_odd_lines_of_an_answer_never_reach_the_client(proxy, origin, answer):
    origin.answer = [answer, HOLD]
    client = proxy.client().send(request("/"))
    head = client.reader.head()  # asserts its form line by line
    assert head.status in (200, 502)
    assert b"\n " not in head.head_bytes


BROKEN_BODIES = [
    ("size not hex", b"xyz\r\nhello\r\n0\r\n\r\n"),
    ("size overflows", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("bare LF behind the data", b"5\r\nhello\n0\r\n\r\n"),
    ("data longer than the size", b"4\r\nhello\r\n0\r\n\r\n"),
    ("endless extension", b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n"),
    ("trailer with NUL", b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n"),
    ("trailer folded", b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"),
]


@pytest.mark.parametrize("body", [pytest.param(row[1], id=row[0]) for row in BROKEN_BODIES])
def test_an_answer_that_breaks_inside_its_body_never_looks_complete(proxy, origin, body):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
    origin.answer = [head + body, HOLD]
    path = f"/broken/{len(body)}"
    client = proxy.client().send(request(path) + request("/next"))
    came = client.expect_reset()
    assert not came.endswith(b"0\r\n\r\n")
    assert find_status(came) in ([], [200])  # a reset may overtake what came before it
    assert proxy.access_line(path=path, reason="upstream_invalid")["status"] == 200


@pytest.mark.parametrize("cut", [b"5\r\nhel", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\n", b""])
def test_an_answer_cut_short_never_looks_complete(proxy, origin, cut):
    origin.answer = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + cut, CLOSE]
    came = proxy.client().send(request("/")).expect_reset()
    assert not came.endswith(b"0\r\n\r\n")


def test_an_answer_shorter_than_its_length_never_looks_complete(proxy, origin):
    origin.answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", CLOSE]
    came = proxy.client().send(request("/", method="POST", body=b"x")).expect_reset()
    assert not came.endswith(b"hellohello")


# ---- connections to origins that say more than they should ----------------------------------------------------------------


def test_bytes_behind_a_complete_answer_are_nobodys(proxy, origin):
    origin.answer = [reply(b"first") + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", HOLD]
    client = proxy.client()
    assert client.get("/").body == b"first"
    assert origin.connections[0].wait_end() in ("fin", "reset")
    origin.answer = reply(b"second")
    assert client.get("/").body == b"second"
    assert len(origin.connections) == 2


def test_bytes_on_a_pooled_connection_close_it(proxy, origin):
    client = proxy.client()
    assert client.get("/").body == b"ok"
    origin.connections[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    assert origin.connections[0].wait_end() in ("fin", "reset")
    assert client.get("/").body == b"ok"
    assert len(origin.connections) == 2


def test_an_answer_before_the_request_is_not_taken(proxy, origin):
    """Bytes that come with the accept, before any request: they answer nothing."""
    origin.answer = [reply(b"right")]
    client = proxy.client()
    assert client.get("/one").body == b"right"
    pooled = origin.connections[0]
    pooled.send(b"HTTP/1.1 500 Early\r\nContent-Length: 0\r\n\r\n")
    pooled.wait_end()
    assert client.get("/two").body == b"right"


# ---- splitting through what the proxy writes itself -------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/%0d%0aSet-Cookie:%20evil=1", "/%0D%0A%0D%0AHTTP/1.1%20200%20OK", "/?%0d%0aX:%20y"])
def test_a_redirect_does_not_split(start, target):
    proxy = start(
        upstreams={}, routes=[{"name": "moved", "redirect": {"to": "https://other.example"}}]
    )
    response = proxy.get(target)
    assert response.status == 308
    assert response.get("Location") == "https://other.example" + target
    assert not response.has("Set-Cookie")


def test_a_request_id_cannot_break_a_line(proxy, origin):
    for value in ("a b", "x" * 200, 'a"b', "a,b;c=\xe9"):
        assert proxy.get("/", f"X-Request-Id: {value}").status == 200
        assert origin.last.get("X-Request-Id") != value


def test_an_access_line_cannot_be_forged(proxy, origin):
    assert proxy.get('/"},{"status":1?a="b', 'User-Agent: x"}\\\xff').status == 200
    line = proxy.access_line(path='/"},{"status":1')
    assert (line["user_agent"], line["query"], line["status"]) == ('x"}\\\xff', 'a="b', 200)
