"""Connections that are the caller's own: what is written through one is part of his transaction.

They belong to SQLAlchemy, to Django or to a driver. Errors are left as the caller's own library
raises them, so that what he does about a deadlock still works.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from weakref import WeakSet

from sqlalchemy import Connection, Dialect, Engine, event
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.dialects.postgresql import psycopg as postgresql
from sqlalchemy.orm import Session, scoped_session

from polos.errors import ConfigurationError
from polos.store.prebuilt import Prebuilt

Work = Callable[[], None]

log = logging.getLogger("polos.store")

_KINDS = (
    "pass SQLAlchemy's Connection, Session or scoped_session, Django's connection, or a connection "
    "of psycopg or sqlite3"
)
# The dialects of connections that SQLAlchemy doesn't know, in the style of their parameters.
_DRIVERS = {"psycopg": ("postgresql", "format"), "sqlite3": ("sqlite", "qmark")}


class Caller(Protocol):
    """A connection in the caller's hands.

    Attributes:
        place: the database, for messages.
        known_as: the same for each connection to that database; None where there is no telling.
    """

    place: str
    known_as: Any

    @property
    def dialect(self) -> Dialect:
        """How statements are written for it."""
        ...

    def run(self, statement: Prebuilt, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run a statement; its rows, if it gives any."""
        ...

    def write(self, statement: Prebuilt, values: Mapping[str, Any]) -> int:
        """Run a statement; how many rows it wrote."""
        ...

    def scalar(self, text: str) -> Any:
        """What a query without parameters gives; None where there is no row."""
        ...

    def after_commit(self, work: Work) -> None:
        """Do this when the transaction is committed, as far as that can be known."""
        ...


def caller_of(connection: Any) -> Caller:
    """What the caller has passed as ``connection=``.

    Raises:
        TypeError: it is no connection that is known.
        ConfigurationError: it is one to a database that Polos can't be kept in.
    """
    if isinstance(connection, scoped_session):
        connection = connection()
    if isinstance(connection, Session):
        connection = connection.connection()
    if isinstance(connection, Connection):
        return _Alchemy(connection)
    _refuse_async(connection)
    if hasattr(connection, "vendor") and hasattr(connection, "on_commit"):
        return _Django(connection)
    driver = type(connection).__module__.partition(".")[0]
    if driver in _DRIVERS and hasattr(connection, "cursor"):
        return _Driver(connection, dialect_of(*_DRIVERS[driver]))
    raise TypeError(f"connection= was given a {type(connection).__name__}; {_KINDS}")


def _refuse_async(connection: Any) -> None:
    name = type(connection).__name__
    if hasattr(connection, "run_sync"):
        raise TypeError(
            f"connection= was given the asynchronous {name}; write: await "
            "session.run_sync(lambda it: workflow.start(payload, connection=it))"
        )
    if name.startswith("Async"):
        raise TypeError(f"connection= was given the asynchronous {name}; {_KINDS}")


def dialect_of(name: str, paramstyle: Any) -> Dialect:
    """The dialect in which a statement is written for another library.

    Raises:
        ConfigurationError: Polos has none for that database.
    """
    # That of psycopg casts its parameters, which does no harm to other drivers.
    known = {
        "postgresql": postgresql.dialect,
        "sqlite": sqlite.dialect,
        "mysql": mysql.dialect,
    }
    check_dialect(name)
    made: Dialect = known[name](paramstyle=paramstyle)
    return made


def check_dialect(name: str) -> None:
    """Raise ConfigurationError for a database that Polos can't be kept in."""
    if name not in {"postgresql", "sqlite", "mysql", "mariadb"}:
        raise ConfigurationError(
            f"connection= leads to a database of the kind {name!r}; Polos keeps executions in "
            "PostgreSQL, MySQL, MariaDB and SQLite"
        )


class _Alchemy:
    """A connection of SQLAlchemy."""

    def __init__(self, connection: Connection) -> None:
        check_dialect(connection.dialect.name)
        self._connection = connection
        self.place = connection.engine.url.render_as_string(hide_password=True)
        self.known_as = connection.engine

    @property
    def dialect(self) -> Dialect:
        return self._connection.dialect

    def run(self, statement: Prebuilt, values: Mapping[str, Any]) -> Sequence[Any]:
        whole: Any = statement.statement
        result = self._connection.execute(whole, values)
        return result.all() if result.returns_rows else ()

    def write(self, statement: Prebuilt, values: Mapping[str, Any]) -> int:
        whole: Any = statement.statement
        kept = {"preserve_rowcount": True}
        return int(self._connection.execute(whole, values, execution_options=kept).rowcount)

    def scalar(self, text: str) -> Any:
        return self._connection.exec_driver_sql(text).scalar()

    def after_commit(self, work: Work) -> None:
        options = self._connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            work()
            return
        _watch(self._connection.engine)
        self._connection.info.setdefault(_UNCOMMITTED, []).append(work)


