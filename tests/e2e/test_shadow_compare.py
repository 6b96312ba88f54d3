# e2e/test_shadow_compare.py - answers of shadows against the primary's: verdicts, noise, what is kept and what is shown.
import itertools
import json
import os
import random
import subprocess

import pytest

from harness import CLOSE, DEADLINE_S, reply, request, wait_for
from harness.h2_origin import H2Origin
from harness.proxy import WEIR


def answer_json(make, *fields):
    """An origin's answer: a JSON document made anew for each request."""
    def answer(connection, request):
        connection.send(reply(json.dumps(make(request)).encode(), "Content-Type: application/json", *fields))
    return answer


class House:
    """Route `all`: origin `live` serves it, `dark` is its compared shadow, `twin` the control."""

    def __init__(self, start, make_origin):
        self.start_proxy, self.make_origin = start, make_origin

    def open(self, control=True, shadow=None, **compare):
        self.live, self.dark, self.twin = (self.make_origin() for _ in range(3))
        upstreams = {name: {"endpoints": [getattr(self, name)]} for name in ("live", "dark", "twin")}
        if control:
            compare["control"] = "twin"
        else:
            del upstreams["twin"]
        route = {"name": "all", "to": "live", "shadow": [{"to": "dark", "compare": compare, **(shadow or {})}]}
        self.proxy = self.start_proxy(upstreams=upstreams, routes=[route])
        return self.proxy

    def answer(self, live, dark, twin=None):
        self.live.answer, self.dark.answer, self.twin.answer = live, dark, twin or live

    def api(self, tail=""):
        status, body = self.proxy.admin("GET", f"/api/v1/shadow/all{tail}")
        assert status == 200, body
        return body

    def shadow(self):
        one, = self.api()["shadows"]
        return one

    def diffs(self):
        one, = self.api("/diffs")["shadows"]
        return one["diffs"]

    def pairs(self):
        pairs = self.shadow()["pairs"]
        return pairs["same"] + pairs["different"] + pairs["noise"] + pairs["skipped"]

    def expect_pairs(self, count):
        """Every copy is judged by and by, none is lost."""
        wait_for(lambda: self.pairs() == count, lambda: f"{count} pairs: {self.api()}")

    def fields(self):
        return {field["field"]: field for field in self.shadow()["fields"]}

    def reload(self):
        self.proxy.write_config()
        status, body = self.proxy.admin("POST", "/api/v1/reload", {"reason": "a test"})
        assert (status, body["result"]) == (200, "applied"), body

    def compared(self, verdict, upstream="dark"):
        return int(self.proxy.metric("weir_shadow_compared_total", route="all", upstream=upstream, verdict=verdict))

    def ctl(self, *words):
        socket = os.path.join(self.proxy.config["state_dir"], "admin.sock")
        return subprocess.run([WEIR, "ctl", "--admin", f"unix:{socket}", *words], capture_output=True, text=True, timeout=60)


@pytest.fixture(name="house")
def fixture_house(start, make_origin):
    return House(start, make_origin)


# ---- noise ---------------------------------------------------------------------------------------------------------------


def noisy(seed, price):
    """A time stamp, an id and a shuffled set are new in each answer."""
    numbers, clock = random.Random(seed), itertools.count()

    def make(_):
        tags = ["a", "b", "c", "d"]
        numbers.shuffle(tags)
        return {"at": 1000 + next(clock) + numbers.randrange(100000), "id": f"{numbers.getrandbits(64):x}", "tags": tags,
                "price": price, "name": "shoe"}
    return answer_json(make)


