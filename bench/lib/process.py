"""bench/lib/process.py - started programs: pinned, measured from /proc, stopped by process id."""

import os
import resource
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass

TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
SCHEDULER_CLOCK = 2  # CPUCLOCK_SCHED of <linux/posix-timers.h>
WANTED_FILES = 10_000


class Failure(Exception):
    """The harness could not do its work: no figure comes of this round."""


@dataclass
class Cpu:
    """CPU used by a process tree; `total` is exact, the two others are sampled at the clock tick."""

    total_us: float
    user_us: float
    sys_us: float

    def __sub__(self, earlier):
        return Cpu(
            self.total_us - earlier.total_us,
            self.user_us - earlier.user_us,
            self.sys_us - earlier.sys_us,
        )


def raise_file_limit():
    """Idle connections need a file each, in the harness and (inherited) in every proxy."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < WANTED_FILES:
        raise Failure(f"the open file limit allows {hard}, the idle scenario needs {WANTED_FILES}")


def pick_port():
    """A free port, for programs that cannot be told to choose one and print it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def core_list(cores):
    return ",".join(str(core) for core in sorted(cores))


def children(pid):
    """The direct children of a process, by /proc/PID/task/*/children."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += [int(child) for child in file.read().split()]
    except FileNotFoundError:
        pass
    return found


def process_cpu(pid):
    """`total` is the scheduler's own nanosecond clock of the thread group, ended threads included."""
    total_us = time.clock_gettime_ns((~pid << 3) | SCHEDULER_CLOCK) / 1000
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return Cpu(total_us, int(fields[11]) * TICK_US, int(fields[12]) * TICK_US)


def process_memory(pid):
    """Bytes by their name in /proc/PID/smaps_rollup."""
    sizes = {}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            words = line.split()
            if len(words) == 3 and words[2] == "kB":
                sizes[words[0].rstrip(":")] = int(words[1]) * 1024
    return sizes


def core_busy_us(core):
    """Time the core did anything at all (by the tick), whoever it was for."""
    with open("/proc/stat") as file:
        for line in file:
            words = line.split()
            if words[0] == f"cpu{core}":
                ticks = [int(word) for word in words[1:9]]
                return (sum(ticks) - ticks[3] - ticks[4]) * TICK_US
    raise Failure(f"no core {core} in /proc/stat")


class Process:
    """One started program and all it forked. Its output goes to a log that is shown if it fails."""

    def __init__(self, name, argv, cores, log_path, env=None):
        self.name = name
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.popen = subprocess.Popen(
                ["taskset", "-c", core_list(cores), *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
            )
        self.pid = self.popen.pid

    def pids(self):
        found = [self.pid]
        for pid in found:
            found += children(pid)
        return found

    def threads(self):
        return [int(task) for pid in self.pids() for task in os.listdir(f"/proc/{pid}/task")]

    def cpu(self):
        parts = [process_cpu(pid) for pid in self.pids()]
        keys = ("total_us", "user_us", "sys_us")
        return Cpu(*(sum(getattr(part, key) for part in parts) for key in keys))

    def memory(self):
        """Rss, Pss and Private_Dirty of the tree, in bytes."""
        total = {"Rss": 0, "Pss": 0, "Private_Dirty": 0}
        for pid in self.pids():
            sizes = process_memory(pid)
            for key in total:
                total[key] += sizes[key]
        return total

    def check_alive(self):
        if self.popen.poll() is not None:
            raise Failure(f"{self.name} ended with status {self.popen.returncode}:\n{self.log_tail()}")

    def log_tail(self):
        with open(self.log_path, errors="replace") as log:
            return "".join(log.readlines()[-12:])

    def stop(self, patience_s=8):
        """TERM to the first process, then KILL to whatever of the tree is left."""
        pids = self.pids()
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(patience_s)
        except subprocess.TimeoutExpired:
            pass
        for pid in pids:
            if pid == self.pid and self.popen.poll() is not None:
                continue
            kill_child(pid, self.pid)
        self.popen.wait()


def kill_child(pid, root):
    """A descendant's id may be free again by now: it is killed only while it is still one of ours."""
    try:
        if pid == root or os.getpgid(pid) == os.getpgrp():
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


@contextmanager
def started(*args, **kwargs):
    process = Process(*args, **kwargs)
    try:
        yield process
    finally:
        process.stop()


def wait_for(what, is_so, timeout_s=10, process=None, interval_s=0.01):
    """Polls a condition; its truth is the result."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = is_so()
        if result:
            return result
        if process:
            process.check_alive()
        if time.monotonic() > deadline:
            tail = f":\n{process.log_tail()}" if process else ""
            raise Failure(f"waited {timeout_s} s in vain until {what}{tail}")
        time.sleep(interval_s)
