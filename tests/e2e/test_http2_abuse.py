# e2e/test_http2_abuse.py - what HTTP/2 lets a peer do for nothing: it is closed or starved, and nobody else notices.
import os
import select
import socket
import struct
import threading

import pytest

from harness import HOLD, Origin, Proxy, reply, shadow_factor, wait_for
from harness.h2 import (
    ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY,
    PROTOCOL_ERROR, RST_STREAM, SETTINGS, WINDOW_UPDATE, H2Client, block, frame, head,
)

MIB = 1 << 20
LARGE = bytes(range(256)) * 4096  # 1 MiB
WAITING_MOST_CHUNKS = 40  # of 16 KiB, for one answer of 1 MiB: a stream pauses its source, and one turn may bring some more
GET_OWN = block(*head("/own"))
GET_HANG = block(*head("/hang"))
POST_HANG = block(*head("/hang", method="POST"))


@pytest.fixture(scope="module", name="house")
def fixture_house():
    def answer(connection, seen):
        if seen.target.startswith("/hang"):
            return connection.play([HOLD])
        return connection.send(reply(LARGE if seen.target.startswith("/large") else b"ok"))

    routes = [
        {"name": "own", "match": {"path": {"prefix": "/own"}}, "respond": {"status": 200, "body": "own\n"}},
        {"name": "all", "to": "a", "stream_idle_timeout": "1s"},
    ]
    # What the sanitizer keeps of freed memory is not the proxy's.
    options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    with Proxy(Origin(answer), routes=routes, environment={"ASAN_OPTIONS": options.lstrip(":")}) as proxy:
        yield proxy


class Bystander:
    """Another client that goes on with its requests, one after the other, while something happens."""

    def __init__(self, proxy):
        self.client = H2Client(proxy.address())
        self.count, self.failure = 0, None
        self.room_mib = 16  # what the process may grow by at times
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.is_over.is_set():
                answer = self.client.get("/own" if self.count % 2 else "/")
                assert answer.status == 200, answer
                self.count += 1
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def end(self):
        """It has got an answer since, and never anything else."""
        seen = self.count
        wait_for(lambda: self.count > seen + 1 or self.failure, "the other client's requests go on")
        self.is_over.set()
        self.thread.join(30)
        self.client.close()
        assert self.failure is None, repr(self.failure)


@pytest.fixture(name="others", autouse=True)
def fixture_others(proxy):
    bystander = Bystander(proxy)
    wait_for(lambda: bystander.count > 10 or bystander.failure, "it has begun")
    proxy.forget_peak()
    before = proxy.peak_kib()
    yield bystander
    growth = proxy.peak_kib() - before
    bystander.end()
    assert growth < bystander.room_mib * 1024 * shadow_factor(), f"the process grew by {growth} KiB at times"


class Attacker:
    """Writes raw frames and reads, or does not, what comes back."""

    def __init__(self, proxy, reads=True, settings=b""):
        self.sock = socket.create_connection(proxy.address())
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.reads, self.received, self.is_closed = reads, bytearray(), False
        proxy.clients.append(self)
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings) + frame(SETTINGS, ACK))

    def read(self):
        try:
            while data := self.sock.recv(1 << 16):
                self.received += data
            self.is_closed = True
        except BlockingIOError:
            pass
        except ConnectionError:
            self.is_closed = True

    def send(self, data, deadline_s=30):
        """False: the peer does not take it any more."""
        view = memoryview(data)
        while len(view) > 0 and not self.is_closed:
            readable, writable, _ = select.select([self.sock] if self.reads else [], [self.sock], [], deadline_s)
            if readable:
                self.read()
            if writable:
                try:
                    view = view[self.sock.send(view):]
                except ConnectionError:
                    self.is_closed = True
            if not readable and not writable:
                return False
        return not self.is_closed

    def flood(self, pieces):
        """How many were sent before the connection was closed; all of them: None."""
        for count, piece in enumerate(pieces):
            if not self.send(piece):
                return count
        return None

    def frames(self):
        """(kind, flags, stream, payload) of all that came."""
        at, data = 0, bytes(self.received)
        while at + 9 <= len(data):
            length = int.from_bytes(data[at : at + 3], "big")
            kind, flags, stream = struct.unpack(">BBI", data[at + 3 : at + 9])
            yield kind, flags, stream, data[at + 9 : at + 9 + length]
            at += 9 + length

    def until(self, condition, deadline_s=30):
        """Reads until the condition holds; False: the connection was closed first."""
        while not condition():
            if self.is_closed:
                return False
            assert select.select([self.sock], [], [], deadline_s)[0], "nothing comes"
            self.read()
        return True

    def goaway(self):
        """The error it was told, at the end of the connection."""
        self.reads = True

        def is_closed():
            self.read()
            return self.is_closed

        wait_for(is_closed, "the connection is closed")
        errors = [struct.unpack(">I", payload[4:8])[0] for kind, _, _, payload in self.frames() if kind == GOAWAY]
        return errors[-1] if errors else None

    def close(self):
        self.sock.close()


