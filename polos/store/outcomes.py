"""How attempts end, each in one transaction with what it wakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, assert_never

from sqlalchemy import Connection, Row, Update, bindparam, case, select, update

from polos.errors import LeaseLost
from polos.model.outcome import Cancelled, Completed, Failed, Outcome, Parked
from polos.model.records import (
    SECOND,
    Checkpoint,
    Execution,
    Failure,
    Hint,
    Kind,
    micros,
)
from polos.model.states import COMPLETE, END_CANCELLED, FAIL, PARK, RELEASE, WAKE, Status
from polos.store import checkpoints, waits
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.executions import change
from polos.store.prebuilt import Prebuilt, run_in
from polos.store.rows import failure_bytes, hint_of
from polos.store.schema import executions as table

_complete = Prebuilt(change(COMPLETE, result=bindparam("the_result")).returning(table.c.id))
_fail = Prebuilt(change(FAIL, failure=bindparam("the_failure")).returning(table.c.id))
_end_cancelled = Prebuilt(change(END_CANCELLED, cancel_descends=True).returning(table.c.id))
_release = Prebuilt(change(RELEASE).returning(table.c.id))
_wake = change(WAKE, wakeups=table.c.wakeups + 1)
_count_wakeup = (
    update(table).where(table.c.id == bindparam("the_id")).values(wakeups=table.c.wakeups + 1)
)
_park = (
    change(
        PARK,
        wake_at=bindparam("wake"),
        dispatch_at=case(
            (
                bindparam("wake") <= now_micros() + bindparam("horizon"),
                bindparam("wake") + SECOND,
            ),
            else_=bindparam("wake") - bindparam("horizon"),
        ),
    )
    .where(table.c.wakeups == bindparam("seen"), table.c.cancel_requested_at.is_(None))
    .returning(table.c.id)
)
# NO KEY: a plain FOR UPDATE would wait for the foreign keys of checkpoints being written.
_lock = select(table).where(table.c.id == bindparam("the_id")).with_for_update(key_share=True)


def commit(
    database: Database,
    execution: Execution,
    token: str,
    outcome: Outcome,
    *,
    rows: Sequence[Checkpoint] = (),
    has_waits: bool,
    horizon: float,
) -> tuple[Hint, ...] | None:
    """Commit how an attempt ended.

    Args:
        rows: checkpoints that go into the same transaction.
        has_waits: whether the execution may have rows among the waits, which then go with it.
        horizon: seconds before its time at which the sweep sends a hint for a parked one.

    Returns:
        the hints for those it woke; None for a park that is stale, because something ended since
        the attempt last looked, or a cancellation came.

    Raises:
        LeaseLost: another worker owns the execution; nothing was written.
    """
    named: dict[str, Any] = {"the_id": execution.id, "the_token": token}
    match outcome:
        case Completed(result):
            ending = Checkpoint("", Kind.CHILD, value=result)
            statement, named["the_result"] = _complete, result
        case Failed(failure):
            ending = Checkpoint("", Kind.CHILD, failure=failure)
            statement, named["the_failure"] = _fail, failure_bytes(failure)
        case Cancelled():
            ending = Checkpoint("", Kind.CHILD, failure=cancelled(execution.id))
            statement = _end_cancelled
        case Parked():
            return _commit_park(database, named, outcome, rows, horizon)
        case _:
            assert_never(outcome)
    hints: tuple[Hint, ...] | None
    if not execution.parent_waits and not has_waits and not rows:
        hints = () if database.run(statement, named) else None
    else:
        hints = database.transaction(
            lambda it: end_in(it, execution, statement, named, ending, rows=rows)
        )
    if hints is None:
        raise LeaseLost(execution.id)
    return hints


def release(database: Database, execution_id: str, token: str) -> None:
    """Give an execution back to the queue, at once claimable by others."""
    if not database.run(_release, {"the_id": execution_id, "the_token": token}):
        raise LeaseLost(execution_id)


def cancelled(execution_id: str) -> Failure:
    """What a cancelled child is to the parent that waits for it."""
    return Failure(f"execution {execution_id} was cancelled", "ExecutionCancelledError")


def lock(connection: Connection, execution_id: str) -> Row[Any] | None:
    """Lock an execution's row and read it; parents first, then children."""
    return connection.execute(_lock, {"the_id": execution_id}).one_or_none()


def wake(connection: Connection, locked: Row[Any], reason: str) -> tuple[Hint, ...]:
    """Count a completion from outside and queue the execution, whose row is locked, if it waits."""
    waiting = locked.status == Status.WAITING.value
    connection.execute(_wake if waiting else _count_wakeup, {"the_id": locked.id})
    return (hint_of(locked, reason),) if waiting else ()


def tell_parent(
    connection: Connection, parent: Row[Any], child: Execution, ending: Checkpoint
) -> tuple[Hint, ...]:
    """Complete the wait of a parent, whose row is locked, for a child that ends now."""
    key = child.parent_step_key or ""
    # A later statement than the lock: its snapshot must not be older.
    if waits.target_of(connection, parent.id, key) == child.id:
        failure = ending.failure and replace(ending.failure, step_key=key, attempts=1, traceback="")
        row = replace(
            ending,
            step_key=key,
            turn=parent.wakeups + 1,
            failure=failure,
            started_at=child.created_at,
        )
        checkpoints.write_outside(connection, parent.id, row)
        waits.forget(connection, parent.id, [key])
    return wake(connection, parent, f"child {key!r} ended")


def end_in(
    connection: Connection,
    execution: Execution,
    statement: Update | Prebuilt,
    values: dict[str, Any],
    ending: Checkpoint,
    *,
    rows: Sequence[Checkpoint] = (),
) -> tuple[Hint, ...] | None:
    """End an execution in the caller's transaction; None where the statement found no row."""
    parent = None
    if execution.parent_waits and execution.parent_execution_id:
        parent = lock(connection, execution.parent_execution_id)
    if rows:
        checkpoints.write(connection, execution.id, values["the_token"], rows)
    if not run_in(connection, statement, values):
        return None
    waits.forget_all(connection, execution.id)
    if parent is None or Status(parent.status).ended:
        return ()
    return tell_parent(connection, parent, execution, ending)


def _commit_park(
    database: Database,
    named: dict[str, Any],
    parked: Parked,
    rows: Sequence[Checkpoint],
    horizon: float,
) -> tuple[Hint, ...] | None:
    named |= {"wake": parked.wake_at, "seen": parked.wakeups, "horizon": micros(horizon)}
    execution_id: str = named["the_id"]

    def work(connection: Connection) -> tuple[Hint, ...] | None:
        if rows:
            checkpoints.write(connection, execution_id, named["the_token"], rows)
        if connection.execute(_park, named).all():
            waits.forget(connection, execution_id, parked.settled)
            waits.add(connection, execution_id, parked.waits)
            return ()
        if connection.execute(checkpoints.holds_lease, named).all():
            return None
        raise LeaseLost(execution_id)

    return database.transaction(work)
