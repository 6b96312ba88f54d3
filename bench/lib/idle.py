"""bench/lib/idle.py - scenario idle: process memory per idle keep-alive connection."""

import time
from statistics import median

from lib import figures
from lib.bench import say
from lib.client import Client
from lib.process import raise_file_limit
from lib.report import Section

WARM_CONNECTIONS = 200
IDLE_CONNECTIONS = 2000
SETTLE_S = 1.0
ROUNDS = 3  # memory repeats itself: more would say the same


def measure(bench, peer):
    """Bytes per connection as (private dirty, PSS): the growth by 2,000 connections that have done
    one request each, over a life that has seen 200 already, which are still open."""
    with peer.running(bench) as proxy, Client(proxy.port, WARM_CONNECTIONS) as client:
        client.visit_last(WARM_CONNECTIONS)
        time.sleep(SETTLE_S)
        before = proxy.process.memory()
        client.open_more(IDLE_CONNECTIONS)
        client.visit_last(IDLE_CONNECTIONS)
        time.sleep(SETTLE_S)
        after = proxy.process.memory()
    return tuple((after[key] - before[key]) / IDLE_CONNECTIONS for key in ("Private_Dirty", "Pss"))


def run_idle(bench, peers):
    raise_file_limit()
    section = Section(
        "idle",
        f"Process memory per idle keep-alive connection, {IDLE_CONNECTIONS:,} that did one request each.",
        ["proxy", "private dirty bytes", "PSS bytes"],
    )
    measured = {peer.name: [] for peer in peers}
    for number in range(min(bench.rounds, ROUNDS)):
        for peer in peers:
            measured[peer.name].append(measure(bench, peer))
            say(f"round {number + 1} {peer.name}: {measured[peer.name][-1][0]:.0f} bytes")
    for name, rounds in measured.items():
        section.add(name, *(f"{median(column):.0f}" for column in zip(*rounds)))
    if "weir" in measured:
        # The larger of the two figures counts, so that no page can hide from the target.
        section.target(figures.judge("idle/bytes", 600, [max(pair) for pair in measured["weir"]]))
    return section
