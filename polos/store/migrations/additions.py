"""What migrations are made of; each does nothing where it has been done before.

MySQL and MariaDB commit each of them by itself, so a migration that was broken off there is found
half done, and begun again.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from polos.store.columns import MYSQL
from polos.store.index_builds import IndexBuild


def is_mysql() -> bool:
    """Whether the database is MySQL or MariaDB, which have no indexes of a part of a table."""
    return op.get_bind().dialect.name in MYSQL


def add_table(name: str, *parts: Any) -> None:
    """Make a table of columns and constraints."""
    if not _inspector().has_table(name):
        op.create_table(name, *parts)


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add a column to a table."""
    if column.name not in {it["name"] for it in _inspector().get_columns(table)}:
        op.add_column(table, column)


def add_index(
    name: str, table: str, columns: list[str], where: str | None = None, *, unique: bool = False
) -> None:
    """Add an index, of the rows that meet a condition where the database can.

    Where the tables are in use it is only noted, for whoever migrates to build it without a lock.
    """
    config = op.get_context().config
    later = None if config is None else config.attributes.get("later")
    if later is not None:
        later.append(IndexBuild(name, table, columns, where, unique))
        return
    if name in {it["name"] for it in _inspector().get_indexes(table)}:
        return
    condition = None if where is None else sa.text(where)
    op.create_index(
        name, table, columns, unique=unique, postgresql_where=condition, sqlite_where=condition
    )


def _inspector() -> sa.Inspector:
    return sa.inspect(op.get_bind())
