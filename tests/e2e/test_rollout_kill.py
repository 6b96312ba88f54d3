# e2e/test_rollout_kill.py - releases whose process is killed at any moment, or ended; with WEIR_KILLS=200 more often than in a normal run.
import http.client
import os
import random
import signal
import sqlite3
import threading
import time

import pytest

from harness import DEADLINE_S, reply, wait_for

KILLS = int(os.environ.get("WEIR_KILLS", "6"))
WEIGHTS = [0, 50_000, 100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000, 800_000, 900_000, 1_000_000]
HOLD_MS = 200


class Walk:
    """A release of many short steps under traffic, and what its store says of it."""

    def __init__(self, make_origin, start_proxy, hold=f"{HOLD_MS}ms", **more):
        self.origins = [make_origin(reply(name)) for name in (b"stable", b"canary")]
        self.proxy = start_proxy(
            upstreams={name: {"endpoints": [origin]} for name, origin in zip("sc", self.origins)},
            routes=[{"name": "shop", "split": {"s": 100, "c": 0}}],
            rollouts={
                "shop": {
                    "route": "shop", "stable": "s", "canary": "c", "revision": "1", "bake": "200ms",
                    "steps": [{"weight": f"{weight // 10_000}%", "hold": hold} for weight in WEIGHTS[1:]],
                    "guardrails": [{"metric": "error_rate", "max": "50%", "window": "1m", "min_requests": 1}],
                }
            },
            **more,
        )
        self.is_over, self.thread = threading.Event(), threading.Thread(target=self.traffic)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()

    def traffic(self):
        """What fails while the process is down is nobody's matter here."""
        while not self.is_over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.proxy.ports["web"], timeout=DEADLINE_S)
            try:
                for _ in range(50):
                    connection.request("GET", "/")
                    connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
            connection.close()

    @property
    def view(self):
        status, answer = self.proxy.admin("GET", "/api/v1/rollouts/shop")
        assert status == 200, answer
        return answer["rollout"]

    def say(self, action):
        return self.proxy.admin("POST", f"/api/v1/rollouts/shop/{action}", {"reason": f"test: {action}"})

    def kill(self):
        self.proxy.process.kill()
        self.proxy.process.wait()

    def end(self):
        self.proxy.signal(signal.SIGTERM)
        assert self.proxy.process.wait(DEADLINE_S) == 0

    def query(self, sql):
        """As another process reads it."""
        database = sqlite3.connect(self.proxy.path("state/weir.db"), timeout=DEADLINE_S)
        rows = database.execute(sql).fetchall()
        database.close()
        return rows

    def stored(self):
        rows = self.query("SELECT state, weight_ppm FROM rollouts WHERE name = 'shop'")
        return rows[0] if rows else ("pending", 0)

    def start_again(self):
        """What is on the disk is what it goes on with, and the audit log is whole."""
        state, weight = self.stored()
        self.proxy.start()
        said = [line for line in self.proxy.error_log().splitlines() if "rollout shop: goes on as" in line]
        assert said[-1].split("goes on as ")[1].startswith(f"{state}, the canary with {weight / 10_000:g} %"), (said[-1], state, weight)
        verdict = self.proxy.admin("GET", "/api/v1/audit/verify")[1]
        assert verdict["ok"], verdict

    def expect_chain(self):
        """Each transition begins where the one before ended, a weight rises to the next one alone, and no hold was shortened."""
        rows = self.query("SELECT from_state, to_state, weight_ppm, at_unix_ms FROM transitions WHERE rollout = 'shop' ORDER BY id")
        state, weight, since = "pending", 0, 0
        for before, after, ppm, at in rows:
            assert before == state, rows
            if ppm > weight:
                assert WEIGHTS.index(ppm) == WEIGHTS.index(weight) + 1, rows
                assert weight == 0 or at - since >= HOLD_MS - 1, rows
                since = at
            state, weight = after, ppm
        assert (state, weight) == self.stored(), rows
        return state


@pytest.fixture
def walk(make_origin, start):
    return lambda **options: Walk(make_origin, start, **options)


def test_a_process_that_is_killed_at_any_moment_goes_on_where_it_was(walk):
    chosen = random.Random(1)
    with walk() as w:
        assert w.say("start")[0] == 200
        for _ in range(KILLS):
            moment = time.monotonic() + chosen.random() * 0.6  # whatever it is doing then
            while time.monotonic() < moment:
                seen = w.view
            w.kill()
            assert w.stored()[1] >= round(seen["weight"] * 1e6), "what somebody was told has been stored before"
            w.start_again()
            w.expect_chain()
        wait_for(lambda: w.view["state"] == "succeeded", lambda: (w.view, w.proxy.error_log()))
        assert w.expect_chain() == "succeeded"


def test_a_rollback_that_was_answered_survives_a_kill_at_any_moment(walk):
    chosen = random.Random(2)
    with walk(hold="1h") as w:
        for revision in range(2, 2 + KILLS // 2):
            assert w.say("start")[0] == 200
            answers = []

            def ask():
                try:
                    answers.append(w.say("rollback")[0])
                except (OSError, http.client.HTTPException):
                    pass

            asking = threading.Thread(target=ask)
            asking.start()
            time.sleep(chosen.random() * 0.03)  # whatever it is doing then
            w.kill()
            asking.join()
            w.start_again()
            state = w.view["state"]
            assert state in ("rolling_back", "rolled_back") if answers else state in ("holding", "rolling_back", "rolled_back")
            if state == "holding":
                assert w.say("rollback")[0] == 200
            wait_for(lambda: w.view["state"] == "rolled_back", lambda: w.view)
            w.proxy.config["rollouts"]["shop"]["revision"] = str(revision)
            w.proxy.write_config()
            assert w.proxy.admin("POST", "/api/v1/reload", {"reason": "the next"})[0] == 200
            wait_for(lambda: w.view["state"] == "pending", lambda: w.view)


def test_an_orderly_end_loses_nothing(walk):
    with walk(hold="1h") as w:
        assert w.say("start")[0] == 200
        wait_for(lambda: w.view["requests"]["canary"] > 3, lambda: w.view)
    before = w.view
    w.end()
    w.start_again()
    after = w.view
    assert after["hold_left_ms"] <= before["hold_left_ms"]
    for arm in ("stable", "canary"):
        assert after["requests"][arm] >= before["requests"][arm], (before, after)


def test_a_monitor_that_is_to_look_oftener_does_so_at_once(walk):
    monitors = {"home": {"upstreams": ["c"], "request": {"path": "/health"}, "every": "1h", "expect": {"status": 200}}}
    w = walk(monitors=monitors)
    checks = lambda: sum(request.target == "/health" for request in w.origins[1].requests)  # noqa: E731
    wait_for(lambda: checks() == 1, "it is checked at first")
    w.proxy.config["monitors"]["home"]["every"] = "1s"
    w.proxy.write_config()
    assert w.proxy.admin("POST", "/api/v1/reload", {"reason": "oftener"})[0] == 200
    wait_for(lambda: checks() > 1, "and again after a second")
