"""The schema's version: read, compare, bring up to date."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect, text

from polos.errors import SchemaError
from polos.store.database import Database
from polos.store.schema import SCHEMA, metadata

VERSION_TABLE = "polos_schema"
# Any number that nothing else in the database is likely to lock; the letters of "polos".
_LOCK = 0x706F6C6F73


def found_schema(database: Database) -> str | None:
    """The schema that the database has, such as ``0001``; None where it has none."""
    return database.transaction(_found)


def ensure_schema(database: Database, *, migrate: bool) -> None:
    """See that the database fits this code.

    A newer schema is fine: the next release only adds to what this one uses.

    Raises:
        SchemaError: it is missing or older, and ``migrate`` is False.
    """
    found = found_schema(database)
    if found is not None and found >= SCHEMA:
        return
    if not migrate:
        raise SchemaError(database.url, found, SCHEMA)
    upgrade(database)


def upgrade(database: Database, schema: str = SCHEMA) -> str:
    """Bring the schema up to date; safe to call from many processes at once.

    Args:
        database: which one.
        schema: as far as that; a newer one stays as it is.
    """

    def work(connection: Connection) -> None:
        _lock(connection)
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        found = _found(connection)
        if found is None or found < schema:
            command.upgrade(config, schema)

    database.transaction(work)
    return schema


def remove(database: Database) -> None:
    """Drop all tables of Polos, with all that is in them."""

    def work(connection: Connection) -> None:
        _lock(connection)
        metadata.drop_all(connection)
        connection.execute(text(f"DROP TABLE IF EXISTS {VERSION_TABLE}"))

    database.transaction(work)


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _found(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    row = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).one_or_none()
    return None if row is None else str(row[0])
