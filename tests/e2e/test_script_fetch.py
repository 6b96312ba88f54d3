# e2e/test_script_fetch.py - weir.fetch: hooks that ask an upstream and wait, while the worker goes on.
import selectors
import signal
import socket
import threading
import time

import pytest

from harness import CLOSE, DEADLINE_S, HOLD, RESET, Authority, Origin, Proxy, reply, request, wait_for
from harness.h2_origin import H2Origin

HOOKS = """
local M = {}

local function ask(req)
  local headers = { ["x-asked"] = req:header("x-asked") or "nothing" }
  local size = tonumber(req:header("x-size") or "")
  return weir.fetch(req:header("x-fetch"), {
    method = req:header("x-method"), path = req:header("x-path"), headers = headers, body = size and ("b"):rep(size),
    timeout = req:header("x-timeout") or "30s" })
end

function M.on_request(req)
  if not req:header("x-fetch") then return end
  local res, err
  for i = 1, tonumber(req:header("x-times") or "1") do res, err = ask(req) end
  if not res then return { status = 503, body = err } end
  if req:header("x-then") == "target" then return res.headers["x-target"] end
  return { status = res.status, headers = { ["x-size"] = tostring(#res.body), ["x-a"] = res.headers["x-a"] or "none" },
           body = res.body:sub(1, 1000) }
end

function M.on_response(req, resp)
  if req:header("x-late") then
    resp:set_header("x-late", select(2, pcall(weir.fetch, "pick")))
  end
end

return M
"""
# Of CPU time: hooks that end keep it under sanitizers, too.
SCRIPT = {"file": "hooks.lua", "budget": "200ms"}
SAYS_B = reply(b"said", "X-Target: b", "X-A: 1", "x-a: 2")


@pytest.fixture(scope="module", name="authority")
def fixture_authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module", name="house")
def fixture_house(authority):
    gone = Origin()
    gone.stop()
    upstreams = {
        "a": {"endpoints": [Origin(reply(b"from a"))]},
        "b": {"endpoints": [Origin(reply(b"from b"))]},
        "pick": {"endpoints": [Origin(SAYS_B)], "max_connections": 0},
        "pick2": {"endpoints": [H2Origin(lambda stream: stream.reply(b"said", ("x-target", "b")))], "protocol": "http2"},
        "narrow": {"endpoints": [Origin(SAYS_B)], "max_connections": 1, "max_pending": 1},
        "gone": {"endpoints": [gone.address]},
        "safe": {"endpoints": [Origin(SAYS_B, tls=authority.server(authority.make("svc", "DNS:svc.internal")))],
                 "tls": {"sni": "svc.internal", "ca": authority.cert}, "protocol": "http1"},
    }
    routes = [
        {"name": "short", "match": {"path": {"prefix": "/short"}}, "script": SCRIPT, "timeout": "300ms", "to": "a"},
        {"name": "all", "script": SCRIPT, "to": "a"},
    ]
    proxy = Proxy(upstreams=upstreams, routes=routes, log={"access": "stdout", "level": "debug"})
    write_hooks(proxy, HOOKS)
    with proxy:
        yield proxy


def write_hooks(proxy, text):
    with open(proxy.path("hooks.lua"), "w", encoding="utf-8") as file:
        file.write(text)


def reload(proxy):
    status, answer = proxy.admin("POST", "/api/v1/reload", {"reason": "a test"})
    assert status in (200, 202), answer


def origin_of(proxy, name):
    return proxy.config["upstreams"][name]["endpoints"][0]


@pytest.fixture(name="pick")
def fixture_pick(proxy):
    return origin_of(proxy, "pick")


@pytest.fixture(name="pick2")
def fixture_pick2(proxy):
    return origin_of(proxy, "pick2")


@pytest.fixture(name="safe")
def fixture_safe(proxy):
    return origin_of(proxy, "safe")


def fetch(proxy, upstream, *fields, path="/", **options):
    return proxy.get(path, f"X-Fetch: {upstream}", *fields, **options)


def fetches(proxy, upstream, result):
    return proxy.metric("weir_upstream_fetches_total", upstream=upstream, result=result)


def hold(origin):
    """From now on it answers nobody until the event is set; then as it always does."""
    event = threading.Event()
    origin.answer = [event, SAYS_B]
    return event


