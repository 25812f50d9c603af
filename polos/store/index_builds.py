"""Indexes of tables that may be large, built while others read and write them; on PostgreSQL.

Such a build can't be part of a transaction. It waits until every statement that began before it
has ended, so nobody may wait in a statement for whoever builds: that would be a deadlock that
PostgreSQL doesn't see. Hence a lock that is tried for, and not waited for, and that is held by a
transaction which looks at nothing meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Index, MetaData, String, Table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, DropIndex

from polos.store.database import Database
from polos.store.refusals import is_conflict

log = logging.getLogger("polos.store")

# Not the lock of a migration's own transaction: for that one statements do wait.
_LOCK = 0x706F6C6F74
_PAUSE = 0.2
_TRIES = 5
# With a snapshot for the whole transaction, the builds would wait for its end.
_each_its_own = text("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
_try_lock = text(f"SELECT pg_try_advisory_xact_lock({_LOCK})")
# Its answer has a snapshot until the next statement; this one needs none.
_let_go = text("SET LOCAL idle_in_transaction_session_timeout = 0")
_is_valid = text(
    "SELECT found.indisvalid FROM pg_index found "
    "JOIN pg_class named ON named.oid = found.indexrelid "
    "WHERE named.relname = :name AND found.indrelid = CAST(:table AS regclass)"
)


@dataclass(frozen=True, slots=True)
class IndexBuild:
    """An index that is to be there.

    Attributes:
        where: the condition that its rows meet; None for all of them.
    """

    name: str
    table: str
    columns: Sequence[str]
    where: str | None = None
    unique: bool = False

    def made(self) -> Index:
        """As SQLAlchemy knows it."""
        table = Table(self.table, MetaData(), *(Column(name, String) for name in self.columns))
        return Index(
            self.name,
            *(table.c[name] for name in self.columns),
            unique=self.unique,
            postgresql_where=None if self.where is None else text(self.where),
            postgresql_concurrently=True,
        )


@contextmanager
def building_alone(database: Database) -> Iterator[None]:
    """Keep other processes from building meanwhile."""
    with database.engine.connect() as connection, connection.begin():
        connection.execute(_each_its_own)
        while not _is_locked(connection):
            time.sleep(_PAUSE)
        yield


def _is_locked(connection: Connection) -> bool:
    locked = bool(connection.execute(_try_lock).scalar_one())
    connection.execute(_let_go)
    return locked


def build(database: Database, builds: Sequence[IndexBuild]) -> None:
    """Build those indexes that are not there; what an earlier try left half done is begun anew."""
    single = database.engine.execution_options(polos_single_statement=True)
    with single.connect() as connection:
        for each in builds:
            _build(connection, each)


def _build(connection: Connection, build: IndexBuild) -> None:
    for tried in range(1, _TRIES + 1):
        found = connection.execute(_is_valid, {"name": build.name, "table": build.table}).first()
        if found is not None and found.indisvalid:
            return
        if found is not None:
            connection.execute(DropIndex(build.made()))
        log.info("building the index %s", build.name)
        try:
            connection.execute(CreateIndex(build.made()))
            return
        except DBAPIError as error:
            if not is_conflict(error) or tried == _TRIES:
                raise
