"""How attempts end, each in one transaction with what it wakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

from sqlalchemy import BigInteger, Connection, Update, bindparam

from polos.errors import LeaseLost
from polos.model.outcome import Cancelled, Completed, Failed, Outcome, Parked, TriedAgain
from polos.model.records import SECOND, Checkpoint, Execution, Failure, Hint, Kind, micros
from polos.model.states import COMPLETE, END_CANCELLED, FAIL, PARK, RELEASE, Status
from polos.store import checkpoints, retrying, waits
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.executions import change, wake_time
from polos.store.prebuilt import Prebuilt, Transaction, run_in
from polos.store.rows import failure_bytes, hint_of
from polos.store.schema import executions as table
from polos.store.waking import end_child, lock, tell_parent, with_waits

_complete = Prebuilt(change(COMPLETE, result=bindparam("the_result")).returning(table.c.id))
_fail = Prebuilt(change(FAIL, failure=bindparam("the_failure")).returning(table.c.id))
_fail_with_children = Prebuilt(
    change(FAIL, failure=bindparam("the_failure"), cancel_descends=True).returning(table.c.id)
)
_end_cancelled = Prebuilt(change(END_CANCELLED, cancel_descends=True).returning(table.c.id))
_release = Prebuilt(change(RELEASE).returning(table.c.id))
_park = Prebuilt(
    change(
        PARK,
        wake_after=now_micros() + bindparam("pace", type_=BigInteger),
        **wake_time(),
    )
    .where(table.c.wakeups == bindparam("seen"), table.c.cancel_requested_at.is_(None))
    .returning(table.c.id)
)


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
    if isinstance(outcome, TriedAgain):
        return _commit_again(database, execution, token, outcome, rows, horizon)
    match outcome:
        case Completed(result):
            ending = Checkpoint("", Kind.CHILD, value=result)
            statement, named["the_result"] = _complete, result
        case Failed(failure, with_children):
            ending = Checkpoint("", Kind.CHILD, failure=failure)
            statement = _fail_with_children if with_children else _fail
            named["the_failure"] = failure_bytes(failure)
        case Cancelled():
            ending = Checkpoint("", Kind.CHILD, failure=cancelled(execution.id))
            statement = _end_cancelled
        case Parked():
            return _commit_park(database, named, outcome, rows, horizon)
        case _:
            assert_never(outcome)
    hints = _end(database, execution, statement, named, ending, rows, has_waits)
    if hints is None:
        raise LeaseLost(execution.id)
    return hints


def _end(
    database: Database,
    execution: Execution,
    statement: Prebuilt,
    named: dict[str, Any],
    ending: Checkpoint,
    rows: Sequence[Checkpoint],
    has_waits: bool,
) -> tuple[Hint, ...] | None:
    """End an execution in as few round trips as that takes."""
    alone = not execution.parent_waits and not rows
    if alone and not has_waits:
        return () if database.run(statement, named) else None
    if alone and database.dialect == "postgresql":
        return () if database.run(with_waits(statement), named) else None
    if not rows and database.dialect == "postgresql":
        return database.driven(
            lambda it: _end_child(it, execution, statement, named, ending, has_waits)
        )
    return database.transaction(
        lambda it: end_in(it, execution, statement, named, ending, rows=rows, has_waits=has_waits)
    )


def release(database: Database, execution_id: str, token: str) -> None:
    """Give an execution back to the queue, at once claimable by others."""
    if not database.run(_release, {"the_id": execution_id, "the_token": token}):
        raise LeaseLost(execution_id)


def cancelled(execution_id: str) -> Failure:
    """What a cancelled child is to the parent that waits for it."""
    return Failure(f"execution {execution_id} was cancelled", "ExecutionCancelledError")


def end_in(
    connection: Connection,
    execution: Execution,
    statement: Update | Prebuilt,
    values: dict[str, Any],
    ending: Checkpoint,
    *,
    rows: Sequence[Checkpoint] = (),
    has_waits: bool = True,
) -> tuple[Hint, ...] | None:
    """End an execution in the caller's transaction; None where the statement found no row."""
    parent = None
    if execution.parent_waits and execution.parent_execution_id:
        parent = lock(connection, execution.parent_execution_id)
    told = parent if parent is not None and not Status(parent.status).ended else None
    if rows:
        checkpoints.write(connection, execution.id, values["the_token"], rows)
    if told is not None and connection.dialect.name == "postgresql":
        return end_child(
            connection, told, execution, statement, values, ending, has_waits=has_waits
        )
    if not run_in(connection, statement, values):
        return None
    if has_waits:
        waits.forget_all(connection, execution.id)
    return () if told is None else tell_parent(connection, told, execution, ending)


