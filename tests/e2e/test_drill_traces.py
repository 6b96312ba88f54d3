# e2e/test_drill_traces.py - what a drill leaves behind: nothing, or what is marked as a drill's, place by place.
import datetime
import os
import re

import pytest

from harness import Origin, Proxy, reply, wait_for

GUARDRAILS = [
    {"name": "errors", "metric": "error_rate", "worse_than_stable": {"ratio": 1.5}},
    {"name": "slow", "metric": "latency_p95", "max": "300ms", "window": "1m"},
    {"name": "purchase", "event": "purchase", "worse_than_stable": {"ratio": 0.9}},
    {"name": "mismatch", "metric": "shadow_mismatch", "shadow": "dark", "max": "1%"},
]
HOOK = "return { on_request = function(req) req:set_header('x-hooked', 'yes') end }"

# Families that a drill may change: its own, the connections that its requests come by, and what the process does: docs/rollouts.md.
MARKED = re.compile(
    r"weir_drill|weir_connections|weir_weight_swaps_total|weir_access_lines_total|weir_(read|write)_calls_total|weir_(read|written)_bytes_total"
    r"|weir_loop_turns_total|process_"
)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    told = Origin(reply(b""))
    directory = tmp_path_factory.mktemp("hooks")
    (directory / "hook.lua").write_text(HOOK)
    proxy = Proxy(
        workers=2,
        upstreams={
            "s": {"endpoints": [Origin(reply(b"stable"))]}, "c": {"endpoints": [Origin(reply(b"canary"))]},
            "dark": {"endpoints": [Origin(reply(b"dark"))]},
        },
        routes=[{
            "name": "shop", "split": {"s": 100, "c": 0}, "sticky": {"cookie": "id"}, "script": str(directory / "hook.lua"),
            "shadow": [{"to": "dark", "share": "100%", "compare": {}, "record": str(directory / "shadow.jsonl")}],
            "rate_limit": {"rate": "3/m", "burst": 3, "by": {"source": "ip"}},
        }],
        slos={"shop": {"route": "shop", "availability": "99.9%", "latency": {"below": "300ms", "for": "99%"}, "window": "1h"}},
        notify={"ops": {"webhook": f"http://{told.address}/told"}},
        rollouts={"shop": {
            "route": "shop", "stable": "s", "canary": "c", "guardrails": GUARDRAILS, "notify": ["ops"],
            "steps": [{"weight": "50%", "hold": "1h"}, {"weight": "100%"}],
        }},
    )
    proxy.told, proxy.record = told, directory / "shadow.jsonl"
    with proxy:
        # One real request, so that everything has something that could be changed.
        assert proxy.get("/").status == 200
        wait_for(lambda: proxy.metric("weir_shadow_compared_total"), "the copy is compared")
        wait_for(lambda: proxy.admin("GET", "/api/v1/rollouts/shop")[1]["rollout"]["requests"]["stable"] == 1, "it is evidence")
        proxy.before = everything(proxy)
        status, answer = proxy.admin("POST", "/api/v1/drill/shop", {"reason": "a test", "rate": 400})
        assert status == 202, answer
        proxy.drill = wait_for(lambda: d if (d := newest(proxy))["state"] != "running" else None, "the drill ends")
        assert proxy.drill["state"] == "passed", proxy.drill
        proxy.after = everything(proxy)
        yield proxy
    told.stop()


def newest(proxy):
    return proxy.admin("GET", "/api/v1/drill/shop")[1]["drill"]


