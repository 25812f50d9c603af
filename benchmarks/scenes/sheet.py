"""The table of a scene: ours, what it stands beside, their ratio, and the goal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks import machine, report
from benchmarks.figures import Figures, ratio
from benchmarks.scene import Options, line

HEAD = ("", "unit", "ours", "p99", "beside it", "its", "ratio", "goal", "met")


@dataclass(frozen=True)
class Goal:
    """A bound for the ratio, or for the figure itself.

    Attributes:
        limit: the bound.
        most: whether it is an upper one.
        of_ratio: whether the ratio is meant.
    """

    limit: float
    most: bool = True
    of_ratio: bool = True

    def __str__(self) -> str:
        what = "ratio" if self.of_ratio else "ours"
        return f"{what} {'≤' if self.most else '≥'} {self.limit:g}"

    def met(self, row: Row) -> bool:
        """Whether a row keeps it."""
        found = row.ratio if self.of_ratio else row.ours.median
        return found is not None and (found <= self.limit if self.most else found >= self.limit)


@dataclass(frozen=True)
class Row:
    """One figure of ours.

    Attributes:
        beside: what the other figure is, a floor or another way to do the same.
    """

    what: str
    unit: str
    ours: Figures
    beside: str = ""
    other: Figures | None = None
    goal: Goal | None = None

    @property
    def ratio(self) -> float | None:
        """Of the medians."""
        return None if self.other is None else ratio(self.ours.median, self.other.median)

    def cells(self) -> list[object]:
        """As the table shows it."""
        its = None if self.other is None else self.other.median
        goal, met = "", ""
        if self.goal is not None:
            goal, met = str(self.goal), "yes" if self.goal.met(self) else "no"
        shown = [self.what, self.unit, self.ours.median, self.ours.p99]
        return [*shown, self.beside, its, self.ratio, goal, met]

    def called(self, what: str) -> Row:
        """The same under another name, as one of several; without a goal."""
        return replace(self, what=what, goal=None)

    def raw(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "ratio": self.ratio, "goal": str(self.goal or "")}


def scaled(figures: Figures, factor: float) -> Figures:
    """The same in another unit."""
    parts = {name: value * factor for name, value in asdict(figures).items() if name != "count"}
    return Figures(count=figures.count, **parts)


def one(value: float) -> Figures:
    """A figure that was measured once."""
    return Figures(1, value, value, value, value)


def publish(
    options: Options,
    name: str,
    rows: Sequence[Row],
    *,
    text: str = "",
    raw: Mapping[str, Any] | None = None,
) -> None:
    """Print the table, and write it with its raw figures.

    Args:
        text: markdown below the table.
        raw: more for the JSON.
    """
    table = report.table(HEAD, [row.cells() for row in rows])
    about = machine.describe()
    line(table + (f"\n{text}" if text else ""))
    head = f"# {name}\n\n{machine.caption(about)}; load {machine.load():.1f}.\n\n"
    found = {"machine": about, "load": machine.load(), "rounds": options.rounds}
    found |= {"rows": [row.raw() for row in rows], **(raw or {})}
    report.write(options.results, name, f"{head}{table}\n{text}".rstrip() + "\n", found)
