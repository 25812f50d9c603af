"""Executions in the states that tests need, and what the tables say of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from polos.model.outcome import Parked
from polos.model.records import (
    Checkpoint,
    Claimed,
    Execution,
    ExecutionId,
    Failure,
    Kind,
    Micros,
    NewExecution,
    Wait,
)
from polos.model.states import Status
from polos.model.workers import Owner
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.rows import failure_bytes
from polos.store.schema import checkpoints, executions, metadata
from polos.store.sql_store import SqlStore

OWNER = Owner("boot", "namespace", 41, 7, "worker@a")
OTHER = Owner("boot", "namespace", 42, 8, "worker@b")
FAILURE = Failure("no luck", "builtins.ValueError", "pay", 3, "Traceback …")
# What contradicts itself; drivers of MySQL call some of it operational.
REFUSED = (IntegrityError, OperationalError)
FAR = 4_000_000_000_000_000

# What the columns of an execution in each state must have, for the database to take it.
COLUMNS: dict[Status, dict[str, Any]] = {
    Status.QUEUED: {},
    Status.RUNNING: {
        "lease_token": "token",
        "lease_owner": str(OWNER),
        "lease_expires_at": FAR,
        "claims": 1,
    },
    Status.WAITING: {"wake_at": 1, "claims": 1},
    Status.COMPLETED: {"result": b"result", "finished_at": 5},
    Status.FAILED: {"failure": failure_bytes(FAILURE), "finished_at": 5},
    Status.CANCELLED: {"finished_at": 5},
}


def new(execution_id: str, **given: Any) -> NewExecution:
    """An execution to start, of the workflow ``flow`` in the project ``default``."""
    values = {"workflow_id": "flow", "project_id": "default", "payload": b"payload", **given}
    return NewExecution(ExecutionId(execution_id), **values)


def child_of(
    parent_id: str, execution_id: str, step_key: str = "kid", **given: Any
) -> NewExecution:
    """A child to start."""
    return new(execution_id, parent_execution_id=parent_id, parent_step_key=step_key, **given)


def step(key: str, value: bytes | None = b"value", **given: Any) -> Checkpoint:
    """A step's checkpoint."""
    return Checkpoint(key, Kind.STEP, value=value, **given)


def timer(key: str, due_at: int) -> Wait:
    """A wait for a time."""
    return Wait(key, Kind.TIMER, due_at=Micros(due_at))


def parked(
    *waits: Wait, wake_at: int | None = None, wakeups: int = 0, settled=(), pace: float = 0.0
) -> Parked:
    """A park."""
    wake = None if wake_at is None else Micros(wake_at)
    return Parked(tuple(waits), tuple(settled), wake, wakeups, "waiting", pace)


def claim(store: SqlStore, execution_id: str, lease: float = 60, **given: Any) -> Claimed:
    """Claim, which must succeed."""
    found = store.claim(execution_id, "flow", given.get("owner", OWNER), lease)
    assert found is not None, row(store.database, execution_id)
    return found


def running(store: SqlStore, execution_id: str = "one", **given: Any) -> Claimed:
    """Start and claim."""
    store.start(new(execution_id, **given))
    return claim(store, execution_id)


def family(store: SqlStore, *, claimed: bool = True) -> tuple[Claimed, Claimed]:
    """A running parent that waits for a child, and the child, running too where claimed."""
    parent = running(store, "parent")
    store.start_child(
        "parent", parent.token, child_of("parent", "child"), Wait("kid", Kind.CHILD, None, "child")
    )
    if claimed:
        return parent, claim(store, "child")
    found = store.get("child")
    assert found is not None
    return parent, Claimed(found, "", Micros(0))


def start_child(store: SqlStore, parent: Claimed, child: NewExecution) -> None:
    """Start a child that its parent waits for."""
    key = child.parent_step_key or ""
    wait = Wait(key, Kind.CHILD, target_id=child.id)
    store.start_child(parent.execution.id, parent.token, child, wait)


def put(database: Database, status: Status, execution_id: str = "one", **given: Any) -> Execution:
    """Write an execution in any state, past the store."""
    store = SqlStore(database)
    store.start(new(execution_id))
    edit(database, execution_id, status=status.value, **(COLUMNS[status] | given))
    found = store.get(execution_id)
    assert found is not None
    return found


def edit(database: Database, execution_id: str, **values: Any) -> None:
    """Change columns past the store."""
    database.run(update(executions).where(executions.c.id == execution_id).values(values))


def put_checkpoint(database: Database, execution_id: str, row: Checkpoint) -> None:
    """Write a checkpoint past the store."""
    values = {"execution_id": execution_id, "step_key": row.step_key, "kind": row.kind.value}
    values |= {"turn": row.turn, "position": row.position, "value": row.value}
    database.run(insert(checkpoints).values(values | {"attempts": 1, "created_at": 1}))


def row(database: Database, execution_id: str) -> dict[str, Any]:
    """All columns of an execution."""
    rows = database.run(select(executions).where(executions.c.id == execution_id))
    return dict(rows[0]._mapping)


def now(database: Database) -> int:
    """The database's time."""
    return database.run(select(now_micros()))[0][0]


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, to see that nothing changed."""
    return {
        table.name: sorted((tuple(row) for row in database.run(select(table))), key=repr)
        for table in metadata.sorted_tables
    }


def keys(store: SqlStore, execution_id: str) -> list[str]:
    """The keys of the checkpoints, in their order."""
    return [found.step_key for found in store.load(execution_id)[0]]


def rows_read_on_mariadb(database: Database, work: Callable[[], Any]) -> int:
    """As the server counts them: no plan says how often it goes on to the next row."""
    before = _rows_read(database)
    work()
    return _rows_read(database) - before


def _rows_read(database: Database) -> int:
    rows = database.run(text("SHOW GLOBAL STATUS LIKE 'Handler_read%'"))
    return sum(int(row[1]) for row in rows)
