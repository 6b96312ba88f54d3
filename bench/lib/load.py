"""bench/lib/load.py - the load generators: wrk until something saturates, h2load at a fixed rate."""

import os
import re
import signal
from dataclasses import dataclass

from lib.process import Failure

CONNECTIONS = 64
WARMUP_S = 0.5
UNITS_US = {"us": 1, "ms": 1000, "s": 1_000_000, "m": 60_000_000}
# h2load's pace timer has a floor of 10 ms: faster clients would send bursts, so there are more.
PER_CLIENT_RATE = 100
GROUPS = 10


@dataclass
class Load:
    """What one run of a load generator saw."""

    requests: int
    failed: int
    rate: float
    p50_us: float
    p99_us: float


def us_of(text):
    number, unit = re.fullmatch(r"([0-9.]+)(us|ms|s|m)", text).groups()
    return float(number) * UNITS_US[unit]


def find_number(pattern, text, otherwise=None):
    match = re.search(pattern, text)
    if match:
        return float(match.group(1))
    if otherwise is None:
        raise Failure(f"a load generator said nothing like {pattern!r}:\n{text}")
    return otherwise


def parse_wrk(text):
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = sum(map(int, errors.groups())) if errors else 0
    failed += int(find_number(r"Non-2xx or 3xx responses: (\d+)", text, 0))
    latency = dict(re.findall(r"^\s+(50|99)%\s+([0-9.]+(?:us|ms|s|m))$", text, re.M))
    return Load(
        requests=int(find_number(r"(\d+) requests in ", text)),
        failed=failed,
        rate=find_number(r"Requests/sec:\s+([0-9.]+)", text),
        p50_us=us_of(latency["50"]) if latency else 0.0,
        p99_us=us_of(latency["99"]) if latency else 0.0,
    )


def wrk_argv(port, seconds, path="/", script=None):
    argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--latency"]
    if script:
        argv += ["-s", script]
    return [*argv, f"http://127.0.0.1:{port}{path}"]


def run_wrk(bench, port, seconds, path="/", script=None):
    """Saturates with 64 keep-alive connections for whole seconds, at least one."""
    with bench.load_process("wrk", wrk_argv(port, seconds, path, script)) as wrk:
        wrk.popen.wait(seconds + 30)
        return parse_wrk(read_all(wrk.log_path))


H2_CLIENTS, H2_STREAMS = 32, 32


def run_h2_saturating(bench, url, seconds=None, requests=None):
    """h2load with 32 connections of 32 streams, for a time or for a number of requests. Latencies are not read."""
    how = [f"-D{max(1, round(seconds))}"] if seconds else [f"-n{requests}"]
    argv = ["h2load", "-t1", f"-c{H2_CLIENTS}", f"-m{H2_STREAMS}", *how, url]
    with bench.load_process("h2load", argv) as h2load:
        h2load.popen.wait((seconds or 30) + 30)
        text = read_all(h2load.log_path)
    counts = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded", text)
    if not counts:
        raise Failure(f"h2load said nothing of its requests:\n{text}")
    done, succeeded = map(int, counts.groups())
    return Load(done, done - succeeded, find_number(r"finished in [^,]*, ([0-9.]+) req/s", text), 0.0, 0.0)


class EndlessWrk:
    """Load for as long as something else takes: stop() interrupts it and returns what it saw."""

    def __init__(self, bench, port, path="/", script=None):
        self._context = bench.load_process("wrk", wrk_argv(port, 86400, path, script))

    def __enter__(self):
        self._process = self._context.__enter__()
        return self

    def __exit__(self, *failure):
        return self._context.__exit__(*failure)

    def stop(self):
        self._process.popen.send_signal(signal.SIGINT)
        self._process.popen.wait(30)
        return parse_wrk(read_all(self._process.log_path))


def read_all(path):
    with open(path, errors="replace") as file:
        return file.read()


def paced_clients(rate):
    return max(GROUPS, round(rate / PER_CLIENT_RATE))


def h2load_argv(port, rate, seconds, log):
    """Clients start in ten groups 11 ms apart; each sends every 10 ms, so their sends stay 1 ms
    apart instead of falling together."""
    clients = paced_clients(rate)
    return [
        "h2load",
        "--h1",
        f"-c{clients}",
        f"-r{-(-clients // GROUPS)}",
        "--rate-period=11ms",
        f"-n{int(clients * PER_CLIENT_RATE * seconds)}",
        f"--rps={PER_CLIENT_RATE}",
        f"--log-file={log}",
        f"http://127.0.0.1:{port}/",
    ]


def run_h2load(bench, port, rate, seconds):
    """A fixed rate; latencies of what started after the warm-up (0.5 s, in which the connections
    are opened) come from h2load's log of each request."""
    return load_of(*run_h2load_log(bench, port, rate, seconds), seconds)


def run_h2load_log(bench, port, rate, seconds):
    """The same, as (start in µs since the epoch, µs until the end of the response) of each request, and how many failed."""
    log = bench.path("h2load.tsv")
    if os.path.exists(log):
        os.unlink(log)
    with bench.load_process("h2load", h2load_argv(port, rate, seconds + WARMUP_S, log)) as h2load:
        h2load.popen.wait(seconds * 4 + 30)
        text = read_all(h2load.log_path)
    asked, succeeded = map(int, re.search(r"requests: (\d+) total,.*, (\d+) succeeded", text).groups())
    return parse_h2load_log(read_all(log), asked - succeeded, seconds)


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def parse_h2load_log(text, failed, seconds):
    """Columns: start in µs since the epoch, status, µs until the end of the response. What counts
    started in the stretch in which every client was at work."""
    rows = [tuple(map(int, line.split("\t")[:3])) for line in text.splitlines()]
    failed += sum(not 200 <= row[1] < 300 for row in rows)
    begin = min((row[0] for row in rows), default=0) + WARMUP_S * 1_000_000
    end = begin + seconds * 1_000_000
    counted = [(row[0], row[2]) for row in rows if begin <= row[0] < end]
    if not counted:
        raise Failure("h2load completed no request")
    return counted, failed


def load_of(counted, failed, seconds):
    latencies = sorted(latency_us for _, latency_us in counted)
    return Load(
        requests=len(latencies),
        failed=failed,
        rate=len(latencies) / seconds,
        p50_us=percentile(latencies, 0.50),
        p99_us=percentile(latencies, 0.99),
    )
