# e2e/test_splits.py - where requests go: exact blocks, sticky users, weights, rules, segments, matching, balance.
import re
import threading
from collections import Counter

import pytest

from harness import Origin, Proxy, reply, request, wait_for

NAMES = ["a", "b", "c"]


def route(name, **more):
    return {"name": name, "match": {"path": {"prefix": f"/{name}"}}, "expose_variant": True, **more}


CONDITIONS = {
    "equals": {"header": "x-t", "equals": "one"},
    "in": {"header": "x-t", "in": ["one", "two"]},
    "prefix": {"header": "x-t", "prefix": "one"},
    "suffix": {"header": "x-t", "suffix": "end"},
    "contains": {"header": "x-t", "contains": "mid"},
    "regex": {"header": "x-t", "regex": "^[0-9]+$"},
    "present": {"header": "x-t", "present": True},
    "absent": {"header": "x-t", "present": False},
    "range": {"header": "x-t", "range": [10, 20]},
    "cookie": {"cookie": "t", "equals": "one"},
    "query": {"query": "t", "equals": "one"},
    "method": {"method": ["PUT", "PATCH"]},
    "path": {"path": {"suffix": "path"}},
    "host": {"host": {"in": ["shop.local", "other.local"]}},
    "source": {"source": ["127.0.0.2", "10.0.0.0/8"]},
    "all": {"all": [{"header": "x-t", "equals": "one"}, {"cookie": "t", "present": True}]},
    "any": {"any": [{"header": "x-t", "equals": "one"}, {"cookie": "t", "present": True}]},
    "not": {"not": {"header": "x-t", "equals": "one"}},
    "segment": {"segment": "staff"},
    "none": {"sample": "0%", "by": {"header": "x-t"}},
    "everyone": {"sample": "100%", "by": {"header": "x-t"}},
    "half": {"sample": "50%", "by": {"header": "x-t"}},
    "past": {"between": ["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"]},
    "now": {"between": ["2020-01-01T00:00:00Z", "2120-01-01T00:00:00Z"]},
}

ROUTES = [
    route("plain", split={"a": 95, "b": 5}),
    route("thirds", split={"a": 1, "b": 1, "c": 1}),
    route("tenth", split={"a": 999, "b": 1}),
    route("zero", split={"a": 1, "b": 0}),
    route("reduced", split={"a": 200000, "b": 600000}),
    route("one", to="b"),
    route("cookie", split={"a": 70, "b": 20, "c": 10}, sticky={"cookie": "id"}),
    route("cookie-moved", split={"a": 50, "b": 40, "c": 10}, sticky={"cookie": "id"}),
    route("header", split={"a": 1, "b": 1}, sticky={"header": "x-user"}),
    route("query", split={"a": 1, "b": 1}, sticky={"query": "user"}),
    route("source", split={"a": 1, "b": 1}, sticky={"source": "ip"}),
    route(
        "rules",
        rules=[
            {"name": "testers", "when": {"segment": "staff"}, "to": "b"},
            {"name": "dark", "when": {"header": "x-dark", "equals": "on"}, "to": "c"},
        ],
        split={"a": 1, "b": 0},
    ),
    {"name": "hosts", "match": {"host": ["shop.example", "*.wild.example"]}, "to": "a", "expose_variant": True},
    {"name": "wide", "match": {"host": ["*.deep.wild.example"]}, "to": "b", "expose_variant": True},
    {"name": "methods", "match": {"path": {"exact": "/methods"}, "method": ["PUT", "POST"]}, "to": "b", "expose_variant": True},
    {"name": "exact", "match": {"path": {"exact": "/methods"}}, "to": "c", "expose_variant": True},
    {"name": "regex", "match": {"path": {"regex": "^/re/[0-9]+$"}}, "to": "b", "expose_variant": True},
    {"name": "when", "match": {"path": {"prefix": "/when"}, "when": {"query": "v", "equals": "2"}}, "to": "b", "expose_variant": True},
    {"name": "when-else", "match": {"path": {"prefix": "/when"}}, "to": "a", "expose_variant": True},
    *[
        {"name": f"c-{name}", "match": {"path": {"exact": f"/c/{name}"}}, "to": "a", "expose_variant": True,
         "rules": [{"name": "it", "when": condition, "to": "b"}]}
        for name, condition in CONDITIONS.items()
    ],
    route("rr", to="many"),
    route("lr", to="least"),
    route("random", to="random"),
]


