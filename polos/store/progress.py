"""How far an execution has come: what its steps, its waits and its children say."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import bindparam, select

from polos.model.records import Child, Progress
from polos.store import checkpoints, tags, waits
from polos.store.database import Database
from polos.store.rows import child_of, steps_of
from polos.store.schema import executions as table

_children = (
    select(
        table.c.id,
        table.c.workflow_id,
        table.c.status,
        table.c.parent_step_key,
        table.c.created_at,
        table.c.started_at,
        table.c.finished_at,
    )
    .where(table.c.parent_execution_id == bindparam("the_id"))
    .order_by(table.c.created_at, table.c.id)
)

_holder = select(table.c.lease_steps, table.c.lease_worker).where(
    table.c.id == bindparam("the_id"), table.c.lease_token.is_not(None)
)


def of(database: Database, execution_id: str) -> Progress:
    """The progress of an execution; empty where there is none of that id."""
    # In this order: a wait that ends between the two is then seen as a checkpoint as well.
    holder = database.run(_holder, {"the_id": execution_id})
    pending = waits.load(database, execution_id)
    done = checkpoints.load(database, execution_id)
    known = {row.step_key for row in done}
    labels = tags.find(database, [execution_id])
    return Progress(
        checkpoints=done,
        waits=tuple(wait for wait in pending if wait.step_key not in known),
        children=_of_children(database, execution_id),
        tags=labels.get(execution_id, ()),
        executing=_unrecorded(holder, known),
        worker=holder[0].lease_worker if holder else None,
    )


def _unrecorded(holder: Sequence[Any], known: Collection[str]) -> tuple[str, ...]:
    """The steps that execute; what was noted of them may be some seconds old."""
    noted = steps_of(holder[0].lease_steps) if holder else ()
    return tuple(key for key in noted if key not in known)


def _of_children(database: Database, execution_id: str) -> tuple[Child, ...]:
    return tuple(map(child_of, database.run(_children, {"the_id": execution_id})))