# ---- what is asked, and what is told -----------------------------------------------------------------------------------------


def test_an_answer_decides_where_the_request_goes(proxy, pick):
    before = fetches(proxy, "pick", "answered"), proxy.metric("weir_requests_total", upstream="pick")
    response = fetch(proxy, "pick", "X-Then: target", "X-Path: /who?u=1", "X-Asked: once")
    assert (response.status, response.body) == (200, b"from b")
    seen = pick.last
    assert (seen.method, seen.target, seen.get("host")) == ("GET", "/who?u=1", pick.address)
    assert seen.get("x-asked") == "once" and seen.get("via").startswith("1.1 weir-")
    assert seen.get("content-length") is None and seen.get("x-forwarded-for") is None
    assert fetches(proxy, "pick", "answered") == before[0] + 1
    assert proxy.metric("weir_requests_total", upstream="pick") == before[1], "it is no request of the upstream's"


def test_headers_come_by_lower_case_name_and_lines_joined(proxy):
    response = fetch(proxy, "pick")
    assert (response.status, response.get("x-a"), response.body) == (200, "1, 2", b"said")


def test_a_connection_serves_one_fetch_after_the_other(proxy, pick):
    assert fetch(proxy, "pick", "X-Times: 16").body == b"said"
    assert len(pick.requests) == 16 and len(pick.connections) == 1


def test_it_goes_over_http2(proxy, pick2):
    assert fetch(proxy, "pick2", "X-Then: target", "X-Path: /who").body == b"from b"
    assert (pick2.last.method, pick2.last.path, pick2.last.field(":authority")) == ("GET", "/who", pick2.address)
    assert fetch(proxy, "pick2", "X-Size: 65536", "X-Method: PUT", "X-Times: 3").body == b"said"
    assert pick2.last.body == b"b" * 65536 and len(pick2.connections) == 1


def test_a_body_is_sent_whole(proxy, pick):
    bodies = []

    def answer(connection, message):
        bodies.append(connection.body(message))
        connection.send(SAYS_B)

    pick.answer = answer
    assert fetch(proxy, "pick", "X-Method: POST", "X-Size: 65536").body == b"said"
    assert fetch(proxy, "pick", "X-Method: POST").body == b"said"
    assert fetch(proxy, "pick", "X-Method: GET", "X-Size: 0").body == b"said"
    assert bodies == [b"b" * 65536, b"", b""]
    assert [m.get("content-length") for m in pick.requests] == ["65536", "0", "0"]


def test_an_answer_is_taken_up_to_its_limit(proxy, pick):
    pick.answer = reply(b"x" * 262144)
    assert fetch(proxy, "pick").get("x-size") == "262144"
    pick.answer = reply(b"x" * 262145)
    assert fetch(proxy, "pick").body == b"too_large"
    pick.answer = [b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300, b"y" * 50000, CLOSE]
    assert fetch(proxy, "pick").get("x-size") == "50300"
    pick.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    assert fetch(proxy, "pick").status == 204


def test_so_is_one_over_http2(proxy, pick2):
    pick2.answer = lambda stream: stream.reply(b"x" * 262144)
    assert fetch(proxy, "pick2").get("x-size") == "262144"
    pick2.answer = lambda stream: stream.reply(b"x" * 1000000)
    assert fetch(proxy, "pick2").body == b"too_large"
    pick2.last.wait_reset()


def test_it_goes_over_tls(proxy, safe):
    assert fetch(proxy, "safe", "X-Then: target").body == b"from b"
    assert safe.last.get("host") == "svc.internal"


def test_an_answer_to_head_has_no_body(proxy, pick):
    pick.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    assert fetch(proxy, "pick", "X-Method: HEAD").get("x-size") == "0"


def test_interim_heads_are_passed_over(proxy, pick):
    pick.answer = b"HTTP/1.1 103 Early Hints\r\nX-A: no\r\n\r\n" + SAYS_B
    assert fetch(proxy, "pick").get("x-a") == "1, 2"


# ---- what goes wrong ------------------------------------------------------------------------------------------------------------


