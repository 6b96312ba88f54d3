# e2e/test_upgrade.py - WebSocket and other tunnels: the switch, bytes both ways, half-close, refusals.
import threading

import pytest

from harness import CLOSE, HOLD, Origin, Proxy, reply, request

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: abc\r\n\r\n"
WEBSOCKET = ["Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: xyz", "Sec-WebSocket-Version: 13"]
PIECE = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture(scope="module", name="house")
def fixture_house():
    routes = [
        {"name": "closed", "match": {"path": {"prefix": "/closed"}}, "to": "a", "websocket": False},
        {"name": "all", "to": "a"},
    ]
    with Proxy(Origin(), routes=routes) as proxy:
        yield proxy


@pytest.fixture(name="origin")
def fixture_origin(proxy):
    return proxy.origins[0]


class Tunnel:
    """Both ends of a tunnel through the proxy."""

    def __init__(self, proxy, origin):
        self.ended = threading.Event()
        origin.answer = self.hold
        self.client = proxy.client().send(request("/chat", *WEBSOCKET))
        self.response = self.client.response()
        assert self.response.status == 101
        self.origin = origin.wait_connections(1)[0]

    def hold(self, connection, _):
        """The test drives the origin's socket."""
        connection.send(SWITCH)
        self.ended.wait()
        return CLOSE

    def end(self):
        self.ended.set()


@pytest.fixture(name="tunnel")
def fixture_tunnel(proxy, origin):
    made = Tunnel(proxy, origin)
    yield made
    made.client.close()
    made.end()


def test_the_switch_goes_through(proxy, origin, tunnel):
    seen, response = origin.last, tunnel.response
    assert (seen.get("Upgrade"), seen.get("Connection").lower()) == ("websocket", "upgrade")
    assert seen.get("Sec-WebSocket-Key") == "xyz"
    assert (response.get("Upgrade"), response.get("Connection").lower()) == ("websocket", "upgrade")
    assert response.get("Sec-WebSocket-Accept") == "abc"
    assert not response.has("Content-Length") and not response.has("Transfer-Encoding")


def test_bytes_go_both_ways(tunnel):
    for n in range(20):
        tunnel.client.send(b"there %d" % n + bytes([0, 255, 13, 10]))
        assert tunnel.origin.reader.until(b"\r\n") == b"there %d\x00\xff\r\n" % n
        tunnel.origin.send(b"GET / HTTP/1.1\r\n\r\n%d\n" % n)
        assert tunnel.client.reader.until(b"%d\n" % n) == b"GET / HTTP/1.1\r\n\r\n%d\n" % n


def test_much_goes_both_ways_at_once(tunnel):
    count = 16

    def pump(send):
        for _ in range(count):
            send(PIECE)

    threads = [threading.Thread(target=pump, args=(send,)) for send in (tunnel.client.send, tunnel.origin.send)]
    came = []
    threads.append(threading.Thread(target=lambda: came.append(tunnel.origin.reader.exactly(count * len(PIECE)))))
    for thread in threads:
        thread.start()
    assert tunnel.client.reader.exactly(count * len(PIECE)) == PIECE * count
    for thread in threads:
        thread.join()
    assert came[0] == PIECE * count


def test_the_client_may_stop_sending_first(tunnel):
    tunnel.client.send(b"bye").shutdown()
    assert tunnel.origin.reader.rest() == b"bye"  # its FIN came through
    for n in range(3):
        tunnel.origin.send(b"still %d\n" % n)
        assert tunnel.client.reader.until(b"\n") == b"still %d\n" % n
    tunnel.end()
    tunnel.client.expect_closed()


def test_the_origin_may_stop_sending_first(tunnel):
    tunnel.origin.send(b"bye")
    tunnel.origin.play(["half-close"])
    assert tunnel.client.reader.rest() == b"bye"
    for n in range(3):
        tunnel.client.send(b"still %d\n" % n)
        assert tunnel.origin.reader.until(b"\n") == b"still %d\n" % n
    tunnel.client.shutdown()
    assert tunnel.origin.reader.rest() == b""


def test_much_goes_on_behind_a_half_close(tunnel):
    tunnel.client.shutdown()
    assert tunnel.origin.reader.rest() == b""
    sender = threading.Thread(target=lambda: (tunnel.origin.send(PIECE * 4), tunnel.end()))
    sender.start()
    assert tunnel.client.reader.rest() == PIECE * 4
    sender.join()


