# e2e/test_blue_green.py - all of it in one step: the old side stays ready behind it, and is back at once.
from harness import Releases, wait_for
from harness.releases import answers

CASE = {
    "steps": [{"weight": "100%"}],
    "bake": "1h",
    "guardrails": [{"metric": "error_rate", "max": "20%", "window": "30s"}],
    "route": {"sticky": {"header": "x-user"}},
}
MONITORS = {"m": {"upstreams": ["s-shop"], "request": {"path": "/health"}, "every": "1s", "expect": {"status": 200}}}


def checks(release):
    return sum(request.target == "/health" for request in release.stable["shop"].requests)


def bodies(release):
    return {release.get("shop", f"x-user: {number}").body for number in range(30)}


def test_the_old_side_stays_ready_and_is_back_at_once_also_after_success(make_origin, start):
    r = Releases(make_origin, start, {"shop": CASE}, monitors=MONITORS, workers=2)
    assert bodies(r) == {b"stable"}
    r.say("shop", "start")
    assert bodies(r) == {b"canary"}, "everybody at once"
    before = checks(r)
    wait_for(lambda: checks(r) > before, "who has no traffic is checked all the same")
    wait_for(lambda: r.view("shop")["state"] == "baking", lambda: r.view("shop"))
    r.say("shop", "promote")
    assert r.view("shop")["state"] == "succeeded" and bodies(r) == {b"canary"}
    met = sum(request.target == "/shop" for request in r.stable["shop"].requests)
    r.say("shop", "rollback")
    assert bodies(r) == {b"stable"} and r.view("shop")["weight"] == 0, "from the answer on"
    assert met == 30, "and nobody had met it in between"


def test_a_breach_behind_the_switch_brings_everybody_back(make_origin, start):
    r = Releases(make_origin, start, {"shop": CASE})
    r.say("shop", "start")
    assert bodies(r) == {b"canary"}
    r.canary["shop"].answer = answers(b"boom", status="500 Internal Server Error")
    r.send_until("shop", "rolled_back", fields=("x-user: 1",))
    r.expect_no_exposure("shop", "x-user: 2")
