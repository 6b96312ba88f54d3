# e2e/test_drill_ends.py - drills that end before their time: nothing of them stays, whoever ended them.
import json
import os
import pty
import signal
import subprocess

import pytest

from harness import DEADLINE_S, Origin, Proxy, reply, wait_for
from harness.proxy import WEIR

ERRORS = {"name": "errors", "metric": "error_rate", "worse_than_stable": {"ratio": 1.5}}
SLOW = {"name": "slow", "metric": "latency_p95", "max": "300ms", "window": "1m"}
ENDLESS = {"guardrail": "slow", "delay_ms": 20, "timeout_ms": 600000}  # within its limit: never noticed


@pytest.fixture(scope="module")
def house():
    pair = {"stable": "s", "canary": "c", "steps": [{"weight": "50%", "hold": "1h"}, {"weight": "100%"}]}
    proxy = Proxy(
        workers=2,
        upstreams={"s": {"endpoints": [Origin(reply(b"stable"))]}, "c": {"endpoints": [Origin(reply(b"canary"))]}},
        routes=[
            {"name": "idle", "match": {"path": {"prefix": "/idle"}}, "split": {"s": 100, "c": 0}},
            {"name": "shop", "split": {"s": 100, "c": 0}, "sticky": {"cookie": "id"}},
        ],
        rollouts={name: {"route": name, "guardrails": [ERRORS, SLOW], **pair} for name in ("shop", "idle")},
    )
    with proxy:
        yield proxy


def ask(proxy, name="shop", **wish):
    return proxy.admin("POST", f"/api/v1/drill/{name}", {"reason": "a test", "rate": 400, **wish})


def begin(proxy, name="shop", **wish):
    status, answer = ask(proxy, name, **wish)
    assert status == 202, answer


def newest(proxy, name="shop"):
    status, answer = proxy.admin("GET", f"/api/v1/drill/{name}")
    assert status == 200, answer
    return answer["drill"]


def ended(proxy, name="shop"):
    return wait_for(lambda: d if (d := newest(proxy, name))["state"] != "running" else None, "the drill ends")


def is_under_way(proxy):
    """Requests of the drill have come back: it is not only begun."""
    return newest(proxy)["detail"]["guardrails"][1]["requests"] > 20


def say(proxy, word, name="shop"):
    assert proxy.admin("POST", f"/api/v1/rollouts/{name}/{word}", {"reason": "a test"})[0] == 200


def words_of(command, proxy, *words):
    return [WEIR, "ctl", "--state-dir", proxy.config["state_dir"], command, *words]


def ctl(proxy, *words):
    return subprocess.run(words_of("drill", proxy, *words), capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def audit(proxy):
    return [(line["action"], line["reason"]) for line in proxy.admin("GET", "/api/v1/audit?limit=5")[1]["lines"]]


def test_a_rehearsal_is_refused_during_the_release_and_ends_with_its_start(proxy):
    begin(proxy, **ENDLESS)
    second = ask(proxy, "shop")
    assert second[0] == 409 and "one at a time" in second[1]["error"]["message"]
    say(proxy, "start")
    drill = ended(proxy)
    assert (drill["state"], drill["detail"]["cause"]) == ("aborted", "the rollout was started")
    status, answer = ask(proxy)
    assert status == 409 and 'rollout "shop" is holding: a rehearsal is for before the release' in answer["error"]["message"]
    done = ctl(proxy, "shop", "--reason", "a test")
    assert done.returncode == 1 and "is holding" in done.stderr
    say(proxy, "rollback")
    wait_for(lambda: ask(proxy, **ENDLESS)[0] == 202, "a rolled back release may be rehearsed")
    assert proxy.admin("POST", "/api/v1/drill/shop/abort", {"reason": "enough"})[0] == 202
    assert ended(proxy)["detail"]["cause"].endswith(": enough"), "who, and why"
    assert [action for action, _ in audit(proxy)[:2]] == ["drill.aborted", "drill.abort"] and audit(proxy)[1][1] == "enough"


def test_drills_of_different_rollouts_run_at_once_and_none_sees_the_other(proxy):
    before = proxy.metric("weir_requests_total") or 0
    begin(proxy, "shop", **ENDLESS)
    begin(proxy, "idle", guardrail="errors")
    other = ended(proxy, "idle")
    assert (other["state"], other["detail"]["guardrails"][0]["result"]) == ("passed", "fired"), other
    assert newest(proxy)["state"] == "running", "the canary of the other did not fail"
    begin(proxy, "idle", **ENDLESS)
    assert proxy.admin("POST", "/api/v1/drill/shop/abort", {"reason": "enough"})[0] == 202
    assert ended(proxy)["state"] == "aborted" and newest(proxy, "idle")["state"] == "running"
    proxy.config["routes"][0]["timeout"] = "9s"
    proxy.write_config()
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "a test"})[0] == 200
    assert newest(proxy, "idle")["state"] == "aborted" and (proxy.metric("weir_requests_total") or 0) == before


