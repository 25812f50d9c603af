"""The contest's tables: figures of each contestant, its ratio to ours, and the goals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import report
from benchmarks.contest.measuring import Samples
from benchmarks.figures import of_rounds, ratio
from benchmarks.plot import Panel

OURS = "polos"
MISSING = math.nan

Rounds = dict[str, list[list[float]]]


@dataclass(frozen=True)
class Column:
    """One figure of every contestant.

    Attributes:
        more: whether more of it is better.
    """

    name: str
    title: str
    unit: str
    more: bool = False


COLUMNS = (
    Column("p50_10", "10 steps, p50", "ms"),
    Column("p50_100", "100 steps, p50", "ms"),
    Column("one_more", "one more step", "ms"),
    Column("rate_1", "300 queued, 1 process", "/s", more=True),
    Column("rate_2", "300 queued, 2 processes", "/s", more=True),
    Column("deep", "10,000 queued, 2 processes", "/s", more=True),
    Column("late_p50", "a wait's lateness, p50", "ms"),
    Column("late_p99", "lateness, p99", "ms"),
    Column("late_least", "lateness, least", "ms"),
)
_PLOTTED = ("p50_10", "p50_100", "rate_1", "rate_2", "deep", "late_p50")

Figures = dict[str, float]


def add(rounds: Rounds, samples: Samples) -> None:
    """Put the samples of one more round to those before."""
    for name, values in samples.items():
        rounds.setdefault(name, []).append(values)


def figures(rounds: Rounds) -> Figures:
    """What a contestant's samples come to; what was not measured is missing."""
    found: Figures = {}
    for steps in (10, 100):
        if any(rounds.get(f"latency_{steps}", ())):
            found[f"p50_{steps}"] = 1000 * of_rounds(rounds[f"latency_{steps}"]).median
    if "p50_10" in found and "p50_100" in found:
        found["one_more"] = (found["p50_100"] - found["p50_10"]) / 90
    for name in ("rate_1", "rate_2", "deep"):
        if any(rounds.get(name, ())):
            found[name] = of_rounds(rounds[name]).median
    if any(rounds.get("late", ())):
        late = of_rounds(rounds["late"])
        found["late_p50"], found["late_p99"] = 1000 * late.median, 1000 * late.p99
        found["late_least"] = 1000 * late.least
    return found


def floors(rounds: Rounds) -> Figures:
    """What the plainest code reaches, and what n + 3 commits and one round trip come to, in ms."""
    found = {}
    for name in ("task", "insert", "sqlite_insert"):
        found[name] = 1000 * of_rounds(rounds[name]).median if name in rounds else MISSING
    for name in ("task_rate", "insert_rate_1", "insert_rate_2"):
        found[name] = of_rounds(rounds[name]).median if name in rounds else MISSING
    for steps in (10, 100):
        found[f"floor_{steps}"] = (steps + 3) * found["insert"] + found["task"]
    return found


def contest_table(found: Mapping[str, Figures]) -> str:
    """A row for each contestant; in brackets how many times ours it is."""
    ours = found.get(OURS, {})
    rows = []
    for name, theirs in found.items():
        cells = [_cell(theirs.get(x.name), ours.get(x.name), name) for x in COLUMNS]
        rows.append([name, *cells])
    return report.table(["", *(f"{x.title}, {x.unit}" for x in COLUMNS)], rows)


def _cell(value: float | None, ours: float | None, name: str) -> str:
    if value is None or ours is None or name == OURS or ours <= 0 or value <= 0:
        return report.number(value)
    return f"{report.number(value)} (×{report.number(ratio(value, ours))})"


def floors_table(found: Figures) -> str:
    """The floors in words."""
    return report.table(
        ["floor", "median"],
        [
            ["one Celery no-op task and its result, round trip, ms", found["task"]],
            ["Celery no-op tasks with results, 2 processes, /s", found["task_rate"]],
            ["PostgreSQL insert and commit, ms", found["insert"]],
            ["PostgreSQL inserts, one connection, /s", found["insert_rate_1"]],
            ["PostgreSQL inserts, two connections, /s", found["insert_rate_2"]],
            ["SQLite insert and commit, WAL, synchronous=FULL, ms", found["sqlite_insert"]],
            ["10 steps: 13 commits and one Celery round trip, ms", found["floor_10"]],
            ["100 steps: 103 commits and one Celery round trip, ms", found["floor_100"]],
        ],
    )


