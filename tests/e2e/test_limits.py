# e2e/test_limits.py - every limit and timeout: its status, its code, and that log, header and metric tell the same.
import contextlib
import os
import re
import resource
import socket
import threading
import time

import pytest

from harness import CLOSE, DEADLINE_S, HOLD, RESET, Authority, Full, Origin, Proxy, chunked, reply, request, wait_for
from harness.h2_origin import H2Origin
from harness.proxy import ROOT, free_port

LIMITS = {
    "headers": "4KiB", "header_count": 20, "request_line": "1KiB", "header_timeout": "300ms", "idle_timeout": "30s", "body": "1000B",
}
SHORT = "200ms"


def route(name, **more):
    return {"name": name, "match": {"path": {"prefix": f"/{name}"}}, "to": "a", **more}


@pytest.fixture(scope="module", name="house")
def fixture_house(tmp_path_factory):
    full = Full()
    stranger = Authority(str(tmp_path_factory.mktemp("ca")))
    untrusted = Origin(tls=stranger.server(stranger.make("svc", "IP:127.0.0.1")))
    upstreams = {
        "a": {"endpoints": [Origin()]},
        "closed": {"endpoints": [f"127.0.0.1:{free_port()}"]},
        "full": {"endpoints": [full.address], "connect_timeout": SHORT},
        "unknown": {"endpoints": ["nowhere.invalid:80"]},
        "narrow": {"endpoints": [Origin()], "max_connections": 1, "max_pending": 0},
        "queue": {"endpoints": [Origin()], "max_connections": 1, "max_pending": 2},
        "brief": {"endpoints": [Origin()], "idle_timeout": SHORT},
        "untrusted": {"endpoints": [untrusted], "tls": {}},
        "streams": {"endpoints": [H2Origin()], "protocol": "http2"},
    }
    routes = [
        route("slashes", encoded_slash="reject"),
        route("rate", rate_limit={"rate": "1/h", "burst": 2, "by": {"header": "x-key"}}),
        route("closed", to="closed"),
        route("full", to="full"),
        route("unknown", to="unknown"),
        route("narrow", to="narrow"),
        route("queue", to="queue"),
        route("hurry", to="queue", timeout=SHORT),
        route("brief", to="brief"),
        route("untrusted", to="untrusted"),
        route("streams", to="streams"),
        route("chat", websocket=False),
        route("timeout", timeout=SHORT),
        route("idle", stream_idle_timeout=SHORT),
        route("upload", limits={"body": "20MiB"}, stream_idle_timeout="400ms", timeout="400ms"),
        route("any", limits={"body": 0}),
        route("app"),
    ]
    listeners = {
        "web": {"bind": "127.0.0.1:0"},
        "behind": {"bind": "127.0.0.1:0", "proxy_protocol": True, "trusted_proxies": ["127.0.0.1"]},
    }
    with Proxy(upstreams=upstreams, routes=routes, limits=LIMITS, listeners=listeners) as proxy:
        yield proxy
    full.close()


@pytest.fixture(name="origin")
def fixture_origin(proxy):
    return proxy.origins[0]


# ---- every row of reasons.def --------------------------------------------------------------------------------------------


def read_reasons():
    with open(os.path.join(ROOT, "proxy", "base", "reasons.def"), encoding="utf-8") as file:
        rows = re.findall(r'^REASON\((\w+), (\d+), "([a-z_]+)", (\w+), "([^"]+)"\)', file.read(), re.MULTILINE)
    assert len(rows) > 20
    return {name: (int(status), code) for name, status, code, _, _ in rows}


REASONS = read_reasons()


def no_loop(proxy):
    proxy.get("/app")
    return proxy.get("/app", f"Via: {proxy.origins[0].last.get('Via')}")


def head_timeout(proxy):
    return proxy.send(b"GET /app HTTP/1.1\r\nHost: exam")


def body_timeout(proxy):
    return proxy.send(request("/idle", "Content-Length: 10", method="POST") + b"hello")


