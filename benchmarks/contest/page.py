"""The page that a contest ends in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import report
from benchmarks.contest import results
from benchmarks.contest.contestants import Contestant
from benchmarks.machine import Description


@dataclass(frozen=True)
class Told:
    """All that the page tells.

    Attributes:
        spread: how far the rounds of ours lie apart; 1 on a quiet machine.
    """

    found: Mapping[str, results.Figures]
    floor: results.Figures
    counted: Mapping[str, Mapping[str, float]]
    here: Sequence[Contestant]
    out: Mapping[str, str]
    machine: Description
    rounds: int
    minutes: float
    spread: float


def page(told: Told) -> str:
    """The page, in markdown."""
    goals = results.goals(told.found, told.floor, told.counted)
    settings = [[c.name, c.versions, c.settings] for c in told.here]
    parts = [
        "# Contest\n",
        f"Written by `make bench ARGS=contest`: medians of {told.rounds} alternating rounds in "
        f"{told.minutes:.0f} minutes. How it is done and how to read it: "
        "[benchmarks](../../benchmarks/README.md).\n",
        f"The slowest round of Polos took {report.number(told.spread)} times the fastest one.\n",
        "![Bars of the tables below](contest.svg)\n",
        "## Contestants\n",
        "Workflows of no-op steps. In brackets: how many times the value of Polos.\n",
        results.contest_table(told.found),
        "## Floors, measured in the same rounds\n",
        results.floors_table(told.floor),
        "## Goals\n",
        results.goals_table(goals),
        "## Counted by the servers, for one queued execution of 10 steps\n",
        results.counts_table(told.counted),
        "A transaction that only reads counts as well. WAL syncs are the whole server's, and one "
        "can serve two connections.\n",
        "## Versions and settings\n",
        _words(["", "version", "settings"], settings),
    ]
    if told.out:
        left = [[name, reason] for name, reason in told.out.items()]
        parts += ["## Left out\n", _words(["", "reason"], left)]
    parts += ["## Machine\n", report.named(told.machine)]
    return "\n".join(parts)


def _words(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return report.table(head, rows).replace("---:", "---")
