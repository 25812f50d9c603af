"""What MySQL and MariaDB can't do in one statement, done by several in one transaction.

They have no ``UPDATE … RETURNING`` (and MySQL none after INSERT and DELETE), and MySQL lets no
statement change a table that it also reads. So the rows are found and locked first, changed by
their primary key then, and read. Statements are written as for the other databases; those that one
of these two takes as they are, it gets as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Delete,
    Dialect,
    Insert,
    LargeBinary,
    Select,
    Update,
    and_,
    bindparam,
    cast,
    false,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression
from sqlalchemy.sql.selectable import ForUpdateArg, SelectBase

from polos.store.columns import MYSQL

_KEYS = "polos_keys"
_known: WeakKeyDictionary[Any, Rewritten] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The statements in the place of one.

    Attributes:
        keys: the primary key of the table, whose values the finds give.
        finds: each locks rows, and all but the first only looks among those of the one before it;
            none for an insert.
        write: without its RETURNING, by the keys that were found.
        read: what RETURNING names, by the same keys; None where nothing is to be given.
    """

    keys: tuple[ColumnElement[Any], ...]
    finds: tuple[Any, ...]
    write: Any
    read: Any | None

    @property
    def reads_last(self) -> bool:
        """Whether the rows are still there after the write."""
        return not isinstance(self.write, Delete)


def is_rewritten(statement: Any, dialect: Dialect) -> bool:
    """Whether a database needs several statements for this one."""
    if dialect.name not in MYSQL:
        return False
    gives = bool(getattr(statement, "_returning", ()))
    match statement:
        case Insert():
            return gives and not dialect.insert_returning
        case Delete():
            return gives and not dialect.delete_returning or _reads(statement)
        case Update():
            return gives or _reads(statement)
        case _:
            return False


def rewritten(statement: Any, keys: Callable[[Sequence[Any]], ColumnElement[bool]]) -> Rewritten:
    """The statements in the place of one.

    Args:
        keys: the condition that a row, given by its primary key's columns, is one of those found.
    """
    table = statement.table
    primary = tuple(table.primary_key.columns)
    returned = list(statement.exported_columns)
    write = without_returning(statement)
    finds: tuple[Any, ...] = ()
    found = keys(primary)
    if not isinstance(statement, Insert):
        finds = _finds(statement, primary, found)
        write._where_criteria = (found,)
    read = select(*returned).where(found) if returned else None
    return Rewritten(primary, finds, write, read)


def run_rewritten(
    connection: Connection,
    statement: Any,
    many: Sequence[Any],
    one: Mapping[str, Any],
    _options: Mapping[str, Any],
) -> tuple[Any, Any, Any]:
    """A hook of SQLAlchemy before an execution: does all but the last of its statements.

    Gives the last one to SQLAlchemy, so that whoever executed the statement gets its rows.
    """
    if not is_rewritten(statement, connection.dialect):
        return statement, many, one
    assert not many, (
        "a statement that gives rows, or reads what it changes, takes one set of values"
    )
    parts = _known.get(statement)
    if parts is None:
        parts = _known[statement] = rewritten(statement, _is_among)
    if isinstance(statement, Insert):
        connection.execute(parts.write, one)
        return parts.read, (), {_KEYS: [_inserted(parts, statement, one, connection.dialect)]}
    named: dict[str, Any] = dict(one)
    for find in parts.finds:
        found = connection.execute(find, named).all()
        named[_KEYS] = [row[0] if len(row) == 1 else tuple(row) for row in found]
    if parts.read is None:
        return parts.write, (), named
    if parts.reads_last:
        connection.execute(parts.write, named)
        return parts.read, (), named
    rows = connection.execute(parts.read, named).all()
    connection.execute(parts.write, named)
    return _as_select(parts.read, rows), (), {}


