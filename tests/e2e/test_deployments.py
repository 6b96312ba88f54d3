# e2e/test_deployments.py - deployment events: what they are tied to, and the traffic before and after, shown wherever one looks.
import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess

import pytest

from harness import Origin, Proxy, reply, wait_for
from harness.proxy import WEIR

BAD = reply(b"boom", status="500 Internal Server Error")


@pytest.fixture(scope="module", name="proxy")
def fixture_proxy():
    good, canary = Origin(reply(b"a")), Origin(reply(b"b"))
    with Proxy(
        upstreams={"v1": {"endpoints": [good]}, "v2": {"endpoints": [canary]}},
        routes=[
            {"name": "cart", "match": {"path": {"prefix": "/cart"}}, "to": "v1"},
            {"name": "flip", "match": {"path": {"prefix": "/flip"}}, "to": "v2"},
            {"name": "shop", "match": {"path": {"prefix": "/shop"}}, "split": {"v1": 100, "v2": 0}},
        ],
        rollouts={"r": {
            "route": "shop", "stable": "v1", "canary": "v2", "revision": "7", "steps": [{"weight": "50%", "hold": "1h"}, {"weight": "100%"}],
            "guardrails": [{"metric": "error_rate", "max": "20%", "window": "10s"}],
        }},
    ) as made:
        made.canary = canary
        yield made


@pytest.fixture(autouse=True)
def good_canary(proxy):
    proxy.canary.answer = reply(b"b")


def post(proxy, **event):
    return proxy.admin("POST", "/api/v1/events", {"reason": "a test", **event})


def told(proxy, **event):
    status, answer = post(proxy, **event)
    assert status == 201, answer
    return answer


def event_of(proxy, number):
    status, answer = proxy.admin("GET", f"/api/v1/events/{number}")
    assert status == 200, answer
    return answer["event"]


def listed(proxy, query=""):
    status, answer = proxy.admin("GET", f"/api/v1/events?follow=false{query}")
    assert status == 200, answer
    return answer["events"]


