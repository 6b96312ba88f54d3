# e2e/test_http2.py - HTTP/2 from clients: how it is recognised, many streams, bodies, trailers, tunnels, ends.
import base64
import fcntl
import hashlib
import signal
import socket
import subprocess
import termios
import threading
import time
from contextlib import contextmanager

import pytest

from harness import CLOSE, HOLD, RESET, Authority, Origin, Proxy, chunked, reply, request, wait_for
from harness.h2 import (
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, HEADERS, INTERNAL_ERROR, NO_ERROR, PREFACE,
    PRIORITY, PROTOCOL_ERROR, SETTINGS, WINDOW_UPDATE, H2Client, block, frame, head,
)

PIECE = bytes(range(256)) * 4096  # 1 MiB
LAST_STREAM = 2**31 - 1
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x-gone\r\nx-gone: 1\r\n\r\n"
SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
LIMITS = {"headers": "8KiB", "header_count": 40, "request_line": "2KiB", "header_timeout": "400ms"}


@pytest.fixture(scope="module", name="house")
def fixture_house():
    routes = [
        {"name": "own", "match": {"path": {"prefix": "/own"}}, "respond": {"status": 200, "body": "own\n"}},
        {"name": "small", "match": {"path": {"prefix": "/small"}}, "to": "a", "limits": {"body": "1000B"}},
        {"name": "slow", "match": {"path": {"prefix": "/slow"}}, "to": "a", "stream_idle_timeout": "500ms"},
        {"name": "closed", "match": {"path": {"prefix": "/closed"}}, "to": "a", "websocket": False},
        {"name": "all", "match": {"host": ["example.com"]}, "to": "a"},
    ]
    with Proxy(Origin(), routes=routes, limits=LIMITS) as proxy:
        yield proxy


@pytest.fixture(name="origin")
def fixture_origin(proxy):
    return proxy.origins[0]


@pytest.fixture(name="client")
def fixture_client(proxy):
    return proxy.h2_client()


# ---- how it begins -----------------------------------------------------------------------------------------------------


def test_a_request_goes_through(proxy, origin, client):
    answer = client.get("/path?query=1")
    assert (answer.status, answer.body, answer.is_complete) == (200, b"ok", True)
    seen = origin.last
    assert (seen.method, seen.target, seen.get("Host")) == ("GET", "/path?query=1", "example.com")
    line = proxy.access_line(path="/path")
    assert (line["protocol"], line["status"], line["query"], line["sent_bytes"]) == ("HTTP/2", 200, "query=1", 2)
    assert "protocol_minor" not in line
    assert proxy.metric("weir_connections", protocol="http2") == 1
    client.close()
    wait_for(lambda: proxy.metric("weir_connections", protocol="http2") == 0, "the gauge falls")
    assert proxy.metric("weir_connections", protocol="http1") == 0


def test_curl_speaks_it(proxy):
    run = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-w", "%{http_version} %{http_code}",
                          "-H", "Host: example.com", proxy.url("/curl")], capture_output=True, check=True, timeout=30)
    assert run.stdout == b"ok2 200"


def test_the_preface_may_come_byte_by_byte(proxy):
    client = proxy.client()
    for byte in PREFACE + frame(SETTINGS):
        client.send(bytes([byte]))
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block(*head("/own"))))
    client.reader.until(b"own\n")


def test_a_preface_that_stops_is_a_slow_head(proxy):
    client = proxy.client()
    client.send(PREFACE[:10])
    answer = client.response()
    assert (answer.status, answer.error) == (408, "header_timeout")


@pytest.mark.parametrize("method", ["P", "PR", "PRI", "POST", "PRIX"])
def test_methods_that_begin_like_the_preface_are_http1(proxy, origin, method):
    answer = proxy.client().get("/", method=method)
    assert answer.status == 200
    assert origin.last.method == method


def test_only_the_first_bytes_are_a_preface(proxy):
    client = proxy.client()
    assert client.get("/").status == 200
    answer = client.send(PREFACE).response()
    assert (answer.status, answer.error) == (505, "version_refused")
    client.expect_closed()


def test_http1_says_which_it_was(proxy):
    proxy.get("/eleven")
    line = proxy.access_line(path="/eleven")
    assert (line["protocol"], line["protocol_minor"]) == ("HTTP/1.1", 1)
    proxy.get("/ten", version="1.0")
    line = proxy.access_line(path="/ten")
    assert (line["protocol"], line["protocol_minor"]) == ("HTTP/1.0", 0)


