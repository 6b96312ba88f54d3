# e2e/test_flow.py - bytes under pressure: slow readers, long bodies, idle and vanished peers, dead connections, dead origins.
import os
import socket
import threading
import time

import pytest

from harness import CLOSE, DEADLINE_S, HOLD, RESET, Client, Full, Origin, Proxy, reply, request, wait_for
from harness.proxy import free_port

MIB = 1 << 20
PIECE = bytes(range(256)) * 4096  # 1 MiB
# What kernels hold between two ends that are connected through the proxy: twice a send and a receive buffer.
KERNEL_MOST_BYTES = 48 * MIB


@pytest.fixture(scope="module", name="house")
def fixture_house():
    pair = [Origin(), Origin()]
    upstreams = {
        "a": {"endpoints": [Origin()]},
        "half": {"endpoints": [f"127.0.0.1:{free_port()}", Origin()]},
        "dead": {"endpoints": [f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"]},
        "pair": {"endpoints": pair},
    }
    routes = [{"name": n, "match": {"path": {"prefix": f"/{n}"}}, "to": n} for n in ("half", "dead", "pair")]
    # What AddressSanitizer keeps back of freed memory would look like growth.
    environment = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"}
    with Proxy(upstreams=upstreams, routes=[*routes, {"name": "all", "to": "a"}], environment=environment) as proxy:
        yield proxy


@pytest.fixture(name="origin")
def fixture_origin(proxy):
    return proxy.origins[0]


# ---- back-pressure ---------------------------------------------------------------------------------------------------------


class Pump:
    """Sends count pieces of 1 MiB from a thread, and knows how far it came."""

    def __init__(self, sock, count, framing="length"):
        self.sock, self.count, self.framing = sock, count, framing
        self.sent = 0
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def run(self):
        try:
            for _ in range(self.count):
                self.sock.sendall((b"%x\r\n" % len(PIECE) + PIECE + b"\r\n") if self.framing == "chunked" else PIECE)
                self.sent += len(PIECE)
            if self.framing == "chunked":
                self.sock.sendall(b"0\r\n\r\n")
        except OSError:
            pass

    def wait_stuck(self):
        """Until nothing has moved for a while."""
        last = [-1, time.monotonic()]

        def is_stuck():
            if self.sent != last[0]:
                last[:] = [self.sent, time.monotonic()]
            return time.monotonic() - last[1] > 0.5

        wait_for(is_stuck, "the sender is held back")
        return self.sent


def swallow(sock, count):
    """Reads so many bytes and checks that they are pieces in order."""
    buffer = bytearray(len(PIECE))
    done = 0
    while done < count:
        want = min(len(PIECE) - done % len(PIECE), count - done)
        got = sock.recv_into(memoryview(buffer)[:want])
        assert got > 0, f"closed at {done} of {count}"
        at = done % len(PIECE)
        assert buffer[:got] == PIECE[at : at + got]
        done += got


def framed_head(count, framing):
    if framing == "chunked":
        return "Transfer-Encoding: chunked"
    return f"Content-Length: {count * len(PIECE)}"


@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
def test_a_client_that_does_not_read_holds_the_origin_back(proxy, origin, framing):
    count, pumps = 96, []

    def answer(connection, _):
        fields = [framed_head(count, framing)] if framing != "until close" else []
        connection.send(reply(b"", *fields, length=False))
        pumps.append(Pump(connection.sock, count, framing))
        pumps[0].run()
        return CLOSE

    origin.answer = answer
    client = proxy.client(receive_buffer=65536).send(request("/"))
    wait_for(lambda: pumps, "the origin answers")
    assert pumps[0].wait_stuck() < KERNEL_MOST_BYTES
    assert proxy.live()["chunks"] <= 40
    assert proxy.get("/half").status == 200  # nobody else waits
    response = client.reader.head()
    if framing == "length":
        assert response.length == count * MIB
        taken, client.reader.buffer = client.reader.buffer, b""
        assert PIECE.startswith(taken)
        client.reader.exactly(MIB - len(taken))
        swallow(client.sock, (count - 1) * MIB)
    else:
        client.reader.chunked_body(response)
        assert response.body == PIECE * count


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_origin_that_does_not_read_holds_the_client_back(proxy, origin, framing):
    count, go_on = 96, threading.Event()

    def answer(connection, seen):
        go_on.wait()
        connection.body(seen)
        connection.send(reply(b"%d" % len(seen.body)))

    origin.answer = answer
    client = proxy.client().send(request("/", framed_head(count, framing), method="POST"))
    pump = Pump(client.sock, count, framing).start()
    assert pump.wait_stuck() < KERNEL_MOST_BYTES
    assert proxy.live()["chunks"] <= 40
    assert proxy.get("/half").status == 200
    go_on.set()
    assert client.response().body == b"%d" % (count * MIB)
    assert origin.last.body == PIECE * count


def test_a_slow_reader_gets_everything(proxy, origin):
    origin.answer = reply(PIECE * 3)
    client = proxy.client(receive_buffer=4096).send(request("/"))
    head = client.reader.head()
    while len(client.reader.buffer) < head.length:
        data = client.sock.recv(5000)
        assert data
        client.reader.buffer += data
    assert client.reader.buffer == PIECE * 3


def test_many_slow_readers_get_their_own(proxy, origin):
    origin.answer = lambda connection, seen: connection.send(reply(seen.target.encode() * 20_000))
    clients = [proxy.client(receive_buffer=4096).send(request(f"/{n:03}")) for n in range(50)]
    for n, client in reversed(list(enumerate(clients))):
        assert client.response().body == b"/%03d" % n * 20_000


# ---- memory ------------------------------------------------------------------------------------------------------------------


def measure(proxy, work):
    """The growth of the process's memory over the work: at its highest, and at its end."""
    before, highest, is_over = proxy.memory_kib(), [0], threading.Event()

    def watch():
        while not is_over.wait(0.05):
            highest[0] = max(highest[0], proxy.memory_kib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        is_over.set()
        watcher.join()
    return highest[0] - before, proxy.memory_kib() - before


def download(proxy, origin, count, framing):
    def answer(connection, _):
        connection.send(reply(b"", framed_head(count, framing), length=False))
        Pump(connection.sock, count, framing).run()

    origin.answer = answer
    client = proxy.client().send(request("/"))
    head = client.reader.head()
    if framing == "length":
        early, client.reader.buffer = client.reader.buffer, b""
        assert PIECE.startswith(early)
        rest = MIB - len(early)
        assert early + client.reader.exactly(rest) == PIECE
        swallow(client.sock, (count - 1) * MIB)
    else:
        total = 0
        while size := int(client.reader.until(b"\r\n"), 16):
            total += len(client.reader.exactly(size + 2)) - 2
        assert total == count * MIB and head.is_chunked


def upload(proxy, origin, count, framing):
    def answer(connection, _):
        early, connection.reader.buffer, connection.reader.record = connection.reader.buffer, b"", None
        if framing == "length":
            done = len(early)
            buffer = bytearray(MIB)
            while done < count * MIB:
                done += connection.sock.recv_into(buffer, min(MIB, count * MIB - done))
        else:
            connection.reader.buffer = early
            done = 0
            while size := int(connection.reader.until(b"\r\n"), 16):
                done += len(connection.reader.exactly(size + 2)) - 2
            connection.reader.until(b"\r\n")
        connection.send(reply(b"%d" % done))

    origin.answer = answer
    client = proxy.client().send(request("/", framed_head(count, framing), method="POST"))
    pump = Pump(client.sock, count, framing).start()
    assert client.response().body == b"%d" % (count * MIB)
    pump.thread.join()


@pytest.mark.parametrize("work, framing, count", [
    (download, "length", 1024), (upload, "length", 1024), (download, "chunked", 128), (upload, "chunked", 128),
])
def test_a_long_body_leaves_memory_where_it_was(proxy, origin, work, framing, count):
    work(proxy, origin, 32, framing)  # what is kept for reuse is there now
    highest, final = measure(proxy, lambda: work(proxy, origin, count, framing))
    assert highest < 8 * 1024 and final < 4 * 1024


def test_an_idle_connection_holds_no_buffer(proxy):
    clients = [proxy.client() for _ in range(400)]
    for client in clients:
        assert client.get("/").status == 200
    wait_for(lambda: proxy.live() == {"clients": 400, "requests": 0, "exchanges": 0, "shadows": 0, "chunks": 0},
             lambda: proxy.live())
    wait_for(lambda: proxy.metric("weir_arena_pages_live") == 0, "no page is in use")
    for client in clients[:20]:
        assert client.get("/", method="POST", body=b"x").status == 200
    wait_for(lambda: proxy.live()["chunks"] == 0, "no chunk is in use")


def test_many_requests_leave_memory_where_it_was(proxy):
    client = proxy.client()

    def work(count=2000):
        for n in range(count):
            assert client.get(f"/{n}", "X-Some: field", method="POST" if n % 2 else "GET", body=b"x" * (n % 50)).status == 200

    work()
    # AddressSanitizer keeps what was freed for a while: the access log's buffers of these requests alone are a MiB.
    assert measure(proxy, work)[1] < 4096


# ---- clients that go -----------------------------------------------------------------------------------------------------------


def says_more(connection):
    try:
        connection.send(b"more")
    except OSError:
        return False
    return True


@pytest.mark.parametrize("when", ["waiting", "answering", "sending"])
@pytest.mark.parametrize("how", ["reset", "fin"])
def test_a_client_that_goes_takes_its_request_along(proxy, origin, when, how):
    answering = reply(b"", "Content-Length: 1000000", length=False) + b"some"
    origin.answer = [answering, HOLD] if when == "answering" else [HOLD]
    path = f"/{when}/{how}"
    if when == "sending":
        client = proxy.client().send(request(path, "Content-Length: 1000", method="POST") + b"some")
    else:
        client = proxy.client().send(request(path))
    connection = origin.wait_connections(1)[0]
    wait_for(lambda: connection.received.endswith(b"\r\n\r\n" if when != "sending" else b"some"), "the request at the origin")
    if when == "answering":
        client.reader.until(b"some")
    proxy.clients.remove(client)
    if how == "reset":
        client.reset()
    else:
        client.close()
    if when == "answering" and how == "fin":  # it may only have stopped sending: what it gets decides
        wait_for(lambda: not says_more(connection), "the origin cannot go on")
    connection.wait_end()
    line = proxy.access_line(path=path)
    assert line["reason"] == "client_aborted"
    assert line["status"] == (200 if when == "answering" else 0)


def test_a_reset_behind_a_fin_is_noticed_while_an_answer_is_silent(proxy, origin):
    origin.answer = [reply(b"", "Content-Length: 1000000", length=False) + b"some", HOLD]
    client = proxy.client().send(request("/fin/then/reset"))
    client.reader.until(b"some")
    reads = proxy.metric("weir_read_calls_total")
    client.shutdown()
    wait_for(lambda: proxy.metric("weir_read_calls_total") > reads, "the FIN is read")
    proxy.clients.remove(client)
    client.reset()
    origin.connections[0].wait_end()
    assert proxy.access_line(path="/fin/then/reset")["reason"] == "client_aborted"


def test_a_fin_behind_a_request_does_not_end_a_silent_answer(proxy, origin):
    go_on = threading.Event()
    origin.answer = [reply(b"", "Content-Length: 8", length=False) + b"some", go_on, b"more"]
    client = proxy.client().send(request("/"))
    client.reader.until(b"some")
    reads = proxy.metric("weir_read_calls_total")
    client.shutdown()
    wait_for(lambda: proxy.metric("weir_read_calls_total") > reads, "the FIN is read")
    go_on.set()
    assert client.reader.exactly(4) == b"more"
    client.expect_closed()


def test_a_reset_is_noticed_while_nothing_is_read_of_the_client(proxy, origin):
    """What it sent ahead is more than the proxy reads: it looks away until the answer is there."""
    origin.answer = [HOLD]
    client = proxy.client().send(request("/ahead") + b"GET /" + b"a" * 65536)
    connection = origin.wait_connections(1)[0]
    wait_for(lambda: connection.received.endswith(b"\r\n\r\n"), "the request at the origin")
    proxy.clients.remove(client)
    client.reset()
    connection.wait_end()
    assert proxy.access_line(path="/ahead")["reason"] == "client_aborted"


def test_a_reset_is_noticed_while_the_origin_holds_a_body_back(proxy, origin):
    is_over = threading.Event()
    origin.answer = lambda connection, _: [is_over.wait(), CLOSE][1]
    client = proxy.client().send(request("/held/back", framed_head(96, "length"), method="POST"))
    client.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        while True:
            client.send(PIECE)
    proxy.clients.remove(client)
    client.reset()
    try:
        assert proxy.access_line(path="/held/back")["reason"] == "client_aborted"
    finally:
        is_over.set()


def test_a_half_closed_client_gets_its_answer(proxy, origin):
    go_on = threading.Event()
    origin.answer = [go_on, reply(PIECE * 4)]
    client = proxy.client().send(request("/")).shutdown()
    origin.wait_requests(1)
    go_on.set()
    assert client.response().body == PIECE * 4
    client.expect_closed()


def test_a_half_closed_client_gets_all_its_answers(proxy, origin):
    origin.answer = lambda connection, seen: connection.send(reply(seen.target.encode()))
    client = proxy.client().send(b"".join(request(f"/{n}") for n in range(20))).shutdown()
    assert [client.response().body for _ in range(20)] == [b"/%d" % n for n in range(20)]
    client.expect_closed()


def test_a_half_closed_client_may_read_slowly(proxy, origin):
    origin.answer = reply(PIECE * 8)
    client = proxy.client(receive_buffer=4096).send(request("/")).shutdown()
    assert client.response().body == PIECE * 8


@pytest.mark.parametrize("data", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_client_that_ends_inside_a_head_is_nobodys_business(proxy, data):
    client = proxy.client().send(data).shutdown()
    assert client.rest() == b""
    path = f"/after/{len(data)}"
    assert proxy.get(path).status == 200
    assert proxy.access_line(path=path)
    assert all("path" in line for line in proxy.access_lines())


# ---- dead connections -----------------------------------------------------------------------------------------------------------


def dies_when_used_again(end, late=()):
    """Answers the first request of a connection; the first connection ends at its second request."""
    def answer(connection, seen):
        connection.body(seen)
        if connection.index == 0 and len(connection.requests) > 1:
            for data in late:
                connection.send(data)
            return connection.play([end]) or CLOSE
        connection.send(reply(b"%d" % connection.index))
        return None

    return answer


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"])
def test_an_idempotent_request_is_sent_again_on_a_fresh_connection(proxy, origin, method, end):
    origin.answer = dies_when_used_again(end)
    ok = proxy.metric("weir_retries_total", upstream="a", result="ok")
    client = proxy.client()
    assert client.get("/first").body == b"0"
    response = client.get("/second", method=method)
    assert response.status == 200
    assert [r.start.split()[0] for r in origin.requests] == ["GET", method, method]
    assert len(origin.connections) == 2
    assert proxy.metric("weir_retries_total", upstream="a", result="ok") == ok + 1


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize("method, body", [("POST", None), ("POST", b"x"), ("PATCH", None), ("PUT", b"x"), ("LOCK", None)])
def test_others_are_not(proxy, origin, method, body, end):
    origin.answer = dies_when_used_again(end)
    client = proxy.client()
    assert client.get("/first").body == b"0"
    response = client.get("/second", method=method, body=body)
    assert (response.status, response.error) == (502, "upstream_reset")
    assert len(origin.requests) == 2
    assert client.get("/third").status == 200


def test_a_request_is_sent_again_only_once(proxy, origin):
    failed = proxy.metric("weir_retries_total", upstream="a", result="failed")
    origin.answer = [[reply()], [RESET], [RESET], [reply()]]
    client = proxy.client()
    assert client.get("/first").status == 200
    assert client.get("/second").error == "upstream_reset"
    assert len(origin.requests) == 3
    assert proxy.metric("weir_retries_total", upstream="a", result="failed") == failed + 1


def test_a_fresh_connection_that_dies_is_an_answer(proxy, origin):
    origin.answer = [RESET]
    assert proxy.get("/").error == "upstream_reset"
    assert len(origin.requests) == 1


@pytest.mark.parametrize("late", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_an_answer_that_began_is_not_asked_for_again(proxy, origin, late):
    origin.answer = dies_when_used_again(CLOSE, [late])
    client = proxy.client()
    assert client.get("/first").body == b"0"
    response = client.get("/second")
    assert (response.status, response.error) == (502, "upstream_reset")
    assert len(origin.requests) == 2


def test_a_connection_the_origin_closed_is_not_used(proxy, origin):
    client = proxy.client()
    for n in range(5):
        assert client.get(f"/{n}", method="POST").status == 200
        origin.connections[-1].sock.shutdown(socket.SHUT_RDWR)
        origin.connections[-1].wait_end()
        wait_for(lambda: proxy.metric("weir_upstream_connections", upstream="a") == 0, "the proxy has noticed")
    assert len(origin.connections) == 5


# ---- dead origins ---------------------------------------------------------------------------------------------------------------


def test_another_endpoint_is_tried_when_one_is_down(proxy):
    for n in range(10):
        assert proxy.get("/half", method="POST", body=b"%d" % n).status == 200
    assert proxy.metric("weir_upstream_healthy", upstream="half") == 1


def test_all_endpoints_down_is_an_error(proxy):
    response = proxy.get("/dead")
    assert (response.status, response.error) == (502, "connect_failed")
    assert proxy.metric("weir_upstream_healthy", upstream="dead") == 0


def test_an_endpoint_that_falls_and_rises(proxy):
    first, second = proxy.origins[2], proxy.origins[3]
    client = proxy.client()
    for _ in range(4):
        assert client.get("/pair").status == 200
    assert (len(first.requests), len(second.requests)) == (2, 2)
    first.stop()
    first.hang_up()
    for _ in range(6):
        assert client.get("/pair").status == 200
    assert len(second.requests) == 8
    wait_for(lambda: proxy.metric("weir_upstream_healthy", upstream="pair") == 1, "it is seen to be down")
    first.restart()
    wait_for(lambda: client.get("/pair").status == 200 and len(first.requests) > 2, "it gets requests again")
    assert proxy.metric("weir_upstream_healthy", upstream="pair") == 2


def test_an_origin_may_be_down_at_the_start(start):
    origin = Origin()
    origin.stop()
    proxy = start(origin)
    wait_for(lambda: "unhealthy" in proxy.error_log(), "the log says so")
    assert proxy.admin("GET", "/readyz")[0] == 200
    assert proxy.metric("weir_upstream_healthy", upstream="a") == 0
    assert proxy.get("/").error == "connect_failed"
    origin.restart()
    wait_for(lambda: proxy.get("/").status == 200, "it serves")
    assert proxy.metric("weir_upstream_healthy", upstream="a") == 1
    assert "healthy again" in proxy.error_log()
    origin.stop()
    origin.hang_up()


def connect_failures(proxy):
    return proxy.metric("weir_upstream_connect_failures_total", upstream="a")


def test_an_endpoint_that_is_up_again_is_found_without_traffic(start):
    origin = Origin()
    origin.stop()
    proxy = start(origin, workers=2)
    wait_for(lambda: connect_failures(proxy) >= 4, "each worker has tried twice by itself")
    assert proxy.metric("weir_upstream_healthy", upstream="a") == 0
    origin.restart()
    wait_for(lambda: proxy.metric("weir_upstream_healthy", upstream="a") == 1, "both workers have found it")
    wait_for(lambda: proxy.metric("weir_upstream_connections", upstream="a", state="idle") == 2, "what was probed is kept")
    assert proxy.get("/").status == 200
    assert len(origin.connections) == 2 and origin.requests[0].target == "/"
    origin.stop()


def test_no_request_finds_out_whether_an_endpoint_is_up_again(start):
    """The request that tried it would be late, or lost; while another endpoint is up, only probes try."""
    alive, dead = Origin(), Origin()
    dead.stop()
    proxy = start(alive, dead)
    wait_for(lambda: connect_failures(proxy) >= 1, "it is known to be down")
    client, deadline = proxy.client(), time.monotonic() + DEADLINE_S
    while connect_failures(proxy) < 3:
        assert client.get("/").status == 200
        assert time.monotonic() < deadline, "nobody tries the dead endpoint"
    assert proxy.metric("weir_retries_total", upstream="a") == 0
    alive.stop()


def test_all_endpoints_down_are_tried_by_requests(start):
    """What is known of them may be old, and the alternative is a certain error."""
    first, second = Origin(), Origin()
    first.stop()
    second.stop()
    proxy = start(first, second)
    wait_for(lambda: connect_failures(proxy) >= 2, "both are known to be down")
    second.restart()
    wait_for(lambda: proxy.get("/").status == 200, "a request gets through")
    assert len(second.requests) == 1
    second.stop()


def test_requests_outlast_a_probe_that_hangs(start):
    """It may hold the only connection for a part of connect_timeout; then requests go on, and it counts as failed."""
    alive, hole = Origin(), Full()
    upstream = {"endpoints": [alive, hole.address], "max_connections": 1, "connect_timeout": "200ms"}
    proxy = start(upstreams={"a": upstream})
    client, deadline = proxy.client(), time.monotonic() + DEADLINE_S
    while connect_failures(proxy) < 3:
        assert client.get("/").status == 200
        assert time.monotonic() < deadline, "nobody tries the endpoint that hangs"
    assert proxy.metric("weir_retries_total", upstream="a") <= 1
    hole.close()
    alive.stop()


@pytest.mark.parametrize("pending", [0, 4])
def test_a_full_upstream_still_finds_its_lost_endpoint(start, pending):
    """One connection in all, and it is never unused: the probe has its turn, and requests have theirs."""
    alive, lost = Origin(), Origin()
    lost.stop()
    proxy = start(upstreams={"a": {"endpoints": [alive, lost], "max_connections": 1, "max_pending": pending}})
    stop, statuses = threading.Event(), set()

    def ask():
        client = Client(proxy.address())
        while not stop.is_set():
            statuses.add(client.get("/").status)
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for(lambda: connect_failures(proxy) >= 2, "it is tried while requests wait")
    lost.restart()
    wait_for(lambda: proxy.metric("weir_upstream_healthy", upstream="a") == 2, "it is found")
    served = len(lost.requests)
    wait_for(lambda: len(lost.requests) > served, "it serves")
    stop.set()
    for thread in threads:
        thread.join()
    assert 200 in statuses and statuses <= {200, 503}
    alive.stop()
    lost.stop()