def expect_calm(attacker, pieces):
    """The flood does not come to its end, and its sender is told why."""
    attacker.flood(pieces)
    assert attacker.goaway() == ENHANCE_YOUR_CALM


def odd(count):
    return range(1, 2 * count, 2)


def test_rapid_reset(proxy):
    """CVE-2023-44487: streams are begun and reset at once, so that no limit on their number is ever met."""
    origin = proxy.origins[0]
    pair = lambda s: frame(HEADERS, END_STREAM | END_HEADERS, s, GET_HANG) + frame(RST_STREAM, 0, s, struct.pack(">I", CANCEL))
    attacker = Attacker(proxy)
    expect_calm(attacker, (b"".join(pair(s) for s in range(first, first + 100, 2)) for first in range(1, 200_000, 100)))
    wait_for(lambda: proxy.live()["requests"] <= 1, "its requests are gone")
    assert sum(seen.target == "/hang" for seen in origin.requests) < 10_000


def hanging(s, more=b"", *fields):
    """A request that goes on, and what comes behind its head."""
    return frame(HEADERS, END_HEADERS, s, block(*head("/hang", *fields, method="POST"))) + more


PROVOKED = {
    "window_overflow": lambda s: hanging(s, frame(WINDOW_UPDATE, 0, s, struct.pack(">I", 0x7FFFFFFF))),
    "malformed": lambda s: frame(HEADERS, END_STREAM | END_HEADERS, s, block(*head("/hang", ("connection", "close")))),
    "length_exceeded": lambda s: hanging(s, frame(DATA, END_STREAM, s, b"xxx"), ("content-length", "1")),
    "trailers_without_end": lambda s: hanging(s, frame(HEADERS, END_HEADERS, s, block(("x-trailer", "1")))),
    "malformed_trailers": lambda s: hanging(s, frame(HEADERS, END_STREAM | END_HEADERS, s, block((":path", "/")))),
}


def resets(attacker):
    return sum(kind == RST_STREAM for kind, _, _, _ in attacker.frames())


@pytest.mark.parametrize("name", PROVOKED)
def test_resets_provoked_by_faults(proxy, name):
    """CVE-2025-8671: the peer breaks rules so that the proxy resets. It is the resets that count, not the frames that provoke
    them; each is waited for, so that it is not the number of streams that ends it."""
    attacker = Attacker(proxy)
    for count, stream in enumerate(odd(300), 1):
        if not attacker.send(PROVOKED[name](stream)) or not attacker.until(lambda wanted=count: resets(attacker) >= wanted):
            break
    assert attacker.goaway() == ENHANCE_YOUR_CALM
    assert resets(attacker) < 300
    wait_for(lambda: proxy.live()["requests"] <= 1, "its requests are gone")


@pytest.mark.parametrize("name", PROVOKED)
def test_resets_provoked_all_at_once(proxy, name):
    """Nobody waits for an answer: then more streams are open than may be, which is as good an end."""
    attacker = Attacker(proxy)
    attacker.flood(PROVOKED[name](s) for s in odd(20_000))
    assert attacker.goaway() in (ENHANCE_YOUR_CALM, PROTOCOL_ERROR)
    assert resets(attacker) < 300
    wait_for(lambda: proxy.live()["requests"] <= 1, "its requests are gone")