@pytest.fixture(scope="module", name="house")
def fixture_house():
    many = [Origin(), Origin()]
    spread = [many[0], {"address": many[1], "weight": 3}]
    upstreams = {name: {"endpoints": [Origin()]} for name in NAMES}
    upstreams |= {
        "many": {"endpoints": spread},
        "least": {"endpoints": many, "balance": "least_request"},
        "random": {"endpoints": spread, "balance": "random"},
    }
    segments = {"staff": {"any": [{"header": "x-staff", "equals": "1"}, {"segment": "office"}]},
                "office": {"source": ["127.0.0.9"]}}
    with Proxy(upstreams=upstreams, segments=segments, routes=ROUTES) as proxy:
        yield proxy


def variants(proxy, count, target="/plain", fields=lambda n: [], **options):
    """The upstream of each of so many requests on one connection."""
    client = proxy.client(**options)
    return [client.get(target, *fields(n)).get("x-weir-upstream") for n in range(count)]


# ---- unsticky splits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, block, wanted",
    [
        ("plain", 20, {"a": 19, "b": 1}),
        ("thirds", 3, {"a": 1, "b": 1, "c": 1}),
        ("tenth", 1000, {"a": 999, "b": 1}),
        ("zero", 1, {"a": 1}),
        ("reduced", 4, {"a": 1, "b": 3}),
        ("one", 1, {"b": 1}),
    ],
)
def test_every_block_is_exact(proxy, name, block, wanted):
    picks = variants(proxy, max(2 * block, 60) // block * block, f"/{name}")
    for at in range(0, len(picks), block):
        assert Counter(picks[at : at + block]) == Counter(wanted)


def test_the_order_inside_blocks_is_random(proxy):
    picks = variants(proxy, 60 * 20, "/plain")
    places = {picks[at : at + 20].index("b") for at in range(0, len(picks), 20)}
    assert len(places) > 8  # 60 draws of 20 places


def test_origins_get_what_the_answers_say(proxy):
    picks = Counter(variants(proxy, 60, "/thirds"))
    assert [len(origin.requests) for origin in proxy.origins[:3]] == [picks[name] for name in NAMES]
    assert proxy.metric("weir_requests_total", route="thirds", upstream="a", code="200") >= picks["a"]


# ---- sticky splits ------------------------------------------------------------------------------------------------------------


def users(proxy, route_name, count=400):
    return variants(proxy, count, f"/{route_name}", lambda n: [f"Cookie: x=1; id=user-{n}"])


def test_users_stay_where_they_are(proxy):
    first = users(proxy, "cookie")
    assert users(proxy, "cookie") == first
    seen = Counter(first)
    assert 230 < seen["a"] < 330 and 40 < seen["b"] < 125 and 10 < seen["c"] < 80


def test_users_stay_over_a_restart(proxy, start):
    first = users(proxy, "cookie", 100)
    other = start(upstreams={n: {"endpoints": [o]} for n, o in zip(NAMES, proxy.origins)}, routes=[ROUTES[6]])
    assert users(other, "cookie", 100) == first


def move(routes, proxy, start):
    """Users before and after a change of weights in one and the same route."""
    upstreams = {n: {"endpoints": [o]} for n, o in zip(NAMES, proxy.origins)}
    return [users(start(upstreams=upstreams, routes=[r]), "cookie", 600) for r in routes]


def test_a_raised_weight_moves_users_only_towards_it(proxy, start):
    before, after = move(
        [route("cookie", split={"a": 90, "b": 10}, sticky={"cookie": "id"}),
         route("cookie", split={"a": 60, "b": 40}, sticky={"cookie": "id"})], proxy, start)
    moved = Counter(pair for pair in zip(before, after) if pair[0] != pair[1])
    assert set(moved) == {("a", "b")} and 120 < moved["a", "b"] < 240


@pytest.mark.parametrize("name, field", [("header", "X-User: u{}"), ("cookie", "Cookie: id=u{}")])
def test_a_key_decides_alone(proxy, name, field):
    for n in range(10):
        picks = variants(proxy, 5, f"/{name}", lambda _, n=n: [field.format(n)])
        assert len(set(picks)) == 1


def test_a_query_argument_or_an_address_may_be_the_key(proxy):
    by_query = [set(variants(proxy, 4, f"/query?x=1&user={n}")) for n in range(24)]
    assert all(len(picks) == 1 for picks in by_query) and len(set.union(*by_query)) == 2
    by_source = [set(variants(proxy, 4, "/source", source=f"127.0.0.{n}")) for n in range(10, 34)]
    assert all(len(picks) == 1 for picks in by_source) and len(set.union(*by_source)) == 2


def test_without_a_key_the_split_is_exact(proxy):
    picks = variants(proxy, 20, "/header")
    assert Counter(picks) == {"a": 10, "b": 10}


def test_an_issued_cookie_stays_where_it_was_issued(proxy):
    for _ in range(30):
        first = proxy.get("/cookie")
        issued = re.match(r"id=([^;]+);", first.get("Set-Cookie"))[1]
        assert proxy.get("/cookie", f"Cookie: id={issued}").get("x-weir-upstream") == first.get("x-weir-upstream")


# ---- rules, segments, conditions ---------------------------------------------------------------------------------------------------


def test_rules_come_before_the_split_in_order(proxy):
    assert proxy.get("/rules").get("x-weir-upstream") == "a"
    assert proxy.get("/rules", "X-Staff: 1").get("x-weir-upstream") == "b"
    assert proxy.get("/rules", "X-Dark: on").get("x-weir-upstream") == "c"
    assert proxy.get("/rules", "X-Dark: on", "X-Staff: 1").get("x-weir-upstream") == "b"
    assert proxy.access_line(route="rules", upstream="c")["rule"] == "dark"
    assert variants(proxy, 1, "/rules", source="127.0.0.9") == ["b"]


@pytest.mark.parametrize(
    "name, fields, holds",
    [
        ("equals", ["X-T: one"], True), ("equals", ["X-T: ONE"], False), ("equals", [], False),
        ("in", ["X-T: two"], True), ("in", ["X-T: three"], False),
        ("prefix", ["X-T: one-more"], True), ("prefix", ["X-T: on"], False),
        ("suffix", ["X-T: the end"], True), ("suffix", ["X-T: end."], False),
        ("contains", ["X-T: amidst"], True), ("contains", ["X-T: amist"], False),
        ("regex", ["X-T: 0815"], True), ("regex", ["X-T: 0815a"], False),
        ("present", ["X-T: "], True), ("present", [], False),
        ("absent", ["X-T: x"], False), ("absent", [], True),
        ("range", ["X-T: 10"], True), ("range", ["X-T: 19.9"], True), ("range", ["X-T: 20"], False),
        ("range", ["X-T: x"], False), ("range", [], False),
        ("cookie", ["Cookie: x=2; t=one"], True), ("cookie", ["Cookie: t=two"], False),
        ("all", ["X-T: one", "Cookie: t=1"], True), ("all", ["X-T: one"], False),
        ("any", ["Cookie: t=1"], True), ("any", ["X-T: one"], True), ("any", [], False),
        ("not", ["X-T: one"], False), ("not", [], True),
        ("segment", ["X-Staff: 1"], True), ("segment", ["X-Staff: 0"], False),
        ("none", ["X-T: x"], False), ("everyone", ["X-T: x"], True),
        ("past", [], False), ("now", [], True),
    ],
)
def test_conditions(proxy, name, fields, holds):
    assert proxy.get(f"/c/{name}", *fields).get("x-weir-upstream") == ("b" if holds else "a")


def test_conditions_on_query_and_source(proxy):
    assert proxy.get("/c/query?x=1&t=one").get("x-weir-upstream") == "b"
    assert proxy.get("/c/query?t=two").get("x-weir-upstream") == "a"
    assert variants(proxy, 1, "/c/source", source="127.0.0.2") == ["b"]
    assert variants(proxy, 1, "/c/source", source="127.0.0.3") == ["a"]


def test_conditions_on_the_request_line_and_host(proxy):
    assert proxy.get("/c/method", method="PATCH").get("x-weir-upstream") == "b"
    assert proxy.get("/c/method", method="POST").get("x-weir-upstream") == "a"
    assert proxy.get("/c/x/../p%61th").get("x-weir-upstream") == "b"
    assert proxy.get("/c/host", host="Other.Local.:80").get("x-weir-upstream") == "b"
    assert proxy.get("/c/host", host="local").get("x-weir-upstream") == "a"


def test_a_sample_is_a_stable_share(proxy):
    picks = variants(proxy, 300, "/c/half", lambda n: [f"X-T: user-{n}"])
    assert 100 < Counter(picks)["b"] < 200
    assert variants(proxy, 300, "/c/half", lambda n: [f"X-T: user-{n}"]) == picks


# ---- matching ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host, target, method, variant",
    [
        ("shop.example", "/any", "GET", "a"),
        ("SHOP.example.:8080", "/any", "GET", "a"),
        ("x.wild.example", "/any", "GET", "a"),
        ("x.y.wild.example", "/any", "GET", "a"),
        ("wild.example", "/any", "GET", None),
        ("notshop.example", "/any", "GET", None),
        ("x.deep.wild.example", "/any", "GET", "a"),  # the first in file order, not the longest
        ("example.com", "/methods", "PUT", "b"),
        ("example.com", "/methods", "GET", "c"),
        ("example.com", "/methods/", "GET", None),
        ("example.com", "/re/42", "GET", "b"),
        ("example.com", "/re/42x", "GET", None),
        ("example.com", "/one", "GET", "b"),
        ("example.com", "/one/", "GET", "b"),
        ("example.com", "/one/x", "GET", "b"),
        ("example.com", "/ones", "GET", None),
        ("example.com", "/%6fne/./x", "GET", "b"),
        ("example.com", "/x/../one", "GET", "b"),
        ("example.com", "/One", "GET", None),
        ("example.com", "//one", "GET", None),
        ("example.com", "/one%2fx", "GET", None),
        ("example.com", "/when?v=2", "GET", "b"),
        ("example.com", "/when?v=1", "GET", "a"),
    ],
)
def test_matching(proxy, host, target, method, variant):
    response = proxy.get(target, host=host, method=method)
    assert response.get("x-weir-upstream") == variant
    assert response.error == (None if variant else "no_route")


