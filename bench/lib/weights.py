"""bench/lib/weights.py - scenario weights: how long a worker goes on deciding by old weights once a rollout's are changed."""

import asyncio
import json
import os
import random
import time
from statistics import median

from lib import admin, figures, load
from lib.bench import say
from lib.process import Failure, Process, pick_port, wait_for
from lib.release import Version, field
from lib.report import Section

WORKERS = 4
CONNECTIONS = 32
PAUSE_S = 0.02  # of a connection at most, between an answer and the next request; drawn, so that they do not ask together
RELEASES, RELEASES_QUICK = 250, 10  # each is started, at 100 %, and taken back: two changes
SETTLE_S = 0.1  # of traffic behind each change, in which it is looked for old weights
LIMIT_MS = 100.0


def config_of(releases, versions, load_port, port, directory):
    """A split of all or nothing: which weights decided a request is seen in who answers it."""
    pair = {version.name: {"endpoints": [f"127.0.0.1:{version.port}"]} for version in versions}
    guardrail = {"metric": "error_rate", "max": "50%", "window": "1m"}
    routes = [{"name": name, "match": {"path": {"prefix": f"/{name}"}}, "split": {"stable": 100, "canary": 0}}
              for name in releases]  # fmt: skip
    rollouts = {name: {"route": name, "stable": "stable", "canary": "canary", "steps": [{"weight": "100%"}],
                       "bake": "1h", "guardrails": [guardrail]} for name in releases}  # fmt: skip
    return {"state_dir": os.path.join(directory, "state"), "workers": WORKERS, "drain_timeout": "1s", "watch": False,
            "log": {"access": "off", "level": "error"}, "listeners": {"web": {"bind": f"127.0.0.1:{port}"}},
            "upstreams": {**pair, "busy": {"endpoints": [f"127.0.0.1:{load_port}"]}},
            "routes": [*routes, {"name": "busy", "to": "busy"}], "rollouts": rollouts}  # fmt: skip


class Asking(asyncio.Protocol):
    """One connection that asks again and again; notes (when sent, when answered, by whom)."""

    def __init__(self, traffic):
        self._traffic, self._got, self._sent_at = traffic, b"", 0.0
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        if self.transport.is_closing():
            return
        self._got, self._sent_at = b"", time.time()
        self.transport.write(f"GET /{self._traffic.name} HTTP/1.1\r\nhost: bench.example.com\r\n\r\n".encode())

    def data_received(self, data):
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if end and len(body) >= int(field(head, b"content-length") or 0):
            self._traffic.seen.append((self._sent_at, time.time(), field(head, b"x-version")))
            asyncio.get_running_loop().call_later(random.uniform(0, PAUSE_S), self.send)


class Traffic:
    """Connections to every worker; each asks for the release that is under way."""

    def __init__(self, name):
        self.name = name
        self.seen, self._connections = [], []

    async def connect(self, life):
        loop = asyncio.get_running_loop()
        while True:
            for _ in range(CONNECTIONS):
                made = await loop.create_connection(lambda: Asking(self), "127.0.0.1", life.port)
                self._connections.append(made[1])
            workers = json.loads(await asyncio.to_thread(admin.get, life, "/api/v1/status"))["workers"]
            if min(worker["live"]["clients"] for worker in workers) > 0:
                return

    def close(self):
        for connection in self._connections:
            connection.transport.close()


class Life:
    """A weir with all those releases. Its admin API is asked from another thread: the loop has traffic to carry."""

    def __init__(self, bench, weir, releases, versions):
        self.port = pick_port()
        self.directory = bench.new_directory("weir")
        path = os.path.join(self.directory, "weir.yaml")
        with open(path, "w") as file:
            json.dump(config_of(releases, versions, bench.origin_ports[0], self.port, self.directory), file)
        log = os.path.join(self.directory, "output.log")
        self.process = Process("weir", [weir.path, "run", "-c", path], {bench.proxy_core}, log)
        self.admin_path = os.path.join(self.directory, "state", "admin.sock")

    def is_up(self):
        try:
            admin.get(self, "/readyz")
            return True
        except (OSError, Failure):
            return False

    def say(self, name, word):
        """(when said, when answered)."""
        said = time.time()
        admin.post(self, f"/api/v1/rollouts/{name}/{word}", {"reason": "bench"})
        return said, time.time()


async def change(life, traffic, old, word):
    """One word: ms to the answer, ms to the last request of the old version, and requests sent behind the answer that it got."""
    traffic.seen.clear()
    said, answered = await asyncio.to_thread(life.say, traffic.name, word)
    await asyncio.sleep(SETTLE_S)
    came = [at for at, _ in old.log if at > said]
    late = sum(sent > answered and who == old.name for sent, _, who in traffic.seen)
    sent = sum(sent > answered for sent, _, _ in traffic.seen)
    old.log.clear()
    return (answered - said) * 1000, (max(came, default=said) - said) * 1000, late, sent


async def run_changes(bench, weir, releases):
    stable, canary = Version("stable"), Version("canary")
    for version in (stable, canary):
        await version.start()
    life = Life(bench, weir, releases, (stable, canary))
    traffic, measures = Traffic(releases[0]), []
    try:
        await asyncio.to_thread(wait_for, "weir is ready", life.is_up, 30, life.process)
        await traffic.connect(life)
        with load.EndlessWrk(bench, life.port, "/busy") as wrk:
            await asyncio.sleep(load.WARMUP_S)
            for number, name in enumerate(releases):
                traffic.name = name
                await asyncio.sleep(SETTLE_S)
                stable.log.clear()
                canary.log.clear()
                for old, word in ((stable, "start"), (canary, "rollback")):
                    measures.append(await change(life, traffic, old, word))
                if (number + 1) % 50 == 0:
                    say(f"{number + 1}/{len(releases)} releases: last old request {max(m[1] for m in measures):.1f} ms at most")
            seen = await asyncio.to_thread(wrk.stop)
        return measures, seen
    finally:
        traffic.close()
        await asyncio.to_thread(life.process.stop)
        for version in (stable, canary):
            version.stop()


def add_row(section, what, values_ms):
    values = sorted(values_ms)
    section.add(what, f"{median(values):.1f}", f"{load.percentile(values, 0.99):.1f}", f"{values[-1]:.1f}")


def run_weights(bench, peers):
    section = Section(
        "weights",
        f"weir alone, {WORKERS} workers on one core, which wrk saturates on another route: rollouts that are started at 100 % "
        f"and taken back, while {CONNECTIONS} connections or more ask for their route. Times are from before the word is sent.",
        ["ms from the word to", "median", "p99", "most"],
    )
    weir = next((peer for peer in peers if peer.name == "weir"), None)
    if weir is None:
        section.note("weir is not there: not measured")
        return section
    releases = [f"r{number}" for number in range(RELEASES_QUICK if bench.options.quick else RELEASES)]
    measures, seen = asyncio.run(run_changes(bench, weir, releases))
    replies, lasts, late, sent = zip(*measures)
    add_row(section, "the last request that old weights decided", lasts)
    add_row(section, "its answer, when every worker uses the new ones", replies)
    section.note(
        f"{len(measures)} changes; {sum(sent):,} requests sent behind an answer, {sum(late)} of them decided by old weights; "
        f"beside {seen.rate:,.0f} req/s, p99 {seen.p99_us / 1000:.2f} ms"
    )
    section.target(figures.judge("weights/last-old-most", LIMIT_MS, [max(lasts)], " ms"))
    section.target(figures.judge("weights/late", 0, [sum(late)]))
    return section
