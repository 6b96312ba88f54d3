"""bench/lib/inside.py - scenario syscalls: what a request costs, counted instead of timed.

System calls by strace, heap calls by a preloaded counter, user instructions by perf where the
machine has the counter and by callgrind where it has not. Counts do not suffer from noise.
"""

import glob
import os
import re
import shutil
import signal
import struct
import subprocess
import time
from contextlib import contextmanager

from lib import figures, load
from lib.bench import say
from lib.client import REQUEST, Client
from lib.process import Failure, wait_for
from lib.report import Section

READS = ("read", "readv", "recvfrom", "recvmsg", "pread64")
WRITES = ("write", "writev", "sendto", "sendmsg", "sendfile", "splice")
WAITS = ("epoll_wait", "epoll_pwait", "epoll_pwait2")
CALL_COLUMNS = ("reads", "writes", "epoll_wait", "epoll_ctl")
STRACE_REQUESTS = 6400
HEAP_WARM, HEAP_REQUESTS = 6400, 20_000
INSTRUCTION_FEW, INSTRUCTION_MANY = 1000, 5000
TOLERANCE = 0.02


def parse_strace(text):
    """`calls name` lines of strace -c -U calls,name."""
    return {name: int(calls) for calls, name in re.findall(r"^\s*(\d+)\s+(\w+)\s*$", text, re.M)}


@contextmanager
def straced(bench, proxy, counts):
    """Counts into `counts` the calls made inside the `with`, by every thread of the proxy."""
    output = bench.path("strace.txt")
    argv = ["strace", "-c", "-f", "-U", "calls,name", "-o", output]
    for pid in proxy.process.pids():
        argv += ["-p", str(pid)]
    with bench.load_process("strace", argv) as strace:
        wait_for("strace holds every thread", lambda: all_traced(proxy.process), process=strace)
        yield
        strace.popen.send_signal(signal.SIGINT)
        strace.popen.wait(10)
    with open(output) as file:
        counts.update(parse_strace(file.read()))
    counts.pop("total", None)


def all_traced(process):
    for thread in process.threads():
        with open(f"/proc/{thread}/status") as file:
            if re.search(r"^TracerPid:\s*0$", file.read(), re.M):
                return False
    return True


def syscalls(bench, peer):
    """Calls per request in steady state. The first attachment only slows the proxy to the pace of
    the second, so that its pools have grown to what that pace needs."""
    counts = {}
    with peer.running(bench) as proxy, Client(proxy.port, load.CONNECTIONS) as client:
        client.run(STRACE_REQUESTS)
        with straced(bench, proxy, {}):
            client.run(STRACE_REQUESTS)
        with straced(bench, proxy, counts):
            client.run(STRACE_REQUESTS)
    return {name: calls / STRACE_REQUESTS for name, calls in counts.items()}


def heap_calls(bench, peer):
    """malloc, calloc and realloc calls per request; None for a program with an allocator of its own,
    which the counter would neither see whole nor survive."""
    if peer.has_own_heap:
        return None
    path = bench.path("mallocs.bin")
    with open(path, "wb") as file:
        file.write(bytes(64))

    def count():
        with open(path, "rb") as file:
            return sum(struct.unpack("4Q", file.read(32))[:3])

    env = {"LD_PRELOAD": bench.mallocs_path, "BENCH_MALLOCS": path}
    with peer.running(bench, env=env) as proxy, Client(proxy.port, load.CONNECTIONS) as client:
        client.run(HEAP_WARM)
        before = count()
        client.run(HEAP_REQUESTS)
        after = count()
    return (after - before) / HEAP_REQUESTS


def perf_counts():
    """Whether this machine has a counter of user instructions: virtual ones often have none."""
    if not shutil.which("perf"):
        return False
    command = ["perf", "stat", "-x,", "-e", "instructions:u", "true"]
    run = subprocess.run(command, capture_output=True, text=True)
    return run.returncode == 0 and run.stderr.split(",")[0].isdigit()


