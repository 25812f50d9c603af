"""What the servers counted while something ran: commits, statements, rows, messages.

Nothing here asks our own code. PostgreSQL's backends report their counts when they exit, and
with a delay of up to ten seconds while they idle, so readings wait for one of the two; they are
made from another database, whose commits aren't counted. To PostgreSQL the opening of a
connection is a commit, and so is the preparing of a statement: count after a warm-up. Statements
are read from the server's log: the PostgreSQL of the test wheels has no pg_stat_statements.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from redis import Redis

from tests.support.processes import until
from tests.support.rabbit import RabbitServer
from tests.support.servers import PostgresServer

Counts = dict[str, int]

IDLE_REPORT = 11.0
"""Seconds after which an idle backend has reported; PostgreSQL's own limit is 10."""

_EVERY = 0.25
_LOGGED = {"log_statement": "all", "log_line_prefix": "%d|", "log_duration": "off"}
_STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): *(.*)")


def difference(before: Mapping[str, int], after: Mapping[str, int]) -> Counts:
    """What was added; names without a change are left out."""
    added = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: count for name, count in added.items() if count}


def per_execution(counts: Mapping[str, int], executions: int) -> dict[str, float]:
    """The share of one."""
    return {name: count / executions for name, count in counts.items()}


class PostgresCounts:
    """Counts of one database, read through another one, so that readings don't count themselves.

    ``commits`` and ``rollbacks`` are transactions, also those that only read; ``written`` are rows
    inserted, updated and deleted; ``wal_syncs`` are those of the whole server.
    """

    _QUERY = (
        "SELECT xact_commit AS commits, xact_rollback AS rollbacks,"
        " tup_inserted + tup_updated + tup_deleted AS written,"
        " (SELECT coalesce(sum(fsyncs), 0)::bigint FROM pg_stat_io WHERE object = 'wal')"
        " AS wal_syncs FROM pg_stat_database WHERE datname = %s"
    )

    def __init__(self, server: PostgresServer, database: str) -> None:
        self._database = database
        self._connection = server.connect()

    def now(self) -> Counts:
        """As far as the backends have reported."""
        with self._connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            row = cursor.execute(self._QUERY, [self._database]).fetchone()
        assert row is not None, f"no database {self._database}"
        return {name: int(value) for name, value in row.items()}

    def after_exit(self, deadline: float = 30.0) -> Counts:
        """When the last connection to the database has closed: each reports all as it ends."""
        alone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = %s"
        until(
            lambda: self._connection.execute(alone, [self._database]).fetchone() == (True,),
            deadline,
            message=f"{self._database} still has connections",
        )
        return self.now()

    def idle(self, quiet: float = IDLE_REPORT) -> Counts:
        """When no commit was added for so many seconds; for connections that stay and rest."""
        found, since = self.now(), time.monotonic()
        while time.monotonic() - since < quiet:
            time.sleep(_EVERY)
            again = self.now()
            if again["commits"] != found["commits"]:
                since = time.monotonic()
            found = again
        return found

    def close(self) -> None:
        """Give its connection back."""
        self._connection.close()


class RedisCounts:
    """Counts of a whole Redis: calls of each command, and ``commands`` of all."""

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(url)

    def now(self) -> Counts:
        """Without this reading's own two INFO."""
        stats: dict[str, dict[str, Any]] = self._client.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): int(x["calls"]) for name, x in stats.items()}
        calls.pop("info", None)
        return {**calls, "commands": sum(calls.values())}

    def close(self) -> None:
        """Give its connection back."""
        self._client.close()


def rabbit_published(server: RabbitServer, queue: str) -> int:
    """Messages that wait in a queue now; RabbitMQ without its management plugin counts no more."""
    from kombu import Connection

    with Connection(server.url, connect_timeout=5) as connection:
        declared = connection.channel().queue_declare(queue, passive=True)
        return int(declared.message_count)


@dataclass
class Statements:
    """The statements that reached one database, each a round trip unless it was pipelined."""

    texts: list[str] = field(default_factory=list)

    def by_verb(self) -> Counts:
        """How many of each kind: ``{"INSERT": 12, "COMMIT": 3}``."""
        counts: Counts = {}
        for text in self.texts:
            verb = text.split(maxsplit=1)[0].upper().rstrip(";") if text else "EMPTY"
            counts[verb] = counts.get(verb, 0) + 1
        return counts


@contextmanager
def logged_statements(server: PostgresServer, database: str) -> Iterator[Statements]:
    """Every statement of one database while this is open, as the server's log has them.

    Slow: for counts, never while something is timed. The settings hold for all connections.
    """
    found = Statements()
    with server.connect() as connection:
        _configure(connection, _LOGGED)
        begin = server.log.stat().st_size
        try:
            yield found
        finally:
            _configure(connection, dict.fromkeys(_LOGGED))
    found.texts = list(_statements(server.log, begin, database))


def _configure(connection: psycopg.Connection[Any], settings: Mapping[str, str | None]) -> None:
    for name, value in settings.items():
        setting = sql.Identifier(name)
        if value is None:
            connection.execute(sql.SQL("ALTER SYSTEM RESET {}").format(setting))
        else:
            connection.execute(
                sql.SQL("ALTER SYSTEM SET {} = {}").format(setting, sql.Literal(value))
            )
    connection.execute("SELECT pg_reload_conf()")
    # Backends take the signal between two statements; this one tells when it has come.
    wanted = settings["log_statement"] or "none"
    while connection.execute("SHOW log_statement").fetchone() != (wanted,):
        time.sleep(0.01)


def _statements(log: Path, begin: int, database: str) -> Iterator[str]:
    with log.open(errors="replace") as lines:
        lines.seek(begin)
        for line in lines:
            of, _, said = line.partition("|")
            if of == database and (match := _STATEMENT.match(said)):
                yield match[1]
