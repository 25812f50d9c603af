"""A day of each workflow in figures; plain records."""

from __future__ import annotations

from dataclasses import dataclass

from polos.model.finding import Count
from polos.model.records import Micros


@dataclass(frozen=True, slots=True)
class Lasted:
    """How long the executions of a workflow took that completed, from their start to their end.

    Attributes:
        p50: seconds; half of them took no longer.
        p95: seconds; 95 in 100 took no longer.
    """

    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Due:
    """Executions of one workflow that could run now and that no worker has claimed.

    Attributes:
        oldest: when the oldest of them was due.
    """

    count: Count
    oldest: Micros


@dataclass(frozen=True, slots=True)
class FlowDay:
    """The last 24 hours of one workflow.

    Attributes:
        started: how many were created.
        ended: how many ended, in any way.
        failed: how many of those failed.
        by_hour: how many were created in each of the 24 hours, the oldest first.
        failed_by_hour: how many failed in each of them.
        lasted: None where none completed.
        due: None where none is.
        workers: the names of the workers that have it now.
    """

    workflow_id: str
    started: int = 0
    ended: int = 0
    failed: int = 0
    by_hour: tuple[int, ...] = (0,) * 24
    failed_by_hour: tuple[int, ...] = (0,) * 24
    lasted: Lasted | None = None
    due: Due | None = None
    workers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Day:
    """The last 24 hours of a project.

    Attributes:
        now: the database's time when it was looked at.
        flows: its workflows, by their ids.
        created_since: from when on all that was created was looked at; later than a day ago where
            there was too much.
        ended_since: the same of what ended.
        due_beyond: whether more may be due than was looked at.
    """

    now: Micros
    flows: tuple[FlowDay, ...]
    created_since: Micros
    ended_since: Micros
    due_beyond: bool = False
