# e2e/test_grpc.py - gRPC through the proxy: all kinds of calls, statuses, deadlines, cancellation; its own answers.
import threading
from concurrent import futures

import grpc
import pytest

from harness import CLOSE, HOLD, Origin, Proxy, request, wait_for
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


class Service(grpc.GenericRpcHandler):
    """Bytes in, bytes out: no message is parsed by anybody."""

    def __init__(self):
        self.begun, self.cancelled = threading.Event(), threading.Event()
        self.metadata = {}

    def service(self, details):
        handlers = {
            "unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "down": grpc.unary_stream_rpc_method_handler(self.down),
            "up": grpc.stream_unary_rpc_method_handler(self.up),
            "both": grpc.stream_stream_rpc_method_handler(self.both),
            "fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "hang": grpc.unary_unary_rpc_method_handler(self.hang),
            "fail_late": grpc.unary_stream_rpc_method_handler(self.fail_late),
        }
        self.metadata = dict(details.invocation_metadata)
        return handlers.get(details.method.rsplit("/", 1)[1])

    def unary(self, message, context):
        context.send_initial_metadata((("x-initial", "1"),))
        context.set_trailing_metadata((("x-trailing", "2"), ("data-bin", b"\0\xff")))
        return message[::-1]

    def down(self, message, _):
        for n in range(int(message)):
            yield b"%d" % n

    def up(self, messages, _):
        return b"%d" % sum(len(message) for message in messages)

    def both(self, messages, _):
        for message in messages:
            yield message.upper()

    def fail(self, _, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: 100 % \u00fc")

    def fail_late(self, _, context):
        yield b"one"
        context.abort(grpc.StatusCode.DATA_LOSS, "gone")

    def hang(self, _, context):
        if not context.add_callback(self.cancelled.set):
            self.cancelled.set()  # it is over already
        self.begun.set()
        self.cancelled.wait(30)
        return b""


@pytest.fixture(scope="module", name="world")
def fixture_world():
    service = Service()
    server = grpc.server(futures.ThreadPoolExecutor(16), handlers=[service], options=[("grpc.so_reuseport", 0)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    upstreams = {"a": {"endpoints": [f"127.0.0.1:{port}"], "protocol": "http2"}}
    with Proxy(upstreams=upstreams) as proxy:
        yield proxy, service
    server.stop(0).wait()


@pytest.fixture(name="service")
def fixture_service(world):
    service = world[1]
    service.begun.clear()
    service.cancelled.clear()
    return service


@pytest.fixture(name="channel")
def fixture_channel(world):
    options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel("127.0.0.1:%d" % world[0].ports["web"], options=options) as channel:
        yield channel
    wait_for(lambda: not any(world[0].live().values()), lambda: f"nothing is live: {world[0].live()}")


@pytest.mark.parametrize("message", [b"", b"hello", LARGE], ids=["empty", "small", "large"])
def test_unary(channel, service, message):
    answer, call = channel.unary_unary("/test/unary").with_call(message, timeout=30, metadata=(("x-asked", "3"),))
    assert answer == message[::-1]
    assert dict(call.initial_metadata())["x-initial"] == "1"
    trailing = dict(call.trailing_metadata())
    assert (trailing["x-trailing"], trailing["data-bin"]) == ("2", b"\0\xff")
    assert service.metadata["x-asked"] == "3"


def test_the_server_streams(channel):
    answers = list(channel.unary_stream("/test/down")(b"1000", timeout=30))
    assert answers == [b"%d" % n for n in range(1000)]


def test_the_client_streams(channel):
    assert channel.stream_unary("/test/up")((LARGE[:65536] for _ in range(64)), timeout=30) == b"%d" % (64 * 65536)


def test_both_stream_in_turns(channel):
    """Each message waits for the answer to the one before: nothing may be held back."""
    answered = threading.Semaphore(1)

    def messages():
        for n in range(100):
            assert answered.acquire(timeout=30)
            yield b"message %d" % n

    got = []
    for answer in channel.stream_stream("/test/both")(messages(), timeout=30):
        got.append(answer)
        answered.release()
    assert got == [b"MESSAGE %d" % n for n in range(100)]


def failure_of(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def test_a_status_in_the_trailers(channel):
    error = failure_of(lambda: channel.unary_unary("/test/fail")(b"", timeout=30))
    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "not now: 100 % \u00fc")


def test_a_status_behind_messages(channel):
    got = []
    error = failure_of(lambda: got.extend(iter(channel.unary_stream("/test/fail_late")(b"", timeout=30))))
    assert error.code() == grpc.StatusCode.DATA_LOSS
    assert error.details() == "gone"


def test_an_unknown_method(channel):
    assert failure_of(lambda: channel.unary_unary("/test/none")(b"", timeout=30)).code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_deadline_reaches_the_server(channel, service):
    error = failure_of(lambda: channel.unary_unary("/test/hang")(b"", timeout=0.5))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.cancelled.wait(30)


def test_a_cancelled_call_is_cancelled_at_the_server(world, channel, service):
    call = channel.unary_unary("/test/hang").future(b"", timeout=30)
    assert service.begun.wait(30)
    call.cancel()
    assert service.cancelled.wait(30)
    world[0].access_line(path="/test/hang", reason="client_aborted")


def test_many_calls_at_once(channel):
    calls = [channel.unary_unary("/test/unary").future(b"call %d" % n, timeout=30) for n in range(200)]
    assert [call.result() for call in calls] == [(b"call %d" % n)[::-1] for n in range(200)]
