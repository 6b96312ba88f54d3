# e2e/test_abuse.py - two thousand clients that are slow on purpose, and everybody else, who must not feel them.
import os
import resource
import selectors
import socket
import threading

import pytest

from harness import DEADLINE_S, Reader, find_status, reply, request, wait_for

SEGMENT_BYTES = 536  # keeps what the kernel holds for a peer that does not read small: it sizes buffers by the segment
RECEIVE_BUFFER_BYTES = 4096
LONG = memoryview(bytes(range(256)) * 8192)  # 2 MiB: does not fit in between
# Of 16 KiB: a stream pauses its source above 256 KiB, and one turn may bring as much again.
READER_MOST_CHUNKS = 36
FILES = 8192


class ManyOrigin:
    """Answers any number of connections from one thread: /long with LONG, everything else with the length of its body."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(4096)
        self.listener.setblocking(False)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.is_over = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.is_over:
            for key, _ in self.selector.select(0.05):
                key.data(key.fileobj)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()

    def stop(self):
        self.is_over = True
        self.thread.join()

    def accept(self, listener):
        sock, _ = listener.accept()
        sock.setblocking(False)
        self.selector.register(sock, selectors.EVENT_READ, Answering(self))


class Answering:
    """One connection of ManyOrigin: gathers a request, then writes its answer as the peer takes it."""

    def __init__(self, origin):
        self.origin = origin
        self.received, self.queue = b"", []

    def __call__(self, sock):
        try:
            if not self.queue:
                self.read(sock)
            self.write(sock)
        except ConnectionError:
            self.close(sock)

    def close(self, sock):
        self.origin.selector.unregister(sock)
        sock.close()

    def read(self, sock):
        data = sock.recv(65536)
        if not data:
            raise ConnectionError
        self.received += data
        head, is_complete, body = self.received.partition(b"\r\n\r\n")
        if not is_complete:
            return
        if b"chunked" in head and not body.endswith(b"0\r\n\r\n"):
            return
        if b"Content-Length" in head and len(body) < int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]):
            return
        self.received = b""
        if head.startswith(b"GET /long"):
            self.queue = [memoryview(reply(b"", f"Content-Length: {len(LONG)}", length=False)), LONG]
        else:
            self.queue = [memoryview(reply(b"%d" % len(body)))]

    def write(self, sock):
        while self.queue:
            try:
                count = sock.send(self.queue[0])
            except BlockingIOError:
                break
            self.queue[0] = self.queue[0][count:]
            if not self.queue[0]:
                self.queue.pop(0)
        wanted = selectors.EVENT_WRITE if self.queue else selectors.EVENT_READ
        if self.origin.selector.get_key(sock).events != wanted:
            self.origin.selector.modify(sock, wanted, self)


class Slow:
    """A client that sends `first` at once, `rest` byte by byte, and may read as sparingly."""

    def __init__(self, address, first, rest=b"", is_reader=False):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(address)
        self.sock.sendall(first)
        self.sock.setblocking(False)
        self.rest, self.sent_count = rest, 0
        self.is_reader, self.reader, self.has_ended = is_reader, Reader(self.sock), False

    def dribble(self):
        """One byte; readers take a few."""
        if self.is_reader:
            self.receive(7)
        elif self.sent_count < len(self.rest):
            self.sock.send(self.rest[self.sent_count : self.sent_count + 1])
            self.sent_count += 1

    def receive(self, most_bytes):
        try:
            data = self.sock.recv(most_bytes)
            self.reader.buffer += data
            self.has_ended = not data
        except BlockingIOError:
            pass
        except ConnectionError:
            self.has_ended = True

    def is_waiting(self):
        """Open, and without its answer, or with the beginning of it only."""
        if not self.is_reader:
            self.receive(1)
            return not self.has_ended and not self.reader.buffer
        return not self.has_ended and len(self.reader.buffer) < len(LONG)

    def spin_out(self):
        """One byte more if there is one; readers do not even read that they were reset."""
        if self.is_reader:
            self.has_ended = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
            return
        try:
            self.dribble()
        except ConnectionError:
            pass  # what had come before can still be read
        self.receive(4096)

    def finish(self):
        """The rest at once: its answer."""
        self.sock.settimeout(DEADLINE_S)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.sendall(self.rest[self.sent_count :])
        return self.reader.response()


HEAD = request("/head", "X-Padding: " + "p" * 200)
BODY = b"b" * 200


def slow_head(address):
    return Slow(address, HEAD[:1], HEAD[1:])


def slow_body(address):
    return Slow(address, request("/body", f"Content-Length: {len(BODY)}", method="POST"), BODY)


def slow_chunks(address):
    return Slow(address, request("/chunks", "Transfer-Encoding: chunked", method="POST"), b"1\r\nb\r\n" * 40 + b"0\r\n\r\n")


def slow_reader(address):
    return Slow(address, request("/long"), is_reader=True)


@pytest.fixture(name="many")
def fixture_many():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard >= FILES, f"these tests need {FILES} open files, the hard limit is {hard}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    origin = ManyOrigin()
    yield origin
    origin.stop()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def start_house(start, many, limits, idle):
    # What AddressSanitizer keeps back of freed memory would look like growth.
    environment = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"}
    return start(
        workers=2, environment=environment, limits=limits,
        upstreams={"a": {"endpoints": [many.address], "max_connections": 0}},
        routes=[{"name": "all", "to": "a", "stream_idle_timeout": idle}],
    )


@pytest.fixture(name="crowd")
def fixture_crowd():
    """Slow clients that are closed in the end."""
    made = []
    yield made
    for slow in made:
        slow.sock.close()


def ask_in_between(proxy, count):
    """Ordinary requests, each on a connection of its own: they meet every worker."""
    for n in range(count):
        response = proxy.get(f"/ordinary/{n}", method="POST", body=b"x" * n)
        assert (response.status, response.body) == (200, b"%d" % n)


def dribble_rounds(proxy, crowd, count):
    for _ in range(count):
        for slow in crowd:
            slow.dribble()
        ask_in_between(proxy, 20)


def test_two_thousand_slow_clients_are_not_felt(start, many, crowd):
    """Nothing ends in time here: the slow ones are all still there when everybody else is served, and then they are too."""
    proxy = start_house(start, many, {"header_timeout": "1h", "idle_timeout": "1h"}, "1h")
    counts = {slow_head: 800, slow_body: 500, slow_chunks: 500, slow_reader: 200}
    for make, count in counts.items():
        crowd += [make(proxy.address()) for _ in range(count)]
    wait_for(lambda: proxy.live()["requests"] == 2000, lambda: f"all have begun: {proxy.live()}")
    dribble_rounds(proxy, crowd, 2)
    begun_kib = proxy.memory_kib("Rss")
    dribble_rounds(proxy, crowd, 8)
    assert sum(slow.is_waiting() for slow in crowd) == 2000
    wait_for(lambda: proxy.live()["clients"] == 2000, "the ordinary ones are gone")
    live = proxy.live()
    assert (live["requests"], live["exchanges"]) == (2000, 1200)
    assert live["chunks"] <= 1800 + 200 * READER_MOST_CHUNKS
    assert proxy.memory_kib("Rss") - begun_kib < 8192
    for slow in crowd[:-180]:
        response = slow.finish()
        assert response.status == 200 and (not slow.is_reader or response.body == LONG)
    wait_for(lambda: proxy.live()["requests"] == 180, lambda: f"the readers that never finish: {proxy.live()}")


def test_slow_clients_are_let_go_in_time(start, many, crowd):
    """A byte now and then buys a head no time; a body, and an answer that nobody reads, end when nothing moves."""
    proxy = start_house(start, many, {"header_timeout": "1s"}, "1s")
    endless = b"GET /endless HTTP/1.1\r\nX-Endless: " + b"e" * 16384
    crowd += [Slow(proxy.address(), endless[:1], endless[1:]) for _ in range(1000)]
    for make, count in {slow_body: 400, slow_chunks: 400, slow_reader: 200}.items():
        crowd += [make(proxy.address()) for _ in range(count)]
    for slow in crowd[1000:]:
        slow.rest = b""  # silent
    waiting = list(crowd)

    def are_all_gone():
        for slow in waiting:
            slow.spin_out()
        waiting[:] = [slow for slow in waiting if not slow.has_ended]
        ask_in_between(proxy, 2)
        return not waiting

    wait_for(are_all_gone, lambda: f"{len(waiting)} are still served: {proxy.live()}")
    for n, slow in enumerate(crowd[:1800]):
        assert find_status(slow.reader.buffer) == [408], slow.reader.buffer
        assert (b"header_timeout" if n < 1000 else b"body_timeout") in slow.reader.buffer
    for code, count in {"header_timeout": 1000, "body_timeout": 800, "client_slow": 200}.items():
        assert proxy.metric("weir_request_errors_total", reason=code) == count
    proxy.expect_nothing_live()
    ask_in_between(proxy, 20)
