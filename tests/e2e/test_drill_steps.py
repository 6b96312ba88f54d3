# e2e/test_drill_steps.py - drills of every kind of guardrail, at one step and at all of them, and what is said of those that are silent.
import json
import os
import re
import subprocess

import pytest

from harness import DEADLINE_S, Origin, Proxy, reply
from harness.proxy import ROOT, WEIR

# One of each kind that the reference knows: a new kind has to come here too, with the fault that fires it.
KINDS = {
    "errors": ("error", {"metric": "error_rate", "worse_than_stable": {"ratio": 1.5}}),
    "points": ("error", {"metric": "error_rate", "worse_than_stable": {"points": "5%"}}),
    "rate": ("error", {"metric": "error_rate", "max": "20%", "window": "1m"}),
    "budget": ("error", {"slo": "shop", "burn": 2}),
    "slow": ("latency", {"metric": "latency_p95", "max": "300ms", "window": "1m"}),
    "slower": ("latency", {"metric": "latency_p95", "worse_than_stable": {"ratio": 1.2}}),
    "budget_time": ("latency", {"slo": "time", "burn": 2}),
    "refused": ("connect", {"metric": "connect_failures", "max": 3}),
    "purchase": ("event", {"event": "purchase", "worse_than_stable": {"ratio": 0.9}}),
    "mismatch": ("sample", {"metric": "shadow_mismatch", "shadow": "s2", "max": "1%"}),
    "full": ("sample", {"metric": "saturation", "max": "80%"}),
    "carts": ("sample", {"prometheus": "up", "server": "http://127.0.0.1:9", "max": 5, "on_unknown": "ignore"}),
    "home": ("sample", {"monitor": "home", "max_failures": 2}),
}
WEAK = {"name": "weak", "metric": "error_rate", "max": "50%", "window": "1m", "min_requests": 1000000}
STEPS = [{"weight": "20%", "hold": "10m"}, {"approve": 1}, {"weight": "50%", "hold": "1h"}, {"weight": "100%"}]


def guardrails(*names):
    return [{"name": name, **KINDS[name][1]} for name in names]


@pytest.fixture(scope="module")
def house():
    stable, canary = Origin(reply(b"stable")), Origin(reply(b"canary"))
    pair = {"stable": "s", "canary": "c", "steps": STEPS}
    routes = [{"name": name, "match": {"path": {"prefix": f"/{name}"}}, "split": {"s": 100, "c": 0}} for name in ("few", "weak", "page")]
    shop = {"name": "shop", "split": {"s": 100, "c": 0}, "shadow": [{"to": "s2", "share": "1%", "compare": {}}]}
    proxy = Proxy(
        workers=2,
        upstreams={"s": {"endpoints": [stable]}, "c": {"endpoints": [canary]}, "s2": {"endpoints": [stable]}},
        routes=[*routes, shop],
        monitors={"home": {"upstreams": ["s", "c"], "request": {"path": "/"}, "every": "1m"}},
        slos={
            "shop": {"route": "shop", "availability": "99.9%", "window": "1h"},
            "time": {"route": "shop", "latency": {"below": "300ms", "for": "99%"}, "window": "1h"},
        },
        rollouts={
            "shop": {"route": "shop", "guardrails": guardrails(*KINDS), **pair},
            "few": {"route": "few", "guardrails": guardrails("errors", "rate"), **pair},
            "weak": {"route": "weak", "guardrails": [WEAK], **pair},
            "page": {"route": "page", **pair, "steps": [STEPS[0], STEPS[3]],
                     "guardrails": [KINDS["errors"][1], KINDS["rate"][1]]},
        },
    )
    with proxy:
        yield proxy


def ctl(proxy, *words):
    command = [WEIR, "ctl", "--state-dir", proxy.config["state_dir"], *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S * 4, check=False)


def drill(proxy, name, *words):
    """(exit status, the drill, its guardrails)"""
    done = ctl(proxy, "drill", name, "--reason", "a test", "--rate", "400", "--json", *words)
    assert done.stdout, done
    answer = json.loads(done.stdout)["drill"]
    return done.returncode, answer, answer["detail"]["guardrails"]


