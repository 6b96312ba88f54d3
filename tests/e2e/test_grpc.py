# e2e/test_grpc.py - gRPC: what the proxy itself answers is a gRPC status.
import pytest

from harness import CLOSE, HOLD, Origin, Proxy, request
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
