"""A profile, read: which rooms and which functions take the time of an execution."""

from __future__ import annotations

import pstats
import re
from collections import Counter
from pathlib import Path

Function = tuple[str, int, str]

_LIBRARY = re.compile(r"site-packages/([^/.]+)")
_OURS = re.compile(r"/(polos/[^/]+|benchmarks)[/.]")
_STANDARD = re.compile(r"/python3[^/]*/([^/.]+)")
_TOP = 40
# Of all: rooms below are left out.
_LEAST = 0.005


class Profile:
    """What a file of cProfile says, in milliseconds for each execution.

    Args:
        file: of ``dump_stats``.
        executions: how many ran meanwhile.
    """

    def __init__(self, file: Path, executions: int) -> None:
        self._executions = executions
        # Typed as nothing in typeshed: (calls, primitive calls, own time, cumulative, callers).
        self._stats = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]
        self.total = sum(entry[2] for entry in self._stats.values()) * 1000 / executions

    def rooms(self) -> Counter[str]:
        """Own time by package; what is built in counts as its callers'."""
        found: Counter[str] = Counter()
        for function, (_, _, own, _, callers) in self._stats.items():
            if function[0] != "~":
                found[_room(function)] += own * 1000 / self._executions
                continue
            for caller, (_, _, share, _) in callers.items():
                found[_room(caller)] += share * 1000 / self._executions
        return found

    def beside(self, other: Profile) -> list[tuple[str, float, float]]:
        """The rooms that take most, with what they take in another profile."""
        ours, others = self.rooms(), other.rooms()
        most = [(name, ms, others[name]) for name, ms in ours.most_common()]
        return [row for row in most if row[1] > self.total * _LEAST]

    def top(self) -> list[tuple[str, float, float, float]]:
        """The functions with the most own time: calls, own and cumulative milliseconds."""
        ordered = sorted(self._stats.items(), key=lambda item: -item[1][2])
        return [
            (
                _named(function),
                entry[1] / self._executions,
                entry[2] * 1000 / self._executions,
                entry[3] * 1000 / self._executions,
            )
            for function, entry in ordered[:_TOP]
        ]


def _room(function: Function) -> str:
    file = function[0]
    for pattern in (_LIBRARY, _OURS, _STANDARD):
        if found := pattern.search(file):
            return found[1]
    return "built in" if file == "~" else file


def _named(function: Function) -> str:
    file, number, name = function
    if file == "~":
        return name
    return f"{'/'.join(Path(file).parts[-2:])}:{number} {name}"
