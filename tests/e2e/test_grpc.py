# e2e/test_grpc.py - gRPC through the proxy: all kinds of calls, statuses, deadlines, cancellation; its own answers.
import itertools

import pytest

from harness import CLOSE, DEADLINE_S, HOLD, Authority, Origin, Proxy, request, wait_for
from harness.grpc_peers import NodeClient, NodeServer, PythonClient, PythonServer
from harness.proxy import free_port

GRPC = ("content-type", "application/grpc+proto")


@pytest.fixture(scope="module", name="house")
def fixture_house():
    upstreams = {"a": {"endpoints": [Origin()]}, "closed": {"endpoints": [f"127.0.0.1:{free_port()}"]}}
    routes = [
        {"name": "closed", "match": {"path": {"prefix": "/closed"}}, "to": "closed"},
        {"name": "rate", "match": {"path": {"prefix": "/rate"}}, "to": "a", "rate_limit": {"rate": "1/h", "burst": 1}},
        {"name": "late", "match": {"path": {"prefix": "/late"}}, "to": "a", "timeout": "200ms"},
        {"name": "all", "match": {"path": {"prefix": "/served"}}, "to": "a"},
    ]
    with Proxy(upstreams=upstreams, routes=routes) as proxy:
        yield proxy


# path, what the origin does, gRPC's code and the proxy's
OUTCOMES = [
    ("/none", None, "12", "no_route"),
    ("/closed", None, "14", "connect_failed"),
    ("/late", HOLD, "4", "response_timeout"),
    ("/served/%00", None, "13", "bad_path"),
    ("/served", CLOSE, "14", "upstream_reset"),
]


@pytest.mark.parametrize("path,how,code,reason", OUTCOMES)
def test_an_answer_of_the_proxys_own_is_a_grpc_status(proxy, path, how, code, reason):
    proxy.origins[0].answer = how or proxy.origins[0].default
    answer = proxy.h2_client().get(path, GRPC, body=b"\0\0\0\0\0", method="POST")
    assert (answer.status, answer.get("content-type"), answer.body) == (200, "application/grpc", b"")
    assert (answer.get("grpc-status"), answer.error) == (code, reason)
    assert answer.get("grpc-message")
    line = proxy.access_line(reason=reason, protocol="HTTP/2")
    assert line["status"] == 200


def test_a_rate_limit_is_resource_exhausted(proxy):
    client = proxy.h2_client()
    client.get("/rate", GRPC, method="POST", body=b"")
    answer = client.get("/rate", GRPC, method="POST", body=b"")
    assert (answer.get("grpc-status"), answer.error) == ("8", "rate_limited")


def test_messages_are_escaped(proxy):
    answer = proxy.h2_client().get("/served/%00", GRPC, method="POST", body=b"")
    assert answer.get("grpc-message") == ("the path holds %2500, a backslash, a broken %25-sequence or climbs above the root")


def test_http1_gets_one_too(proxy):
    client = proxy.client()
    client.send(request("/none", "Content-Type: application/grpc", method="POST", body=b"\0\0\0\0\0"))
    answer = client.response()
    assert (answer.status, answer.get("grpc-status"), answer.error, answer.body) == (200, "12", "no_route", b"")
    assert client.get("/served").status == 200


@pytest.mark.parametrize("kind", ["application/json", "text/grpc", "application/grp"])
def test_others_get_their_http_status(proxy, kind):
    answer = proxy.h2_client().get("/none", ("content-type", kind), method="POST", body=b"x")
    assert (answer.status, answer.get("grpc-status")) == (404, None)


# ---- calls -------------------------------------------------------------------------------------------------------------

LARGE = bytes(range(256)) * 8192  # 2 MiB
CANCELLED, DEADLINE_EXCEEDED, FAILED_PRECONDITION, UNIMPLEMENTED, UNAVAILABLE, DATA_LOSS = 1, 4, 9, 12, 14, 15
NEVER_S = 1000  # a server ends a call by itself when its deadline is over: then nobody would need to tell it
CLIENTS = {"python": PythonClient, "js": NodeClient}
SERVERS = {"python": PythonServer, "js": NodeServer}


