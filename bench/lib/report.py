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


def markdown_table(columns, rows):
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def aligned(columns, rows):
    lines = [columns, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in lines]


class Section:
    """A table with its verdicts; `void` counts rows that had failed requests."""

    def __init__(self, name, title, columns):
        self.name = name
        self.title = title
        self.columns = columns
        self.rows = []
        self.more = []  # (title, columns, rows)
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

    def another_table(self, title, columns):
        """Its rows, to be filled: lists of texts."""
        self.more.append((title, columns, []))
        return self.more[-1][2]

    def plain(self):
        """For a terminal."""
        lines = [f"-- {self.name}: {self.title}", *aligned(self.columns, self.rows)]
        for title, columns, rows in self.more:
            lines += [f"-- {title}", *aligned(columns, rows)]
        return "\n".join([*lines, *self.notes])

    def markdown(self, circumstances):
        parts = [f"## {self.name}\n\n{self.title}\n", circumstances + "\n", markdown_table(self.columns, self.rows)]
        parts += [f"{title}:\n\n{markdown_table(columns, rows)}" for title, columns, rows in self.more]
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
