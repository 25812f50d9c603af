"""Statements that are compiled once and then handed to the driver as they are.

SQLAlchemy finds out at each execution what it found out before: that takes longer than the driver
itself. What the hot path sends is therefore kept as the driver wants it. Everything else still goes
the usual way, and so do statements whose text depends on their values.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, Executable, Insert, and_, bindparam
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql.expression import ReturnsRows

from polos.store.rewriting import (
    inserted_key,
    is_rewritten,
    named_key,
    rewritten,
    without_returning,
)

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
        echo: the names of the parameters that are the row of each row that was written, for a
            database that gives none; ``row`` then takes their values.
        counts: whether the number of rows that were written is what the statement gives.
    """

    text: str
    fixed: Mapping[str, Any]
    order: tuple[str, ...]
    row: Callable[[Sequence[Any]], Any] | None
    converted: tuple[tuple[int, Convert], ...]
    echo: tuple[str, ...] = ()
    counts: bool = False

    def run(
        self, dialect: Dialect, connection: PoolProxiedConnection, values: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Send it on a connection; the rows that it gives."""
        # Not by ``_cursor``: to enter and leave a generator is dear where all is this short.
        cursor: Any = connection.cursor()
        try:
            dialect.do_execute(cursor, self.text, self.arguments(values))
            return self.rows(cursor, values)
        except dialect.loaded_dbapi.Error as error:
            raise _as_raised(error, dialect, connection, self.text) from error
        finally:
            cursor.close()

    def arguments(self, values: Mapping[str, Any]) -> Any:
        """The values as the driver takes them."""
        if self.order:
            known = {**self.fixed, **values}
            return tuple([known[name] for name in self.order])
        return {**self.fixed, **values} if self.fixed else values

    def rows(self, cursor: Any, values: Mapping[str, Any]) -> Sequence[Any]:
        """What the database gave."""
        if self.row is None:
            return [Counted(cursor.rowcount)] if self.counts else ()
        if self.echo:
            return [self.row([values[name] for name in self.echo])] * int(cursor.rowcount)
        found = cursor.fetchall()
        if not self.converted:
            return [self.row(values) for values in found]
        return [self.row(self._convert(values)) for values in found]

    def _convert(self, values: Sequence[Any]) -> Sequence[Any]:
        changed = list(values)
        for place, convert in self.converted:
            changed[place] = convert(changed[place])
        return changed


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows a statement wrote that gives none."""

    count: int


@dataclass(frozen=True, slots=True)
class Staged:
    """A statement for which this database needs several, in one transaction.

    Attributes:
        keys: the primary key of its table.
        finds: what finds and locks its rows; nothing for an insert.
        write: what changes the row of a key.
        read: what is given of that row.
    """

    keys: Sequence[Any]
    finds: Sequence[Prebuilt]
    write: Prebuilt
    read: Prebuilt | None
    reads_last: bool

    def run(
        self, dialect: Dialect, connection: PoolProxiedConnection, values: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Run all of them; the rows that the last one gives."""
        given: list[Any] = []
        for key in self._found(dialect, connection, values):
            named = {**values, **{f"polos_key_{place}": it for place, it in enumerate(key)}}
            if self.reads_last:
                self.write.run(dialect, connection, named)
            if self.read is not None:
                given += self.read.run(dialect, connection, named)
            if not self.reads_last:
                self.write.run(dialect, connection, named)
        return given

    def _found(
        self, dialect: Dialect, connection: PoolProxiedConnection, values: Mapping[str, Any]
    ) -> Sequence[Any]:
        if not self.finds:
            return [inserted_key(self.keys, values)]
        assert len(self.finds) == 1, "a statement that chooses among many rows is not prebuilt"
        return self.finds[0].run(dialect, connection, values)


class Prebuilt:
    """A statement whose text does not depend on the values of its parameters.

    Args:
        statement: without values that SQLAlchemy would have to convert for the driver.
        columns: the columns that an insert is given, where it does not name them itself.
        counts: whether it gives the number of rows that it wrote, as one ``Counted``.
    """

    def __init__(
        self, statement: Any, columns: Sequence[str] | None = None, *, counts: bool = False
    ) -> None:
        self.statement: ReturnsRows = statement
        self._columns = columns
        self._counts = counts
        # Whether it has INSERT … RETURNING tells MariaDB from MySQL.
        self._driven: dict[tuple[str, object], Driven | Staged] = {}

    def run(
        self, dialect: Dialect, connection: PoolProxiedConnection, values: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Send it on a connection; the rows that it gives.

        Raises:
            DBAPIError: as SQLAlchemy raises it.
        """
        known = (dialect.name, dialect.insert_returning)
        driven = self._driven.get(known) or self._drive(dialect, known)
        return driven.run(dialect, connection, values)

    def is_one(self, dialect: Dialect) -> bool:
        """Whether this database does it by one statement, which needs no transaction."""
        return not is_rewritten(self.statement, dialect) or self._echo is not None

    def driven(self, dialect: Dialect) -> Driven:
        """It in the words of another driver than the one that the store uses."""
        known = (dialect.name, dialect.paramstyle)
        found = self._driven.get(known) or self._drive(dialect, known)
        assert isinstance(found, Driven), "such a statement gives no rows"
        return found

    def _drive(self, dialect: Dialect, known: tuple[str, object]) -> Driven | Staged:
        found: Driven | Staged
        if not is_rewritten(self.statement, dialect):
            found = self._compiled(self.statement, dialect)
        else:
            found = self._echoed(dialect) if self._echo else self._staged()
        self._driven[known] = found
        return found

    def _compiled(self, statement: Any, dialect: Dialect) -> Driven:
        compiled: Any = statement.compile(dialect=dialect, column_keys=self._columns)
        columns = list(getattr(statement, "exported_columns", ()))
        impls = [column.type.dialect_impl(dialect) for column in columns]
        converts = [impl.result_processor(dialect, None) for impl in impls]
        asked = {name for name, parameter in compiled.binds.items() if parameter.required}
        known = compiled.construct_params(dict.fromkeys(asked))
        return Driven(
            text=compiled.string,
            fixed={name: it for name, it in known.items() if name not in asked},
            order=tuple(compiled.positiontup or ()),
            row=_row([column.name for column in columns]) if columns else None,
            converted=tuple((place, it) for place, it in enumerate(converts) if it is not None),
            counts=self._counts,
        )

    @cached_property
    def _echo(self) -> Mapping[str, str] | None:
        """The parameters that are what it gives, by their columns, where these are all of it."""
        named = named_key(self.statement)
        returned = [column.name for column in self.statement.exported_columns]
        if named is None or not named.keys() >= set(returned):
            return None
        return {name: named[name] for name in returned}

    def _echoed(self, dialect: Dialect) -> Driven:
        names = self._echo or {}
        driven = self._compiled(without_returning(self.statement), dialect)
        return replace(driven, row=_row(list(names)), echo=tuple(names.values()))

    def _staged(self) -> Staged:
        parts = rewritten(self.statement, _is_row)
        columns = self._columns if isinstance(self.statement, Insert) else None
        return Staged(
            keys=parts.keys,
            finds=[Prebuilt(find) for find in parts.finds],
            write=Prebuilt(parts.write, columns),
            read=None if parts.read is None else Prebuilt(parts.read),
            reads_last=parts.reads_last,
        )


def _is_row(primary: Sequence[Any]) -> ColumnElement[bool]:
    return and_(
        *(column == bindparam(f"polos_key_{place}") for place, column in enumerate(primary))
    )


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
