"""bench/lib/rollout.py - scenario rollout: versions that turn bad at each step; how long, and by whom, they are met then."""

import asyncio
import datetime
import json
import os
import random
import time
from statistics import median

from lib import admin, figures
from lib.bench import say
from lib.process import Failure, Process, pick_port, wait_for
from lib.release import Traffic, Version
from lib.report import Section

RATE = 500  # req/s to each of the two routes
USERS = 1000
WORKERS = 2
WEIGHTS = ("1%", "10%", "50%", "100%")
LOOK_S = 0.1  # the driver looks so often: what breaches at a look became enough since the one before
DWELL_S = 0.4  # at each weight on the way
PATIENCE_S = 20  # for a breach
AFTER_S = 1.2  # of traffic behind it
WINDOW = "10s"
ROUTES = ("requests", "users")  # unsticky, sticky


def guardrails_of(kind, route):
    """What a team would have: a comparison with stable, and a limit for when nothing is left to compare with."""
    if kind in ("errors", "resets"):
        return [compared("error_rate", 1.5), {"metric": "error_rate", "max": "20%", "window": WINDOW}]
    if kind == "latency x 2":
        return [compared("latency_p95", 1.2), {"metric": "latency_p95", "max": "64ms", "window": WINDOW}]
    if kind == "no events":
        less = {"event": "purchase", "worse_than_stable": {"ratio": 0.9}}
        return [less, {"event": "purchase", "min": "50%", "window": WINDOW}]
    return [{"metric": "shadow_mismatch", "shadow": f"dark-{route}", "max": "10%", "window": "1m"}]


def compared(metric, ratio):
    return {"metric": metric, "worse_than_stable": {"ratio": ratio}}


def turn_bad(kind, canary, dark):
    if kind == "errors":
        canary.status = "500 Internal Server Error"
    elif kind == "resets":
        canary.resets = True
    elif kind == "latency x 2":
        canary.delay_s *= 2
    elif kind == "no events":
        canary.has_event = False
    else:
        dark.body = b"y" * 128


KINDS = ("errors", "resets", "latency x 2", "no events", "wrong bodies in shadow")


class Side:
    """One route: its versions and its traffic."""

    def __init__(self, kind, route):
        self.route = route
        self.stable, self.canary, self.dark = (Version(f"{name}-{route}") for name in ("stable", "canary", "dark"))
        for version in (self.stable, self.canary):
            version.delay_s = 0.04 if kind == "latency x 2" else 0.0
            version.has_event = kind == "no events"

    @property
    def versions(self):
        return (self.stable, self.canary, self.dark)


def config_of(kind, sides, port, directory):
    upstreams, routes, rollouts = {}, [], {}
    for side in sides:
        name = side.route
        upstreams |= {version.name: {"endpoints": [f"127.0.0.1:{version.port}"]} for version in side.versions}
        route = {"name": name, "match": {"path": {"prefix": f"/{name}"}}}
        route["split"] = {side.stable.name: 100, side.canary.name: 0}
        if name == "users":
            route["sticky"] = {"header": "x-user"}
        if kind == KINDS[-1]:
            route["shadow"] = [{"to": side.dark.name, "compare": {"ignore_headers": ["x-version"]}}]
        routes.append(route)
        steps = [{"weight": weight, "hold": "1h"} for weight in WEIGHTS[:-1]] + [{"weight": WEIGHTS[-1]}]
        rollouts[name] = {"route": name, "stable": side.stable.name, "canary": side.canary.name, "steps": steps,
                          "bake": "1h", "guardrails": guardrails_of(kind, name)}  # fmt: skip
    return {"state_dir": os.path.join(directory, "state"), "workers": WORKERS, "drain_timeout": "1s", "watch": False,
            "log": {"access": "off", "level": "error"}, "listeners": {"web": {"bind": f"127.0.0.1:{port}"}},
            "upstreams": upstreams, "routes": routes, "rollouts": rollouts}  # fmt: skip


class Life:
    """A weir with the two rollouts. Its admin API is asked from another thread: the loop has traffic to carry."""

    def __init__(self, bench, weir, kind, sides):
        self.port = pick_port()
        self.directory = bench.new_directory("weir")
        self.config_path = os.path.join(self.directory, "weir.yaml")
        with open(self.config_path, "w") as file:
            json.dump(config_of(kind, sides, self.port, self.directory), file)
        log = os.path.join(self.directory, "output.log")
        self.process = Process("weir", [weir.path, "run", "-c", self.config_path], {bench.proxy_core}, log)
        self.admin_path = os.path.join(self.directory, "state", "admin.sock")

    def is_up(self):
        try:
            admin.get(self, "/readyz")
            return True
        except (OSError, Failure):
            return False

    async def ask(self, path):
        return json.loads(await asyncio.to_thread(admin.get, self, path))

    async def say(self, side, word):
        path = f"/api/v1/rollouts/{side.route}/{word}"
        return json.loads(await asyncio.to_thread(admin.post, self, path, {"reason": "bench"}))["rollout"]


async def climb(life, sides, traffics, weight):
    """Step by step, as a release goes; at the last one each user is met once before it turns bad."""
    for at in WEIGHTS[: WEIGHTS.index(weight) + 1]:
        for side in sides:
            await life.say(side, "start" if at == WEIGHTS[0] else "promote")
        await asyncio.sleep(DWELL_S)
    await asyncio.wait_for(asyncio.gather(*[traffic.meet_all() for traffic in traffics]), PATIENCE_S)


