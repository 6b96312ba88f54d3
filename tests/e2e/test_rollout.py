# e2e/test_rollout.py - releases from the first percent to the end, or back: with real upstreams that turn bad.
import datetime
import hashlib
import http.client
import json
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter

import pytest

from harness import CLOSE, DEADLINE_S, RESET, chunked, reply, wait_for
from harness.proxy import WEIR

STEPS = [{"weight": "10%", "hold": "300ms"}, {"weight": "50%", "hold": "300ms"}, {"weight": "100%"}]
GUARDRAILS = [{"metric": "error_rate", "worse_than_stable": {"ratio": 1.5}}]
LONG = [{"weight": "50%", "hold": "1h"}, {"weight": "100%"}]


def answers(body, *fields, status="200 OK"):
    return reply(body, *fields, status=status)


class Release:
    """A stable and a canary origin, a proxy with one rollout, and traffic on one connection."""

    def __init__(self, make_origin, start_proxy, steps=None, guardrails=None, route=None, **more):
        self.stable, self.canary = make_origin(answers(b"stable")), make_origin(answers(b"canary"))
        top = {**more.pop("top", {}), **{key: more.pop(key) for key in ("monitors", "admin", "workers") if key in more}}
        self.proxy = start_proxy(
            upstreams={"s": {"endpoints": [self.stable]}, "c": {"endpoints": [self.canary]}},
            routes=[{"name": "shop", "split": {"s": 100, "c": 0}, **(route or {})}],
            rollouts={
                "shop": {
                    "route": "shop", "stable": "s", "canary": "c", "revision": "1",
                    "steps": steps or STEPS, "guardrails": guardrails or GUARDRAILS, **more,
                }
            },
            **top,
        )
        self.client, self.seen = self.proxy.client(), Counter()

    def say(self, action, headers=None, **body):
        return self.proxy.admin("POST", f"/api/v1/rollouts/shop/{action}", {"reason": f"test: {action}", **body}, headers)

    def start(self):
        status, answer = self.say("start")
        assert status == 200, answer
        return self

    @property
    def view(self):
        status, answer = self.proxy.admin("GET", "/api/v1/rollouts/shop")
        assert status == 200, answer
        return answer["rollout"]

    @property
    def state(self):
        return self.view["state"]

    def send(self, count, *fields):
        for _ in range(count):
            answer = self.client.get("/", *fields)
            self.seen[answer.status, answer.body] += 1

    def send_until(self, *states, fields=()):
        """Traffic until the rollout is in one of the states."""
        give_up = time.monotonic() + DEADLINE_S
        while self.state not in states:
            assert time.monotonic() < give_up, (self.seen, self.view["guardrails"], self.proxy.error_log())
            self.send(25, *(fields() if callable(fields) else fields))
        return self.view

    def canary_count(self):
        return len(self.canary.requests)

    def expect_no_exposure(self):
        before = self.canary_count()
        self.send(60)
        assert self.canary_count() == before, "somebody still meets the canary"

    def transitions(self):
        """The audit log's lines about the rollout, oldest first."""
        status, answer = self.proxy.admin("GET", "/api/v1/audit?limit=1000")
        assert status == 200, answer
        lines = [line for line in answer["lines"] if line["action"].startswith("rollout.")]
        return [line["action"][len("rollout."):] for line in reversed(lines)]

    def restart(self):
        """kill -9, and a start with the same state."""
        self.proxy.close_clients()
        self.proxy.process.kill()
        self.proxy.process.wait()
        self.proxy.start()
        self.client = self.proxy.client()


@pytest.fixture
def release(make_origin, start):
    return lambda **options: Release(make_origin, start, **options)


# ---- forth -----------------------------------------------------------------------------------------------------------


