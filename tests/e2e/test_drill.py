# e2e/test_drill.py - drills: a failing release rehearsed beside real traffic, which notices nothing; and live, which it does.
import hashlib
import http.client
import json
import sqlite3
import subprocess

import pytest

from harness import DEADLINE_S, Authority, Origin, Proxy, reply, wait_for
from harness.proxy import WEIR

WEAK = {"name": "weak", "metric": "error_rate", "max": "50%", "window": "1m", "min_requests": 1000000}
GUARDRAILS = [
    {"name": "errors", "metric": "error_rate", "worse_than_stable": {"ratio": 1.5}},
    {"name": "slow", "metric": "latency_p95", "max": "300ms", "window": "1m"},
    {"name": "slower", "metric": "latency_p95", "worse_than_stable": {"ratio": 1.2}},
    {"name": "purchase", "event": "purchase", "worse_than_stable": {"ratio": 0.9}},
    {"name": "refused", "metric": "connect_failures", "max": 3},
    {"name": "carts", "prometheus": "up", "server": "http://127.0.0.1:9", "max": 5, "on_unknown": "ignore",
     "on_breach": "pause"},
]
TOKENS = {"ann": "operator", "ben": "approver"}


@pytest.fixture(scope="module")
def house():
    stable, canary = Origin(reply(b"stable")), Origin(reply(b"canary"))
    steps = [{"weight": "50%", "hold": "1h"}, {"weight": "100%"}]
    pair = {"stable": "s", "canary": "c", "steps": steps}
    proxy = Proxy(
        workers=2,
        upstreams={"s": {"endpoints": [stable]}, "c": {"endpoints": [canary]}},
        routes=[
            {"name": "weak", "match": {"path": {"prefix": "/weak"}}, "split": {"s": 100, "c": 0},
             "sticky": {"cookie": "id"}},
            {"name": "shop", "split": {"s": 100, "c": 0}},
        ],
        rollouts={
            "shop": {"route": "shop", "guardrails": GUARDRAILS, **pair},
            "weak": {"route": "weak", "guardrails": [WEAK, GUARDRAILS[0]], **pair},
        },
        admin={
            "bind": "127.0.0.1:0",
            "tokens": [
                {"name": name, "role": role, "sha256": hashlib.sha256(name.encode()).hexdigest()}
                for name, role in TOKENS.items()
            ],
        },
    )
    proxy.stable, proxy.canary = stable, canary
    with proxy:
        yield proxy
    stable.stop()
    canary.stop()


def ask(proxy, name="shop", **wish):
    return proxy.admin("POST", f"/api/v1/drill/{name}", {"reason": "a test", "rate": 400, **wish})


def newest(proxy, name="shop"):
    status, answer = proxy.admin("GET", f"/api/v1/drill/{name}")
    assert status == 200, answer
    return answer["drill"]


def has_ended(proxy, name="shop"):
    drill = newest(proxy, name)
    return drill if drill["state"] != "running" else None


def begin(proxy, name="shop", **wish):
    status, answer = ask(proxy, name, **wish)
    assert status == 202, answer
    return answer["drill"]


def run(proxy, name="shop", **wish):
    began = begin(proxy, name, **wish)
    ended = wait_for(lambda: has_ended(proxy, name), lambda: f"the drill ends: {newest(proxy, name)}")
    assert ended["id"] == began["id"]
    return ended


def results(drill):
    return {guardrail["name"]: guardrail["result"] for guardrail in drill["detail"]["guardrails"]}


def rollout(proxy, name="shop"):
    return proxy.admin("GET", f"/api/v1/rollouts/{name}")[1]["rollout"]


def counts(proxy):
    """Requests that upstreams got, and that metrics count."""
    return [len(proxy.stable.requests), len(proxy.canary.requests), proxy.metric("weir_requests_total") or 0]


def audit(proxy):
    return [(line["action"], line["who"]) for line in proxy.admin("GET", "/api/v1/audit?limit=50")[1]["lines"]]


def ctl(proxy, *words):
    command = [WEIR, "ctl", "--state-dir", proxy.config["state_dir"], *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def as_token(proxy, name, path, body):
    host, port = proxy.status()["admin"]["address"].rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=DEADLINE_S)
    connection.request("POST", path, json.dumps({"reason": "a test", **body}), {"Authorization": f"Bearer {name}"})
    answer = connection.getresponse()
    document = json.loads(answer.read())
    connection.close()
    return answer.status, document