def without_returning(statement: Any) -> Any:
    """A copy of an INSERT, UPDATE or DELETE that gives no rows."""
    made = statement._generate()
    made._returning = ()
    # SQLAlchemy keeps it for a copy, which it shouldn't.
    made.__dict__.pop("exported_columns", None)
    return made


def named_key(statement: Any) -> Mapping[str, str] | None:
    """The parameters that name the one row that a statement is about, by its key's columns."""
    if isinstance(statement, Insert) or _reads(statement):
        return None
    primary = list(statement.table.primary_key.columns)
    named = {
        it.left.name: it.right.key
        for it in _conditions(statement.whereclause)
        if isinstance(it, BinaryExpression)
        and it.operator is operators.eq
        and isinstance(it.right, BindParameter)
        and any(it.left is column for column in primary)
    }
    return named if len(named) == len(primary) else None


def inserted_key(keys: Sequence[Any], values: Mapping[str, Any]) -> tuple[Any, ...]:
    """The primary key of a row that was inserted with these values."""
    return tuple(values[column.name] for column in keys)


def _inserted(parts: Rewritten, statement: Any, one: Mapping[str, Any], dialect: Dialect) -> Any:
    compiled = parts.write.compile(dialect=dialect, column_keys=list(one))
    key = inserted_key(parts.keys, compiled.construct_params(one))
    return key[0] if len(key) == 1 else key


def _is_among(primary: Sequence[Any]) -> ColumnElement[bool]:
    column = primary[0] if len(primary) == 1 else tuple_(*primary)
    found: ColumnElement[bool] = column.in_(bindparam(_KEYS, expanding=True))
    return found


def _reads(statement: Any) -> bool:
    return statement.whereclause is not None and any(
        isinstance(part, SelectBase) for part in visitors.iterate(statement.whereclause)
    )


def _finds(statement: Any, primary: Sequence[Any], found: ColumnElement[bool]) -> tuple[Any, ...]:
    conditions = _conditions(statement.whereclause)
    chosen = [_chosen(it, primary) for it in conditions]
    first = next((it for it in chosen if it is not None), None)
    if first is None:
        return (select(*primary).where(*conditions).with_for_update(),)
    # By itself: within another statement, more rows might be visited, and waited for.
    others = [it for it, choice in zip(conditions, chosen, strict=True) if choice is not first]
    # Few rows are read wholly, and a lock on any of them would be waited for here as well.
    again = select(*primary).where(found, *others)
    return first, again.with_for_update(skip_locked=_skips_locked(first))


def _conditions(clause: Any) -> list[Any]:
    if clause is None:
        return []
    if getattr(clause, "operator", None) is operators.and_:
        return list(clause.clauses)
    return [clause]


def _chosen(condition: Any, primary: Sequence[Any]) -> Any | None:
    """The query of ``id IN (query)``."""
    if not isinstance(condition, BinaryExpression) or condition.operator is not operators.in_op:
        return None
    query: Any = condition.right
    while not isinstance(query, Select) and hasattr(query, "element"):
        query = query.element
    is_key = len(primary) == 1 and condition.left is primary[0]
    return query if is_key and isinstance(query, Select) else None


def _skips_locked(query: Any) -> bool:
    parts = visitors.iterate(query)
    return any(isinstance(part, ForUpdateArg) and part.skip_locked for part in parts)


def _as_select(read: Any, rows: Sequence[Any]) -> Any:
    """A query that gives these rows."""
    columns = list(read.selected_columns)
    if not rows:
        return select(*columns).where(and_(false()))
    return union_all(
        *(
            select(
                *(
                    _given(value, column.type).label(column.name)
                    for value, column in zip(row, columns, strict=True)
                )
            )
            for row in rows
        )
    )


def _given(value: Any, type_: Any) -> ColumnElement[Any]:
    # Bytes that a driver writes like text come back as such.
    is_bytes = isinstance(type_, LargeBinary) and value is not None
    return cast(literal(value, type_), type_) if is_bytes else literal(value, type_)