@pytest.mark.once
def test_every_kind_of_guardrail_fires_by_its_own_fault(proxy):
    status, answer, found = drill(proxy, "shop", "--step", "50%")
    assert (status, answer["state"]) == (0, "passed"), found
    assert {g["name"]: (g["fault"], g["result"], g["is_simulated"]) for g in found} == {
        name: (fault, "fired", fault == "sample") for name, (fault, _) in KINDS.items()
    }
    for g in found:
        assert (g["step"], g["weight"], g["why"]) == (3, 0.5, ""), g
        assert g["planned_ms"] > 0 and g["detect_ms"] >= 0 and g["rollback_ms"] >= 0, g


def test_all_steps_one_after_the_other_and_a_comparison_is_not_rehearsed_at_the_last(proxy):
    status, _, found = drill(proxy, "few", "--step", "all")
    assert status == 0, found
    assert [(g["step"], g["weight"], g["name"], g["result"]) for g in found] == [
        (1, 0.2, "errors", "fired"), (1, 0.2, "rate", "fired"), (3, 0.5, "errors", "fired"), (3, 0.5, "rate", "fired"),
        (4, 1, "errors", "not_rehearsed"), (4, 1, "rate", "fired"),
    ]
    assert "compares with stable" in found[4]["why"] and found[4]["planned_ms"] is None
    shown = ctl(proxy, "drill", "few", "--last")
    lines = [re.split(" {2,}", line.strip()) for line in shown.stdout.splitlines()]
    assert lines[1] == ["step", "weight", "guardrail", "fault", "result", "planned", "noticed", "requests", "weight 0"]
    assert lines[2][:4] == ["1", "20%", "errors", "error"] and lines[6][:6] == ["4", "100%", "errors", "error", "not_rehearsed", "-"]
    assert max(map(len, shown.stdout.splitlines())) <= 100
    assert "errors at 100%, not_rehearsed: it compares with stable" in shown.stdout


def test_one_that_is_silent_fails_it_and_says_what_it_would_have_needed(proxy):
    status, answer, found = drill(proxy, "weak", "--timeout", "1s")
    assert (status, answer["state"], found[0]["result"]) == (3, "failed", "silent")
    assert re.match(r"too little traffic: it looks at 1000000 or more .* needs \d+ requests a second", found[0]["why"]), found
    status, _, found = drill(proxy, "few", "--guardrail", "rate", "--share", "10%", "--timeout", "1s")
    assert status == 3 and found[1]["why"] == "10 % of the canary's requests were bad, and it allows 20 %"
    status, _, found = drill(proxy, "shop", "--guardrail", "slow", "--delay", "20ms", "--timeout", "1s")
    assert status == 3 and any("it allows 300 ms" in g["why"] for g in found)


@pytest.mark.once
def test_the_drill_in_the_docs_is_shown_as_written(proxy):
    with open(os.path.join(ROOT, "docs", "rollouts.md"), encoding="utf-8") as page:
        words, shown = re.search(r"^\$ weir ctl drill shop (.*)\n((?:.*\n)*?)```$", page.read(), re.MULTILINE).groups()
    assert words == "--reason 'before 2.4.1' --step all"
    done = ctl(proxy, "drill", "page", "--reason", "before 2.4.1", "--step", "all", "--rate", "400")
    assert done.returncode == 0, done

    def rows(text):
        lines = text.splitlines()
        return [lines[0].split(", ")[0].replace("page", "shop"), *(line.split()[:5] for line in lines[1:6])]
    assert rows(done.stdout) == rows(shown)
    assert re.findall(r"^    (\w+)(?=:| at )", done.stdout, re.MULTILINE) == re.findall(r"^    (\w+)(?=:| at )", shown, re.MULTILINE)


@pytest.mark.once
def test_a_step_is_a_number_a_weight_or_all(proxy):
    for step, status, text in (
        ("2", 1, "no step 2 has a weight"), ("9", 1, "no step 9"), ("7%", 1, "no step has the weight 7 %"),
        ("0", 2, "--step"), ("some", 2, "--step"), ("65", 2, "--step"),
    ):
        done = ctl(proxy, "drill", "few", "--reason", "a test", "--step", step)
        assert done.returncode == status and text in done.stderr, (step, done)
    done = ctl(proxy, "drill", "few", "--reason", "a test", "--step", "4", "--guardrail", "errors")
    assert done.returncode == 1 and '"errors" cannot be rehearsed at 100 %: it compares with stable' in done.stderr