class _Cursors:
    """A connection that is spoken to by cursors."""

    known_as: Any = None

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self._connection = connection
        self.dialect = dialect

    def run(self, statement: Prebuilt, values: Mapping[str, Any]) -> Sequence[Any]:
        driven = statement.driven(self.dialect)
        with self._cursor() as cursor:
            cursor.execute(driven.text, driven.arguments(values))
            return driven.rows(cursor, values)

    def write(self, statement: Prebuilt, values: Mapping[str, Any]) -> int:
        driven = statement.driven(self.dialect)
        with self._cursor() as cursor:
            cursor.execute(driven.text, driven.arguments(values))
            return int(cursor.rowcount)

    def scalar(self, text: str) -> Any:
        with self._cursor() as cursor:
            cursor.execute(text)
            row = cursor.fetchone()
        return None if row is None else row[0]

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        cursor = self._connection.cursor()
        try:
            yield cursor
        finally:
            cursor.close()


class _Django(_Cursors):
    """Django's connection to one of its ``DATABASES``."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection, dialect_of(connection.vendor, "format"))
        settings = connection.settings_dict
        self.place = f"Django's {connection.alias!r} ({settings.get('NAME')})"
        names = ("HOST", "PORT", "NAME", "OPTIONS")
        self.known_as = (connection.alias, *(str(settings.get(name)) for name in names))

    def after_commit(self, work: Work) -> None:
        if self._connection.in_atomic_block or self._connection.get_autocommit():
            self._connection.on_commit(_Unfailing([work]))


class _Driver(_Cursors):
    """A driver's own connection; what comes after its commit, the sweep does."""

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        super().__init__(connection, dialect)
        self.place = f"the {dialect.name} database of that connection"

    def after_commit(self, work: Work) -> None:
        """Nothing tells."""

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        with super()._cursor() as cursor:
            if hasattr(cursor, "row_factory"):
                cursor.row_factory = _plain_rows(self.dialect.name)
            yield cursor


def _plain_rows(dialect: str) -> Any:
    if dialect == "sqlite":
        return None
    from psycopg.rows import tuple_row

    return tuple_row


# -- what SQLAlchemy tells of its commits --------------------------------------------------

# In a connection's ``info``: what waits for the commit, and what for the moment after it.
_UNCOMMITTED, _COMMITTED = "polos_uncommitted", "polos_committed"
_watched: WeakSet[Engine] = WeakSet()
_watching = threading.Lock()


def _watch(engine: Engine) -> None:
    """Hear of the commits of an engine, from now on.

    Its ``commit`` comes before the commit itself. What comes next after it is the connection's
    return to the pool, or the next transaction.
    """
    with _watching:
        if engine in _watched:
            return
        event.listen(engine, "commit", _committing)
        event.listen(engine, "rollback", _rolled_back)
        event.listen(engine, "begin", flush_committed)
        event.listen(engine.pool, "checkin", _checked_in)
        _watched.add(engine)


def flush_committed(connection: Connection) -> None:
    """Do what waited for a commit that has happened."""
    _do(connection.info)


def _committing(connection: Connection) -> None:
    info = connection.info
    if _UNCOMMITTED in info:
        info.setdefault(_COMMITTED, []).extend(info.pop(_UNCOMMITTED))


def _rolled_back(connection: Connection) -> None:
    connection.info.pop(_UNCOMMITTED, None)
    connection.info.pop(_COMMITTED, None)


def _checked_in(_connection: Any, record: Any) -> None:
    record.info.pop(_UNCOMMITTED, None)
    _do(record.info)


def _do(info: dict[Any, Any]) -> None:
    if _COMMITTED in info:
        _Unfailing(info.pop(_COMMITTED))()


class _Unfailing:
    """What comes after a commit must not fail who has committed."""

    def __init__(self, works: Sequence[Work]) -> None:
        self._works = works

    def __call__(self) -> None:
        for work in self._works:
            try:
                work()
            except Exception:
                log.exception("what was to follow a commit failed; the sweep does it")
