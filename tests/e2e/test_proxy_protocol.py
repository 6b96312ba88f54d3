# e2e/test_proxy_protocol.py - PROXY headers, versions 1 and 2: whose the connection is, what stands behind, who is refused.
import ipaddress
import itertools
import struct
import subprocess

import pytest

from harness import Authority, Origin, Proxy, request, wait_for
from harness.h2 import PREFACE

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TIMEOUT = "400ms"
BEHIND = {"bind": "127.0.0.1:0", "proxy_protocol": True, "trusted_proxies": ["127.0.0.1", "10.0.0.0/8"]}


def v1(source="203.0.113.9", destination="198.51.100.1", port=4711):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {port} 443\r\n".encode()


def v2(source=None, command=1, family=None, tlvs=b"", port=4711):
    addresses = b""
    if source:
        packed = ipaddress.ip_address(source).packed
        addresses = packed + packed + struct.pack(">HH", port, 443)
        family = 0x11 if len(packed) == 4 else 0x21
    return SIGNATURE + struct.pack(">BBH", 0x20 | command, family or 0, len(addresses + tlvs)) + addresses + tlvs


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(scope="module", name="house")
def fixture_house(ca):
    shop = ca.make("shop", "DNS:shop.example.com")
    routes = [
        {"name": "office", "match": {"path": {"prefix": "/"}, "when": {"source": ["203.0.113.0/24"]}}, "to": "a"},
        {"name": "all", "to": "b"},
    ]
    upstreams = {"a": {"endpoints": [Origin()]}, "b": {"endpoints": [Origin()]}}
    listeners = {"web": BEHIND, "tls": {**BEHIND, "tls": {"certificates": [shop.pair()]}}, "plain": {"bind": "127.0.0.1:0"}}
    listeners = {name: dict(listener) for name, listener in listeners.items()}
    limits = {"header_timeout": TIMEOUT, "idle_timeout": "30s"}
    with Proxy(upstreams=upstreams, routes=routes, listeners=listeners, limits=limits) as proxy:
        yield proxy


numbers = itertools.count()


def ask(proxy, client, *fields):
    """A request; its access line, and what the origin was told of the client."""
    host = f"h{next(numbers)}.example"
    assert client.get("/", *fields, host=host).status == 200
    line = proxy.access_line(host=host)
    seen = [r for origin in proxy.origins for r in origin.requests if r.get("Host") == host]
    assert len(seen) == 1
    return line, seen[0].get("X-Forwarded-For")