def rate_limited(proxy):
    for _ in range(2):
        assert proxy.get("/rate", "X-Key: limited").status == 200
    response = proxy.get("/rate", "X-Key: limited")
    assert int(response.get("Retry-After")) >= 1
    assert proxy.get("/rate", "X-Key: other").status == 200
    return response


def overloaded(proxy):
    narrow, go_on = proxy.origins[1], threading.Event()
    narrow.answer = [go_on, reply()]
    client = proxy.client().send(request("/narrow"))
    narrow.wait_requests(1)
    refused = proxy.get("/narrow")
    go_on.set()
    assert client.response().status == 200
    return refused


def by_origin(*steps):
    def ask(proxy):
        proxy.origins[0].answer = list(steps)
        return proxy.get("/app", method="POST")

    return ask


def response_timeout(proxy):
    proxy.origins[0].answer = [HOLD]
    return proxy.get("/timeout")


def stream_idle(proxy):
    """The origin reads nothing: the body is stuck here."""
    go_on = threading.Event()
    proxy.origins[0].answer = lambda connection, seen: [go_on.wait(), CLOSE][1]
    client = proxy.client().send(request("/upload", f"Content-Length: {16 << 20}", method="POST"))
    client.sock.settimeout(0.5)
    with contextlib.suppress(OSError):  # stuck, or closed already
        for _ in range(256):
            client.send(bytes(65536))
    client.sock.settimeout(DEADLINE_S)
    response = client.response()
    go_on.set()
    return response


def client_aborted(proxy):
    proxy.origins[0].answer = [HOLD]
    client = proxy.client().send(request("/app"))
    proxy.origins[0].wait_requests(1)
    client.reset()
    proxy.clients.remove(client)


def client_slow(proxy):
    def answer(connection, _):
        connection.send(reply(b"", "Content-Length: 100000000", length=False))
        while True:
            connection.send(bytes(1 << 20))

    proxy.origins[0].answer = answer
    proxy.client(receive_buffer=4096).send(request("/idle"))


def no_proxy_header(proxy):
    """Closed with bytes unread: a reset."""
    assert proxy.client("behind").send(request("/app")).rest() == b""


