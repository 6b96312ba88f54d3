# e2e/test_rollout_bad.py - releases that turn bad, each in its way at each step, side by side in one proxy.
import json
import threading
import time

import pytest

from harness import DEADLINE_S, RESET, Releases, wait_for
from harness.releases import answers

STEPS = [{"weight": "1%", "hold": "1h"}, {"weight": "10%", "hold": "1h"}, {"weight": "50%", "hold": "1h"}, {"weight": "100%"}]
LONG = [{"weight": "50%", "hold": "1h"}, {"weight": "100%"}]
BOOM = answers(b"boom", status="500 Internal Server Error")
PURCHASE = "x-weir-event: purchase"
# At 100 % nothing is left to compare with: the absolute rules watch the bake.
ERRORS = [{"metric": "error_rate", "worse_than_stable": {"ratio": 1.5}}, {"metric": "error_rate", "max": "20%", "window": "30s"}]
SLOW = [{"metric": "latency_p95", "max": "20ms", "window": "30s"}]
EVENTS = [{"event": "purchase", "worse_than_stable": {"ratio": 0.9}}, {"event": "purchase", "min": "50%", "window": "30s"}]
MISMATCH = [{"metric": "shadow_mismatch", "max": "10%", "window": "30s"}]
# kind: (guardrails, the canary's answer from then on)
KINDS = {
    "errors": (ERRORS, BOOM),
    "resets": (ERRORS, [RESET]),
    "slow": (SLOW, [0.03, answers(b"canary")]),
    "events": (EVENTS, answers(b"canary")),
    "wrong": (MISMATCH, None),  # its copy is what turns bad
}
WEIGHTS = {"10": 0.1, "50": 0.5, "100": 1}


def name_of(kind, weight, sticky):
    return f"{kind}-{weight}-{sticky}"


def cases_of(dark, sticky):
    cases = {}
    for kind, (guardrails, _) in KINDS.items():
        for weight in WEIGHTS:
            route = {"sticky": {"header": "x-user"}} if sticky == "users" else {}
            if kind == "wrong":
                route["shadow"] = [{"to": "dark", "compare": {}}]
                guardrails = [{**MISMATCH[0], "shadow": "dark"}]
            cases[name_of(kind, weight, sticky)] = {"steps": STEPS, "guardrails": guardrails, "route": route, "bake": "1h"}
    cases[name_of("errors", "1", sticky)] = {**cases[name_of("errors", "10", sticky)]}
    return cases


def user(number):
    return f"x-user: {number}"


USERS = range(60)


@pytest.mark.parametrize("sticky", ["requests", "users"])
def test_each_kind_of_badness_is_taken_back_at_each_step(make_origin, start, sticky):
    dark = make_origin(answers(b"canary"))
    r = Releases(make_origin, start, cases_of(dark, sticky), upstreams={"dark": {"endpoints": [dark]}}, workers=2)
    names = list(r.stable)
    for name in names:
        kind, weight, _ = name.split("-")
        r.climb(name, 0.01 if weight == "1" else WEIGHTS[weight])
        if kind == "events":
            r.stable[name].answer, r.canary[name].answer = answers(b"stable", PURCHASE), answers(b"canary", PURCHASE)
        elif kind == "wrong":
            r.stable[name].answer = answers(b"canary")  # the copy is compared with it
    # Who meets the canary at this step. What answers the same from both sides is told apart by the origins.
    exposed = {}
    for name in names:
        before = {id(request) for request in r.canary[name].requests}
        for number in USERS:
            r.get(name, user(number))
        exposed[name] = {request.get("x-user") for request in r.canary[name].requests if id(request) not in before}
    # A slow machine may be slow enough for the guardrail about latency.
    states = {view["state"] for name, view in r.views().items() if not name.startswith("slow")}
    assert states <= {"holding", "baking"}, "nothing is bad yet"
    for name in names:
        kind = name.split("-")[0]
        if kind == "wrong":
            dark.answer = answers(b"something else")
        else:
            r.canary[name].answer = KINDS[kind][1]
    left, give_up = set(names), time.monotonic() + DEADLINE_S
    while left:
        assert time.monotonic() < give_up, ({name: r.view(name) for name in left}, r.proxy.error_log())
        for name in left:
            for number in USERS:
                r.get(name, user(number))
        left = {name for name, view in r.views().items() if view["state"] != "rolled_back"}
    for name in names:
        before = r.canary_count(name)
        for number in USERS:
            r.get(name, user(number))
        assert r.canary_count(name) == before, f"{name}: somebody still meets the canary"
        incident = r.incident(name)
        assert incident["time_to_detect_ms"] >= 0, incident
        if not name.startswith("wrong"):  # whose evidence are pairs, not requests
            assert incident["evidence"]["canary_requests_to_detect"] >= 1, incident
        if sticky == "users":
            met = {request.get("x-user") for request in r.canary[name].requests}
            assert met == exposed[name], f"{name}: users who were never exposed met it: {met - exposed[name]}"


