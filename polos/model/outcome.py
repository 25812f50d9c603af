"""How an attempt ends: one of five values, committed in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from polos.model.records import SECOND, Failure, Micros, Wait


@dataclass(frozen=True, slots=True)
class Completed:
    """The function returned.

    Attributes:
        result: the encoded result.
    """

    result: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The function raised, or its time was over.

    Attributes:
        with_children: whether its open children are cancelled.
    """

    failure: Failure
    with_children: bool = False


@dataclass(frozen=True, slots=True)
class TriedAgain:
    """The function raised, and the whole of it is tried again.

    Attributes:
        wake_at: when.
        reason: for people; it goes with messages, so it doesn't say what the error said.
    """

    failure: Failure
    wake_at: Micros
    reason: str


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


Outcome = Completed | Failed | TriedAgain | Parked | Cancelled


def timed_out(run_timeout: Micros | None) -> Failure:
    """What an execution fails with whose run timeout, in microseconds, is over."""
    limit = "" if run_timeout is None else f" of {run_timeout / SECOND:g} s"
    return Failure(f"it did not end within its run timeout{limit}", "ExecutionTimedOut")
