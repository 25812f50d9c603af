"""The least that a database takes: plain inserts, each committed, with the driver alone."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from sqlalchemy import make_url

# About what the checkpoint of an empty step holds.
_TABLE = (
    "CREATE TABLE IF NOT EXISTS bench_floor"
    " (execution_id varchar(64) NOT NULL, step_key varchar(255) NOT NULL, value {bytes},"
    " PRIMARY KEY (execution_id, step_key))"
)

Commit = Callable[[], None]


class Floor:
    """One connection whose every insert is committed before the call returns.

    Args:
        url: of the database as SQLAlchemy takes it; PostgreSQL, or a file of SQLite.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self._number = 0
        self._prefix = f"{time.time_ns():x}"
        if parsed.get_backend_name() == "sqlite":
            self._open_sqlite(str(parsed.database))
        else:
            self._open_postgres(parsed.set(drivername="postgresql").render_as_string(False))

    def commits(self, count: int) -> float:
        """Seconds that so many commits take, one after another."""
        began = time.perf_counter()
        for _ in range(count):
            self.commit()
        return time.perf_counter() - began

    def commit(self) -> None:
        """Insert a row."""
        self._number += 1
        self._execute(self._statement, (self._prefix, f"step_{self._number}", b"0"))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _open_sqlite(self, file: str) -> None:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(file, timeout=30, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_TABLE.format(bytes="blob"))
        self._connection: sqlite3.Connection | psycopg.Connection = connection
        self._execute: Callable[[str, tuple[object, ...]], object] = connection.execute
        self._statement = "INSERT INTO bench_floor VALUES (?, ?, ?)"

    def _open_postgres(self, url: str) -> None:
        connection = psycopg.connect(url, autocommit=True)
        connection.execute(_TABLE.format(bytes="bytea").encode())
        cursor = connection.cursor()
        self._connection = connection
        self._execute = lambda query, values: cursor.execute(query.encode(), values)
        self._statement = "INSERT INTO bench_floor VALUES (%s, %s, %s)"
