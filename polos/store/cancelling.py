"""Cancelling goes down to children and never up.

The children of one execution that have not begun are cancelled together; each other one by itself.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from sqlalchemy import Connection, Update, bindparam, func, select, text, update

from polos.errors import StoreError
from polos.model.records import Checkpoint, Execution, Hint, Kind
from polos.model.states import CANCEL, ENDED, REVOKE, Status
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.executions import change
from polos.store.outcomes import cancelled, end_outside
from polos.store.rows import execution_of, hint_of
from polos.store.schema import executions as table
from polos.store.unindexed import of_project
from polos.store.waking import lock, tell_of_many, wake

log = logging.getLogger("polos.store")

# So many children are locked in one transaction.
_MOST_AT_ONCE = 500

_cancel_unclaimed = (
    change(CANCEL, cancel_descends=True, cancel_requested_at=now_micros())
    .where(table.c.claims == 0)
    .returning(table.c.id)
)
_cancel_some = (
    change(
        CANCEL,
        which=table.c.id.in_(bindparam("ids", expanding=True)),
        cancel_requested_at=now_micros(),
    )
    .where(table.c.claims == 0)
    .returning(
        table.c.id,
        table.c.workflow_id,
        table.c.queue,
        table.c.priority,
        table.c.celery_options,
        table.c.created_at,
        table.c.known_to_celery,
        table.c.parent_step_key,
        table.c.parent_waits,
    )
)
_revoke = change(
    REVOKE,
    cancel_descends=True,
    cancel_requested_at=func.coalesce(table.c.cancel_requested_at, now_micros()),
).returning(table.c.id)
_too_late = table.c.start_by <= select(now_micros()).scalar_subquery()
_expire = change(CANCEL).where(_too_late).returning(table.c.id)
_unstarted = (
    select(table)
    .where(of_project(), _too_late, table.c.started_at.is_(None))
    .limit(bindparam("most"))
)
_request = (
    update(table)
    .where(table.c.id == bindparam("the_id"))
    .values(cancel_requested_at=now_micros(), cancel_descends=True)
)
_find = select(table).where(
    table.c.id == bindparam("the_id"), table.c.project_id == bindparam("project")
)
_children = table.alias("children")
_open_children = select(_children.c.id, _children.c.claims).where(
    _children.c.parent_execution_id == bindparam("the_id"),
    _children.c.status.not_in(sorted(ENDED)),
    _children.c.cancel_requested_at.is_(None),
)
_descending = (
    select(table.c.id)
    # As text, as the index has it: SQLite doesn't find it by "cancel_descends = 1".
    .where(of_project(), text("polos_executions.cancel_descends"))
    .limit(bindparam("most"))
)
# A child that was started during the descent keeps it open for the sweep.
_descended = (
    update(table)
    .where(table.c.id == bindparam("the_id"), ~_open_children.exists())
    .values(cancel_descends=False)
)


def cancel(database: Database, project_id: str, execution_id: str) -> tuple[bool, tuple[Hint, ...]]:
    """Cancel an execution and all below it.

    One that never ran is cancelled at once; any other is told, so that its cleanup code can run.

    Returns:
        whether there was something to cancel, and the hints for those that have to hear of it.
    """
    found, hints = database.transaction(lambda it: _cancel_one(it, project_id, execution_id))
    if not found:
        return False, ()
    return True, hints + descend(database, project_id, execution_id)


def revoke(database: Database, project_id: str, execution_id: str) -> tuple[Hint, ...]:
    """End an execution at once, whoever runs it; the sweep cancels all below it."""

    def work(connection: Connection) -> tuple[Hint, ...]:
        named = {"the_id": execution_id, "project": project_id}
        found = connection.execute(_find, named).one_or_none()
        return () if found is None else _end(connection, execution_of(found), _revoke) or ()

    return database.transaction(work)


def expire_unstarted(database: Database, project_id: str, most: int) -> tuple[Hint, ...]:
    """End what was not begun in time."""
    hints: tuple[Hint, ...] = ()
    for row in database.run(_unstarted, {"project": project_id, "most": most}):
        execution = execution_of(row)
        hints += database.transaction(partial(_expire_one, execution=execution))
        log.warning(
            "execution=%s workflow=%s was not begun before it expired",
            execution.id,
            execution.workflow_id,
        )
    return hints


def descend(database: Database, project_id: str, execution_id: str) -> tuple[Hint, ...]:
    """Cancel the open children of a cancelled execution, theirs, and so on."""
    hints: tuple[Hint, ...] = ()
    open_ = database.run(_open_children, {"the_id": execution_id})
    new = [row.id for row in open_ if row.claims == 0]
    for start in range(0, len(new), _MOST_AT_ONCE):
        some = new[start : start + _MOST_AT_ONCE]
        hints += database.transaction(partial(_cancel_new, parent_id=execution_id, ids=some))
    if new:
        # One of them may have begun meanwhile.
        open_ = database.run(_open_children, {"the_id": execution_id})
    for row in open_:
        hints += cancel(database, project_id, row.id)[1]
    database.run(_descended, {"the_id": execution_id})
    return hints


def finish_descents(database: Database, project_id: str, most: int) -> tuple[Hint, ...]:
    """Go on where cancelling downwards was broken off."""
    hints: tuple[Hint, ...] = ()
    for row in database.run(_descending, {"project": project_id, "most": most}):
        try:
            hints += descend(database, project_id, row.id)
        except StoreError:
            raise
        except Exception:
            log.exception("cancelling the children of execution %s failed", row.id)
    return hints


def _cancel_one(
    connection: Connection, project_id: str, execution_id: str
) -> tuple[bool, tuple[Hint, ...]]:
    named: dict[str, Any] = {"the_id": execution_id}
    found = connection.execute(_find, named | {"project": project_id}).one_or_none()
    if found is None or Status(found.status).ended:
        return False, ()
    execution = execution_of(found)
    if found.claims == 0:
        hints = _end(connection, execution, _cancel_unclaimed)
        if hints is not None:
            return True, hints
    return tell(connection, execution_id)


def tell(connection: Connection, execution_id: str) -> tuple[bool, tuple[Hint, ...]]:
    """Let an execution that has begun hear that it is to end; False where it has ended."""
    locked = lock(connection, execution_id)
    if locked is None or Status(locked.status).ended:
        return False, ()
    if locked.cancel_requested_at is None:
        connection.execute(_request, {"the_id": execution_id})
        return True, wake(connection, locked, "cancelled")
    return True, ()


def _cancel_new(connection: Connection, parent_id: str, ids: list[str]) -> tuple[Hint, ...]:
    """Cancel those children that have not begun, and so have no waits and no children."""
    parent = lock(connection, parent_id)
    ended = connection.execute(_cancel_some, {"ids": ids}).all()
    hints = tuple(hint_of(row, "ended") for row in ended if row.known_to_celery)
    if parent is None or Status(parent.status).ended:
        return hints
    awaited = [
        (row, Checkpoint("", Kind.CHILD, failure=cancelled(row.id)))
        for row in ended
        if row.parent_waits
    ]
    return hints + tell_of_many(connection, parent, awaited)


def _expire_one(connection: Connection, execution: Execution) -> tuple[Hint, ...]:
    return _end(connection, execution, _expire) or ()


def _end(
    connection: Connection, execution: Execution, statement: Update
) -> tuple[Hint, ...] | None:
    ending = Checkpoint("", Kind.CHILD, failure=cancelled(execution.id))
    return end_outside(connection, execution, statement, {"the_id": execution.id}, ending)
