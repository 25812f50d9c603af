"""Looks at many executions at once, for those who watch them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, func, select

from polos.model.pulse import Awaited, Pulse
from polos.model.records import Kind
from polos.model.states import Status
from polos.store.database import Database
from polos.store.schema import checkpoints, waits
from polos.store.schema import executions as table

# What is shown of the waits of one execution: one may have thousands of children.
MOST_AWAITED = 20

_done = select(func.count()).where(checkpoints.c.execution_id == table.c.id).scalar_subquery()
_waits = select(func.count()).where(waits.c.execution_id == table.c.id).scalar_subquery()
_tried = (
    select(func.coalesce(func.sum(waits.c.attempts), 0))
    .where(waits.c.execution_id == table.c.id)
    .scalar_subquery()
)
_pulses = select(
    table.c.id,
    table.c.status,
    table.c.wakeups,
    table.c.claims,
    table.c.retried,
    table.c.cancel_requested_at,
    _done.label("done"),
    _waits.label("waits"),
    _tried.label("tried"),
).where(
    table.c.id.in_(bindparam("ids", expanding=True)), table.c.project_id == bindparam("project")
)
_numbered = (
    select(
        waits.c.execution_id,
        waits.c.step_key,
        waits.c.kind,
        waits.c.due_at,
        waits.c.attempts,
        func.row_number()
        .over(partition_by=waits.c.execution_id, order_by=(waits.c.started_at, waits.c.step_key))
        .label("number"),
    )
    .where(waits.c.execution_id.in_(bindparam("ids", expanding=True)))
    .subquery()
)
_awaited = (
    select(_numbered)
    .where(_numbered.c.number <= MOST_AWAITED)
    .order_by(_numbered.c.execution_id, _numbered.c.number)
)


def pulses(database: Database, project_id: str, ids: Sequence[str]) -> dict[str, Pulse]:
    """How each of these executions stands; those that there are."""
    rows = database.run(_pulses, {"ids": list(ids), "project": project_id})
    return {
        row.id: Pulse(
            status=Status(row.status),
            wakeups=row.wakeups,
            claims=row.claims,
            retried=row.retried,
            done=row.done,
            waits=row.waits,
            tried=int(row.tried),
            cancel_requested=row.cancel_requested_at is not None,
        )
        for row in rows
    }


def awaited(database: Database, ids: Sequence[str]) -> dict[str, tuple[Awaited, ...]]:
    """What these executions wait for, the first of it."""
    found: dict[str, list[Awaited]] = {}
    for row in database.run(_awaited, {"ids": list(ids)}):
        found.setdefault(row.execution_id, []).append(
            Awaited(row.step_key, Kind(row.kind), row.due_at, row.attempts)
        )
    return {id_: tuple(items) for id_, items in found.items()}
