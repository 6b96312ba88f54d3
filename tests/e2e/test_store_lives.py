# e2e/test_store_lives.py - what is stored over the ends of processes and disks: outcomes, incidents, a disk that fills, imports cut short.
import os
import resource
import signal
import subprocess

import pytest

from harness import Proxy, reply, wait_for

HALF = [{"weight": "50%", "hold": "1h"}, {"weight": "100%"}]
SOLD = {"event": "purchase", "worse_than_stable": {"ratio": 0.9}, "told_within": "2s"}
PATIENT = {**SOLD, "told_within": "1h"}
FAILS = {"metric": "error_rate", "max": "50%", "window": "1m", "min_requests": 5}


class Release:
    """One rollout, `sale`, of a route whose upstreams answer their names."""

    def __init__(self, make_origin, start, steps=HALF, guardrails=(FAILS,), **rollout):
        self.origins = {"s": make_origin(reply(b"s")), "c": make_origin(reply(b"c"))}
        self.proxy = start(
            upstreams={name: {"endpoints": [origin]} for name, origin in self.origins.items()},
            routes=[{"name": "shop", "split": {"s": 100, "c": 0}}],
            rollouts={"sale": {"route": "shop", "stable": "s", "canary": "c", "steps": steps, "guardrails": list(guardrails), **rollout}},
        )
        self.client = self.proxy.client()

    def try_say(self, action):
        status, answer = self.proxy.admin("POST", f"/api/v1/rollouts/sale/{action}", {"reason": f"test: {action}"})
        return status, answer.get("error", {}).get("message", "")

    def say(self, *actions):
        for action in actions:
            assert self.try_say(action) == (200, ""), self.proxy.error_log()
        return self

    @property
    def view(self):
        return self.proxy.admin("GET", "/api/v1/rollouts/sale")[1]["rollout"]

    @property
    def ended(self):
        return self.view["requests"]["stable"] + self.view["requests"]["canary"]

    @property
    def incidents(self):
        return self.proxy.admin("GET", "/api/v1/incidents")[1]["incidents"]

    def wait_for_state(self, *states):
        wait_for(lambda: self.view["state"] in states, lambda: (self.view, self.proxy.error_log()))

    def send(self, count):
        """The marks of the canary's requests, once all are counted."""
        before = self.ended
        marks = []
        for _ in range(count):
            side = self.client.get("/").body.decode()
            marks += [self.origins["c"].last.get("x-weir-exposure")] if side == "c" else []
        wait_for(lambda: self.ended == before + count, lambda: self.view)
        return marks

    def tell(self, marks, first=0):
        """Of each its sale, with an id."""
        sales = [{"event": "purchase", "exposure": mark, "id": f"order-{first + i}"} for i, mark in enumerate(marks)]
        status, answer = self.proxy.admin("POST", "/api/v1/outcomes", {"outcomes": sales, "reason": "sales"})
        assert status == 200, answer
        return answer

    def restart(self, by=signal.SIGKILL):
        self.proxy.close_clients()
        self.proxy.signal(by)
        self.proxy.process.wait()
        self.proxy.start()
        self.client = self.proxy.client()

    def expect_no_exposure(self):
        assert {self.client.get("/").body for _ in range(30)} == {b"s"}

    def expect_whole_log(self):
        wait_for(lambda: self.proxy.status()["store"]["waiting_count"] == 0, lambda: self.proxy.status()["store"])
        verdict = self.proxy.admin("GET", "/api/v1/audit/verify")[1]
        assert verdict["ok"], verdict


@pytest.fixture
def release(make_origin, start):
    return lambda **options: Release(make_origin, start, **options)


# ---- outcomes ------------------------------------------------------------------------------------------------------------------


def test_outcomes_that_are_told_twice_around_a_kill_count_once(release):
    r = release(guardrails=[PATIENT]).say("start")
    marks = r.send(40)
    assert len(marks) == 20 and r.tell(marks[:12])["counted"] == 12
    r.say("pause", "resume")  # each stores what is known
    r.tell(marks[12:16], first=12)  # some of it may be stored by now, or none
    r.restart()
    again = r.tell(marks[:16])
    assert again["repeated"] >= 12 and again["repeated"] + again["counted"] == 16, again
    assert r.tell(marks)["counted"] == 4
    sale = {"event": "purchase", "exposure": marks[0], "id": "one more", "reason": "x"}
    status, answer = r.proxy.admin("POST", "/api/v1/outcomes", sale)
    assert (status, answer["error"]["code"]) == (409, "too_many"), "as many were told as there were requests"


