"""What steps came to. A checkpoint is one statement that checks the lease and locks its row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    String,
    bindparam,
    cast,
    insert,
    literal_column,
    select,
    union_all,
)

from polos.errors import LeaseLost
from polos.model.records import Checkpoint
from polos.store.clock import now_micros
from polos.store.columns import MYSQL, Blob, Key
from polos.store.database import Database
from polos.store.portions import portions
from polos.store.prebuilt import Prebuilt, run_in
from polos.store.rows import checkpoint_of, checkpoint_values
from polos.store.schema import checkpoints, executions
from polos.store.upserts import insert_missing

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
    ("input", Blob),
)
# Both the statements that are kept and a statement's parameters are bounded by this.
_MOST_ROWS = 50
_MOST_BYTES = 4 * 1024 * 1024
_NAMES = ("execution_id", *(name for name, _ in _COLUMNS), "created_at")

holds_lease = select(executions.c.id).where(
    executions.c.id == bindparam("the_id"), executions.c.lease_token == bindparam("the_token")
)
# Without the lock a zombie's insert lands after the next owner has loaded its checkpoints.
fence = holds_lease.with_for_update(read=True)
# The same for one who looks first and writes then: of two with the same lease, one waits.
lock_lease = holds_lease.with_for_update()

_of_one = (
    select(checkpoints)
    .where(checkpoints.c.execution_id == bindparam("the_id"))
    .order_by(checkpoints.c.turn, checkpoints.c.position)
)
_all = Prebuilt(_of_one)
_some = _of_one.where(checkpoints.c.step_key.in_(bindparam("keys", expanding=True)))


_one = Prebuilt(
    select(checkpoints).where(
        checkpoints.c.execution_id == bindparam("the_id"),
        checkpoints.c.step_key == bindparam("key"),
    )
)
_holds_lease = Prebuilt(holds_lease)
# Runs a statement in a transaction; its rows.
Run = Callable[[Prebuilt, Mapping[str, Any]], Sequence[Any]]


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
    insertion = insert_missing(dialect, checkpoints).from_select(
        _NAMES, source, include_defaults=False
    )
    return Prebuilt(insertion.returning(checkpoints.c.step_key))


@cache
def _counted_insert(rows: int) -> Prebuilt:
    """The same for MySQL and MariaDB, which tell how many were written, but not which.

    A key that is there is one that the query doesn't give: its lock on the execution's row keeps
    out all others that could write one meanwhile.
    """
    values = union_all(
        *(
            select(*(_as_given(f"{name}_{row}", it).label(name) for name, it in _COLUMNS))
            for row in range(rows)
        )
    ).subquery("given")
    there = checkpoints.alias("there")
    same = (there.c.execution_id == executions.c.id) & (there.c.step_key == values.c.step_key)
    source = (
        lock_lease.with_only_columns(executions.c.id, *values.c, now_micros())
        .select_from(
            executions.join(values, literal_column("1") == literal_column("1")).outerjoin(
                there, same
            )
        )
        .where(there.c.step_key.is_(None))
    )
    insertion = insert(checkpoints).from_select(_NAMES, source, include_defaults=False)
    return Prebuilt(insertion, counts=True)


def _as_given(name: str, type_: Any) -> ColumnElement[Any]:
    parameter: ColumnElement[Any] = bindparam(name, type_=type_)
    # mysqlclient writes bytes like text, of which what is no UTF-8 then became question marks.
    return cast(parameter, type_) if isinstance(type_, LargeBinary) else parameter


def commit(
    database: Database, execution_id: str, token: str, rows: Sequence[Checkpoint]
) -> Mapping[str, Checkpoint]:
    """Commit checkpoints; those that another attempt had committed first are given back."""
    if len(_portions(database.dialect, rows)) > 1:
        return database.transaction(lambda it: write(it, execution_id, token, rows))
    return _written(database.run, database.dialect, execution_id, token, rows)


def write(
    connection: Connection, execution_id: str, token: str, rows: Sequence[Checkpoint]
) -> Mapping[str, Checkpoint]:
    """The same inside the caller's transaction."""
    adopted: dict[str, Checkpoint] = {}
    run, dialect = partial(run_in, connection), connection.dialect.name
    for portion in _portions(dialect, rows):
        adopted |= _written(run, dialect, execution_id, token, portion)
    return adopted


def _portions(dialect: str, rows: Sequence[Checkpoint]) -> Sequence[Sequence[Checkpoint]]:
    """What goes into one statement each."""
    if len(rows) <= _MOST_ROWS and dialect not in MYSQL:
        return [rows]
    # MySQL and MariaDB refuse a statement that is longer than a packet.
    most_bytes = _MOST_BYTES if dialect in MYSQL else math.inf
    return portions(rows, lambda row: len(row.value or b""), _MOST_ROWS, most_bytes)


def _written(
    run: Any, dialect: str, execution_id: str, token: str, rows: Sequence[Checkpoint]
) -> Mapping[str, Checkpoint]:
    parameters = _parameters(execution_id, token, rows)
    keys = [row.step_key for row in rows]
    if dialect not in MYSQL:
        done = {row.step_key for row in run(_insert(dialect, len(rows)), parameters)}
        return _adopted(run, execution_id, token, [key for key in keys if key not in done])
    [written] = run(_counted_insert(len(rows)), parameters)
    if written.count == len(rows):
        return {}
    given = {row.step_key: checkpoint_values(row) for row in rows}
    adopted = _adopted(run, execution_id, token, keys)
    # One that is just as given may be this one, or another's: it makes no difference.
    return {key: it for key, it in adopted.items() if checkpoint_values(it) != given[key]}


def write_new(
    run: Run, dialect: str, execution_id: str, token: str, rows: Sequence[Checkpoint]
) -> bool:
    """Write checkpoints in a transaction of any library; False where the last one was there.

    Raises:
        LeaseLost: the token no longer holds the lease.
    """
    if dialect in MYSQL:
        # One by one: a count doesn't tell which of several it leaves out.
        named = [_parameters(execution_id, token, [row]) for row in rows]
        is_written = [run(_counted_insert(1), it)[0].count for it in named][-1] == 1
    else:
        done = run(_insert(dialect, len(rows)), _parameters(execution_id, token, rows))
        written = {row.step_key for row in done}
        is_written = rows[-1].step_key in written
    if is_written:
        return True
    if not run(_holds_lease, {"the_id": execution_id, "the_token": token}):
        raise LeaseLost(execution_id)
    return False


def write_outside(connection: Connection, execution_id: str, row: Checkpoint) -> None:
    """Write a completion from outside, unless the execution recorded one itself.

    The caller has locked the execution's row.
    """
    write_many_outside(connection, execution_id, [row])


def write_many_outside(
    connection: Connection, execution_id: str, rows: Sequence[Checkpoint]
) -> None:
    """The same for several."""
    if rows:
        insertion = insert_missing(connection.dialect.name, checkpoints)
        values = [checkpoint_values(row) | {"execution_id": execution_id} for row in rows]
        connection.execute(insertion.values(created_at=now_micros()), values)


def load(database: Database, execution_id: str) -> tuple[Checkpoint, ...]:
    """All checkpoints, in the order in which they were resolved."""
    return tuple(checkpoint_of(row) for row in database.run(_all, {"the_id": execution_id}))


def recorded(database: Database, execution_id: str, step_key: str) -> Checkpoint | None:
    """The checkpoint of one key, if it is there."""
    rows = database.run(_one, {"the_id": execution_id, "key": step_key})
    return checkpoint_of(rows[0]) if rows else None


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
