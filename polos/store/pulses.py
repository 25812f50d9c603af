"""Looks at many executions at once, for those who watch them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, func, select

from polos.model.pulse import Current, Pulse
from polos.model.records import Kind
from polos.model.states import Status
from polos.store.database import Database
from polos.store.rows import steps_of
from polos.store.schema import checkpoints, waits
from polos.store.schema import executions as table

# What is shown of one execution: it may have thousands of children.
MOST_SHOWN = 20

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
    table.c.lease_steps,
    _done.label("done"),
    _waits.label("waits"),
    _tried.label("tried"),
).where(
    table.c.id.in_(bindparam("ids", expanding=True)), table.c.project_id == bindparam("project")
)
_recorded = select(checkpoints.c.execution_id, checkpoints.c.step_key).where(
    checkpoints.c.execution_id.in_(bindparam("ids", expanding=True)),
    checkpoints.c.step_key.in_(bindparam("keys", expanding=True)),
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
    .where(_numbered.c.number <= MOST_SHOWN)
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
            executing=steps_of(row.lease_steps)[:MOST_SHOWN],
        )
        for row in rows
    }


def current(database: Database, found: Mapping[str, Pulse]) -> dict[str, tuple[Current, ...]]:
    """What executions are at, those that there is something to tell of."""
    told: dict[str, list[Current]] = {}
    executing = {id_: pulse.executing for id_, pulse in found.items() if pulse.executing}
    for id_, key in _unrecorded(database, executing):
        told.setdefault(id_, []).append(Current(key))
    waiting = [id_ for id_, pulse in found.items() if pulse.waits]
    for row in database.run(_awaited, {"ids": waiting}) if waiting else ():
        told.setdefault(row.execution_id, []).append(
            Current(row.step_key, Kind(row.kind), row.due_at, row.attempts)
        )
    return {id_: tuple(items) for id_, items in told.items()}


def _unrecorded(
    database: Database, executing: Mapping[str, Sequence[str]]
) -> list[tuple[str, str]]:
    """Which of the steps that were noted to execute have not ended since."""
    if not executing:
        return []
    keys = sorted({key for keys in executing.values() for key in keys})
    rows = database.run(_recorded, {"ids": list(executing), "keys": keys})
    recorded = {(row.execution_id, row.step_key) for row in rows}
    noted = [(id_, key) for id_, keys in executing.items() for key in keys]
    return [it for it in noted if it not in recorded]
