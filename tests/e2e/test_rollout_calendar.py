# e2e/test_rollout_calendar.py - freezes, windows and start_at of releases: what waits for them, who says so, and what does not wait.
import datetime
import re
import subprocess

import pytest

from harness import DEADLINE_S, Origin, Proxy, Releases, wait_for
from harness.proxy import WEIR

NOW = datetime.datetime.now(datetime.timezone.utc)
FAR = NOW + datetime.timedelta(days=30)
AWAY = NOW + datetime.timedelta(days=3)  # its whole day is open, so that it is closed now, whatever the hour is and however long this takes
FREEZE = {"freeze": [{"from": f"{NOW - datetime.timedelta(days=1):%Y-%m-%dT%H:%M:00Z}", "to": f"{FAR:%Y-%m-%dT%H:%M:00Z}", "reason": "holidays"}]}
WINDOWS = {"windows": [{"days": ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[AWAY.weekday()]}]}
START_AT = {"start_at": f"{FAR:%Y-%m-%dT%H:%M:00Z}"}
# By what a case is named after: (what closes it, what is said of that, when it opens)
BLOCKS = {
    "freeze": (FREEZE, f"freeze until {FAR:%Y-%m-%dT%H:%MZ}: holidays", f"{FAR:%Y-%m-%dT%H:%M:00.000Z}"),
    "windows": (WINDOWS, "outside of the windows", f"{AWAY:%Y-%m-%dT00:00:00.000Z}"),
    "start_at": (START_AT, f"before start_at, {FAR:%Y-%m-%dT%H:%MZ}", f"{FAR:%Y-%m-%dT%H:%M:00.000Z}"),
}
RELEASE = {
    "steps": [{"weight": "50%", "hold": "1h"}, {"weight": "100%", "hold": "1h"}],
    "guardrails": [{"metric": "error_rate", "max": "50%", "window": "1h", "min_requests": 2}],
    "bake": "1h",
}


@pytest.fixture(scope="module", name="house")
def fixture_house():
    """One proxy: each test has releases of its own."""
    made = []

    def make(kind, *arguments, **options):
        made.append(kind(*arguments, **options))
        return made[-1]

    cases = {f"begin-{block}": {**RELEASE, **BLOCKS[block][0]} for block in ("freeze", "windows", "start_at")}
    cases |= {f"{name}-{block}": RELEASE for block in ("freeze", "windows") for name in ("step", "back")}
    yield Releases(lambda *a: make(Origin, *a), lambda **config: make(Proxy, **config).start(), cases, workers=2)
    for one in reversed(made):
        one.end() if isinstance(one, Proxy) else one.stop()  # pylint: disable=expression-not-assigned


@pytest.fixture(name="r")
def fixture_r(house):
    house.client = house.proxy.client()
    yield house
    house.proxy.settle()


def configure(r, name, **changes):
    """By the API: in force when it answers. What is None goes."""
    rollout = r.proxy.config["rollouts"][name]
    rollout.update(changes)
    for key in [key for key in rollout if rollout[key] is None]:
        del rollout[key]
    r.proxy.write_config()
    status, answer = r.proxy.admin("POST", "/api/v1/reload", {"reason": "test"})
    assert status == 200, answer


def ctl(r, name):
    command = [WEIR, "ctl", "--state-dir", r.proxy.config["state_dir"], "rollout", name]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=True).stdout
    return re.sub(r"\s+", " ", shown)


def expect_closed(r, name, block, state, weight):
    _, why, opens_at = BLOCKS[block]
    view = r.view(name)
    assert (view["state"], view["weight"]) == (state, weight), view
    assert view["calendar"] == {"is_open": False, "why": why, "opens_at": opens_at}, view
    shown = ctl(r, name)
    waits = "the next step waits for" if state == "running" else "no weight rises now:"
    assert f"{waits} {why}; opens at {opens_at}, in " in shown, shown


def expect_no_promotion(r, name, block):
    status, answer = r.proxy.admin("POST", f"/api/v1/rollouts/{name}/promote", {"reason": "test"})
    assert status == 409 and f"no step is taken now: {BLOCKS[block][1]}" in str(answer), answer


@pytest.mark.parametrize("block", ["freeze", "windows"])
def test_one_that_is_closed_holds_the_start(r, block):
    name = f"begin-{block}"
    r.say(name, "start")
    expect_closed(r, name, block, "running", 0)
    expect_no_promotion(r, name, block)
    r.expect_no_exposure(name)
    expect_closed(r, name, block, "running", 0)
    configure(r, name, **{block: None})
    wait_for(lambda: r.view(name)["state"] == "holding", lambda: r.view(name))
    assert (r.view(name)["weight"], r.view(name)["calendar"]) == (0.5, {"is_open": True})


@pytest.mark.parametrize("block", ["freeze", "windows"])
def test_one_that_closes_in_a_step_holds_the_next(r, block):
    name = f"step-{block}"
    assert r.say(name, "start")["weight"] == 0.5
    configure(r, name, **BLOCKS[block][0])
    expect_closed(r, name, block, "holding", 0.5)
    expect_no_promotion(r, name, block)
    # The hold is over, and the verdict good: now nothing but the calendar is in the way.
    configure(r, name, steps=[{"weight": "50%", "hold": "1ms"}, {"weight": "100%", "hold": "1h"}])
    r.send_until(name, "running")
    expect_closed(r, name, block, "running", 0.5)
    expect_no_promotion(r, name, block)
    assert {answer.body for answer in r.send(name, 40)} == {b"stable", b"canary"}
    expect_closed(r, name, block, "running", 0.5)
    configure(r, name, **{block: None})
    r.send_until(name, "holding")
    assert r.view(name)["weight"] == 1


@pytest.mark.parametrize("block", ["freeze", "windows"])
def test_the_way_back_waits_for_no_calendar(r, block):
    name = f"back-{block}"
    assert r.say(name, "start")["weight"] == 0.5
    configure(r, name, **BLOCKS[block][0])
    expect_closed(r, name, block, "holding", 0.5)
    view = r.say(name, "rollback")
    assert (view["state"], view["weight"], view["is_in_force"]) == ("rolled_back", 0, True), view
    r.expect_no_exposure(name)


def test_a_start_at_waits_for_its_time_and_starts_by_itself(r):
    name = "begin-start_at"
    expect_closed(r, name, "start_at", "pending", 0)
    r.expect_no_exposure(name)
    expect_closed(r, name, "start_at", "pending", 0)
    configure(r, name, start_at=f"{NOW - datetime.timedelta(days=1):%Y-%m-%dT%H:%M:00Z}", **FREEZE)
    wait_for(lambda: r.view(name)["state"] == "running", lambda: r.view(name))
    expect_closed(r, name, "freeze", "running", 0)
    configure(r, name, freeze=None)
    wait_for(lambda: r.view(name)["state"] == "holding", lambda: r.view(name))
    assert r.view(name)["weight"] == 0.5