# ---- heads -------------------------------------------------------------------------------------------------------------


def test_what_the_origin_sees(origin, client):
    client.get("/", ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"), ("priority", "u=1, i"), ("x-twice", "1"),
               ("x-twice", "2"))
    seen = origin.last
    assert seen.get("Via").startswith("2 weir-")
    assert (seen.get("X-Forwarded-Proto"), seen.get("X-Forwarded-Host")) == ("http", "example.com")
    assert seen.get("X-Forwarded-For") == "127.0.0.1"
    assert seen.get("Cookie") == "a=1; b=2"
    assert seen.get("TE") == "trailers"
    assert seen.get("Priority".lower()) == "u=1, i"
    assert seen.all("x-twice") == ["1", "2"]
    assert not [name for name, _ in seen.fields if name.startswith(":")]


def test_a_request_that_comes_back_is_a_loop(origin, client):
    client.get("/")
    via = origin.last.get("Via")
    answer = client.get("/", ("via", via))
    assert (answer.status, answer.error) == (508, "loop")


def test_what_belongs_to_the_origins_connection_stays_there(origin, client):
    origin.answer = reply(b"ok", "Connection: keep-alive, x-hop", "Keep-Alive: timeout=5", "x-hop: 1", "Set-Cookie: a=1",
                          "Set-Cookie: b=2", "X-Mixed-Case: 1")
    answer = client.get("/")
    names = [name for name, _ in answer.fields]
    assert all(name == name.lower() for name in names)
    assert not {"connection", "keep-alive", "x-hop", "transfer-encoding", "upgrade"} & set(names)
    assert [value for name, value in answer.fields if name == "set-cookie"] == ["a=1", "b=2"]
    assert answer.get("x-mixed-case") == "1"
    assert answer.get("content-length") == "2"


def test_a_head_has_the_length_and_no_body(origin, client):
    origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"
    answer = client.get("/", method="HEAD")
    assert (answer.status, answer.get("content-length"), answer.body) == (200, "12345", b"")
    assert answer.is_complete


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body(origin, client, status):
    origin.answer = f"HTTP/1.1 {status}\r\nETag: x\r\n\r\n".encode()
    answer = client.get("/")
    assert (answer.status, answer.body, answer.is_complete) == (int(status[:3]), b"", True)
    origin.answer = reply(b"next")
    assert client.get("/").body == b"next"


def test_early_hints_come_first(origin, client):
    origin.answer = EARLY_HINTS + EARLY_HINTS + reply(b"ok")
    answer = client.get("/")
    assert [dict(fields)[":status"] for fields in answer.interim] == ["103", "103"]
    assert dict(answer.interim[0])["link"] == "</a.css>; rel=preload"
    assert "x-gone" not in dict(answer.interim[0])
    assert (answer.status, answer.body) == (200, b"ok")


def test_the_body_waits_for_100_continue(origin, client):
    def answer(connection, request_seen):
        assert request_seen.get("Expect") == "100-continue"
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.send(reply(connection.body(request_seen)))

    origin.answer = answer
    stream = client.begin("/", ("expect", "100-continue"), ("content-length", "5"), end=False, method="POST")
    client.until(lambda: client.answers[stream].interim, "a 100 comes")
    client.data(stream, b"hello", end=True)
    assert client.answer(stream).body == b"hello"


def test_trailers_go_both_ways(origin, client):
    origin.answer = lambda connection, seen: connection.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunked(connection.body(seen), trailers=b"X-Sum: " + seen.trailers[0][1].encode() + b"\r\nContent-Length: 9\r\n"))
    stream = client.begin("/", ("te", "trailers"), end=False, method="POST")
    client.data(stream, b"data")
    client.trailers(stream, ("x-check", "17"), ("authorization", "no"))
    answer = client.answer(stream)
    assert (answer.body, answer.trailers) == (b"data", [("x-sum", "17")])
    assert origin.last.trailers == [("x-check", "17")]
    assert origin.last.is_chunked


