"""What executions wait for: one row each, of its own kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, literal_column, select

from polos.model.records import Kind, Wait
from polos.store.database import Database
from polos.store.prebuilt import Prebuilt
from polos.store.rows import wait_of, wait_values
from polos.store.schema import checkpoints, waits
from polos.store.upserts import insert_missing

_all = Prebuilt(
    select(waits)
    .where(waits.c.execution_id == bindparam("the_id"))
    .where(
        ~select(checkpoints.c.step_key)
        .where(
            checkpoints.c.execution_id == waits.c.execution_id,
            checkpoints.c.step_key == waits.c.step_key,
        )
        .exists()
    )
)
_take = (
    delete(waits)
    .where(
        waits.c.execution_id == bindparam("the_id"),
        waits.c.step_key == bindparam("key"),
        waits.c.target_id == bindparam("target"),
    )
    .returning(waits.c.step_key)
)
_take_some = (
    delete(waits)
    .where(
        waits.c.execution_id == bindparam("the_id"),
        waits.c.target_id.in_(bindparam("targets", expanding=True)),
    )
    .returning(waits.c.step_key)
)
# What somebody else ends. In the text: such a list costs less than parameters.
from_outside = waits.c.kind.in_([literal_column(f"'{it}'") for it in (Kind.CHILD, Kind.TASK)])
_other = (
    select(waits.c.step_key)
    .where(waits.c.execution_id == bindparam("the_id"), from_outside)
    .where(waits.c.step_key.not_in(bindparam("but", expanding=True)))
    .limit(1)
)
_delete_some = delete(waits).where(
    waits.c.execution_id == bindparam("the_id"),
    waits.c.step_key.in_(bindparam("keys", expanding=True)),
)
_delete_all = delete(waits).where(waits.c.execution_id == bindparam("the_id"))


def load(database: Database, execution_id: str) -> tuple[Wait, ...]:
    """All waits that have no checkpoint yet."""
    return tuple(wait_of(row) for row in database.run(_all, {"the_id": execution_id}))


def take(connection: Connection, execution_id: str, step_key: str, target_id: str) -> bool:
    """Delete the wait of one key, if it is for that child; whether it was there."""
    named = {"the_id": execution_id, "key": step_key, "target": target_id}
    return bool(connection.execute(_take, named).all())


def take_some(
    connection: Connection, execution_id: str, target_ids: Sequence[str]
) -> frozenset[str]:
    """Delete the waits for some children; the keys of those that were there."""
    named = {"the_id": execution_id, "targets": list(target_ids)}
    return frozenset(row.step_key for row in connection.execute(_take_some, named))


def has_others(connection: Connection, execution_id: str, but: Sequence[str] = ()) -> bool:
    """Whether it waits for children or tasks, those of some keys left aside."""
    return bool(connection.execute(_other, {"the_id": execution_id, "but": list(but)}).all())


def add(connection: Connection, execution_id: str, rows: Sequence[Wait]) -> None:
    """Write waits; one that is there, from a commit whose answer was lost, is left alone."""
    if rows:
        values: list[dict[str, Any]] = [wait_values(execution_id, row) for row in rows]
        connection.execute(insert_missing(connection.dialect.name, waits), values)


def keep(connection: Connection, execution_id: str, wait: Wait) -> None:
    """Write a wait in the place of the one of its key."""
    forget(connection, execution_id, [wait.step_key])
    add(connection, execution_id, [wait])


def forget(connection: Connection, execution_id: str, keys: Sequence[str]) -> None:
    """Delete the waits of some keys."""
    if keys:
        connection.execute(_delete_some, {"the_id": execution_id, "keys": list(keys)})


def forget_all(connection: Connection, execution_id: str) -> None:
    """Delete all waits of an execution."""
    connection.execute(_delete_all, {"the_id": execution_id})
