"""What the tables say, read and written past the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, text

from polos import PolosClient


class Tables:
    """The database of a client, by plain SQL."""

    def __init__(self, client: PolosClient) -> None:
        self._engine = create_engine(client.bound.store.database.engine.url)
        if self._engine.dialect.name == "sqlite":
            self._now = "CAST((julianday('now') - 2440587.5) * 86400 AS REAL)"
        elif self._engine.dialect.name == "mariadb":
            self._now = "UNIX_TIMESTAMP(SYSDATE(6))"
        else:
            self._now = "EXTRACT(EPOCH FROM clock_timestamp())"

    def row(self, execution_id: str) -> dict[str, Any]:
        """All columns of an execution, and ``now``, the database's time in microseconds."""
        sql = f"SELECT *, {self._now} AS now FROM polos_executions WHERE id = :id"
        with self._engine.connect() as connection:
            found = dict(connection.execute(text(sql), {"id": execution_id}).one()._mapping)
        return found | {"now": int(float(found["now"]) * 1_000_000)}

    def keys(self, execution_id: str) -> list[str]:
        """The keys of an execution's checkpoints, in their order."""
        sql = (
            "SELECT step_key FROM polos_checkpoints WHERE execution_id = :id "
            "ORDER BY turn, position"
        )
        return self.column(sql, id=execution_id)

    def column(self, sql: str, **values: Any) -> list[Any]:
        """The first column of a query."""
        with self._engine.connect() as connection:
            return list(connection.execute(text(sql), values).scalars())

    def execute(self, sql: str, **values: Any) -> None:
        """Change something."""
        with self.transaction() as connection:
            connection.execute(text(sql), values)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection in a transaction."""
        with self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()