def test_a_length_is_kept_and_trailers_behind_it_end_here(origin, client):
    origin.answer = lambda connection, seen: connection.send(reply(connection.body(seen)))
    for body in (b"data", b""):
        stream = client.begin("/", ("content-length", str(len(body))), ("trailer", "x-check"), end=False, method="POST")
        if body:
            client.data(stream, body)
        client.trailers(stream, ("x-check", "17"))
        assert client.answer(stream).body == body
        assert not origin.last.is_chunked and origin.last.length == len(body) and not origin.last.trailers
    assert client.get("/").status == 200, "and nothing is left over"


# ---- bodies ------------------------------------------------------------------------------------------------------------


def echo(connection, seen):
    body = connection.body(seen)
    connection.send(reply(body))


@pytest.mark.parametrize("fields", [(), (("content-length", str(4 * len(PIECE))),)], ids=["open", "length"])
def test_large_bodies_go_up_and_down(proxy, origin, client, fields):
    origin.answer = echo
    stream = client.begin("/big", *fields, end=False, method="POST")
    client.data(stream, PIECE * 4, end=True)
    answer = client.answer(stream)
    assert answer.body == PIECE * 4
    assert (origin.last.length, origin.last.is_chunked) == ((4 * len(PIECE), False) if fields else (None, True))
    line = proxy.access_line(path="/big", received_bytes=4 * len(PIECE), sent_bytes=4 * len(PIECE))
    assert "reason" not in line


def test_an_answer_of_open_length(origin, client):
    origin.answer = [b"HTTP/1.1 200 OK\r\n\r\n" + PIECE, CLOSE]
    answer = client.get("/")
    assert (answer.body == PIECE, answer.is_complete) == (True, True)


def test_a_hundred_streams_at_once(origin, client):
    ready = threading.Barrier(100, timeout=30)

    def answer(connection, seen):
        ready.wait()  # all are at the origin before one is answered
        connection.send(reply(seen.target.encode() * 2000))

    origin.answer = answer
    streams = [client.begin(f"/{n:02}") for n in range(100)]
    for n, stream in enumerate(streams):
        assert client.answer(stream).body == b"/%02d" % n * 2000


def test_answers_of_one_turn_leave_in_one_write(proxy, client):
    client.ping()
    reads, writes = proxy.metric("weir_read_calls_total"), proxy.metric("weir_write_calls_total")
    for _ in range(32):
        client.prepare("/own")
    client.flush()
    for stream in list(client.answers):
        assert client.answer(stream).body == b"own\n"
    assert proxy.metric("weir_read_calls_total") - reads <= 3
    assert proxy.metric("weir_write_calls_total") - writes <= 3


class OneTurn:
    """An origin whose answers are all there when the proxy, stopped meanwhile, goes on: they come in one turn."""

    def __init__(self, proxy, origin, count, body):
        self.proxy, self.count, self.body = proxy, count, body
        self.arrived = threading.Barrier(count + 1, timeout=30)
        self.go = threading.Event()
        self.sent = threading.Semaphore(0)
        origin.answer = self.answer

    def answer(self, connection, seen):
        self.arrived.wait()
        self.go.wait(30)
        connection.send(reply(self.body(seen)))
        self.sent.release()

    @contextmanager
    def begun(self):
        """What is done inside reaches the proxy ahead of the answers."""
        self.arrived.wait()
        self.proxy.signal(signal.SIGSTOP)
        try:
            yield
            self.go.set()
            for _ in range(self.count):
                assert self.sent.acquire(timeout=30)
        finally:
            self.proxy.signal(signal.SIGCONT)


def test_answers_of_one_turn_that_are_more_than_a_queue_holds(proxy, origin, client):
    turn = OneTurn(proxy, origin, 64, lambda seen: seen.target.encode() * 4000)
    client.state.increment_flow_control_window(1 << 24)
    streams = [client.begin(f"/{n:02}") for n in range(64)]
    with turn.begun():
        pass
    for n, stream in enumerate(streams):
        assert client.answer(stream).body == b"/%02d" % n * 4000


def has_arrived(sock):
    """All that was sent is at the peer's kernel."""
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), "little") == 0


