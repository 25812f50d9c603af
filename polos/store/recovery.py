"""What becomes of executions whose process has died, or is about to.

A death counts against an execution where its lease is accountable: it alone ran in that process,
and nobody had told the process to end. After a death in company only the second in a row makes a
suspect, which the engine then runs alone. A new checkpoint clears it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from polos.errors import LeaseLost
from polos.model.records import SUSPECT, Checkpoint, Execution, Failure, Hint, Kind
from polos.model.states import GIVE_UP, RECLAIM
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.executions import REDISPATCH_AFTER, change
from polos.store.outcomes import end_outside
from polos.store.rows import failure_bytes, hint_of, steps_of, steps_text
from polos.store.schema import checkpoints
from polos.store.schema import executions as table

log = logging.getLogger("polos.sweep")

_reclaim = (
    change(RECLAIM, recoveries=bindparam("count"), recovered_checkpoints=bindparam("done"))
    .where(table.c.lease_token == bindparam("lost"))
    .returning(table)
)
_give_up = (
    change(GIVE_UP, failure=bindparam("the_failure"))
    .where(table.c.lease_token == bindparam("lost"))
    .returning(table.c.id)
)
# Celery is told also where it was told nothing before: a limit of its own may have been hit.
_give_up_running = change(
    GIVE_UP,
    failure=bindparam("the_failure"),
    unannounced=True,
    dispatch_at=now_micros() + REDISPATCH_AFTER,
).returning(table.c.id)
_done = select(func.count()).where(checkpoints.c.execution_id == bindparam("the_id"))
_record = select(
    table.c.recoveries,
    table.c.recovered_checkpoints,
    table.c.lease_accountable,
    table.c.lease_steps,
).where(table.c.id == bindparam("the_id"))
_owned = (table.c.lease_owner == bindparam("owner")) & table.c.id.in_(
    bindparam("ids", expanding=True)
)
_hand_on = change(RECLAIM, which=_owned).returning(table)
_excuse = update(table).where(_owned).values(lease_accountable=False)
_mark = (
    update(table)
    .where(table.c.id == bindparam("the_id"), table.c.lease_token == bindparam("the_token"))
    .values(lease_steps=bindparam("steps"), lease_accountable=bindparam("accountable"))
    .returning(table.c.id)
)
# Why a hint was sent, for those that read of it.
WORKER_LOST = "worker lost"


def reclaim(
    database: Database, execution: Execution, token: str, max_recoveries: int
) -> tuple[Hint, ...]:
    """Queue an execution whose worker is gone, or fail it after too many recoveries in a row."""

    def work(connection: Connection) -> tuple[Hint, ...]:
        named: dict[str, Any] = {"the_id": execution.id, "lost": token}
        done = connection.execute(_done, named).scalar_one()
        record = connection.execute(_record, named).one_or_none()
        if record is None:
            return ()
        count = _count(record, done)
        if count <= max_recoveries or not record.lease_accountable:
            rows = connection.execute(_reclaim, named | {"count": count, "done": done}).all()
            return tuple(hint_of(row, WORKER_LOST) for row in rows)
        failure = _poisoned(count, done, record.lease_steps)
        return _fail(connection, execution, _give_up, named, failure)

    return database.transaction(work)


def give_up(database: Database, execution: Execution, failure: Failure) -> tuple[Hint, ...]:
    """Fail a running execution, whoever holds its lease."""
    named = {"the_id": execution.id}
    told = replace(execution, known_to_celery=True)
    return database.transaction(lambda it: _fail(it, told, _give_up_running, named, failure))


def hand_on(database: Database, owner: str, ids: Sequence[str]) -> tuple[Hint, ...]:
    """Queue what a process still runs that has to end; what it writes from now on is refused."""
    rows = database.run(_hand_on, {"owner": owner, "ids": list(ids)})
    return tuple(hint_of(row, "handed on") for row in rows)


def excuse(database: Database, owner: str, ids: Sequence[str]) -> None:
    """Hold the death of a process that was told to end against nothing that it runs."""
    database.run(_excuse, {"owner": owner, "ids": list(ids)})


def mark(
    database: Database, execution_id: str, token: str, keys: Sequence[str], *, alone: bool
) -> None:
    """Note which steps a suspect is in, and whether it runs alone.

    Raises:
        LeaseLost: the token no longer holds the lease.
    """
    steps = steps_text(keys)
    named = {"the_id": execution_id, "the_token": token, "steps": steps, "accountable": alone}
    if not database.run(_mark, named):
        raise LeaseLost(execution_id)


def _count(record: Any, done: int) -> int:
    stuck = record.recoveries > 0 and record.recovered_checkpoints == done
    count = record.recoveries + 1 if stuck else 1
    # In company the guilty one isn't known: no innocent is ever given up for it.
    return count if record.lease_accountable else min(count, max(SUSPECT, record.recoveries))


def _fail(
    connection: Connection,
    execution: Execution,
    statement: Any,
    named: dict[str, Any],
    failure: Failure,
) -> tuple[Hint, ...]:
    ending = Checkpoint("", Kind.CHILD, failure=failure)
    values = named | {"the_failure": failure_bytes(failure)}
    hints = end_outside(connection, execution, statement, values, ending)
    if hints is None:
        return ()
    log.error(
        "execution=%s workflow=%s failed: %s",
        execution.id,
        execution.workflow_id,
        failure.reason,
    )
    return hints


def _poisoned(deaths: int, done: int, marked: str | None) -> Failure:
    steps = steps_of(marked)
    where = ""
    if steps:
        where = f", the last time in step {', '.join(map(repr, steps))}"
    elif marked:
        where = ", the last time outside of any step"
    return Failure(
        f"its worker died {deaths} times in a row without a new checkpoint{where} (checkpoints so "
        f"far: {done}); look there for a crash or lack of memory, then retry it",
        "ExecutionPoisoned",
    )
