"""Questions to a database about itself, for ``polos doctor``. Nothing here judges an answer."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Executable, Table, false, select, text

from polos.errors import StoreDenied
from polos.model.facts import ClockFacts, ConnectionFacts, FileFacts, PoolerFacts, ServerFacts
from polos.model.records import SECOND
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.schema import metadata

_POSTGRES = "postgresql"
_SQLITE = "sqlite"
# Settings by which a server may lose what it has acknowledged.
_DURABLE = {
    _POSTGRES: {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"},
    "mysql": {"innodb_flush_log_at_trx_commit": "1", "innodb_doublewrite": "ON"},
}


def reach(database: Database) -> None:
    """Ask anything; raises StoreUnavailable."""
    database.run(text("SELECT 1"))


def refusals(database: Database) -> tuple[str, ...] | None:
    """What the database's user may not do with the tables of Polos; None where there is none.

    Nothing is changed.
    """
    if database.dialect == _SQLITE:
        return None
    found = []
    for statement in itertools.chain.from_iterable(map(_of_no_row, metadata.sorted_tables)):
        try:
            database.run(statement)
        except StoreDenied as error:
            found.append(error.reason)
    return tuple(dict.fromkeys(found))


def _of_no_row(table: Table) -> Iterator[Executable]:
    """What Polos does with a table, done to none of its rows: rights are asked for all the same."""
    column = next(iter(table.columns))
    yield select(column).where(false())
    yield table.insert().from_select([*table.columns], select(table).where(false()))
    yield table.update().where(false()).values({column: column})
    yield table.delete().where(false())


def server(database: Database) -> ServerFacts:
    """Which server it is, and how it treats transactions."""
    return database.transaction(_server)


def _server(connection: Connection) -> ServerFacts:
    dialect = connection.dialect
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    if name == _SQLITE:
        version = str(_one(connection, "SELECT sqlite_version()"))
        return ServerFacts(name, _numbers(version), f"SQLite {version}", "serializable")
    version = str(_one(connection, "SHOW server_version" if _is_pg(connection) else _MY_VERSION))
    return ServerFacts(
        dialect=name,
        version=_numbers(version),
        text=version,
        isolation=_isolation(connection),
        read_only=_is_read_only(connection),
        careless=_careless(connection),
    )


_MY_VERSION = "SELECT VERSION()"


def _is_pg(connection: Connection) -> bool:
    return connection.dialect.name == _POSTGRES


def _isolation(connection: Connection) -> str:
    if _is_pg(connection):
        return str(_one(connection, "SHOW transaction_isolation"))
    # MariaDB before 11.1 and MySQL before 8 have the older name only.
    query = text(
        "SHOW SESSION VARIABLES WHERE variable_name IN ('transaction_isolation', 'tx_isolation')"
    )
    rows = {str(row[0]): str(row[1]) for row in connection.execute(query)}
    found = rows.get("transaction_isolation") or rows.get("tx_isolation") or ""
    return found.replace("-", " ").lower()


def _is_read_only(connection: Connection) -> bool:
    if _is_pg(connection):
        return str(_one(connection, "SHOW transaction_read_only")) == "on"
    return str(_one(connection, "SELECT @@global.read_only")) in {"1", "ON"}


def _careless(connection: Connection) -> dict[str, str]:
    wanted = _DURABLE[_POSTGRES if _is_pg(connection) else "mysql"]
    found = {}
    for name, safe in wanted.items():
        query = f"SHOW {name}" if _is_pg(connection) else f"SELECT @@global.{name}"
        value = str(_one(connection, query))
        if value.lower() not in _good_values(name, safe):
            found[name] = value
    return found


def _good_values(name: str, safe: str) -> set[str]:
    more = {"remote_apply", "remote_write", "local"} if name == "synchronous_commit" else set()
    return {safe.lower(), "1" if safe.lower() == "on" else safe.lower(), *more}


def clock(database: Database) -> ClockFacts:
    """The database's clock against this host's; the best of three questions."""
    asked = select(now_micros())
    database.run(asked)  # makes the connection
    return min((_clock_once(database) for _ in range(3)), key=lambda it: it.uncertainty)


def _clock_once(database: Database) -> ClockFacts:
    before = time.time()
    theirs = database.run(select(now_micros()))[0][0] / SECOND
    after = time.time()
    return ClockFacts(theirs - (before + after) / 2, (after - before) / 2)


def connections(database: Database) -> ConnectionFacts | None:
    """How many connections the server allows, and has; None where there is no such limit."""
    if database.dialect == _SQLITE:
        return None
    return database.transaction(_connections)


def _connections(connection: Connection) -> ConnectionFacts:
    if _is_pg(connection):
        limit = int(_one(connection, "SHOW max_connections"))
        reserved = int(_one(connection, "SHOW superuser_reserved_connections"))
        used = _one(
            connection,
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'",
        )
        return ConnectionFacts(limit - reserved, int(used))
    limit = int(_one(connection, "SELECT @@global.max_connections"))
    row = connection.execute(text("SHOW GLOBAL STATUS LIKE 'Threads_connected'")).one()
    return ConnectionFacts(limit, int(row[1]))


def pooler(database: Database) -> PoolerFacts | None:
    """Whether a pooler answers in PostgreSQL's place; None for another database.

    A pooler promises a made-up process when a connection is opened. One that pools by transaction
    serves a second connection by the process that has just served an idle first one.
    """
    if database.dialect != _POSTGRES:
        return None
    # No transaction: it would keep the server process.
    engine = database.engine.execution_options(polos_single_statement=True)
    with engine.connect() as first, engine.connect() as second:
        promised = _promised(first)
        idle = int(_one(first, "SELECT pg_backend_pid()"))
        busy = int(_one(second, "SELECT pg_backend_pid()"))
    return PoolerFacts(between=promised not in {0, idle}, by_transaction=idle == busy)


def _promised(connection: Connection) -> int:
    info = getattr(connection.connection.driver_connection, "info", None)
    return int(getattr(info, "backend_pid", 0))


def collations(database: Database) -> tuple[tuple[str, str, str], ...]:
    """Columns of MySQL that don't compare byte for byte: table, column, collation."""
    if database.dialect in {_SQLITE, _POSTGRES}:
        return ()
    rows = database.run(
        text(
            "SELECT table_name, column_name, collation_name FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND character_maximum_length = 255 "
            "AND collation_name IS NOT NULL AND collation_name NOT LIKE '%bin'"
        )
    )
    ours = {name.lower() for name in metadata.tables}
    return tuple((str(r[0]), str(r[1]), str(r[2])) for r in rows if str(r[0]).lower() in ours)


def file(database: Database) -> FileFacts | None:
    """The file of an SQLite database; None for a server."""
    if database.dialect != _SQLITE:
        return None
    path = Path(str(database.engine.url.database)).resolve()
    with database.engine.connect() as connection:
        journal = str(_one(connection, "PRAGMA journal_mode"))
        synchronous = int(_one(connection, "PRAGMA synchronous"))
    return FileFacts(str(path), file_system_of(path), journal, synchronous)


def file_system_of(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """The kind of file system that a path is on, such as ``ext4`` or ``nfs4``; empty if unknown."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for parts in filter(lambda it: len(it) > 2, map(str.split, lines)):
        point = parts[1].replace("\\040", " ")
        if len(point) >= len(best) and path.is_relative_to(point):
            best, kind = point, parts[2]
    return kind


def _numbers(version: str) -> tuple[int, ...]:
    # Servers that imitate MySQL put its version in front of their own.
    plain = version.removeprefix("5.5.5-")
    found = re.match(r"[\d.]+", plain)
    return tuple(int(part) for part in found[0].split(".") if part) if found else ()


def _one(connection: Connection, query: str) -> Any:
    return connection.execute(text(query)).scalar_one()
