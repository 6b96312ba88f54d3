"""bench/lib/throughput.py - scenarios small, large and routes: CPU per request of a saturated proxy."""

import time
from dataclasses import dataclass
from statistics import median

from lib import figures, load, routes
from lib.bench import say
from lib.client import Client
from lib.process import core_busy_us
from lib.report import Section

WARMUP_REQUESTS = 3000

COLUMNS = ["proxy", "CPU µs/request", "user", "sys", "req/s", "p50 ms", "p99 ms", "busy %", "others %"]


@dataclass
class Sample:
    """One round of one proxy. `foreign` is what others used of the proxy's core."""

    cpu_us: float
    user_us: float
    sys_us: float
    rate: float
    p50_us: float
    p99_us: float
    busy: float
    foreign: float


def measure(bench, proxy, path="/", script=None):
    """One measured stretch of load; None when a request failed."""
    with Client(proxy.port, load.CONNECTIONS) as client:
        client.run(WARMUP_REQUESTS)
    begin = time.monotonic()
    busy_before, before = core_busy_us(bench.proxy_core), proxy.process.cpu()
    result = load.run_wrk(bench, proxy.port, bench.seconds, path, script)
    return sample_of(bench, proxy, result, begin, busy_before, before)


def sample_of(bench, proxy, result, begin, busy_before, before):
    """The figures of a stretch of load that began with these readings; None when a request failed."""
    used = proxy.process.cpu() - before
    wall_us = (time.monotonic() - begin) * 1_000_000
    foreign_us = core_busy_us(bench.proxy_core) - busy_before - used.total_us
    if result.failed or not result.requests:
        say(f"{proxy.process.name}: {result.failed} failed of {result.requests}: its row is void")
        return None
    return Sample(
        used.total_us / result.requests,
        used.user_us,
        used.sys_us,
        result.rate,
        result.p50_us,
        result.p99_us,
        used.total_us / wall_us,
        max(0.0, foreign_us) / wall_us,
    )


def run_rounds(bench, lives, rounds):
    """`lives`: name to a function that measures one fresh life. Rounds are interleaved: A B C A B C."""
    samples = {name: [] for name in lives}
    for number in range(rounds):
        for name, life in lives.items():
            sample = life()
            samples[name].append(sample)
            if sample:
                figures_text = f"{sample.cpu_us:.2f} µs, {sample.rate:.0f} req/s"
                say(f"round {number + 1}/{rounds} {name}: {figures_text}")
    return samples


def add_row(section, name, samples, has_latencies=True):
    """User and sys: the exact total, shared out by the ticks of all rounds together."""
    if None in samples:
        section.add_void(name, samples.count(None))
        return
    middle = {key: median(getattr(s, key) for s in samples) for key in vars(samples[0])}
    user, system = sum(s.user_us for s in samples), sum(s.sys_us for s in samples)
    user_us = middle["cpu_us"] * user / max(user + system, 1)
    section.add(
        name,
        f"{middle['cpu_us']:.2f}",
        f"{user_us:.2f}",
        f"{middle['cpu_us'] - user_us:.2f}",
        f"{middle['rate']:.0f}",
        *(f"{middle[key] / 1000:.2f}" for key in ("p50_us", "p99_us") if has_latencies),
        f"{100 * middle['busy']:.0f}",
        f"{100 * middle['foreign']:.0f}",
    )


def middle_cpu(samples):
    return median(sample.cpu_us for sample in samples)


def cpu_ratios(samples, above, below):
    def column(name):
        return [sample and sample.cpu_us for sample in samples[name]]

    return figures.ratios(column(above), column(below))


def compare(section, samples, name, targets):
    """Ratios of weir to every other proxy: judged where there is a target, noted where not."""
    for other in samples:
        if other == "weir" or "weir" not in samples:
            continue
        values = cpu_ratios(samples, "weir", other)
        if other in targets:
            section.target(figures.judge(f"{name}/{other}", targets[other], values))
        elif values:
            section.note(f"weir / {other}: {figures.ratio_text(values)}")


def life_of(bench, peer, path="/", script=None, **how):
    def life():
        with peer.running(bench, **how) as proxy:
            return measure(bench, proxy, path, script)

    return life


def compare_peers(bench, peers, name, title, path, targets):
    section = Section(name, title, COLUMNS)
    samples = run_rounds(bench, {p.name: life_of(bench, p, path) for p in peers}, bench.rounds)
    for peer in peers:
        add_row(section, peer.name, samples[peer.name])
    compare(section, samples, name, targets)
    return section


def run_small(bench, peers):
    return compare_peers(
        bench,
        peers,
        "small",
        "128-byte responses, 64 keep-alive connections, one worker, split 90/10, as fast as it goes.",
        "/",
        {"floor": 1.20, "haproxy": 0.85, "nginx": 0.75},
    )


def run_large(bench, peers):
    return compare_peers(
        bench,
        peers,
        "large",
        "64 KiB responses, otherwise as `small`.",
        "/bytes/65536",
        {"haproxy": 0.90},
    )


def run_routes(bench, peers):
    """weir beside itself: the same requests, to one route and to 10,000."""
    section = Section(
        "routes",
        f"{routes.ROUTES:,} routes on {routes.HOSTS:,} hosts, {routes.CONDITIONS} of them with a "
        "condition, beside one route; requests spread over all of them.",
        COLUMNS,
    )
    weir = next((peer for peer in peers if peer.name == "weir"), None)
    if not weir:
        section.note("weir is not there: not measured")
        return section
    script = routes.write_script(bench)
    lives = {
        "one route": life_of(bench, weir, script=script),
        "10,000 routes": life_of(bench, weir, script=script, routes=routes.text(), patience_s=30),
    }
    samples = run_rounds(bench, lives, bench.rounds)
    for name in lives:
        add_row(section, name, samples[name])
    values = cpu_ratios(samples, "10,000 routes", "one route")
    section.target(figures.judge("routes/one", 1.05, values))
    return section
