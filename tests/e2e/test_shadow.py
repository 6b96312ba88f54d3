# e2e/test_shadow.py - copies of requests: what is copied, what a copy looks like, and that the request never feels it.
import re
import threading

import pytest

from harness import CLOSE, DEADLINE_S, HOLD, RESET, Origin, Proxy, chunked, reply, request, wait_for
from harness.h2_origin import H2Origin
from harness.proxy import free_port

MIB = 1 << 20
FIRST = {"name": "first", "match": {"path": {"prefix": "/"}}, "to": "a"}


def route(*shadows, **more):
    return {"name": "all", "to": "a", "shadow": list(shadows), **more}


class House:
    """A proxy with an origin `a` behind its route and one origin for each shadow."""

    def __init__(self, start, make_origin):
        self.start_proxy, self.make_origin = start, make_origin

    def open(self, *shadows, origins=None, upstreams=None, more=None, **config):
        self.primary = self.make_origin()
        self.shadows = origins or [self.make_origin() for _ in shadows]
        names = ["dark", "darker"][: len(self.shadows)]
        known = {"a": {"endpoints": [self.primary]}}
        for name, origin in zip(names, self.shadows):
            known[name] = {"endpoints": [origin], **(upstreams or {})}
        rows = [{"to": name, **shadow} for name, shadow in zip(names, shadows)]
        self.proxy = self.start_proxy(upstreams=known, routes=[route(*rows, **(more or {}))], **config)
        self.dark = self.shadows[0]
        return self.proxy

    def results(self, upstream="dark"):
        return {name: int(self.proxy.metric("weir_shadow_requests_total", route="all", upstream=upstream, result=name))
                for name in ("ok", "error", "timeout", "dropped")}

    def dropped(self, reason, upstream="dark"):
        return int(self.proxy.metric("weir_shadow_dropped_total", route="all", upstream=upstream, reason=reason))

    def expect(self, upstream="dark", **wanted):
        """Waits for these results, and no others."""
        all_wanted = {"ok": 0, "error": 0, "timeout": 0, "dropped": 0, **wanted}
        wait_for(lambda: self.results(upstream) == all_wanted, lambda: f"{all_wanted}: {self.results(upstream)}")

    def expect_drop(self, reason, count=1):
        wait_for(lambda: self.dropped(reason) == count, lambda: f"{count} dropped for {reason}: {self.results()}")


@pytest.fixture(name="house")
def fixture_house(start, make_origin):
    return House(start, make_origin)


# ---- what a copy looks like ----------------------------------------------------------------------------------------------


def test_a_copy_is_the_request_and_its_answer_is_dropped(house):
    proxy = house.open({})
    house.dark.answer = reply(b"other", "Set-Cookie: dark=1", status="500 Broken")
    answer = proxy.get("/path?a=1", "X-Mixed: Value")
    assert (answer.status, answer.body, answer.get("set-cookie")) == (200, b"ok", None)
    copy, = house.dark.wait_requests(1)
    original = house.primary.last
    assert (copy.start, copy.get("host")) == (original.start, "example.com")
    assert copy.get("x-mixed") == "Value" and copy.get("x-shadow") == "1" and not original.has("x-shadow")
    assert copy.get("x-request-id") == original.get("x-request-id")
    assert copy.get("x-forwarded-for") == original.get("x-forwarded-for")
    assert copy.get("via") == original.get("via") + " (shadow)"
    house.expect(ok=1)


