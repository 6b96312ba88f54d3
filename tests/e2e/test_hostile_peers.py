# e2e/test_hostile_peers.py - endpoints that misuse HTTP/2, clients that misuse TLS: an error for them, and nobody else notices.
import os
import select
import socket
import ssl
import struct
import subprocess

import h2.exceptions
import pytest

from harness import DEADLINE_S, Authority, Origin, Proxy, shadow_factor, wait_for
from harness.h2 import (
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, PUSH_PROMISE,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame,
)
from harness.h2_origin import H2Origin

ROOM_MIB = 16  # what the process may grow by at times
OK = block((":status", "200"))
GET = block((":method", "GET"), (":scheme", "https"), (":authority", "shop.example.com"), (":path", "/odd"))


@pytest.fixture(scope="module", name="ca")
def fixture_ca(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(scope="module", name="house")
def fixture_house(ca):
    shop = ca.make("shop", "DNS:shop.example.com", "DNS:*.example.com")
    other = ca.make("other", "DNS:other.example.org")
    listeners = {
        "web": {"bind": "127.0.0.1:0"},
        "tls": {"bind": "127.0.0.1:0", "tls": {"certificates": [shop.pair(), other.pair()]}},
    }
    upstreams = {
        "odd": {"endpoints": [H2Origin()], "protocol": "http2", "connect_timeout": f"{DEADLINE_S:.0f}s"},
        "a": {"endpoints": [Origin()]},
    }
    routes = [{"name": "odd", "match": {"path": {"prefix": "/odd"}}, "to": "odd", "timeout": "2s", "stream_idle_timeout": "2s"},
              {"name": "all", "to": "a"}]
    # What the sanitizer keeps of freed memory is not the proxy's.
    options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    with Proxy(listeners=listeners, upstreams=upstreams, routes=routes, limits={"header_timeout": "3s"},
               environment={"ASAN_OPTIONS": options.lstrip(":")}) as proxy:
        yield proxy


@pytest.fixture(name="bounded", autouse=True)
def fixture_bounded(proxy):
    """Whatever happens: no rise in memory, and others are served."""
    assert proxy.get("/").status == 200
    proxy.forget_peak()
    before = proxy.peak_kib()
    yield
    growth = proxy.peak_kib() - before
    assert proxy.get("/").status == 200
    assert growth < ROOM_MIB * 1024 * shadow_factor(), f"the process grew by {growth} KiB at times"


# ---- endpoints ---------------------------------------------------------------------------------------------------------


def settings(number, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", number, value))


def goaway(last, error=0):
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, error))


def whole_head(stream, fields):
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, fields)


