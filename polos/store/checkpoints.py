"""What steps came to. A checkpoint is one statement that checks the lease and locks its row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    String,
    bindparam,
    cast,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.dialects import postgresql, sqlite

from polos.errors import LeaseLost
from polos.model.records import Checkpoint
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.prebuilt import Prebuilt, run_in
from polos.store.rows import checkpoint_of, checkpoint_values
from polos.store.schema import Blob, Key, checkpoints, executions

_COLUMNS: tuple[tuple[str, Any], ...] = (
    ("step_key", Key),
    ("kind", String(32)),
    ("turn", Integer),
    ("position", Integer),
    ("value", Blob),
    ("failure", Blob),
    ("attempts", Integer),
    ("started_at", BigInteger),
    ("history", Blob),
)
# Both the statements that are kept and a statement's parameters are bounded by this.
_MOST_ROWS = 50
_NAMES = ("execution_id", *(name for name, _ in _COLUMNS), "created_at")

holds_lease = select(executions.c.id).where(
    executions.c.id == bindparam("the_id"), executions.c.lease_token == bindparam("the_token")
)
# Without the lock a zombie's insert lands after the next owner has loaded its checkpoints.
fence = holds_lease.with_for_update(read=True)

_of_one = (
    select(checkpoints)
    .where(checkpoints.c.execution_id == bindparam("the_id"))
    .order_by(checkpoints.c.turn, checkpoints.c.position)
)
_all = Prebuilt(_of_one)
_some = _of_one.where(checkpoints.c.step_key.in_(bindparam("keys", expanding=True)))


def _builder(dialect: str) -> Any:
    return sqlite.insert if dialect == "sqlite" else postgresql.insert


@cache
def _insert(dialect: str, rows: int) -> Prebuilt:
    """The fenced insert of so many rows; a key that is there already is left alone."""
    fenced = fence.cte("fenced")
    values = union_all(
        *(
            select(
                # PostgreSQL takes an uncast parameter in a subquery for text.
                *(
                    cast(bindparam(f"{name}_{row}", type_=type_), type_).label(name)
                    for name, type_ in _COLUMNS
                )
            )
            for row in range(rows)
        )
    ).subquery("given")
    source = select(fenced.c.id, *values.c, now_micros()).select_from(
        fenced.join(values, literal_column("1") == literal_column("1"))
    )
    insertion = _builder(dialect)(checkpoints).from_select(_NAMES, source, include_defaults=False)
    return Prebuilt(insertion.on_conflict_do_nothing().returning(checkpoints.c.step_key))


def commit(
    database: Database, execution_id: str, token: str, rows: Sequence[Checkpoint]
) -> Mapping[str, Checkpoint]:
    """Commit checkpoints; those that another attempt had committed first are given back."""
    if len(rows) > _MOST_ROWS:
        return database.transaction(lambda it: write(it, execution_id, token, rows))
    statement = _insert(database.dialect, len(rows))
    written = database.run(statement, _parameters(execution_id, token, rows))
    return _adopted(database.run, execution_id, token, _others(rows, written))


def write(
    connection: Connection, execution_id: str, token: str, rows: Sequence[Checkpoint]
) -> Mapping[str, Checkpoint]:
    """The same inside the caller's transaction."""
    if len(rows) > _MOST_ROWS:
        adopted: dict[str, Checkpoint] = {}
        for start in range(0, len(rows), _MOST_ROWS):
            adopted |= write(connection, execution_id, token, rows[start : start + _MOST_ROWS])
        return adopted
    statement = _insert(connection.dialect.name, len(rows))
    run = partial(run_in, connection)
    written = run(statement, _parameters(execution_id, token, rows))
    return _adopted(run, execution_id, token, _others(rows, written))


def write_outside(connection: Connection, execution_id: str, row: Checkpoint) -> None:
    """Write a completion from outside, unless the execution recorded one itself.

    The caller has locked the execution's row.
    """
    values = checkpoint_values(row) | {"execution_id": execution_id, "created_at": now_micros()}
    builder = _builder(connection.dialect.name)
    connection.execute(builder(checkpoints).values(values).on_conflict_do_nothing())


def load(database: Database, execution_id: str) -> tuple[Checkpoint, ...]:
    """All checkpoints, in the order in which they were resolved."""
    return tuple(checkpoint_of(row) for row in database.run(_all, {"the_id": execution_id}))


def _others(rows: Sequence[Checkpoint], written: Sequence[Any]) -> list[str]:
    done = {row.step_key for row in written}
    return [row.step_key for row in rows if row.step_key not in done]


def _adopted(
    run: Any, execution_id: str, token: str, keys: Sequence[str]
) -> Mapping[str, Checkpoint]:
    if not keys:
        return {}
    if not run(holds_lease, {"the_id": execution_id, "the_token": token}):
        raise LeaseLost(execution_id)
    found = run(_some, {"the_id": execution_id, "keys": list(keys)})
    return {row.step_key: checkpoint_of(row) for row in found}


def _parameters(execution_id: str, token: str, rows: Sequence[Checkpoint]) -> dict[str, Any]:
    parameters: dict[str, Any] = {"the_id": execution_id, "the_token": token}
    for number, row in enumerate(rows):
        for name, value in checkpoint_values(row).items():
            parameters[f"{name}_{number}"] = value
    return parameters
