"""Being told of ends by PostgreSQL, on a connection of one's own.

An execution's row may name a channel. The statement that ends it then notifies that channel, in its
own transaction. Only executions that somebody waits for name one: a commit that notifies takes a
lock that all such commits of the database share.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Text, bindparam, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from polos.errors import StoreError, StoreUnavailable
from polos.store.connecting import POOLED
from polos.store.database import Database

_notify = select(func.pg_notify(bindparam("channel"), bindparam("text")))


class told(GenericFunction[str]):  # noqa: N801
    """Notifies the channel of a row of its id; NULL where it has none, and on other databases."""

    type = Text()
    inherit_cache = True


@compiles(told)
def _nobody(element: Any, compiler: Any, **kw: Any) -> str:
    return "NULL"


@compiles(told, "postgresql")
def _postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    channel, text = (compiler.process(it, **kw) for it in element.clauses)
    return f"CASE WHEN {channel} IS NOT NULL THEN CAST(pg_notify({channel}, {text}) AS TEXT) END"


class Unheard(StoreError):
    """A pooler is between this process and PostgreSQL: what it listens to, it would not hear."""


class Line:
    """A connection that listens to one channel."""

    def __init__(self, database: Database, connection: Any) -> None:
        self._database = database
        self._connection = connection

    def heard(self, seconds: float) -> list[str]:
        """What comes first within so many seconds.

        Raises:
            StoreUnavailable: the connection is lost.
        """
        with _lost(self._database):
            return [it.payload for it in self._connection.notifies(timeout=seconds, stop_after=1)]


@contextmanager
def listen(database: Database, channel: str) -> Iterator[Line]:
    """A line to a channel, on a connection that the pool then has one less of.

    Raises:
        StoreUnavailable: the database can't be reached.
        Unheard: a pooler is in between.
    """
    with _lost(database):
        pooled = database.engine.raw_connection()
        if pooled.info.get(POOLED):
            # It would go on listening, on a connection that others use then.
            pooled.close()
            raise Unheard
        connection: Any = pooled.driver_connection
        pooled.detach()
        try:
            connection.autocommit = True
            connection.execute(f'LISTEN "{channel}"')
            yield Line(database, connection)
        finally:
            connection.close()


def notify(database: Database, channel: str, text: str) -> None:
    """Send a text to a channel."""
    database.run(_notify, {"channel": channel, "text": text})


@contextmanager
def _lost(database: Database) -> Iterator[None]:
    error_class: Any = database.engine.dialect.loaded_dbapi
    try:
        yield
    except error_class.Error as error:
        raise StoreUnavailable(database.url, str(error)) from error
