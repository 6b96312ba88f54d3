# e2e/test_shadow.py - copies of requests: what is copied, what a copy looks like, and that the request never feels it.
import re
import threading

import pytest

from harness import CLOSE, DEADLINE_S, HOLD, RESET, Origin, Proxy, chunked, reply, request, wait_for
from harness.h2_origin import H2Origin
from harness.proxy import free_port

MIB = 1 << 20


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
    assert sorted(r.method for r in house.shadows[0].requests) == ["GET", "HEAD", "OPTIONS"]  # they may overtake each other
    assert sorted(r.method for r in house.shadows[1].requests) == ["POST", "PURGE"]


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


@pytest.mark.parametrize("body", [None, b"x" * 100, b"x" * 3000])
def test_a_copy_leaves_in_one_write(house, body):
    proxy = house.open({"methods": ["GET", "POST"]})
    client = proxy.client()
    ask = {"method": "POST", "body": body} if body else {}
    for count in range(1, 3):
        client.get("/", **ask)
        house.expect(ok=count)
    before = proxy.metric("weir_write_calls_total")
    client.get("/", **ask)
    house.expect(ok=3)
    assert proxy.metric("weir_write_calls_total") - before == 3, "to the upstream, to the shadow, to the client"


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


# ---- shadows that misbehave: the request does not feel it -----------------------------------------------------------------


def hung(connection, _):
    """Reads the head and nothing else, says nothing, and stays."""
    connection.is_over.wait(DEADLINE_S)
    return CLOSE


def trickle(connection, _):
    """An answer that comes byte by byte and never ends: whoever waits for it waits for ever."""
    connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not connection.is_over.wait(0.02):
        connection.send(b"1\r\nx\r\n")
    return CLOSE


