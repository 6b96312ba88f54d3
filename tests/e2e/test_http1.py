# e2e/test_http1.py - messages end to end: framing, bodies, keep-alive, pipelining, interim answers, targets and hosts.
import threading

import pytest

from harness import CLOSE, Origin, Proxy, chunked, reply, request

BIG = bytes(range(256)) * 1200  # 300 KiB that no two places share


@pytest.fixture(scope="module", name="house")
def fixture_house():
    routes = [
        {"name": "robots", "match": {"path": {"exact": "/robots.txt"}}, "respond": {"body": "User-agent: *\n"}},
        {"name": "all", "to": "a"},
    ]
    with Proxy(Origin(), routes=routes) as proxy:
        yield proxy


@pytest.fixture(name="origin")
def fixture_origin(proxy):
    return proxy.origins[0]


# ---- request bodies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 511, 512, 16384, 16385, 300_000])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
def test_a_body_of_known_length_arrives_with_its_length(proxy, origin, method, size):
    response = proxy.get("/up", method=method, body=BIG[:size])
    assert response.status == 200
    seen = origin.last
    assert (seen.method, seen.length, seen.body) == (method, size, BIG[:size])
    assert not seen.has("Transfer-Encoding")


@pytest.mark.parametrize(
    "chunks",
    [[], [b"x"], [b"hello ", b"world"], [bytes([n]) for n in range(200)], [BIG[:16384], BIG[:3], BIG]],
    ids=["none", "one byte", "two", "200 of one byte", "big"],
)
def test_a_chunked_body_arrives_chunked(proxy, origin, chunks):
    response = proxy.send(request("/up", "Transfer-Encoding: chunked", method="POST") + chunked(*chunks))
    assert response.status == 200
    assert origin.last.is_chunked and origin.last.body == b"".join(chunks)