def ctl(proxy, *words):
    environment = dict(os.environ, WEIR_STATE_DIR=str(proxy.config["state_dir"]))
    done = subprocess.run([WEIR, "ctl", *words], capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def counted(proxy, route, upstream):
    return sum(proxy.metric("weir_requests_total", route=route, upstream=upstream, code=code) or 0 for code in ("200", "500"))


def send(proxy, route, upstream, count):
    """So many requests, all of which are counted: an answer may be read before its counter is up."""
    before = counted(proxy, route, upstream)
    client = proxy.client()
    for _ in range(count):
        client.get(f"/{route}")
    wait_for(lambda: counted(proxy, route, upstream) == before + count, "they are counted")


# ---- tied to metrics --------------------------------------------------------------------------------------------------------


def test_a_deployment_has_the_traffic_before_and_after_it(proxy):
    """The proxy is younger than the window: before is all that there was."""
    send(proxy, "flip", "v2", 20)
    posted = told(proxy, subject="v2", text="2.4.1", route="flip", title="Checkout 2.4.1", tags=["ci", "prod"],
                  link="https://ci.example.com/builds/7", detail={"commit": "abc"})
    assert (posted["route"], posted["title"], posted["tags"]) == ("flip", "Checkout 2.4.1", ["ci", "prod"])
    assert posted["link"] == "https://ci.example.com/builds/7" and posted["detail"] == {"commit": "abc"}
    metrics = posted["metrics"]
    assert (metrics["window_ms"], metrics["is_complete"]) == (300000, False)
    assert (metrics["before"]["requests"], metrics["before"]["errors"], metrics["before"]["error_ratio"]) == (20, 0, 0)
    assert metrics["before"]["requests_per_second"] == pytest.approx(20 / metrics["before"]["seconds"])
    assert 0 < metrics["before"]["p50_ms"] <= metrics["before"]["p95_ms"] <= metrics["before"]["p99_ms"]
    proxy.canary.answer = BAD
    send(proxy, "flip", "v2", 6)
    proxy.canary.answer = reply(b"b")
    send(proxy, "flip", "v2", 2)
    send(proxy, "cart", "v1", 3)
    for event in (event_of(proxy, posted["id"]), *(e for e in listed(proxy) if e["id"] == posted["id"])):
        assert event["metrics"]["before"] == metrics["before"]
        after = event["metrics"]["after"]
        assert (after["requests"], after["errors"], after["error_ratio"]) == (8, 6, 0.75), "of its route alone"
        assert event["detail"] == {"commit": "abc"} and not event["metrics"]["is_complete"]


def test_what_it_is_tied_to_is_what_is_compared(proxy):
    names = {"route": {"route": "flip"}, "upstream": {"upstream": "v1"}, "rollout": {"rollout": "r"}, "both": {"route": "cart", "upstream": "v1"},
             "all": {}, "neither": {"route": "cart", "upstream": "v2"}}
    events = {name: told(proxy, **ties)["id"] for name, ties in names.items()}
    send(proxy, "flip", "v2", 1)
    send(proxy, "cart", "v1", 2)
    send(proxy, "shop", "v1", 4)
    after = {name: event_of(proxy, number)["metrics"]["after"]["requests"] for name, number in events.items()}
    assert after == {"route": 1, "upstream": 6, "rollout": 4, "both": 2, "all": 7, "neither": 0}
    assert event_of(proxy, events["rollout"])["route"] == "shop", "a rollout stands for its route"


def test_when_the_window_is_over_the_figures_are_final_and_outlive_the_process(proxy):
    posted = told(proxy, subject="v1", text="final", route="cart", window="5s")
    unfinished = told(proxy, subject="v1", text="cut short", route="cart")
    send(proxy, "cart", "v1", 5)
    wait_for(lambda: event_of(proxy, posted["id"])["metrics"]["is_complete"], "five seconds pass")
    event = event_of(proxy, posted["id"])
    last = proxy.metric("weir_deployment_event_timestamp_seconds", kind="deploy")
    send(proxy, "cart", "v1", 3)
    assert event_of(proxy, posted["id"]) == event, "what is final does not grow"
    proxy.signal(signal.SIGTERM)
    wait_for(lambda: not proxy.is_running(), "it ends")
    proxy.start()
    assert event_of(proxy, posted["id"]) == event
    assert proxy.metric("weir_deployment_event_timestamp_seconds", kind="deploy") == last > 0
    cut = event_of(proxy, unfinished["id"])["metrics"]
    assert not cut["is_complete"] and cut["before"] == unfinished["metrics"]["before"] and cut["after"]["requests"] == 8


def test_of_a_time_that_nothing_is_known_of_nothing_is_said(proxy):
    posted = told(proxy, at="2020-01-01T00:00:00Z", route="cart")
    assert posted["metrics"]["before"] is None and posted["metrics"]["after"] is None


# ---- refused ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event,named", [
    ({"route": "nope"}, '"route": there is no route "nope"'),
    ({"route": ""}, "there is no route"),
    ({"upstream": "nope"}, '"upstream": there is no upstream "nope"'),
    ({"rollout": "nope"}, '"rollout": there is no rollout "nope"'),
    ({"rollout": "r", "route": "cart"}, 'is of the route "shop", not of "cart"'),
    ({"colour": "red"}, '"colour" is no member'),
    ({"title": "two\nlines"}, '"title"'),
    ({"title": "x" * 257}, '"title"'),
    ({"tags": "ci"}, '"tags"'),
    ({"tags": ["x"] * 17}, '"tags"'),
    ({"tags": [""]}, '"tags"'),
    ({"tags": [1]}, '"tags"'),
    ({"link": "javascript:alert(1)"}, '"link"'),
    ({"link": "https://x/" + "y" * 1024}, '"link"'),
    ({"window": "1s"}, '"window"'),
    ({"window": "6m"}, '"window"'),
    ({"detail": {"route": "cart"}}, '"route" stands beside "detail"'),
    ({"detail": {"x": "y" * 4000}, "title": "z" * 200}, "more than 4096 bytes"),
    ({"detail": {"x": json.loads("[" * 16 + "]" * 16)}}, '"detail" is nested deeper than 16 levels'),
    ({"at": "1970-01-01T00:00:00Z"}, '"at" is before 1970'),
])
def test_what_ties_to_nothing_is_refused_by_name(proxy, event, named):
    newest = [e["id"] for e in listed(proxy, "&limit=1")]
    status, answer = post(proxy, **event)
    assert status == 400 and answer["error"]["code"] == "bad_event" and named in answer["error"]["message"], answer
    assert [e["id"] for e in listed(proxy, "&limit=1")] == newest


def test_an_event_that_is_not_there_is_not_found(proxy):
    for number in ("0", "999999", "x"):
        assert proxy.admin("GET", f"/api/v1/events/{number}")[0] == 404
    assert proxy.admin("GET", "/api/v1/events?follow=false&since=yesterday")[0] == 400


