"""bench/lib/shadow.py - scenario shadow: what a copy of each request costs, and what a bad shadow does to the others."""

import selectors
import socket
import threading
from contextlib import contextmanager

from lib import figures, latency, load, throughput
from lib.bench import say
from lib.client import Client
from lib.report import Section

MIRRORING = "nginx", "envoy"  # those that copy requests without help; HAProxy needs an agent beside it
PLAIN = "  - { name: all, match: { path: { prefix: / } }, to: a }"
COPIES = "shadow: [ { to: b, timeout: 1s, max_inflight: %d, max_memory: 16MiB } ] }"
MIRRORED = "  - { name: all, match: { path: { prefix: / } }, split: { a: 90, b: 10 }, " + COPIES % 100000
BESIDE = "  - { name: all, match: { path: { prefix: / } }, to: a, " + COPIES % 256
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


@contextmanager
def refusing_origin():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def talking_origin(on_accept, on_tick=None):
    """Connections are given to on_accept; all that it returned are given to on_tick ten times a second."""
    over, connections = threading.Event(), []
    with socket.socket() as listener, selectors.DefaultSelector() as selector:
        listener.bind(("127.0.0.1", 0))
        listener.listen(4096)
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ)

        def serve():
            while not over.is_set():
                if selector.select(0.1):
                    connections.append(on_accept(listener.accept()[0]))
                if on_tick:
                    connections[:] = [c for c in connections if on_tick(c)]

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        over.set()
        thread.join()
        for connection in connections:
            connection.close()


def say_garbage(connection):
    connection.sendall(b"\0\1\2 this is no HTTP\r\n\r\n")
    connection.close()
    return connection


def trickle(connection):
    """A byte of a head that never ends; False when the other side has had enough."""
    try:
        connection.send(b"H")
        return True
    except OSError:
        connection.close()
        return False


def begin_head(connection):
    connection.setblocking(False)
    connection.send(b"HTTP/1.1 200 OK\r\nx: ")
    return connection


BAD_ORIGINS = {
    "hung": hung_origin,
    "refusing": refusing_origin,
    "garbage": lambda: talking_origin(say_garbage),
    "trickling": lambda: talking_origin(begin_head, trickle),
}


def measure_beside(bench, weir, rate, kind):
    """One life without a shadow (kind None) or beside a bad one: latencies, and how much its memory grew meanwhile. None: a
    request failed. The origin is new for each life: connections that nobody accepts fill its queue."""
    with BAD_ORIGINS[kind or "hung"]() as port:
        with weir.running(bench, routes=BESIDE if kind else PLAIN, origins=(bench.origin_ports[0], port)) as proxy:
            with Client(proxy.port, load.CONNECTIONS) as client:
                client.run(1000)
            before = proxy.process.memory()["Private_Dirty"]
            result = load.run_h2load(bench, proxy.port, rate, bench.seconds)
            grown_kib = (proxy.process.memory()["Private_Dirty"] - before) // 1024
    if result.failed:
        say(f"{result.failed} failed of {result.requests}: the row is void")
        return None
    return result, grown_kib


def run_beside(bench, weir, section):
    """A fixed rate with a copy of each request to a shadow that misbehaves, each in its way, and without: interleaved, as
    `latency` is. Each round begins with another of them, so that no place in the round belongs to one."""
    rate = latency.choose_rate(bench, [weir])
    rounds = bench.rounds if bench.options.quick else max(latency.ROUNDS, bench.rounds)
    kinds = [None, *BAD_ORIGINS]
    ratios, grown = {name: [] for name in BAD_ORIGINS}, {name: [] for name in BAD_ORIGINS}
    for number in range(rounds):
        first = number % len(kinds)
        lives = {kind: measure_beside(bench, weir, rate, kind) for kind in kinds[first:] + kinds[:first]}
        if None in lives.values():
            section.void += 1
            continue
        plain, _ = lives.pop(None)
        for name, (result, grown_kib) in lives.items():
            ratios[name].append(result.p99_us / plain.p99_us)
            grown[name].append(grown_kib)
        said = ", ".join(f"{name} {result.p99_us}" for name, (result, _) in lives.items())
        say(f"round {number + 1}/{rounds} p99 µs: plain {plain.p99_us}, {said}")
    if not ratios["hung"]:
        return
    section.note(f"p99 beside bad shadows / without one, at {rate} req/s; {rounds} rounds")
    for name, values in ratios.items():
        section.target(figures.judge(f"shadow/{name}", 1.05, values, by_interval=True))
    section.target(figures.judge("shadow/memory", BUDGET_KIB, [max(grown["hung"])], " KiB"))


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
        run_beside(bench, weir, section)
    return section
