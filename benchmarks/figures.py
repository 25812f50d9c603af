"""From samples to figures: medians and percentiles of alternating rounds, ratios within one run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")

ROUNDS = 5
"""As many as a published median needs."""


@dataclass(frozen=True)
class Figures:
    """What many samples of one thing come to, in the samples' own unit.

    Attributes:
        count: of the samples.
        p99: the sample that 99 of 100 do not exceed; the largest one below 100 samples.
    """

    count: int
    median: float
    p99: float
    least: float
    most: float


def percentile(samples: Sequence[float], part: float) -> float:
    """The nearest rank: a sample that was measured, never one between two.

    Args:
        part: above 0 and up to 1; 0.99 is the 99th percentile.
    """
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def summarize(samples: Sequence[float]) -> Figures:
    """Figures of at least one sample."""
    return Figures(
        len(samples),
        statistics.median(samples),
        percentile(samples, 0.99),
        min(samples),
        max(samples),
    )


def of_rounds(rounds: Sequence[Sequence[float]]) -> Figures:
    """Figures of latencies: the median of the rounds' medians; the rest is of all samples.

    One disturbed round so moves the median by one rank and no more.
    """
    together = summarize([sample for samples in rounds for sample in samples])
    median = statistics.median(statistics.median(samples) for samples in rounds if samples)
    return Figures(together.count, median, together.p99, together.least, together.most)


def ratio(value: float, base: float) -> float:
    """How many times ``base`` it is; both of one run, or the ratio means nothing."""
    return value / base if base else math.nan


def alternate(
    contestants: Mapping[K, Callable[[], Sequence[float]]], rounds: int = ROUNDS
) -> dict[K, list[list[float]]]:
    """Let each take its turn in every round: whatever disturbs the machine meets all of them.

    Each round begins with another contestant, so none always comes after the same one.
    """
    found: dict[K, list[list[float]]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name in turned(list(contestants), number):
            found[name].append(list(contestants[name]()))
    return found


def turned(names: Sequence[K], number: int) -> list[K]:
    """The names in their order, begun at another one for each number."""
    start = number % len(names) if names else 0
    return [*names[start:], *names[:start]]


def steady_rate(ends: Sequence[float], window: float) -> float:
    """Ends per second in the last whole ``window`` seconds; 0 where there are too few."""
    if len(ends) < 2:
        return 0.0
    ordered = sorted(ends)
    inside = [end for end in ordered if end >= ordered[-1] - window]
    took = inside[-1] - inside[0]
    return (len(inside) - 1) / took if took else 0.0
