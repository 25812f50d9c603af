"""What ``make bench`` runs: scenes, each by a name, all with the same options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import FOLDER, ROOT
from benchmarks.figures import ROUNDS

RESULTS = ROOT / "docs" / "benchmarks"
SMOKE_RESULTS = FOLDER / "smoke"


@dataclass(frozen=True)
class Options:
    """What the command was given.

    Attributes:
        rounds: of alternating measurements; medians are published of 5 and more.
        smoke: sizes so small that the figures mean nothing: does every program still run?
        only: the contestants that take part; all when empty.
        results: where tables, plots and raw figures go.
    """

    rounds: int = ROUNDS
    smoke: bool = False
    only: tuple[str, ...] = ()
    results: Path = RESULTS


@dataclass(frozen=True)
class Scene:
    """One subject with its tables.

    Attributes:
        summary: what it answers, in one line.
        on_request: whether it plays only when it is named, as it takes long.
    """

    name: str
    summary: str
    run: Callable[[Options], None]
    on_request: bool = False


def line(text: str = "") -> None:
    """Say something at once, also into a pipe."""
    print(text, flush=True)