# ---- balance --------------------------------------------------------------------------------------------------------------------------


def counts(proxy, target, count):
    first, second = proxy.origins[3], proxy.origins[4]
    client = proxy.client()
    for _ in range(count):
        assert client.get(target).status == 200
    return len(first.requests), len(second.requests)


def test_round_robin_by_weight(proxy):
    assert counts(proxy, "/rr", 80) == (20, 60)


def test_random_by_weight(proxy):
    first, second = counts(proxy, "/random", 400)
    assert 60 < first < 140 and first + second == 400


def test_least_request_avoids_the_busy_one(proxy):
    first, second = proxy.origins[3], proxy.origins[4]
    go_on = [threading.Event(), threading.Event()]
    first.answer, second.answer = [go_on[0], reply(b"slow")], [go_on[1], reply(b"quick")]
    clients = [proxy.client().send(request("/lr")) for _ in range(2)]
    first.wait_requests(1)
    second.wait_requests(1)  # neither got both
    go_on[1].set()
    wait_for(lambda: proxy.metric("weir_requests_in_flight", route="lr") == 1, "one is answered")
    for _ in range(10):
        assert proxy.get("/lr").body == b"quick"
    assert (len(first.requests), len(second.requests)) == (1, 11)
    go_on[0].set()
    assert {c.response().body for c in clients} == {b"slow", b"quick"}