def test_noise_is_learnt_and_the_changed_price_is_found_within_200_requests(house):
    proxy = house.open()
    house.answer(noisy(1, 17.5), noisy(2, 17.5), noisy(3, 17.5))
    for _ in range(60):
        assert proxy.get("/cart").status == 200
    house.expect_pairs(60)
    before = house.shadow()
    assert before["verdict"] == "noise" and before["pairs"]["checked"] == 60 and before["pairs"]["different"] == 0
    house.dark.answer = noisy(4, 18)
    for _ in range(200):
        assert json.loads(proxy.get("/cart").body)["price"] == 17.5
    house.expect_pairs(260)
    fields = house.fields()
    assert {name: field["verdict"] for name, field in fields.items()} == {
        "$.price": "different", "$.at": "noise", "$.id": "noise", "$.tags[*]": "noise"}
    assert fields["$.price"]["shadow_only"] == 200 and fields["$.price"]["control_only"] == 0
    assert fields["$.price"]["evidence"] >= fields["$.price"]["evidence_needed"]
    after = house.shadow()
    assert after["verdict"] == "different"
    latency = after["latency"]
    assert [latency[side]["count"] for side in ("primary", "shadow", "control")] == [260] * 3
    wait_for(lambda: house.compared("different") + house.compared("noise") == 260, lambda: proxy.admin("GET", "/metrics"))
    assert house.compared("different") == after["pairs"]["different"] > 100
    assert len(house.twin.requests) == 260 and house.twin.last.get("x-shadow") == "1"


def test_a_control_that_is_down_teaches_nothing(house):
    proxy = house.open()
    house.answer(noisy(1, 1), noisy(2, 2))
    house.twin.stop()
    for _ in range(50):
        proxy.get("/")
    house.expect_pairs(50)
    assert {field["verdict"] for name, field in house.fields().items() if name != "answer"} == {"noise"}
    assert house.fields()["$.price"]["shadow_only"] == 0 and house.fields()["$.price"]["unchecked"] == 50


# ---- without a control -----------------------------------------------------------------------------------------------------


def test_without_a_control_what_differs_is_different_unless_ignored(house):
    proxy = house.open(control=False, ignore_json=["$.at", "$.id"], unordered=["$.tags"], ignore_headers=["x-node"])
    house.answer(noisy(1, 1), noisy(2, 1))
    proxy.get("/")
    house.expect_pairs(1)
    assert house.shadow()["verdict"] == "same" and house.shadow()["control"] is None
    house.dark.answer = noisy(2, 2)
    proxy.get("/")
    house.expect_pairs(2)
    assert house.shadow()["verdict"] == "different" and list(house.fields()) == ["$.price"]


@pytest.mark.parametrize("live, dark, field", [
    (reply(b"a"), reply(b"a", status="404 Not Found"), "status"),
    (reply(b"a"), reply(b"b"), "body"),
    (reply(b"a", "Cache-Control: no-store"), reply(b"a", "Cache-Control: no-cache"), "header:cache-control"),
    (reply(b"a"), [CLOSE], "answer"),
    (reply(b'{"a":1}', "Content-Type: application/json"), reply(b'{"a":', "Content-Type: application/json"), "body"),
])
def test_each_part_of_an_answer_is_compared(house, live, dark, field):
    proxy = house.open(control=False)
    house.answer(live, dark)
    proxy.get("/")
    house.expect_pairs(1)
    assert list(house.fields()) == [field]


@pytest.mark.parametrize("live, dark", [
    (reply(b"a", "Date: Mon, 1", "Server: x", "ETag: 1"), reply(b"a", "Server: y", "ETag: 2")),
    (reply(b"a", "Set-Cookie: sid=1; Path=/"), reply(b"a", "Set-Cookie: sid=2; Path=/")),
    (reply(b'{"a":1,"b":[]}', "Content-Type: application/json"), reply(b'{ "b": [], "a": 1.0 }', "Content-Type: application/json")),
])
def test_what_means_the_same_is_the_same(house, live, dark):
    proxy = house.open(control=False)
    house.answer(live, dark)
    proxy.get("/")
    house.expect_pairs(1)
    assert house.fields() == {} and house.compared("same") == 1


def test_a_long_body_is_compared_by_hash(house):
    proxy = house.open(control=False, max_body="1KiB")
    house.answer(reply(b"x" * 100000), reply(b"x" * 100000))
    assert len(proxy.get("/").body) == 100000
    house.expect_pairs(1)
    assert house.shadow()["verdict"] == "same"
    house.dark.answer = reply(b"x" * 99999 + b"y")
    proxy.get("/")
    house.expect_pairs(2)
    assert house.fields()["body"]["verdict"] == "different"


def test_only_a_sample_is_compared(house):
    proxy = house.open(sample="50%")
    for _ in range(20):
        proxy.get("/")
    house.dark.wait_requests(20)
    house.expect_pairs(10)
    assert len(house.twin.requests) == 10