def metrics(proxy):
    """Every sample with its value; buckets and all."""
    text = proxy.admin("GET", "/metrics")[1]
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def everything(proxy):
    def get(path):
        status, answer = proxy.admin("GET", f"/api/v1/{path}")
        assert status == 200, answer
        return answer

    plan = get("rollouts/shop/plan")["plan"]["traffic"]
    return {
        "metrics": metrics(proxy), "slos": get("slos"), "rollout": get("rollouts/shop"), "routes": get("routes")["routes"],
        "shadow": get("shadow/shop"), "diffs": get("shadow/shop/diffs"), "incidents": get("incidents"), "error_rate": plan["error_rate"],
        "audit": get("audit")["lines"], "events": get("events?follow=false")["events"],
        "requests": [len(origin.requests) for origin in proxy.origins], "told": len(proxy.told.requests),
        "recorded": os.path.getsize(proxy.record) if proxy.record.exists() else 0,
    }


def test_a_drill_leaves_no_trace_in_metrics_but_its_own(proxy):
    before, after = proxy.before["metrics"], proxy.after["metrics"]
    changed = {name.split("{")[0] for name in after if before.get(name) != after[name]}
    assert {name for name in changed if not MARKED.match(name)} == set()
    assert changed >= {"weir_drills_total", "weir_drill_last_timestamp_seconds", "weir_drill_detection_seconds"}


def test_a_drill_has_metrics_of_its_own(proxy):
    assert proxy.metric("weir_drills_total", rollout="shop", result="passed") == 1
    assert proxy.metric("weir_drills_total", rollout="shop", result="failed") == 0
    assert proxy.metric("weir_drill_requests_total", rollout="shop") >= 4 * 60
    detail = {g["name"]: g for g in proxy.drill["detail"]["guardrails"]}
    for name, g in detail.items():
        for metric, key in (("detection", "detect_ms"), ("rollback", "rollback_ms")):
            seconds = proxy.metric(f"weir_drill_{metric}_seconds", rollout="shop", guardrail=name)
            assert seconds == pytest.approx(g[key] / 1000, abs=1e-3), (name, metric)
    ended_at = datetime.datetime.fromisoformat(proxy.drill["ended_at"].replace("Z", "+00:00")).timestamp()
    assert proxy.metric("weir_drill_last_timestamp_seconds", rollout="shop") == int(ended_at), "to the second"


@pytest.mark.parametrize("place", [
    "slos", "rollout", "routes", "shadow", "diffs", "incidents", "error_rate", "requests", "told", "recorded",
])
def test_a_drill_leaves_no_trace_in(proxy, place):
    assert proxy.after[place] == proxy.before[place]


def test_a_drill_is_marked_in_the_access_log_the_audit_log_and_among_events(proxy):
    lines = [line for line in proxy.access_lines() if line.get("why") != "drill"]
    assert len(lines) == 1, "the one real request"
    drilled = [line for line in proxy.access_lines() if line.get("why") == "drill"]
    assert len(drilled) >= 4 * 60
    assert {(line.get("route"), line.get("upstream"), line.get("path")) for line in drilled} <= {(None, None, "/.weir/drill"), ("", "", "/.weir/drill")}
    for place, key in (("audit", "action"), ("events", "kind")):
        new = [line[key] for line in proxy.after[place] if line not in proxy.before[place]]
        assert new and all(word.startswith("drill.") for word in new), (place, new)


def test_a_drill_takes_nothing_from_a_rate_limit_and_moves_no_user(proxy):
    answer = proxy.get("/")
    assert (answer.status, answer.body) == (200, b"stable"), "hundreds of requests came from this address, for three a minute"
    assert answer.get("set-cookie"), "a user who is new gets a cookie, and goes to stable"


def test_what_a_drill_measured_is_known_after_a_restart(proxy):
    seconds = proxy.metric("weir_drill_detection_seconds", rollout="shop", guardrail="errors")
    at = proxy.metric("weir_drill_last_timestamp_seconds", rollout="shop")
    proxy.stop()
    proxy.start()
    assert proxy.metric("weir_drill_detection_seconds", rollout="shop", guardrail="errors") == seconds
    assert proxy.metric("weir_drill_last_timestamp_seconds", rollout="shop") == at
    assert proxy.metric("weir_drills_total", rollout="shop", result="passed") == 0
