# e2e/test_resets.py - RST in every state, from clients and from origins: who is told what, and nobody else notices.
import threading

import pytest

from harness import HALF_CLOSE, HOLD, RESET, Full, Origin, Proxy, reply, request, wait_for

UPGRADE = ("Connection: upgrade", "Upgrade: echo")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
# An answer of which a piece is still due, by its framing.
BROKEN = {
    "length": reply(b"", "Content-Length: 100", length=False) + b"some",
    "chunked": reply(b"", "Transfer-Encoding: chunked", length=False) + b"4\r\nsome\r\n",
    "until close": reply(b"", length=False) + b"some",
}
ABORTED = ("/cut", 0, "client_aborted")


@pytest.fixture(scope="module", name="house")
def fixture_house():
    full = Full()
    upstreams = {
        "a": {"endpoints": [Origin()]},
        "narrow": {"endpoints": [Origin()], "max_connections": 1},
        "full": {"endpoints": [full.address], "connect_timeout": "10m"},
    }
    routes = [{"name": n, "match": {"path": {"prefix": f"/{n}"}}, "to": n} for n in ("narrow", "full")]
    with Proxy(upstreams=upstreams, routes=[*routes, {"name": "all", "to": "a"}]) as proxy:
        yield proxy
    full.close()


@pytest.fixture(name="origin")
def fixture_origin(proxy):
    return proxy.origins[0]


@pytest.fixture(name="lines")
def fixture_lines(proxy):
    """Goes on when the reset is forgotten; tells what the access log says of what was before."""
    seen = len(proxy.access_lines())

    def forgotten():
        proxy.expect_nothing_live()
        wait_for(lambda: proxy.metric("weir_upstream_connections", upstream="a", state="active") == 0, "no connection serves")
        for origin in proxy.origins:
            origin.answer = reply()
        for path in (f"/after/{seen}", f"/narrow/after/{seen}"):
            assert proxy.get(path).status == 200
        proxy.access_line(path=path)
        proxy.expect_nothing_live()
        lines = proxy.access_lines()[seen:-2]
        return [(line.get("path"), line["status"], line.get("reason")) for line in lines]

    return forgotten


def reset(proxy, client):
    proxy.clients.remove(client)
    client.reset()


# ---- clients -------------------------------------------------------------------------------------------------------------


def begins(data):
    """So much of a head, if anything."""
    def begin(proxy, _):
        client = proxy.client().send(data)
        wait_for(lambda: proxy.live()["clients"] == 1 and proxy.live()["requests"] == (1 if data else 0), "it is seen")
        return client

    return begin


def connects(proxy, _):
    client = proxy.client().send(request("/full"))
    wait_for(lambda: proxy.live()["exchanges"] == 1, "it is being connected for")
    return client


def waits(proxy, origin):
    origin.answer = [HOLD]
    client = proxy.client().send(request("/cut"))
    origin.wait_requests()
    return client


def pipelines(proxy, origin):
    """The second request, and the beginning of a third, wait behind the first."""
    origin.answer = [HOLD]
    client = proxy.client().send(request("/cut") + request("/never") + b"GET /nev")
    origin.wait_requests()
    return client


def sends(framing, piece):
    """A part of a body is with the origin."""
    def send(proxy, origin):
        origin.answer = [HOLD]
        client = proxy.client().send(request("/cut", framing, method="POST") + piece)
        connection = origin.wait_connections()[0]
        wait_for(lambda: b"some" in connection.received, "the piece at the origin")
        return client

    return send


def reads(framing):
    """The beginning of the answer is with the client."""
    def read(proxy, origin):
        origin.answer = [BROKEN[framing], HOLD]
        client = proxy.client().send(request("/cut"))
        client.reader.until(b"some")
        return client

    return read


def reads_nothing(proxy, origin):
    """More of the answer than the kernel takes waits in the proxy."""
    def answer(connection, _):
        connection.send(reply(b"", "Content-Length: 100000000", length=False))
        while True:
            connection.send(bytes(1 << 20))

    origin.answer = answer
    client = proxy.client(receive_buffer=4096).send(request("/cut"))
    wait_for(lambda: proxy.live()["chunks"] > 10, "the answer waits")
    return client


def idles(proxy, _):
    client = proxy.client()
    assert client.get("/done").status == 200
    return client


def idles_after_the_proxys_answer(proxy, _):
    client = proxy.client()
    assert client.get("/%00").status == 400
    return client


def lingers(first):
    """The last answer was sent, and the proxy waits for the client to notice."""
    def linger(proxy, _):
        client = proxy.client().send(first)
        assert client.response().get("Connection") == "close"
        client.expect_closed()
        assert proxy.live()["clients"] == 1
        return client

    return linger