@pytest.fixture
def release(make_origin, start):
    """One release, already at a weight."""
    def one(weight=0.5, top=None, **case):
        r = Releases(make_origin, start, {"shop": {"steps": LONG, "guardrails": ERRORS, **case}}, **(top or {}))
        r.climb("shop", weight)
        return r
    return one


def burst(r, count):
    """So many of the canary's answers are errors, and then it is well again."""
    r.canary["shop"].answer = BOOM
    seen = 0
    while seen < count:
        seen += r.get("shop").status == 500
    r.canary["shop"].answer = answers(b"canary")


def test_a_blip_is_not_a_regression_and_one_more_is(release):
    """An absolute rule lets two events pass, whatever share they are; and so does a comparison what chance explains."""
    r = release(guardrails=[{"metric": "error_rate", "max": "1%", "window": "1h"},
                            {"metric": "error_rate", "worse_than_stable": {"ratio": 1.5}}])
    burst(r, 2)
    wait_for(lambda: "2 of the canary's last" in r.view("shop")["guardrails"][0].get("reason", ""), lambda: r.view("shop"))
    assert r.view("shop")["state"] == "holding" and r.incidents("shop") == []
    burst(r, 1)
    wait_for(lambda: r.view("shop")["state"] == "rolled_back", lambda: r.view("shop"))
    assert r.incident("shop")["guardrail"] == "error_rate"


def test_a_burst_of_both_sides_is_no_ones_regression(release):
    r = release(guardrails=[ERRORS[0]])
    r.send("shop", 20)
    r.stable["shop"].answer = r.canary["shop"].answer = BOOM
    r.send("shop", 200)
    r.stable["shop"].answer, r.canary["shop"].answer = answers(b"stable"), answers(b"canary")
    wait_for(lambda: sum(r.view("shop")["requests"][arm] for arm in ("stable", "canary")) == 220, lambda: r.view("shop"))
    assert r.view("shop")["state"] == "holding" and r.incidents("shop") == []


def test_a_breach_pauses_where_that_is_asked_for(release):
    r = release(on_breach="pause", guardrails=[ERRORS[0]])
    r.canary["shop"].answer = BOOM
    view = r.send_until("shop", "paused")
    assert view["weight"] == 0.5 and len(r.incidents("shop")) == 1
    assert r.incidents("shop")[0]["time_to_zero_exposure_ms"] is None, "it is exposed still"
    r.send("shop", 10)
    assert r.canary_count("shop") > 5, "a pause keeps the weight"
    assert r.say("shop", "resume")["state"] == "holding"
    r.send("shop", 40)
    wait_for(lambda: r.view("shop")["requests"]["canary"] >= 25, lambda: r.view("shop"))
    assert r.view("shop")["state"] == "holding", "who resumed has seen it"
    r.say("shop", "rollback")
    wait_for(lambda: r.view("shop")["state"] == "rolled_back", lambda: r.view("shop"))
    r.expect_no_exposure("shop")
    assert r.incident("shop")["time_to_zero_exposure_ms"] >= 0


