"""One execution as a person looks at it: its row without large values, and its family."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, func, null, select

from polos.model.records import Child, Execution, ExecutionId, Micros
from polos.model.states import Status
from polos.model.steps import Cut, Head
from polos.store import tags
from polos.store.clock import now_micros
from polos.store.cuts import beginnings, cut_of
from polos.store.database import Database
from polos.store.rows import SAME_NAME, child_of
from polos.store.schema import checkpoints, waits
from polos.store.schema import executions as table
from polos.store.unindexed import of_project

_LARGE = ("payload", "result", "failure", "initial_state")
_LIGHT = tuple(name for name in SAME_NAME if name not in _LARGE)
_MOST_ANCESTORS = 16
_MOST_RUNNING = 20
# What may be asked for as a whole.
OF_EXECUTION = ("payload", "result", "failure", "initial_state")
OF_STEP = ("input", "value", "failure")

_is_it = (table.c.id == bindparam("the_id"), table.c.project_id == bindparam("project"))
_head = select(
    table.c.id,
    table.c.status,
    *(table.c[name] for name in _LIGHT if name != "celery_options"),
    table.c.concurrency_key,
    table.c.idempotency_key,
    table.c.start_by,
    table.c.lease_worker,
    table.c.lease_steps,
    table.c.lease_expires_at,
    *beginnings(*(table.c[name] for name in _LARGE)),
    now_micros().label("now"),
).where(*_is_it)
_SHOWN = (
    table.c.id,
    table.c.workflow_id,
    table.c.status,
    table.c.parent_execution_id,
    table.c.parent_step_key,
    table.c.created_at,
    table.c.started_at,
    table.c.finished_at,
)
_relative = select(*_SHOWN).where(*_is_it)
_relatives = select(*_SHOWN, *beginnings(table.c.payload)).where(
    table.c.id.in_(bindparam("ids", expanding=True)), table.c.project_id == bindparam("project")
)
_by_status = (
    select(table.c.status, func.count().label("number"))
    .where(table.c.parent_execution_id == bindparam("the_id"), of_project())
    .group_by(table.c.status)
)


def head(database: Database, project_id: str, execution_id: str) -> Head | None:
    """An execution of this project; None where there is none of that id."""
    rows = database.run(_head, {"the_id": execution_id, "project": project_id})
    if not rows:
        return None
    [row] = rows
    light = {name: getattr(row, name) for name in _LIGHT if name != "celery_options"}
    return Head(
        execution=Execution(
            id=ExecutionId(row.id), status=Status(row.status), payload=b"", **light
        ),
        now=Micros(row.now),
        payload=cut_of(row, "payload") or Cut(b"null", 4),
        result=cut_of(row, "result"),
        failure=cut_of(row, "failure"),
        initial_state=cut_of(row, "initial_state"),
        concurrency_key=row.concurrency_key,
        idempotency_key=row.idempotency_key,
        start_by=row.start_by,
        worker=row.lease_worker,
        running=_keys(row.lease_steps),
        renewed_until=row.lease_expires_at,
        tags=tags.find(database, [execution_id]).get(execution_id, ()),
    )


def _keys(marked: str | None) -> tuple[str, ...]:
    try:
        found = json.loads(marked) if marked else []
    except ValueError:
        return ()
    keys = found if isinstance(found, list) else []
    return tuple(key for key in keys if isinstance(key, str))[:_MOST_RUNNING]


def ancestors(database: Database, project_id: str, parent_id: str | None) -> tuple[Child, ...]:
    """The executions above one, the nearest first; a pruned one ends the line."""
    found: list[Child] = []
    while parent_id is not None and len(found) < _MOST_ANCESTORS:
        rows = database.run(_relative, {"the_id": parent_id, "project": project_id})
        if not rows:
            break
        found.append(child_of(rows[0]))
        parent_id = rows[0].parent_execution_id
    return tuple(found)


def relatives(
    database: Database, project_id: str, ids: Sequence[str]
) -> dict[str, tuple[Child, Cut | None]]:
    """Executions with their payloads by their ids."""
    if not ids:
        return {}
    rows = database.run(_relatives, {"ids": list(ids), "project": project_id})
    return {row.id: (child_of(row), cut_of(row, "payload")) for row in rows}


def children_by_status(database: Database, project_id: str, parent_id: str) -> dict[str, int]:
    """How many children stand how; without the statuses that none has."""
    rows = database.run(_by_status, {"the_id": parent_id, "project": project_id})
    return {row.status: int(row.number) for row in rows}


def whole(
    database: Database, project_id: str, execution_id: str, step_key: str | None, name: str
) -> tuple[bool, bytes | None]:
    """One value, all of it.

    Args:
        step_key: the step that it is of; None for the execution itself.
        name: one of ``OF_STEP``, or of ``OF_EXECUTION``.

    Returns:
        whether there is such an execution and step, and the bytes, if there are any.
    """
    named: dict[str, Any] = {"the_id": execution_id, "project": project_id, "key": step_key}
    if step_key is None:
        rows = database.run(select(table.c[name]).where(*_is_it), named)
        return bool(rows), rows[0][0] if rows else None
    for kept in (checkpoints, waits):
        # A wait has no value.
        column: Any = kept.c[name] if name in kept.c else null()
        statement = (
            select(column)
            .join_from(kept, table, kept.c.execution_id == table.c.id)
            .where(*_is_it, kept.c.step_key == bindparam("key"))
        )
        if rows := database.run(statement, named):
            return True, rows[0][0]
    return False, None
