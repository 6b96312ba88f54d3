# e2e/test_tls_upstream.py - TLS towards upstreams: whom it trusts, what it shows, sessions, ends and cuts.
import os
import re
import socket
import ssl
import threading

import pytest

from harness import CLOSE, DEADLINE_S, GOODBYE, HALF_CLOSE, Authority, reply, request, wait_for
from harness.h2_origin import H2Origin
from harness.origin import Connection


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(scope="module")
def good(ca):
    return ca.make("svc", "DNS:svc.internal", "IP:127.0.0.1")


@pytest.fixture
def make_tls_origin(make_origin, ca):
    def make_one(certificate, answer=None, requires=None):
        return make_origin(answer, tls=ca.server(certificate, requires))
    return make_one


@pytest.fixture
def through(start, ca):
    """through(origin, sni=...): a proxy whose upstream is that origin, by TLS, with the authority unless `ca` is given."""
    def through_one(*origins, config=None, **tls):
        tls = {key: value for key, value in {"ca": ca.cert, **tls}.items() if value is not None}
        return start(upstreams={"a": {"endpoints": list(origins), "tls": tls}}, **(config or {}))
    return through_one


def first_pooled(proxy):
    """The proxy, once the connection that it opens at its start is there for requests."""
    wait_for(lambda: proxy.metric("weir_upstream_connections", upstream="a", state="idle") == 1, "the first one is pooled")
    return proxy


def expect_refused(proxy, why):
    answer = proxy.get("/")
    assert answer.status == 502 and answer.error == "upstream_tls", answer
    assert re.search(rf"upstream a: endpoint \S+ is unhealthy: {why}", proxy.error_log()), proxy.error_log()
    assert proxy.metric("weir_upstream_connect_failures_total", upstream="a") >= 1


# ---- whom it trusts -----------------------------------------------------------------------------------------------------


def test_an_address_that_the_certificate_is_for(through, make_tls_origin, good):
    origin = make_tls_origin(good)
    proxy = through(origin)
    assert proxy.get("/").body == b"ok"
    assert origin.connections[-1].sock.version() == "TLSv1.3"


def test_a_name_is_asked_for_and_expected(through, make_tls_origin, ca, good):
    origin = make_tls_origin(good)
    asked = []
    origin.tls.sni_callback = lambda sock, name, context: asked.append(name)
    proxy = through(origin, sni="svc.internal")
    assert proxy.get("/").body == b"ok"
    assert set(asked) == {"svc.internal"}


def test_another_name_is_refused(through, make_tls_origin, good):
    expect_refused(through(make_tls_origin(good), sni="other.internal"), "hostname mismatch")


def test_another_address_is_refused(through, make_tls_origin, ca):
    expect_refused(through(make_tls_origin(ca.make("named", "DNS:svc.internal"))), "IP address mismatch")


def test_an_unknown_authority_is_refused(through, make_tls_origin, ca, good):
    other = Authority(ca.directory, "stranger")
    expect_refused(through(make_tls_origin(good), ca=other.cert), "unable to get local issuer certificate")


def test_the_systems_authorities_do_not_know_ours(through, make_tls_origin, good):
    expect_refused(through(make_tls_origin(good), ca=None), "unable to get local issuer certificate")


def test_an_expired_certificate_is_refused(through, make_tls_origin, ca):
    origin = make_tls_origin(ca.make("stale", "DNS:svc.internal", "IP:127.0.0.1", days=-1))
    expect_refused(through(origin), "certificate has expired")


def test_without_verification_anything_goes(through, make_tls_origin, ca):
    origin = make_tls_origin(ca.make("whoever", "DNS:else.where", days=-1))
    assert through(origin, ca=None, verify=False).get("/").body == b"ok"