ENDS_AT_ONCE = {
    "window_update_zero": lambda s: hanging(s, frame(WINDOW_UPDATE, 0, s, struct.pack(">I", 0))),
    "short_priority": lambda s: hanging(s, frame(PRIORITY, 0, s, bytes(4))),
    "headers_of_a_stream_in_use": lambda s: frame(HEADERS, END_STREAM | END_HEADERS, s, GET_HANG) * 2,
    "headers_on_themselves": lambda s: frame(HEADERS, 0x20 | END_HEADERS, s, struct.pack(">IB", s, 16) + POST_HANG),
}


@pytest.mark.parametrize("name", ENDS_AT_ONCE)
def test_faults_that_need_no_second(proxy, name):
    """The rest of what provokes a reset elsewhere ends the connection here."""
    attacker = Attacker(proxy)
    attacker.flood(ENDS_AT_ONCE[name](s) for s in odd(20_000))
    assert attacker.goaway() not in (0, None)
    assert resets(attacker) < 300
    wait_for(lambda: proxy.live()["requests"] <= 1, "its requests are gone")


def test_continuation_flood(proxy):
    """CVE-2024-27316: a header block that does not end."""
    attacker = Attacker(proxy)
    assert attacker.send(frame(HEADERS, END_STREAM, 1, GET_OWN))
    piece = frame(CONTINUATION, 0, 1, block(*[(f"x-{n}", "y" * 500) for n in range(30)]))
    assert attacker.flood(piece for _ in range(10_000)) is not None
    assert attacker.goaway() not in (0, None)


def test_empty_continuation_flood(proxy):
    attacker = Attacker(proxy)
    assert attacker.send(frame(HEADERS, END_STREAM, 1, GET_OWN))
    attacker.flood(frame(CONTINUATION, 0, 1) * 100 for _ in range(10_000))
    assert attacker.goaway() not in (0, None)


FLOODS = {
    "settings": frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 100)),
    "empty_settings": frame(SETTINGS),
    "ping": frame(PING, 0, 0, b"12345678"),
    "priority": frame(PRIORITY, 0, 9, struct.pack(">IB", 0, 16)),
    "window_update": frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)),
    "priority_update": frame(16, 0, 0, b"\0\0\0\1u=0"),
    "reset_closed": frame(RST_STREAM, 0, 1, struct.pack(">I", CANCEL)),
    "unknown": frame(200, 0, 0, b""),
    "unknown_large": frame(200, 0, 0, b"x" * 16000),
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods_of_frames_without_work(proxy, name):
    attacker = Attacker(proxy)
    attacker.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, GET_OWN))
    expect_calm(attacker, (FLOODS[name] * 50 for _ in range(20_000)))


@pytest.mark.parametrize("name", ["settings", "ping"])
def test_floods_whose_answers_nobody_reads(proxy, name):
    attacker = Attacker(proxy, reads=False)
    attacker.flood(FLOODS[name] * 50 for _ in range(20_000))
    assert attacker.goaway() == ENHANCE_YOUR_CALM
    assert len(attacker.received) < 64 * 1024


@pytest.mark.parametrize("flags", [0, 8], ids=["empty", "padded"])
def test_empty_data_flood(proxy, flags):
    attacker = Attacker(proxy)
    assert attacker.send(frame(HEADERS, END_HEADERS, 1, POST_HANG))
    expect_calm(attacker, (frame(DATA, flags, 1, b"\0" if flags else b"") * 50 for _ in range(20_000)))


def test_header_lists_beyond_the_limit(proxy, others):
    """Refused one by one, and nothing of them is kept."""
    client = proxy.h2_client()
    for _ in range(50):
        answer = client.get("/own", *[(f"x-{n}", "y" * 1000) for n in range(60)])
        assert (answer.status, answer.error) == (431, "headers_too_large")
    assert client.get("/own").status == 200


