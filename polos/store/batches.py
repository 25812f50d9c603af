"""Many new executions at once: all of them are written, or none."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, select, tuple_

from polos.errors import ExecutionExists, StoreUnavailable
from polos.model.records import Execution, Micros, NewExecution
from polos.model.states import Status
from polos.store import tags
from polos.store.clock import now_micros
from polos.store.columns import MYSQL
from polos.store.database import Database
from polos.store.executions import REDISPATCH_AFTER
from polos.store.portions import portions
from polos.store.rows import begun, execution_of, run_timeout_of
from polos.store.schema import executions as table
from polos.store.upserts import insert_missing

Started = tuple[Execution, bool]

# What one statement writes at most.
_MOST_ROWS = 1000
_MOST_BYTES = 8 * 1024 * 1024
_GIVEN = (
    "id",
    "workflow_id",
    "project_id",
    "payload",
    "queue",
    "priority",
    "session_id",
    "user_id",
    "deployment_id",
    "concurrency_key",
    "idempotency_key",
    "initial_state",
    "celery_options",
)
_ARRAYS = {str: "text[]", bytes: "bytea[]", int: "bigint[]"}

_now = select(now_micros())
_there = select(table.c.id, table.c.created_at, table.c.workflow_id, table.c.payload).where(
    table.c.id.in_(bindparam("ids", expanding=True)), table.c.project_id == bindparam("project")
)
_by_keys = select(table).where(
    table.c.project_id == bindparam("project"),
    tuple_(table.c.workflow_id, table.c.idempotency_key).in_(bindparam("keys", expanding=True)),
)


def start_many(database: Database, news: Sequence[NewExecution]) -> list[Started]:
    """Write executions that are due at once, or find those with their idempotency keys.

    Where an answer was lost, their ids tell that the first try took effect.

    Returns:
        for each, in order, the execution and whether it was not there before.

    Raises:
        ExecutionExists: an id is taken by another one.
    """
    try:
        return _start_many(database, news)
    except StoreUnavailable as error:
        if not error.uncertain:
            raise
    return _start_many(database, news)


def _start_many(database: Database, news: Sequence[NewExecution]) -> list[Started]:
    def work(connection: Connection) -> list[Started]:
        parts = portions(news, lambda it: len(it.payload), _MOST_ROWS, _MOST_BYTES)
        return [it for part in parts for it in _write(connection, part)]

    return database.transaction(work)


def _write(connection: Connection, news: Sequence[NewExecution]) -> list[Started]:
    now = Micros(connection.execute(_now).scalar_one())
    insertion = _unnested if connection.dialect.name == "postgresql" else _one_by_one
    if insertion(connection, news, now) == len(news):
        tags.write(connection, news)
        return [(begun(new, now), True) for new in news]
    found = _look_up(connection, news)
    # Of what an earlier commit wrote, whose answer was lost, the tags are there as well.
    made = [new for new, (_, fresh) in zip(news, found, strict=True) if fresh]
    tags.write(connection, made, again=True)
    return found


def _columns(news: Sequence[NewExecution], now: Micros) -> dict[str, list[Any]]:
    """What is written, by column; not those that nothing is given for."""
    columns = {name: [getattr(new, name) for new in news] for name in _GIVEN}
    columns["run_timeout"] = timeouts = [run_timeout_of(new) for new in news]
    columns["deadline_at"] = [None if it is None else now + it for it in timeouts]
    return {name: values for name, values in columns.items() if set(values) != {None}}


def _unnested(connection: Connection, news: Sequence[NewExecution], now: Micros) -> int:
    columns = _columns(news, now)
    text = _insert_of_arrays(tuple(columns))
    times = {"now": now, "dispatch_at": now + REDISPATCH_AFTER}
    return connection.exec_driver_sql(text, columns | times).rowcount


@cache
def _insert_of_arrays(names: tuple[str, ...]) -> str:
    """One statement for any number of rows, each column an array.

    They are handed over in the binary format (``%b``): as texts they take the driver a hundred
    times as long.
    """
    listed = ", ".join(names)
    arrays = ", ".join(f"%({name})b::{_ARRAYS[table.c[name].type.python_type]}" for name in names)
    return (
        f"INSERT INTO {table.name} ({listed}, status, created_at, dispatch_at) "
        f"SELECT {listed}, '{Status.QUEUED}', %(now)s::bigint, %(dispatch_at)s::bigint "
        f"FROM unnest({arrays}) AS given ({listed}) ON CONFLICT DO NOTHING"
    )


def _one_by_one(connection: Connection, news: Sequence[NewExecution], now: Micros) -> int:
    columns = _columns(news, now)
    fixed = {"status": Status.QUEUED.value, "created_at": now}
    fixed["dispatch_at"] = now + REDISPATCH_AFTER
    rows = [
        fixed | dict(zip(columns, values, strict=True))
        for values in zip(*columns.values(), strict=True)
    ]
    written = connection.execute(insert_missing(connection.dialect.name, table), rows).rowcount
    # MySQL and MariaDB count what they skip as well.
    return -1 if connection.dialect.name in MYSQL else int(written)


def _look_up(connection: Connection, news: Sequence[NewExecution]) -> list[Started]:
    """What there is, where some were there before or others have their idempotency keys."""
    project = news[0].project_id
    asked = {"ids": [new.id for new in news], "project": project}
    written = {row.id: row for row in connection.execute(_there, asked)}
    keys = [(new.workflow_id, new.idempotency_key) for new in news if new.id not in written]
    found_by_keys = connection.execute(_by_keys, {"keys": keys, "project": project}) if keys else ()
    others = {(row.workflow_id, row.idempotency_key): execution_of(row) for row in found_by_keys}
    found: list[Started] = []
    for new in news:
        other = others.get((new.workflow_id, new.idempotency_key))
        row = written.get(new.id)
        if row is not None and (row.workflow_id, row.payload) == (new.workflow_id, new.payload):
            found.append((begun(new, row.created_at), True))
        elif other is not None:
            found.append((other, False))
        else:
            raise ExecutionExists(new.id)
    return found