REACH = {
    "MALFORMED": lambda p: p.send(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
    "BAD_HOST": lambda p: p.send(b"GET / HTTP/1.1\r\n\r\n"),
    "BAD_PATH": lambda p: p.get("/app/%00"),
    "NO_ROUTE": lambda p: p.get("/nowhere"),
    "ENCODED_SLASH": lambda p: p.get("/slashes/a%2fb"),
    "HEADER_TIMEOUT": head_timeout,
    "BODY_TIMEOUT": body_timeout,
    "BODY_TOO_LARGE": lambda p: p.get("/app", method="POST", body=bytes(1001)),
    "TARGET_TOO_LONG": lambda p: p.get("/" + "a" * 1100),
    "EXPECTATION": lambda p: p.get("/app", "Expect: coffee", method="POST", body=b"x"),
    "RATE_LIMITED": rate_limited,
    "HEADERS_TOO_LARGE": lambda p: p.get("/app", *[f"X-{n}: y" for n in range(20)]),
    "METHOD_REFUSED": lambda p: p.send(b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n"),
    "UNKNOWN_CODING": lambda p: p.send(request("/app", "Transfer-Encoding: gzip", method="POST")),
    "VERSION_REFUSED": lambda p: p.get("/app", version="1.7"),
    "WEBSOCKET_REFUSED": lambda p: p.get("/chat", "Connection: upgrade", "Upgrade: websocket"),
    "LOOP": no_loop,
    "CONNECT_FAILED": lambda p: p.get("/closed"),
    "UPSTREAM_TLS": lambda p: p.get("/untrusted"),
    "UPSTREAM_RESET": by_origin(RESET),
    "UPSTREAM_INVALID": by_origin(b"nonsense\r\n\r\n"),
    "UPSTREAM_HEADERS": by_origin(reply(b"", "X: " + "x" * 5000)),
    "UPGRADE_UNSUPPORTED": lambda p: p.get("/streams", "Connection: upgrade", "Upgrade: websocket"),
    "NO_ENDPOINT": lambda p: p.get("/unknown"),
    "OVERLOADED": overloaded,
    "CONNECT_TIMEOUT": lambda p: p.get("/full"),
    "RESPONSE_TIMEOUT": response_timeout,
    "STREAM_IDLE": stream_idle,
    "CLIENT_ABORTED": client_aborted,
    "CLIENT_SLOW": client_slow,
    "PROXY_HEADER": no_proxy_header,
}

# They need a proxy of their own: see the tests with these names below.
REACHED_ELSEWHERE = {
    "CONNECTION_LIMIT": "test_connections_are_limited",
    "DRILL": "test_a_live_drill_makes_the_canary_fail",
    "DRAINING": "test_what_drain_timeout_cuts_off_is_told",
    "LOCAL_LIMIT": "test_no_descriptor_left_is_no_fault_of_the_endpoint",
    "INTERNAL": "test_a_request_has_only_so_much_memory",
    "SCRIPT_ERROR": "test_a_hook_that_fails_can_end_the_request",
}


def test_a_hook_that_fails_can_end_the_request(start, origin, tmp_path):
    script = tmp_path / "hooks.lua"
    script.write_text("return { on_request = function(req) error('no') end }")
    proxy = start(origin, routes=[{"name": "all", "script": {"file": str(script), "on_error": "fail"}, "to": "a"}])
    answer = proxy.get()
    assert (answer.status, answer.get("x-weir-error")) == (500, "script_error")
    assert proxy.access_line(reason="script_error")["status"] == 500
    assert errors_of(proxy, "script_error") == 1
    assert not origin.requests


def test_a_live_drill_makes_the_canary_fail(start, origin):
    pair = {"route": "all", "stable": "s", "canary": "c", "guardrails": [{"metric": "error_rate", "max": "50%", "window": "1m"}]}
    proxy = start(
        upstreams={"s": {"endpoints": [origin]}, "c": {"endpoints": [origin]}},
        routes=[{"name": "all", "split": {"s": 1, "c": 1}}],
        rollouts={"r": {**pair, "steps": [{"weight": "50%", "hold": "1h"}, {"weight": "100%"}]}},
    )
    assert proxy.admin("POST", "/api/v1/rollouts/r/start", {"reason": "a test"})[0] == 200
    assert proxy.admin("POST", "/api/v1/drill/r", {"reason": "a test", "live": True})[0] == 202
    answer = wait_for(lambda: next(filter(lambda a: a.status != 200, [proxy.get()]), None), "the canary fails")
    assert (answer.status, answer.get("x-weir-error")) == (503, "drill")
    assert proxy.access_line(reason="drill")["upstream"] == "c"
    assert errors_of(proxy, "drill") >= 1


def test_every_reason_has_a_test():
    assert set(REACH) | set(REACHED_ELSEWHERE) == set(REASONS)
    assert all(name in globals() for name in REACHED_ELSEWHERE.values())


def lines_of(proxy, code):
    return [line for line in proxy.access_lines() if line.get("reason") == code]


def errors_of(proxy, code):
    return proxy.metric("weir_request_errors_total", reason=code)


@pytest.mark.parametrize("name", [name for name in REASONS if name not in REACHED_ELSEWHERE])
def test_header_log_and_metric_agree(proxy, name):
    status, code = REASONS[name]
    lines, errors = len(lines_of(proxy, code)), errors_of(proxy, code)
    response = REACH[name](proxy)
    if status != 0:
        assert (response.status, response.error) == (status, code), response
        assert response.body.startswith(code.encode() + b": ")
    else:
        assert response is None
    wait_for(lambda: len(lines_of(proxy, code)) == lines + 1, f"one more access line with {code}")
    wait_for(lambda: errors_of(proxy, code) == errors + 1, f"one more {code} in the metric")
    if status != 0:
        assert lines_of(proxy, code)[-1]["status"] == status


# ---- sizes: the last that is allowed, the first that is not -----------------------------------------------------------------


@pytest.mark.parametrize("over, status", [(0, 200), (1, 414)])
def test_the_request_line_is_limited(proxy, over, status):
    line = len("GET /app HTTP/1.1")
    assert proxy.get("/app" + "?" + "a" * (1024 - line - 1 + over)).status == status


@pytest.mark.parametrize("over, status", [(0, 200), (1, 431)])
def test_the_bytes_of_a_head_are_limited(proxy, over, status):
    fields = len("Host: example.com\r\nX-Long: \r\n")
    assert proxy.get("/app", "X-Long: " + "a" * (4096 - fields + over)).status == status


@pytest.mark.parametrize("count, status", [(19, 200), (20, 431)])
def test_the_fields_of_a_head_are_limited(proxy, count, status):
    response = proxy.get("/app", *[f"X-{n}: y" for n in range(count)])
    assert response.status == status


@pytest.mark.parametrize("count, status", [(20, 200), (21, 502)])
def test_the_fields_of_an_answer_are_limited(proxy, origin, count, status):
    origin.answer = reply(b"", *[f"X-{n}: y" for n in range(count - 1)])
    assert proxy.get("/app").status == status


@pytest.mark.parametrize("framing", ["length", "chunked", "many chunks"])
@pytest.mark.parametrize("size, status", [(1000, 200), (1001, 413)])
def test_bodies_are_limited(proxy, origin, framing, size, status):
    body = bytes(size)
    if framing == "length":
        client = proxy.client().send(request("/app", method="POST", body=body))
    else:
        chunks = [body] if framing == "chunked" else [body[n : n + 1] for n in range(size)]
        client = proxy.client().send(request("/app", "Transfer-Encoding: chunked", method="POST") + chunked(*chunks))
    response = client.response()
    assert response.status == status
    if status == 413:
        assert response.error == "body_too_large"
        assert not any(r.is_complete for r in origin.requests)


def test_a_body_over_the_limit_is_refused_before_it_is_sent(proxy, origin):
    client = proxy.client().send(request("/app", "Expect: 100-continue", "Content-Length: 5000", method="POST"))
    response = client.response()
    assert (response.status, response.interim, response.get("Connection")) == (413, [], "close")
    client.expect_closed()
    assert origin.received == b""


def test_whoever_sends_on_for_seconds_gets_its_413_all_the_same(proxy, origin):
    """A body refused by its length: closed at once, or after a fixed time, the connection would be reset under the answer."""
    client = proxy.client().send(request("/app", "Content-Length: 1000000000", method="POST"))
    until = time.monotonic() + 3
    while time.monotonic() < until:
        client.send(bytes(65536))
    response = client.response()
    assert (response.status, response.error) == REASONS["BODY_TOO_LARGE"]
    client.expect_closed()
    assert origin.received == b""
    assert proxy.live()["chunks"] == 0


def test_a_route_has_its_own_limit_of_bodies(proxy, origin):
    assert proxy.get("/any", method="POST", body=bytes(100_000)).status == 200
    assert len(origin.last.body) == 100_000


def test_a_request_has_only_so_much_memory(start, origin):
    proxy = start(origin, limits={"request_line": "1MiB", "headers": "64KiB"})
    response = proxy.get("/" + "%41" * 100_000)
    assert (response.status, response.error) == REASONS["INTERNAL"]
    assert proxy.access_line(reason="internal")["status"] == 500
    assert errors_of(proxy, "internal") == 1
    assert proxy.get("/").status == 200


def test_memory_is_limited(start, origin):
    """Four chunks of 16 KiB are in use while a client does not read; a second request finds none left."""
    proxy = start(origin, limits={"memory": "64KiB"})
    origin.answer = lambda connection, _: [connection.send(reply(bytes(4 << 20))), CLOSE][1]
    slow = proxy.client(receive_buffer=4096).send(request("/"))
    wait_for(lambda: proxy.live()["chunks"] >= 5, "chunks are in use")
    response = proxy.get("/")
    assert (response.status, response.error) == REASONS["OVERLOADED"]
    slow.reset()
    proxy.clients.remove(slow)
    wait_for(lambda: proxy.live()["chunks"] == 0, "they are free again")
    origin.answer = reply()
    assert proxy.get("/").status == 200


# ---- connections --------------------------------------------------------------------------------------------------------------


def is_refused(proxy, source="127.0.0.1"):
    """Whether a new connection gets 503 before it asked."""
    client = proxy.client(source=source).send(request("/"))
    response = client.response()
    if response.status == 200:
        proxy.clients.remove(client)
        client.close()
        return False
    assert (response.status, response.error) == REASONS["CONNECTION_LIMIT"]
    assert response.get("Connection") == "close" and response.has("Date")
    assert response.body.startswith(b"connection_limit: ")
    return True


@pytest.mark.parametrize("limit", ["connections", "connections_per_source"])
def test_connections_are_limited(start, origin, limit):
    proxy = start(origin, limits={limit: 3})
    held = [proxy.client() for _ in range(3)]
    for client in held:
        assert client.get("/").status == 200
    assert is_refused(proxy)
    assert is_refused(proxy, source="127.0.0.2") == (limit == "connections")
    refused = 2 if limit == "connections" else 1
    assert proxy.metric("weir_connections_refused_total") == refused
    assert proxy.metric("weir_requests_total", code="503") == errors_of(proxy, "connection_limit") == refused
    wait_for(lambda: len(lines_of(proxy, "connection_limit")) == refused, "an access line each")
    line = lines_of(proxy, "connection_limit")[0]
    assert (line["status"], line["listener"], line["source"], line["generation"]) == (503, "web", "127.0.0.1", 1)
    assert "path" not in line and "route" not in line
    held[0].close()
    wait_for(lambda: not is_refused(proxy), "room for another")
    for client in held[1:]:
        assert client.get("/").status == 200


def test_the_age_of_a_connection_is_limited(start, origin):
    proxy = start(origin, limits={"max_connection_age": "300ms"})
    client = proxy.client()
    assert not client.get("/").has("Connection")
    client.expect_closed()  # idle, it goes at that age
    go_on = threading.Event()
    origin.answer = [go_on, reply()]
    client = proxy.client().send(request("/"))
    origin.wait_requests(2)
    time.sleep(0.35)  # to let the connection become that old
    go_on.set()
    assert client.response().get("Connection") == "close"
    client.expect_closed()


def test_idle_clients_are_closed_without_a_word(start, origin):
    proxy = start(origin, limits={"idle_timeout": SHORT})
    proxy.client().expect_closed()
    client = proxy.client()
    assert client.get("/").status == 200
    client.expect_closed()
    assert len(proxy.access_lines()) <= 1


def test_idle_connections_to_an_origin_are_closed(proxy):
    brief = proxy.origins[3]
    assert proxy.get("/brief").status == 200
    assert brief.connections[-1].wait_end() == "fin"


@pytest.mark.parametrize("field", ["Keep-Alive: timeout=2, max=100", "Keep-Alive: timeout=0"])
def test_an_origin_that_is_about_to_close_is_left_first(proxy, origin, field):
    """A request that met its FIN on the way would be lost."""
    origin.answer = reply(b"ok", field)
    answer = proxy.get("/app", method="POST")
    assert answer.status == 200 and answer.get("Keep-Alive") is None
    assert origin.connections[-1].wait_end() == "fin"


def test_requests_wait_for_a_connection_in_turn(proxy):
    queue, go_on = proxy.origins[2], threading.Event()
    queue.answer = [[go_on, reply(b"0")], [reply(b"1")], [reply(b"2")]]
    clients = []
    for n in range(3):
        clients.append(proxy.client().send(request(f"/queue/{n}")))
        if n == 0:
            queue.wait_requests(1)
        else:
            wait_for(lambda n=n: proxy.metric("weir_upstream_pending", upstream="queue") == n, f"{n} wait")
    assert proxy.get("/queue/3").error == "overloaded"
    go_on.set()
    assert [client.response().body for client in clients] == [b"0", b"1", b"2"]
    assert [r.target for r in queue.requests] == ["/queue/0", "/queue/1", "/queue/2"]
    assert len(queue.connections) == 1


def test_waiting_ends_with_the_timeout(proxy):
    queue, go_on = proxy.origins[2], threading.Event()
    queue.answer = [[go_on, reply()], [reply()]]
    first = proxy.client().send(request("/queue/first"))
    queue.wait_requests(1)
    response = proxy.get("/hurry/waits")
    assert (response.status, response.error) == REASONS["RESPONSE_TIMEOUT"]
    go_on.set()
    assert first.response().status == 200
    assert proxy.get("/hurry").status == 200


def test_who_leaves_the_queue_makes_room(proxy):
    queue, go_on = proxy.origins[2], threading.Event()
    queue.answer = [[go_on, reply()], [reply()]]
    first = proxy.client().send(request("/queue/first"))
    queue.wait_requests(1)
    for _ in range(2):
        client = proxy.client().send(request("/queue/leaves"))
        wait_for(lambda: proxy.metric("weir_upstream_pending", upstream="queue") == 1, "one waits")
        client.reset()
        proxy.clients.remove(client)
        wait_for(lambda: proxy.metric("weir_upstream_pending", upstream="queue") == 0, "nobody waits")
    go_on.set()
    assert first.response().status == 200
    assert len(queue.requests) == 1


def test_limits_of_an_upstream_are_the_process_s(start, make_origin):
    """However the kernel spreads the clients over the workers."""
    go_on = threading.Event()
    origin = make_origin([go_on, reply()])
    proxy = start(upstreams={"a": {"endpoints": [origin], "max_connections": 3, "max_pending": 1}}, workers=2)
    clients = []

    def send():
        clients.append(proxy.client().send(request(f"/{len(clients)}")))
        wait_for(lambda: sum(outcomes()) == len(clients), lambda: f"each has its outcome: {outcomes()} of {len(clients)}")

    def outcomes():
        return len(origin.requests), proxy.metric("weir_upstream_pending", upstream="a"), errors_of(proxy, "overloaded")

    while len(origin.requests) < 3:
        send()
    for _ in range(20):
        send()
    assert outcomes() == (3, 1, len(clients) - 4)
    go_on.set()
    assert sorted(client.response().status for client in clients) == [200] * 4 + [503] * (len(clients) - 4)
    assert len(origin.connections) == 3


def take_free_descriptors(proxy):
    """Lowers the limit to the first descriptor that is free: the proxy can open nothing from now on."""
    def lower():
        used = {int(name) for name in os.listdir(f"/proc/{proxy.pid}/fd")}
        free = next(n for n in range(len(used) + 1) if n not in used)
        resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (free, before[1]))
        return all(os.path.exists(f"/proc/{proxy.pid}/fd/{n}") for n in range(free))

    before = resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE)
    wait_for(lower, "every descriptor below the limit is used")
    return before