HEADERS = {
    "v1 TCP4": (v1(), "203.0.113.9"),
    "v1 TCP6": (v1("2001:db8::7", "2001:db8::1"), "2001:db8::7"),
    "v1 UNKNOWN": (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    "v1 UNKNOWN and more": (b"PROXY UNKNOWN 192.0.2.1 192.0.2.1 1 1\r\n", "127.0.0.1"),
    "v2 TCP4": (v2("203.0.113.9"), "203.0.113.9"),
    "v2 TCP6": (v2("2001:db8::7"), "2001:db8::7"),
    "v2 with TLVs": (v2("203.0.113.9", tlvs=b"\x04\0\x03abc" + b"\x01\0\x08http/1.1"), "203.0.113.9"),
    "v2 of 4 KiB": (v2("203.0.113.9", tlvs=bytes(4096 - 28)), "203.0.113.9"),
    "v2 LOCAL": (v2(command=0), "127.0.0.1"),
    "v2 LOCAL with an address": (v2("203.0.113.9", command=0), "127.0.0.1"),
    "v2 UNSPEC": (v2(), "127.0.0.1"),
    "v2 UNIX": (v2(family=0x31, tlvs=bytes(216)), "127.0.0.1"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_the_client_is_whom_the_header_names(proxy, name):
    header, source = HEADERS[name]
    client = proxy.client(prelude=header)
    for _ in range(2):  # the header stands once, before the first request
        line, forwarded_for = ask(proxy, client)
        assert (line["source"], forwarded_for) == (source, source)
        assert line["route"] == ("office" if source == "203.0.113.9" else "all")


@pytest.mark.parametrize("header", [v1(), v2("203.0.113.9")], ids=["v1", "v2"])
def test_header_and_request_in_one_packet(proxy, header):
    client = proxy.client().send(header + request("/one") + request("/two"))
    assert client.response().status == 200 and client.response().status == 200
    assert {r.get("X-Forwarded-For") for r in proxy.origins[0].requests} == {"203.0.113.9"}


@pytest.mark.parametrize("header", [v1(), v2("203.0.113.9", tlvs=b"\x04\0\x03abc")], ids=["v1", "v2"])
def test_byte_by_byte(proxy, header):
    client = proxy.client()
    for byte in header + request("/"):
        client.send(bytes([byte]))
    assert client.response().status == 200
    assert proxy.origins[0].last.get("X-Forwarded-For") == "203.0.113.9"


@pytest.mark.parametrize("header", [v1(), v2("203.0.113.9")], ids=["v1", "v2"])
def test_tls_begins_behind_the_header(proxy, ca, header):
    line, forwarded_for = ask(proxy, proxy.client("tls", tls=ca.client(), prelude=header))
    assert (line["source"], line["listener"], forwarded_for) == ("203.0.113.9", "tls", "203.0.113.9")
    assert proxy.origins[0].last.get("X-Forwarded-Proto") == "https"


@pytest.mark.parametrize("listener", ["web", "tls"])
def test_http2_begins_behind_the_header(proxy, ca, listener):
    tls = ca.client(alpn=("h2",)) if listener == "tls" else None
    client = proxy.h2_client(listener, tls=tls, prelude=v2("203.0.113.9"))
    assert client.get("/").status == 200
    assert proxy.origins[0].last.get("X-Forwarded-For") == "203.0.113.9"


def test_header_and_preface_byte_by_byte(proxy):
    client = proxy.client()
    for byte in v1() + PREFACE:
        client.send(bytes([byte]))
    assert client.reader.fill() and client.reader.buffer[3] == 4, "SETTINGS"


# ---- whom to believe ---------------------------------------------------------------------------------------------------------


def test_claims_of_the_client_named_are_replaced(proxy):
    line, forwarded_for = ask(proxy, proxy.client(prelude=v1()), "X-Forwarded-For: 192.0.2.66")
    assert (line["source"], forwarded_for) == ("203.0.113.9", "203.0.113.9")


def test_claims_count_when_the_client_named_is_a_trusted_proxy(proxy):
    line, forwarded_for = ask(proxy, proxy.client(prelude=v1("10.1.2.3")), "X-Forwarded-For: 192.0.2.66")
    assert (line["source"], forwarded_for) == ("192.0.2.66", "192.0.2.66, 10.1.2.3")


def test_a_listener_without_the_setting_takes_no_header(proxy):
    client = proxy.client("plain").send(v1() + request("/"))
    assert client.response().status == 400


# ---- refused -----------------------------------------------------------------------------------------------------------------


class Refusals:
    """Counts what a test adds to the metric and to the log."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.before, self.lines = self.counts(), len(self.found())

    def counts(self):
        return [self.proxy.metric("weir_request_errors_total", reason="proxy_header"),
                self.proxy.metric("weir_connections_refused_total")]

    def found(self):
        return [line for line in self.proxy.access_lines() if line.get("reason") == "proxy_header"]

    def expect(self, count, source="127.0.0.1"):
        wait_for(lambda: self.counts() == [n + count for n in self.before], lambda: f"{self.before}: {self.counts()}")
        wait_for(lambda: len(self.found()) == self.lines + count, "an access line each")
        if count:
            assert (self.found()[-1]["status"], self.found()[-1]["source"]) == (0, source)
        return self


BAD = {
    "missing": request("/"),
    "missing, HTTP/2": PREFACE,
    "missing, TLS": b"\x16\x03\x01\x02\0\x01",
    "garbage": bytes(range(256)),
    "v1 garbage": b"PROXY TCP4 nobody nowhere 1 2\r\n",
    "v1 other family": b"PROXY TCP4 2001:db8::1 2001:db8::1 1 2\r\n",
    "v1 bare LF": b"PROXY UNKNOWN\n" + request("/"),
    "v1 too long": b"PROXY UNKNOWN " + bytes(94),
    "v2 version": SIGNATURE + b"\x11\x11\0\x0c" + bytes(12),
    "v2 command": v2("203.0.113.9", command=2),
    "v2 family": v2(family=0x41),
    "v2 too short": SIGNATURE + b"\x21\x11\0\x0b" + bytes(11),
    "v2 too long": SIGNATURE + b"\x21\x11\x0f\xf1",
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_header_is_refused(proxy, name):
    refusals = Refusals(proxy)
    assert proxy.client().send(BAD[name]).rest() == b""
    refusals.expect(1)
    assert not any(origin.requests for origin in proxy.origins)


@pytest.mark.parametrize("header", [v1(), v2("203.0.113.9"), b"", request("/")], ids=["v1", "v2", "nothing", "request"])
def test_a_peer_that_is_not_trusted_is_refused(proxy, header):
    refusals = Refusals(proxy)
    client = proxy.client(source="127.0.0.2")
    try:
        client.send(header)
    except ConnectionError:
        pass  # it was faster
    assert client.rest() == b""
    refusals.expect(1, source="127.0.0.2")


@pytest.mark.parametrize("begun", [b"", b"PROXY TCP4 203", v2("203.0.113.9")[:-1]], ids=["nothing", "v1", "v2"])
def test_a_header_must_come_in_time(proxy, begun):
    refusals = Refusals(proxy)
    assert proxy.client().send(begun).rest() == b""
    refusals.expect(1)


def test_what_has_come_of_a_header_does_not_keep_the_socket_readable(proxy):
    refusals = Refusals(proxy)
    turns = proxy.metric("weir_loop_turns_total")
    assert proxy.client().send(b"PROXY TCP4 203").rest() == b""
    assert proxy.metric("weir_loop_turns_total") - turns < 500
    refusals.expect(1)


def test_the_header_does_not_stand_inside_tls(proxy, ca):
    refusals = Refusals(proxy)
    with pytest.raises(OSError):
        proxy.client("tls", tls=ca.client())
    refusals.expect(1)


@pytest.mark.parametrize("begun, count", [(b"", 0), (b"PROX", 1)])
@pytest.mark.parametrize("how", ["shutdown", "reset"])
def test_a_connection_that_ends_before_its_header(proxy, begun, count, how):
    refusals = Refusals(proxy)
    closed = proxy.metric("weir_connections_closed_total")
    read = proxy.metric("weir_read_bytes_total")
    client = proxy.client().send(begun)
    wait_for(lambda: proxy.live()["clients"] == 1, "it is waited for")
    wait_for(lambda: proxy.metric("weir_read_bytes_total") == read + len(begun), "what was sent is read")
    getattr(client, how)()
    if how == "reset":
        proxy.clients.remove(client)
    wait_for(lambda: proxy.live()["clients"] == 0, "it is gone")
    refusals.expect(count)
    assert proxy.metric("weir_connections_closed_total") == closed + 1 - count


def test_a_header_and_then_nothing(start, origin):
    """From there on a client like any other: idle_timeout, and with TLS header_timeout for the handshake."""
    proxy = start(origin, listeners={"web": dict(BEHIND)}, limits={"idle_timeout": "300ms"})
    proxy.client(prelude=v1()).expect_closed()
    assert proxy.metric("weir_request_errors_total", reason="proxy_header") == 0


def test_a_header_and_then_no_handshake(proxy):
    assert proxy.client("tls", prelude=v1()).rest() == b""
    wait_for(lambda: "203.0.113.9" in proxy.error_log(), "the failed handshake is told of the client, not of its proxy")
    assert proxy.metric("weir_tls_handshakes_total", result="failed") >= 1


# ---- limits, drain, reload ---------------------------------------------------------------------------------------------------


def test_connections_per_source_are_those_of_the_client_named(start, origin):
    proxy = start(origin, listeners={"web": dict(BEHIND)}, limits={"connections_per_source": 2})
    waiting = [proxy.client() for _ in range(3)]  # of the proxy in front, which speaks for many
    wait_for(lambda: proxy.live()["clients"] == 3, "they are waited for")
    held = [client.send(v1()) for client in waiting[:2]]
    assert [client.get("/").status for client in held] == [200, 200]
    response = waiting[2].send(v1() + request("/")).response()
    assert (response.status, response.error) == (503, "connection_limit")
    assert proxy.access_line(reason="connection_limit")["source"] == "203.0.113.9"
    assert proxy.client(prelude=v1("203.0.113.10")).get("/").status == 200
    for client in held:
        client.close()
    wait_for(lambda: proxy.live()["clients"] == 1, "the two are gone")
    for _ in range(2):
        assert proxy.client(prelude=v1()).get("/").status == 200


def test_the_address_of_the_proxy_itself_is_counted_once(start, origin):
    proxy = start(origin, listeners={"web": dict(BEHIND)}, limits={"connections_per_source": 1})
    assert proxy.client(prelude=v1("127.0.0.1")).get("/").status == 200


def test_waiting_connections_count_for_the_limit_of_all(start, origin):
    proxy = start(origin, listeners={"web": dict(BEHIND)}, limits={"connections": 2})
    waiting = [proxy.client(), proxy.client()]
    wait_for(lambda: proxy.live()["clients"] == 2, "they are waited for")
    assert proxy.client().response().error == "connection_limit"
    assert waiting[0].send(v1()).get("/").status == 200


def test_a_drain_ends_who_sends_no_header_and_serves_who_does(start, origin):
    proxy = start(origin, listeners={"web": dict(BEHIND)}, limits={"header_timeout": "60s", "idle_timeout": "60s"})
    silent, begun, late = proxy.client(), proxy.client().send(v1()[:9]), proxy.client()
    wait_for(lambda: proxy.live()["clients"] == 3, "they are waited for")
    proxy.drain()
    late.send(v1())
    response = late.get("/")
    assert (response.status, response.get("Connection")) == (200, "close")
    silent.expect_closed()
    begun.expect_closed()
    proxy.expect_nothing_live()
    assert proxy.metric("weir_request_errors_total", reason="proxy_header") == 0


def reload(proxy):
    proxy.write_config()
    status, answer = proxy.admin("POST", "/api/v1/reload", {"reason": "test"})
    assert status == 200, answer


def test_a_reload_changes_what_new_connections_begin_with(start, origin):
    proxy = start(origin)
    web = proxy.config["listeners"]["web"]
    old = proxy.client()
    assert old.get("/").status == 200
    web.update({"proxy_protocol": True, "trusted_proxies": ["127.0.0.1"]})
    reload(proxy)
    assert old.get("/").status == 200
    assert proxy.client(prelude=v1()).get("/").status == 200
    waiting = proxy.client().send(b"PROXY ")
    wait_for(lambda: proxy.live()["clients"] == 3, "it is waited for")
    web.update({"proxy_protocol": False})
    reload(proxy)
    assert proxy.get("/").status == 200
    assert waiting.send(v1()[6:]).get("/").status == 200
    assert origin.last.get("X-Forwarded-For") == "203.0.113.9"


def test_a_listener_taken_away_serves_who_was_accepted(start, origin):
    proxy = start(origin, listeners={"web": dict(BEHIND), "other": {"bind": "127.0.0.1:0"}})
    waiting, silent = proxy.client().send(b"PROXY "), proxy.client()
    wait_for(lambda: proxy.live()["clients"] == 2, "they are waited for")
    del proxy.config["listeners"]["web"]
    reload(proxy)
    assert waiting.send(v1()[6:]).get("/").status == 200
    assert origin.last.get("X-Forwarded-For") == "203.0.113.9"
    silent.shutdown().expect_closed()


def test_an_ended_proxy_waits_for_no_header(start, origin):
    proxy = start(origin, listeners={"web": dict(BEHIND)}, limits={"header_timeout": "60s"}, drain_timeout="200ms")
    client = proxy.client().send(b"PROXY ")
    wait_for(lambda: proxy.live()["clients"] == 1, "it is waited for")
    proxy.signal(15)
    client.expect_closed()
    assert proxy.process.wait(30) == 0


# ---- who really sends it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--http1.1"], ["--http2-prior-knowledge"]], ids=["HTTP/1.1", "HTTP/2"])
def test_curl(proxy, arguments):
    done = subprocess.run(["curl", "-sS", "-m", "20", "--haproxy-protocol", *arguments, proxy.url()],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "ok"), done.stderr
    assert proxy.origins[1].last.get("X-Forwarded-For") == "127.0.0.1"
