"""Trying a failed execution again from where it failed: by itself, or because a person asks.

What has succeeded stays recorded. What failed is forgotten from the step on that ended the
execution: an error that the code had caught before is part of the way to there. A failed child is
retried with its parent, under the same id.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import BigInteger, Connection, and_, bindparam, delete, or_, select, update

from polos.errors import ExecutionNotFound, IllegalTransition
from polos.model.outcome import TriedAgain
from polos.model.records import SECOND, Checkpoint, Execution, Hint, Kind, Micros, Wait
from polos.model.states import RETRY, RETRY_LATER, TRY_AGAIN, Status
from polos.store import checkpoints, waits
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.executions import change, wake_time
from polos.store.rows import execution_of, hint_of
from polos.store.schema import checkpoints as checkpoints_table
from polos.store.schema import executions as table
from polos.store.schema import waits as waits_table

_ADVICE = {
    Status.COMPLETED: "fork it to run it again from one of its steps",
    Status.CANCELLED: "it has cleaned up; fork it to run it again from one of its steps",
}
# Nothing that a workflow's code reacts to.
_DERIVED = (Kind.UUID.value, Kind.RANDOM.value, Kind.NOW.value)

_find = (
    select(table)
    .where(table.c.id == bindparam("the_id"), table.c.project_id == bindparam("project"))
    .with_for_update(key_share=True)
)
_retry = change(RETRY).returning(table)
_retry_later = change(RETRY_LATER, **wake_time()).returning(table, now_micros().label("now"))
_try_again = (
    change(
        TRY_AGAIN,
        retried=table.c.retried + 1,
        retries_used=table.c.retries_used + 1,
        # The end of a child is not to cut the pause short, unless it is the last one.
        wake_after=bindparam("wake", type_=BigInteger),
        **wake_time(),
    )
    .where(table.c.cancel_requested_at.is_(None))
    .returning(table)
)

_of_it = checkpoints_table.c.execution_id == bindparam("the_id")
_failed = checkpoints_table.c.failure.is_not(None)
_place = (checkpoints_table.c.turn, checkpoints_table.c.position)
_place_of_key = select(*_place).where(
    _of_it, _failed, checkpoints_table.c.step_key == bindparam("key")
)
_last_success = (
    select(*_place)
    .where(_of_it, ~_failed, checkpoints_table.c.kind.not_in(_DERIVED))
    .order_by(*(column.desc() for column in _place))
    .limit(1)
)
_forget_from = (
    delete(checkpoints_table)
    .where(
        _of_it,
        _failed,
        or_(
            checkpoints_table.c.turn > bindparam("turn"),
            and_(
                checkpoints_table.c.turn == bindparam("turn"),
                checkpoints_table.c.position >= bindparam("position"),
            ),
        ),
    )
    .returning(checkpoints_table.c.step_key)
)
_forget_since = (
    delete(checkpoints_table)
    .where(_of_it, _failed, checkpoints_table.c.created_at >= bindparam("since"))
    .returning(checkpoints_table.c.step_key)
)

_left_children = (
    select(table)
    .where(
        table.c.parent_execution_id == bindparam("the_id"),
        table.c.parent_waits,
        table.c.status != Status.CANCELLED.value,
        *(
            ~select(kept.c.step_key)
            .where(
                kept.c.execution_id == bindparam("the_id"),
                kept.c.step_key == table.c.parent_step_key,
            )
            .exists()
            for kept in (checkpoints_table, waits_table)
        ),
    )
    .order_by(table.c.created_at, table.c.id)
)
_count_wakeups = (
    update(table)
    .where(table.c.id == bindparam("the_id"))
    .values(wakeups=table.c.wakeups + bindparam("more"))
)


def retry(database: Database, project_id: str, execution_id: str) -> tuple[Hint, ...]:
    """Queue a failed execution again; its hint, and those of its failed children.

    Raises:
        ExecutionNotFound: this project has none of that id.
        IllegalTransition: it has not failed.
    """

    def work(connection: Connection) -> tuple[Hint, ...]:
        named = {"the_id": execution_id, "project": project_id}
        found = connection.execute(_find, named).one_or_none()
        if found is None:
            raise ExecutionNotFound(execution_id)
        _check(found)
        [row] = connection.execute(_retry, {"the_id": execution_id}).all()
        _forget(connection, execution_of(found))
        return (hint_of(row, "retried"), *_take_children(connection, row, None))

    return database.transaction(work)


def try_again(
    connection: Connection, token: str, execution: Execution, outcome: TriedAgain, horizon: Micros
) -> tuple[Hint, ...] | None:
    """Park an execution that has failed, to be tried again after a pause.

    Gives the hints for its children that failed, and are tried again with it. None where it was
    asked to be cancelled meanwhile, or its lease is lost.
    """
    pause = Pause(outcome.wake_at, horizon)
    named = {"the_id": execution.id, "the_token": token}
    row = connection.execute(_try_again, named | pause.parameters()).one_or_none()
    if row is None:
        return None
    _forget(connection, replace(execution, failure=outcome.failure, cancel_requested_at=None))
    return _take_children(connection, row, pause)


@dataclass(frozen=True, slots=True)
class Pause:
    """Until when to wait, and how long before that its hint is sent."""

    until: Micros
    horizon: Micros

    def parameters(self) -> dict[str, Any]:
        """As the statements name them."""
        return {"wake": self.until, "horizon": self.horizon}


def _check(row: Any) -> None:
    status = Status(row.status)
    if status is not Status.FAILED:
        wait = "it has not ended; wait for that, or cancel it"
        raise IllegalTransition(row.id, status.value, RETRY.name, _ADVICE.get(status, wait))
    if row.unannounced:
        announcing = "Celery has not yet stored its end; ask again in a few seconds"
        raise IllegalTransition(row.id, status.value, RETRY.name, announcing)


def _forget(connection: Connection, failed: Execution) -> None:
    """Forget the errors that ended an execution; not those that its code had gone on from."""
    named: dict[str, Any] = {"the_id": failed.id}
    if failed.cancel_requested_at is not None:
        # Its time was over: what failed since then was cancelled with it.
        since = named | {"since": failed.cancel_requested_at}
        forgotten = connection.execute(_forget_since, since).all()
    else:
        forgotten = connection.execute(_forget_from, _first_place(connection, failed)).all()
    # Else a step would begin with the attempts that its last back-off has counted.
    waits.forget(connection, failed.id, [row.step_key for row in forgotten])


def _first_place(connection: Connection, failed: Execution) -> dict[str, Any]:
    """From where on its errors ended an execution."""
    named: dict[str, Any] = {"the_id": failed.id}
    failure = failed.failure
    key = "" if failure is None else failure.step_key or failure.cause
    place = connection.execute(_place_of_key, named | {"key": key}).one_or_none()
    if place is not None:
        return named | {"turn": place.turn, "position": place.position}
    # What no success followed, the code has not gone on from.
    last = connection.execute(_last_success, named).one_or_none()
    turn, position = (0, 0) if last is None else (last.turn, last.position + 1)
    return named | {"turn": turn, "position": position}


def _take_children(connection: Connection, parent: Any, pause: Pause | None) -> tuple[Hint, ...]:
    """Wait again for the children whose ends an execution has no record of."""
    found = connection.execute(_left_children, {"the_id": parent.id}).all()
    hints: tuple[Hint, ...] = ()
    turn = parent.wakeups
    # Of several for one step, the newest.
    for row in {row.parent_step_key: row for row in found}.values():
        child = execution_of(row)
        if child.status is Status.COMPLETED:
            turn += 1
            checkpoints.write_outside(connection, parent.id, _result_of(child, turn))
            continue
        if child.status is Status.FAILED:
            hints += _retry_child(connection, child, pause)
        wait = _wait_for(child)
        waits.add(connection, parent.id, [wait])
    if turn > parent.wakeups:
        more = {"the_id": parent.id, "more": turn - parent.wakeups}
        connection.execute(_count_wakeups, more)
    return hints


def _retry_child(connection: Connection, child: Execution, pause: Pause | None) -> tuple[Hint, ...]:
    named: dict[str, Any] = {"the_id": child.id}
    if pause is None:
        row = connection.execute(_retry, named).one_or_none()
    else:
        row = connection.execute(_retry_later, named | pause.parameters()).one_or_none()
    if row is None:
        # Somebody has retried it meanwhile. It can't have ended since: that locks its parent.
        return ()
    if pause is None:
        hint = hint_of(row, "retried with its parent")
    else:
        countdown = max(0, pause.until - row.now) / SECOND
        hint = hint_of(row, "tried again with its parent", countdown, pause.until)
    _forget(connection, child)
    return (hint, *_take_children(connection, row, pause))


def _result_of(child: Execution, turn: int) -> Checkpoint:
    key = child.parent_step_key or ""
    return Checkpoint(
        key, Kind.CHILD, turn, value=child.result, attempts=1, started_at=child.created_at
    )


def _wait_for(child: Execution) -> Wait:
    key = child.parent_step_key or ""
    return Wait(key, Kind.CHILD, target_id=child.id, started_at=child.created_at)
