"""bench/lib/http2.py - scenarios h2c, h2tls, h2h2 and handshakes: HTTP/2 and TLS, CPU per request or handshake."""

import shutil
import time
from contextlib import contextmanager

from lib import figures, load, throughput
from lib.bench import read_line, say
from lib.process import Failure, Process, core_busy_us, pick_port, wait_for
from lib.report import Section

WARMUP_REQUESTS = 4000
HANDSHAKES = 1500
COLUMNS = [column for column in throughput.COLUMNS if not column.endswith(" ms")]
HANDSHAKE_KINDS = [
    ("full, TLS 1.3", ("--tls", "1.3")),
    ("resumed, TLS 1.3", ("--tls", "1.3", "--resume")),
    ("full, TLS 1.2", ("--tls", "1.2")),
    ("resumed, TLS 1.2", ("--tls", "1.2", "--resume")),
]


def url_of(proxy, mode):
    return f"{'https' if mode == 'tls' else 'http'}://127.0.0.1:{proxy.port}/"


def measure(bench, proxy, mode):
    """One measured stretch of h2load; None when a request failed."""
    url = url_of(proxy, mode)
    load.run_h2_saturating(bench, url, requests=WARMUP_REQUESTS)
    begin = time.monotonic()
    busy_before, before = core_busy_us(bench.proxy_core), proxy.process.cpu()
    result = load.run_h2_saturating(bench, url, seconds=bench.seconds)
    return throughput.sample_of(bench, proxy, result, begin, busy_before, before)


def life_of(bench, peer, mode, **how):
    def life():
        with peer.running(bench, mode=mode, **how) as proxy:
            return measure(bench, proxy, mode)

    return life


def with_http2(peers):
    return [peer for peer in peers if peer.name != "floor"]


def compare_to_best(section, samples, name, limit):
    """A target against whichever peer is cheapest in its median; the others are notes."""
    others = [other for other in samples if other != "weir" and None not in samples[other]]
    if "weir" not in samples or not others:
        section.note("weir or every peer is missing: not judged")
        return
    best = min(others, key=lambda other: throughput.middle_cpu(samples[other]))
    throughput.compare(section, samples, name, {best: limit})


def compare_peers(bench, peers, name, mode, limit, title):
    section = Section(name, title, COLUMNS)
    taking_part = with_http2(peers)
    samples = throughput.run_rounds(bench, {p.name: life_of(bench, p, mode) for p in taking_part}, bench.rounds)
    for peer in taking_part:
        throughput.add_row(section, peer.name, samples[peer.name], has_latencies=False)
    compare_to_best(section, samples, name, limit)
    return section


def run_h2c(bench, peers):
    what = "128-byte responses over HTTP/2, clear text, 32 connections of 32 streams, to HTTP/1.1 upstreams."
    return compare_peers(bench, peers, "h2c", "h2", 0.85, what)


def run_h2tls(bench, peers):
    return compare_peers(bench, peers, "h2tls", "tls", 0.90, "As `h2c`, over TLS 1.3 with a P-256 key.")


@contextmanager
def http2_origins(bench):
    """Two nghttpd, each with the 128 bytes of bench/origin as its only file."""
    if not shutil.which("nghttpd"):
        raise Failure("nghttpd is missing: it is in Debian's package nghttp2-server")
    root = bench.new_directory("nghttpd")
    with open(f"{root}/index.html", "w") as file:
        file.write("x" * 128)
    origins, ports = [], [pick_port(), pick_port()]
    try:
        for port in ports:
            argv = ["nghttpd", "--no-tls", "-d", root, "-n1", "-a127.0.0.1", "-m1000", str(port)]
            origins.append(Process("nghttpd", argv, bench.load_cores, bench.path(f"nghttpd-{port}.log")))
        time.sleep(0.5)
        yield ports
    finally:
        for origin in origins:
            origin.stop()


def run_h2h2(bench, peers):
    """weir beside itself: HTTP/2 to HTTP/2 upstreams, and to HTTP/1.1 ones."""
    section = Section("h2h2", "weir from HTTP/2 to HTTP/2 upstreams, beside HTTP/1.1 upstreams.", COLUMNS)
    weir = next((peer for peer in peers if peer.name == "weir"), None)
    if not weir:
        section.note("weir is not there: not measured")
        return section
    with http2_origins(bench) as ports:
        lives = {
            "to HTTP/1.1": life_of(bench, weir, "h2"),
            "to HTTP/2": life_of(bench, weir, "h2h2", origins=ports),
        }
        samples = throughput.run_rounds(bench, lives, bench.rounds)
    for name in lives:
        throughput.add_row(section, name, samples[name], has_latencies=False)
    section.target(figures.judge("h2h2/h2", 0.60, throughput.cpu_ratios(samples, "to HTTP/2", "to HTTP/1.1")))
    return section


def measure_handshakes(bench, peer, arguments):
    """CPU µs per handshake, connection included."""
    with peer.running(bench, mode="tls") as proxy:
        argv = [bench.handshakes_path, "--port", str(proxy.port), *arguments]
        run_handshakes(bench, argv, 50)
        before = proxy.process.cpu()
        run_handshakes(bench, argv, HANDSHAKES)
        return (proxy.process.cpu() - before).total_us / HANDSHAKES


def run_handshakes(bench, argv, count):
    with bench.load_process("handshakes", [*argv, "--count", str(count)]) as client:
        client.popen.wait(60)
        if read_line(client.log_path).strip() != str(count):
            raise Failure(f"handshakes failed:\n{client.log_tail()}")


def run_handshake(bench, peers):
    section = Section(
        "handshakes", "CPU µs per TLS handshake with a P-256 key, connection included.", ["kind", "weir", "nginx", "haproxy"]
    )
    taking_part = {p.name: p for p in peers if p.name in ("weir", "nginx", "haproxy")}
    for kind, arguments in HANDSHAKE_KINDS:
        measured = {name: [] for name in taking_part}
        for number in range(bench.rounds):
            for name, peer in taking_part.items():
                measured[name].append(measure_handshakes(bench, peer, arguments))
                say(f"round {number + 1}/{bench.rounds} {kind} {name}: {measured[name][-1]:.0f} µs")
        middle = {name: f"{figures.median(values):.0f}" for name, values in measured.items()}
        section.add(kind, *(middle.get(name, "-") for name in ("weir", "nginx", "haproxy")))
        if "weir" in measured and "nginx" in measured:
            values = figures.ratios(measured["weir"], measured["nginx"])
            section.target(figures.judge(f"handshakes/{kind.replace(', ', '/')}", 1.05, values))
    return section
