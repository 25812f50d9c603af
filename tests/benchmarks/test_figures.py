"""Statistics of samples."""

from __future__ import annotations

import math

import pytest

from benchmarks.figures import (
    alternate,
    of_rounds,
    percentile,
    ratio,
    steady_rate,
    summarize,
    turned,
)


def test_percentiles_are_samples() -> None:
    samples = [float(number) for number in range(1, 201)]
    assert percentile(samples, 0.99) == 198
    assert percentile(samples, 0.5) == 100
    assert percentile([5.0, 7.0], 0.99) == 7


def test_figures() -> None:
    figures = summarize([3.0, 1.0, 2.0, 10.0])
    assert (figures.count, figures.median, figures.p99) == (4, 2.5, 10.0)
    assert (figures.least, figures.most) == (1.0, 10.0)


def test_one_disturbed_round_does_not_move_the_median() -> None:
    quiet = [[1.0, 1.1, 1.2]] * 4
    figures = of_rounds([*quiet, [50.0] * 30])
    assert figures.median == pytest.approx(1.1)
    assert (figures.count, figures.most) == (42, 50.0)


def test_a_ratio_to_nothing_is_no_number() -> None:
    assert ratio(3, 2) == 1.5
    assert math.isnan(ratio(3, 0))


def test_rounds_alternate_and_begin_with_another_contestant_each() -> None:
    turns: list[str] = []

    def turn(name: str) -> list[float]:
        turns.append(name)
        return [len(turns)]

    found = alternate({name: lambda name=name: turn(name) for name in "abc"}, rounds=3)
    assert "".join(turns) == "abcbcacab"
    assert found["a"] == [[1], [6], [8]]
    assert turned([], 4) == []


def test_the_steady_rate_is_that_of_the_last_window() -> None:
    slow = [float(second) for second in range(10)]
    fast = [10 + number / 10 for number in range(51)]
    assert steady_rate(slow + fast, 5) == pytest.approx(10)
    assert steady_rate([1.0], 5) == 0