def test_a_good_release_goes_through_its_steps_to_the_end(release):
    r = release(bake="200ms")
    r.send(30)
    assert r.seen == {(200, b"stable"): 30}, "nobody meets the canary before the start"
    r.start()
    assert r.view["weight"] == 0.1
    r.send(20)
    assert r.canary_count() == 2, "10 % of the first block, in force when the word was answered"
    view = r.send_until("succeeded")
    assert view["weight"] == 1 and view["requests"]["canary"] > 0
    before = len(r.stable.requests)
    r.send(30)
    assert len(r.stable.requests) == before, "the canary has all of the pair"
    assert r.transitions()[0] == "started" and "baked" in r.transitions()
    assert r.proxy.admin("GET", "/api/v1/audit/verify")[1]["ok"]


def test_other_shares_of_the_split_stay(make_origin, start):
    origins = {name: make_origin(answers(name.encode())) for name in "scx"}
    proxy = start(
        upstreams={name: {"endpoints": [origin]} for name, origin in origins.items()},
        routes=[{"name": "shop", "split": {"s": 60, "c": 0, "x": 40}}],
        rollouts={"shop": {"route": "shop", "stable": "s", "canary": "c", "steps": LONG, "guardrails": GUARDRAILS}},
    )
    status, answer = proxy.admin("POST", "/api/v1/rollouts/shop/start", {"reason": "go"})
    assert status == 200, answer
    client = proxy.client()
    seen = Counter(client.get("/").body for _ in range(100))
    assert seen == {b"s": 30, b"c": 30, b"x": 40}


def test_too_little_traffic_holds_a_step(release):
    r = release(steps=[{"weight": "50%", "hold": "50ms", "min_requests": 40}, {"weight": "100%"}]).start()
    r.send(20)
    wait_for(lambda: r.view["hold_left_ms"] == 0, "the hold is over")
    assert r.state == "holding" and r.view["requests"]["at_step"] < 40
    r.send_until("succeeded")


def test_a_weight_is_in_force_in_every_worker(release):
    r = release(steps=LONG, workers=3).start()
    clients = [r.proxy.client() for _ in range(12)]
    for client in clients:
        assert {client.get("/").body for _ in range(2)} <= {b"stable", b"canary"}
    assert r.say("rollback")[0] == 200
    before = r.canary_count()
    for client in clients:
        for _ in range(10):
            assert client.get("/").body == b"stable"
    assert r.canary_count() == before


# ---- back ------------------------------------------------------------------------------------------------------------

