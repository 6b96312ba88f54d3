"""bench/lib/report.py - RESULTS.md: one section a scenario, with the circumstances of its making."""

import datetime
import os
import platform
import re
import subprocess

from lib.figures import Verdict

INTRODUCTION = """# Results

Written by `bench/run`; [README.md](README.md) says what each figure means and how noise is handled.
Each section carries the day, the machine and the versions it was measured with.
"""


class Section:
    """A table with its verdicts; `void` counts rows that had failed requests."""

    def __init__(self, name, title, columns):
        self.name = name
        self.title = title
        self.columns = columns
        self.rows = []
        self.notes = []
        self.verdicts = []
        self.void = 0

    def add(self, *cells):
        self.rows.append([str(cell) for cell in cells])

    def add_void(self, name, rounds):
        """A row without figures: requests failed in that many of its rounds."""
        self.void += 1
        self.add(name, *["void"] * (len(self.columns) - 1))
        self.note(f"{name}: requests failed in {rounds} rounds")

    def note(self, text):
        self.notes.append(text)

    def target(self, verdict: Verdict):
        self.verdicts.append(verdict)

    def table(self):
        rows = [self.columns, ["---"] + ["---:"] * (len(self.columns) - 1), *self.rows]
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)

    def plain(self):
        """The same for a terminal: columns lined up."""
        rows = [self.columns, *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.columns))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows]
        return "\n".join([f"-- {self.name}: {self.title}", *lines, *self.notes])

    def markdown(self, circumstances):
        parts = [f"## {self.name}\n\n{self.title}\n", circumstances + "\n", self.table() + "\n"]
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes) + "\n")
        if self.verdicts:
            parts.append("```\n" + "\n".join(v.line for v in self.verdicts) + "\n```\n")
        return "\n".join(parts)


def processor():
    with open("/proc/cpuinfo") as file:
        match = re.search(r"^model name\s*:\s*(.+)$", file.read(), re.M)
    return match.group(1) if match else platform.machine()


def compiler():
    run = subprocess.run(["cc", "--version"], capture_output=True, text=True)
    return run.stdout.splitlines()[0] if run.stdout else "unknown"


def version_of(program):
    """Of a load generator; not every scenario needs each."""
    try:
        run = subprocess.run([program, "--version"], capture_output=True, text=True)
    except FileNotFoundError:
        return f"no {program}"
    match = re.search(r"\d+\.\d+[\w.+~-]*", run.stdout + run.stderr)
    return f"{program} {match.group(0) if match else 'unknown'}"


def circumstances(bench, peers):
    """Date, machine and versions; neither host names nor paths."""
    versions = [peer.version_text() for peer in peers if peer.version]
    versions += [version_of("wrk"), version_of("h2load")]
    return (
        f"{datetime.date.today().isoformat()}; {os.cpu_count()} cores ({processor()}), "
        f"Linux {platform.release()}; {bench.rounds} rounds of {bench.seconds:g} s; "
        f"{', '.join(versions)}; bench programs: {compiler()}."
    )


def merge(path, sections, text_of):
    """Replaces the sections measured now, keeps the others, in the order they have."""
    kept = {}
    if os.path.exists(path):
        with open(path) as file:
            for part in re.split(r"^(?=## )", file.read(), flags=re.M)[1:]:
                kept[part.split("\n", 1)[0][3:].strip()] = part.strip() + "\n"
    for section in sections:
        kept[section.name] = text_of(section)
    with open(path, "w") as file:
        file.write("\n".join([INTRODUCTION, *kept.values()]))