# What the endpoint writes instead of an answer on stream N, and what becomes of the request.
ODD = {
    "goaway_below": (lambda n: goaway(0), "upstream_reset"),
    "goaway_with_error": (lambda n: goaway(0, 11), "upstream_reset"),
    "goaway_rising": (lambda n: goaway(0) + goaway(n) + whole_head(n, OK), "upstream_reset"),
    "goaway_then_answer": (lambda n: goaway(n) + whole_head(n, OK), None),
    "answer_then_garbage": (lambda n: whole_head(n, OK) + b"\xff" * 64, None),
    "garbage": (lambda n: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 10, "upstream_invalid"),
    "oversized_frame": (lambda n: b"\xff\xff\xff\0\0" + struct.pack(">I", n) + bytes(70000), "upstream_invalid"),
    "oversized_settings": (lambda n: frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 1) * 2000), "upstream_invalid"),
    "settings_beyond_bounds": (lambda n: settings(4, 1 << 31), "upstream_invalid"),
    "settings_push": (lambda n: settings(2, 1), "upstream_invalid"),
    "settings_frame_size": (lambda n: settings(5, 1), "upstream_invalid"),
    "push_promise": (lambda n: frame(PUSH_PROMISE, END_HEADERS, n, struct.pack(">I", 2) + block((":path", "/"))),
                     "upstream_invalid"),
    "headers_on_its_own_stream": (lambda n: whole_head(2, OK), "upstream_invalid"),
    "headers_on_idle_stream": (lambda n: whole_head(n + 200, OK), "upstream_invalid"),
    "data_on_idle_stream": (lambda n: frame(DATA, 0, n + 200, b"x"), "upstream_invalid"),
    "reset_on_idle_stream": (lambda n: frame(RST_STREAM, 0, n + 200, struct.pack(">I", 8)), "upstream_invalid"),
    "data_before_headers": (lambda n: frame(DATA, END_STREAM, n, b"x"), "upstream_invalid"),
    "no_head_in_headers": (lambda n: whole_head(n, b""), "upstream_invalid"),
    "broken_compression": (lambda n: frame(HEADERS, END_HEADERS, n, b"\xff\xff\xff\xff\xff"), "upstream_invalid"),
    "lone_continuation": (lambda n: frame(CONTINUATION, END_HEADERS, n, OK), "upstream_invalid"),
    "interleaved_block": (lambda n: frame(HEADERS, 0, n, OK) + frame(PING, 0, 0, bytes(8)), "upstream_invalid"),
    "padding_too_long": (lambda n: frame(HEADERS, END_HEADERS, n, OK) + frame(DATA, 8, n, b"\xffabc"), "cut"),
    "window_zero": (lambda n: frame(WINDOW_UPDATE, 0, 0, bytes(4)), "upstream_invalid"),
    "window_overflow": (lambda n: frame(WINDOW_UPDATE, 0, n, struct.pack(">I", 0x7FFFFFFF)), "upstream_invalid"),
    "interim_that_ends": (lambda n: whole_head(n, block((":status", "103"))), "upstream_invalid"),
    "many_interims": (lambda n: frame(HEADERS, END_HEADERS, n, block((":status", "103"), ("link", "x" * 500))) * 10000,
                      "upstream_invalid"),
    "compression_bomb": (lambda n: frame(HEADERS, 0, n, b"\x88\x40\x01a\x7f\xa1\x1e" + b"v" * 4000)
                         + frame(CONTINUATION, END_HEADERS, n, b"\xbe" * 16000), "upstream_headers_too_large"),
    "endless_continuation": (lambda n: frame(HEADERS, 0, n, OK) + frame(CONTINUATION, 0, n, block(("x", "y" * 9000))) * 1000,
                             "upstream_invalid"),
    "empty_continuation": (lambda n: frame(HEADERS, 0, n, OK) + frame(CONTINUATION, 0, n) * 100000, "upstream_invalid"),
    "huge_trailers": (lambda n: frame(HEADERS, END_HEADERS, n, OK) + frame(DATA, 0, n, b"x")
                      + frame(HEADERS, 0, n, block(("x", "y" * 9000))) + frame(CONTINUATION, 0, n, block(("x", "y" * 9000))) * 5
                      + frame(CONTINUATION, END_HEADERS, n, b""), "cut"),
    "trailers_with_status": (lambda n: frame(HEADERS, END_HEADERS, n, OK) + frame(DATA, 0, n, b"x")
                             + whole_head(n, OK), "cut"),
    "trailers_without_end": (lambda n: frame(HEADERS, END_HEADERS, n, OK)
                             + frame(HEADERS, END_HEADERS, n, block(("x", "y"))), "cut"),
    "two_heads": (lambda n: frame(HEADERS, END_HEADERS, n, OK) * 2, "cut"),
    "pings": (lambda n: frame(PING, 0, 0, bytes(8)) * 100000, "upstream_invalid"),
    "settings": (lambda n: settings(3, 100) * 100000, "upstream_invalid"),
    "empty_data": (lambda n: frame(HEADERS, END_HEADERS, n, OK) + frame(DATA, 0, n) * 100000, "cut"),
    "unknown": (lambda n: frame(200, 0, 0, bytes(100)) * 100000, "upstream_invalid"),
    "priorities": (lambda n: frame(PRIORITY, 0, n, struct.pack(">IB", 0, 1)) * 100000, "upstream_invalid"),
    "windows": (lambda n: frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)) * 100000, "upstream_invalid"),
    "half_a_frame": (lambda n: whole_head(n, OK)[:-1], "response_timeout"),
    "no_more_streams": (lambda n: settings(3, 0) + whole_head(n, OK), None),
    "no_window": (lambda n: settings(4, 0) + whole_head(n, OK), None),
    "small_table": (lambda n: settings(1, 0) * 3 + whole_head(n, OK), None),
}