BAD = {
    "errors": (answers(b"boom", status="500 Internal Server Error"), GUARDRAILS),
    "resets": ([RESET], GUARDRAILS),
    "points": (answers(b"boom", status="503 Service Unavailable"), [{"metric": "error_rate", "worse_than_stable": {"points": "1%"}}]),
    "absolute": (answers(b"boom", status="502 Bad Gateway"), [{"metric": "error_rate", "max": "20%", "window": "10s"}]),
    "slow": ([0.03, answers(b"canary")], [{"metric": "latency_p95", "max": "20ms", "window": "10s"}]),
    "slower": ([0.02, answers(b"canary")], [{"metric": "latency_p50", "worse_than_stable": {"ratio": 1.5}}]),
    "fewer events": (answers(b"canary"), [{"event": "purchase", "worse_than_stable": {"ratio": 0.9}}]),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_canary_is_taken_back(release, kind):
    answer, guardrails = BAD[kind]
    # What is slow is learnt from 200 requests of stable: quicker had where few are the canary's.
    steps = [{"weight": "20%", "hold": "1h"}, {"weight": "100%"}] if kind == "slower" else LONG
    r = release(steps=steps, guardrails=guardrails)
    if kind == "fewer events":
        r.stable.answer = answers(b"stable", "x-weir-event: purchase")
    r.start()
    r.send(10)
    r.canary.answer = answer
    view = r.send_until("rolled_back")
    r.expect_no_exposure()
    assert view["weight"] == 0 and view["breach"]["zero_exposure_ms"] >= 0
    assert "breach" in r.transitions()
    assert r.say("resume")[0] == 409, "what was taken back needs a new revision"
    assert r.proxy.metric("weir_guardrail_breaches_total", rollout="shop") == 1
    assert r.proxy.metric("weir_rollout_state", rollout="shop", state="rolled_back") == 1
    assert r.proxy.metric("weir_rollout_weight_ratio", rollout="shop") == 0


def test_events_are_not_for_clients(release):
    r = release(steps=LONG)
    r.stable.answer = answers(b"stable", "x-weir-event: purchase", "x-other: kept")
    answer = r.client.get("/")
    assert answer.get("x-other") == "kept" and not answer.has("x-weir-event")


def test_a_canary_that_refuses_connections_is_taken_back(release):
    r = release(steps=LONG, guardrails=[{"metric": "connect_failures", "max": 3}])
    r.canary.answer = [RESET]  # on a connection that a probe has made, and that may be accepted yet
    r.canary.stop()
    r.canary.hang_up()
    r.start()
    r.send_until("rolled_back")
    r.canary.restart()
    r.expect_no_exposure()


def test_it_turns_bad_at_a_later_step(release):
    r = release(steps=[{"weight": "10%", "hold": "300ms"}, {"weight": "50%", "hold": "1h"}, {"weight": "100%"}]).start()
    give_up = time.monotonic() + DEADLINE_S
    while r.view["weight"] != 0.5:
        assert time.monotonic() < give_up, r.view
        r.send(20)
    r.canary.answer = BAD["errors"][0]
    r.send_until("rolled_back")
    r.expect_no_exposure()


def test_users_who_never_met_the_canary_never_do_and_others_come_back(release):
    r = release(steps=LONG, route={"sticky": {"cookie": "id"}}, guardrails=[{"metric": "error_rate", "max": "30%", "window": "10s"}])
    users = [f"user-{i}" for i in range(60)]
    r.start()
    meets = {user: r.client.get("/", f"cookie: id={user}").body for user in users}
    assert {b"stable", b"canary"} == set(meets.values())
    assert meets == {user: r.client.get("/", f"cookie: id={user}").body for user in users}, "sticky"
    r.canary.answer = BAD["errors"][0]
    unexposed = [user for user in users if meets[user] == b"stable"]
    give_up = time.monotonic() + DEADLINE_S
    while r.state != "rolled_back":
        assert time.monotonic() < give_up, r.view
        for user in users:
            answer = r.client.get("/", f"cookie: id={user}")
            assert user not in unexposed or answer.body == b"stable"
    for user in users:
        assert r.client.get("/", f"cookie: id={user}").body == b"stable"


def test_first_errors_of_sticky_users_are_evidence(release):
    r = release(steps=LONG, route={"sticky": {"header": "x-user"}})
    r.start()
    r.canary.answer = BAD["errors"][0]
    number = iter(range(10**6))
    r.send_until("rolled_back", fields=lambda: (f"x-user: {next(number)}",))


def test_requests_that_nobody_drew_are_no_evidence(release):
    r = release(steps=LONG, route={"rules": [{"name": "testers", "when": {"header": "x-test", "present": True}, "to": "c"}]})
    r.start()
    r.send(20, "x-test: 1")
    assert r.canary_count() == 20
    r.send(20)
    wait_for(lambda: sum(r.view["requests"][arm] for arm in ("stable", "canary")) >= 20, "what was drawn is counted")
    assert r.view["requests"] == {"stable": 10, "canary": 10, "at_step": r.view["requests"]["at_step"]}


def test_who_gives_up_is_nobodys_error(release):
    r = release(steps=LONG, guardrails=[{"metric": "error_rate", "max": "1%", "window": "10s", "min_requests": 1}])
    held = threading.Event()
    r.start()
    r.canary.answer = [held, answers(b"canary")]
    clients = []
    while r.canary_count() < 3:
        clients.append(r.proxy.client())
        clients[-1].send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.01)
    for client in clients:
        client.close()
    wait_for(lambda: not r.proxy.live()["exchanges"], "they are given up")
    held.set()
    r.canary.answer = answers(b"canary")
    r.send(40)
    assert r.state == "holding"


def wait_for_errors(r, canary, stable):
    """Each "2 of 5": so many of that version's requests were errors."""
    text = f"canary {canary} requests, stable {stable};"
    wait_for(lambda: text in r.view["guardrails"][0].get("reason", ""), lambda: (text, r.view["guardrails"]))