def referencing(count):
    """The frames of a request: a field of 4 KiB that goes into the table, and a byte for each time it is meant again."""
    insert = b"\x40\x01a" + b"\x7f" + b"\xa1\x1e" + b"v" * 4000  # literal with indexing; 127 + 3873
    assert len(b"v" * 4000) == 127 + (0x21 | 0x1E << 7)
    return frame(HEADERS, END_STREAM, 1, GET_OWN + insert) + frame(CONTINUATION, END_HEADERS, 1, b"\xbe" * count)


@pytest.mark.parametrize("count", [10, 16000])
def test_a_large_value_referenced_again_and_again(proxy, count):
    """HPACK: what is 16 KiB on the wire would be 64 MiB of fields. Ten are above our limit, and below that of the codec."""
    client = Attacker(proxy)
    client.send(referencing(count))
    client.until(lambda: any(kind in (HEADERS, RST_STREAM, GOAWAY) for kind, _, _, _ in client.frames()))
    kinds = [kind for kind, _, _, _ in client.frames()]
    assert b"own" not in client.received
    assert HEADERS in kinds or RST_STREAM in kinds or GOAWAY in kinds
    if count == 10:
        assert b"headers_too_large" in client.received


def test_zero_windows_held_open(proxy, others):
    """A hundred answers of which not a byte may leave: bounded in memory and in time; the connection stays."""
    others.room_mib = 32  # 64 KiB and some for each, of 1 MiB
    client = proxy.h2_client(settings={4: 0})
    streams = [client.begin("/large") for _ in range(100)]
    for stream in streams:
        assert client.answer(stream).reset is not None
    assert client.get("/own", method="HEAD").status == 200
    wait_for(lambda: proxy.live()["requests"] <= 1, "its requests are gone")


def test_windows_opened_a_byte_at_a_time(proxy):
    """Every byte counts as movement; what waits for its turn is bounded."""
    client = Attacker(proxy, settings=struct.pack(">HI", 4, 0))
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block(*head("/large"))))
    for count in range(1, 201):
        assert client.send(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)))
        assert client.until(lambda wanted=count: sum(kind == DATA for kind, _, _, _ in client.frames()) >= wanted)
    assert proxy.live()["chunks"] <= WAITING_MOST_CHUNKS
    client.close()
    wait_for(lambda: proxy.live()["requests"] <= 1, "its request is gone")


def test_windows_opened_a_byte_at_a_time_in_a_hurry(proxy):
    """Without waiting for the byte: the frames for it do not come for nothing."""
    client = Attacker(proxy, settings=struct.pack(">HI", 4, 0))
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block(*head("/large"))))
    expect_calm(client, (frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)) * 2000 for _ in range(1000)))
    wait_for(lambda: proxy.live()["requests"] <= 1, "its request is gone")


def test_nobody_reads_the_answers(proxy):
    """A socket that is full: the queue is bounded, and the requests end in time."""
    client = H2Client(proxy.address(), settings={4: 1 << 30}, receive_buffer=4096)
    proxy.clients.append(client)
    client.state.increment_flow_control_window(1 << 30)
    for _ in range(100):
        client.begin("/large?unread")

    def ends():
        return [line.get("reason") for line in proxy.access_lines() if line.get("query") == "unread"]

    wait_for(lambda: "client_slow" in ends(), "they are given up")  # not all of them begin: who does not read is not read
    wait_for(lambda: proxy.live()["requests"] <= 1, "nothing is left of them")


def test_who_never_reads_is_closed_in_the_end(start, make_origin):
    proxy = start(make_origin(reply(LARGE)), limits={"idle_timeout": "500ms"},
                  routes=[{"name": "all", "to": "a", "stream_idle_timeout": "500ms"}])
    client = H2Client(proxy.address(), settings={4: 1 << 30}, receive_buffer=4096)
    client.state.increment_flow_control_window(1 << 30)
    for _ in range(100):
        client.begin("/")
    wait_for(lambda: proxy.live()["clients"] == 1, "it is there")
    wait_for(lambda: proxy.live()["clients"] == 0, "it is closed")
    client.close()