# ---- rehearsals ------------------------------------------------------------------------------------------------------


def test_every_guardrail_fires_and_real_users_notice_nothing(proxy):
    client, before, counted = proxy.client(), rollout(proxy), counts(proxy)
    begin(proxy)
    served = 0

    def has_ended_meanwhile():
        nonlocal served
        assert client.get("/").body == b"stable", "a real user has met the rehearsal"
        served += 1
        return has_ended(proxy)

    wait_for(has_ended_meanwhile, lambda: f"the drill ends: {newest(proxy)}")
    drill = newest(proxy)
    assert drill["state"] == "passed", drill
    for guardrail in drill["detail"]["guardrails"]:
        assert guardrail["result"] == "fired", guardrail
        assert guardrail["detect_ms"] >= 0 and guardrail["exposed_after"] == 0
        assert guardrail["is_simulated"] == (guardrail["name"] == "carts")
        if guardrail["name"] == "carts":
            assert guardrail["is_paused"] and guardrail["rollback_ms"] is None
        else:
            assert guardrail["rollback_ms"] >= 0 and guardrail["bad_requests"] > 0
    expected = before["requests"]["stable"] + served
    after = wait_for(lambda: seen if (seen := rollout(proxy))["requests"]["stable"] >= expected else None, "all are counted")
    assert (after["state"], after["weight"]) == ("pending", 0)
    assert after["requests"] == {"stable": expected, "canary": 0, "at_step": 0}, "real users are its evidence, and none else"
    assert counts(proxy) == [counted[0] + served, counted[1], counted[2] + served], "only real users count, and are served"
    lines = [line for line in proxy.access_lines() if line.get("why") == "drill"]
    assert len(lines) > 100 and {line["status"] for line in lines} >= {200, 503}
    assert [action for action, _ in audit(proxy)[:2]] == ["drill.passed", "drill.start"]
    assert proxy.admin("GET", "/api/v1/incidents")[1]["incidents"] == []
    assert "drill.passed" in ctl(proxy, "events").stdout


def test_a_guardrail_that_is_too_weak_fails_the_drill(proxy):
    done = ctl(proxy, "drill", "weak", "--reason", "a test", "--rate", "400", "--timeout", "1s")
    assert done.returncode == 3, done
    assert "drill failed" in done.stdout and "silent" in done.stdout and "fired" in done.stdout
    assert results(newest(proxy, "weak")) == {"weak": "silent", "errors": "fired"}
    done = ctl(proxy, "drill", "weak", "--guardrail", "errors", "--reason", "a test", "--rate", "400", "--json")
    assert done.returncode == 0, done
    assert results(json.loads(done.stdout)["drill"]) == {"weak": "not_drilled", "errors": "fired"}
    assert ctl(proxy, "drill", "weak", "--last").returncode == 0
    assert ctl(proxy, "drill", "weak").returncode == 2, "a reason is asked for"


def test_a_fault_that_is_small_is_not_noticed_by_a_wide_margin(proxy):
    drill = run(proxy, guardrail="slow", delay_ms=20, timeout_ms=1000)
    assert drill["state"] == "failed" and results(drill)["slow"] == "silent"


def test_what_cannot_be_drilled_is_refused(proxy):
    for wish, status in (
        ({"guardrail": "nobody"}, 409), ({"guardrail": "slow", "fault": "error"}, 409), ({"fault": "earthquake"}, 409),
        ({"step": 9}, 409), ({"rate": 0}, 400), ({"share_ppm": 1.5}, 400), ({"live": "yes"}, 400), ({"live": True}, 409),
    ):
        assert ask(proxy, **wish)[0] == status, wish
    assert ask(proxy, "nobody")[0] == 404
    begin(proxy, guardrail="slow", delay_ms=20)
    assert ask(proxy)[0] == 409, "one at a time"
    proxy.admin("POST", "/api/v1/reload", {"reason": "a test"})
    proxy.config["routes"][0]["timeout"] = "29s"
    proxy.write_config()
    assert newest(proxy)["state"] == "running", "nothing has changed yet"
    assert proxy.admin("POST", "/api/v1/reload", {"reason": "a test"})[0] == 200
    assert newest(proxy)["state"] == "aborted" and "loaded anew" in newest(proxy)["detail"]["cause"]