@pytest.mark.once
def test_a_locked_store_is_asked_once_for_all_windows_that_end(proxy):
    """Each time that it is asked may hold the main thread for as long as a lock is waited for."""
    def tries():
        return re.findall(r"what came after event (\d+) cannot be stored now", proxy.error_log())

    events = [told(proxy, kind="lock", window="5s") for _ in range(12)]
    with contextlib.closing(sqlite3.connect(proxy.path("state/weir.db"), isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        wait_for(lambda: len(set(tries())) < len(tries()), "one is tried again")
        assert len(tries()) < len(events)
        db.execute("ROLLBACK")
    wait_for(lambda: all(event_of(proxy, e["id"])["metrics"]["is_complete"] for e in events), "all are stored")


# ---- counted and filtered ---------------------------------------------------------------------------------------------------


def test_events_are_counted_by_kinds_that_whoever_posts_cannot_multiply(proxy):
    def count(kind):
        return proxy.metric("weir_deployment_events_total", kind=kind)
    before = {kind: count(kind) for kind in ("deploy", "rollback", "other")}
    told(proxy, kind="rollback", at="2026-11-20T10:00:00Z")
    for number in range(3):
        told(proxy, kind=f"kind-{number}")
    assert {kind: count(kind) - before[kind] for kind in before} == {"deploy": 0, "rollback": 1, "other": 3}
    assert proxy.metric("weir_deployment_event_timestamp_seconds", kind="rollback") == 1795168800
    assert "kind-1" not in proxy.admin("GET", "/metrics")[1]


def test_people_see_before_and_after_and_choose(proxy):
    send(proxy, "cart", "v1", 2)
    told(proxy, subject="v1", text="chosen", route="cart")
    told(proxy, subject="v1", text="another kind", route="cart", kind="flag")
    told(proxy, subject="v1", text="long ago", route="cart", at="2020-01-01T00:00:00Z")
    shown = ctl(proxy, "events", "--kind", "deploy", "--route", "cart", "--since", "1h").splitlines()
    assert "v1  chosen" in shown[-3] and not any("another kind" in line or "long ago" in line for line in shown)
    assert shown[-2].strip().startswith("req/s ") and " errors 0.00% -> - " in shown[-2] and shown[-2].endswith("after so far)")
    assert shown[-1].strip().startswith("p50 ") and " p95 " in shown[-1] and " p99 " in shown[-1] and " -> " in shown[-1]
    assert "another kind" in ctl(proxy, "events", "--kind", "flag")
    assert json.loads(ctl(proxy, "--json", "events", "--rollout", "none"))["events"] == []
    environment = dict(os.environ, WEIR_STATE_DIR=str(proxy.config["state_dir"]))
    top = subprocess.run([WEIR, "top", "--once", "--interval", "100ms"], capture_output=True, text=True, timeout=60, env=environment, check=True)
    assert "last deployment: v1 " in top.stdout


# ---- rollouts ---------------------------------------------------------------------------------------------------------------


def test_a_rollout_tells_what_it_does_and_its_incident_shows_who_deployed(proxy):
    """The incident's timeline has what was told about this rollout, and about everything; not what was about another route."""
    told(proxy, subject="v2", text="build 7", rollout="r")
    told(proxy, subject="cache", text="of another", route="cart")
    told(proxy, kind="config", subject="dns", text="of everything")
    assert proxy.admin("POST", "/api/v1/rollouts/r/start", {"reason": "go"})[0] == 200
    assert proxy.admin("POST", "/api/v1/rollouts/r/pause", {"reason": "wait"})[0] == 200
    assert proxy.admin("POST", "/api/v1/rollouts/r/resume", {"reason": "on"})[0] == 200
    proxy.canary.answer = BAD
    client = proxy.client()

    def is_back():
        client.get("/shop")
        return proxy.admin("GET", "/api/v1/rollouts/r")[1]["rollout"]["state"] == "rolled_back"
    wait_for(is_back, "it is taken back")
    events = [e for e in reversed(listed(proxy, "&rollout=r")) if e["kind"].startswith("rollout.")]
    kinds = [e["kind"].removeprefix("rollout.") for e in events]
    assert kinds == ["started", "paused", "resumed", "breach", "in_force"]
    breach = events[3]
    assert (breach["subject"], breach["rollout"], breach["route"], breach["detail"]["to"]) == ("r", "r", "shop", "rolling_back")
    assert (breach["detail"]["from_weight"], breach["detail"]["weight"], breach["detail"]["revision"]) == (0.5, 0, "7")
    assert breach["detail"]["guardrail"] and "rolling_back at step 1, the canary with 0 %" in breach["text"]
    incident = proxy.admin("GET", "/api/v1/incidents")[1]["incidents"][0]["id"]
    lines = proxy.admin("GET", f"/api/v1/incidents/{incident}")[1]["incident"]["timeline"]
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    said = [line["what"] for line in lines]
    at = next(i for i, line in enumerate(said) if line.startswith("deploy v2: build 7 (told by unix:"))
    assert at < next(i for i, line in enumerate(said) if line.startswith("guardrail "))
    assert any(line.startswith("config dns: of everything") for line in said)
    assert not any("of another" in line for line in said)
    assert "deploy v2: build 7" in ctl(proxy, "incidents", incident)