def test_a_shadow_that_is_given_up_is_skipped(house):
    proxy = house.open(control=False, shadow={"methods": ["POST"], "max_body": "10B"})
    answer = proxy.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"13\r\nmore than ten bytes\r\n0\r\n\r\n", method="POST")
    assert answer.status == 200
    house.expect_pairs(1)
    assert house.shadow()["pairs"]["skipped"] == 1


@pytest.mark.parametrize("client", ["http1", "http2"])
def test_every_protocol_is_compared_with_every_other(start, make_origin, client):
    """The primary speaks HTTP/1.1, the shadow HTTP/2; bodies come in many pieces."""
    live, dark = make_origin(), H2Origin()
    document = {"list": list(range(5000)), "price": 1}
    live.answer = reply(json.dumps(document).encode(), "Content-Type: application/json")
    dark.answer = lambda stream: stream.reply(json.dumps({**document, "price": 2}).encode(), ("content-type", "application/json"))
    route = {"name": "all", "to": "live", "shadow": [{"to": "dark", "compare": {}}]}
    proxy = start(upstreams={"live": {"endpoints": [live]}, "dark": {"endpoints": [dark], "protocol": "http2"}}, routes=[route])
    answer = proxy.get("/") if client == "http1" else proxy.h2_client().get("/")
    assert json.loads(answer.body) == document
    wait_for(lambda: proxy.metric("weir_shadow_compared_total", verdict="different") == 1, lambda: proxy.admin("GET", "/metrics"))
    _, body = proxy.admin("GET", "/api/v1/shadow/all")
    assert [field["field"] for field in body["shadows"][0]["fields"]] == ["$.price"]
    dark.stop()


# ---- what is kept and shown ------------------------------------------------------------------------------------------------


def test_differing_pairs_are_kept_redacted_and_bounded(house):
    proxy = house.open(control=False, redact=["x-secret", "$.card.number", "?iban"])
    card = {"card": {"number": "4111-1111"}, "user": {"password": "hunter2"}}
    house.answer(answer_json(lambda _: {**card, "price": 1}),
                 answer_json(lambda _: {"card": {"number": "5500-0000"}, "user": {"password": "hunter3"}, "price": 2}))
    for index in range(60):
        proxy.get(f"/cart?n={index}&iban=DE12&token=tok3n", "Authorization: Bearer s3cret", "X-Secret: s3cret", "Cookie: sid=s3cret")
        house.expect_pairs(index + 1)  # answers of copies may overtake each other
    diffs = house.diffs()
    assert len(diffs) == 50
    assert [diff["request"]["target"] for diff in diffs] == [
        f"/cart?n={index}&iban=[redacted]&token=[redacted]" for index in range(59, 9, -1)]
    shown = {difference["field"]: (difference["primary"], difference["shadow"]) for difference in diffs[0]["differences"]}
    assert shown == {"$.card.number": ('"[redacted]"',) * 2, "$.user.password": ('"[redacted]"',) * 2, "$.price": ("1", "2")}
    text = json.dumps(diffs)
    for secret in ("s3cret", "4111-1", "5500-0", "hunter", "DE12", "tok3n"):
        assert secret not in text


def test_the_requests_body_is_kept_where_it_can_be_redacted(house):
    proxy = house.open(control=False, shadow={"methods": ["POST"]})
    house.answer(*(lambda connection, request, body=body: connection.send(reply(body)) if connection.body(request) else None
                   for body in (b"a", b"b")))  # behind the request's body: an answer before it would end the pair
    proxy.get("/", method="POST", body=b'{"user":"eve","password":"hunter2"}')
    house.expect_pairs(1)
    proxy.get("/", method="POST", body=b"user=eve&password=hunter2")
    house.expect_pairs(2)
    form, document = (diff["request"] for diff in house.diffs())
    assert (document["body"], document["body_bytes"]) == ('{"user":"eve","password":"[redacted]"}', 35)
    assert (form["body"], form["body_bytes"]) == (None, 25)


