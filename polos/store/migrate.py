"""The schema's version: read, compare, bring up to date."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect, text

from polos.errors import SchemaError, StoreUnavailable
from polos.store.columns import MYSQL
from polos.store.database import Database
from polos.store.index_builds import IndexBuild, build, building_alone
from polos.store.schema import SCHEMA, metadata

VERSION_TABLE = "polos_schema"
# Any number that nothing else in the database is likely to lock; the letters of "polos".
_LOCK = 0x706F6C6F73
# All databases of a server share its names of locks, which may be 64 characters long.
_NAME = "CONCAT('polos:', MD5(DATABASE()))"
_GET_LOCK = text(f"SELECT GET_LOCK({_NAME}, :seconds)")
_RELEASE_LOCK = text(f"SELECT RELEASE_LOCK({_NAME})")
_LOCK_SECONDS = 600
_SET_VERSION = text(f"UPDATE {VERSION_TABLE} SET version_num = :version")


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
    """Bring the schema up to date; safe to call from many processes at once, and under load.

    Where it is broken off, SQLite is as before, and so is PostgreSQL but for columns and indexes
    that are of no use yet. MySQL and MariaDB, which commit each part by itself, keep what was done.
    The next call does the rest.

    Args:
        database: which one.
        schema: as far as that; a newer one stays as it is.
    """
    found = found_schema(database) if database.dialect == "postgresql" else None
    if found is None or found >= schema:
        # Nothing is there yet that anybody could wait for; or it is a database of another kind.
        _migrate(database, schema)
        return schema
    with building_alone(database):
        # In one transaction with the columns, the builds of indexes would lock the tables.
        build(database, _migrate(database, schema, later=True))
        _migrate(database, schema)
    return schema


def _migrate(database: Database, schema: str, *, later: bool = False) -> Sequence[IndexBuild]:
    """Do all of it in one transaction, or all but the indexes.

    Args:
        later: whether indexes are left out; the schema then counts as what it was before.

    Returns:
        the indexes that were left out.
    """

    def work(connection: Connection) -> Sequence[IndexBuild]:
        builds: list[IndexBuild] = []
        with _alone(connection):
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.set_main_option("path_separator", "os")
            config.attributes["connection"] = connection
            config.attributes["later"] = builds if later else None
            found = _found(connection)
            if found is None or found < schema:
                command.upgrade(config, schema)
            if builds:
                connection.execute(_SET_VERSION, {"version": found})
        return builds

    return database.transaction(work)


def remove(database: Database) -> None:
    """Drop all tables of Polos, with all that is in them."""

    def work(connection: Connection) -> None:
        with _alone(connection):
            metadata.drop_all(connection)
            connection.execute(text(f"DROP TABLE IF EXISTS {VERSION_TABLE}"))

    database.transaction(work)


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Keep other processes from migrating meanwhile; SQLite's transaction does it by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if connection.dialect.name not in MYSQL:
        yield
        return
    # Not the transaction's: the first table that is made ends that.
    if connection.execute(_GET_LOCK, {"seconds": _LOCK_SECONDS}).scalar_one() != 1:
        url = connection.engine.url.render_as_string()
        raise StoreUnavailable(url, f"another process has migrated it for {_LOCK_SECONDS} s")
    try:
        yield
    finally:
        connection.execute(_RELEASE_LOCK)


def _found(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    row = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).one_or_none()
    return None if row is None else str(row[0])
