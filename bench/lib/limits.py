"""bench/lib/limits.py - how long the calls take that a hook's limits cut off: bench/hook-limits, as a table."""

import os
import subprocess

from lib import figures
from lib.bench import say
from lib.process import Failure

CALLS, QUICK_CALLS = 300, 20
BUDGET_US = 2000  # the default
LIMIT_US = 2 * BUDGET_US + 2000
COLUMNS = ["bad hook", "ends as", "median ms", "longest ms", "in stints: median ms", "longest ms"]


def measure(bench):
    """(kind, how calls end, µs: median and longest of those that hold their worker, the same in stints) for each kind."""
    directory = os.path.dirname(bench.options.weir)
    program = os.path.join(directory, "bench", "hook-limits")
    if subprocess.run(["make", "-s", "-C", directory, "bench/hook-limits"], stdout=subprocess.DEVNULL).returncode:
        raise Failure(f"{program} cannot be built beside the weir that is measured")
    calls = QUICK_CALLS if bench.options.quick else CALLS
    command = ["taskset", "-c", str(bench.options.proxy_core), program, str(calls)]
    say(f"cutting off {2 * calls} calls of each kind of bad hook")
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise Failure(f"{program}: {run.stderr[-500:]}")
    rows = [line.split("\t") for line in run.stdout.splitlines()]
    return [(name, result, *map(int, times)) for name, result, *times in rows]


def judge(bench, section):
    rows = measure(bench)
    table = section.another_table(
        "CPU time of calls that a limit cuts off, from begin to end, with what they leave to collect; budget 2 ms", COLUMNS
    )
    for name, result, *times in rows:
        table.append([name, result, *(f"{us / 1000:.2f}" for us in times)])
    for title, longest in (("held", [row[3] for row in rows]), ("stints", [row[5] for row in rows])):
        section.target(figures.judge(f"script/limits/{title}", LIMIT_US / 1000, [max(longest) / 1000], " ms"))