def test_an_origin_without_tls(through, origin):
    proxy = through(origin)
    origin.answer = [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", CLOSE]
    assert proxy.get("/").error in ("upstream_tls", "connect_timeout")
    origin.forget()


def test_a_handshake_that_hangs(through, make_origin):
    hanging = socket.socket()
    hanging.bind(("127.0.0.1", 0))
    hanging.listen(16)
    try:
        proxy = through("127.0.0.1:%d" % hanging.getsockname()[1])
        answer = proxy.get("/")
        assert answer.status == 504 and answer.error == "connect_timeout"
    finally:
        hanging.close()


def test_another_endpoint_takes_over(through, make_tls_origin, ca, good):
    bad = make_tls_origin(ca.make("bad", "DNS:bad.internal"))
    proxy = through(bad, make_tls_origin(good))
    for _ in range(4):
        assert proxy.get("/").status == 200
    assert proxy.metric("weir_upstream_healthy", endpoint=bad.address) == 0


# ---- what is spoken -----------------------------------------------------------------------------------------------------


AT_ONCE = 50


@pytest.fixture
def make_h2_origin(ca, good):
    """make_h2_origin(*protocols): speaks HTTP/2, and takes these by ALPN, in this order."""
    made = []

    def make_one(*protocols):
        context = ca.server(good)
        context.set_alpn_protocols(list(protocols))
        made.append(H2Origin(tls=context))
        return made[-1]

    yield make_one
    for origin in made:
        origin.stop()


@pytest.fixture
def make_h1_origin(make_tls_origin, good):
    """make_h1_origin(*protocols): speaks HTTP/1.1, and takes these by ALPN; none: knows no ALPN."""
    def make_one(*protocols):
        origin = make_tls_origin(good)
        origin.tls.set_alpn_protocols(list(protocols))
        return origin
    return make_one


@pytest.fixture
def speaking(start, ca):
    """speaking(origin, protocol="http1"): a proxy whose upstream is that origin, by TLS."""
    def speaking_one(origin, **upstream):
        return start(upstreams={"a": {"endpoints": [origin], "tls": {"ca": ca.cert}, "connect_timeout": "20s", **upstream}})
    return speaking_one


def agreed(origin):
    return {connection.sock.selected_alpn_protocol() for connection in origin.connections}


class Gate:
    """Holds the origin's handshakes until it is opened."""

    def __init__(self, origin):
        self.event = threading.Event()
        origin.tls.sni_callback = self.wait

    def wait(self, *_):
        assert self.event.wait(DEADLINE_S)

    def open(self):
        self.event.set()


def all_at_once(proxy, gate):
    clients = [proxy.client() for _ in range(AT_ONCE)]
    for client in clients:
        client.send(request("/"))
    wait_for(lambda: proxy.live()["exchanges"] == AT_ONCE, "all wait for a connection")
    gate.open()
    for client in clients:
        answer = client.response()
        assert (answer.status, answer.body) == (200, b"ok"), answer
    for result in ("ok", "failed"):
        assert not proxy.metric("weir_retries_total", upstream="a", result=result)


def test_http2_where_both_speak_it(speaking, make_h2_origin):
    origin = make_h2_origin("h2", "http/1.1")
    proxy = first_pooled(speaking(origin))
    for _ in range(3):
        assert proxy.get("/").status == 200
    assert len(origin.connections) == 1 and agreed(origin) == {"h2"}
    assert origin.last.field(":scheme") == "https"


@pytest.mark.parametrize("protocols", [["http/1.1"], []])
def test_http1_where_http2_is_not_agreed_on(speaking, make_h1_origin, protocols):
    origin = make_h1_origin(*protocols)
    proxy = first_pooled(speaking(origin))
    for _ in range(3):
        assert proxy.get("/").body == b"ok"
    assert len(origin.connections) == 1 and agreed(origin) == {protocols[0] if protocols else None}


def test_http1_that_is_asked_for_is_all_that_is_offered(speaking, make_h1_origin):
    origin = make_h1_origin("h2", "http/1.1")
    assert speaking(origin, protocol="http1").get("/").body == b"ok"
    assert agreed(origin) == {"http/1.1"}


def test_many_at_the_first_contact_with_http2(speaking, make_h2_origin):
    origin = make_h2_origin("h2")
    gate = Gate(origin)
    all_at_once(speaking(origin), gate)
    assert len(origin.connections) <= 2 and agreed(origin) == {"h2"}, "one of them opened when the proxy started"


@pytest.mark.parametrize("protocols", [["http/1.1"], []])
def test_many_at_the_first_contact_with_http1(speaking, make_h1_origin, protocols):
    origin = make_h1_origin(*protocols)
    gate = Gate(origin)
    all_at_once(speaking(origin), gate)
    assert len(origin.requests) == AT_ONCE and len(origin.connections) <= AT_ONCE + 1


def test_many_at_the_first_contact_through_few_connections(speaking, make_h1_origin):
    origin = make_h1_origin("http/1.1")
    gate = Gate(origin)
    all_at_once(speaking(origin, max_connections=3), gate)
    assert len(origin.requests) == AT_ONCE
    assert 3 <= len(origin.connections) <= 4, "the one of the start may give way to a request"


def test_an_endpoint_that_comes_back_with_http1(speaking, make_h2_origin):
    origin = make_h2_origin("h2")
    proxy = speaking(origin)
    assert proxy.get("/").status == 200 and agreed(origin) == {"h2"}
    origin.stop()
    for connection in origin.connections:
        connection.send_goaway(1)
        connection.wait_end()
    origin.forget()
    origin.connection_kind, origin.answer = Connection, reply()
    origin.tls.set_alpn_protocols(["http/1.1"])
    gate = Gate(origin)
    origin.restart()
    all_at_once(proxy, gate)
    assert len(origin.requests) == AT_ONCE and agreed(origin) <= {"http/1.1"}


def http2_through(start, ca, origin):
    return start(upstreams={"a": {"endpoints": [origin], "protocol": "http2", "tls": {"ca": ca.cert}}})


def test_an_origin_that_speaks_http1_alone_is_not_spoken_to_in_http2(start, make_tls_origin, ca, good):
    expect_refused(http2_through(start, ca, make_tls_origin(good)), "it does not speak HTTP/2 over TLS")


def test_http2_is_agreed_on(start, ca, good):
    context = ca.server(good)
    context.set_alpn_protocols(["http/1.1", "h2"])
    origin = H2Origin(tls=context)
    proxy = first_pooled(http2_through(start, ca, origin))
    for _ in range(3):
        assert proxy.get("/").status == 200
    assert len(origin.connections) == 1 and origin.connections[0].sock.selected_alpn_protocol() == "h2"
    origin.stop()


# ---- what it shows ----------------------------------------------------------------------------------------------------------


def test_a_certificate_of_its_own(through, make_tls_origin, ca, good):
    own = ca.make("weir")
    origin = make_tls_origin(good, requires=ca)
    shown = []
    origin.answer = lambda connection, head: (shown.append(connection.sock.getpeercert()), connection.send(reply()))
    proxy = through(origin, cert=own.cert, key=own.key)
    assert proxy.get("/").body == b"ok"
    assert (("commonName", "weir"),) in shown[0]["subject"]
    assert proxy.metric("weir_tls_certificate_expiry_timestamp_seconds", certificate=own.cert) > 0


def test_an_origin_that_wants_one_and_gets_none(through, make_tls_origin, ca, good):
    answer = through(make_tls_origin(good, requires=ca)).get("/")
    assert answer.status == 502 and answer.error in ("upstream_tls", "upstream_reset")


# ---- connections and sessions -----------------------------------------------------------------------------------------------


def test_a_connection_is_used_again(through, make_tls_origin, good):
    origin = make_tls_origin(good)
    proxy = first_pooled(through(origin))
    for _ in range(5):
        assert proxy.get("/").status == 200
    assert len(origin.connections) == 1, "tickets that come on an idle connection do not close it"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_used_again(through, make_tls_origin, good, version):
    origin = make_tls_origin(good)
    origin.tls.maximum_version = version
    resumed = []
    origin.answer = lambda connection, head: (resumed.append(connection.sock.session_reused),
                                              connection.send(reply(b"ok", "Connection: close")), CLOSE)[-1]
    proxy = through(origin)
    for _ in range(4):
        assert proxy.get("/").status == 200
    assert resumed[-1] is True and resumed[-2] is True, resumed


def test_a_reload_that_changes_nothing_of_it_keeps_its_connections(through, make_tls_origin, good):
    origin = make_tls_origin(good)
    proxy = first_pooled(through(origin))
    assert proxy.get("/").status == 200
    proxy.config["limits"] = {"header_count": 100}
    proxy.write_config()
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "test"})[1]["result"] == "applied"
    assert proxy.get("/").status == 200 and len(origin.connections) == 1


