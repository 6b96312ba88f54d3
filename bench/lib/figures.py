"""bench/lib/figures.py - from rounds to figures: medians, bootstrap intervals, verdicts."""

import random
from dataclasses import dataclass
from statistics import median

RESAMPLES = 2000


def bootstrap(values, resamples=RESAMPLES):
    """95 % percentile interval of the median; the same values always give the same interval."""
    if len(values) < 2:
        return (values[0], values[0])
    chance = random.Random(len(values))
    medians = sorted(median(chance.choices(values, k=len(values))) for _ in range(resamples))
    return (medians[int(resamples * 0.025)], medians[int(resamples * 0.975) - 1])


@dataclass
class Verdict:
    """A target and what was measured against it."""

    line: str
    met: bool


def number_text(value):
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"


def judge(name, limit, values, unit="", by_interval=False):
    """Met when the median is within the limit; by_interval (latency, where single rounds scatter
    widely): met unless the whole interval lies above it. Without values (a row was void): missed."""
    if not values:
        return Verdict(f"target {name} <= {limit_text(limit)}{unit}: void, requests failed", False)
    middle = median(values)
    low, high = bootstrap(values)
    met = (low if by_interval else middle) <= limit
    return Verdict(
        f"target {name} <= {limit_text(limit)}{unit}: {number_text(middle)}{unit} "
        f"[{number_text(low)}, {number_text(high)}] {'met' if met else 'missed'}",
        met,
    )


def limit_text(limit):
    return f"{limit:.2f}" if isinstance(limit, float) else str(limit)


def ratios(above, below):
    """Round by round; none when a row is void (None in it) or not there."""
    if None in above or None in below:
        return []
    return [a / b for a, b in zip(above, below)]


def ratio_text(values):
    low, high = bootstrap(values)
    return f"{median(values):.2f} [{low:.2f}, {high:.2f}]"
