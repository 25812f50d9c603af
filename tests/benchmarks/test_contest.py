"""What the contest makes of samples, and of what workflows wrote down."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.contest import results
from benchmarks.contest.arena import Ledger
from benchmarks.contest.contestants import ALL, POLOS


def test_a_ledger_tells_the_first_time_of_each_execution(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_text("begin a 1.0\nbegin b 2.0\nbegin a 3.0\nend a 4.5\nend b 4.0\nend c 9")
    ledger = Ledger(path)
    assert ledger.times("begin") == [1.0, 2.0]
    assert ledger.marks("begin") == [1.0, 2.0, 3.0]
    assert sorted(ledger.spans("begin", "end")) == [2.0, 3.5]  # c's line is not whole yet


def test_a_ledger_forgets_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger(path)
    ledger.forget()
    path.write_text("end a 1.0\n")
    ledger.forget()
    with path.open("a") as file:
        file.write("end b 2.0\n")
    assert ledger.marks("end") == [2.0]


def test_figures_of_a_contestant() -> None:
    rounds: results.Rounds = {}
    for tenth in (10.0, 11.0, 50.0):
        results.add(rounds, {"latency_10": [tenth / 1000], "latency_100": [0.1], "rate_2": [5]})
    results.add(rounds, {"late": [0.002, 0.004]})
    found = results.figures(rounds)
    assert found["p50_10"] == pytest.approx(11)
    assert found["one_more"] == pytest.approx((100 - 11) / 90)
    assert found["rate_2"] == 5
    assert found["late_least"] == pytest.approx(2)
    assert "rate_1" not in found


def test_the_floor_of_n_steps_is_its_commits_and_a_round_trip() -> None:
    samples = {"task": [0.002], "insert": [0.0005], "sqlite_insert": [0.0001]}
    rounds = {name: [values] for name, values in samples.items()}
    found = results.floors(rounds)
    assert found["floor_10"] == pytest.approx(13 * 0.5 + 2)
    assert found["floor_100"] == pytest.approx(103 * 0.5 + 2)
    assert math.isnan(found["task_rate"])


def test_goals_are_met_missed_or_not_measured() -> None:
    found = {"polos": {"p50_10": 9.0, "rate_2": 100.0}, "dbos": {"p50_10": 20.0, "rate_2": 30.0}}
    judged = {x.title: x.verdict for x in results.goals(found, {"floor_10": 6.0}, {})}
    assert judged["10 steps p50, times dbos"] == "met"
    assert judged["300 queued, 2 processes, rate, times dbos"] == "**missed**"
    assert judged["10 steps p50, times its floor"] == "met"
    assert judged["10 steps p50, times a Celery chain"] == "not measured"
    assert judged["commits of an execution of 10 steps"] == "not measured"


def test_the_table_has_ratios_to_ours() -> None:
    found = {"polos": {"p50_10": 10.0}, "dbos": {"p50_10": 25.0}}
    table = results.contest_table(found)
    assert "| polos | 10.0 |" in table
    assert "| dbos | 25.0 (×2.50) |" in table


def test_every_contestant_says_how_it_is_run() -> None:
    assert ALL[0] is POLOS
    assert len({contestant.name for contestant in ALL}) == len(ALL)
    for contestant in ALL:
        assert Path(contestant.program).is_file()
        assert contestant.settings
        pins = contestant.environment.packages if contestant.environment else ()
        assert all("==" in pin for pin in pins)
