"""Statements that are compiled once and then handed to the driver as they are.

SQLAlchemy finds out at each execution what it found out before: that takes longer than the driver
itself. What the hot path sends is therefore kept as the driver wants it. Everything else still goes
the usual way, and so do statements whose text depends on their values.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql.expression import ReturnsRows

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Driven:
    """A statement in the words of one database's driver.

    Attributes:
        text: the SQL.
        fixed: the values that are part of the statement.
        order: the names of the parameters, where the driver takes them by position.
        row: what a row is made into; None where there are none.
        converted: the columns whose values the driver gives in another type, and how they change.
    """

    text: str
    fixed: Mapping[str, Any]
    order: tuple[str, ...]
    row: Callable[[Sequence[Any]], Any] | None
    converted: tuple[tuple[int, Convert], ...]

    def arguments(self, values: Mapping[str, Any]) -> Any:
        """The values as the driver takes them."""
        if self.order:
            known = {**self.fixed, **values}
            return tuple([known[name] for name in self.order])
        return {**self.fixed, **values} if self.fixed else values

    def rows(self, cursor: Any) -> Sequence[Any]:
        """What the database gave."""
        if self.row is None:
            return ()
        found = cursor.fetchall()
        if not self.converted:
            return [self.row(values) for values in found]
        return [self.row(self._convert(values)) for values in found]

    def _convert(self, values: Sequence[Any]) -> Sequence[Any]:
        changed = list(values)
        for place, convert in self.converted:
            changed[place] = convert(changed[place])
        return changed


class Prebuilt:
    """A statement whose text does not depend on the values of its parameters.

    Args:
        statement: without values that SQLAlchemy would have to convert for the driver.
        columns: the columns that an insert is given, where it does not name them itself.
    """

    def __init__(self, statement: ReturnsRows, columns: Sequence[str] | None = None) -> None:
        self.statement = statement
        self._columns = columns
        self._driven: dict[str, Driven] = {}

    def run(
        self, dialect: Dialect, connection: PoolProxiedConnection, values: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Send it on a connection; the rows that it gives.

        Raises:
            DBAPIError: as SQLAlchemy raises it.
        """
        driven = self._driven.get(dialect.name) or self._drive(dialect, dialect.name)
        # Not by ``_cursor``: to enter and leave a generator is dear where all is this short.
        cursor: Any = connection.cursor()
        try:
            dialect.do_execute(cursor, driven.text, driven.arguments(values))
            return driven.rows(cursor)
        except dialect.loaded_dbapi.Error as error:
            raise _as_raised(error, dialect, connection, driven.text) from error
        finally:
            cursor.close()

    def driven(self, dialect: Dialect) -> Driven:
        """It in the words of another driver than the one that the store uses."""
        name = f"{dialect.name} {dialect.paramstyle}"
        return self._driven.get(name) or self._drive(dialect, name)

    def _drive(self, dialect: Dialect, name: str) -> Driven:
        compiled: Any = self.statement.compile(dialect=dialect, column_keys=self._columns)
        columns = list(self.statement.exported_columns)
        impls = [column.type.dialect_impl(dialect) for column in columns]
        converts = [impl.result_processor(dialect, None) for impl in impls]
        asked = {name for name, parameter in compiled.binds.items() if parameter.required}
        known = compiled.construct_params(dict.fromkeys(asked))
        driven = Driven(
            text=compiled.string,
            fixed={name: it for name, it in known.items() if name not in asked},
            order=tuple(compiled.positiontup or ()),
            row=_row([column.name for column in columns]) if columns else None,
            converted=tuple((place, it) for place, it in enumerate(converts) if it is not None),
        )
        self._driven[name] = driven
        return driven


def _row(names: Sequence[str]) -> Callable[[Sequence[Any]], Any]:
    # The type checker wants the names written out.
    define: Any = namedtuple
    make: Callable[[Sequence[Any]], Any] = define("Row", names)._make
    return make


def _as_raised(error: Any, dialect: Dialect, connection: PoolProxiedConnection, text: str) -> Any:
    return wrapped(error, dialect, text, gone=dialect.is_disconnect(error, connection, None))


@contextmanager
def _cursor(dialect: Dialect, connection: PoolProxiedConnection, text: str) -> Iterator[Any]:
    """A cursor whose errors are as SQLAlchemy raises them."""
    cursor: Any = connection.cursor()
    try:
        yield cursor
    except dialect.loaded_dbapi.Error as error:
        raise _as_raised(error, dialect, connection, text) from error
    finally:
        cursor.close()


@dataclass(frozen=True, slots=True)
class Transaction:
    """One in which nothing but prebuilt statements is run."""

    dialect: Dialect
    connection: PoolProxiedConnection

    def run(self, statement: Prebuilt, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run a statement; its rows, if it gives any."""
        return statement.run(self.dialect, self.connection, values)


@contextmanager
def transaction(
    dialect: Dialect, connection: PoolProxiedConnection, begin: str
) -> Iterator[Transaction]:
    """A transaction on a connection that commits by itself otherwise; rolled back at an error."""
    with _cursor(dialect, connection, begin) as cursor:
        dialect.do_execute(cursor, begin, ())
    try:
        yield Transaction(dialect, connection)
        with _cursor(dialect, connection, "COMMIT"):
            dialect.do_commit(connection)
    except BaseException as error:
        if not getattr(error, "connection_invalidated", False):
            _roll_back(dialect, connection)
        raise


def _roll_back(dialect: Dialect, connection: PoolProxiedConnection) -> None:
    try:
        dialect.do_rollback(connection)
    except dialect.loaded_dbapi.Error:
        connection.invalidate()


def run_in(
    connection: Connection | Transaction,
    statement: Executable | Prebuilt,
    values: Mapping[str, Any],
) -> Sequence[Any]:
    """Run a statement in the transaction of a connection; its rows, if it gives any."""
    if isinstance(connection, Transaction):
        assert isinstance(statement, Prebuilt)
        return connection.run(statement, values)
    if isinstance(statement, Prebuilt):
        try:
            return statement.run(connection.dialect, connection.connection, values)
        except DBAPIError as error:
            if error.connection_invalidated:
                connection.invalidate(error)
            raise
    result = connection.execute(statement, values)
    return result.all() if result.returns_rows else ()


def wrapped(error: Any, dialect: Dialect, text: str | None = None, *, gone: bool = False) -> Any:
    """A driver's error as SQLAlchemy raises it; without a text none was sent."""
    return DBAPIError.instance(
        text,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=gone,
        dialect=dialect,
        ismulti=False,
    )
