"""What is sent to a database: heard where both SQLAlchemy and Polos hand it to the driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine

from polos.store.database import Database

_EXECUTES = ("do_execute", "do_executemany", "do_execute_no_params")


def listen(
    engine: Engine,
    statement: Callable[[str, Any], None],
    commit: Callable[[], None] = lambda: None,
) -> Callable[[], None]:
    """Call ``statement`` before each (SQL, parameters), and ``commit`` before each COMMIT.

    Gives what ends it.
    """
    dialect: Any = engine.dialect
    before = {name: getattr(dialect, name) for name in (*_EXECUTES, "do_commit")}

    def execute(name: str) -> Callable[..., None]:
        def heard(cursor: Any, sql: str, *rest: Any, **named: Any) -> None:
            statement(sql, rest[0] if name != "do_execute_no_params" and rest else None)
            before[name](cursor, sql, *rest, **named)

        return heard

    def do_commit(connection: Any) -> None:
        commit()
        before["do_commit"](connection)

    for name in _EXECUTES:
        setattr(dialect, name, execute(name))
    dialect.do_commit = do_commit

    def end() -> None:
        for name, method in before.items():
            setattr(dialect, name, method)

    return end


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Collects what is sent, as (SQL, parameters)."""
    sent: list[tuple[str, Any]] = []
    end = listen(database.engine, lambda sql, parameters: sent.append((sql, parameters)))
    try:
        yield sent
    finally:
        end()