@pytest.mark.parametrize(
    "framed",
    [
        b"5;name=value\r\nhello\r\n0;last\r\n\r\n",
        b'5;a="quoted ; string";b\r\nhello\r\n0\r\n\r\n',
        b"0000005\r\nhello\r\n000\r\n\r\n",
        b"5 ;x\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_chunk_extensions_end_at_the_proxy(proxy, origin, framed):
    assert proxy.send(request("/up", "Transfer-Encoding: chunked", method="POST") + framed).status == 200
    assert origin.last.raw_body == b"5\r\nhello\r\n0\r\n\r\n"


def test_chunk_sizes_are_hexadecimal_in_either_case(proxy, origin):
    head = request("/up", "Transfer-Encoding: chunked", method="POST")
    assert proxy.send(head + b"aB\r\n" + BIG[:0xAB] + b"\r\n0\r\n\r\n").status == 200
    assert origin.last.body == BIG[:0xAB]


@pytest.mark.parametrize("body", ["length", "chunked"])
def test_a_request_may_come_byte_by_byte(proxy, origin, body):
    client = proxy.client()
    data = (
        request("/slow", method="POST", body=b"hello")
        if body == "length"
        else request("/slow", "Transfer-Encoding: chunked", method="POST") + chunked(b"hel", b"lo", trailers=b"X-T: 1\r\n")
    )
    for at in range(len(data)):
        client.send(data[at : at + 1])
    assert client.response().status == 200
    assert origin.last.body == b"hello"


def test_request_trailers_stay_trailers(proxy, origin):
    trailers = b"X-Checksum: abc\r\nX-Second: 2\r\n"
    head = request("/up", "Transfer-Encoding: chunked", "Trailer: X-Checksum", method="POST")
    assert proxy.send(head + chunked(b"data", trailers=trailers)).status == 200
    assert origin.last.trailers == [("X-Checksum", "abc"), ("X-Second", "2")]
    assert not origin.last.has("X-Checksum")


@pytest.mark.parametrize(
    "name",
    ["Host", "Content-Length", "Transfer-Encoding", "Authorization", "Cookie", "X-Forwarded-For", "Connection", "Via",
     "Content-Encoding", "traceparent", "X-Request-Id"],
)
def test_trailers_cannot_carry_what_belongs_into_a_head(proxy, origin, name):
    head = request("/up", "Transfer-Encoding: chunked", method="POST")
    body = chunked(b"data", trailers=f"{name}: evil\r\nX-Good: yes\r\n".encode())
    assert proxy.send(head + body).status == 200
    assert origin.last.trailers == [("X-Good", "yes")]


def test_a_post_without_framing_has_no_body(proxy, origin):
    client = proxy.client()
    assert client.get("/one", method="POST").status == 200
    assert client.get("/two").status == 200
    assert [r.body for r in origin.requests] == [b"", b""]


# ---- response bodies -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 16384, 16385, 65536, 300_000])
def test_an_answer_of_known_length_keeps_its_length(proxy, origin, size):
    origin.answer = reply(BIG[:size])
    response = proxy.get("/")
    assert (response.length, response.body) == (size, BIG[:size])
    assert not response.has("Transfer-Encoding")


@pytest.mark.parametrize("chunks", [[], [b"x"], [b"hello ", b"world"], [BIG[:16384], BIG[:3], BIG]])
def test_a_chunked_answer_arrives_chunked(proxy, origin, chunks):
    origin.answer = reply(chunked(*chunks), "Transfer-Encoding: chunked", length=False)
    client = proxy.client()
    for _ in range(2):
        response = client.get("/")
        assert response.is_chunked and response.body == b"".join(chunks)
    assert len(origin.connections) == 1


def test_chunks_are_passed_on_while_the_answer_goes_on(proxy, origin):
    go_on = threading.Event()
    head = reply(b"", "Transfer-Encoding: chunked", length=False)
    origin.answer = [head + b"5\r\nfirst\r\n", go_on, b"6\r\nsecond\r\n0\r\n\r\n"]
    client = proxy.client().send(request("/"))
    response = client.reader.head()
    assert response.is_chunked
    assert client.reader.until(b"first\r\n") == b"5\r\nfirst\r\n"
    go_on.set()
    assert client.reader.until(b"0\r\n\r\n") == b"6\r\nsecond\r\n0\r\n\r\n"


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_an_answer_until_close_is_chunked_for_the_client(proxy, origin, version, size):
    origin.answer = [f"HTTP/{version} 200 OK\r\n\r\n".encode() + BIG[:size], CLOSE]
    client = proxy.client()
    response = client.get("/")
    assert response.is_chunked and response.body == BIG[:size]
    assert client.get("/robots.txt").status == 200  # the connection goes on


def test_response_trailers_stay_trailers(proxy, origin):
    body = chunked(b"data", trailers=b"X-Checksum: abc\r\nSet-Cookie: evil=1\r\nContent-Length: 5\r\n")
    origin.answer = reply(body, "Transfer-Encoding: chunked", "Trailer: X-Checksum", length=False)
    response = proxy.get("/", "TE: trailers")
    assert (response.body, response.trailers) == (b"data", [("X-Checksum", "abc")])
    assert not response.has("X-Checksum")


@pytest.mark.parametrize("fields", [["Content-Length: 1234"], ["Transfer-Encoding: chunked"], []])
def test_head_has_no_body_whatever_is_announced(proxy, origin, fields):
    origin.answer = reply(b"", *fields, length=False)
    client = proxy.client()
    for _ in range(2):
        response = client.get("/", method="HEAD")
        assert response.status == 200
        if fields == ["Content-Length: 1234"]:
            assert response.length == 1234
    assert client.get("/robots.txt").status == 200
    assert len(origin.requests) == 2


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_statuses_without_body_have_none(proxy, origin, status):
    origin.answer = reply(b"", 'ETag: "x"', status=status, length=False)
    client = proxy.client()
    for _ in range(2):
        response = client.get("/")
        assert response.status == int(status[:3]) and response.get("ETag") == '"x"'
        assert not response.has("Transfer-Encoding")
    assert len(origin.connections) == 1


def test_304_keeps_the_length_of_what_it_stands_for(proxy, origin):
    origin.answer = reply(b"", "Content-Length: 99", status="304 Not Modified", length=False)
    client = proxy.client()
    assert client.get("/").get("Content-Length") == "99"
    assert client.get("/robots.txt").status == 200


@pytest.mark.parametrize("fields", [["Content-Length: 4"], ["Transfer-Encoding: chunked"]])
def test_204_announces_no_body_and_what_follows_is_nobodys(proxy, origin, fields):
    origin.answer = reply(b"evil", *fields, status="204 No Content", length=False)
    client = proxy.client()
    for _ in range(2):
        response = client.get("/")
        assert response.status == 204
        assert not response.has("Content-Length") and not response.has("Transfer-Encoding")
    assert len(origin.connections) == 2  # neither was used again


@pytest.mark.parametrize("status", ["200 Fine Indeed", "200", "200 ", "299 Odd", "404 Not Found", "500 ", "599 \xfcber"])
def test_status_and_phrase_go_on(proxy, origin, status):
    origin.answer = reply(b"ok", status=status)
    code, _, phrase = status.partition(" ")
    assert proxy.get("/").start in (f"HTTP/1.1 {code} {phrase}", f"HTTP/1.1 {code} OK")


# ---- keep-alive ------------------------------------------------------------------------------------------------------


def test_both_connections_are_kept(proxy, origin):
    client = proxy.client()
    for n in range(20):
        response = client.get(f"/{n}", method="POST" if n % 3 else "GET", body=b"x" * n)
        assert not response.has("Connection")
    assert len(origin.connections) == 1 and len(origin.requests) == 20


def test_connection_close_is_answered_and_done(proxy, origin):
    client = proxy.client()
    assert client.get("/", "Connection: close").get("Connection") == "close"
    client.expect_closed()
    assert not origin.last.has("Connection")  # it was the client's, not the origin's


def test_an_origin_that_closes_does_not_close_the_client(proxy, origin):
    origin.answer = [reply(b"ok", "Connection: close"), CLOSE]
    client = proxy.client()
    for _ in range(3):
        assert not client.get("/").has("Connection")
    assert len(origin.connections) == 3


def test_a_1_0_origin_without_keep_alive_is_not_used_again(proxy, origin):
    origin.answer = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"
    client = proxy.client()
    for _ in range(2):
        assert client.get("/").body == b"ok"
    assert len(origin.connections) == 2


def test_http_1_0_closes(proxy, origin):
    client = proxy.client()
    response = client.get("/", version="1.0")
    assert (response.body, response.get("Connection")) == (b"ok", "close")
    client.expect_closed()
    assert origin.last.start == "GET / HTTP/1.1"


def test_http_1_0_with_keep_alive_goes_on(proxy, origin):
    client = proxy.client()
    for _ in range(3):
        assert client.get("/", "Connection: keep-alive", version="1.0").get("Connection").lower() == "keep-alive"
    assert len(origin.requests) == 3


def test_http_1_0_knows_no_chunks(proxy, origin):
    origin.answer = reply(chunked(b"hello ", b"world"), "Transfer-Encoding: chunked", length=False)
    client = proxy.client()
    response = client.get("/", "Connection: keep-alive", version="1.0")
    assert response.body == b"hello world"
    assert not response.has("Transfer-Encoding") and response.get("Connection") == "close"


def test_http_1_0_may_come_without_host(proxy, origin):
    assert proxy.get("/", host=None, version="1.0").status == 200
    assert origin.last.get("Host") == origin.address


def test_an_empty_line_before_a_request(proxy, origin):
    client = proxy.client().send(b"\r\n" + request("/one"))
    assert client.response().status == 200
    client.send(b"\r\n" + request("/two"))
    assert client.response().status == 200
    assert [r.target for r in origin.requests] == ["/one", "/two"]


# ---- pipelining ------------------------------------------------------------------------------------------------------


def echo(connection, seen):
    connection.body(seen)
    connection.send(reply(seen.target.encode() + b" " + seen.body))


def test_pipelined_requests_are_answered_in_order(proxy, origin):
    origin.answer = echo
    data = b""
    for n in range(30):
        data += [
            request(f"/{n}"),
            request(f"/{n}", method="POST", body=b"b%d" % n),
            request(f"/{n}", "Transfer-Encoding: chunked", method="POST") + chunked(b"c", b"%d" % n),
        ][n % 3]
    client = proxy.client().send(data)
    bodies = [client.response().body for _ in range(30)]
    assert bodies == [b"/%d %s" % (n, [b"", b"b%d" % n, b"c%d" % n][n % 3]) for n in range(30)]


def test_a_pipelined_answer_of_its_own_waits_for_its_turn(proxy, origin):
    go_on = threading.Event()
    origin.answer = [go_on, reply(b"slow")]
    client = proxy.client().send(request("/slow") + request("/robots.txt") + request("/missing\x7f"))
    origin.wait_requests(1)
    go_on.set()
    assert client.response().body == b"slow"
    assert client.response().body == b"User-agent: *\n"
    assert client.response().status == 400
    client.expect_closed()


def test_pipelined_requests_do_not_overlap_at_the_origin(proxy, origin):
    go_on = threading.Event()
    origin.answer = [[go_on, reply(b"1")], [reply(b"2")]]
    client = proxy.client().send(request("/1") + request("/2"))
    origin.wait_requests(1)
    assert proxy.get("/robots.txt").status == 200  # the proxy had its turn: /2 could have gone
    assert [r.target for r in origin.requests] == ["/1"]
    go_on.set()
    assert [client.response().body, client.response().body] == [b"1", b"2"]


def test_a_long_pipeline_is_taken_without_limit_of_memory(proxy, origin):
    origin.answer = echo
    count = 2000
    client = proxy.client()
    sender = threading.Thread(target=client.send, args=(b"".join(request(f"/{n}") for n in range(count)),))
    sender.start()
    assert [client.response().body for _ in range(count)] == [b"/%d " % n for n in range(count)]
    sender.join()


# ---- interim answers and Expect ----------------------------------------------------------------------------------------


def test_103_goes_through(proxy, origin):
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: close\r\n\r\n"
    origin.answer = hint + hint + b"HTTP/1.1 102 Processing\r\n\r\n" + reply(b"done")
    client = proxy.client()
    for _ in range(2):
        response = client.get("/")
        assert [m.status for m in response.interim] == [103, 103, 102]
        assert response.interim[0].fields == [("Link", "</a.css>; rel=preload")]
        assert response.body == b"done"


def test_103_arrives_before_the_answer_exists(proxy, origin):
    go_on = threading.Event()
    origin.answer = [b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", go_on, reply(b"done")]
    client = proxy.client().send(request("/"))
    assert client.reader.head().status == 103
    go_on.set()
    assert client.response().body == b"done"


def test_http_1_0_gets_no_interim_answer(proxy, origin):
    origin.answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + reply(b"done")
    response = proxy.get("/", version="1.0")
    assert (response.interim, response.body) == ([], b"done")


def test_expect_goes_to_the_origin_and_its_100_comes_back(proxy, origin):
    def answer(connection, seen):
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.body(seen)
        connection.send(reply(b"got " + seen.body))

    origin.answer = answer
    client = proxy.client()
    head = request("/up", "Expect: 100-continue", "Content-Length: 5", method="POST")
    for _ in range(2):
        client.send(head)
        assert client.reader.head().status == 100
        response = client.send(b"hello").response()
        assert (response.interim, response.body) == ([], b"got hello")
    assert origin.last.get("Expect") == "100-continue"


def test_a_refusal_instead_of_100_reaches_the_client(proxy, origin):
    origin.answer = lambda connection, seen: connection.send(reply(b"no", status="403 Forbidden"))
    client = proxy.client().send(request("/up", "Expect: 100-continue", "Content-Length: 5", method="POST"))
    response = client.response()
    assert (response.status, response.interim, response.body) == (403, [], b"no")
    client.expect_closed()  # else the body could be taken for a request


def test_a_100_nobody_asked_for_is_kept_back(proxy, origin):
    origin.answer = b"HTTP/1.1 100 Continue\r\n\r\n" + reply(b"done")
    response = proxy.get("/", method="POST", body=b"x")
    assert (response.interim, response.body) == ([], b"done")


def test_expect_in_1_0_or_without_a_body_is_ignored(proxy, origin):
    assert proxy.get("/", "Expect: 100-continue").status == 200
    assert proxy.get("/", "Expect: 100-continue", method="POST", body=b"x", version="1.0").status == 200
    assert origin.last.body == b"x"


# ---- early answers -----------------------------------------------------------------------------------------------------


def test_an_answer_may_come_while_the_body_is_still_sent(proxy, origin):
    origin.answer = lambda connection, seen: [connection.send(reply(b"enough", status="413 Content Too Large")), CLOSE][1]
    client = proxy.client().send(request("/up", "Content-Length: 50000000", method="POST"))
    stop = threading.Event()

    def pump():
        try:
            while not stop.is_set():
                client.send(bytes(65536))
        except OSError:
            pass

    sender = threading.Thread(target=pump)
    sender.start()
    response = client.response()
    assert (response.status, response.body) == (413, b"enough")
    client.rest()  # the proxy ends the connection although the client goes on sending
    stop.set()
    client.close()
    sender.join()


def test_an_early_answer_that_goes_on_lets_the_body_go_on(proxy, origin):
    def answer(connection, seen):
        connection.send(reply(b"", "Transfer-Encoding: chunked", length=False) + b"5\r\nearly\r\n")
        connection.body(seen)
        connection.send(chunked(b" late"))

    origin.answer = answer
    client = proxy.client().send(request("/up", "Content-Length: 10", method="POST") + b"01234")
    client.reader.head()
    assert client.reader.until(b"early\r\n")
    client.send(b"56789")
    assert client.reader.until(b"0\r\n\r\n") == b"5\r\n late\r\n0\r\n\r\n"
    assert origin.last.body == b"0123456789"
    assert client.get("/robots.txt").status == 200


# ---- targets and hosts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target, path, host",
    [
        ("http://other.example/x?y", "/x?y", "other.example"),
        ("HTTP://Other.Example:8080/", "/", "Other.Example:8080"),
        ("http://other.example", "/", "other.example"),
        ("http://other.example?q", "/?q", "other.example"),
        ("https://other.example/s", "/s", "other.example"),
    ],
)
def test_the_authority_of_an_absolute_target_replaces_host(proxy, origin, target, path, host):
    assert proxy.get(target, host="wrong.example").status == 200
    assert (origin.last.target, origin.last.get("Host")) == (path, host)
    assert origin.last.get("X-Forwarded-Host") == host


@pytest.mark.parametrize(
    "target", ["/", "/a//b", "/a/%7Euser/../c?x=%00", "/%2F%2f", "/a?b?c#", "/;a=b/,", "//evil.example/x", "/%E2%82%AC"]
)
def test_a_target_is_forwarded_byte_for_byte(proxy, origin, target):
    response = proxy.get(target)
    if "#" in target:
        assert response.status == 400
    else:
        assert (response.status, origin.last.target) == (200, target)


def test_options_has_a_star(proxy, origin):
    assert proxy.get("*", method="OPTIONS").status == 200
    assert origin.last.start == "OPTIONS * HTTP/1.1"
    assert proxy.get("http://other.example", method="OPTIONS").status == 200
    assert origin.last.start == "OPTIONS * HTTP/1.1"
    assert proxy.get("*").status == 400


@pytest.mark.parametrize("host", ["example.com", "EXAMPLE.com.", "example.com:80", "127.0.0.1:1", "[::1]", "[::1]:443", "a_b"])
def test_valid_hosts_go_on_as_they_came(proxy, origin, host):
    assert proxy.get("/", host=host).status == 200
    assert origin.last.get("Host") == host


@pytest.mark.parametrize("method", ["GET", "PATCH", "PROPFIND", "X-OWN-METHOD", "get"])
def test_methods_go_on_as_they_came(proxy, origin, method):
    assert proxy.get("/", method=method).status == 200
    assert origin.last.method == method
