"""A scene's table: ratios, goals, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.figures import Figures
from benchmarks.scene import Options
from benchmarks.scenes.queued import rate
from benchmarks.scenes.sheet import Goal, Row, one, publish, scaled


def test_a_goal_bounds_the_ratio_or_the_figure_from_above_or_below() -> None:
    row = Row("start", "ms", one(16.0), "floor", one(10.0))

    assert Goal(1.6).met(row)
    assert not Goal(1.5).met(row)
    assert Goal(1.5, most=False).met(row)
    assert Goal(16, of_ratio=False).met(row)
    assert not Goal(17, most=False, of_ratio=False).met(row)


def test_a_ratio_that_was_not_measured_meets_no_goal() -> None:
    assert not Goal(1.6).met(Row("start", "ms", one(16.0)))


def test_scaling_leaves_the_count_alone() -> None:
    assert scaled(Figures(3, 1.0, 2.0, 0.5, 2.0), 1000) == Figures(3, 1000.0, 2000.0, 500.0, 2000.0)


def test_a_rate_is_of_the_time_between_the_first_end_and_the_last() -> None:
    assert rate([10.0, 12.0, 11.0]) == 1.0


def test_a_table_and_its_raw_figures_are_written(tmp_path: Path) -> None:
    row = Row("start", "ms", one(16.0), "floor", one(10.0), Goal(1.5))

    publish(Options(results=tmp_path), "scene", [row], text="More.", raw={"extra": 1})

    written = (tmp_path / "scene.md").read_text()
    assert "| start | ms | 16.0 | 16.0 | floor | 10.0 | 1.60 | ratio ≤ 1.5 | no |" in written
    assert written.endswith("\nMore.\n")
    raw = json.loads((tmp_path / "scene.json").read_text())
    assert raw["extra"] == 1
    assert raw["rows"][0]["ratio"] == 1.6
