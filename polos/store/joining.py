"""A start that is part of the caller's own transaction.

Rolled back with it, the execution never was. It is due at once, so that the sweep finds it as soon
as it is committed, whatever becomes of the process that committed it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any
from weakref import WeakSet

from sqlalchemy import BigInteger, Engine, bindparam, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from polos.errors import ConfigurationError, ExecutionExists, SchemaError
from polos.model.records import Execution, NewExecution
from polos.store import tags
from polos.store.callers import Caller, caller_of
from polos.store.clock import now_micros
from polos.store.executions import GIVEN, moments
from polos.store.migrate import VERSION_TABLE
from polos.store.prebuilt import Prebuilt
from polos.store.rows import begun, execution_of, new_values
from polos.store.schema import SCHEMA
from polos.store.schema import executions as table
from polos.store.schema import tags as tags_table

_FIND_VERSIONS = {
    "postgresql": f"SELECT to_regclass('{VERSION_TABLE}')",
    "sqlite": f"SELECT name FROM sqlite_master WHERE type = 'table' AND name = '{VERSION_TABLE}'",
    "mysql": "SELECT table_name FROM information_schema.tables "
    f"WHERE table_schema = DATABASE() AND table_name = '{VERSION_TABLE}'",
}
_TRIES = 3
# The number of the error of MySQL and MariaDB.
_DUPLICATE = 1062

_delay = bindparam("delay", type_=BigInteger)
_moments = moments(
    _delay,
    bindparam("until_deadline", type_=BigInteger),
    bindparam("start_within", type_=BigInteger),
)
_values = _moments | {"dispatch_at": now_micros() + func.coalesce(_delay, 0)}
_written = Prebuilt(
    select(table.c.created_at, table.c.wake_at, table.c.deadline_at).where(
        table.c.id == bindparam("the_id")
    )
)
_holder = select(table).where(
    table.c.project_id == bindparam("project"),
    table.c.workflow_id == bindparam("workflow"),
    table.c.idempotency_key == bindparam("key"),
)
_by_key = Prebuilt(_holder)
_insert_tag = Prebuilt(insert(tags_table), columns=tags_table.c.keys())
# Else a snapshot that is older than the row hides it from who has just been refused by it.
_by_key_now = Prebuilt(_holder.with_for_update(read=True))

_fitting: WeakSet[Engine] = WeakSet()
_fitting_names: set[Any] = set()


def start_within(
    connection: Any, new: NewExecution, committed: Callable[[Execution], None]
) -> tuple[Execution, bool]:
    """Write an execution through the caller's connection, or find the one with its key.

    Args:
        connection: the caller's own.
        new: the execution.
        committed: called after the commit, where that can be known; not for one that was found.

    Returns:
        the execution, and whether it was not there before.

    Raises:
        TypeError: it is no connection that is known.
        ConfigurationError: its database has no tables of Polos.
        SchemaError: its database has an older schema.
        ExecutionExists: the id is taken.
    """
    caller = caller_of(connection)
    _check_schema(caller)
    statement, values = _insert(_kind(caller)), new_values(new)
    for _ in range(_TRIES):
        if _write(caller, statement, values):
            [row] = caller.run(_written, {"the_id": new.id})
            execution = begun(new, row.created_at, row.wake_at, row.deadline_at)
            for values in tags.rows_of(new, row.created_at):
                caller.write(_insert_tag, values)
            caller.after_commit(partial(committed, execution))
            return execution, True
        found = _same_key(caller, new)
        if found is not None:
            return found, False
        if caller.run(_written, {"the_id": new.id}):
            break
        # Who held the key has let go of it meanwhile.
    raise ExecutionExists(new.id)


def _write(caller: Caller, statement: Prebuilt, values: dict[str, Any]) -> bool:
    try:
        return caller.write(statement, values) > 0
    except Exception as error:
        if _kind(caller) == "mysql" and getattr(error, "orig", error).args[:1] == (_DUPLICATE,):
            return False
        raise


def _kind(caller: Caller) -> str:
    name = caller.dialect.name
    return "mysql" if name == "mariadb" else name


@cache
def _insert(kind: str) -> Prebuilt:
    """Inserts unless it is there: a violated constraint would spoil the caller's transaction."""
    statement: Any
    if kind == "mysql":
        # What it refuses spoils nothing there; its IGNORE would also cut off what is too long.
        statement = insert(table).values(_values)
    else:
        builder: Any = sqlite.insert if kind == "sqlite" else postgresql.insert
        statement = builder(table).values(_values).on_conflict_do_nothing()
    return Prebuilt(statement, columns=GIVEN)


def _same_key(caller: Caller, new: NewExecution) -> Execution | None:
    if new.idempotency_key is None:
        return None
    key = {"project": new.project_id, "workflow": new.workflow_id, "key": new.idempotency_key}
    statement = _by_key_now if _kind(caller) == "mysql" else _by_key
    rows = caller.run(statement, key)
    return execution_of(rows[0]) if rows else None


def _check_schema(caller: Caller) -> None:
    """Look once whether the database has what this code writes; never fails the transaction."""
    known = caller.known_as
    if known in (_fitting if isinstance(known, Engine) else _fitting_names):
        return
    found = caller.scalar(_FIND_VERSIONS[_kind(caller)])
    if found is None:
        raise ConfigurationError(
            f"connection= leads to {caller.place}, which has no tables of Polos: pass a connection "
            "to the database of POLOS_DATABASE_URL (polos_database_url), or run 'polos migrate' "
            "for that one"
        )
    version = caller.scalar(f"SELECT version_num FROM {VERSION_TABLE}")
    if version is None or str(version) < SCHEMA:
        raise SchemaError(caller.place, version and str(version), SCHEMA)
    if isinstance(known, Engine):
        _fitting.add(known)
    elif known is not None:
        _fitting_names.add(known)
