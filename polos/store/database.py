"""One engine, its transactions, and what a database's refusal means."""

from __future__ import annotations

import logging
import os
import random
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Executable, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.pool import PoolProxiedConnection

from polos.errors import ConfigurationError, StoreUnavailable
from polos.model.settings import find_home
from polos.store.prebuilt import Prebuilt, Transaction, transaction, wrapped

T = TypeVar("T")
Rows = Sequence[Any]

log = logging.getLogger("polos.store")

# PostgreSQL: serialization failure, deadlock; MySQL: deadlock, lock wait timeout.
_RETRIED_STATES = frozenset({"40001", "40P01"})
# Connection exceptions, insufficient resources, operator intervention.
_AWAY_STATES = ("08", "53", "57P")
_RETRIED_CODES = frozenset({1205, 1213})
_TRIES = 8
_BUSY_SECONDS = 30


class Database:
    """A SQLAlchemy engine with the two ways in which Polos talks to it.

    ``run`` sends one statement that commits by itself: one round trip. ``transaction`` runs a
    function in one, again after a deadlock or a serialization failure.

    Args:
        url: a SQLAlchemy URL; the embedded SQLite database where empty.
        synchronous: SQLite's ``PRAGMA synchronous``.
        connections: how many are kept; more are made when needed and closed again.
    """

    def __init__(self, url: str = "", *, synchronous: str = "FULL", connections: int = 4) -> None:
        self.embedded = not url
        self._url = _parsed(url or embedded_url())
        self.engine = _engine(self._url, synchronous, connections)
        _forget_after_fork(self.engine)
        self._single = self.engine.execution_options(polos_single_statement=True)

    @property
    def dialect(self) -> str:
        """``sqlite``, ``postgresql``, ``mysql`` or ``mariadb``."""
        return self.engine.dialect.name

    @property
    def url(self) -> str:
        """The URL without its password, for messages."""
        hidden = {name: "***" for name in self._url.query if "pass" in name}
        return self._url.update_query_dict(hidden).render_as_string(hide_password=True)

    def run(
        self,
        statement: Executable | Prebuilt,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> Rows:
        """Run one statement that commits by itself; its rows, if it gives any."""
        if isinstance(statement, Prebuilt):
            return self._retried(partial(self._drive, statement, parameters or {}))
        return self._retried(partial(self._execute, statement, parameters))

    def transaction(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction; it may be called again after a deadlock."""

        def once() -> T:
            with self.engine.begin() as connection:
                return work(connection)

        return self._retried(once)

    def driven(self, work: Callable[[Transaction], T]) -> T:
        """The same for prebuilt statements only, without SQLAlchemy's share of the time."""

        def once() -> T:
            with (
                self._driver() as connection,
                transaction(self.engine.dialect, connection, _begin(self.dialect)) as begun,
            ):
                return work(begun)

        return self._retried(once)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _drive(self, statement: Prebuilt, parameters: Any) -> Rows:
        with self._driver() as connection:
            return statement.run(self.engine.dialect, connection, parameters)

    @contextmanager
    def _driver(self) -> Iterator[PoolProxiedConnection]:
        connection = self._connected()
        try:
            yield connection
        except DBAPIError as error:
            if error.connection_invalidated:
                # As SQLAlchemy does: the others are most likely gone with it.
                connection.invalidate(error)
                self.engine.dispose()
            raise
        finally:
            connection.close()

    def _connected(self) -> PoolProxiedConnection:
        dialect = self.engine.dialect
        try:
            return self.engine.raw_connection()
        except dialect.loaded_dbapi.Error as error:
            raise wrapped(error, dialect) from error

    def _execute(self, statement: Executable, parameters: Any) -> Rows:
        with self._single.connect() as connection:
            result = connection.execute(statement, parameters)
            return result.all() if result.returns_rows else ()

    def _retried(self, work: Callable[[], T]) -> T:
        for tried in range(1, _TRIES + 1):
            try:
                return work()
            except DBAPIError as error:
                conflict = _is_conflict(error)
                away = _is_away(error)
                if conflict and tried < _TRIES:
                    pass
                elif conflict or away:
                    raise StoreUnavailable(
                        self.url, _first_line(error), _was_sent(error)
                    ) from error
                else:
                    raise
            time.sleep(random.random() * 0.01 * 2**tried)
        raise AssertionError("unreachable")


def _forget_after_fork(engine: Engine) -> None:
    """A child process must not share its parent's connections, whoever forks."""
    known = weakref.ref(engine)

    def forget() -> None:
        found = known()
        if found is not None:
            found.dispose(close=False)

    os.register_at_fork(after_in_child=forget)


def embedded_url() -> str:
    """The URL of the SQLite database in ``.polos/``."""
    return f"sqlite:///{find_home() / 'polos.db'}"


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(
            "POLOS_DATABASE_URL is no database URL; it looks like "
            "postgresql+psycopg://user:password@host/name or sqlite:///file"
        ) from None
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in {"mysql", "mariadb"}:
        return parsed.set(drivername=f"{parsed.drivername}+pymysql")
    return parsed


def _engine(url: URL, synchronous: str, connections: int) -> Engine:
    # Payloads must not reach tracebacks by way of a statement's parameters.
    options: dict[str, Any] = {
        "pool_size": connections,
        "max_overflow": -1,
        "hide_parameters": True,
        # Single statements commit by themselves; a transaction begins in words of its own.
        "isolation_level": "AUTOCOMMIT",
        # Nothing is left open when a connection is given back.
        "pool_reset_on_return": None,
    }
    backend = url.get_backend_name()
    if backend == "sqlite":
        options["connect_args"] = {"timeout": _BUSY_SECONDS, "check_same_thread": False}
        _make_folder(url)
    elif backend == "postgresql" and "connect_timeout" not in url.query:
        options["connect_args"] = {"connect_timeout": 5}
    try:
        engine = create_engine(url, **options)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        extra = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}.get(backend)
        hint = f"; pip install 'polos[{extra}]'" if extra else ""
        raise ConfigurationError(f"no driver for {url.drivername}: {error}{hint}") from error
    if backend == "sqlite":
        _prepare_sqlite(engine, synchronous)
    _begin_in_words(engine, _begin(backend))
    return engine


def _begin(backend: str) -> str:
    return "BEGIN IMMEDIATE" if backend == "sqlite" else "BEGIN"


def _make_folder(url: URL) -> None:
    if url.database in {None, "", ":memory:"}:
        raise ConfigurationError(
            "an SQLite database in memory is seen by one connection only; name a file, such as "
            "sqlite:///polos.db"
        )
    try:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(url.render_as_string(), str(error)) from error


def _prepare_sqlite(engine: Engine, synchronous: str) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        # pysqlite's own BEGIN comes late and is deferred: read-then-write updates get lost.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")


def _begin_in_words(engine: Engine, words: str) -> None:
    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        if not connection.get_execution_options().get("polos_single_statement"):
            connection.exec_driver_sql(words)


def _is_conflict(error: DBAPIError) -> bool:
    original = error.orig
    state = getattr(original, "sqlstate", None)
    code = original.args[0] if original is not None and original.args else None
    busy = "database is locked" in str(original)
    return state in _RETRIED_STATES or code in _RETRIED_CODES or busy


def _is_away(error: DBAPIError) -> bool:
    """Whether the database is out of reach, and not the statement at fault."""
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    if not isinstance(error, OperationalError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_AWAY_STATES)
    text = str(error.orig)
    return "SQL variables" not in text and "compound SELECT" not in text


def _was_sent(error: DBAPIError) -> bool:
    """Whether there was a connection: only an error of making one has neither of these."""
    return error.statement is not None or error.connection_invalidated


def _first_line(error: DBAPIError) -> str:
    lines = [line.strip() for line in str(error.orig).splitlines() if line.strip()]
    return lines[0] if lines else type(error.orig).__name__
