"""A profile, read: which rooms and which functions take the time of an execution."""

from __future__ import annotations

import pstats
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

Function = tuple[str, int, str]
# Its name, calls, own milliseconds, milliseconds with callees.
Line = tuple[str, float, float, float]

_LIBRARY = re.compile(r"site-packages/([^/.]+)")
_OURS = re.compile(r"/(polos/[^/]+|benchmarks)[/.]")
_STANDARD = re.compile(r"/python3[^/]*/([^/.]+)")
_TOP = 30
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

    def top(self) -> list[Line]:
        """The functions with the most own time."""
        return self._lines(sorted(self._stats, key=lambda each: -self._stats[each][2])[:_TOP])

    def flow(self) -> list[Line]:
        """Our functions with the most time in all, callees counted."""
        ours = [function for function in self._stats if _OURS.search(function[0])]
        return self._lines(sorted(ours, key=lambda each: -self._stats[each][3])[:_TOP])

    def _lines(self, functions: Sequence[Function]) -> list[Line]:
        found = []
        for function in functions:
            _, calls, own, with_callees, _ = self._stats[function]
            each = [value / self._executions for value in (calls, own * 1000, with_callees * 1000)]
            found.append((_named(function), each[0], each[1], each[2]))
        return found


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