def test_no_descriptor_left_is_no_fault_of_the_endpoint(start, origin):
    proxy = start(origin)
    client = proxy.client()
    assert client.get("/").status == 200
    origin.hang_up()
    before = take_free_descriptors(proxy)
    answers = [client.get("/none") for _ in range(3)]
    resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, before)
    assert [(a.status, a.error) for a in answers] == [REASONS["LOCAL_LIMIT"]] * 3
    assert proxy.metric("weir_upstream_healthy", upstream="a") == 1
    assert client.get("/again").status == 200
    complaints = [line for line in proxy.error_log().splitlines() if "RLIMIT_NOFILE" in line and "upstream a" in line]
    assert len(complaints) == 1 and "Too many open files" in complaints[0]
    assert "unhealthy" not in proxy.error_log()
    assert errors_of(proxy, "local_limit") == 3


# ---- times -----------------------------------------------------------------------------------------------------------------------


def test_a_head_has_its_time_in_all(proxy):
    """Bytes that trickle in do not buy more of it."""
    client = proxy.client().send(b"GET /app HTTP/1.1\r\nHost: example.com\r\n")
    client.sock.settimeout(0.02)
    for _ in range(1000):
        try:
            client.send(b"X: y\r\n"[:1])
            if client.reader.fill():
                break
        except TimeoutError:
            continue
    client.sock.settimeout(30)
    response = client.response()
    assert (response.status, response.error, response.get("Connection")) == (408, "header_timeout", "close")