def test_a_client_that_vanishes_ends_the_tunnel(proxy, tunnel):
    tunnel.client.reset()
    try:
        assert tunnel.origin.reader.rest() == b""
    except ConnectionResetError:
        pass
    assert proxy.access_line(path="/chat", status=101)


def test_an_origin_that_vanishes_ends_the_tunnel(tunnel):
    tunnel.origin.reset()
    assert tunnel.client.rest() == b""


def test_bytes_right_behind_the_switch_belong_to_the_tunnel(proxy, origin):
    def answer(connection, _):
        connection.send(SWITCH + b"\x81\x05hello")
        assert connection.reader.until(b"!") == b"early!"
        connection.send(b"done")
        return CLOSE

    origin.answer = answer
    client = proxy.client().send(request("/chat", *WEBSOCKET) + b"early!")
    assert client.response().status == 101
    assert client.reader.rest() == b"\x81\x05hellodone"


def test_a_fin_in_front_of_the_switch_belongs_to_the_tunnel(proxy, origin):
    go_on = threading.Event()

    def answer(connection, _):
        go_on.wait()
        connection.send(SWITCH)
        assert connection.reader.rest() == b"early!"
        connection.send(b"done")
        return CLOSE

    origin.answer = answer
    client = proxy.client().send(request("/chat", *WEBSOCKET) + b"early!").shutdown()
    origin.wait_requests(1)
    go_on.set()
    assert client.response().status == 101
    assert client.reader.rest() == b"done"


def test_a_refused_switch_is_an_ordinary_answer(proxy, origin):
    origin.answer = reply(b"no", status="426 Upgrade Required")
    client = proxy.client()
    for _ in range(2):
        response = client.get("/chat", *WEBSOCKET)
        assert (response.status, response.body) == (426, b"no")
    assert client.get("/plain").status == 426
    assert len(origin.connections) == 1


def test_what_follows_a_refused_switch_is_a_request(proxy, origin):
    client = proxy.client().send(request("/chat", *WEBSOCKET) + request("/next"))
    assert [client.response().status, client.response().status] == [200, 200]
    assert [r.target for r in origin.requests] == ["/chat", "/next"]


def test_a_route_may_refuse_upgrades(proxy, origin):
    response = proxy.get("/closed/chat", *WEBSOCKET)
    assert (response.status, response.error) == (403, "websocket_refused")
    assert proxy.get("/closed/plain").status == 200
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    "fields, version",
    [
        (["Upgrade: websocket"], "1.1"),
        (["Connection: upgrade"], "1.1"),
        (["Connection: upgrade", "Upgrade: websocket"], "1.0"),
        (["Connection: upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"], "1.1"),
        (["Connection: upgrade", "Upgrade: websocket, h2c"], "1.1"),
        (["Connection: upgrade", "Upgrade: websocket", "Upgrade: other"], "1.1"),
    ],
)
def test_what_asks_for_no_switch_gets_none(proxy, origin, fields, version):
    assert proxy.get("/chat", *fields, version=version).status == 200
    assert not origin.last.has("Upgrade") and not origin.last.has("Connection")
    origin.answer = [SWITCH, HOLD]
    response = proxy.get("/chat", *fields, version=version)
    assert (response.status, response.error) == (502, "upstream_invalid")


def test_an_upgrade_may_have_a_body(proxy, origin):
    """RFC 9110 7.8 lets it: the body comes first, then the tunnel."""
    def answer(connection, seen):
        assert connection.body(seen) == b"hello"
        connection.send(SWITCH)
        assert connection.reader.until(b"!") == b"tunnel!"
        return CLOSE

    origin.answer = answer
    client = proxy.client().send(request("/chat", *WEBSOCKET, method="POST", body=b"hello") + b"tunnel!")
    assert client.response().status == 101
    client.expect_closed()


def test_tunnels_are_counted_and_logged(proxy, tunnel):
    tunnel.client.send(b"12345")
    assert tunnel.origin.reader.exactly(5) == b"12345"
    tunnel.origin.send(b"123")
    assert tunnel.client.reader.exactly(3) == b"123"
    if proxy.has_admin():
        assert proxy.metric("weir_requests_in_flight", route="all") == 1
    seen = len(proxy.access_lines())
    tunnel.client.shutdown()
    tunnel.end()
    tunnel.client.expect_closed()
    line = proxy.access_line(path="/chat", status=101, received_bytes=5, sent_bytes=3)
    assert "reason" not in line
    assert len(proxy.access_lines()) > seen
