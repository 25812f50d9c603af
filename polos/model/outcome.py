"""How an attempt ends: one of four values, committed in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from polos.model.records import Failure, Micros, Wait


@dataclass(frozen=True, slots=True)
class Completed:
    """The function returned.

    Attributes:
        result: the encoded result.
    """

    result: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The function raised."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Parked:
    """Everything in the function waits.

    Attributes:
        waits: what it waits for and is not stored yet.
        settled: keys of stored waits that are over.
        wake_at: the earliest time among them; None when only others can wake it.
        wakeups: the count that this attempt has seen.
        reason: for people, such as ``waiting for 'cooldown' until 12:00:03 UTC``.
        pace: seconds before which the end of one child of many is not worth a wake-up; the end of
            the last one always is.
    """

    waits: tuple[Wait, ...]
    settled: tuple[str, ...]
    wake_at: Micros | None
    wakeups: int
    reason: str
    pace: float = 0.0


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The function was cancelled from outside and has cleaned up."""


Outcome = Completed | Failed | Parked | Cancelled
