"""bench/lib/idle.py - scenarios idle, idle_h2, idle_tls: process memory per idle connection."""

import time
from statistics import median

from lib import figures
from lib.bench import say
from lib.client import Client, Connection, Http2Connection, TlsConnection
from lib.process import raise_file_limit
from lib.report import Section

WARM_CONNECTIONS = 200
IDLE_CONNECTIONS = 2000
SETTLE_S = 1.0
ROUNDS = 3  # memory repeats itself: more would say the same


def measure(bench, peer, mode, kind):
    """Bytes per connection as (private dirty, PSS): the growth by 2,000 connections that have done
    one request each, over a life that has seen 200 already, which are still open."""
    with peer.running(bench, mode=mode) as proxy, Client(proxy.port, WARM_CONNECTIONS, kind) as client:
        client.visit_last(WARM_CONNECTIONS)
        time.sleep(SETTLE_S)
        before = proxy.process.memory()
        client.open_more(IDLE_CONNECTIONS)
        client.visit_last(IDLE_CONNECTIONS)
        time.sleep(SETTLE_S)
        after = proxy.process.memory()
    return tuple((after[key] - before[key]) / IDLE_CONNECTIONS for key in ("Private_Dirty", "Pss"))


def compare(bench, peers, name, what, limit, mode="h1", kind=Connection):
    raise_file_limit()
    section = Section(
        name,
        f"Process memory per idle {what}, {IDLE_CONNECTIONS:,} that did one request each.",
        ["proxy", "private dirty bytes", "PSS bytes"],
    )
    measured = {peer.name: [] for peer in peers}
    for number in range(min(bench.rounds, ROUNDS)):
        for peer in peers:
            measured[peer.name].append(measure(bench, peer, mode, kind))
            say(f"round {number + 1} {peer.name}: {measured[peer.name][-1][0]:.0f} bytes")
    for peer, rounds in measured.items():
        section.add(peer, *(f"{median(column):.0f}" for column in zip(*rounds)))
    if "weir" in measured:
        # The larger of the two figures counts, so that no page can hide from the target.
        section.target(figures.judge(f"{name}/bytes", limit, [max(pair) for pair in measured["weir"]]))
    return section


def run_idle(bench, peers):
    return compare(bench, peers, "idle", "keep-alive connection", 600)


def run_idle_h2(bench, peers):
    peers = [peer for peer in peers if peer.name != "floor"]
    return compare(bench, peers, "idle_h2", "HTTP/2 connection", 18 * 1024, "h2", Http2Connection)


def run_idle_tls(bench, peers):
    peers = [peer for peer in peers if peer.name != "floor"]
    return compare(bench, peers, "idle_tls", "TLS 1.3 connection with HTTP/1.1", 20 * 1024, "tls", TlsConnection)
