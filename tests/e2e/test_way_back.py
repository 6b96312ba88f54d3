# e2e/test_way_back.py - what the way back leads to: an old side that is kept ready, and one that cannot take the load.
import json

import pytest

from harness import Releases, wait_for
from harness.origin import reply
from harness.releases import answers

BLUE_GREEN = {
    "steps": [{"weight": "100%"}],
    "bake": "1h",
    "guardrails": [{"metric": "error_rate", "max": "20%", "window": "30s"}],
}
MONITORED = {"m": {"upstreams": ["s-shop"], "request": {"path": "/health"}, "every": "1s", "expect": {"status": 200}}}
LOUD = "stable s-shop may not be able to take the load that goes back to it"


def served_by(origin):
    """The connections over which requests of clients came."""
    return [c for c in origin.connections if any(request.target == "/shop" for request in c.requests)]


def test_the_old_sides_connections_are_kept_and_the_way_back_uses_them(make_origin, start):
    case = {**BLUE_GREEN, "upstream": {"idle_timeout": "1h"}}
    r = Releases(make_origin, start, {"shop": case}, workers=1)
    stable = r.stable["shop"]
    assert {answer.body for answer in r.send("shop", 3)} == {b"stable"}
    before = served_by(stable)
    r.say("shop", "start")
    assert {answer.body for answer in r.send("shop", 40)} == {b"canary"}
    wait_for(lambda: r.view("shop")["state"] == "baking", lambda: r.view("shop"))
    r.proxy.config["limits"] = {"headers": "31KiB"}
    r.proxy.write_config()
    assert r.proxy.admin("POST", "/api/v1/reload", {"reason": "something else"})[0] == 200
    assert {answer.body for answer in r.send("shop", 10)} == {b"canary"}
    r.say("shop", "promote")
    assert r.proxy.metric("weir_upstream_connections", upstream="s-shop", state="idle") == len(before) == 1
    r.say("shop", "rollback")
    assert {answer.body for answer in r.send("shop", 3)} == {b"stable"}
    assert served_by(stable) == before and before[0].end is None, "nobody waited for a new connection"


@pytest.fixture
def switched(make_origin, start):
    """All is with the canary; x-old still leads to stable."""
    def one(**more):
        told = make_origin()
        told.notices = []

        def take(connection, request):
            told.notices.append(json.loads(connection.body(request)))
            connection.send(answers(b"thanks"))

        def answer(connection, request):
            connection.body(request)
            is_bad = request.target == "/health" and not r.is_well
            connection.send(reply(b"stable", status="500 Oops" if is_bad else "200 OK"))

        told.answer = take
        rules = [{"name": "old", "when": {"header": "x-old", "present": True}, "to": "s-shop"}]
        r = Releases(make_origin, start, {"shop": {**BLUE_GREEN, "notify": ["ops"], "route": {"rules": rules}}},
                     notify={"ops": {"webhook": f"http://{told.address}/told"}}, workers=1, **more)
        r.told, r.is_well = told, True
        r.stable["shop"].answer = answer
        r.say("shop", "start")
        assert {answer.body for answer in r.send("shop", 10)} == {b"canary"}
        return r
    return one


def wait_verdict(r, verdict):
    """Of the monitor's newest check."""
    def newest():
        upstreams = r.proxy.admin("GET", "/api/v1/upstreams")[1]["upstreams"]
        return [monitor["verdict"] for upstream in upstreams if upstream["name"] == "s-shop" for monitor in upstream["monitors"]]

    wait_for(lambda: newest() == [verdict], newest)


def way_back(r):
    """How it is said that stable is short: in the log, in the audit log, to who is told."""
    wait_for(lambda: r.view("shop")["state"] == "rolled_back", lambda: r.view("shop"))
    lines = r.proxy.admin("GET", "/api/v1/audit?limit=1000")[1]["lines"]
    back = [json.loads(line["detail"]) for line in lines if line["action"] in ("rollout.rollback", "rollout.breach")]
    assert len(back) == 1, lines
    told = wait_for(lambda: [n for n in r.told.notices if n["to"] == "rolling_back"], lambda: r.told.notices)
    return LOUD in r.proxy.error_log(), back[0].get("stable_is_short", False), told[0].get("stable_is_short", False)


def test_a_stable_without_a_usable_endpoint_is_said_loudly_and_the_way_back_is_taken(switched):
    r = switched()
    r.stable["shop"].stop()
    r.stable["shop"].hang_up()
    wait_for(lambda: r.get("shop", "x-old: 1").status != 200 and r.proxy.metric("weir_upstream_healthy", upstream="s-shop") == 0,
             "it is known to be down")
    assert r.say("shop", "rollback")["weight"] == 0
    assert way_back(r) == (True, True, True)
    met = r.canary_count("shop")
    assert {answer.status for answer in r.send("shop", 10)} <= {502, 503}, "nobody is left on the canary for it"
    assert r.canary_count("shop") == met
    r.stable["shop"].restart()
    wait_for(lambda: r.get("shop").status == 200, "stable is well again")
    r.expect_no_exposure("shop")


def test_what_a_monitor_has_against_a_stable_without_traffic_is_said_loudly(switched):
    """Nobody else looks at the old side behind a switch."""
    r = switched(monitors=MONITORED)
    wait_verdict(r, "good")
    r.is_well = False
    wait_verdict(r, "bad")
    r.canary["shop"].answer = answers(b"boom", status="500 Internal Server Error")
    assert r.send_until("shop", "rolled_back", "rolling_back")["weight"] == 0
    assert way_back(r) == (True, True, True)
    r.expect_no_exposure("shop")


def test_a_stable_that_can_take_the_load_is_nothing_to_be_loud_about(switched):
    r = switched(monitors=MONITORED)
    wait_verdict(r, "good")
    r.say("shop", "rollback")
    assert way_back(r) == (False, False, False)
    r.expect_no_exposure("shop")
