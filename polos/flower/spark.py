"""A day as a row of small bars, and in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from polos.model.records import Micros, as_datetime
from polos.model.words import counted

WIDTH, HEIGHT = 120, 28
_BAR = WIDTH // 24
# That of the line that draws one, as the style sheet has it.
_WIDE = 4


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour.

    Attributes:
        x: where it begins.
        height: of what was started in it; 0 for nothing.
        failed: the height of what failed in it.
    """

    x: int
    height: float
    failed: float


def bars(started: Sequence[int], failed: Sequence[int]) -> list[Bar]:
    """The bars of a day, the highest as high as there is place."""
    most = max([*started, *failed, 1])

    def height(number: int) -> float:
        # Also one among thousands is to be seen.
        return max(round(number / most * HEIGHT, 1), 1.5) if number else 0.0

    pairs = zip(started, failed, strict=True)
    return [Bar(n * _BAR, height(s), height(f)) for n, (s, f) in enumerate(pairs)]


def outline(heights: Iterable[tuple[int, float]]) -> str:
    """Bars as one line of SVG, from where each begins and its height: a page has thousands."""
    return "".join(f"M{x + _WIDE // 2} {HEIGHT}v-{round(it)}" for x, it in heights if it)


def in_words(started: Sequence[int], failed: Sequence[int], now: Micros) -> str:
    """What the bars show, for those who don't see them."""
    if not any(started) and not any(failed):
        return "Nothing was started in the last 24 hours"
    most = max(started)
    hour = as_datetime(now) - timedelta(hours=len(started) - started.index(most))
    text = f"{counted(sum(started), 'start')} in 24 hours, at most {most:,} in an hour"
    text += f", from {hour:%H:%M} UTC on" if most else ""
    return f"{text}; {sum(failed):,} failed"