FAULTS = {
    "reset": ([RESET], "error"),
    "closed": ([CLOSE], "error"),
    "garbage": ([b"\x00\x01 nonsense\r\n\r\n", CLOSE], "error"),
    "half": ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", CLOSE], "error"),
    "tunnel": ([b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", HOLD], "error"),
    "hung": ([HOLD], "timeout"),
    "trickling": (trickle, "timeout"),
    "failing": (reply(b"", status="503 Service Unavailable"), "ok"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_shadow_that_misbehaves_is_its_own_affair(house, fault):
    answer, result = FAULTS[fault]
    proxy = house.open({"timeout": "300ms", "methods": ["GET", "POST"]})
    house.dark.answer = answer
    client = proxy.client()
    for count in range(1, 4):
        response = client.get("/", method="POST", body=b"x" * 5000) if count == 2 else client.get("/")
        assert (response.status, response.body, response.error) == (200, b"ok", None)
        house.expect(**{result: count})
    assert len(house.primary.requests) == 3


def test_a_copy_is_sent_once(house):
    """A request is repeated when its reused connection turns out to be closed; a copy is not worth it."""
    proxy = house.open({})
    house.dark.answer = [[reply()], [CLOSE], [reply()]]
    client = proxy.client()
    client.get("/")
    house.expect(ok=1)
    client.get("/")
    house.expect(ok=1, error=1)
    assert len(house.dark.requests) == 2


def test_a_shadow_that_refuses_connections(start, make_origin):
    origin = make_origin()
    proxy = start(upstreams={"a": {"endpoints": [origin]}, "gone": {"endpoints": [f"127.0.0.1:{free_port()}"]}},
                  routes=[route({"to": "gone"})])
    client = proxy.client()
    for _ in range(4):
        assert client.get("/").status == 200
    wait_for(lambda: proxy.metric("weir_shadow_requests_total", result="error") == 4, "each is an error of the shadow")
    assert proxy.metric("weir_request_errors_total") == 0


def test_what_fails_again_and_again_is_left_alone_and_tried_later(house):
    proxy = house.open({})
    house.dark.answer = [CLOSE]
    client = proxy.client()
    for count in range(1, 6):
        client.get("/")
        house.expect(error=count)
    client.get("/")
    house.expect(error=5, dropped=1)
    assert house.dropped("breaker") == 1
    house.dark.answer = reply()

    def is_tried_again():
        assert client.get("/").status == 200
        return house.results()["ok"] > 0

    wait_for(is_tried_again, "a copy goes there again")
    client.get("/")
    wait_for(lambda: house.results()["ok"] >= 2, "and the next ones too")
    assert "shadow of route all to dark: 5 copies in a row failed" in proxy.error_log()


def test_no_more_copies_than_max_inflight(house):
    proxy = house.open({"max_inflight": 3, "timeout": "1h"}, workers=2)
    go = threading.Event()
    house.dark.answer = [go, reply()]
    clients = [proxy.client() for _ in range(10)]
    for client in clients:
        assert client.get("/").status == 200
    house.expect_drop("max_inflight", 7)
    assert proxy.live()["shadows"] == 3
    go.set()
    house.expect(ok=3, dropped=7)


def test_an_hour_with_a_hung_shadow_in_miniature(house):
    """Time-outs, breaker and tries again go round and round: nothing grows, and no request notices."""
    proxy = house.open({"timeout": "20ms", "max_inflight": 8})
    house.dark.answer = [HOLD]
    client = proxy.client()

    def ask():
        for _ in range(20):
            response = client.get("/")
            assert (response.status, response.error) == (200, None)
            assert proxy.live()["shadows"] <= 8
        return house.results()["timeout"]

    wait_for(lambda: ask() and house.dropped("breaker"), "the breaker opens")
    wait_for(lambda: proxy.live()["shadows"] == 0, "what was under way times out")
    first, before = house.results()["timeout"], proxy.open_files()
    wait_for(lambda: ask() >= first + 2, lambda: f"two tries are over: {house.results()}")
    assert house.results()["ok"] == 0 and house.results()["error"] == 0
    assert proxy.open_files() <= before + 16 and proxy.live()["chunks"] <= 16
    assert proxy.metric("weir_arena_pages_live") <= 16
    assert len(house.dark.connections) < 30


def test_a_hung_shadow_holds_no_more_than_max_memory(house):
    """Bodies that nobody takes, longer than what the kernel keeps of them."""
    proxy = house.open({"methods": ["POST"], "max_memory": "2MiB", "max_body": "32MiB", "timeout": "1h"})
    house.dark.answer = hung
    client = proxy.client()
    for _ in range(3):
        assert client.get("/", method="POST", body=bytes(24 * MIB)).status == 200
    wait_for(lambda: house.dropped("slow") == 3, lambda: f"each is given up: {house.results()}")
    assert proxy.live()["chunks"] * 16384 <= 2 * MIB + 64 * 16384, proxy.live()
    for connection in house.dark.connections:
        connection.is_over.set()


@pytest.mark.parametrize("body", [None, b"x" * 100], ids=["GET", "POST"])
def test_a_hung_copy_is_counted_by_what_it_still_holds(house, body):
    """Head and body have left; what they lay in until then is not held any more. Three chunks each would be 2 MiB."""
    proxy = house.open({"methods": ["GET", "POST"], "max_memory": "1MiB", "timeout": "1h"})
    house.dark.answer = [HOLD]
    client = proxy.client()
    for count in range(1, 31):
        assert client.get("/", method="POST" if body else "GET", body=body).status == 200
        wait_for(lambda: len(house.dark.requests) == count, lambda: f"{count} copies: {house.results()}, {house.dropped('max_memory')}")
    assert proxy.live()["shadows"] == 30 and house.results()["dropped"] == 0


def test_interim_heads_of_a_shadow_are_counted(house):
    """A shadow that says 103 again and again, with many lines: what their heads take counts like bodies do."""
    proxy = house.open({"max_memory": "1MiB", "timeout": "1h"})
    hints = b"HTTP/1.1 103 Early Hints\r\n" + b"Link: </style>\r\n" * 100 + b"\r\n"
    house.dark.answer = [hints * 12, HOLD]  # more would be more than a copy may have of its own
    client = proxy.client()
    for _ in range(10):  # which hold a third of it at most without their answers
        assert client.get("/").status == 200
    wait_for(lambda: house.dropped("max_memory") > 0, lambda: f"some are given up: {house.results()}")


def test_what_copies_hold_is_no_memory_of_requests(house):
    """limits.memory refuses requests: what a hung shadow leaves lying must not."""
    proxy = house.open({"methods": ["POST"], "max_memory": "32MiB", "max_body": "32MiB", "timeout": "1h"}, limits={"memory": "1MiB"})
    house.dark.answer = hung
    client = proxy.client()
    assert client.get("/", method="POST", body=bytes(24 * MIB)).status == 200
    wait_for(lambda: proxy.live()["chunks"] * 16384 > 2 * MIB, lambda: f"the copy holds more than requests may: {proxy.live()}")
    assert client.get("/").status == 200
    for connection in house.dark.connections:
        connection.is_over.set()


def test_short_pieces_are_counted_by_what_they_hold(house):
    """A body that comes byte by byte, to a shadow that reads nothing."""
    proxy = house.open({"methods": ["POST"], "max_memory": "1MiB", "max_body": "1MiB", "timeout": "1h"})
    house.dark.answer = hung
    client = proxy.client()
    client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    house.dark.wait_requests(1)
    before = proxy.live()["chunks"]
    seen = 0
    for _ in range(400):
        client.send(b"1\r\nx\r\n")
        seen += 1
        wait_for(lambda: house.primary.received.count(b"x\r\n") >= seen, "the request goes on")
    assert proxy.live()["chunks"] <= before + 16
    client.send(b"0\r\n\r\n")
    assert client.response().status == 200
    for connection in house.dark.connections:
        connection.is_over.set()


# ---- long bodies -----------------------------------------------------------------------------------------------------------


def upload(client, pieces, piece):
    """So many chunks of a chunked body."""
    client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    framed = b"%x\r\n%s\r\n" % (len(piece), piece)
    for _ in range(pieces):
        client.send(framed)
    client.send(b"0\r\n\r\n")
    return client.response()


def swallow(connection, r):
    """Reads a body without keeping it."""
    connection.body_bytes = 0
    end = b"\r\n0\r\n\r\n"
    tail = connection.reader.buffer
    connection.reader.buffer = b""
    connection.body_bytes += len(tail)
    while not tail.endswith(end):
        data = connection.sock.recv(1 << 18)
        if not data:
            return CLOSE
        connection.body_bytes += len(data)
        tail = (tail + data)[-len(end):]
    connection.send(reply())
    return None


@pytest.mark.once
def test_100_mib_are_mirrored_within_the_budget(house):
    proxy = house.open({"methods": ["POST"], "max_body": "200MiB", "max_memory": "64MiB", "timeout": "30s"})
    house.primary.answer = house.dark.answer = swallow
    before = proxy.memory_kib()
    assert upload(proxy.client(), 100, bytes(MIB)).status == 200
    wait_for(lambda: sum(house.results().values()) == 1, "the copy is over")
    after = proxy.memory_kib()
    assert house.results()["ok"] + house.dropped("slow") == 1, house.results()
    if house.results()["ok"]:
        assert house.dark.connections[-1].body_bytes >= 100 * MIB
    assert after - before < 96 * 1024, f"{before} KiB grew to {after}"


@pytest.mark.once
def test_a_shadow_that_reads_nothing_does_not_slow_an_upload(house):
    proxy = house.open({"methods": ["POST"], "max_body": "200MiB", "max_memory": "4MiB", "timeout": "1h"})
    house.primary.answer, house.dark.answer = swallow, hung
    before = proxy.memory_kib()
    assert upload(proxy.client(), 100, bytes(MIB)).status == 200
    house.expect(dropped=1)
    assert house.dropped("slow") == 1
    assert proxy.memory_kib() - before < 32 * 1024
    for connection in house.dark.connections:
        connection.is_over.set()


# ---- ends ------------------------------------------------------------------------------------------------------------------


def test_a_client_that_goes_in_the_middle_of_its_body_takes_the_copy_along(house):
    proxy = house.open({"methods": ["POST"]})
    house.primary.answer = house.dark.answer = [HOLD]
    client = proxy.client()
    client.send(request("/", "Content-Length: 100", method="POST") + b"part")
    house.dark.wait_connections(1)
    wait_for(lambda: b"part" in house.dark.received, "the part arrives")
    client.reset()
    house.expect_drop("incomplete")


def test_a_client_that_goes_behind_its_request_does_not(house):
    proxy = house.open({})
    go = threading.Event()
    house.primary.answer, house.dark.answer = [HOLD], [go, reply()]
    client = proxy.client()
    client.send(request("/"))
    house.dark.wait_requests(1)
    client.reset()
    proxy.access_line(reason="client_aborted")
    go.set()
    house.expect(ok=1)


def test_a_request_that_is_answered_early_leaves_no_half_copy(house):
    proxy = house.open({"methods": ["POST"]})
    house.primary.answer = lambda connection, r: (connection.send(reply(status="413 Too Large")), CLOSE)[1]
    client = proxy.client()
    client.send(request("/", "Content-Length: 100000", method="POST") + b"part")
    assert client.response().status == 413
    house.expect_drop("incomplete")


def test_a_copy_may_be_answered_before_the_body_is_there(house):
    proxy = house.open({"methods": ["POST"]})
    house.dark.answer = lambda connection, r: (connection.send(reply(status="413 Too Large")), CLOSE)[1]
    client = proxy.client()
    client.send(request("/", "Content-Length: 8", method="POST") + b"part")
    house.expect(ok=1)
    client.send(b"rest")
    assert client.response().status == 200


def test_a_request_without_a_healthy_endpoint_is_copied_all_the_same(start, make_origin):
    dark = make_origin()
    proxy = start(upstreams={"a": {"endpoints": [f"127.0.0.1:{free_port()}"]}, "dark": {"endpoints": [dark]}},
                  routes=[route({"to": "dark"})])
    assert proxy.get("/").status == 502
    dark.wait_requests(1)
    wait_for(lambda: proxy.metric("weir_shadow_requests_total", result="ok") == 1, "the copy is answered")


def test_copies_under_way_survive_a_reload_that_takes_the_shadow_away(house):
    proxy = house.open({"timeout": "1h"})
    go = threading.Event()
    house.dark.answer = [go, reply()]
    proxy.get("/")
    house.dark.wait_requests(1)
    proxy.config["routes"][0].pop("shadow")
    proxy.write_config()
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "no shadow any more"})[0] == 200
    assert proxy.get("/").status == 200
    assert proxy.live()["shadows"] == 1
    go.set()
    wait_for(lambda: proxy.metric("weir_shadow_requests_total", result="ok") == 1, "it is answered")
    wait_for(lambda: proxy.status()["config"]["snapshots"] == 1, "the old configuration is gone")
    assert len(house.dark.requests) == 1


def test_a_reload_that_brings_a_shadow(house):
    proxy = house.open({}, more={"match": {"path": {"prefix": "/first"}}})
    assert proxy.get("/other").status == 404
    proxy.config["routes"].append({"name": "rest", "to": "a", "shadow": [{"to": "dark"}]})
    proxy.write_config()
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "a shadow more"})[0] == 200
    assert proxy.get("/other").status == 200
    wait_for(lambda: proxy.metric("weir_shadow_requests_total", route="rest", result="ok") == 1, "it is copied")


