"""One engine and its transactions."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection

from polos.errors import StoreDenied, StoreUnavailable
from polos.store.callers import flush_committed
from polos.store.columns import MYSQL
from polos.store.connecting import begin_words, embedded_url, framework_url, make_engine, parsed
from polos.store.prebuilt import Prebuilt, Transaction, run_in, transaction, wrapped
from polos.store.refusals import first_line, is_away, is_conflict, is_denied, is_read_only, was_sent
from polos.store.rewriting import is_rewritten

T = TypeVar("T")
Rows = Sequence[Any]

log = logging.getLogger("polos.store")

_TRIES = 8


class _Here(threading.local):
    """What this thread keeps.

    Attributes:
        keeps: whether it keeps its connection from one statement to the next.
        connection: that connection, as soon as there is one.
    """

    keeps = False
    connection: Connection | None = None

    def let_go(self) -> None:
        """Give the connection back."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()


class Database:
    """A SQLAlchemy engine with the two ways in which Polos talks to it.

    ``run`` sends one statement that commits by itself: one round trip. ``transaction`` runs a
    function in one, again after a deadlock or a serialization failure.

    Args:
        url: a SQLAlchemy URL; where empty the database of the Django project that Polos is an app
            of, else the embedded SQLite one.
        synchronous: SQLite's ``PRAGMA synchronous``.
        connections: how many are kept; more are made when needed and closed again.
    """

    def __init__(self, url: str = "", *, synchronous: str = "FULL", connections: int = 4) -> None:
        url = url or framework_url()
        self.embedded = not url
        self._url = parsed(url or embedded_url())
        self.engine = make_engine(self._url, synchronous, connections)
        self._rewrites = self.dialect in MYSQL
        self._here = _Here()
        _forget_after_fork(self)
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
        parameters: Any = None,
    ) -> Rows:
        """Run one statement that commits by itself; its rows, if it gives any."""
        if self._rewrites and self._is_rewritten(statement):
            return self.transaction(lambda it: run_in(it, statement, parameters or {}))
        if isinstance(statement, Prebuilt):
            return self._retried(partial(self._drive, statement, parameters or {}))
        return self._retried(partial(self._execute, statement, parameters))

    def transaction(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction; it may be called again after a deadlock."""

        def once() -> T:
            kept = self._kept()
            if kept is None:
                with self.engine.connect() as connection, _whole(connection):
                    return work(connection)
            with self._minding(kept), _whole(kept):
                return work(kept)

        return self._retried(once)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep one connection for what this thread asks for while the block lasts.

        To take one for each statement and to give it back costs as much as all else that is done
        here for that statement.
        """
        here = self._here
        if here.keeps:
            yield
            return
        here.keeps = True
        try:
            yield
        finally:
            here.keeps = False
            here.let_go()

    @contextmanager
    def begun(self) -> Iterator[Connection]:
        """One transaction for statements that are not the store's; it is not tried again.

        What else this thread asks for while the block lasts goes by another connection, and so is
        no part of it.
        """
        kept = self._kept()
        if kept is None:
            with self.engine.connect() as connection, _whole(connection):
                yield connection
            return
        here = self._here
        here.keeps, here.connection = False, None
        try:
            with _whole(kept):
                yield kept
        finally:
            here.keeps, here.connection = True, kept
            if kept.invalidated:
                here.let_go()
                self.engine.dispose()
        flush_committed(kept)

    def driven(self, work: Callable[[Transaction], T]) -> T:
        """The same for prebuilt statements only, without SQLAlchemy's share of the time."""

        def once() -> T:
            with (
                self._driver() as connection,
                transaction(self.engine.dialect, connection, begin_words(self.dialect)) as begun,
            ):
                return work(begun)

        return self._retried(once)

    def forget(self) -> None:
        """Let go of connections that are another process's, without closing them."""
        self._here.connection = None
        self.engine.dispose(close=False)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _is_rewritten(self, statement: Executable | Prebuilt) -> bool:
        if isinstance(statement, Prebuilt):
            return not statement.is_one(self.engine.dialect)
        return is_rewritten(statement, self.engine.dialect)

    def _drive(self, statement: Prebuilt, parameters: Any) -> Rows:
        kept = self._kept()
        if kept is None:
            with self._driver() as connection:
                return statement.run(self.engine.dialect, connection, parameters)
        try:
            return statement.run(self.engine.dialect, kept.connection, parameters)
        except DBAPIError as error:
            self._mind(kept, error)
            raise

    @contextmanager
    def _driver(self) -> Iterator[PoolProxiedConnection]:
        kept = self._kept()
        if kept is not None:
            with self._minding(kept):
                yield kept.connection
            return
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

    def _kept(self) -> Connection | None:
        here = self._here
        if here.keeps and here.connection is None:
            here.connection = self.engine.connect()
        return here.connection

    @contextmanager
    def _minding(self, kept: Connection) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            self._mind(kept, error)
            raise

    def _mind(self, kept: Connection, error: DBAPIError) -> None:
        if error.connection_invalidated:
            kept.invalidate(error)
            self._here.let_go()
            self.engine.dispose()

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
                conflict = is_conflict(error)
                away = is_away(error)
                if conflict and tried < _TRIES:
                    pass
                elif conflict or away:
                    if is_read_only(error):
                        # The primary may be another server by now: what is open leads to this one.
                        self._here.let_go()
                        self.engine.dispose()
                    raise StoreUnavailable(self.url, first_line(error), was_sent(error)) from error
                elif is_denied(error):
                    raise StoreDenied(self.url, first_line(error)) from error
                else:
                    raise
            time.sleep(random.random() * 0.01 * 2**tried)
        raise AssertionError("unreachable")


@contextmanager
def _whole(connection: Connection) -> Iterator[None]:
    """A transaction that is over at the end of the block, also where its commit fails.

    After that SQLAlchemy rolls nothing back, and all that follows on the connection would be part
    of a transaction that nobody commits.
    """
    try:
        with connection.begin():
            yield
    except BaseException as error:
        if not connection.invalidated:
            try:
                connection.dialect.do_rollback(connection.connection)
            except connection.dialect.loaded_dbapi.Error:
                connection.invalidate(error)
        raise


def _forget_after_fork(database: Database) -> None:
    """A child process must not share its parent's connections, whoever forks."""
    known = weakref.ref(database)

    def forget() -> None:
        found = known()
        if found is not None:
            found.forget()

    os.register_at_fork(after_in_child=forget)