def test_a_stable_that_is_short_is_said_loudly_and_the_way_back_is_taken(release):
    held = threading.Event()
    r = release(upstream={"max_connections": 1})
    r.stable["shop"].answer = [held, answers(b"stable")]
    busy = r.proxy.client()
    while not r.stable["shop"].requests:
        busy.send(b"GET /shop HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: r.stable["shop"].requests or r.canary["shop"].requests, "it has come to one of them")
        if not r.stable["shop"].requests:
            busy.response()
            r.canary["shop"].requests.clear()
    assert r.say("shop", "promote")["weight"] == 1
    r.canary["shop"].answer = BOOM
    r.client = r.proxy.client()
    other, is_over = r.proxy.client(), threading.Event()

    def send():
        while not is_over.is_set():
            other.get("/shop")

    # From the breach on requests wait for stable, so they are sent aside.
    sender = threading.Thread(target=send)
    sender.start()
    try:
        wait_for(lambda: r.view("shop")["state"] == "rolled_back", lambda: r.view("shop"))
    finally:
        is_over.set()
        held.set()
        sender.join()
    busy.response()
    assert "stable s-shop may not be able to take the load that goes back to it" in r.proxy.error_log()
    lines = r.proxy.admin("GET", "/api/v1/audit?limit=1000")[1]["lines"]
    assert [json.loads(line["detail"])["stable_is_short"] for line in lines if line["action"] == "rollout.breach"] == [True], lines
    r.stable["shop"].answer = answers(b"stable")
    r.expect_no_exposure("shop")


def test_rules_that_name_a_canary_go_to_stable_unless_they_keep_it(release):
    rules = [{"name": "testers", "when": {"header": "x-test", "present": True}, "to": "c-shop"},
             {"name": "menders", "when": {"header": "x-mend", "present": True}, "to": "c-shop", "keep": True}]
    r = release(route={"rules": rules})
    for who in ("x-test: 1", "x-mend: 1"):
        assert {answer.body for answer in r.send("shop", 5, who)} == {b"canary"}
    r.canary["shop"].answer = BOOM
    r.send_until("shop", "rolled_back")
    assert {answer.body for answer in r.send("shop", 5, "x-test: 1")} == {b"stable"}
    assert {answer.body for answer in r.send("shop", 5, "x-mend: 1")} == {b"boom"}
    r.expect_no_exposure("shop")


def test_a_canary_that_is_full_is_taken_back(release):
    """Three of its four connections are within the limit, all of them are not."""
    held = threading.Event()
    # Workers have a part of the connections each: with one alone all four can be used.
    r = release(top={"workers": 1}, canary_upstream={"max_connections": 4}, guardrails=[{"metric": "saturation", "max": "80%"}])
    r.canary["shop"].answer = [held, answers(b"canary")]
    hanging = []

    def hang():
        """One more request that the canary has and does not answer."""
        count, client = r.canary_count("shop"), r.proxy.client()
        while r.canary_count("shop") == count:
            before = len(r.stable["shop"].requests)
            client.send(b"GET /shop HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_for(lambda: r.canary_count("shop") > count or len(r.stable["shop"].requests) > before, "it has come to one of them")
            if r.canary_count("shop") == count:
                assert client.response().body == b"stable"
        hanging.append(client)

    try:
        for _ in range(3):
            hang()
        wait_for(lambda: "saturation: 0.75, at most 0.8" in r.view("shop")["guardrails"][0].get("reason", ""), lambda: r.view("shop"))
        assert r.view("shop")["state"] == "holding" and r.incidents("shop") == []
        hang()
        wait_for(lambda: r.view("shop")["state"] == "rolled_back", lambda: r.view("shop"))
        incident = r.incident("shop")
        assert incident["guardrail"] == "saturation" and "saturation: 1, at most 0.8" in incident["cause"], incident
        r.expect_no_exposure("shop")
    finally:
        held.set()
    assert [client.response().body for client in hanging] == [b"canary"] * 4, "what it had begun is not cut off"


# The guardrail: 14.4 times a budget of 1 %, over the hold and a twelfth of it, of 20 requests at least. So two errors are below it.
BURN = {"top": {"slos": {"goal": {"route": "shop", "availability": "99%", "window": "30d"}}}, "guardrails": [{"slo": "goal", "burn": 14.4}]}


def wait_burn(r, errors):
    """The objective has so many errors of the route, which burn its budget faster than the guardrail allows."""
    def goal():
        return next(slo for slo in r.proxy.admin("GET", "/api/v1/slos")[1]["slos"] if slo["name"] == "goal")

    wait_for(lambda: goal()["errors"] == errors, lambda: (errors, goal()))
    assert goal()["burn_rate"]["5m"] > 14.4, goal()


def test_a_canary_that_burns_the_budget_of_its_route_is_taken_back(release):
    r = release(**BURN)
    burst(r, 2)
    wait_for(lambda: "; 2 of " in r.view("shop")["guardrails"][0].get("reason", ""), lambda: r.view("shop"))
    assert r.view("shop")["state"] == "holding" and r.incidents("shop") == []
    well = r.canary_count("shop")
    r.canary["shop"].answer = BOOM
    r.send_until("shop", "rolled_back")
    incident = r.incident("shop")
    assert incident["guardrail"] == "slo_goal" and "times the budget of availability" in incident["cause"], incident
    wait_burn(r, 2 + r.canary_count("shop") - well)
    r.expect_no_exposure("shop")


def test_a_stable_that_burns_the_budget_is_not_the_canarys_doing(release):
    r = release(**BURN)
    r.stable["shop"].answer = BOOM
    r.send("shop", 100)
    wait_burn(r, len(r.stable["shop"].requests))
    wait_for(lambda: f"; 0 of {r.canary_count('shop')} requests" in r.view("shop")["guardrails"][0].get("reason", ""), lambda: r.view("shop"))
    assert r.view("shop")["state"] == "holding" and r.incidents("shop") == []