class World:
    """A proxy between every kind of client and every kind of server, in clear text and over TLS."""

    def __init__(self, directory):
        self.ca = Authority(directory)
        certificate = self.ca.make("localhost", "DNS:localhost")
        self.servers = {name: make(certificate) for name, make in SERVERS.items()}
        self.dark = PythonServer(certificate)
        self.clients = {name: make(self.ca) for name, make in CLIENTS.items()}
        self.proxy = Proxy(
            listeners={"web": {"bind": "127.0.0.1:0"},
                       "tls": {"bind": "127.0.0.1:0", "tls": {"certificates": [certificate.pair()]}}},
            upstreams=dict(self.upstreams(), closed={"endpoints": [f"127.0.0.1:{free_port()}"]}),
            routes=list(self.routes()),
        )

    def upstreams(self):
        patience = {"connect_timeout": f"{DEADLINE_S:.0f}s"}  # their handshakes take what a busy machine gives them
        yield "dark", {"endpoints": [f"127.0.0.1:{self.dark.ports['clear']}"], "protocol": "http2", **patience}
        for name, server in self.servers.items():
            yield f"{name}-clear", {"endpoints": [f"127.0.0.1:{server.ports['clear']}"], "protocol": "http2", **patience}
            tls = {"ca": self.ca.cert, "sni": "localhost"}
            yield f"{name}-tls", {"endpoints": [f"127.0.0.1:{server.ports['tls']}"], "tls": tls, **patience}  # HTTP/2 by ALPN

    def routes(self):
        """The service that is called is the upstream's name."""
        yield {"name": "closed", "match": {"path": {"prefix": "/closed"}}, "to": "closed"}
        shadow = {"to": "dark", "methods": ["POST"], "max_body": "8MiB", "timeout": f"{DEADLINE_S:.0f}s",
                  "compare": {"max_body": "4MiB"}}
        yield {"name": "copied", "match": {"path": {"prefix": "/copied"}}, "to": "python-clear", "shadow": [shadow]}
        for name in dict(self.upstreams()):
            is_late = {"header": "x-late", "present": True}
            yield {"name": f"late-{name}", "match": {"path": {"exact": f"/{name}/hang"}, "when": is_late},
                   "to": name, "timeout": "500ms"}
            yield {"name": name, "match": {"path": {"prefix": f"/{name}"}}, "to": name}

    def stop(self):
        for peer in [*self.clients.values(), *self.servers.values(), self.dark]:
            peer.stop()


@pytest.fixture(scope="module", name="world")
def fixture_world(tmp_path_factory):
    world = World(str(tmp_path_factory.mktemp("ca")))
    with world.proxy:
        yield world
    world.stop()


class Path:
    """One of the ways through the proxy: a client, the same kind of connection on both sides of the proxy, a server."""

    def __init__(self, world, client, how, server):
        self.world, self.client = world, world.clients[client]
        self.is_secure, self.service = how == "tls", f"{server}-{how}"
        self.target = "127.0.0.1:%d" % world.proxy.ports["tls" if self.is_secure else "web"]
        self.events = world.servers[server].events
        self.events.clear()

    def start(self, method, kind="unary", service=None, **options):
        return self.client.start(self.target, f"/{service or self.service}/{method}", kind, is_secure=self.is_secure, **options)

    def call(self, method, kind="unary", **options):
        return self.start(method, kind, **options).result()


# Node's own code takes the time, and shows nothing about threads that Python's does not.
WAYS = [pytest.param(way, id="-".join(way), marks=[pytest.mark.once] if "js" in way else [])
        for way in itertools.product(CLIENTS, ["clear", "tls"], SERVERS)]


@pytest.fixture(name="path", params=WAYS)
def fixture_path(world, request):
    path = Path(world, *request.param)
    yield path
    path.client.close()
    wait_for(lambda: not any(world.proxy.live().values()), lambda: f"nothing is live: {world.proxy.live()}")


@pytest.mark.parametrize("message", [b"", b"hello", LARGE], ids=["empty", "small", "large"])
def test_unary(path, message):
    seen = path.call("unary", messages=[message], metadata={"x-asked": "3"})
    assert (seen.code, seen.messages) == (0, [message[::-1]])
    assert (seen.initial["x-initial"], seen.initial["x-echoed"]) == ("1", "3")
    assert (seen.trailing["x-trailing"], seen.trailing["data-bin"]) == ("2", b"\0\xff")
    line = path.world.proxy.access_line(path=f"/{path.service}/unary")
    assert (line["protocol"], line["status"]) == ("HTTP/2", 200)