def test_a_reload_that_changes_whom_it_trusts(through, make_tls_origin, ca, good):
    proxy = through(make_tls_origin(good))
    assert proxy.get("/").status == 200
    proxy.config["upstreams"]["a"]["tls"]["sni"] = "other.internal"
    proxy.write_config()
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "test"})[1]["result"] == "applied"
    expect_refused(proxy, "hostname mismatch")


# ---- bytes, ends and cuts -----------------------------------------------------------------------------------------------------


def test_large_bodies_both_ways(through, make_tls_origin, good):
    body = os.urandom(1 << 20)
    origin = make_tls_origin(good, lambda connection, head: connection.send(reply(connection.body(head))))
    proxy = through(origin)
    assert proxy.get("/", method="POST", body=body).body == body


def test_a_slow_client_holds_the_origin(through, make_tls_origin, good):
    body = os.urandom(8 << 20)
    origin = make_tls_origin(good, reply(body))
    proxy = through(origin)
    client = proxy.client(receive_buffer=4096)
    client.send(request("/"))
    wait_for(lambda: proxy.live()["chunks"] > 8, "bytes wait for the client")
    assert proxy.live()["chunks"] < 60
    assert client.response().body == body


def test_a_body_that_only_the_end_delimits(through, make_tls_origin, good):
    origin = make_tls_origin(good, [b"HTTP/1.1 200 OK\r\n\r\nall of it", GOODBYE])
    assert through(origin).get("/").body == b"all of it"