def test_outcomes_that_wait_to_be_compared_wait_on_over_a_restart(release):
    r = release(guardrails=[SOLD]).say("start")
    assert r.tell(r.send(20))["compared"] == 10
    r.restart(signal.SIGTERM)
    wait_for(lambda: "canary 10 of" in r.view["guardrails"][0].get("reason", ""), lambda: r.view)


# ---- incidents -----------------------------------------------------------------------------------------------------------------


def test_an_incident_that_was_open_at_a_kill_is_closed_by_who_comes_after(release):
    r = release(on_breach="pause").say("start")
    r.origins["c"].answer = reply(b"", status="500 Internal Server Error")
    while r.view["state"] != "paused":
        r.send(10)
    [before] = r.incidents
    assert before["time_to_zero_exposure_ms"] is None, "it is exposed still"
    r.restart()
    assert r.view["state"] == "paused" and r.view["breach"]["guardrail"] == before["guardrail"]
    r.say("rollback")
    wait_for(lambda: r.incidents[0]["time_to_zero_exposure_ms"] is not None, lambda: r.incidents)
    [after] = r.incidents
    assert after["timeline"][: len(before["timeline"])] == before["timeline"]
    assert "no exposure in any worker, after a restart" in [line["what"] for line in after["timeline"]]
    r.expect_no_exposure()
    r.expect_whole_log()


# ---- a disk that fills -----------------------------------------------------------------------------------------------------------

DISK_BYTES = 8 << 20
MOUNT = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


def can_mount():
    try:
        return subprocess.run([*MOUNT, "mount -t tmpfs none /mnt"], capture_output=True, timeout=30).returncode == 0
    except FileNotFoundError:
        return False


class SmallDisk(Proxy):
    """Its state directory is a file system of its own, which nobody but it has mounted."""

    def __init__(self, *origins, **config):
        super().__init__(*origins, **config)
        mount = f'mount -t tmpfs -o size={DISK_BYTES} none "$0" && exec "$@"'
        self.wrapper = [*MOUNT, mount, self.config["state_dir"]]

    def on_disk(self, name):
        return f"/proc/{self.pid}/root{self.config['state_dir']}/{name}"

    @property
    def admin_path(self):
        return self.on_disk("admin.sock") if self.process else super().admin_path

    def fill(self):
        """To the last byte."""
        with open(self.on_disk("filler"), "wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass

    def free(self):
        if os.path.exists(self.on_disk("filler")):
            os.unlink(self.on_disk("filler"))


class SmallFiles(Proxy):
    """Where nothing can be mounted: no file grows any more."""

    def on_disk(self, name):
        return self.path(f"state/{name}")

    def fill(self):
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    def free(self):
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture
def start_on_small_disk():
    kind, started = (SmallDisk if can_mount() else SmallFiles), []

    def start_one(**config):
        started.append(kind(log={"access": "off"}, **config))
        return started[-1].start()

    yield start_one
    for proxy in started:
        proxy.free()
        proxy.end()


def fill(r):
    """Until nothing can be stored: what the database has free inside is used up as well."""
    r.proxy.fill()
    event = {"subject": "shop", "text": "x" * 900, "reason": "is there room?"}
    wait_for(lambda: "the disk is full" in str(r.proxy.admin("POST", "/api/v1/events", event)), lambda: r.proxy.status()["store"])


def test_a_full_disk_stops_promotions_and_neither_traffic_nor_the_way_back(make_origin, start_on_small_disk):
    steps = [{"weight": "10%", "hold": "100ms", "min_requests": 10}, {"weight": "50%", "hold": "1h"}, {"weight": "100%"}]
    r = Release(make_origin, start_on_small_disk, steps=steps).say("start")
    fill(r)
    status, message = r.try_say("promote")
    assert status == 503 and "the disk is full" in message
    r.send(200)  # traffic goes on
    wait_for(lambda: r.view["hold_left_ms"] == 0 and r.view["is_store_down"], lambda: r.view)
    assert r.view["requests"]["at_step"] == 20 and r.view["weight"] == 0.1, "all that it needs, but nowhere to write it"
    r.proxy.free()
    wait_for(lambda: r.view["weight"] == 0.5, lambda: (r.view, r.proxy.status()["store"]))
    r.expect_whole_log()
    fill(r)
    assert r.try_say("promote")[0] == 503
    r.say("rollback")
    r.expect_no_exposure()
    assert r.proxy.status()["store"]["waiting_count"] > 0
    r.proxy.free()
    r.wait_for_state("rolled_back")
    r.expect_whole_log()
    assert r.proxy.status()["store"]["problem"] is None
    weights = [line["weight"] for line in reversed(r.view["history"])]
    assert weights[0] == 0.1 and 0.5 in weights and weights[-1] == 0, weights