def test_a_shadow_given_by_name(start, make_origin):
    """Also one that a reload brings: what requests know of the name is known to copies at once."""
    origin, dark = make_origin(), make_origin()
    routes = [{"name": "dark", "match": {"path": {"prefix": "/dark"}}, "to": "dark"}, {"name": "all", "to": "a"}]
    proxy = start(upstreams={"a": {"endpoints": [origin]}, "dark": {"endpoints": [f"localhost:{dark.port}"]}}, routes=routes)
    wait_for(lambda: proxy.metric("weir_upstream_healthy", upstream="dark") == 1, "the name is resolved")
    proxy.config["routes"][1]["shadow"] = [{"to": "dark"}]
    proxy.write_config()
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "a shadow by name"})[0] == 200
    assert proxy.get("/").status == 200
    wait_for(lambda: proxy.metric("weir_shadow_requests_total", result="ok") == 1, "the copy arrives")
    assert len(dark.requests) == 1


def test_a_drain_does_not_wait_for_copies(house):
    proxy = house.open({"timeout": "1h"})
    house.dark.answer = [HOLD]
    proxy.get("/")
    house.dark.wait_requests(1)
    proxy.drain()
    proxy.expect_nothing_live()
    assert house.dropped("draining") == 1


# ---- protocols -------------------------------------------------------------------------------------------------------------