def test_abort_and_ctrl_c_end_it_and_the_status_says_how(proxy):
    waiting = words_of("drill", proxy, "idle", "--reason", "a test", "--guardrail", "slow", "--delay", "20ms", "--timeout", "10m")
    for end in ("abort", signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen([*waiting, "--json"], stdout=subprocess.PIPE, text=True) as process:
            wait_for(lambda: proxy.admin("GET", "/api/v1/drill/idle")[1].get("drill", {}).get("state") == "running", "it has begun")
            if end == "abort":
                done = ctl(proxy, "idle", "abort", "--reason", "enough")
                assert done.returncode == 0 and "idle: drill" in done.stdout, done
            else:
                process.send_signal(end)
            drill = json.loads(process.communicate(timeout=DEADLINE_S)[0])["drill"]
            assert process.returncode == 4 and drill["state"] == "aborted"
            assert ("enough" if end == "abort" else "interrupted where it was asked for") in drill["detail"]["cause"]
    for words, status, text in (
        (["idle", "abort", "--reason", "enough"], 1, 'no drill of "idle" is under way'), (["idle", "abort"], 2, "--reason"),
        (["idle", "about", "--reason", "enough"], 2, "is not abort"), (["none", "--reason", "a test"], 5, "none"),
        (["none", "--last"], 5, "there was no drill"), (["none", "abort", "--reason", "enough"], 5, "none"),
    ):
        done = ctl(proxy, *words)
        assert done.returncode == status and text in done.stderr, (words, done)
    assert ctl(proxy, "idle", "--last").returncode == 4
    done = subprocess.run(words_of("drills", proxy, "idle", "--state", "aborted"), capture_output=True, text=True, check=True)
    head, *rows = done.stdout.splitlines()
    assert head.split()[:4] == ["begun", "rollout", "revision", "drill"]
    assert len(rows) >= 3 and all(" idle " in row and " aborted " in row for row in rows), rows


def test_the_history_has_filters_and_pages(proxy):
    def listed(query=""):
        status, answer = proxy.admin("GET", f"/api/v1/drills{query}")
        assert status == 200, answer
        return [(drill["id"], drill["rollout"], drill["state"]) for drill in answer["drills"]]

    begin(proxy, guardrail="errors")
    assert ended(proxy)["state"] == "passed"
    everything = listed()
    assert len(everything) > 3 and {drill[1] for drill in everything} == {"shop", "idle"}
    assert listed("?rollout=idle") == [drill for drill in everything if drill[1] == "idle"]
    assert listed("?state=passed&limit=1") == [next(drill for drill in everything if drill[2] == "passed")]
    assert listed(f"?before={everything[1][0]}") == everything[2:] and listed("?rollout=none") == []
    assert listed("?before=none") == []
    assert proxy.admin("GET", "/api/v1/drills?state=gone")[0] == 400


def test_requests_of_a_drill_that_a_reload_cuts_short_are_nobodys(proxy):
    before = proxy.metric("weir_requests_total") or 0
    for i in range(5):
        begin(proxy, rate=500, **ENDLESS)
        wait_for(lambda: is_under_way(proxy), lambda: f"requests come back: {newest(proxy)}")
        proxy.config["routes"][0]["timeout"] = f"{10 + i}s"
        proxy.write_config()
        assert proxy.admin("POST", "/api/v1/reload", {"reason": "a test"})[0] == 200
        assert newest(proxy)["state"] == "aborted"
    begin(proxy, guardrail="errors")
    assert ended(proxy)["state"] == "passed", "those that straggle are no news for the next one"
    assert (proxy.metric("weir_requests_total") or 0) == before
    assert {line["why"] for line in proxy.access_lines() if line.get("path") == "/.weir/drill"} <= {"drill"}


def test_a_live_drill_ends_with_abort_and_with_the_process(proxy):
    say(proxy, "start", "idle")
    for end in ("abort", "kill"):
        begin(proxy, "idle", live=True, timeout_ms=600000)
        answer = wait_for(lambda: next((a for a in [proxy.get("/idle")] if a.status != 200), None), "the canary fails")
        assert answer.error == "drill"
        if end == "abort":
            assert proxy.admin("POST", "/api/v1/drill/idle/abort", {"reason": "enough"})[0] == 202
            assert newest(proxy, "idle")["state"] == "aborted"
            wait_for(lambda: all(proxy.get("/idle").status == 200 for _ in range(20)), "it has ended in every worker")
        else:
            proxy.process.kill()
            proxy.process.wait()
            proxy.close_clients()
            proxy.start()
            assert newest(proxy, "idle")["state"] == "interrupted"
        seen = [proxy.get("/idle") for _ in range(20)]
        assert {answer.status for answer in seen} == {200} and {answer.body for answer in seen} == {b"stable", b"canary"}
        assert proxy.admin("GET", "/api/v1/rollouts/idle")[1]["rollout"]["weight"] == 0.5, "its weight is as it was"
    say(proxy, "rollback", "idle")


def test_live_says_before_how_many_real_requests_it_meets_and_asks(proxy):
    def live(*words, stdin=subprocess.DEVNULL):
        command = words_of("drill", proxy, "idle", "--live", "--reason", "a test", *words)
        return subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    def answer(text):
        ours, theirs = pty.openpty()
        os.write(ours, text)
        done = live("--guardrail", "errors", "--share", "50%", "--timeout", "1s", stdin=theirs)
        os.close(ours)
        os.close(theirs)
        return done

    pending = live()
    assert pending.returncode == 1 and "--live needs one that runs" in pending.stderr and "real users" not in pending.stderr
    proxy.config["rollouts"]["idle"]["revision"] = "2"
    proxy.write_config()
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "a test"})[0] == 200
    say(proxy, "start", "idle")
    before = proxy.admin("GET", "/api/v1/drills?rollout=idle")
    unasked = live()
    assert unasked.returncode == 2 and "say --yes where nobody can be asked" in unasked.stderr
    assert "The canary of idle has 50% of" in unasked.stderr and "100% of its answers would be 503" in unasked.stderr
    no = answer(b"n\n")
    assert no.returncode == 1 and "Go on? [y/N]" in no.stderr and "nothing was done" in no.stderr
    assert proxy.admin("GET", "/api/v1/drills?rollout=idle") == before
    yes = answer(b"y\n")
    assert yes.returncode == 3 and "50% of its answers would be 503" in yes.stderr, "nobody came, so that nothing fired"
    assert "live drill failed" in yes.stdout and "silent" in yes.stdout
    assert live("--yes", "--timeout", "1s").returncode == 3
    assert subprocess.run(words_of("drill", proxy, "none", "--live", "--yes", "--reason", "a test"), capture_output=True, check=False).returncode == 5
    say(proxy, "rollback", "idle")
