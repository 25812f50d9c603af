"""Engines: which database an URL names, and how each connection to it is set up."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from polos.errors import ConfigurationError, StoreUnavailable
from polos.model.ports import Transactor
from polos.model.settings import find_home
from polos.store.columns import MYSQL
from polos.store.rewriting import run_rewritten

_BUSY_SECONDS = 30
# The shorter one is what many hosts of PostgreSQL hand out.
_POSTGRES = frozenset({"postgresql", "postgres"})
_RECYCLED_SECONDS = 300
# In what is kept of a connection to PostgreSQL: whether a pooler is in between.
POOLED = "polos_pooled"


def embedded_url() -> str:
    """The URL of the SQLite database in ``.polos/``."""
    return f"sqlite:///{find_home() / 'polos.db'}"


def framework_url() -> str:
    """The URL of the database of a Django project that has Polos among its apps; else empty."""
    if "DJANGO_SETTINGS_MODULE" not in os.environ and "django.conf" not in sys.modules:
        return ""
    databases = _framework("databases")
    return "" if databases is None else str(databases.find_url())


def framework_transactor() -> Transactor | None:
    """The transactions of that project, where its database is the store's."""
    return _framework("transactions").in_atomic if framework_url() else None


def _framework(name: str) -> Any:
    # By name: what knows Django lies above, and is imported only where Django is.
    try:
        return importlib.import_module(f"polos.contrib.django.{name}")
    except ModuleNotFoundError as error:
        if error.name != "django":
            raise
        return None


def url_text(
    backend: str,
    database: str,
    *,
    user: str = "",
    password: str = "",
    host: str = "",
    port: int | None = None,
    query: Mapping[str, str] | None = None,
) -> str:
    """The URL of a database that is known by its parts, as ``Settings.database_url`` takes it.

    Args:
        backend: ``postgresql``, ``mysql``, ``mariadb`` or ``sqlite``.
        database: its name; SQLite's file.
        user: empty for the server's default.
        password: empty for none.
        host: empty for the server's default.
        port: None for the server's default.
        query: what else the driver takes.
    """
    url = URL.create(
        backend, user or None, password or None, host or None, port, database or None, query or {}
    )
    return url.render_as_string(hide_password=False)


def parsed(url: str) -> URL:
    """An URL with the driver that Polos uses; raises ConfigurationError."""
    try:
        found = make_url(url)
    except ArgumentError:
        raise ConfigurationError(
            "POLOS_DATABASE_URL is no database URL; it looks like "
            "postgresql+psycopg://user:password@host/name or sqlite:///file"
        ) from None
    if found.host and "@" in found.host:
        raise ConfigurationError(
            "the user or the password in POLOS_DATABASE_URL has an '@' in it: write it as %40"
        )
    if found.drivername in _POSTGRES:
        return found.set(drivername="postgresql+psycopg")
    if found.drivername in MYSQL:
        found = found.set(drivername=f"{found.drivername}+pymysql")
    if found.get_backend_name() in MYSQL and "charset" not in found.query:
        # What a driver takes by itself depends on its version, and on files of the system.
        return found.update_query_dict({"charset": "utf8mb4"})
    return found


def make_engine(url: URL, synchronous: str, connections: int) -> Engine:
    """The engine of an URL.

    Args:
        url: as ``parsed`` gives it.
        synchronous: SQLite's ``PRAGMA synchronous``.
        connections: how many are kept.

    Raises:
        ConfigurationError: there is no driver for it.
        StoreUnavailable: the folder of its file can't be made.
    """
    # Payloads must not reach tracebacks by way of a statement's parameters.
    options: dict[str, Any] = {
        "pool_size": connections,
        "max_overflow": -1,
        # The one used last has its statements prepared and its server process awake.
        "pool_use_lifo": True,
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
    elif backend in {"postgresql", *MYSQL} and "connect_timeout" not in url.query:
        options["connect_args"] = {"connect_timeout": 5}
    if backend in MYSQL:
        # Its servers close what has been idle for long, and some are told to do so soon.
        options["pool_recycle"] = _RECYCLED_SECONDS
    engine = _created(url, options)
    if backend == "sqlite":
        _prepare_sqlite(engine, synchronous)
    elif url.drivername == "postgresql+psycopg":
        _prepare_psycopg(engine)
    elif backend in MYSQL:
        _prepare_mysql(engine)
    _begin_in_words(engine, begin_words(backend))
    return engine


def _created(url: URL, options: dict[str, Any]) -> Engine:
    try:
        if url.get_dialect().is_async:
            raise ConfigurationError(
                f"{url.drivername} is a driver for asyncio only; {_driver_hint(url)}"
            )
        return create_engine(url, **options)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        hint = _driver_hint(url)
        raise ConfigurationError(f"no driver for {url.drivername}: {error}; {hint}") from error


def _driver_hint(url: URL) -> str:
    backend, named = url.get_backend_name(), "+" in url.drivername
    if backend == "sqlite":
        return "write sqlite:///file"
    if backend not in {"postgresql", *MYSQL}:
        return "Polos keeps its data in PostgreSQL, MariaDB, MySQL or SQLite"
    own = url.drivername in {"postgresql+psycopg", *(f"{name}+pymysql" for name in MYSQL)}
    extra = f"pip install 'polos[{'postgres' if backend == 'postgresql' else 'mysql'}]'"
    return extra if own or not named else f"write {backend}://…, and {extra}"


def begin_words(backend: str) -> str:
    """What begins a transaction."""
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


def _prepare_psycopg(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, record: Any) -> None:
        record.info[POOLED] = is_pooled(connection)
        if record.info[POOLED]:
            # A prepared statement stays behind on a connection that is then another client's.
            connection.prepare_threshold = None


def is_pooled(connection: Any) -> bool:
    """Whether a pooler is between this connection of psycopg and PostgreSQL, such as PgBouncer.

    A pooler hands out one connection of the server for each transaction, so what a client was told
    when it connected isn't the process that does its work.
    """
    before, connection.autocommit = connection.autocommit, True
    try:
        # Unprepared, and so the same on every connection of the server.
        row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    finally:
        connection.autocommit = before
    return bool(row[0] != connection.info.backend_pid)


def _prepare_mysql(engine: Engine) -> None:
    event.listen(engine, "before_execute", run_rewritten, retval=True)

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        with closing(connection.cursor()) as cursor:
            # A waker's second statement must see what was committed before it got its lock.
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            # Else a key that is too long is cut off, and may be another one's then.
            cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')")


def _begin_in_words(engine: Engine, words: str) -> None:
    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        if not connection.get_execution_options().get("polos_single_statement"):
            connection.exec_driver_sql(words)
