"""What is measured of a project: what it has open, and how long what ended has taken."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Integer, bindparam, case, cast, func, select
from sqlalchemy import literal_column as literal

from polos.model.measures import BOUNDS, Ended, Present, Spread
from polos.model.records import SECOND, Micros, micros
from polos.model.states import Status
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.overview import due_work, seen_workers
from polos.store.schema import IS_LISTED, checkpoints
from polos.store.schema import executions as table
from polos.store.unindexed import of_project

_number = func.count().label("number")


def _open(status: Status, indexed: ColumnElement[bool]) -> Any:
    """Counts by workflow, in the words of the index that has those of this status."""
    return (
        select(table.c.workflow_id, _number)
        .where(of_project(), table.c.status == status.value, indexed)
        .group_by(table.c.workflow_id)
    )


_OPEN = {
    Status.QUEUED: _open(Status.QUEUED, table.c.dispatch_at.is_not(None)),
    Status.RUNNING: _open(Status.RUNNING, table.c.lease_expires_at.is_not(None)),
    Status.WAITING: select(table.c.workflow_id, _number)
    .where(
        table.c.project_id == bindparam("project"),
        table.c.status == Status.WAITING.value,
        literal(f"{table.name}.{IS_LISTED}"),
    )
    .group_by(table.c.workflow_id),
}
_unstarted = select(func.min(table.c.created_at)).where(
    of_project(),
    table.c.status == Status.QUEUED.value,
    table.c.dispatch_at.is_not(None),
    table.c.started_at.is_(None),
    table.c.start_by.is_(None),
)


def _spread(duration: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    bins = [
        cast(func.sum(case((duration <= micros(bound), 1), else_=0)), Integer).label(f"bin{place}")
        for place, bound in enumerate(BOUNDS)
    ]
    return [*bins, _number, func.sum(duration).label("total")]


_within = (
    (table.c.project_id == bindparam("project"))
    & (table.c.finished_at > bindparam("after"))
    & (table.c.finished_at <= bindparam("until"))
)
_executions = (
    select(table.c.workflow_id, table.c.status, *_spread(table.c.finished_at - table.c.created_at))
    .where(_within)
    .group_by(table.c.workflow_id, table.c.status)
)
_steps = (
    select(
        table.c.workflow_id,
        checkpoints.c.kind,
        *_spread(checkpoints.c.created_at - checkpoints.c.started_at),
        func.sum(case((checkpoints.c.attempts > 1, checkpoints.c.attempts - 1), else_=0)).label(
            "retries"
        ),
    )
    .join_from(table, checkpoints, checkpoints.c.execution_id == table.c.id)
    .where(_within, checkpoints.c.started_at.is_not(None))
    .group_by(table.c.workflow_id, checkpoints.c.kind)
)


def present(database: Database, project_id: str) -> Present:
    """How a project stands now; each part is found by an index of what is open."""
    named = {"project": project_id}
    return Present(
        now=Micros(database.run(select(now_micros()))[0][0]),
        open={
            (row.workflow_id, status.value): row.number
            for status, statement in _OPEN.items()
            for row in database.run(statement, named)
        },
        due=due_work(database, project_id),
        workers=seen_workers(database, project_id),
        unstarted=database.run(_unstarted, named)[0][0],
    )


def ended(database: Database, project_id: str, after: Micros, until: Micros) -> Ended:
    """What ended after one moment and not after another, and its steps."""
    named = {"project": project_id, "after": after, "until": until}
    return Ended(
        {(row.workflow_id, row.status): _of(row) for row in database.run(_executions, named)},
        {
            (row.workflow_id, row.kind): _of(row, int(row.retries))
            for row in database.run(_steps, named)
        },
    )


def _of(row: Any, retries: int = 0) -> Spread:
    counts = tuple(int(getattr(row, f"bin{place}")) for place in range(len(BOUNDS)))
    return Spread(counts, row.number, float(row.total) / SECOND, retries)
