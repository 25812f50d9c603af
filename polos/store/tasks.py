"""Celery tasks that executions wait for: noted as sent, and completed from outside.

A task's end may be told more than once, by its own worker, by a message, by a timeout. The wait is
what the first of them finds and takes; for the others there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, update

from polos.model.records import Checkpoint, Failure, Hint, Kind, Wait
from polos.model.states import Status
from polos.store import checkpoints
from polos.store.database import Database
from polos.store.schema import waits
from polos.store.waking import lock, wake_for

_take = (
    delete(waits)
    .where(
        waits.c.execution_id == bindparam("the_id"),
        waits.c.step_key == bindparam("key"),
        waits.c.target_id == bindparam("target"),
        waits.c.kind == Kind.TASK.value,
    )
    .returning(waits.c.started_at, waits.c.input)
)
_sent = (
    update(waits)
    .where(
        waits.c.execution_id == bindparam("the_id"),
        waits.c.step_key == bindparam("key"),
        waits.c.target_id == bindparam("target"),
    )
    .values(attempts=bindparam("times"), due_at=bindparam("due"))
)


def complete(
    database: Database,
    project_id: str,
    execution_id: str,
    step_key: str,
    task_id: str,
    outcome: bytes | Failure,
    attempts: int = 1,
) -> tuple[Hint, ...] | None:
    """Record what a task came to, if its execution still waits for it.

    Args:
        outcome: the encoded value, or why it failed.
        attempts: how often the task ran.

    Returns:
        the hints for the execution, where it was woken; None where there is no such execution.
    """
    ending = Checkpoint(
        step_key,
        Kind.TASK,
        value=outcome if isinstance(outcome, bytes) else None,
        failure=outcome if isinstance(outcome, Failure) else None,
        attempts=attempts,
    )
    return database.transaction(lambda it: _complete(it, project_id, execution_id, task_id, ending))


def sent(database: Database, execution_id: str, token: str, pending: Sequence[Wait]) -> None:
    """Note of waits that are stored how often their tasks were sent, and when that is due again.

    One that was completed meanwhile is left alone; so are all once the lease is lost.
    """
    rows: list[dict[str, Any]] = [
        {
            "the_id": execution_id,
            "key": wait.step_key,
            "target": wait.target_id,
            "times": wait.attempts,
            "due": wait.due_at,
        }
        for wait in pending
    ]

    def work(connection: Connection) -> None:
        held = {"the_id": execution_id, "the_token": token}
        # By itself: MySQL takes no list of values for a statement that reads another table.
        if rows and connection.execute(checkpoints.fence, held).first() is not None:
            connection.execute(_sent, rows)

    database.transaction(work)


def _complete(
    connection: Connection, project_id: str, execution_id: str, task_id: str, ending: Checkpoint
) -> tuple[Hint, ...] | None:
    locked = lock(connection, execution_id)
    if locked is None or locked.project_id != project_id:
        return None
    if Status(locked.status).ended:
        return ()
    named: dict[str, Any] = {"the_id": execution_id, "key": ending.step_key, "target": task_id}
    # A later statement than the lock: its snapshot must not be older.
    taken = connection.execute(_take, named).all()
    if not taken:
        return ()
    told = replace(ending, input=taken[0].input)
    return wake_for(connection, locked, told, taken[0].started_at)
