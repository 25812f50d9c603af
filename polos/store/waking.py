"""How completions from outside reach the execution that waits for them.

A waker locks that execution's row first and reads its waits in a later statement: the snapshot of a
single one would be older than the lock, and the wake-up lost.

A parent of many children that is woken at each one's end replays all of them each time. So it parks
with a pace: until ``wake_after`` an end only sees to it that the parent wakes then, and the end of
the last child wakes it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from functools import cache
from typing import Any, assert_never

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Update,
    bindparam,
    cast,
    delete,
    exists,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from polos.model.records import SECOND, Checkpoint, Execution, Hint, Micros
from polos.model.states import WAKE, Status
from polos.store import checkpoints, waits
from polos.store.clock import now_micros
from polos.store.executions import change
from polos.store.prebuilt import Prebuilt, Transaction, run_in
from polos.store.rows import checkpoint_values, hint_of
from polos.store.schema import checkpoints as checkpoints_table
from polos.store.schema import executions as table
from polos.store.schema import waits as waits_table

# NO KEY: a plain FOR UPDATE would wait for the foreign keys of checkpoints being written.
_lock = Prebuilt(
    select(
        table.c.id,
        table.c.project_id,
        table.c.workflow_id,
        table.c.queue,
        table.c.priority,
        table.c.celery_options,
        table.c.status,
        table.c.wakeups,
        table.c.wake_at,
        table.c.wake_after,
        table.c.lease_token,
        table.c.cancel_requested_at,
        now_micros().label("now"),
    )
    .where(table.c.id == bindparam("the_id"))
    .with_for_update(key_share=True)
)


class _Effect(Enum):
    """What a child's end does to its parent's row; each counts it."""

    WAKE = "wake"
    COUNT = "count"
    SET_TIME = "set the time at which it wakes"
    LEAVE_TIME = "leave that time as it is"

    @property
    def is_early(self) -> bool:
        """Whether the parent waits on, unless this was its last child."""
        return self in {_Effect.SET_TIME, _Effect.LEAVE_TIME}


def _told(effect: _Effect, parent: ColumnElement[bool]) -> Update:
    counted = {"wakeups": table.c.wakeups + 1}
    if effect is _Effect.WAKE:
        return change(WAKE, which=parent, **counted)
    if effect is _Effect.SET_TIME:
        counted |= {"wake_at": table.c.wake_after, "dispatch_at": table.c.wake_after + SECOND}
    return update(table).where(parent).values(counted)


_this = table.c.id == bindparam("the_id")
_EFFECTS = {effect: Prebuilt(_told(effect, _this)) for effect in _Effect}
_wake_counted = Prebuilt(change(WAKE))
_count_many = update(table).where(_this).values(wakeups=table.c.wakeups + bindparam("more"))


def lock(connection: Connection | Transaction, execution_id: str) -> Any:
    """Lock an execution's row and read it, if it is there; parents first, then children."""
    return next(iter(run_in(connection, _lock, {"the_id": execution_id})), None)


def wake(connection: Connection, locked: Any, reason: str) -> tuple[Hint, ...]:
    """Count a completion from outside and queue the execution, whose row is locked, if it waits."""
    waiting = locked.status == Status.WAITING.value
    effect = _Effect.WAKE if waiting else _Effect.COUNT
    run_in(connection, _EFFECTS[effect], {"the_id": locked.id})
    return (hint_of(locked, reason),) if waiting else ()


def tell_parent(
    connection: Connection, parent: Any, child: Execution, ending: Checkpoint
) -> tuple[Hint, ...]:
    """Complete the wait of a parent, whose row is locked, for a child that ends now."""
    row = _completion(parent, child, ending)
    # A later statement than the lock: its snapshot must not be older.
    if waits.take(connection, parent.id, row.step_key, child.id):
        checkpoints.write_outside(connection, parent.id, row)
    return _tell(connection, parent, f"child {row.step_key!r} ended")


def tell_of_many(
    connection: Connection, parent: Any, ended: Sequence[tuple[Any, Checkpoint]]
) -> tuple[Hint, ...]:
    """The same for children that end together, each given with its end."""
    hints: tuple[Hint, ...] = ()
    if parent.status == Status.WAITING.value:
        # Each of them may be what wakes it.
        for child, ending in ended:
            hints += tell_parent(connection, lock(connection, parent.id), child, ending)
        return hints
    if not ended:
        return ()
    taken = waits.take_some(connection, parent.id, [child.id for child, _ in ended])
    # Each has a turn of its own: a replay takes them in one order.
    rows = [
        replace(_completion(parent, child, ending), turn=parent.wakeups + turn)
        for turn, (child, ending) in enumerate(ended, start=1)
    ]
    checkpoints.write_many_outside(
        connection, parent.id, [row for row in rows if row.step_key in taken]
    )
    connection.execute(_count_many, {"the_id": parent.id, "more": len(rows)})
    return ()


def wake_for(
    connection: Connection, locked: Any, ending: Checkpoint, started_at: Micros | None
) -> tuple[Hint, ...]:
    """Write what something outside came to, whose wait is taken, and tell the execution."""
    row = replace(ending, turn=locked.wakeups + 1, position=0, started_at=started_at)
    checkpoints.write_outside(connection, locked.id, row)
    return _tell(connection, locked, f"{row.kind} {row.step_key!r} ended")


