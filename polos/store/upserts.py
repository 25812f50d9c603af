"""Inserts that leave alone what is there already."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import mysql, postgresql, sqlite

from polos.store.columns import MYSQL


def insert_missing(dialect: str, table: Table) -> Any:
    """An insert of rows whose keys no other row has; the others are skipped.

    How many rows it wrote, MySQL and MariaDB don't tell: they count those that are skipped too.
    """
    if dialect in MYSQL:
        # Not IGNORE: that writes what is too long, or of no use, cut down to something else.
        key = next(iter(table.primary_key.columns))
        return mysql.insert(table).on_duplicate_key_update({key.name: key})
    if dialect == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()