async def wait_taken_back(life):
    """False: not all were, in all that time."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        rollouts = (await life.ask("/api/v1/rollouts"))["rollouts"]
        if all(rollout["state"] == "rolled_back" for rollout in rollouts):
            return True
        await asyncio.sleep(LOOK_S)
    say(f"not taken back: {[(r['name'], r['state'], r['guardrails']) for r in rollouts]}")
    return False


def seconds_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def measure(side, traffic, incident, bad_at):
    """What came of one route: seconds, and counts."""
    breach_at = seconds_of(incident["detected_at"])
    came = side.canary.log
    exposed = {user for at, user in came if at < bad_at}
    # No request at all since the evidence is exposure 0 from then on.
    last_at = max([at for at, _ in came if at >= breach_at - LOOK_S], default=breach_at - LOOK_S)
    return {
        "route": side.route,
        "detect_s": breach_at - bad_at,
        "requests": sum(bad_at <= at < breach_at for at in traffic.sent),
        "canary_requests": sum(bad_at <= at < breach_at for at, _ in came),
        "exposure_s": last_at - (breach_at - LOOK_S),
        "after": sum(at > breach_at for at, _ in came),
        "exposed": len(exposed),
        "strangers": len({user for at, user in came if at >= bad_at} - exposed) if side.route == "users" else 0,
        "told_ms": incident["time_to_zero_exposure_ms"],
    }


async def run_case(bench, weir, kind, weight):
    """Two measures, of the unsticky and the sticky route; None: one of them was taken back too early, or not at all."""
    sides = [Side(kind, route) for route in ROUTES]
    for side in sides:
        for version in side.versions:
            await version.start()
    life = Life(bench, weir, kind, sides)
    users = [f"u{number}" for number in range(USERS)]
    random.Random(7).shuffle(users)
    traffics = [Traffic(life.port, f"/{side.route}", RATE, users) for side in sides]
    is_over = asyncio.Event()
    try:
        await asyncio.to_thread(wait_for, "weir is ready", life.is_up, 10, life.process)
        tasks = [asyncio.create_task(traffic.run(is_over)) for traffic in traffics]
        try:
            await climb(life, sides, traffics, weight)
            is_early = bool((await life.ask("/api/v1/incidents"))["incidents"])
        except (Failure, asyncio.TimeoutError) as failure:
            say(f"{kind}, {weight}: {failure}")
            is_early = True
        if is_early:
            say(f"{kind}, {weight}: taken back before it was bad: is the machine quiet?")
            return None
        bad_at = time.time()
        for side in sides:
            turn_bad(kind, side.canary, side.dark)
        if not await wait_taken_back(life):
            return None
        await asyncio.sleep(AFTER_S)
        incidents = {incident["rollout"]: incident for incident in (await life.ask("/api/v1/incidents"))["incidents"]}
        is_over.set()
        await asyncio.gather(*tasks)
        return [measure(s, t, incidents[s.route], bad_at) for s, t in zip(sides, traffics)]
    finally:
        is_over.set()
        await asyncio.to_thread(life.process.stop)
        for traffic in traffics:
            traffic.close()
        for side in sides:
            for version in side.versions:
                version.stop()


def add_row(section, kind, weight, m):
    exposed = f"{m['exposed']}" if m["route"] == "users" else "-"
    section.add(
        f"{kind}, {weight}", m["route"], f"{m['detect_s']:.2f}", m["requests"], m["canary_requests"],
        f"{m['exposure_s']:.3f}", m["after"], m["told_ms"], exposed, m["strangers"] if m["route"] == "users" else "-",
    )  # fmt: skip


def judge(section, measures, missed):
    exposures = [m["exposure_s"] for m in measures]
    section.target(figures.judge("rollout/not-measured", 0, [missed]))
    if not measures:
        return
    section.target(figures.judge("rollout/exposure-most", 1.0, [max(exposures)], " s"))
    section.target(figures.judge("rollout/strangers", 0, [sum(m["strangers"] for m in measures)]))
    section.note(
        f"exposure after the evidence: median {median(exposures):.3f} s, most {max(exposures):.3f} s of {len(exposures)}; "
        f"the canary's requests after a breach: median {median(m['after'] for m in measures):g}, "
        f"most {max(m['after'] for m in measures)}"
    )


def run_rollout(bench, peers):
    section = Section(
        "rollout",
        f"weir alone, {WORKERS} workers: {RATE} req/s to an unsticky and to a sticky route ({USERS:,} users), each with a "
        "rollout whose canary turns bad at one step. Times are the canary's own log against the incident's.",
        ["turns bad", "route", "breach s", "requests", "canary's", "exposure s", "after breach", "incident ms",
         "exposed users", "never exposed"],  # fmt: skip
    )
    weir = next((peer for peer in peers if peer.name == "weir"), None)
    if weir is None:
        return section
    measures, missed = [], 0
    for weight in WEIGHTS[1:2] if bench.options.quick else WEIGHTS:
        for kind in KINDS:
            found = asyncio.run(run_case(bench, weir, kind, weight))
            missed += found is None
            for measured in found or []:
                add_row(section, kind, weight, measured)
            measures += found or []
            if found:
                say(f"{kind}, {weight}: exposure {[round(m['exposure_s'], 3) for m in found]} s")
    section.note("breach s: from turning bad to the breach, in requests to the route and in the canary's among them")
    section.note(
        "exposure s: from the look before the one that breached, the earliest moment at which the evidence can have been "
        "enough, to the last request that the canary got"
    )
    section.note("Flagger's loop (1 m interval, 5 failed checks) takes 300 s where its threshold is right: ROLLOUTS.md")
    judge(section, measures, missed)
    return section
