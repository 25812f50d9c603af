"""The states of an execution and the one table of what may follow what.

The store takes the ``WHERE status IN …`` of every change from here, the diagram in
``docs/states.md`` is drawn from it, and a test tries every state with every transition.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Where an execution stands."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in ENDED


ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True, slots=True)
class Transition:
    """One permitted change of state.

    Attributes:
        name: what the change is called, a verb.
        sources: the states it may start from.
        target: the state that it leads to.
        fenced: whether only the holder of the lease may make it.
    """

    name: str
    sources: frozenset[Status]
    target: Status
    fenced: bool


def _transition(name: str, sources: set[Status], target: Status, *, fenced: bool) -> Transition:
    return Transition(name, frozenset(sources), target, fenced)


_OPEN = {Status.QUEUED, Status.WAITING}

CLAIM = _transition("claim", _OPEN, Status.RUNNING, fenced=False)
PARK = _transition("park", {Status.RUNNING}, Status.WAITING, fenced=True)
RELEASE = _transition("release", {Status.RUNNING}, Status.QUEUED, fenced=True)
COMPLETE = _transition("complete", {Status.RUNNING}, Status.COMPLETED, fenced=True)
FAIL = _transition("fail", {Status.RUNNING}, Status.FAILED, fenced=True)
END_CANCELLED = _transition("end as cancelled", {Status.RUNNING}, Status.CANCELLED, fenced=True)
WAKE = _transition("wake", {Status.WAITING}, Status.QUEUED, fenced=False)
RECLAIM = _transition("reclaim", {Status.RUNNING}, Status.QUEUED, fenced=False)
# Also one that another worker had just taken back from the dead process.
GIVE_UP = _transition("give up", {Status.RUNNING, Status.QUEUED}, Status.FAILED, fenced=False)
CANCEL = _transition("cancel", _OPEN, Status.CANCELLED, fenced=False)
REVOKE = _transition("revoke", {*_OPEN, Status.RUNNING}, Status.CANCELLED, fenced=False)
TIME_OUT = _transition("time out", {Status.RUNNING, *_OPEN}, Status.FAILED, fenced=False)
TRY_AGAIN = _transition("try again", {Status.RUNNING}, Status.WAITING, fenced=True)
RETRY = _transition("retry", {Status.FAILED}, Status.QUEUED, fenced=False)
# A failed child is tried again together with its parent, and after the same pause.
RETRY_LATER = _transition("retry later", {Status.FAILED}, Status.WAITING, fenced=False)

TRANSITIONS: tuple[Transition, ...] = (
    CLAIM,
    PARK,
    RELEASE,
    COMPLETE,
    FAIL,
    END_CANCELLED,
    WAKE,
    RECLAIM,
    GIVE_UP,
    CANCEL,
    REVOKE,
    TIME_OUT,
    TRY_AGAIN,
    RETRY,
    RETRY_LATER,
)