def test_failures_have_the_codes_of_requests(proxy, pick):
    failed = fetches(proxy, "pick", "failed")
    for answer, code in [(RESET, b"upstream_reset"), (CLOSE, b"upstream_reset"), (b"nonsense\r\n\r\n", b"upstream_invalid"),
                         (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", b"upstream_invalid"),
                         (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"upstream_reset")]:
        pick.answer = [answer, CLOSE]
        response = fetch(proxy, "pick", "X-Method: POST")
        assert (response.status, response.body) == (503, code)
    assert fetches(proxy, "pick", "failed") == failed + 5
    assert fetch(proxy, "gone").body == b"connect_failed"
    wait_for(lambda: "fetch from gone: GET /: connect_failed" in proxy.error_log(), "it is in the log")


def test_a_time_out_gives_the_connection_up(proxy, pick):
    pick.answer = HOLD
    assert fetch(proxy, "pick", "X-Timeout: 50ms").body == b"response_timeout"
    pick.connections[0].wait_end()


def test_a_reset_of_its_stream_is_a_failure(proxy, pick2):
    pick2.answer = lambda stream: stream.reset()
    assert fetch(proxy, "pick2", "X-Method: POST").body == b"upstream_reset"


def test_limits_of_the_upstream_are_its_limits(proxy):
    narrow = origin_of(proxy, "narrow")
    event = hold(narrow)
    clients = [proxy.client().send(request("/", "X-Fetch: narrow")) for _ in range(2)]
    narrow.wait_requests(1)
    wait_for(lambda: proxy.metric("weir_upstream_pending", upstream="narrow") == 1, "one waits for the connection")
    assert fetch(proxy, "narrow").body == b"overloaded"
    event.set()
    assert [client.response().body for client in clients] == [b"said", b"said"]


def test_waiting_is_a_part_of_the_routes_timeout(proxy, pick):
    cancelled = fetches(proxy, "pick", "cancelled")
    pick.answer = HOLD
    response = fetch(proxy, "pick", path="/short")
    assert (response.status, response.get("x-weir-error")) == (504, "response_timeout")
    pick.connections[0].wait_end()
    assert fetches(proxy, "pick", "cancelled") == cancelled + 1
    assert "upstream" not in proxy.access_line(path="/short"), "no upstream is charged with it"


def test_other_hooks_cannot_wait(proxy):
    assert "works in on_request only" in proxy.get("/", "X-Late: 1").get("x-late")


# ---- whose client goes away -----------------------------------------------------------------------------------------------------


def wait_cancelled(proxy, count):
    wait_for(lambda: proxy.metric("weir_fetches_live") == 0, "no fetch is left")
    assert fetches(proxy, "pick", "cancelled") == count


def test_a_client_that_resets_takes_its_fetch_along(proxy, pick):
    cancelled = fetches(proxy, "pick", "cancelled")
    pick.answer = HOLD
    for fields, body in [((), b""), (("Content-Length: 100000",), b"some")]:
        client = proxy.client()
        client.send(request("/gone", "X-Fetch: pick", *fields) + body)
        pick.wait_requests(1)
        client.reset()
        proxy.clients.remove(client)
        pick.connections[0].wait_end()
        cancelled += 1
        wait_cancelled(proxy, cancelled)
        pick.requests.clear(), pick.connections.clear()
    assert proxy.access_line(path="/gone", status=0)["reason"] == "client_aborted"


def test_so_does_one_that_only_closes(proxy, pick):
    cancelled = fetches(proxy, "pick", "cancelled")
    pick.answer = HOLD
    proxy.client().send(request("/", "X-Fetch: pick"))
    pick.wait_requests(1)
    proxy.close_clients()
    pick.connections[0].wait_end()
    wait_cancelled(proxy, cancelled + 1)


def test_so_does_the_reset_of_a_stream(proxy, pick, pick2):
    cancelled = fetches(proxy, "pick", "cancelled")
    pick.answer, pick2.answer = HOLD, None
    client = proxy.h2_client()
    first, second = client.begin("/", ("x-fetch", "pick")), client.begin("/", ("x-fetch", "pick2"), end=False)
    pick.wait_requests(1)
    pick2.wait_streams(1)
    client.cancel(first)
    pick.connections[0].wait_end()
    client.cancel(second)
    pick2.last.wait_reset()
    wait_cancelled(proxy, cancelled + 1)
    assert client.get("/").body == b"from a"


# ---- what waits behind it ------------------------------------------------------------------------------------------------------


def test_pipelined_requests_wait_for_their_turn(proxy, pick):
    event = hold(pick)
    client = proxy.client()
    client.send(request("/1", "X-Fetch: pick") + request("/2") + request("/3", "X-Fetch: pick", "X-Then: target"))
    pick.wait_requests(1)
    assert proxy.get("/").body == b"from a", "others are served meanwhile"
    assert origin_of(proxy, "a").last.target == "/"
    event.set()
    assert [client.response().body for _ in range(3)] == [b"said", b"from a", b"from b"]
    assert client.get("/4").body == b"from a"


class Upload(threading.Thread):
    def __init__(self, client, data):
        super().__init__(daemon=True)
        self.client, self.data, self.is_sent = client, data, False
        self.start()

    def run(self):
        self.client.sock.sendall(self.data)
        self.is_sent = True


def test_an_upload_waits_in_the_clients_socket(proxy, pick):
    """More than all queues on the way hold: it stands still, and nothing of it is kept here but what was read with the head."""
    body = b"u" * (24 << 20)
    event = hold(pick)
    client = proxy.client()
    upload = Upload(client, request("/", "X-Fetch: pick", "X-Then: target", method="POST", body=body))
    pick.wait_requests(1)
    assert proxy.live()["chunks"] <= 8
    assert proxy.live()["chunks"] <= 8 and not upload.is_sent
    target = origin_of(proxy, "b")
    assert target.requests == []
    lengths = []
    target.answer = lambda connection, message: (lengths.append(len(connection.body(message))), connection.send(reply(b"got it")))
    event.set()
    assert client.response().body == b"got it" and lengths == [len(body)]
    upload.join()
    assert client.get("/").body == b"from a"


def test_an_upload_in_a_stream_waits_behind_its_window(proxy, pick):
    body = b"u" * 300000
    event = hold(pick)
    client = proxy.h2_client()
    stream = client.begin("/", ("x-fetch", "pick"), ("x-then", "target"), method="POST", end=False)
    client.ping()
    room = client.state.local_flow_control_window(stream)
    client.data(stream, body[:room])
    pick.wait_requests(1)
    assert client.get("/").body == b"from a", "other streams go on"
    assert client.state.local_flow_control_window(stream) == 0
    lengths = []
    origin_of(proxy, "b").answer = lambda connection, message: (
        lengths.append(len(connection.body(message))), connection.send(reply(b"got it")))
    event.set()
    client.data(stream, body[room:], end=True)
    assert client.answer(stream).body == b"got it" and lengths == [len(body)]


def test_a_stream_that_is_answered_by_its_hook_needs_no_upload(proxy, pick):
    event = hold(pick)
    client = proxy.h2_client()
    stream = client.begin("/", ("x-fetch", "pick"), method="POST", end=False)
    client.data(stream, b"some")
    pick.wait_requests(1)
    event.set()
    assert client.answer(stream).body == b"said"
    assert client.get("/").body == b"from a"


# ---- lives of configurations ---------------------------------------------------------------------------------------------------


def test_a_reload_leaves_hooks_that_wait_alone(proxy, pick):
    event = hold(pick)
    client = proxy.client().send(request("/", "X-Fetch: pick", "X-Times: 2"))
    pick.wait_requests(1)
    write_hooks(proxy, "return { on_request = function() return { status = 200, body = 'new' } end }")
    try:
        reload(proxy)
        wait_for(lambda: proxy.get("/").body == b"new", "the new script is in force")
        event.set()
        assert client.response().body == b"said", "two fetches, one of them begun after the reload"
        assert client.get("/").body == b"new"
        wait_for(lambda: proxy.status()["config"]["snapshots"] == 1, "the old one goes")
    finally:
        write_hooks(proxy, HOOKS)
        reload(proxy)
        wait_for(lambda: proxy.get("/").body == b"from a", "the old script is in force")


@pytest.fixture(name="open_proxy")
def fixture_open_proxy():
    """A proxy of a test's own."""
    opened = []

    def open_one(origin, pick=None, **config):
        upstreams = {"a": {"endpoints": [origin]}, "pick": {"endpoints": [pick or origin], "max_connections": 0}}
        proxy = Proxy(upstreams=upstreams, routes=[{"name": "all", "script": SCRIPT, "to": "a"}], **config)
        write_hooks(proxy, HOOKS)
        opened.append(proxy)
        return proxy.start()

    yield open_one
    for proxy in opened:
        proxy.end()


def test_it_comes_back_as_a_loop(open_proxy, origin):
    proxy = open_proxy(origin)
    proxy.config["upstreams"]["pick"]["endpoints"] = ["%s:%d" % proxy.address()]
    proxy.write_config()
    reload(proxy)
    wait_for(lambda: fetch(proxy, "pick").status == 508, "it has asked itself")


def test_a_drain_waits_for_hooks_that_wait(open_proxy, origin):
    event = hold(origin)
    proxy = open_proxy(origin)
    client = proxy.client().send(request("/", "X-Fetch: pick"))
    origin.wait_requests(1)
    proxy.drain()
    event.set()
    response = client.response()
    assert (response.body, response.get("connection")) == (b"said", "close")


def test_a_stop_does_not_wait_for_ever(open_proxy, origin):
    origin.answer = HOLD
    proxy = open_proxy(origin, drain_timeout="100ms")
    client = proxy.client().send(request("/", "X-Fetch: pick"))
    stream_client = proxy.h2_client()
    stream = stream_client.begin("/", ("x-fetch", "pick"))
    origin.wait_requests(2)
    proxy.signal(signal.SIGTERM)
    assert client.response().get("x-weir-error") == "draining"
    assert stream_client.answer(stream).error == "draining"
    assert proxy.process.wait(DEADLINE_S) == 0


# ---- many ---------------------------------------------------------------------------------------------------------------------------


class Holder:
    """Takes requests on any number of connections, and answers none before it is told to."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(4096)
        self.listener.setblocking(False)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.connections, self.asked = [], set()

    def accept_all(self):
        try:
            while True:
                self.connections.append(self.listener.accept()[0])
                self.selector.register(self.connections[-1], selectors.EVENT_READ)
        except BlockingIOError:
            pass

    def read(self, sock):
        if sock.recv(65536).endswith(b"\r\n\r\n"):
            self.asked.add(sock)
        else:
            self.selector.unregister(sock)
            sock.close()
            self.asked.discard(sock)

    def run(self, count):
        """Serves until so many wait for an answer."""
        give_up = time.monotonic() + DEADLINE_S
        while len(self.asked) != count:
            assert time.monotonic() < give_up, f"{len(self.asked)} of {len(self.connections)} connections have asked"
            for key, _ in self.selector.select(0.05):
                if key.fileobj is self.listener:
                    self.accept_all()
                else:
                    self.read(key.fileobj)

    def answer_all(self):
        for sock in self.asked:
            sock.sendall(SAYS_B)
        self.asked.clear()


    def close(self):
        for sock in [*self.connections, self.listener]:
            sock.close()


@pytest.fixture(name="holder")
def fixture_holder():
    holder = Holder()
    yield holder
    holder.close()


CLIENTS, STREAMS = 20, 100


def test_thousands_wait_on_one_worker(open_proxy, origin, holder):
    proxy = open_proxy(origin, holder.address)
    clients = [proxy.h2_client() for _ in range(CLIENTS)]
    for client in clients:
        streams = [client.prepare("/", ("x-fetch", "pick")) for _ in range(STREAMS)]
        client.flush()
    holder.run(CLIENTS * STREAMS)
    assert proxy.metric("weir_fetches_live") == CLIENTS * STREAMS
    assert proxy.get("/").body == b"ok" and proxy.get("/").body == b"ok", "the worker goes on"
    for client in clients[:5]:
        client.close()
    holder.run((CLIENTS - 5) * STREAMS)
    holder.answer_all()
    for client in clients[5:]:
        assert all(client.answer(stream).body == b"said" for stream in streams)
    assert proxy.metric("weir_upstream_fetches_total", result="answered") == (CLIENTS - 5) * STREAMS
    assert proxy.metric("weir_upstream_fetches_total", result="cancelled") == 5 * STREAMS
    assert proxy.metric("weir_script_calls_total", hook="on_request", result="ok") == (CLIENTS - 5) * STREAMS + 2