TOLERANT = [{"metric": "error_rate", "worse_than_stable": {"ratio": 10}}]
GRPC = "Content-Type: application/grpc"


@pytest.mark.parametrize("where", ["trailers", "head"])
def test_grpc_statuses_of_the_services_own_fault_are_errors(release, where):
    """Of the 17 there are, 2, 4, 13, 14 and 15."""
    def answer(status):
        line = f"grpc-status: {status}"
        if where == "head":
            return answers(b"", GRPC, line)
        return reply(b"", GRPC, "Transfer-Encoding: chunked", length=False) + chunked(b"\0\0\0\0\0", trailers=line.encode() + b"\r\n")

    r = release(steps=LONG, guardrails=TOLERANT)
    r.canary.answer = [[answer(status)] for status in range(17)]
    r.start()
    for _ in range(2 * 17):
        assert r.client.get("/", GRPC, method="POST", body=b"\0\0\0\0\0").status == 200
    wait_for_errors(r, "5 of 17", "0 of 17")


def test_a_request_that_is_sent_again_is_charged_once_to_whom_it_was_given(release):
    r = release(steps=LONG, guardrails=TOLERANT)

    def answer(connection, _):
        """A connection dies when it is used again, and the request goes over a fresh one."""
        if len(connection.requests) > 1:
            return connection.play([RESET]) or CLOSE
        return connection.send(answers(b"canary"))

    r.canary.answer = answer
    r.start()
    r.send(20)
    assert r.canary_count() > 10, "some were sent again"
    assert r.seen == {(200, b"stable"): 10, (200, b"canary"): 10}
    wait_for_errors(r, "0 of 10", "0 of 10")


# ---- words -----------------------------------------------------------------------------------------------------------


def test_words_of_people(release):
    r = release(steps=[{"weight": "10%", "hold": "1h"}, {"weight": "50%", "hold": "1h"}, {"weight": "100%"}])
    assert r.say("promote")[0] == 409 and r.say("resume")[0] == 409
    r.start()
    status, answer = r.say("start")
    assert status == 409 and answer["error"]["code"] == "refused", answer
    assert r.say("pause")[0] == 200 and r.state == "paused"
    r.send(20)
    assert r.canary_count() == 2, "a pause keeps the weight"
    assert r.say("resume")[0] == 200 and r.state == "holding"
    assert r.say("promote")[0] == 200 and r.view["weight"] == 0.5
    assert r.say("rollback")[0] == 200
    wait_for(lambda: r.state == "rolled_back", lambda: r.view)
    r.expect_no_exposure()
    assert r.transitions() == ["started", "paused", "resumed", "promoted", "rollback", "in_force"], r.transitions()


def test_abort_ends_as_failed(release):
    r = release(steps=LONG).start()
    assert r.say("abort")[0] == 200
    wait_for(lambda: r.state == "failed", lambda: r.view)
    r.expect_no_exposure()


def test_a_word_needs_a_reason_and_a_name_that_exists(release):
    r = release(steps=LONG)
    assert r.proxy.admin("POST", "/api/v1/rollouts/shop/start", {})[0] == 400
    assert r.proxy.admin("POST", "/api/v1/rollouts/none/start", {"reason": "x"})[0] == 404
    assert r.proxy.admin("GET", "/api/v1/rollouts/none")[0] == 404
    assert r.state == "pending"


def test_weights_of_a_rollout_are_nobody_elses(release):
    r = release(steps=LONG).start()
    status, answer = r.proxy.admin("PUT", "/api/v1/routes/shop/split", {"weights": {"s": 1, "c": 1}, "reason": "mine"})
    assert status == 409 and "shop" in answer["error"]["message"], answer
    assert r.proxy.admin("DELETE", "/api/v1/routes/shop/split", {"reason": "mine"})[0] == 409