def end_child(
    connection: Connection | Transaction,
    parent: Any,
    child: Execution,
    statement: Update | Prebuilt,
    values: dict[str, Any],
    ending: Checkpoint,
    *,
    has_waits: bool,
) -> tuple[Hint, ...] | None:
    """End a child and tell its parent, whose row is locked, in one statement more.

    Only on PostgreSQL. None where ``statement``, which ends the child, found no row.
    """
    row = _completion(parent, child, ending)
    effect = _effect(parent)
    named = {f"kept_{name}": value for name, value in checkpoint_values(row).items()}
    named |= values | {"the_parent": parent.id}
    ended = run_in(connection, _all_of(statement, effect, has_waits), named)
    if not ended:
        return None
    return _hints(
        connection, parent, f"child {row.step_key!r} ended", effect, ended[0].children_left
    )


def _tell(connection: Connection, locked: Any, reason: str) -> tuple[Hint, ...]:
    """Count a completion; wake the execution, now or when its pace says so."""
    effect = _effect(locked)
    run_in(connection, _EFFECTS[effect], {"the_id": locked.id})
    left = effect.is_early and waits.has_others(connection, locked.id)
    return _hints(connection, locked, reason, effect, left)


def _effect(parent: Any) -> _Effect:
    if parent.status != Status.WAITING.value:
        return _Effect.COUNT
    if parent.wake_after is None:
        return _Effect.WAKE
    if parent.wake_at is not None and parent.wake_at <= parent.now:
        # Its time has come, and the hint for that is on its way.
        return _Effect.COUNT
    if parent.wake_after <= parent.now:
        return _Effect.WAKE
    is_set = parent.wake_at is not None and parent.wake_at <= parent.wake_after
    return _Effect.LEAVE_TIME if is_set else _Effect.SET_TIME


def _hints(
    connection: Connection | Transaction,
    parent: Any,
    reason: str,
    effect: _Effect,
    children_left: bool,
) -> tuple[Hint, ...]:
    if effect.is_early and not children_left:
        run_in(connection, _wake_counted, {"the_id": parent.id})
        return (hint_of(parent, reason),)
    match effect:
        case _Effect.WAKE:
            return (hint_of(parent, reason),)
        case _Effect.SET_TIME:
            countdown = (parent.wake_after - parent.now) / SECOND
            return (hint_of(parent, reason, countdown, parent.wake_after),)
        case _Effect.COUNT | _Effect.LEAVE_TIME:
            return ()
        case _:
            assert_never(effect)


def _completion(parent: Any, child: Execution, ending: Checkpoint) -> Checkpoint:
    key = child.parent_step_key or ""
    failure = ending.failure and replace(ending.failure, step_key=key, attempts=1, traceback="")
    return replace(
        ending,
        step_key=key,
        turn=parent.wakeups + 1,
        failure=failure,
        started_at=child.created_at,
    )


@cache
def _all_of(statement: Update | Prebuilt, effect: _Effect, has_waits: bool) -> Prebuilt:
    """All that the end of a child comes to, once its parent's row is locked.

    Gives a row where the child was ended, which tells whether the parent waits for others.
    """
    ended = _ended(statement)
    done = exists().select_from(ended)
    others = (
        exists()
        .where(
            waits_table.c.execution_id == bindparam("the_parent"),
            waits.from_outside,
            waits_table.c.step_key != bindparam("kept_step_key"),
        )
        .label("children_left")
    )
    told = _told(effect, table.c.id == bindparam("the_parent"))
    parts = [told.where(done).returning(table.c.id).cte("told"), *_taken(done)]
    if has_waits:
        parts.append(_forgotten(done))
    return Prebuilt(select(ended.c.id, others).add_cte(*parts))


@cache
def with_waits(statement: Update | Prebuilt) -> Prebuilt:
    """The end of an execution, and of its own waits, in one statement; only on PostgreSQL."""
    ended = _ended(statement)
    return Prebuilt(select(ended.c.id).add_cte(_forgotten(exists().select_from(ended))))


def _ended(statement: Any) -> CTE:
    whole: Any = statement.statement if isinstance(statement, Prebuilt) else statement
    made: CTE = whole.cte("ended")
    return made


def _forgotten(done: Any) -> CTE:
    own = delete(waits_table).where(waits_table.c.execution_id == bindparam("the_id"), done)
    return own.returning(waits_table.c.step_key).cte("forgotten")


def _taken(done: Any) -> tuple[CTE, CTE]:
    """Takes the parent's wait for the child, and writes its checkpoint in the place of that."""
    taken = (
        delete(waits_table)
        .where(
            waits_table.c.execution_id == bindparam("the_parent"),
            waits_table.c.step_key == bindparam("kept_step_key"),
            waits_table.c.target_id == bindparam("the_id"),
            done,
        )
        .returning(waits_table.c.execution_id)
        .cte("taken")
    )
    kept = [
        column
        for column in checkpoints_table.c
        if column.name not in {"execution_id", "created_at"}
    ]
    source = select(
        taken.c.execution_id,
        # PostgreSQL takes an uncast parameter in a subquery for text.
        *(cast(bindparam(f"kept_{it.name}", type_=it.type), it.type) for it in kept),
        now_micros(),
    )
    names = ["execution_id", *(column.name for column in kept), "created_at"]
    written = (
        postgresql.insert(checkpoints_table)
        .from_select(names, source, include_defaults=False)
        .on_conflict_do_nothing()
        .returning(checkpoints_table.c.step_key)
        .cte("written")
    )
    return taken, written