def outcome(proxy, path="/odd"):
    """The error that the client is told, `cut` for an answer that breaks off, None for a good one."""
    client = proxy.client()
    client.send(f"GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n".encode())
    try:
        answer = client.response()
    except (ConnectionError, EOFError, AssertionError):
        return "cut"
    finally:
        client.close()
    assert answer.error is not None or answer.status == 200, answer
    return answer.error


def reply_if_open(stream):
    try:
        stream.reply()
    except h2.exceptions.ProtocolError:
        pass  # stream or connection were over already


@pytest.mark.parametrize("name", ODD)
def test_an_endpoint_that_does_what_it_may_not(proxy, name):
    origin = proxy.origins[0]
    make, expected = ODD[name]

    def misbehave(stream):
        try:
            stream.connection.raw(make(stream.id))
        except OSError:
            pass  # it was not let finish

    origin.answer = misbehave
    assert outcome(proxy) == expected
    origin.answer = reply_if_open
    wait_for(lambda: outcome(proxy) is None, "it is served again")
    assert not proxy.reports()


# ---- clients -----------------------------------------------------------------------------------------------------------


class Handshake:
    """A TLS client whose bytes the test sends as it likes."""

    def __init__(self, proxy, ca, alpn=("http/1.1",), **options):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = ca.client(alpn=alpn, **options).wrap_bio(self.incoming, self.outgoing, server_hostname="shop.example.com")
        self.sock = socket.create_connection(proxy.address("tls"), DEADLINE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        proxy.clients.append(self)

    def step(self, action):
        """What it gives, or None when it wants more to read."""
        try:
            return action()
        except ssl.SSLWantReadError:
            return None

    def hello(self):
        assert self.step(self.tls.do_handshake) is None
        return self.outgoing.read()

    def send(self, data, size=1):
        for at in range(0, len(data), size):
            self.sock.sendall(data[at : at + size])

    def receive(self):
        data = self.sock.recv(65536)
        self.incoming.write(data)
        return data

    def finish(self, first):
        """The handshake, a byte at a time."""
        self.send(first)
        while not self.is_agreed():
            self.send(self.outgoing.read())
            assert self.receive(), "closed in the handshake"
        self.send(self.outgoing.read())

    def is_agreed(self):
        try:
            self.tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False

    def write(self, data):
        """Records of a byte each, sent byte by byte."""
        for at in range(len(data)):
            self.tls.write(data[at : at + 1])
        self.send(self.outgoing.read())

    def read(self):
        """The next plain bytes; None at the end of the connection."""
        while (data := self.step(lambda: self.tls.read(65536))) is None:
            if not self.receive():
                return None
        return data

    def plain_rest(self):
        """Plain bytes up to the end, however it comes. One read gives one record, and there may be many."""
        try:
            while self.receive():
                pass
        except ConnectionError:
            pass
        plain = b""
        while data := self.step(lambda: self.tls.read(65536)):
            plain += data
        return plain

    def rest(self):
        """Encrypted bytes up to the end, however it comes."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionError:
            pass

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


def is_well(proxy, ca):
    client = proxy.client("tls", tls=ca.client())
    assert client.get("/").status == 200
    client.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_everything_a_byte_at_a_time(proxy, ca, version, alpn):
    client = Handshake(proxy, ca, [alpn], version=version)
    client.finish(client.hello())
    if alpn == "h2":
        client.write(PREFACE + frame(SETTINGS) + whole_head(1, GET))
    else:
        client.write(b"GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n")
    got = b""
    while b"ok" not in got:
        got += client.read()


@pytest.mark.parametrize("end", ["close", "reset"])
def test_handshakes_that_end_anywhere(proxy, ca, end):
    hello = Handshake(proxy, ca).hello()
    for length in [*range(0, 12), *range(12, len(hello), 16), len(hello)]:
        client = Handshake(proxy, ca)
        client.send(hello[:length], size=4096)
        getattr(client, end)()
    wait_for(lambda: proxy.live()["clients"] <= 1, "all are gone")
    is_well(proxy, ca)


def test_handshakes_that_stall(proxy, ca):
    """Before, in the middle of and behind the ClientHello: they take up little and end in time."""
    crowd = [Handshake(proxy, ca) for _ in range(150)]
    for n, client in enumerate(crowd):
        hello = client.hello()
        client.send(hello[: (0, len(hello) // 2, len(hello))[n % 3]], size=4096)
    wait_for(lambda: proxy.live()["clients"] >= 150, "they are there")
    is_well(proxy, ca)
    for client in crowd:
        client.rest()
    wait_for(lambda: proxy.live()["clients"] <= 1, "all are gone")


def test_records_that_are_broken(proxy, ca):
    proxy.origins[0].answer = reply_if_open
    for broken in [b"\x17\x03\x03\x00\x20" + bytes(32), b"\x17\x03\x03\xff\xff", b"\x80" + bytes(20), 
                   b"\x15\x03\x03\x00\x02\x02\x00",
                   b"\x14\x03\x03\x00\x01\x01" * 100, b"\x16\x03\x03\x00\x04\x01\x00\x00\x00", b"\x17\x03\x03\x00\x00" * 1000]:
        client = Handshake(proxy, ca, ["h2"])
        client.finish(client.hello())
        client.write(PREFACE + frame(SETTINGS) + whole_head(1, GET))
        client.send(broken, size=4096)
        client.rest()
    wait_for(lambda: not proxy.live()["requests"], "their requests are gone")
    is_well(proxy, ca)


def test_another_protocol_than_the_one_agreed_on(proxy, ca):
    client = proxy.client("tls", tls=ca.client(alpn=["h2"]))
    client.send(b"GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n")
    assert b"HTTP/1.1" not in client.rest()
    client = proxy.client("tls", tls=ca.client(alpn=["http/1.1"]))
    client.send(PREFACE + frame(SETTINGS))
    client.sock.settimeout(DEADLINE_S)
    assert client.sock.recv(5), "an answer of either protocol, or the end"
    is_well(proxy, ca)


NAMES = {
    "SHOP.Example.COM": "shop", "shop.example.com.": "shop", "deep.example.com": "shop",
    "a.b.example.com": "shop",
    "other.example.org": "other", "127.0.0.1": "shop", "*.example.org": "shop", ".": "shop", "..": "shop", "example.com": "shop",
    "x" * 255: "shop", "a." * 120 + "example.org": "shop",
    "other.example.org:443": "shop", "other.example.org\x01": "shop", " ": "shop",
}


@pytest.mark.once
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_of_all_kinds_are_asked_for(proxy, name):
    """Whoever is meant, or the first certificate; never a failure of the proxy."""
    done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % proxy.address("tls"), "-servername", name],
                          input=b"", capture_output=True, timeout=DEADLINE_S, check=False)
    assert b"CN = " + NAMES[name].encode() in done.stdout, done


FLOODS = {
    "resets": lambda n: whole_head(n, GET) + frame(RST_STREAM, 0, n, struct.pack(">I", CANCEL)),
    "settings": lambda n: frame(SETTINGS),
    "pings": lambda n: frame(PING, 0, 0, bytes(8)),
    "empty": lambda n: (frame(HEADERS, END_HEADERS, 1, GET) if n == 1 else b"") + frame(DATA, 0, 1),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_floods_inside_tls(proxy, ca, kind):
    proxy.origins[0].answer = None
    client = Handshake(proxy, ca, ["h2"])
    client.finish(client.hello())
    client.tls.write(PREFACE + frame(SETTINGS))
    for first in range(1, 200_000, 20):
        client.tls.write(b"".join(FLOODS[kind](n) for n in range(first, first + 20, 2)))
        try:
            client.sock.sendall(client.outgoing.read())
            if select.select([client.sock], [], [], 0)[0] and not client.receive():
                break
        except ConnectionError:
            break
    else:
        raise AssertionError("the flood came to its end")
    _, goaway, last = client.plain_rest().rpartition(b"\x07\0\0\0\0\0")
    assert goaway and struct.pack(">I", ENHANCE_YOUR_CALM) in last
    wait_for(lambda: not proxy.live()["requests"], "its requests are gone")
    is_well(proxy, ca)