def test_a_plan_says_what_would_come_and_how_soon_it_would_be_noticed(release):
    r = release(
        steps=[{"weight": "20%", "hold": "10m"}, {"approve": 1}, {"weight": "50%", "hold": "1h"}, {"weight": "100%"}],
        guardrails=[*GUARDRAILS, {"metric": "error_rate", "max": "20%", "window": "1h"}],
        bake="1h",
    )
    status, answer = r.proxy.admin("GET", "/api/v1/rollouts/shop/plan")
    assert status == 200 and answer["plan"]["traffic"]["requests_per_s"] == 0, answer
    assert {notice["seconds"] for notice in answer["plan"]["steps"][0]["notices"]} == {None}, "without traffic, never"
    r.send(20)
    r.stable.answer = BAD["errors"][0]
    r.send(20)
    dry_run = lambda: r.proxy.admin("GET", "/api/v1/rollouts/shop/plan")[1]["plan"]  # noqa: E731
    wait_for(lambda: dry_run()["traffic"]["error_rate"] == 0.5, lambda: f"all are counted: {dry_run()['traffic']}")
    plan = dry_run()
    assert plan["traffic"]["requests_per_s"] > 0
    at = [datetime.datetime.fromisoformat(step["earliest"].replace("Z", "+00:00")) for step in plan["steps"]]
    assert [(later - at[0]).total_seconds() for later in at] == [0, 600, 600, 4200]
    assert [step["kind"] for step in plan["steps"]] == ["weight", "approve", "weight", "weight"]
    wholly_bad = [n for n in plan["steps"][0]["notices"] if n.get("is_all_bad")]
    assert [n["guardrail"] for n in wholly_bad] == ["error_rate"] and wholly_bad[0]["seconds"] > 0
    compared = [n for n in plan["steps"][0]["notices"] if n["guardrail"] == "error_rate_ratio"]
    assert [n["times"] for n in compared] == [2] and compared[0]["seconds"] > 0
    assert r.state == "pending" and r.transitions() == [], "a dry run"
    said = subprocess.run(
        [WEIR, "ctl", "rollout", "shop", "plan", "--state-dir", r.proxy.path("state")], capture_output=True, text=True, timeout=60,
    )
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert lines[0].startswith("shop, were it started now, at ") and "50.00% fail" in lines[0], lines
    assert lines[1].endswith("  20% for 10m 00s") and lines[-1].endswith("  the end"), lines
    assert r.proxy.admin("GET", "/api/v1/rollouts/none/plan")[0] == 404


# ---- over restarts and reloads -----------------------------------------------------------------------------------------


def test_kill_and_a_restart_go_on_at_the_same_step(release):
    r = release(steps=[{"weight": "10%", "hold": "100ms"}, {"weight": "50%", "hold": "1h"}, {"weight": "100%"}]).start()
    give_up = time.monotonic() + DEADLINE_S
    while r.view["weight"] != 0.5:
        assert time.monotonic() < give_up, r.view
        r.send(20)
    before = r.view
    r.restart()
    after = r.view
    assert (after["state"], after["step"], after["weight"]) == ("holding", before["step"], 0.5)
    assert 0 < after["hold_left_ms"] <= before["hold_left_ms"]
    r.send(20)
    assert r.view["requests"]["canary"] > 0
    r.canary.answer = BAD["errors"][0]
    r.send_until("rolled_back")
    r.restart()
    assert r.state == "rolled_back"
    r.expect_no_exposure()


def test_a_reload_goes_on_and_a_new_revision_begins_anew(release):
    r = release(steps=LONG).start()
    r.proxy.config["limits"] = {"headers": "31KiB"}
    r.proxy.write_config()
    assert r.proxy.admin("POST", "/api/v1/reload", {"reason": "x"})[0] == 200
    assert r.state == "holding" and r.view["weight"] == 0.5
    r.proxy.config["rollouts"]["shop"]["revision"] = "2"
    r.proxy.write_config()
    assert r.proxy.admin("POST", "/api/v1/reload", {"reason": "x"})[0] == 200
    wait_for(lambda: r.state == "pending" and r.view["is_in_force"] is not None, lambda: r.view)
    assert r.view["revision"] == "2" and r.view["weight"] == 0
    wait_for(lambda: r.proxy.metric("weir_config_generation") >= 3, "loaded")
    r.expect_no_exposure()