def end_outside(
    connection: Connection,
    execution: Execution,
    statement: Update,
    values: dict[str, Any],
    ending: Checkpoint,
) -> tuple[Hint, ...] | None:
    """End an execution by another hand than its attempt's, which would tell Celery of it.

    None where the statement found no row.
    """
    hints = end_in(connection, execution, statement, values, ending)
    if hints is None or not execution.known_to_celery:
        return hints
    return (*hints, hint_of(execution, "ended"))


def _end_child(
    connection: Transaction,
    child: Execution,
    statement: Prebuilt,
    values: dict[str, Any],
    ending: Checkpoint,
    has_waits: bool,
) -> tuple[Hint, ...] | None:
    parent = lock(connection, child.parent_execution_id or "")
    if parent is not None and not Status(parent.status).ended:
        return end_child(connection, parent, child, statement, values, ending, has_waits=has_waits)
    whole = with_waits(statement) if has_waits else statement
    return () if connection.run(whole, values) else None


def _commit_park(
    database: Database,
    named: dict[str, Any],
    parked: Parked,
    rows: Sequence[Checkpoint],
    horizon: float,
) -> tuple[Hint, ...] | None:
    named |= {"wake": parked.wake_at, "seen": parked.wakeups, "horizon": micros(horizon)}
    named["pace"] = micros(parked.pace) if parked.pace else None
    execution_id: str = named["the_id"]
    if not rows and not parked.settled and not parked.waits and not parked.pace:
        if database.run(_park, named):
            return ()
        if database.run(checkpoints.holds_lease, named):
            return None
        raise LeaseLost(execution_id)

    def work(connection: Connection) -> tuple[Hint, ...] | None:
        if rows:
            checkpoints.write(connection, execution_id, named["the_token"], rows)
        hints: tuple[Hint, ...] | None = ()
        if not run_in(connection, _park, named):
            hints = _park_behind(connection, named, parked)
        if hints is not None:
            waits.forget(connection, execution_id, parked.settled)
            waits.add(connection, execution_id, parked.waits)
        return hints

    return database.transaction(work)


def _commit_again(
    database: Database,
    execution: Execution,
    token: str,
    outcome: TriedAgain,
    rows: Sequence[Checkpoint],
    horizon: float,
) -> tuple[Hint, ...] | None:
    def work(connection: Connection) -> tuple[Hint, ...] | None:
        if rows:
            checkpoints.write(connection, execution.id, token, rows)
        hints = retrying.try_again(connection, token, execution, outcome, micros(horizon))
        held = {"the_id": execution.id, "the_token": token}
        if hints is None and connection.execute(checkpoints.holds_lease, held).first() is None:
            raise LeaseLost(execution.id)
        return hints

    return database.transaction(work)


def _park_behind(
    connection: Connection, named: dict[str, Any], parked: Parked
) -> tuple[Hint, ...] | None:
    """Park although children ended meanwhile, to take those in later, if others are still out.

    None where the attempt is to go on instead.
    """
    locked = lock(connection, named["the_id"])
    if locked is None or locked.lease_token != named["the_token"]:
        raise LeaseLost(named["the_id"])
    if not parked.pace or locked.cancel_requested_at is not None:
        return None
    # A later statement than the lock: nothing ends between it and the park.
    if not waits.has_others(connection, locked.id, parked.settled):
        return None
    wake = locked.now + named["pace"]
    if parked.wake_at is None or wake < parked.wake_at:
        named = named | {"wake": wake}
    run_in(connection, _park, named | {"seen": locked.wakeups})
    countdown = max(0, named["wake"] - locked.now) / SECOND
    return (hint_of(locked, parked.reason, countdown, named["wake"]),)