def test_the_second_head_has_its_time_too(proxy):
    client = proxy.client()
    assert client.get("/app").status == 200
    response = client.send(b"GET /app HT").response()
    assert (response.status, response.error) == (408, "header_timeout")
    client.expect_closed()


def test_a_slow_upload_is_not_under_the_timeout(proxy, origin):
    """route.timeout runs from the last byte of the request."""
    client = proxy.client().send(request("/upload", "Content-Length: 8", method="POST"))
    connection = origin.wait_connections(1)[0]
    for n in range(8):
        time.sleep(0.1)  # together twice the timeout
        client.send(b"%d" % n)
        wait_for(lambda n=n: connection.received.endswith(b"%d" % n), "the piece at the origin")
    assert client.response().status == 200


def test_a_slow_answer_is_not_under_the_timeout(proxy, origin):
    steps = [reply(b"", "Transfer-Encoding: chunked", length=False)]
    origin.answer = steps + [b"1\r\nx\r\n", 0.1] * 6 + [b"0\r\n\r\n"]
    response = proxy.get("/timeout")
    assert (response.status, response.body) == (200, b"x" * 6)


def test_an_answer_that_stops_moving_is_cut(proxy, origin):
    origin.answer = [reply(b"", "Content-Length: 100", length=False) + b"some", HOLD]
    came = proxy.client().send(request("/idle/cut")).expect_reset()
    assert came.endswith(b"some") or came == b""
    line = proxy.access_line(path="/idle/cut")
    assert (line["status"], line["reason"], line["sent_bytes"]) == (200, "stream_idle", 4)
    assert origin.connections[0].wait_end() in ("fin", "reset")