def test_a_rollout_that_is_taken_out_of_the_file_gives_its_weights_back(release):
    r = release(steps=LONG).start()
    r.send(10)
    del r.proxy.config["rollouts"]
    r.proxy.write_config()
    assert r.proxy.admin("POST", "/api/v1/reload", {"reason": "x"})[0] == 200
    r.expect_no_exposure()
    assert r.proxy.admin("GET", "/api/v1/rollouts")[1] == {"rollouts": []}


def test_a_locked_store_stops_promotions_and_no_rollback(release):
    r = release(steps=[{"weight": "10%", "hold": "1h"}, {"weight": "100%"}]).start()
    locker = sqlite3.connect(r.proxy.path("state/weir.db"), isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    status, answer = r.say("promote")
    assert status == 503 and answer["error"]["code"] == "store_unavailable", answer
    assert r.view["weight"] == 0.1
    assert r.say("rollback")[0] == 200
    r.expect_no_exposure()
    locker.execute("ROLLBACK")
    locker.close()
    wait_for(lambda: r.state == "rolled_back", lambda: r.view)
    wait_for(lambda: "rollback" in r.transitions(), lambda: r.transitions())


def reload(r):
    """By the API: everything is in force when it answers."""
    r.proxy.write_config()
    status, answer = r.proxy.admin("POST", "/api/v1/reload", {"reason": "x"})
    assert status == 200, answer


def test_a_new_revision_has_nothing_left_when_the_reload_is_answered(release):
    r = release(steps=LONG).start()
    r.send(10)
    r.proxy.config["rollouts"]["shop"]["revision"] = "2"
    reload(r)
    assert r.view["revision"] == "2" and r.view["weight"] == 0
    r.expect_no_exposure()


def test_weights_set_by_hand_end_where_a_rollout_begins(release):
    r = release(steps=LONG)
    rollouts = r.proxy.config.pop("rollouts")
    reload(r)
    weights = {"weights": {"s": 1, "c": 1}, "reason": "mine"}
    assert r.proxy.admin("PUT", "/api/v1/routes/shop/split", weights)[0] == 200
    r.proxy.config["rollouts"] = rollouts
    reload(r)
    r.expect_no_exposure()
    del r.proxy.config["rollouts"]
    reload(r)
    r.expect_no_exposure()


def test_a_store_that_cannot_be_read_is_not_guessed(release):
    r = release(steps=LONG, start="on_revision")
    wait_for(lambda: r.state == "holding", lambda: r.view)
    r.proxy.process.kill()
    r.proxy.process.wait()
    database = sqlite3.connect(r.proxy.path("state/weir.db"), isolation_level=None)
    database.execute("INSERT INTO schema_version (version) VALUES (1000)")
    r.restart()
    assert r.state == "pending"
    r.expect_no_exposure()
    status, answer = r.say("start")
    assert status == 503 and "where it stands cannot be read" in answer["error"]["message"], answer
    r.proxy.process.kill()
    r.proxy.process.wait()
    database.execute("DELETE FROM schema_version WHERE version = 1000")
    database.close()
    r.restart()
    assert r.state == "holding" and r.view["weight"] == 0.5


def test_what_was_stored_and_cannot_be_read_is_not_gone_on_with(release):
    r = release(steps=LONG, start="on_revision")
    wait_for(lambda: r.state == "holding", lambda: r.view)
    r.proxy.process.kill()
    r.proxy.process.wait()
    database = sqlite3.connect(r.proxy.path("state/weir.db"), isolation_level=None)
    database.execute("UPDATE rollouts SET detail = 'torn'")
    database.close()
    r.restart()
    assert r.state == "failed" and r.view["weight"] == 0
    r.expect_no_exposure()


def test_a_canary_is_judged_while_its_new_revision_cannot_be_stored(release):
    r = release(steps=LONG).start()
    locker = sqlite3.connect(r.proxy.path("state/weir.db"), isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    r.proxy.config["rollouts"]["shop"]["revision"] = "2"
    r.proxy.write_config()
    r.proxy.signal(signal.SIGHUP)
    wait_for(lambda: r.view["is_store_down"], lambda: r.view)
    r.canary.answer = BAD["errors"][0]
    r.send_until("rolling_back")
    r.expect_no_exposure()
    locker.execute("ROLLBACK")
    locker.close()
    wait_for(lambda: r.state == "pending", lambda: r.view)
    assert r.view["revision"] == "2" and "breach" in r.transitions()


def prometheus_says(value):
    data = {"resultType": "vector", "result": [{"value": [1, str(value)]}]}
    return answers(json.dumps({"status": "success", "data": data}).encode())


def test_an_answer_belongs_to_its_guardrail_whatever_a_reload_puts_in_its_place(release, make_origin):
    held = threading.Event()
    slow, quick = make_origin([held, prometheus_says(5)]), make_origin(prometheus_says(0))
    guardrails = [
        {"prometheus": "queue", "server": f"http://{slow.address}", "max": 10, "every": "1s"},
        {"prometheus": "faults", "server": f"http://{quick.address}", "max": 1, "every": "1s"},
    ]
    r = release(steps=LONG, guardrails=guardrails).start()
    wait_for(lambda: slow.requests and quick.requests, "both are asked")
    r.proxy.config["rollouts"]["shop"]["guardrails"] = guardrails[::-1]
    reload(r)
    asked = len(quick.requests)
    held.set()
    wait_for(lambda: len(slow.requests) > 1 and len(quick.requests) > asked, "both are asked again")
    assert r.state == "holding", r.view


def test_evidence_stays_with_its_guardrail_whatever_a_reload_puts_in_its_place(release):
    r = release(steps=LONG, guardrails=[*GUARDRAILS, {"metric": "latency_p95", "max": "50s", "window": "10s"}]).start()
    r.send(20)
    r.proxy.config["rollouts"]["shop"]["guardrails"].reverse()
    reload(r)
    r.send(20)
    assert r.state == "holding"
    r.canary.answer = BAD["errors"][0]
    r.send_until("rolled_back")
    assert r.view["breach"]["guardrail"].startswith("error_rate"), r.view


# ---- gates and who is told -----------------------------------------------------------------------------------------------


def hook_that_says_no(make_origin):
    """An origin that keeps the JSON it is sent, and says no."""
    hook = make_origin()
    hook.asked = []

    def answer(connection, request):
        hook.asked.append(json.loads(connection.body(request)))
        connection.send(hook.says)

    hook.says, hook.answer = answers(b"no", status="503 Service Unavailable"), answer
    return hook


def gated(gate):
    return [{"weight": "10%", "hold": "50ms"}, {"webhook": f"http://{gate.address}/ok", "timeout": "1m"}, {"weight": "100%"}]


def test_a_webhook_opens_a_step(release, make_origin):
    gate = make_origin()
    asked, may_answer = [], threading.Event()

    def answer(connection, request):
        asked.append(json.loads(connection.body(request)))
        may_answer.wait(DEADLINE_S)
        connection.send(answers(b"yes"))

    gate.answer = answer
    r = release(steps=gated(gate)).start()
    r.send_until("awaiting_webhook")
    wait_for(lambda: asked, "it is asked")
    assert asked[0]["rollout"] == "shop" and asked[0]["weight"] == 0.1
    assert r.state == "awaiting_webhook" and r.view["weight"] == 0.1
    may_answer.set()
    r.send_until("succeeded")


def test_a_webhook_that_says_no_keeps_it_shut(release, make_origin):
    gate = hook_that_says_no(make_origin)
    r = release(steps=gated(gate)).start()
    r.send_until("awaiting_webhook")
    wait_for(lambda: "its gate has not said yes" in r.proxy.error_log(), lambda: r.proxy.error_log())
    assert gate.asked and r.state == "awaiting_webhook" and r.view["weight"] == 0.1


def test_a_late_yes_opens_no_other_gate(release, make_origin):
    held = threading.Event()
    first, second = make_origin([held, answers(b"yes")]), hook_that_says_no(make_origin)
    gates = [{"webhook": f"http://{gate.address}/", "timeout": "1h"} for gate in (first, second)]
    r = release(steps=[{"weight": "10%", "hold": "50ms"}, *gates, {"weight": "100%"}]).start()
    r.send_until("awaiting_webhook")
    wait_for(lambda: first.requests, "it is asked")
    first.answer = answers(b"yes")
    assert r.say("pause")[0] == 200 and r.say("resume")[0] == 200
    wait_for(lambda: second.asked, "the first gate is open, and the second one is asked")
    held.set()
    assert r.say("pause")[0] == 200 and r.say("resume")[0] == 200
    wait_for(lambda: len(second.asked) > 1, "it is asked again")
    assert r.state == "awaiting_webhook" and r.view["weight"] == 0.1


def test_people_are_told(release, make_origin):
    hook = hook_that_says_no(make_origin)
    hook.says = answers(b"thanks")
    r = release(
        steps=LONG, notify=["ops"],
        top={"notify": {"ops": {"webhook": f"http://{hook.address}/hook", "alertmanager": f"http://{hook.address}"}}},
    ).start()
    r.canary.answer = BAD["errors"][0]
    r.send_until("rolled_back")
    told = lambda: [note for note in hook.asked if isinstance(note, dict) and note["cause"] == "breach"]  # noqa: E731
    wait_for(told, lambda: f"a notice of the breach: {hook.asked}")
    assert told()[0]["rollout"] == "shop" and "canary" in told()[0]["text"]
    alerts = lambda: [n[0] for n in hook.asked if isinstance(n, list) and n[0]["annotations"]["cause"] == "breach" and "endsAt" not in n[0]]  # noqa: E731
    wait_for(alerts, lambda: f"an alert: {hook.asked}")
    assert alerts()[0]["labels"]["rollout"] == "shop"


def test_approvals_come_from_different_people(release):
    tokens = {name: f"token-of-{name}" for name in ("ann", "ben")}
    r = release(
        steps=[{"weight": "10%", "hold": "50ms"}, {"approve": 2}, {"weight": "100%"}],
        admin={
            "bind": "127.0.0.1:0",
            "tokens": [
                {"name": name, "role": "approver", "sha256": hashlib.sha256(token.encode()).hexdigest()}
                for name, token in tokens.items()
            ],
        },
    ).start()
    r.send_until("awaiting_approval")

    def approve(name):
        host, port = r.proxy.status()["admin"]["address"].rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=DEADLINE_S)
        headers = {"Authorization": f"Bearer {tokens[name]}"}
        connection.request("POST", "/api/v1/rollouts/shop/approve", json.dumps({"reason": "fine"}), headers)
        status = connection.getresponse().status
        connection.close()
        return status

    assert r.say("approve")[0] == 409, "who started it is none of them"
    assert approve("ann") == 200 and approve("ann") == 409
    assert r.view["approvals"] == ["ann"] and r.state == "awaiting_approval"
    r.restart()
    assert r.view["approvals"] == ["ann"] and approve("ann") == 409
    assert approve("ben") == 200
    r.send_until("succeeded")


def test_prometheus_without_an_answer_pauses(release, make_origin):
    prometheus = make_origin(answers(b'{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"1"]}]}}'))
    r = release(
        steps=LONG,
        guardrails=[{"prometheus": "x", "server": f"http://{prometheus.address}", "max": 5, "every": "1s", "on_unknown": "pause"}],
    ).start()
    wait_for(lambda: prometheus.requests, "it is asked")
    r.send(5)
    assert r.state == "holding"
    prometheus.answer = answers(b'{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"7"]}]}}')
    r.send_until("rolled_back")


def test_a_monitor_takes_a_canary_back(release):
    r = release(
        steps=LONG,
        guardrails=[{"monitor": "home", "max_failures": 1}],
        monitors={"home": {"upstreams": ["s", "c"], "request": {"path": "/health"}, "every": "1s", "expect": {"body": "canary"}}},
    )
    r.start()
    wait_for(lambda: any(q.target == "/health" for q in r.canary.requests), "it is checked")
    assert r.state == "holding"
    r.canary.answer = answers(b"broken")
    wait_for(lambda: r.state == "rolled_back", lambda: r.view)