def test_a_body_that_was_cut_is_not_passed_on_as_complete(through, make_tls_origin, good):
    origin = make_tls_origin(good, [b"HTTP/1.1 200 OK\r\n\r\nmaybe not all of it", HALF_CLOSE])
    proxy = through(origin)
    client = proxy.client()
    client.send(request("/"))
    client.expect_reset()
    assert proxy.access_line(status=200)["reason"] == "upstream_reset"


UPGRADE = [b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"]


def tunnel(proxy):
    client = proxy.client()
    client.send(request("/", "Connection: Upgrade", "Upgrade: websocket"))
    assert client.response().status == 101
    return client


def test_a_tunnel(through, make_tls_origin, good):
    def echo(connection, head):
        connection.send(UPGRADE[0])
        while connection.reader.fill():
            connection.send(connection.reader.buffer)
            connection.reader.buffer = b""
        return CLOSE
    proxy = through(make_tls_origin(good, echo))
    client = tunnel(proxy)
    for size in (1, 100, 100000):
        data = os.urandom(size)
        client.send(data)
        assert client.reader.exactly(size) == data
    client.close()


def test_a_tunnel_that_was_cut(through, make_tls_origin, good):
    proxy = through(make_tls_origin(good, [*UPGRADE, HALF_CLOSE]))
    tunnel(proxy).expect_reset()


def test_from_tls_to_tls(start, make_tls_origin, ca, good):
    body = os.urandom(300000)
    origin = make_tls_origin(good, lambda connection, head: connection.send(reply(connection.body(head))))
    proxy = start(listeners={"web": {"bind": "127.0.0.1:0", "tls": {"certificates": [good.pair()]}}},
                  upstreams={"a": {"endpoints": [origin], "tls": {"ca": ca.cert}}})
    client = proxy.client(tls=ca.client(), server_name="svc.internal")
    for _ in range(3):
        assert client.get("/", method="POST", body=body).body == body