@dataclass(frozen=True)
class Goal:
    """A value to reach.

    Attributes:
        most: whether it may be at most the limit; at least it, otherwise.
    """

    title: str
    value: float
    limit: float
    most: bool = True

    @property
    def verdict(self) -> str:
        """Met, missed, or that it was not measured."""
        if math.isnan(self.value):
            return "not measured"
        met = self.value <= self.limit if self.most else self.value >= self.limit
        return "met" if met else "**missed**"


def goals(
    found: Mapping[str, Figures], floor: Figures, counted: Mapping[str, Mapping[str, float]]
) -> list[Goal]:
    """What the contest can judge."""
    ours = found.get(OURS, {})

    def times(name: str, base: str) -> float:
        return ratio(ours.get(name, MISSING), found.get(base, {}).get(name, MISSING))

    made = [
        Goal("10 steps p50, times dbos", times("p50_10", "dbos"), 0.5),
        Goal("10 steps p50, times a Celery chain", times("p50_10", "celery chain"), 0.5),
        Goal("10 steps p50, times its floor", _to_floor(ours, floor, 10), 1.6),
        Goal("100 steps p50, times dbos", times("p50_100", "dbos"), 0.4),
        Goal("100 steps p50, times its floor", _to_floor(ours, floor, 100), 1.7),
    ]
    for name, queued in (("rate_2", "300"), ("deep", "10,000")):
        for base, limit in (("dbos", 4.0), ("celery chain", 3.0), ("absurd", 1.3)):
            title = f"{queued} queued, 2 processes, rate, times {base}"
            made.append(Goal(title, times(name, base), limit, most=False))
    return [
        *made,
        Goal("a wait's lateness, p50, ms", ours.get("late_p50", MISSING), 15),
        Goal("a wait's lateness, p99, ms", ours.get("late_p99", MISSING), 100),
        Goal("never early: least lateness, ms", ours.get("late_least", MISSING), 0, most=False),
        # A commit in two hundred is the sweep's, or the opening of a connection.
        Goal(
            "commits of an execution of 10 steps",
            counted.get(OURS, {}).get("commits", MISSING),
            13.5,
        ),
    ]


def goals_table(wanted: Sequence[Goal]) -> str:
    """Each goal, what was measured, and whether that reaches it."""
    rows = [
        [x.title, f"{'≤' if x.most else '≥'} {report.number(x.limit)}", x.value, x.verdict]
        for x in wanted
    ]
    return report.table(["goal", "to reach", "measured", ""], rows)


def counts_table(counted: Mapping[str, Mapping[str, float]]) -> str:
    """Commits, rows and messages of one execution."""
    shown = {
        "commits": "PostgreSQL transactions",
        "written": "rows written",
        "wal_syncs": "WAL syncs",
        "redis commands": "Redis commands",
        "redis lpush": "messages (LPUSH)",
    }
    rows = [
        [
            name,
            *(float(x.get(key, 0)) for key in shown),
            x.get("cpu microseconds", 0) / 1000,
        ]
        for name, x in counted.items()
    ]
    return report.table(["", *shown.values(), "CPU time of the workers, ms"], rows)


def panels(found: Mapping[str, Figures], floor: Figures) -> list[Panel]:
    """The plot's parts: ours first, then the others, then the floor."""
    made = []
    for column in COLUMNS:
        bars = [(name, x[column.name]) for name, x in found.items() if x.get(column.name, 0) > 0]
        if column.name not in _PLOTTED or not bars or bars[0][0] != OURS:
            continue
        limit = floor.get(column.name.replace("p50", "floor"))
        limits = [("floor", limit)] if limit else []
        better = "more is better" if column.more else "less is better"
        made.append(Panel(f"{column.title}: {better}", column.unit, (*bars, *limits), ("floor",)))
    return made


def spread(rounds: Rounds) -> float:
    """The largest median of a round over the smallest, of 10 steps: 1 on a quiet machine."""
    medians = [statistics.median(samples) for samples in rounds.get("latency_10", ()) if samples]
    return ratio(max(medians), min(medians)) if medians else MISSING


def _to_floor(ours: Figures, floor: Figures, steps: int) -> float:
    return ratio(ours.get(f"p50_{steps}", MISSING), floor.get(f"floor_{steps}", MISSING))