@pytest.fixture(name="pair")
def fixture_pair(start):
    origins = []

    def open_pair(primary, shadow, **options):
        kinds = {"h1": (Origin, {}), "h2": (H2Origin, {"protocol": "http2"})}
        made = [kinds[kind][0]() for kind in (primary, shadow)]
        origins.extend(made)
        upstreams = {name: {"endpoints": [origin], **kinds[kind][1]}
                     for name, origin, kind in zip(("a", "dark"), made, (primary, shadow))}
        return start(upstreams=upstreams, routes=[route({"to": "dark", "methods": ["GET", "POST"], **options})]), *made

    yield open_pair
    for origin in origins:
        origin.stop()


def field(seen, name):
    return seen.field(name) if hasattr(seen, "field") else seen.get(name)


@pytest.mark.parametrize("client", ["h1", "h2"])
@pytest.mark.parametrize("primary", ["h1", "h2"])
@pytest.mark.parametrize("shadow", ["h1", "h2"])
def test_every_protocol_to_every_other(pair, client, primary, shadow):
    proxy, origin, dark = pair(primary, shadow, max_body="8MiB")
    body = bytes(range(256)) * 4096  # 1 MiB
    if client == "h1":
        assert proxy.get("/get?a=1").status == 200
        assert proxy.get("/post", method="POST", body=body).status == 200
    else:
        connection = proxy.h2_client()
        assert connection.get("/get?a=1").status == 200
        assert connection.get("/post", method="POST", body=body).status == 200
    wait_for(lambda: proxy.metric("weir_shadow_requests_total", result="ok") == 2, "both are copied")
    first, second = sorted(dark.requests, key=lambda seen: seen.method)  # copies may overtake each other
    assert field(first, "x-shadow") == "1" and field(first, "via").endswith("(shadow)")
    assert field(first, "x-request-id") == field(origin.requests[0], "x-request-id")
    if shadow == "h2":
        assert (first.method, first.path, first.field(":authority")) == ("GET", "/get?a=1", "example.com")
        assert bytes(second.body) == body and second.field("content-length") == field(origin.requests[1], "content-length")
    else:
        assert (first.method, first.target, first.get("host")) == ("GET", "/get?a=1", "example.com")
        assert body in dark.received or second.is_chunked