def test_a_copy_is_a_child_of_the_same_trace(house):
    proxy = house.open({})
    proxy.get("/", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate: a=1")
    copy, = house.dark.wait_requests(1)
    original = house.primary.last
    ours, theirs = original.get("traceparent").split("-"), copy.get("traceparent").split("-")
    assert (theirs[1], theirs[3]) == (ours[1], ours[3]) == ("0af7651916cd43dd8448eb211c80319c", "01")
    assert len({ours[2], theirs[2], "b7ad6b7169203331"}) == 3 and re.fullmatch("[0-9a-f]{16}", theirs[2])
    assert copy.get("tracestate") == original.get("tracestate") == "a=1"


def test_credentials_do_not_go_along(house):
    proxy = house.open({})
    proxy.get("/", "Authorization: Bearer t", "Cookie: a=1", "Cookie: b=2", "X-Other: 1")
    copy, = house.dark.wait_requests(1)
    assert house.primary.last.get("authorization") == "Bearer t"
    assert not {"authorization", "cookie", "proxy-authorization"} & {name.lower() for name, _ in copy.fields}
    assert copy.get("x-other") == "1"


def test_what_is_set_and_removed_can_be_configured(house):
    proxy = house.open({"headers": {"set": {"authorization": "Bearer test", "x-dark": "yes"}, "remove": ["x-other"]}})
    proxy.get("/", "Authorization: Bearer t", "Cookie: a=1", "X-Other: 1")
    copy, = house.dark.wait_requests(1)
    assert (copy.get("authorization"), copy.get("x-dark"), copy.get("cookie")) == ("Bearer test", "yes", "a=1")
    assert not copy.has("x-other") and not copy.has("x-shadow")
    assert copy.get("via").endswith("(shadow)"), "what tells a copy cannot be configured away"


def test_a_copy_is_made_of_what_the_route_makes_of_the_request(house):
    proxy = house.open({}, more={"match": {"path": {"prefix": "/api"}}, "rewrite": {"path_prefix": "/v2", "host": "svc.internal"},
                                 "request_headers": {"set": {"x-a": "1"}, "remove": ["x-b"]}})
    proxy.get("/api/x?q=1", "X-B: 1")
    copy, = house.dark.wait_requests(1)
    assert (copy.target, copy.get("host"), copy.get("x-a"), copy.get("x-b")) == ("/v2/x?q=1", "svc.internal", "1", None)


def test_several_shadows_get_a_copy_each(house):
    proxy = house.open({}, {"headers": {"set": {"x-second": "1"}}})
    assert proxy.get("/").status == 200
    for origin in house.shadows:
        origin.wait_requests(1)
    assert house.shadows[1].last.has("x-second") and not house.shadows[0].last.has("x-second")
    house.expect("dark", ok=1)
    house.expect("darker", ok=1)


def test_copies_reuse_connections_of_their_own(house):
    proxy = house.open({})
    client = proxy.client()
    for count in range(1, 6):
        assert client.get("/").status == 200
        house.expect(ok=count)
    carried = [c for c in house.dark.connections if c.requests]
    assert len(carried) == 1
    assert proxy.metric("weir_upstream_connections", upstream="dark", use="shadow", state="idle") == 1


# ---- what is copied ------------------------------------------------------------------------------------------------------


def test_only_safe_methods_are_copied_unless_others_are_named(house):
    proxy = house.open({}, {"methods": ["POST", "PURGE"]})
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "PURGE", "OTHER"):
        assert proxy.get("/", method=method).status == 200
    house.expect("dark", ok=3)
    house.expect("darker", ok=2)
    assert [r.method for r in house.shadows[0].requests] == ["GET", "HEAD", "OPTIONS"]
    assert [r.method for r in house.shadows[1].requests] == ["POST", "PURGE"]


def test_a_condition_sees_the_request_as_it_came(house):
    proxy = house.open({"when": {"header": "x-copy", "equals": "1"}}, more={"request_headers": {"remove": ["x-copy"]}})
    proxy.get("/yes", "X-Copy: 1")
    proxy.get("/no", "X-Copy: 2")
    house.expect(ok=1)
    assert [r.target for r in house.dark.requests] == ["/yes"]
    assert not house.dark.last.has("x-copy")