def tunnels(*steps):
    """In a tunnel in which the origin does that."""
    def tunnel(proxy, origin):
        origin.answer = [SWITCH, *steps, HOLD]
        client = proxy.client().send(request("/cut", *UPGRADE))
        assert client.response().status == 101
        if HALF_CLOSE in steps:
            client.expect_closed()
        return client

    return tunnel


def tunnels_half_closed(proxy, origin):
    client = tunnels()(proxy, origin).shutdown()
    origin.connections[0].wait_end()
    return client


CLIENTS = {
    "before a byte": (begins(b""), []),
    "in the request line": (begins(b"GET /cut HTT"), []),
    "in the head": (begins(b"GET /cut HTTP/1.1\r\nHost: exa"), []),
    "before the head's last byte": (begins(request("/cut")[:-1]), []),
    "connecting": (connects, [("/full", 0, "client_aborted")]),
    "waiting for the head": (waits, [ABORTED]),
    "pipelined": (pipelines, [ABORTED]),
    "in a body": (sends("Content-Length: 100", b"some"), [ABORTED]),
    "in chunks": (sends("Transfer-Encoding: chunked", b"4\r\nsome\r\n"), [ABORTED]),
    "in a chunk": (sends("Transfer-Encoding: chunked", b"40\r\nsome"), [ABORTED]),
    "in an answer": (reads("length"), [("/cut", 200, "client_aborted")]),
    "in a chunked answer": (reads("chunked"), [("/cut", 200, "client_aborted")]),
    "in an answer until close": (reads("until close"), [("/cut", 200, "client_aborted")]),
    "not reading": (reads_nothing, [("/cut", 200, "client_aborted")]),
    "between requests": (idles, [("/done", 200, None)]),
    "after a refusal": (idles_after_the_proxys_answer, [("/%00", 400, "bad_path")]),
    "lingering": (lingers(request("/done", "Connection: close")), [("/done", 200, None)]),
    "lingering after a refusal": (lingers(b"\x01\r\n\r\n"), [(None, 400, "malformed")]),
    "in a tunnel": (tunnels(), [("/cut", 101, "client_aborted")]),
    "in a tunnel the origin half-closed": (tunnels(HALF_CLOSE), [("/cut", 101, "client_aborted")]),
}


@pytest.mark.parametrize("state", CLIENTS)
def test_a_client_resets(proxy, origin, lines, state):
    come, expected = CLIENTS[state]
    reset(proxy, come(proxy, origin))
    assert lines() == expected


def test_a_client_resets_in_the_queue(proxy, lines):
    narrow, go_on = proxy.origins[1], threading.Event()
    narrow.answer = [go_on, reply()]
    first = proxy.client().send(request("/narrow/first"))
    narrow.wait_requests()
    client = proxy.client().send(request("/narrow/cut"))
    wait_for(lambda: proxy.metric("weir_upstream_pending", upstream="narrow") == 1, "it waits")
    reset(proxy, client)
    wait_for(lambda: proxy.live()["requests"] == 1, "it is gone")
    go_on.set()
    assert first.response().status == 200
    first.close()
    assert lines() == [("/narrow/cut", 0, "client_aborted"), ("/narrow/first", 200, None)]
    assert [r.target for r in narrow.requests] == ["/narrow/first", narrow.last.target]


def test_a_client_resets_while_its_body_is_held_back(proxy, origin, lines):
    """Nobody reads from it then: the reset is found when the origin goes on."""
    go_on = threading.Event()
    origin.answer = lambda connection, seen: [go_on.wait(), connection.body(seen)]
    client = proxy.client().send(request("/cut", "Content-Length: 100000000", method="POST"))
    client.sock.settimeout(0.2)
    with pytest.raises(OSError):
        while True:
            client.send(bytes(1 << 20))
    reset(proxy, client)
    go_on.set()
    assert lines() == [ABORTED]


def test_both_reset_a_tunnel(proxy, origin, lines):
    go_on = threading.Event()
    origin.answer = [SWITCH, go_on, RESET]
    client = proxy.client().send(request("/cut", *UPGRADE))
    assert client.response().status == 101
    go_on.set()
    reset(proxy, client)
    (line,) = lines()
    assert line in [("/cut", 101, "client_aborted"), ("/cut", 101, "upstream_reset")]


# ---- origins -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [
    b"", b"HTT", b"HTTP/1.1 200 OK\r\nContent-Len", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 O",
])
def test_an_origin_resets_before_its_head_is_complete(proxy, origin, lines, said):
    origin.answer = [said, RESET] if said else [RESET]
    response = proxy.get("/cut")
    assert (response.status, response.error) == (502, "upstream_reset")
    assert lines() == [("/cut", 502, "upstream_reset")]


