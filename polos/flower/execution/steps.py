"""The steps of a page as people see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2s
from typing import Any

from polos import codec
from polos.flower.execution.values import Error, Value, error_of, made_error, value_of
from polos.model.inert import one_line
from polos.model.records import Child, Kind, Micros, as_datetime
from polos.model.spans import first_attempt
from polos.model.steps import StepRow
from polos.model.words import at, lasting
from polos.server.served import Served

KINDS = {
    Kind.TIMER.value: "wait",
    Kind.INVOKE.value: "start child",
    Kind.CHILD.value: "child",
    Kind.TASK.value: "Celery task",
}
# What takes no time of its own.
_INSTANT = frozenset({Kind.UUID.value, Kind.NOW.value, Kind.RANDOM.value})
# What has attempts.
_TRIED = frozenset({Kind.STEP.value, Kind.TASK.value, Kind.TRANSACTION.value})


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that failed before the last one."""

    number: int
    at: datetime
    error: Error
    again_at: datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        id: for the page's own elements; the same at each look.
        key: as it is, for addresses.
        name: the same for people.
        is_copied: whether a fork took it over, so that it is not of this execution's time.
        plain: the step as ``polos.model.spans`` takes it.
    """

    id: str
    key: str
    name: str
    kind: str
    status: str
    attempts: int
    started: datetime | None
    ended: datetime | None
    due: datetime | None
    took: str
    is_copied: bool
    plain: dict[str, Any]
    tried: tuple[Attempt, ...]
    input: Value | None
    value: Value | None
    error: Error | None
    child: Child | None
    target_id: str | None

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.ended is None

    @property
    def glance(self) -> str:
        """The beginning of what it came to, or was given; empty where there is nothing to see."""
        shown = self.value or self.input
        return shown.glance if shown else ""

    @property
    def has_more(self) -> bool:
        """Whether there is anything to unfold."""
        return any((self.input, self.value, self.error, self.tried, self.is_copied))

    @property
    def waits(self) -> str:
        """What an open step waits for, and until when."""
        until = f" until {at(self.due)}" if self.due else ""
        if self.status == "retrying":
            return f"Waits{until} for attempt {self.attempts + 1}."
        if self.kind == KINDS[Kind.TASK.value]:
            return f"Waits for a Celery task{', at most' + until if until else ''}."
        return f"Waits for its child{until}." if self.target_id else f"Waits{until}."


def step_of(served: Served, row: StepRow, begins: Micros) -> Step:
    """A step of an execution that began at a moment."""
    started, ended = _moment(row.started_at), _moment(row.ended_at)
    copied = row.ended_at is not None and row.ended_at < begins
    plain = _plain(row, started, ended)
    return Step(
        id=id_of(row.key),
        key=row.key,
        name=one_line(row.key),
        kind=KINDS.get(row.kind, one_line(row.kind)),
        status=row.status,
        attempts=row.attempts if row.kind in _TRIED else 0,
        started=started,
        ended=ended,
        due=_moment(row.due_at),
        took=_took(row, plain),
        is_copied=copied,
        plain=plain,
        tried=_tried(served, row, plain),
        input=value_of(served, row.input or row.payload),
        # A wait comes to nothing.
        value=None if row.kind == Kind.TIMER.value else value_of(served, row.value),
        error=error_of(served, row.failure),
        child=row.child,
        target_id=row.target_id,
    )


def id_of(key: str) -> str:
    """A short name for the elements of a step, whatever its key has in it."""
    return blake2s(key.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()


def _moment(moment: Micros | None) -> datetime | None:
    return None if moment is None else as_datetime(moment)


def _plain(row: StepRow, started: datetime | None, ended: datetime | None) -> dict[str, Any]:
    return {
        "key": row.key,
        "kind": row.kind,
        "status": row.status,
        "attempts": row.attempts,
        "started_at": started,
        "finished_at": ended,
        "due_at": _moment(row.due_at),
        "history": [
            {"at": _moment(it.at), "again_at": _moment(it.again_at)}
            for it in codec.decode_history(row.history)
        ],
        "child": row.child and plain_child(row.child),
    }


def plain_child(child: Child) -> dict[str, Any]:
    """A child as ``polos.model.spans`` takes it."""
    return {
        "status": child.status.value,
        "created_at": as_datetime(child.created_at),
        "started_at": _moment(child.started_at),
        "finished_at": _moment(child.finished_at),
    }


def _took(row: StepRow, plain: dict[str, Any]) -> str:
    started, ended = plain["started_at"], plain["finished_at"]
    if row.kind == Kind.INVOKE.value and plain["child"]:
        started, ended = plain["child"]["started_at"], plain["child"]["finished_at"]
    if started is None or ended is None or row.kind in _INSTANT:
        return ""
    return lasting((ended - started).total_seconds())


def _tried(served: Served, row: StepRow, plain: dict[str, Any]) -> tuple[Attempt, ...]:
    history = codec.decode_history(row.history)
    first = first_attempt(plain)
    return tuple(
        Attempt(
            number,
            as_datetime(it.at),
            made_error(served, it.error_type, it.reason),
            _moment(it.again_at),
        )
        for number, it in enumerate(history, first)
    )