def test_a_share_is_exact_over_its_block(house):
    proxy = house.open({"share": "25%"}, {"share": "0%"})
    client = proxy.client()
    for _ in range(40):
        client.get("/")
    house.expect(ok=10)
    house.expect("darker")


def test_an_upgrade_is_not_copied(house):
    proxy = house.open({})
    house.primary.answer = [b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n", CLOSE]
    client = proxy.client()
    client.send(request("/", "Connection: upgrade", "Upgrade: echo"))
    assert client.response().status == 101
    house.primary.answer = reply()
    proxy.get("/next")
    house.expect(ok=1)
    assert [r.target for r in house.dark.requests] == ["/next"]


@pytest.mark.parametrize("mark", ["X-Shadow: 1", "Via: 1.1 other (shadow)"])
def test_a_copy_is_not_copied_again(house, mark):
    proxy = house.open({})
    assert proxy.get("/", mark).status == 200
    house.expect_drop("shadow_of_shadow")
    assert not house.dark.requests


def test_a_shadow_that_leads_back_here_ends_here(start, make_origin):
    port = free_port()
    origin = make_origin()
    proxy = start(upstreams={"a": {"endpoints": [origin]}, "self": {"endpoints": [f"127.0.0.1:{port}"]}},
                  listeners={"web": {"bind": f"127.0.0.1:{port}"}}, routes=[route({"to": "self"})])
    assert proxy.get("/").status == 200
    proxy.access_line(reason="loop")
    wait_for(lambda: proxy.metric("weir_shadow_requests_total", result="ok") == 1, "the copy got its answer, which is an error")
    assert len(origin.requests) == 1


# ---- bodies --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 700, 20_000, 300_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_goes_to_both(house, size, framing):
    proxy = house.open({"methods": ["POST"]})
    body = bytes(i % 251 for i in range(size))
    seen = []
    house.dark.answer = lambda connection, r: (seen.append(connection.body(r)), connection.send(reply()))
    client = proxy.client()
    if framing == "length":
        client.send(request("/", method="POST", body=body))
    else:
        client.send(request("/", "Transfer-Encoding: chunked", method="POST") + chunked(body))
    assert client.response().status == 200
    house.expect(ok=1)
    assert seen == [body]


def test_trailers_go_along(house):
    proxy = house.open({"methods": ["POST"]})
    client = proxy.client()
    client.send(request("/", "Transfer-Encoding: chunked", "Trailer: x-sum", method="POST") + b"3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n")
    assert client.response().status == 200
    house.expect(ok=1)
    assert house.dark.received.endswith(b"0\r\nX-Sum: 7\r\n\r\n")


def test_a_copy_waits_for_no_consent(house):
    proxy = house.open({"methods": ["POST"]})
    client = proxy.client()
    house.primary.answer = lambda connection, r: (connection.send(b"HTTP/1.1 100 Continue\r\n\r\n"), connection.body(r),
                                                  connection.send(reply()))
    client.send(request("/", "Expect: 100-continue", "Content-Length: 4", method="POST"))
    house.primary.wait_requests(1)
    client.send(b"body")
    assert client.response("POST").status == 200
    house.expect(ok=1)
    assert house.primary.last.has("expect") and not house.dark.last.has("expect")


def test_a_body_longer_than_max_body_ends_the_copy_only(house):
    proxy = house.open({"methods": ["POST"], "max_body": "64KiB"})
    assert proxy.get("/", method="POST", body=bytes(65537)).status == 200
    house.expect_drop("max_body", 1)
    assert not house.dark.requests, "its length was known: nothing was sent"
    client = proxy.client()
    client.send(request("/", "Transfer-Encoding: chunked", method="POST") + chunked(bytes(100_000)))
    assert client.response().status == 200
    house.expect_drop("max_body", 2)
    assert len(house.primary.requests) == 2
    assert proxy.get("/", method="POST", body=bytes(65536)).status == 200
    house.expect(ok=1, dropped=2)
