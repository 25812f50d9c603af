"""What is measured of a project, for a monitoring system."""

from __future__ import annotations

from dataclasses import dataclass, field

from polos.model.facts import DueWork, SeenWorker
from polos.model.records import Micros

# Upper bounds in seconds: from a quick step to a wait of a month.
BOUNDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 3600, 86_400, 604_800, 2_592_000)


@dataclass(frozen=True, slots=True)
class Spread:
    """How durations are spread.

    Attributes:
        counts: how many were no longer than each of ``BOUNDS``, those of the ones before included.
        number: how many there are.
        seconds: their sum.
        retries: of steps, how often they were tried again.
    """

    counts: tuple[int, ...] = (0,) * len(BOUNDS)
    number: int = 0
    seconds: float = 0.0
    retries: int = 0

    def __add__(self, other: Spread) -> Spread:
        return Spread(
            tuple(one + two for one, two in zip(self.counts, other.counts, strict=True)),
            self.number + other.number,
            self.seconds + other.seconds,
            self.retries + other.retries,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """What ended within a span of time.

    Attributes:
        executions: how long those of each (workflow, status) took from their creation.
        steps: how long their steps of each (workflow, kind) took.
    """

    executions: dict[tuple[str, str], Spread] = field(default_factory=dict)
    steps: dict[tuple[str, str], Spread] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Present:
    """How a project stands at a moment.

    Attributes:
        open: how many executions of each (workflow, status) have not ended.
        due: what could run now, and nobody has claimed.
        unstarted: when the oldest was created that no worker has taken yet.
    """

    now: Micros
    open: dict[tuple[str, str], int]
    due: tuple[DueWork, ...]
    workers: tuple[SeenWorker, ...]
    unstarted: Micros | None = None