def test_bytes_that_move_keep_an_answer_alive(proxy, origin):
    steps = [reply(b"", "Transfer-Encoding: chunked", length=False)]
    origin.answer = steps + [b"1\r\nx\r\n", 0.08] * 8 + [b"0\r\n\r\n"]  # together three times stream_idle_timeout
    assert proxy.get("/idle").body == b"x" * 8


@pytest.mark.parametrize("speaker", ["client", "origin", "nobody"])
def test_tunnels_end_when_nobody_speaks(proxy, origin, speaker):
    over = threading.Event()

    def answer(connection, _):
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        over.wait()
        return CLOSE

    origin.answer = answer
    client = proxy.client().send(request(f"/idle/{speaker}", "Connection: upgrade", "Upgrade: x"))
    assert client.response().status == 101
    connection = origin.connections[0]
    for n in range(8 if speaker != "nobody" else 0):
        time.sleep(0.08)
        if speaker == "client":
            client.send(b"%d" % n)
            assert connection.reader.exactly(1) == b"%d" % n
        else:
            connection.send(b"%d" % n)
            assert client.reader.exactly(1) == b"%d" % n
    assert client.rest() == b""
    over.set()
    assert proxy.access_line(path=f"/idle/{speaker}")["reason"] == "stream_idle"


def test_interim_answers_do_not_stop_the_clock(proxy, origin):
    origin.answer = [b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.05] * 10 + [HOLD]
    response = proxy.get("/timeout")
    assert (response.status, response.error) == REASONS["RESPONSE_TIMEOUT"]


def test_what_drain_timeout_cuts_off_is_told(origin):
    proxy = Proxy(origin, drain_timeout=SHORT).start()
    try:
        origin.answer = [HOLD]
        client = proxy.client().send(request("/hangs"))
        origin.wait_requests(1)
        proxy.signal(15)
        response = client.response()
        assert (response.status, response.error, response.get("Connection")) == (*REASONS["DRAINING"], "close")
        client.expect_closed()
        assert proxy.process.wait(30) == 0
        assert proxy.access_line(path="/hangs", reason="draining")["status"] == 503
        assert proxy.reports() == ""
    finally:
        proxy.kill()
