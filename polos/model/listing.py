"""Lists of executions, page by page, and what is asked for; plain records, without payloads."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from polos.model.records import Micros
from polos.model.states import Status

MOST_ON_A_PAGE = 1000


def to_cursor(text: str) -> str:
    """A text as one that can stand in a URL."""
    data = text.encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def of_cursor(cursor: str) -> str:
    """The text of a cursor; raises ValueError where it is none."""
    padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True).decode("utf-8")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends: the last execution on it."""

    created_at: Micros
    id: str

    def to_cursor(self) -> str:
        """As text that can stand in a URL."""
        return to_cursor(f"{self.created_at}.{self.id}")

    @classmethod
    def of_cursor(cls, cursor: str) -> Place:
        """The place that ``to_cursor`` gave; raises ValueError on anything else."""
        try:
            created_at, _, id_ = of_cursor(cursor).partition(".")
            place = cls(Micros(int(created_at)), id_)
        except (AttributeError, TypeError, ValueError):
            place = None
        if place is None or not 0 <= place.created_at < 2**63 or place.to_cursor() != cursor:
            raise ValueError(
                f"{cursor!r} is no cursor; pass the next_cursor of a page, or leave it out"
            )
        return place


@dataclass(frozen=True, slots=True)
class ExecutionQuery:
    """Which executions are asked for; None means any, and conditions add up.

    Attributes:
        statuses: one of these; empty means any.
        created_after: not before this moment.
        created_before: before this moment.
        after: the place where the last page ended.
        limit: how many at most.
    """

    workflow_id: str | None = None
    statuses: tuple[Status, ...] = ()
    session_id: str | None = None
    user_id: str | None = None
    tag: str | None = None
    created_after: Micros | None = None
    created_before: Micros | None = None
    parent_execution_id: str | None = None
    after: Place | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class ExecutionSummary:
    """One execution in a list.

    Example::

        page = await client.list_executions(status="failed")
        for item in page.items:
            print(item.id, item.workflow_id, item.created_at)

    Attributes:
        id: its id.
        workflow_id: its workflow.
        status: how it stands.
        created_at: when it was written; like all times an aware datetime in UTC.
        started_at: when a worker first took it; None before.
        finished_at: when it ended; None before.
        wake_at: when it goes on by itself; None where only others can wake it, or it isn't waiting.
        cancel_requested_at: when somebody asked to cancel it, or its time was over.
        session_id: as given at the start.
        user_id: as given at the start.
        deployment_id: the label of the client that started it.
        queue: its Celery queue; None leaves that to Celery's routing.
        parent_execution_id: the execution whose step started it; None if no step did.
        root_execution_id: the execution at the top of its tree; None if it is itself at the top.
        forked_from: the execution whose steps it began with; None where it is no fork.
        attempts: how often a worker took it.
        retried: how often the whole of it was tried again.
        tags: as given at the start, sorted.
    """

    id: str
    workflow_id: str
    status: Status
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    wake_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    session_id: str | None = None
    user_id: str | None = None
    deployment_id: str | None = None
    queue: str | None = None
    parent_execution_id: str | None = None
    root_execution_id: str | None = None
    forked_from: str | None = None
    attempts: int = 0
    retried: int = 0
    tags: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON: times as ISO 8601 texts."""
        return {name: _plain(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class ExecutionPage:
    """Some executions of a list, newest first.

    Example::

        page = await client.list_executions(limit=100)
        while page.next_cursor:
            page = await client.list_executions(limit=100, cursor=page.next_cursor)

    Attributes:
        items: the executions.
        next_cursor: what to pass as ``cursor`` for those that follow; None where none do.
    """

    items: tuple[ExecutionSummary, ...]
    next_cursor: str | None = None


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Status):
        return value.value
    return list(value) if isinstance(value, tuple) else value