def perf_instructions(bench, peer, request, **how):
    output = bench.path("perf.txt")
    with peer.running(bench, **how) as proxy, Client(proxy.port, load.CONNECTIONS, request=request) as client:
        client.run(HEAP_WARM)
        pids = ",".join(map(str, proxy.process.pids()))
        argv = ["perf", "stat", "-x,", "-e", "instructions:u", "-o", output, "-p", pids]
        with bench.load_process("perf", argv) as perf:
            time.sleep(0.5)  # perf says nowhere that it has attached
            client.run(HEAP_REQUESTS)
            perf.popen.send_signal(signal.SIGINT)
            perf.popen.wait(10)
    return int(load.find_number(r"^(\d+),", load.read_all(output))) / HEAP_REQUESTS


def callgrind_total(bench, peer, requests, request, **how):
    """Instructions of a whole life that served that many requests."""
    directory = bench.new_directory("callgrind")
    tool = [
        "valgrind",
        "--tool=callgrind",
        "--trace-children=yes",
        f"--callgrind-out-file={directory}/out.%p",
    ]
    with peer.running(bench, wrap=tool, patience_s=60, **how) as proxy:
        with Client(proxy.port, load.CONNECTIONS, request=request) as client:
            client.run(requests)
    outputs = [load.read_all(path) for path in glob.glob(f"{directory}/out.*")]
    totals = [re.search(r"^(?:summary|totals): (\d+)", text, re.M) for text in outputs]
    if not any(totals):
        raise Failure(f"callgrind left no totals for {peer.name}")
    return sum(int(total.group(1)) for total in totals if total)


def callgrind_instructions(bench, peer, *what, **how):
    """The difference of two lives: what they have in common (start, connections, end) falls out."""
    more = callgrind_total(bench, peer, INSTRUCTION_MANY, *what, **how)
    return (more - callgrind_total(bench, peer, INSTRUCTION_FEW, *what, **how)) / (INSTRUCTION_MANY - INSTRUCTION_FEW)


def instructions(bench, peer, request=REQUEST, **how):
    """Of user space, per request; `how` the peer is started."""
    if peer.name == "envoy":
        return None  # valgrind needs minutes for it, and its figure decides nothing
    count = perf_instructions if perf_counts() else callgrind_instructions
    return count(bench, peer, request, **how)


def sum_of(counts, names):
    return sum(counts.get(name, 0) for name in names)


def add_row(section, name, counts, heap, instruction_count):
    known = READS + WRITES + WAITS + ("epoll_ctl",)
    rest = {call: count for call, count in counts.items() if call not in known and count >= 0.005}
    section.add(
        name,
        f"{sum_of(counts, READS):.3f}",
        f"{sum_of(counts, WRITES):.3f}",
        f"{sum_of(counts, WAITS):.3f}",
        f"{counts.get('epoll_ctl', 0):.3f}",
        ", ".join(f"{call} {count:.2f}" for call, count in sorted(rest.items())) or "-",
        "-" if heap is None else f"{heap:.3f}",
        "-" if instruction_count is None else f"{instruction_count:.0f}",
    )


def add_targets(section, counts, heap):
    """`allowed` leaves room for a timer or an admin call, not for a call per request."""
    allowed = TOLERANCE
    section.target(figures.judge("syscalls/reads", 2 + allowed, [sum_of(counts, READS)]))
    section.target(figures.judge("syscalls/writes", 2 + allowed, [sum_of(counts, WRITES)]))
    section.target(figures.judge("syscalls/epoll_wait", 1, [sum_of(counts, WAITS)]))
    section.target(figures.judge("syscalls/epoll_ctl", allowed, [counts.get("epoll_ctl", 0)]))
    if heap is not None:
        section.target(figures.judge("syscalls/mallocs", allowed, [heap]))


def run_syscalls(bench, peers):
    section = Section(
        "syscalls",
        "Counted per request in steady state: 128-byte responses, 64 keep-alive connections.",
        ["proxy", *CALL_COLUMNS, "other calls", "heap calls", "user instructions"],
    )
    for peer in peers:
        say(f"counting {peer.name}")
        counts = syscalls(bench, peer)
        heap = heap_calls(bench, peer)
        add_row(section, peer.name, counts, heap, instructions(bench, peer))
        if peer.name == "weir":
            add_targets(section, counts, heap)
    return section
