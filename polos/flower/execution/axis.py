"""Where moments lie on a chart, in percent of its width: to scale, or with long gaps shortened."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from polos.model.words import lasting

_LEAST = timedelta(milliseconds=1)
# Between two marks lies one of these, in seconds.
_STEPS = (
    *(base * 10.0**power for power in range(-3, 0) for base in (1, 2, 5)),
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10_800, 21_600, 43_200, 86_400),
)
_MARKS = 6
# A gap gets a mark of its own where it is at least so wide, in percent.
_WIDE = 9.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across the chart, or the middle of a shortened gap, with what is written there."""

    x: float
    text: str
    is_gap: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """A stretch of time.

    Attributes:
        moments: in their order, at least two.
        places: where each of them lies, from 0 to 100; between them it is to scale.
    """

    moments: tuple[datetime, ...]
    places: tuple[float, ...]

    def x(self, moment: datetime) -> float:
        """Where a moment lies; one outside at the nearer end."""
        if moment <= self.moments[0]:
            return 0.0
        if moment >= self.moments[-1]:
            return 100.0
        index = bisect_right(self.moments, moment)
        before, after = self.moments[index - 1], self.moments[index]
        left, right = self.places[index - 1], self.places[index]
        return left + (moment - before) / (after - before) * (right - left)

    @property
    def length(self) -> timedelta:
        """How long all of it is."""
        return self.moments[-1] - self.moments[0]

    def marks(self, origin: datetime) -> tuple[Mark, ...]:
        """What is written above the chart, as time since an origin."""
        if len(self.moments) > 2:
            return tuple(self._gaps())
        return tuple(self._even(origin))

    def _even(self, origin: datetime) -> Iterable[Mark]:
        wanted = self.length.total_seconds() / _MARKS
        step = next((it for it in _STEPS if it >= wanted), None)
        if step is None:
            step = math.ceil(wanted / 86_400) * 86_400.0
        begin = (self.moments[0] - origin).total_seconds()
        first = math.ceil(begin / step - 1e-9)
        end = (self.moments[-1] - origin).total_seconds()
        after = [it * step for it in range(first, math.floor(end / step + 1e-9) + 1)]
        texts = [lasting(it) for it in after]
        if len(set(texts)) < len(texts):
            # Late in a long execution they would all be the same.
            texts[1:] = [f"+{lasting(it - after[0])}" for it in after[1:]]
        for seconds, text in zip(after, texts, strict=True):
            yield Mark(self.x(origin + timedelta(seconds=seconds)), text)

    def _gaps(self) -> Iterable[Mark]:
        pairs = zip(self.moments, self.moments[1:], self.places, self.places[1:], strict=False)
        for before, after, left, right in pairs:
            if right - left >= _WIDE:
                text = lasting((after - before).total_seconds())
                yield Mark((left + right) / 2, text, is_gap=True)


def to_scale(begin: datetime, end: datetime) -> Axis:
    """All to one scale."""
    return Axis((begin, max(end, begin + _LEAST)), (0.0, 100.0))


def by_order(moments: Sequence[datetime]) -> Axis:
    """Each stretch between two moments as wide as the logarithm of its length."""
    ordered = sorted(set(moments))
    if len(ordered) < 2:
        return to_scale(ordered[0], ordered[0])
    gaps = [
        (after - before).total_seconds()
        for before, after in zip(ordered, ordered[1:], strict=False)
    ]
    # Half of all stretches stay about to scale among themselves.
    usual = max(sorted(gaps)[len(gaps) // 2], 1e-4)
    widths = [math.log1p(gap / usual) for gap in gaps]
    total, at = sum(widths), 0.0
    places = [0.0]
    for width in widths:
        at += width
        places.append(100 * at / total)
    places[-1] = 100.0
    return Axis(tuple(ordered), tuple(places))