def test_ctl_shows_findings_and_diffs(house):
    proxy = house.open(control=False)
    house.answer(answer_json(lambda _: {"price": 1}), answer_json(lambda _: {"price": 2}))
    proxy.get("/cart")
    house.expect_pairs(1)
    shown = house.ctl("shadow", "all")
    assert shown.returncode == 0 and shown.stdout.startswith("all to dark: different  (0 same, 1 different, 0 noise)\n"), shown
    diffs = house.ctl("shadow", "all", "diffs").stdout
    assert "GET example.com/cart to dark: different\n@@ $.price  different\n- primary  1\n+ shadow   2\n" in diffs
    assert json.loads(house.ctl("shadow", "all", "--json").stdout)["route"] == "all"
    missing = house.ctl("shadow", "nobody")
    assert missing.returncode == 1 and 'there is no route "nobody"' in missing.stderr


def test_a_route_that_compares_nothing_has_an_empty_list(start, origin):
    proxy = start(origin)
    status, body = proxy.admin("GET", "/api/v1/shadow/all")
    assert (status, body["shadows"]) == (200, [])


def test_findings_survive_a_reload_and_end_with_the_settings(house):
    proxy = house.open(control=False)
    house.answer(reply(b"a"), reply(b"b"))
    proxy.get("/")
    house.expect_pairs(1)
    proxy.config["limits"] = {"header_count": 99}
    house.reload()
    proxy.get("/")
    house.expect_pairs(2)
    proxy.config["routes"][0]["shadow"][0]["compare"]["ignore_headers"] = ["x-new"]
    house.reload()
    wait_for(lambda: house.pairs() == 0, house.api)
    proxy.get("/")
    house.expect_pairs(1)
    assert house.compared("different") == 3


# ---- the request never feels it --------------------------------------------------------------------------------------------


def test_a_hung_shadow_and_a_hung_control_delay_nothing(house):
    proxy = house.open(shadow={"timeout": "300ms"})
    hung = lambda connection, request: connection.wait_end()  # noqa: E731
    house.answer(reply(b"ok"), hung, hung)
    for _ in range(3):
        assert proxy.get("/").body == b"ok"
    house.expect_pairs(3)
    assert house.fields()["answer"]["verdict"] == "noise"


def test_answers_without_an_end_leave_room_for_copies(house):
    """Their pairs wait for as long as they last: what they hold is bounded by half of max_memory, the other half is for copies."""
    proxy = house.open(shadow={"max_memory": "1MiB"})

    def endless(connection, request):
        if request.target == "/":
            connection.send(reply(b"{}"))
            return None
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(300_000))
        connection.is_over.wait(DEADLINE_S)
        return CLOSE

    house.answer(endless, reply(b"{}"), reply(b"{}"))
    clients = [proxy.client() for _ in range(8)]
    for client in clients:
        client.send(request("/endless"))
        received = 0
        while received < 300_000:
            received += len(client.sock.recv(65536))
        wait_for(lambda: proxy.live()["shadows"] == 0, "the copies are answered")
    assert proxy.get("/").status == 200
    wait_for(lambda: proxy.live()["shadows"] == 0, "the copies are answered")
    assert proxy.metric("weir_shadow_dropped_total") == 0
    assert len(house.dark.requests) == 9
    for client in clients:
        client.close()
    for connection in house.live.connections:
        connection.is_over.set()


def test_a_client_that_goes_away_ends_its_pair(house):
    proxy = house.open(control=False)
    house.live.answer = lambda connection, request: connection.wait_end()
    client = proxy.client()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    house.dark.wait_requests(1)
    house.live.wait_requests(1)
    client.close()
    house.expect_pairs(1)
    assert house.shadow()["pairs"]["skipped"] == 1


# ---- configuration -----------------------------------------------------------------------------------------------------------


def test_check_refuses_a_control_that_serves_the_route_unless_live(house):
    proxy = house.open()
    house.twin.answer = reply()
    proxy.config["routes"][0]["shadow"][0]["compare"]["control"] = "live"
    proxy.write_config()
    refused = subprocess.run([WEIR, "check", "-c", proxy.path("weir.yaml")], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert "the control 'live' serves route 'all'" in refused.stdout + refused.stderr
    assert "live: true" in refused.stdout + refused.stderr
    proxy.config["routes"][0]["shadow"][0]["compare"]["live"] = True
    proxy.write_config()
    taken = subprocess.run([WEIR, "check", "-c", proxy.path("weir.yaml")], capture_output=True, text=True, timeout=60)
    assert taken.returncode == 0, taken