@pytest.mark.parametrize("shadow", ["h1", "h2"])
def test_an_http2_client_that_resets_its_upload(pair, shadow):
    proxy, _, dark = pair("h1", shadow)
    client = proxy.h2_client()
    stream = client.begin("/", method="POST", end=False)
    client.data(stream, b"part")
    dark.wait_connections(1)
    dark.wait_requests(1)
    client.cancel(stream)
    wait_for(lambda: proxy.metric("weir_shadow_dropped_total", reason="incomplete") == 1, "the copy is given up")


def test_an_http2_shadow_that_opens_no_window(pair):
    proxy, _, dark = pair("h1", "h2", max_memory="1MiB", max_body="16MiB", timeout="1h")
    dark.is_reading = False
    dark.answer = None
    body = bytes(4 * MIB)
    assert proxy.get("/", method="POST", body=body).status == 200
    wait_for(lambda: proxy.metric("weir_shadow_dropped_total", reason="slow") == 1, "it is given up")


def test_short_pieces_to_an_http2_shadow_that_opens_no_window(pair):
    proxy, origin, dark = pair("h1", "h2", max_memory="1MiB", timeout="1h")
    dark.is_reading, dark.answer = False, None
    client = proxy.client()
    client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    sent, piece = 0, b"%x\r\n%s\r\n" % (1000, bytes(1000))
    for _ in range(200):
        client.send(piece)
        sent += len(piece)
    client.send(b"0\r\n\r\n")
    assert client.response().status == 200
    assert proxy.live()["chunks"] * 16384 <= MIB + 64 * 16384
    wait_for(lambda: len(origin.requests) == 1, "it went to the origin")


def test_a_grpc_call_is_copied(pair):
    proxy, origin, dark = pair("h2", "h2")
    message = b"\0\0\0\0\5hello"

    def answer(stream):
        stream.head(200, ("content-type", "application/grpc"))
        stream.send(message)
        stream.send_trailers(("grpc-status", "0"))

    origin.answer = dark.answer = answer
    client = proxy.h2_client()
    got = client.get("/pkg.Service/Call", ("content-type", "application/grpc"), ("te", "trailers"), method="POST", body=message)
    assert (got.status, got.body, got.get("grpc-status", got.trailers)) == (200, message, "0")
    wait_for(lambda: proxy.metric("weir_shadow_requests_total", result="ok") == 1, "the call is copied")
    copy = dark.last
    assert (copy.path, bytes(copy.body), copy.field("te"), copy.field("content-type")) == (
        "/pkg.Service/Call", message, "trailers", "application/grpc")
