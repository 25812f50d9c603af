"""Forks: new executions that begin with what another one had recorded before one of its steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from polos.errors import ExecutionExists, ExecutionNotFound, StepNotFound
from polos.model.records import SECOND, Execution, ExecutionId, NewExecution
from polos.store import executions, tags
from polos.store.database import Database
from polos.store.rows import execution_of
from polos.store.schema import checkpoints, waits
from polos.store.schema import executions as table

_find = select(table).where(
    table.c.id == bindparam("the_id"), table.c.project_id == bindparam("project")
)
_of_source = checkpoints.c.execution_id == bindparam("source")
_steps = (
    select(checkpoints.c.step_key, checkpoints.c.turn, checkpoints.c.position)
    .where(_of_source)
    .order_by(checkpoints.c.turn, checkpoints.c.position)
)
_waiting = select(waits.c.step_key).where(waits.c.execution_id == bindparam("source"))
_COPIED = [column for column in checkpoints.c if column.name != "execution_id"]
_before = or_(
    checkpoints.c.turn < bindparam("turn"),
    and_(checkpoints.c.turn == bindparam("turn"), checkpoints.c.position < bindparam("position")),
)
_copy = insert(checkpoints).from_select(
    ["execution_id", *(column.name for column in _COPIED)],
    select(bindparam("target", type_=table.c.id.type), *_COPIED).where(_of_source, _before),
    include_defaults=False,
)
_set_turn = update(table).where(table.c.id == bindparam("target")).values(wakeups=bindparam("turn"))


@dataclass(frozen=True, slots=True)
class Fork:
    """What is to be forked.

    Attributes:
        source_id: the execution whose steps it begins with.
        id: of the new execution.
        from_step: the first step that it runs itself; None for all of them.
        payload: the encoded payload; None for that of the source.
    """

    source_id: str
    id: str
    from_step: str | None = None
    payload: bytes | None = None


def fork(database: Database, project_id: str, asked: Fork) -> Execution:
    """Write a new execution of the same workflow, with copies of what comes before a step.

    Where the same was asked for before, that is what is given.

    Raises:
        ExecutionNotFound: this project has no such execution.
        StepNotFound: it has no such step.
        ExecutionExists: the new id is taken by another one.
    """

    def work(connection: Connection) -> Execution:
        named = {"the_id": asked.source_id, "project": project_id}
        source = connection.execute(_find, named).one_or_none()
        if source is None:
            raise ExecutionNotFound(asked.source_id)
        place = _place(connection, asked)
        labels = tags.of(connection, asked.source_id)
        executions.insert_execution(connection, _new(source, asked, labels))
        if place is not None:
            turn, position = place
            copied = {"source": asked.source_id, "target": asked.id}
            connection.execute(_copy, copied | {"turn": turn, "position": position})
            # What is completed from outside from now on comes after what was copied.
            connection.execute(_set_turn, {"target": asked.id, "turn": turn})
        return execution_of(connection.execute(_find, named | {"the_id": asked.id}).one())

    try:
        return database.transaction(work)
    except IntegrityError:
        found = executions.get(database, project_id, asked.id)
        if found is None or found.forked_from != asked.source_id:
            raise ExecutionExists(asked.id) from None
        return found


def _place(connection: Connection, asked: Fork) -> tuple[int, int] | None:
    """Before which place what is recorded is copied; None for nothing."""
    if asked.from_step is None:
        return None
    named = {"source": asked.source_id}
    steps = connection.execute(_steps, named).all()
    for row in steps:
        if row.step_key == asked.from_step:
            return row.turn, row.position
    waiting = connection.execute(_waiting, named).scalars().all()
    if asked.from_step not in waiting:
        known = [*(row.step_key for row in steps), *waiting]
        raise StepNotFound(asked.source_id, asked.from_step, known)
    # It has begun, and all that is recorded comes before its end.
    return (steps[-1].turn, steps[-1].position + 1) if steps else None


def _new(source: Any, asked: Fork, labels: tuple[str, ...]) -> NewExecution:
    return NewExecution(
        id=ExecutionId(asked.id),
        workflow_id=source.workflow_id,
        project_id=source.project_id,
        payload=source.payload if asked.payload is None else asked.payload,
        queue=source.queue,
        priority=source.priority,
        session_id=source.session_id,
        user_id=source.user_id,
        deployment_id=source.deployment_id,
        concurrency_key=source.concurrency_key,
        initial_state=source.initial_state,
        run_timeout_seconds=None if source.run_timeout is None else source.run_timeout / SECOND,
        forked_from=source.id,
        tags=labels,
    )
