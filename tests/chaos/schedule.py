"""Which fault comes when: a pure function of the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

# A long run is to have more than 20 hits of each kind, of 600 s with some that hit nothing.
EVERY = 22.0
_FIRST = (2.0, EVERY)


@dataclass(frozen=True, slots=True, order=True)
class Blow:
    """One fault.

    Attributes:
        at: seconds after the start.
        seed: from which the fault draws whatever it has to choose.
    """

    at: float
    kind: str
    seed: int


def schedule(seed: int, seconds: float, kinds: Sequence[str], every: float = EVERY) -> list[Blow]:
    """All blows, earliest first; each kind comes about once in ``every`` seconds.

    What a kind gets does not depend on which other kinds there are.
    """
    blows: list[Blow] = []
    for kind in kinds:
        rng = random.Random(f"{seed} {kind}")
        at = rng.uniform(*_FIRST)
        while at < seconds:
            blows.append(Blow(round(at, 3), kind, rng.randrange(2**32)))
            at += every * rng.uniform(0.7, 1.3)
    return sorted(blows)