def test_who_does_not_know_the_token_is_nobody(proxy):
    forged = "x-weir-drill: 0123456789abcdef0123456789abcdef 503 1 0 503 1 0"
    begin(proxy, guardrail="slow", delay_ms=20, timeout_ms=600000)
    before = len(proxy.stable.requests)
    answer = proxy.get("/", forged)
    assert (answer.status, answer.body) == (200, b"stable")
    assert "x-weir-drill" not in proxy.stable.requests[before].head_bytes.decode().lower(), "no upstream sees it"
    proxy.process.kill()
    proxy.process.wait()
    proxy.close_clients()
    proxy.start()
    drill = newest(proxy)
    assert drill["state"] == "interrupted" and drill["ended_at"]
    assert audit(proxy)[0][0] == "drill.interrupted" and proxy.admin("GET", "/api/v1/audit/verify")[1]["ok"]
    assert rollout(proxy)["state"] == "pending"
    with sqlite3.connect(f"file:{proxy.config['state_dir']}/weir.db?mode=ro", uri=True) as database:
        assert {row[0] for row in database.execute("SELECT DISTINCT state FROM drills")} >= {"interrupted"}
    exported = ctl(proxy, "export").stdout
    assert f'"table":"drills","id":"{drill["id"]}"' in exported


def test_over_tls_each_request_has_a_connection_and_none_waits_for_another(tmp_path):
    origins = {"s": Origin(reply(b"stable")), "c": Origin(reply(b"canary"))}
    shop = Authority(str(tmp_path)).make("shop", "DNS:shop.example.com")
    proxy = Proxy(
        listeners={"tls": {"bind": "127.0.0.1:0", "tls": {"certificates": [shop.pair()]}}},
        upstreams={name: {"endpoints": [origin]} for name, origin in origins.items()},
        routes=[{"name": "shop", "split": {"s": 100, "c": 0}}],
        rollouts={"shop": {"route": "shop", "stable": "s", "canary": "c", "guardrails": GUARDRAILS[:1],
                           "steps": [{"weight": "50%", "hold": "1h"}, {"weight": "100%"}]}},
    )
    with proxy:
        drill = run(proxy, rate=100)
        assert drill["state"] == "passed" and results(drill) == {"errors": "fired"}, drill
        count = sum(line["why"] == "drill" for line in proxy.access_lines())
        assert count > 20 and proxy.metric("weir_tls_handshakes_total") >= count


# ---- live ------------------------------------------------------------------------------------------------------------


def test_live_the_real_canary_fails_until_it_is_taken_back(proxy):
    assert proxy.admin("POST", "/api/v1/rollouts/weak/start", {"reason": "a test"})[0] == 200
    assert as_token(proxy, "ann", "/api/v1/drill/weak", {"live": True})[0] == 403, "an operator may rehearse"
    status, answer = as_token(proxy, "ben", "/api/v1/drill/weak", {"live": True, "timeout_ms": 600000})
    assert status == 202, answer
    assert results(answer["drill"]) == {"weak": "failing", "errors": "failing"}, "all that watch for errors, from the first on"
    client, failed = proxy.client(), []

    def has_ended_meanwhile():
        answer = client.get("/weak")  # without a cookie: each is a user of its own
        assert answer.status == 200 or answer.error == "drill", answer
        failed.extend([answer.status] if answer.status != 200 else [])
        return has_ended(proxy, "weak")

    wait_for(has_ended_meanwhile, lambda: f"the drill ends: {newest(proxy, 'weak')}")
    drill = newest(proxy, "weak")
    assert drill["state"] == "passed" and results(drill) == {"weak": "not_drilled", "errors": "fired"}, drill
    assert failed and set(failed) == {503}
    assert rollout(proxy, "weak")["state"] == "rolled_back"
    assert proxy.admin("GET", "/api/v1/incidents")[1]["incidents"][0]["rollout"] == "weak"
    assert ("drill.live", "ben") in audit(proxy)
    assert {client.get("/weak").body for _ in range(20)} == {b"stable"}
