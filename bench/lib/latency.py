"""bench/lib/latency.py - scenario latency: p50 and p99 at a fixed rate, and while weir reloads."""

import math
import threading
from contextlib import contextmanager
from statistics import median

from lib import admin, figures, load, routes
from lib.bench import say
from lib.client import Client
from lib.process import Failure
from lib.report import Section

ROUNDS = 20
RELOAD_EVERY_S = 0.25
RELOADING = "weir, reloading"
RELOADING_LARGE = "weir, reloading 10,000 routes"


def saturation(bench, peer):
    with peer.running(bench) as proxy:
        return load.run_wrk(bench, proxy.port, bench.seconds).rate


def choose_rate(bench, peers):
    """Half of what saturates the slowest, so that nobody is measured past its own half."""
    if bench.options.rate:
        return bench.options.rate
    rates = {peer.name: saturation(bench, peer) for peer in peers}
    slowest = min(rates, key=rates.get)
    say(f"{slowest} saturates first, at {rates[slowest]:.0f} req/s")
    step = load.PER_CLIENT_RATE
    return max(load.GROUPS * step, math.floor(rates[slowest] / 2 / step) * step)


@contextmanager
def reloading(proxy):
    """Changes the file and sends HUP every 250 ms, until the end of the `with`."""
    reloader, over = admin.Reloader(proxy), threading.Event()
    before = admin.reload_count(proxy)

    def work():
        while not over.wait(RELOAD_EVERY_S):
            reloader.request()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if admin.reload_count(proxy) == before:
        raise Failure("weir applied no reload while it was to be reloading")


def measure(bench, peer, rate, reloads=False, **how):
    """One round in a fresh life; None when a request failed."""
    with peer.running(bench, **how) as proxy:
        with Client(proxy.port, load.CONNECTIONS) as client:
            client.run(1000)
        if reloads:
            with reloading(proxy):
                result = load.run_h2load(bench, proxy.port, rate, bench.seconds)
        else:
            result = load.run_h2load(bench, proxy.port, rate, bench.seconds)
    if result.failed:
        say(f"{peer.name}: {result.failed} failed of {result.requests}: its row is void")
        return None
    return result


def lives_of(bench, peers, rate):
    lives = {}
    for peer in peers:
        lives[peer.name] = lambda peer=peer: measure(bench, peer, rate)
        if peer.name == "weir":
            lives[RELOADING] = lambda peer=peer: measure(bench, peer, rate, True)
            lives[RELOADING_LARGE] = lambda peer=peer: measure(
                bench, peer, rate, True, routes=routes.text(), patience_s=30
            )
    return lives


def run_rounds(lives, rounds):
    results = {name: [] for name in lives}
    for number in range(rounds):
        for name, life in lives.items():
            result = life()
            results[name].append(result)
            if result:
                say(f"round {number + 1}/{rounds} {name}: {result.p50_us} µs, p99 {result.p99_us} µs")
    return results


def add_row(section, name, results, asked_rate):
    if None in results:
        section.add_void(name, results.count(None))
        return
    rate = median(result.rate for result in results)
    section.add(
        name,
        f"{rate:.0f}",
        f"{median(r.p50_us for r in results) / 1000:.2f}",
        f"{median(r.p99_us for r in results) / 1000:.2f}",
    )
    if rate < 0.95 * asked_rate:
        section.note(f"{name} did not keep up with the rate: its latencies are those of a full proxy")


def p99_ratios(results, above, below):
    def column(name):
        return [result and result.p99_us for result in results.get(name, [])]

    return figures.ratios(column(above), column(below))


def run_latency(bench, peers):
    rounds = bench.rounds if bench.options.quick else max(ROUNDS, bench.rounds)
    rate = choose_rate(bench, peers)
    section = Section(
        "latency",
        f"128-byte responses at {rate} req/s, half of what saturates the slowest; {rounds} rounds.",
        ["proxy", "req/s", "p50 ms", "p99 ms"],
    )
    results = run_rounds(lives_of(bench, peers, rate), rounds)
    for name in results:
        add_row(section, name, results[name], rate)
    for other in results:
        values = p99_ratios(results, "weir", other)
        if other in (RELOADING, RELOADING_LARGE, "weir") or not values:
            continue
        section.note(f"p99, weir / {other}: {figures.ratio_text(values)}")
    large = p99_ratios(results, RELOADING_LARGE, "weir")
    if large:
        section.note(f"p99, weir reloading 10,000 routes / not: {figures.ratio_text(large)}")
    if "weir" in results:
        values = p99_ratios(results, RELOADING, "weir")
        section.target(figures.judge("latency/reloading", 1.20, values, by_interval=True))
    return section