def test_an_answer_that_ends_in_the_turn_of_its_reset(proxy, origin, client):
    turn = OneTurn(proxy, origin, 1, lambda seen: b"ok")
    stream = client.begin("/overflow")
    with turn.begun():
        client.send(frame(WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff"))
        wait_for(lambda: has_arrived(client.sock), "the reset's cause comes first")
    assert client.answer(stream).reset == FLOW_CONTROL_ERROR
    assert proxy.access_line(path="/overflow")["reason"] == "malformed"
    assert client.get("/own").status == 200


def test_a_stream_that_waits_holds_up_no_other(proxy, origin):
    """One answer that nobody reads, one request that its origin does not read; the others go on."""
    let_go = threading.Event()

    def answer(connection, seen):
        if seen.target == "/large":
            connection.send(reply(PIECE * 8))
        elif seen.target == "/unread":
            let_go.wait(30)
            connection.send(reply(connection.body(seen)[-2:]))
        else:
            connection.body(seen)
            connection.send(reply(b"ok"))

    origin.answer = answer
    client = proxy.h2_client(opens_windows=False)
    large = client.begin("/large")
    unread = client.begin("/unread", end=False, method="POST")
    sent = 0
    while client.state.local_flow_control_window(unread) > 0 or client.ping().state.local_flow_control_window(unread) > 0:
        size = min(16384, client.state.local_flow_control_window(unread))
        client.state.send_data(unread, b"x" * size)
        sent += size
        client.flush()
    for n in range(20):
        stream = client.begin(f"/{n}")
        client.state.increment_flow_control_window(1000)
        client.flush()
        assert client.answer(stream).body == b"ok"
    assert not client.answers[large].is_over
    assert sent >= 65535
    let_go.set()
    client.data(unread, b"end", end=True)
    client.opens_windows = True
    client.state.increment_flow_control_window(1 << 24)
    client.state.increment_flow_control_window(1 << 24, large)
    client.flush()
    assert client.answer(large).body == PIECE * 8
    assert client.answer(unread).body == b"nd"


def test_a_window_held_at_zero_ends_in_time(proxy, origin):
    """The answer never leaves: the stream is reset, its request logged as the client's fault, the connection stays."""
    client = proxy.h2_client(settings={4: 0})
    origin.answer = reply(b"x" * 1000)
    answer = client.answer(client.begin("/slow"))
    assert (answer.reset, answer.body) == (INTERNAL_ERROR, b"")
    line = proxy.access_line(path="/slow", reason="client_slow")
    assert line["status"] == 200
    assert client.get("/own", method="HEAD").status == 200


def test_a_reader_that_stops_ends_in_time(proxy, origin):
    origin.answer = reply(PIECE * 8)
    client = proxy.h2_client(opens_windows=False)
    stream = client.begin("/slow")
    answer = client.answer(stream)
    assert answer.reset == INTERNAL_ERROR
    assert 0 < len(answer.body) <= 65535
    proxy.access_line(path="/slow", reason="client_slow")
    client.opens_windows = True
    client.state.increment_flow_control_window(1 << 20)
    client.flush()
    origin.answer = reply()
    assert client.get("/").body == b"ok"


# ---- tunnels -----------------------------------------------------------------------------------------------------------


def upgrade(client, path="/chat"):
    return client.begin(path, (":protocol", "websocket"), ("sec-websocket-version", "13"), end=False, method="CONNECT")


def switch(seen):
    """The origin's consent, with the answer to the key (RFC 6455 4.2.2)."""
    digest = hashlib.sha1(seen.get("Sec-WebSocket-Key").encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return (SWITCH % base64.b64encode(digest).decode()).encode()


class Tunnel:
    """Both ends of a tunnel through the proxy; the origin's is the test's to drive."""

    def __init__(self, origin, client):
        self.ended = threading.Event()
        origin.answer = self.hold
        self.client = client
        self.stream = upgrade(client)
        self.answer = client.answers[self.stream]
        client.until(lambda: self.answer.fields, "the tunnel opens")
        self.origin = origin.connections[0]

    def hold(self, connection, seen):
        connection.send(switch(seen))
        self.ended.wait()
        return CLOSE


@pytest.fixture(name="tunnel")
def fixture_tunnel(origin, client):
    made = Tunnel(origin, client)
    yield made
    made.ended.set()


def test_a_websocket_becomes_an_upgrade(proxy, origin, tunnel):
    client, answer = tunnel.client, tunnel.answer
    assert client.remote_settings[8] == 1  # ENABLE_CONNECT_PROTOCOL
    assert [name for name, _ in answer.fields] == [":status"]
    assert answer.status == 200
    seen = origin.last
    assert (seen.method, seen.target, seen.get("Upgrade"), seen.get("Connection").lower()) == (
        "GET", "/chat", "websocket", "upgrade")
    assert len(seen.get("Sec-WebSocket-Key")) == 24
    assert seen.get("Sec-WebSocket-Version") == "13"
    assert not seen.is_chunked and seen.length is None
    client.data(tunnel.stream, b"there")
    assert tunnel.origin.reader.exactly(5) == b"there"
    tunnel.origin.send(b"back")
    client.until(lambda: answer.body == b"back", "it comes back")
    assert not answer.is_over
    client.data(tunnel.stream, b"", end=True)
    assert tunnel.origin.reader.rest() == b""
    tunnel.origin.send(b" again")
    tunnel.ended.set()
    assert client.answer(tunnel.stream).body == b"back again"
    line = proxy.access_line(path="/chat")
    assert (line["status"], line["received_bytes"], line["sent_bytes"]) == (101, 5, 10)
    assert "reason" not in line


def test_much_goes_through_a_tunnel_both_ways(tunnel):
    client, answer = tunnel.client, tunnel.answer
    received = []
    reader = threading.Thread(target=lambda: received.append(tunnel.origin.reader.exactly(4 * len(PIECE))), daemon=True)
    writer = threading.Thread(target=lambda: tunnel.origin.send(PIECE * 4), daemon=True)
    reader.start()
    writer.start()
    client.data(tunnel.stream, PIECE * 4)
    client.until(lambda: sum(map(len, answer.parts)) == 4 * len(PIECE), "all came back")
    reader.join(30)
    writer.join(30)
    assert answer.body == PIECE * 4 and received[0] == PIECE * 4
    tunnel.ended.set()
    client.data(tunnel.stream, b"", end=True)
    assert client.answer(tunnel.stream).is_complete


def test_the_origin_ends_its_direction_first(tunnel):
    client, answer = tunnel.client, tunnel.answer
    tunnel.origin.send(b"bye")
    tunnel.origin.sock.shutdown(socket.SHUT_WR)
    assert client.answer(tunnel.stream).body == b"bye"
    client.data(tunnel.stream, b"still there", end=True)
    assert tunnel.origin.reader.rest() == b"still there"
    assert answer.reset is None


def test_a_tunnel_that_its_client_resets(proxy, tunnel):
    tunnel.client.cancel(tunnel.stream)
    tunnel.ended.set()
    tunnel.origin.wait_end()
    proxy.access_line(path="/chat", status=101, reason="client_aborted")


def test_what_is_sent_ahead_of_the_tunnel_waits(origin, client):
    let_go = threading.Event()

    def answer(connection, seen):
        let_go.wait(30)
        connection.send(switch(seen))
        connection.send(connection.reader.exactly(5))
        return CLOSE

    origin.answer = answer
    stream = upgrade(client)
    client.data(stream, b"ahead", end=True)
    client.ping()
    origin.wait_requests()
    assert origin.connections[0].reader.buffer == b""
    let_go.set()
    assert client.answer(stream).body == b"ahead"


def test_an_origin_that_does_not_know_the_key(origin, client):
    origin.answer = [(SWITCH % "abc").encode(), HOLD]
    answer = client.answer(upgrade(client))
    assert (answer.status, answer.error) == (502, "upstream_invalid")


def test_an_upgrade_that_the_origin_refuses(origin, client):
    origin.answer = reply(b"no", status="403 Forbidden")
    answer = client.answer(upgrade(client))
    assert (answer.status, answer.body) == (403, b"no")


def test_a_route_may_refuse_websockets(client):
    answer = client.answer(upgrade(client, "/closed"))
    assert (answer.status, answer.error) == (403, "websocket_refused")


def test_connect_is_not_served(client):
    stream = client.begin(None, end=False, method="CONNECT", scheme=None, authority="example.com:443")
    answer = client.answer(stream)
    assert (answer.status, answer.error) == (501, "method_refused")


# ---- ends --------------------------------------------------------------------------------------------------------------


def test_a_cancelled_request_is_cancelled_at_the_origin(proxy, origin, client):
    origin.answer = HOLD
    stream = client.begin("/cancelled")
    origin.wait_requests()
    client.cancel(stream)
    origin.connections[0].wait_end()
    line = proxy.access_line(path="/cancelled")
    assert (line.get("status", 0), line["reason"]) == (0, "client_aborted")
    assert client.get("/own").status == 200


def test_cancelled_in_the_middle_of_the_answer(proxy, origin, client):
    origin.answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", HOLD]
    stream = client.begin("/half")
    client.until(lambda: client.answers[stream].body, "half of it comes")
    client.cancel(stream)
    origin.connections[0].wait_end()
    line = proxy.access_line(path="/half")
    assert (line["status"], line["reason"], line["sent_bytes"]) == (200, "client_aborted", 4)


def test_a_client_that_vanishes(proxy, origin, client):
    origin.answer = HOLD
    for _ in range(10):
        client.begin("/vanish")
    origin.wait_requests(10)
    client.close()
    for connection in origin.connections:
        connection.wait_end()
    wait_for(lambda: sum(line["reason"] == "client_aborted" for line in proxy.access_lines() if line.get("path") == "/vanish") == 10,
             "ten lines")


@pytest.mark.parametrize("how", [RESET, CLOSE])
def test_a_cut_answer_is_a_reset(proxy, origin, client, how):
    origin.answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", how]
    answer = client.get("/cut")
    assert (answer.status, answer.reset, answer.is_complete) == (200, INTERNAL_ERROR, False)
    proxy.access_line(path="/cut", reason="upstream_reset")
    assert client.get("/own").body == b"own\n"


def test_an_early_answer_is_whole(origin, client):
    """The origin answers without reading: the answer comes, then the rest of the body is declined."""
    def answer(connection, _):
        connection.send(reply(b"early", "Connection: close"))
        return CLOSE

    origin.answer = answer
    stream = client.begin("/", end=False, method="POST")
    client.data(stream, b"x" * 100)
    assert client.answer(stream).body == b"early"
    client.until(lambda: client.answers[stream].reset is not None, "the rest is declined")
    assert client.answers[stream].reset == NO_ERROR


@pytest.mark.parametrize("fields", [(), (("content-length", "2000"),)], ids=["open", "length"])
def test_a_body_that_is_too_large(proxy, client, fields):
    stream = client.begin("/small", *fields, end=False, method="POST")
    client.data(stream, b"x" * 2000)
    answer = client.answer(stream)
    assert (answer.status, answer.error) == (413, "body_too_large")
    client.until(lambda: answer.reset is not None, "the rest is declined")
    assert answer.reset == NO_ERROR
    proxy.access_line(path="/small", status=413)
    assert client.get("/small").status == 200


@pytest.mark.parametrize("path,fields,status,code", [
    ("/" + "x" * 2100, (), 414, "target_too_long"),
    ("/", tuple((f"x-{n}", "1") for n in range(50)), 431, "headers_too_large"),
    ("/", tuple((f"x-{n}", "y" * 900) for n in range(10)), 431, "headers_too_large"),
    ("/", (("expect", "more"),), 417, "expectation"),
    ("/%00", (), 400, "bad_path"),
])
def test_heads_that_are_refused(client, path, fields, status, code):
    answer = client.get(path, *fields)
    assert (answer.status, answer.error) == (status, code)
    assert client.get("/own").status == 200


def test_no_route(proxy, client):
    answer = client.get("/", authority="unknown.example.com")
    assert (answer.status, answer.error, answer.body) == (404, "no_route", b"no_route: no route matches\n")
    proxy.access_line(host="unknown.example.com", reason="no_route", status=404)


MALFORMED = {
    "upper_case": head("/", ("X-Upper", "1")),
    "connection": head("/", ("connection", "close")),
    "transfer_encoding": head("/", ("transfer-encoding", "chunked")),
    "te": head("/", ("te", "gzip")),
    "late_pseudo": [("x-a", "1")] + head("/"),
    "no_path": head(None),
    "empty_path": head(""),
    "relative_path": head("x"),
    "no_scheme": head("/", scheme=None),
    "twice": head("/", (":path", "/b")),
    "unknown_pseudo": head("/", (":status", "200")),
    "host_differs": head("/", ("host", "other.example.com")),
    "newline": head("/", ("x-a", "1\r\nx-b: 2")),
    "outer_space": head("/", ("x-a", " 1")),
    "path_space": head("/a b"),
    "length_twice": head("/", ("content-length", "1"), ("content-length", "2")),
    "body_without_length": head("/", ("content-length", "5")),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_heads_are_reset(proxy, origin, client, name):
    client.ping()
    answer = client.answer(client.begin_raw(*MALFORMED[name]))
    assert (answer.reset, answer.fields) == (PROTOCOL_ERROR, [])
    assert not origin.requests
    line = proxy.access_line(reason="bad_host" if name == "host_differs" else "malformed", protocol="HTTP/2")
    assert line.get("status", 0) == 0
    assert client.get("/own").status == 200


def test_a_head_that_does_not_end(proxy):
    client = proxy.h2_client().ping()
    client.send(frame(HEADERS, END_STREAM, 1, block(*head("/never"))))
    client.rest()
    assert client.goaways and client.goaways[-1][0] != NO_ERROR
    wait_for(lambda: proxy.live()["requests"] == 0, "nothing is left of it")


def test_priority_does_no_harm(client):
    client.ping()
    client.send(frame(PRIORITY, 0, 1, b"\0\0\0\0\x10") + frame(PRIORITY, 0, 7, b"\0\0\0\1\x10"))
    client.send(frame(16, 0, 0, b"\0\0\0\1u=0"))  # PRIORITY_UPDATE
    client.send(frame(250, 255, 0, b"unknown"))
    assert client.get("/own").status == 200


# ---- the connection's end ----------------------------------------------------------------------------------------------


def test_a_drain_says_goodbye_in_two_steps(start, make_origin):
    let_go = threading.Event()
    origin = make_origin(lambda connection, seen: (let_go.wait(30), connection.send(reply(b"late"))))
    proxy = start(origin)
    client = proxy.h2_client()
    stream = client.begin("/")
    origin.wait_requests()
    proxy.drain()
    client.until(lambda: client.goaways, "a GOAWAY")
    assert client.goaways == [(NO_ERROR, LAST_STREAM)]
    client.until(lambda: len(client.goaways) == 2, "the real one")
    assert client.goaways[1] == (NO_ERROR, stream)
    assert client.order == ["GOAWAY", "PING", "GOAWAY"]
    let_go.set()
    assert client.answer(stream).body == b"late"
    client.rest()
    assert client.has_ended == "fin"


def test_a_drain_closes_who_is_idle(start, make_origin):
    proxy = start(make_origin())
    used, unused = proxy.h2_client(), proxy.h2_client().ping()
    assert used.get("/").status == 200
    proxy.drain()
    for client in (used, unused):
        client.rest()
        assert [error for error, _ in client.goaways] == [NO_ERROR, NO_ERROR]
        assert client.has_ended == "fin"


def test_a_drain_does_not_wait_for_a_ping(start, make_origin):
    """A peer that never answers it is gone after a while all the same."""
    proxy = start(make_origin())
    client = proxy.client()
    client.send(PREFACE + frame(SETTINGS) + frame(HEADERS, END_STREAM | END_HEADERS, 1, block(*head("/"))))
    client.reader.until(b"ok")
    proxy.drain()
    client.rest()


def test_a_drain_does_not_wait_for_a_ping_behind_an_answer(start, make_origin):
    """The answer comes after the time for the PING is over: then the answer is the end."""
    let_go = threading.Event()
    origin = make_origin(lambda connection, seen: (let_go.wait(30), connection.send(reply(b"late"))))
    proxy = start(origin)
    client = proxy.client()
    client.send(PREFACE + frame(SETTINGS) + frame(HEADERS, END_STREAM | END_HEADERS, 1, block(*head("/"))))
    origin.wait_requests()
    proxy.drain()
    time.sleep(1.5)  # longer than the proxy waits for the PING: nothing tells when it has given up
    let_go.set()
    client.reader.until(b"late")
    client.rest()


def test_requests_on_their_way_at_the_first_goaway_are_served(start, make_origin):
    proxy = start(make_origin(), routes=[{"name": "own", "respond": {"status": 200, "body": "own"}}])
    client = proxy.h2_client().ping()
    proxy.drain()
    stream = client.begin("/")  # it has not read the GOAWAY yet
    assert client.answer(stream).body == b"own"
    client.rest()


def test_an_old_connection_says_goodbye(start, make_origin):
    let_go = threading.Event()
    origin = make_origin(lambda connection, seen: (let_go.wait(30), connection.send(reply(b"late"))))
    proxy = start(origin, limits={"max_connection_age": "300ms"})
    client = proxy.h2_client()
    stream = client.begin("/")
    client.until(lambda: len(client.goaways) == 2, "two GOAWAYs while the request waits")
    let_go.set()
    assert client.answer(stream).body == b"late"
    client.rest()
    assert client.has_ended == "fin"


def test_an_idle_connection_says_goodbye(start, make_origin):
    proxy = start(make_origin(), limits={"idle_timeout": "300ms"})
    client = proxy.h2_client()
    assert client.get("/").status == 200
    client.rest()
    assert [error for error, _ in client.goaways] == [NO_ERROR, NO_ERROR]


def test_a_stop_answers_what_is_under_way(start, make_origin):
    origin = make_origin(HOLD)
    proxy = start(origin, drain_timeout="500ms")
    client = proxy.h2_client()
    stream = client.begin("/")
    origin.wait_requests()
    proxy.signal(15)
    answer = client.answer(stream)
    assert (answer.status, answer.error) == (503, "draining")
    proxy.process.wait(30)


def test_a_reload_under_load_fails_nothing(start, make_origin):
    origin = make_origin()
    proxy = start(origin)
    client = proxy.h2_client()
    for n in range(20):
        streams = [client.begin(f"/{n}") for _ in range(10)]
        proxy.config["routes"] = [{"name": f"r{n}", "to": "a", "response_headers": {"set": {"x-route": str(n)}}}]
        proxy.write_config()
        code, outcome = proxy.admin("POST", "/api/v1/reload", {"reason": "test"})
        assert code == 200, outcome
        for stream in streams:
            assert client.answer(stream).status == 200
        wait_for(lambda: client.get("/").get("x-route") == str(n), "new requests meet the new routes")  # pylint: disable=cell-var-from-loop
    assert not client.goaways


# ---- over TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="ca")
def fixture_ca(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(name="secure")
def fixture_secure(start, make_origin, ca):
    certificate = ca.make("shop", "DNS:shop.example.com")
    return start(make_origin(), listeners={"tls": {"bind": "127.0.0.1:0", "tls": {"certificates": [certificate.pair()]}}})


def test_the_handshake_agrees_on_it(secure, ca):
    client = secure.h2_client("tls", tls=ca.client(alpn=("http/1.1", "h2")))
    assert client.sock.selected_alpn_protocol() == "h2"
    secure.origins[0].answer = echo
    assert client.get("/", method="POST", body=PIECE).body == PIECE
    assert secure.origins[0].last.get("X-Forwarded-Proto") == "https"
    line = secure.access_line(protocol="HTTP/2")
    assert line["tls"] == "TLSv1.3"
    assert secure.metric("weir_connections", listener="tls", protocol="http2") == 1


def test_who_offers_http1_gets_it(secure, ca):
    client = secure.client("tls", tls=ca.client(alpn=("http/1.1",)))
    assert client.sock.selected_alpn_protocol() == "http/1.1"
    assert client.get("/").status == 200


def test_what_was_agreed_on_must_follow(secure, ca):
    client = secure.client("tls", tls=ca.client(alpn=("h2",)))
    client.send(request("/"))
    data = client.rest()
    assert b"HTTP/1.1" not in data
    assert not secure.origins[0].requests


# ---- with other clients ------------------------------------------------------------------------------------------------


def test_h2load(start, make_origin):
    proxy = start(make_origin(reply(b"x" * 1000)), workers=2)
    run = subprocess.run(["h2load", "-n2000", "-c8", "-m16", proxy.url("/")], capture_output=True, text=True, timeout=60, check=True)
    assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in run.stdout, run.stdout
    assert "status codes: 2000 2xx" in run.stdout, run.stdout


def test_nghttp_posts_with_trailers(start, make_origin, tmp_path):
    (tmp_path / "body").write_bytes(PIECE)
    origin = make_origin(echo)
    proxy = start(origin)
    run = subprocess.run(["nghttp", "--data", str(tmp_path / "body"), "--no-content-length", "--trailer", "x-sum: 1", proxy.url("/")], capture_output=True,
                         timeout=60, check=True)
    assert run.stdout == PIECE
    assert origin.last.trailers == [("x-sum", "1")]
