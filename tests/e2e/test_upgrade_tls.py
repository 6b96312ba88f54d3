# e2e/test_upgrade_tls.py - WebSocket to endpoints that speak HTTP/2 by ALPN: over it where they take that, else over HTTP/1.1.
import base64
import hashlib

import pytest

from harness import Authority, reply, request, wait_for
from harness.h2_origin import AlpnOrigin, H2Connection, Settings

WEBSOCKET = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
NO_APPLICATION_PROTOCOL = 120  # the alert of RFC 7301 3.2


def echo(connection, head):
    """HTTP/1.1: switches, and says everything twice."""
    digest = hashlib.sha1(head.get("Sec-WebSocket-Key").encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    connection.send((SWITCH % base64.b64encode(digest).decode()).encode())
    while connection.reader.buffer or connection.reader.fill():
        connection.send(connection.reader.buffer * 2)
        connection.reader.buffer = b""


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(scope="module")
def certificate(ca):
    return ca.make("svc", "IP:127.0.0.1")


@pytest.fixture
def make_both(ca, certificate):
    """make_both(settings=...): an origin that speaks HTTP/2 and HTTP/1.1, and echoes in tunnels of the latter."""
    made = []

    def make_one(**options):
        made.append(AlpnOrigin(ca.server(certificate), **options))
        made[-1].http1.answer = echo
        return made[-1]

    yield make_one
    for origin in made:
        origin.stop()
        assert not origin.http1.failures, origin.http1.failures


@pytest.fixture
def serve(start, ca):
    """serve(origin, max_connections=...): a proxy of one upstream, with TLS and no protocol."""
    def serve_one(*origins, listeners=None, **upstream):
        config = {"listeners": listeners} if listeners else {}
        return start(upstreams={"a": {"endpoints": list(origins), "tls": {"ca": ca.cert}, "connect_timeout": "20s", **upstream}},
                     **config)
    return serve_one


def settled(proxy):
    """The proxy, once it knows by the connection of its start what the endpoint's HTTP/2 takes."""
    wait_for(lambda: proxy.metric("weir_upstream_connections", upstream="a", state="idle") == 1, "it is pooled")
    assert proxy.get("/").status == 200
    return proxy


def open_tunnel(proxy):
    client = proxy.client().send(request("/chat", *WEBSOCKET))
    answer = client.response()
    assert answer.status == 101, answer
    assert answer.get("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    return client


def echoes(client, text=b"hello"):
    client.send(text)
    return client.reader.exactly(2 * len(text)) == 2 * text


def over(origin):
    """The protocols of the origin's connections, in order."""
    return ["h2" if isinstance(c, H2Connection) else "http/1.1" for c in origin.connections]


def expect_unsupported(proxy):
    answer = proxy.client().send(request("/chat", *WEBSOCKET)).response()
    assert (answer.status, answer.error) == (502, "upgrade_unsupported"), answer
    assert proxy.metric("weir_upstream_healthy", upstream="a") == 1


def test_an_endpoint_that_takes_extended_connect_is_asked_by_it(serve, make_both):
    origin = make_both(settings={Settings.ENABLE_CONNECT_PROTOCOL: 1})
    proxy = settled(serve(origin))
    origin.answer = None
    origin.on_head = lambda stream: stream.head(200)
    client = open_tunnel(proxy)
    assert origin.last.field(":protocol") == "websocket"
    client.send(b"up")
    wait_for(lambda: origin.last.body == b"up", "bytes go up")
    origin.last.send(b"down", end=True)
    client.shutdown()
    assert client.rest() == b"down"
    assert over(origin) == ["h2"] and origin.http1.requests == []


def test_one_that_does_not_is_asked_over_http1(serve, make_both):
    origin = make_both()
    proxy = settled(serve(origin))
    assert echoes(open_tunnel(proxy))
    asked = origin.http1.last
    assert (asked.method, asked.target, asked.get("Upgrade")) == ("GET", "/chat", "websocket")
    assert over(origin) == ["h2", "http/1.1"]
    for _ in range(3):
        assert proxy.get("/").status == 200
    assert len(origin.http1.requests) == 1 and over(origin) == ["h2", "http/1.1"], "requests stay with HTTP/2"
    assert echoes(open_tunnel(proxy))
    assert over(origin) == ["h2", "http/1.1", "http/1.1"]
    assert not any(r.field(":method") == "CONNECT" for r in origin.requests)


def test_websockets_of_http2_clients_go_over_http1_as_well(serve, make_both):
    origin = make_both()
    proxy = settled(serve(origin))
    client = proxy.h2_client()
    stream = client.begin("/chat", (":protocol", "websocket"), ("sec-websocket-version", "13"), end=False, method="CONNECT")
    answer = client.answers[stream]
    client.until(lambda: answer.status == 200, "the tunnel is open")
    client.data(stream, b"hello")
    client.until(lambda: answer.body == b"hellohello", "it echoes")
    assert over(origin) == ["h2", "http/1.1"]


def test_many_at_the_first_contact(serve, make_both):
    """Nothing is known yet: they gather on the connection that speaks HTTP/2, learn that it takes none of them, and go on."""
    origin = make_both()
    origin.stop()
    proxy = serve(origin)
    wait_for(lambda: proxy.metric("weir_upstream_connect_failures_total", upstream="a") > 0, "the first connect fails")
    origin.restart()
    clients = [proxy.client().send(request("/chat", *WEBSOCKET)) for _ in range(20)]
    for client in clients:
        assert client.response().status == 101
        assert echoes(client)
    assert len(origin.http1.requests) == 20 and origin.requests == []


def test_a_refused_upgrade_leaves_its_connection_to_the_next(serve, make_both):
    origin = make_both()
    proxy = settled(serve(origin))
    origin.http1.answer = reply(b"no", status="403 Forbidden")
    for _ in range(3):
        answer = proxy.client().send(request("/chat", *WEBSOCKET)).response()
        assert (answer.status, answer.body) == (403, b"no")
        assert proxy.get("/").status == 200
    assert over(origin) == ["h2", "http/1.1"]
    assert len(origin.http1.requests) == 3, "and to nobody else"


def test_one_that_takes_neither_is_not_down_for_it(serve, make_both):
    origin = make_both()
    proxy = settled(serve(origin))
    origin.tls.sni_callback = lambda *_: NO_APPLICATION_PROTOCOL
    expect_unsupported(proxy)
    assert len(origin.connections) == 2 and "takes no WebSocket" in proxy.error_log()
    expect_unsupported(proxy)
    assert len(origin.connections) == 2, "it is remembered"
    assert proxy.get("/").status == 200
    origin.tls.sni_callback = None
    origin.connections[0].send_goaway(2**31 - 1)
    assert origin.connections[0].wait_end()
    assert proxy.get("/").status == 200, "over a new connection"
    assert echoes(open_tunnel(proxy)), "and asked again"


def test_one_that_answers_in_http2_unasked(serve, make_both):
    """RFC 7301 3.2 forbids it to choose what was not offered; where it chooses nothing, its answer is no HTTP/1.1."""
    origin = make_both()
    proxy = settled(serve(origin))
    origin.http1.answer = [b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"]
    answer = proxy.client().send(request("/chat", *WEBSOCKET)).response()
    assert (answer.status, answer.error) == (502, "upstream_invalid")
    assert proxy.metric("weir_upstream_healthy", upstream="a") == 1
    assert proxy.get("/").status == 200


def test_another_endpoint_may_take_it(serve, make_both):
    neither, good = make_both(), make_both()
    proxy = serve(neither, good)
    wait_for(lambda: proxy.metric("weir_upstream_connections", upstream="a", state="idle") == 2, "both are known")
    for _ in range(4):
        assert proxy.get("/").status == 200
    neither.tls.sni_callback = lambda *_: NO_APPLICATION_PROTOCOL
    answers = [proxy.client().send(request("/chat", *WEBSOCKET)).response().status for _ in range(2)]
    assert 101 in answers, "who met the first one went on to the second"


def test_within_max_connections_an_unused_connection_gives_way(serve, make_both):
    origin = make_both()
    proxy = settled(serve(origin, max_connections=1))
    client = open_tunnel(proxy)
    assert echoes(client) and over(origin) == ["h2", "http/1.1"]
    origin.connections[0].wait_end()
    client.close()
    origin.connections[1].wait_end()
    assert proxy.get("/").status == 200


def test_beside_http2_that_is_busy_max_connections_refuses_it(serve, make_both):
    """It could wait for ever: streams come and go, and the connection is never unused."""
    origin = make_both()
    proxy = settled(serve(origin, max_connections=1))
    origin.answer = None
    busy = proxy.client().send(request("/"))
    origin.wait_requests(2)
    answer = proxy.client().send(request("/chat", *WEBSOCKET)).response()
    assert (answer.status, answer.error) == (503, "overloaded")
    origin.last.reply()
    assert busy.response().status == 200
    assert over(origin) == ["h2"]


def test_an_upgrade_that_waits_for_a_full_connection(serve, make_both):
    """Where nothing has room it waits as any request; what comes free is not for it."""
    origin = make_both(settings={Settings.MAX_CONCURRENT_STREAMS: 1})
    proxy = settled(serve(origin, max_connections=1))
    origin.answer = None
    busy = proxy.client().send(request("/"))
    origin.wait_requests(2)
    waiting = proxy.client().send(request("/chat", *WEBSOCKET))
    wait_for(lambda: proxy.metric("weir_upstream_pending", upstream="a") == 1, "it waits")
    origin.last.reply()
    assert busy.response().status == 200
    assert waiting.response().status == 101
    assert echoes(waiting)


def test_a_body_in_front_of_the_tunnel(serve, make_both):
    origin = make_both()
    proxy = settled(serve(origin))
    origin.http1.answer = lambda connection, head: (connection.body(head), echo(connection, head))
    client = proxy.client().send(request("/chat", *WEBSOCKET, method="POST", body=b"hello"))
    assert client.response().status == 101 and echoes(client)


def test_a_reload_and_a_new_connection_change_nothing(serve, make_both):
    origin = make_both()
    proxy = settled(serve(origin))
    tunnel = open_tunnel(proxy)
    proxy.config["limits"] = {"header_count": 100}
    proxy.write_config()
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "test"})[1]["result"] == "applied"
    assert echoes(tunnel)
    assert proxy.get("/").status == 200 and echoes(open_tunnel(proxy))
    assert over(origin) == ["h2", "http/1.1", "http/1.1"]
    origin.connections[0].send_goaway(2**31 - 1)
    origin.connections[0].wait_end()
    assert proxy.get("/").status == 200
    assert over(origin) == ["h2", "http/1.1", "http/1.1", "h2"]