@pytest.mark.parametrize("framing", BROKEN)
def test_an_origin_resets_in_its_answer(proxy, origin, lines, framing):
    """What the client has got so far must not look complete."""
    go_on = threading.Event()
    origin.answer = [BROKEN[framing], go_on, RESET]
    client = proxy.client().send(request("/cut"))
    client.reader.until(b"some")
    go_on.set()
    assert client.expect_reset().strip() == b""
    assert lines() == [("/cut", 200, "upstream_reset")]


def test_an_origin_resets_in_an_answer_that_nobody_reads(proxy, origin, lines):
    go_on = threading.Event()
    origin.answer = [reply(b"", "Content-Length: 100000000", length=False) + bytes(600_000), go_on, RESET]
    client = proxy.client(receive_buffer=4096).send(request("/cut"))
    origin.wait_requests()
    go_on.set()
    proxy.access_line(path="/cut")
    assert len(client.expect_reset()) < 1_000_000
    assert lines() == [("/cut", 200, "upstream_reset")]


@pytest.mark.parametrize("framing, piece", [("Content-Length: 100", b"some"), ("Transfer-Encoding: chunked", b"4\r\nsome\r\n")])
def test_an_origin_resets_in_a_body(proxy, origin, lines, framing, piece):
    origin.answer = lambda connection, _: [connection.reader.until(b"some"), connection.reset()]
    client = proxy.client().send(request("/cut", framing, method="POST") + piece)
    response = client.response()
    assert (response.status, response.error, response.get("Connection")) == (502, "upstream_reset", "close")
    client.expect_closed()
    client.close()
    assert lines() == [("/cut", 502, "upstream_reset")]


def test_an_origin_resets_behind_an_early_answer(proxy, origin, lines):
    """The body was not asked for to its end; the answer counts."""
    def answer(connection, _):
        connection.reader.until(b"some")
        connection.send(reply(b"enough", status="413 Content Too Large"))
        connection.reset()

    origin.answer = answer
    client = proxy.client().send(request("/cut", "Content-Length: 100", method="POST") + b"some")
    response = client.response()
    assert (response.status, response.body, response.error) == (413, b"enough", None)
    client.close()
    assert lines() == [("/cut", 413, None)]


def test_an_origin_resets_behind_its_answer(proxy, origin, lines):
    origin.answer = [reply(b"all"), RESET]
    assert proxy.get("/done").body == b"all"
    assert lines() == [("/done", 200, None)]


def test_an_origin_resets_a_pooled_connection(proxy, origin, lines):
    go_on = threading.Event()
    origin.answer = [[reply(), go_on, RESET], [reply()]]
    client = proxy.client()
    assert client.get("/done").status == 200
    wait_for(lambda: proxy.metric("weir_upstream_connections", upstream="a", state="idle") == 1, "it is pooled")
    go_on.set()
    wait_for(lambda: proxy.metric("weir_upstream_connections", upstream="a") == 0, "the proxy has noticed")
    assert client.get("/next", method="POST", body=b"x").status == 200
    assert len(origin.connections) == 2
    client.close()
    assert lines() == [("/done", 200, None), ("/next", 200, None)]


def test_an_origin_resets_between_pipelined_requests(proxy, origin, lines):
    """Before or after the second is sent: it may be sent again."""
    origin.answer = [[reply(b"1"), RESET], [reply(b"2")]]
    client = proxy.client().send(request("/1") + request("/2"))
    assert [client.response().body for _ in range(2)] == [b"1", b"2"]
    client.close()
    assert lines() == [("/1", 200, None), ("/2", 200, None)]


@pytest.mark.parametrize("state", ["open", "half-closed by the client"])
def test_an_origin_resets_a_tunnel(proxy, origin, lines, state):
    go_on = threading.Event()
    origin.answer = [SWITCH, go_on, RESET]
    client = proxy.client().send(request("/cut", *UPGRADE))
    assert client.response().status == 101
    if state == "half-closed by the client":
        client.shutdown()
    go_on.set()
    assert client.rest() == b""
    client.close()
    assert lines() == [("/cut", 101, "upstream_reset")]


def is_refused(client):
    """Whether one more piece can be sent no more."""
    try:
        client.send(bytes(10_000))
    except OSError:
        return True
    return False


@pytest.mark.parametrize("steps", [[], [HALF_CLOSE]], ids=["open", "half-closed by the origin"])
def test_an_origin_resets_a_tunnel_under_a_client_that_sends(proxy, origin, lines, steps):
    """Its bytes must not vanish: writing finds the reset first, and reading then sees no more than an end."""
    go_on = threading.Event()
    origin.answer = [SWITCH, *steps, go_on, RESET]
    client = proxy.client().send(request("/cut", *UPGRADE))
    assert client.response().status == 101
    client.send(bytes(100_000))
    go_on.set()
    wait_for(lambda: is_refused(client), "the client learns it")
    assert lines() == [("/cut", 101, "upstream_reset")]
