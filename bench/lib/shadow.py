"""bench/lib/shadow.py - scenario shadow: what a copy of each request costs, and what a hung shadow does to the others."""

import socket
from contextlib import contextmanager
from statistics import median

from lib import figures, latency, load, throughput
from lib.bench import say
from lib.client import Client
from lib.report import Section

MIRRORING = "nginx", "envoy"  # those that copy requests without help; HAProxy needs an agent beside it
PLAIN = "  - { name: all, match: { path: { prefix: / } }, to: a }"
COPIES = "shadow: [ { to: b, timeout: 1s, max_inflight: %d, max_memory: 16MiB } ] }"
MIRRORED = "  - { name: all, match: { path: { prefix: / } }, split: { a: 90, b: 10 }, " + COPIES % 100000
HUNG = "  - { name: all, match: { path: { prefix: / } }, to: a, " + COPIES % 256
BUDGET_KIB = 16 * 1024
TARGETS = {"nginx": 0.35, "envoy": 0.80}


def cost_lives(bench, peers):
    """Each proxy as in `small`, and with a copy of each request to the second origin."""
    lives = {}
    for peer in peers:
        if peer.name == "weir":
            lives["weir"] = throughput.life_of(bench, peer)
            lives["weir, mirroring"] = throughput.life_of(bench, peer, routes=MIRRORED)
        elif peer.name in MIRRORING:
            lives[peer.name] = throughput.life_of(bench, peer)
            lives[f"{peer.name}, mirroring"] = throughput.life_of(bench, peer, mode="mirror")
    return lives


def judge_cost(section, samples):
    for name in [name for name in samples if f"{name}, mirroring" in samples]:
        values = throughput.cpu_ratios(samples, f"{name}, mirroring", name)
        if name == "weir":
            section.target(figures.judge("shadow/plain", 1.60, values))
        elif values:
            section.note(f"{name}, mirroring / not: {figures.ratio_text(values)}")
    for other, limit in TARGETS.items():
        if f"{other}, mirroring" in samples:
            values = throughput.cpu_ratios(samples, "weir, mirroring", f"{other}, mirroring")
            section.target(figures.judge(f"shadow/{other}", limit, values))


@contextmanager
def hung_origin():
    """Connections to it succeed, in the kernel, and what is sent there waits for ever."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(4096)
        yield listener.getsockname()[1]


def measure_hung(bench, weir, rate, routes, port):
    """One life beside a hung second origin: latencies, and how much its memory grew meanwhile. None: a request failed."""
    with weir.running(bench, routes=routes, origins=(bench.origin_ports[0], port)) as proxy:
        with Client(proxy.port, load.CONNECTIONS) as client:
            client.run(1000)
        before = proxy.process.memory()["Private_Dirty"]
        result = load.run_h2load(bench, proxy.port, rate, bench.seconds)
        grown_kib = (proxy.process.memory()["Private_Dirty"] - before) // 1024
    if result.failed:
        say(f"{result.failed} failed of {result.requests}: the row is void")
        return None
    return result, grown_kib


def run_hung(bench, weir, section):
    """A fixed rate with a copy of each request to a shadow that says nothing, and without: interleaved, as `latency` is."""
    rate = latency.choose_rate(bench, [weir])
    rounds = bench.rounds if bench.options.quick else max(latency.ROUNDS, bench.rounds)
    pairs, grown = [], []
    with hung_origin() as port:
        for number in range(rounds):
            plain = measure_hung(bench, weir, rate, PLAIN, port)
            hung = measure_hung(bench, weir, rate, HUNG, port)
            if plain is None or hung is None:
                section.void += 1
                continue
            pairs.append((hung[0].p99_us, plain[0].p99_us))
            grown.append(hung[1])
            say(f"round {number + 1}/{rounds} p99 {hung[0].p99_us} µs hung, {plain[0].p99_us} µs plain, +{hung[1]} KiB")
    if not pairs:
        return
    hung_ms, plain_ms = (median(column) / 1000 for column in zip(*pairs))
    section.note(f"a hung shadow at {rate} req/s: p99 {hung_ms:.2f} ms, without one {plain_ms:.2f} ms; {rounds} rounds")
    section.target(figures.judge("shadow/hung", 1.05, [a / b for a, b in pairs], by_interval=True))
    section.target(figures.judge("shadow/memory", BUDGET_KIB, [max(grown)], " KiB"))


def run_shadow(bench, peers):
    section = Section(
        "shadow",
        "128-byte responses as in `small`, plain and with a copy of every request to the second origin.",
        throughput.COLUMNS,
    )
    lives = cost_lives(bench, peers)
    samples = throughput.run_rounds(bench, lives, bench.rounds)
    for name in lives:
        throughput.add_row(section, name, samples[name])
    judge_cost(section, samples)
    weir = next((peer for peer in peers if peer.name == "weir"), None)
    if weir:
        run_hung(bench, weir, section)
    return section
