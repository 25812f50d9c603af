"""Bars in time, to scale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from polos.cli.screens.glyphs import Glyphs
from polos.model.spans import Span
from polos.model.words import lasting


@dataclass(frozen=True, slots=True)
class Scale:
    """A stretch of time on so many cells."""

    start: datetime
    end: datetime
    cells: int

    @property
    def length(self) -> timedelta:
        """How long it is; never nothing."""
        return max(self.end - self.start, timedelta(milliseconds=1))

    def cell(self, then: datetime) -> float:
        """Where a moment is, in cells from the left."""
        place = (then - self.start) / self.length * self.cells
        return min(max(place, 0.0), float(self.cells))


def bar(spans: Iterable[Span], scale: Scale, glyphs: Glyphs) -> str:
    """Spans drawn over one another, each at least one cell long."""
    cells = [" "] * scale.cells
    for span in spans:
        first = min(int(scale.cell(span.start)), scale.cells - 1)
        last = scale.cells if span.end is None else round(scale.cell(span.end))
        for place in range(first, max(first + 1, last)):
            cells[place] = getattr(glyphs, span.part.value)
        if span.end is None:
            cells[-1] = glyphs.open
    return "".join(cells).rstrip()


def ruler(scale: Scale) -> str:
    """What stands above the bars: the start, the middle where there is room, and the end."""
    end = lasting(scale.length.total_seconds())
    middle = lasting(scale.length.total_seconds() / 2)
    if scale.cells < len(end) + 4:
        return end[: scale.cells]
    line = "0".ljust(scale.cells - len(end)) + end
    half = scale.cells // 2
    if half + len(middle) + 3 <= scale.cells - len(end) and half > 3:
        line = line[:half] + middle + line[half + len(middle) :]
    return line
