"""An execution by the servers' own counts: one client and one runner, in this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.counters import Counts, PostgresCounts, RedisCounts, logged_statements
from benchmarks.flows import steps
from polos import PolosClient
from polos.engine.owner import this_process
from polos.model.settings import Settings
from tests.support.servers import PostgresServer, RedisServer

# By then each statement is prepared on its connection, which psycopg does at the sixth call and in
# a transaction of its own.
_WARM = 6


@dataclass(frozen=True)
class Shares:
    """Counts for one execution."""

    postgres: Mapping[str, float]
    statements: Mapping[str, float]
    redis: Mapping[str, float]

    def rows(self) -> list[tuple[str, float]]:
        """For a table."""
        return [
            *((f"PostgreSQL, {name}", each) for name, each in self.postgres.items()),
            ("statements: each a round trip", sum(self.statements.values())),
            *((f"statements, {verb}", each) for verb, each in self.statements.items()),
            ("messages (LPUSH)", self.redis.get("lpush", 0.0)),
            *((f"Redis to send one, {name}", each) for name, each in self.redis.items()),
        ]

    def raw(self) -> dict[str, dict[str, float]]:
        """For JSON."""
        parts = {"postgres": self.postgres, "statements": self.statements, "redis": self.redis}
        return {name: dict(part) for name, part in parts.items()}


class Subject:
    """A client and a runner on servers that nobody else uses."""

    def __init__(self, postgres: PostgresServer, url: str, redis: RedisServer) -> None:
        self._server = postgres
        self._database = url.rpartition("/")[2]
        # No lease may need to be renewed while something is counted.
        self._settings = Settings.load(
            database_url=url, broker_url=redis.url, auto_migrate=True, lease_seconds=3600
        )
        self._postgres = PostgresCounts(postgres, self._database)
        self._redis = RedisCounts(redis.url)

    def shares(self, executions: int, size: int) -> Shares:
        """Of one execution, without what a client costs at its begin and end."""
        self.session(1, size)
        few, many = self._counted(_WARM, size), self._counted(_WARM + executions, size)
        parts = [_share(some, more, executions) for some, more in zip(few, many, strict=True)]
        return Shares(*parts)

    def session(self, executions: int, size: int) -> None:
        """Start and run them, from the first connection to the last."""
        client = PolosClient(settings=self._settings)
        for _ in range(executions):
            handle = steps.start(client, {"steps": size})
            client.bound.runner.run(handle.id, steps.id, this_process())
        client.close()

    def close(self) -> None:
        self._postgres.close()
        self._redis.close()

    def _counted(self, executions: int, size: int) -> tuple[Counts, Counts, Counts]:
        with logged_statements(self._server, self._database) as statements:
            postgres, redis = self._postgres.after_exit(), self._redis.now()
            self.session(executions, size)
            added = Counter(self._postgres.after_exit()), Counter(self._redis.now())
        added[0].subtract(postgres)
        added[1].subtract(redis)
        return dict(added[0]), statements.by_verb(), dict(added[1])


def counts(executions: int, size: int) -> Shares:
    """Of executions of so many steps; without autovacuum, whose transactions are counted too."""
    settings = {"autovacuum": "off"}
    with (
        PostgresServer(settings=settings) as postgres,
        RedisServer() as redis,
        postgres.fresh_database() as url,
    ):
        subject = Subject(postgres, url, redis)
        found = subject.shares(executions, size)
        subject.close()
        return found


def _share(few: Counts, more: Counts, executions: int) -> dict[str, float]:
    each = {name: (count - few.get(name, 0)) / executions for name, count in more.items()}
    return {name: value for name, value in each.items() if value}