def test_the_server_streams(path):
    seen = path.call("down", "down", messages=[b"1000"])
    assert (seen.code, seen.messages) == (0, [b"%d" % n for n in range(1000)])


def test_the_client_streams(path):
    seen = path.call("up", "up", messages=[LARGE[:65536]] * 64)
    assert (seen.code, seen.messages) == (0, [b"%d" % (64 * 65536)])


def test_both_stream_in_turns(path):
    """Each message waits for the answer to the one before: nothing may be held back."""
    seen = path.call("both", "both", messages=[b"message %d" % n for n in range(100)], in_turns=True)
    assert (seen.code, seen.messages) == (0, [b"MESSAGE %d" % n for n in range(100)])


def test_a_status_in_the_trailers(path):
    seen = path.call("fail")
    assert (seen.code, seen.details) == (FAILED_PRECONDITION, "not now: 100 % \u00fc")


def test_a_status_behind_messages(path):
    seen = path.call("fail_late", "down")
    assert (seen.code, seen.details, seen.messages) == (DATA_LOSS, "gone", [b"one"])


def test_an_unknown_method(path):
    assert path.call("none").code == UNIMPLEMENTED


def test_the_server_knows_the_deadline(path):
    seen = path.call("remaining", timeout=1000)
    assert seen.code == 0
    assert 0 < int(seen.messages[0]) < 2_000_000  # they round up


def ends_at_the_server(path, call):
    """A busy machine may end a call before its server hears of it: again, until one was heard of."""
    for _ in range(10):
        seen = call()
        assert seen.code == DEADLINE_EXCEEDED, seen
        if path.events.begun.is_set():
            assert path.events.cancelled.wait(DEADLINE_S)
            return seen
    raise AssertionError("no call came through in time")


def test_a_deadline_reaches_the_server(path):
    ends_at_the_server(path, lambda: path.call("hang", timeout=0.5))


def test_a_cancelled_call_is_cancelled_at_the_server(path):
    call = path.start("hang", timeout=NEVER_S)
    assert path.events.begun.wait(DEADLINE_S)
    call.cancel()
    assert path.events.cancelled.wait(DEADLINE_S)
    assert call.result().code == CANCELLED
    path.world.proxy.access_line(path=f"/{path.service}/hang", reason="client_aborted")


def test_the_proxys_own_answers_are_statuses(path):
    for service, code, reason in [("none", UNIMPLEMENTED, "no_route"), ("closed", UNAVAILABLE, "connect_failed")]:
        for method, kind in [("unary", "unary"), ("down", "down"), ("up", "up"), ("both", "both")]:
            seen = path.call(method, kind, service=service)
            assert (seen.code, seen.messages) == (code, []), seen
            assert seen.details and {**seen.initial, **seen.trailing}["x-weir-error"] == reason


def test_a_server_that_is_late(path):
    """The proxy gives up: the client gets a status, the server is told."""
    seen = ends_at_the_server(path, lambda: path.call("hang", metadata={"x-late": "1"}, timeout=NEVER_S))
    assert {**seen.initial, **seen.trailing}["x-weir-error"] == "response_timeout"


def test_many_calls_at_once(path):
    calls = [path.start("unary", messages=[b"call %d" % n]) for n in range(200)]
    for n, call in enumerate(calls):
        seen = call.result()
        assert (seen.code, seen.messages) == (0, [(b"call %d" % n)[::-1]]), seen


@pytest.mark.parametrize("message", [b"", b"hello", LARGE], ids=["empty", "small", "large"])
def test_a_shadow_answers_a_copied_call_as_the_primary_does(world, message):
    path = Path(world, "python", "clear", "python")

    def same():
        return world.proxy.metric("weir_shadow_compared_total", route="copied", verdict="same")

    before = same()
    seen = path.call("unary", service="copied", messages=[message])
    assert (seen.code, seen.messages, seen.trailing["x-trailing"]) == (0, [message[::-1]], "2")
    wait_for(lambda: same() == before + 1, "both turned the message round")
    assert world.proxy.metric("weir_shadow_requests_total", route="copied", result="ok") == same()
    path.client.close()
