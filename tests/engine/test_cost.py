"""What an execution costs, as PostgreSQL and Redis themselves count it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from redis import Redis

from polos import PolosClient, WorkflowContext, workflow
from polos.engine.owner import this_process
from polos.model.outcome import Completed
from polos.model.settings import Settings
from tests.support.processes import until
from tests.support.servers import PostgresServer, RedisServer

SIZES = (1, 10, 50)
EXECUTIONS = 4


@workflow(id="cost_of_steps")
async def steps(ctx: WorkflowContext, payload: dict[str, Any]) -> int:
    """Steps that do nothing."""
    for number in range(payload["steps"]):
        await ctx.step.run(f"step_{number}", int)
    return payload["steps"]


class Counted:
    """A database and a broker that only this test uses, and what they counted of it."""

    def __init__(self, postgres: PostgresServer, url: str, redis: RedisServer) -> None:
        self._admin = postgres.connect()
        self._database = url.rpartition("/")[2]
        self._redis = Redis.from_url(redis.url)
        # No lease may need to be renewed while something is counted.
        self._settings = Settings.load(
            database_url=url, broker_url=redis.url, auto_migrate=True, lease_seconds=3600
        )
        self.session(1, 0)

    def session(self, executions: int, size: int) -> tuple[int, int]:
        """Commits and messages of executions that are started, run, and ended by one client."""
        commits, messages = self._commits(), self._messages()
        client = PolosClient(settings=self._settings)
        for _ in range(executions):
            handle = steps.start(client, {"steps": size})
            hop = client.bound.runner.run(handle.id, steps.id, this_process())
            assert isinstance(hop.outcome, Completed)
        client.close()
        return self._commits() - commits, self._messages() - messages

    def of_one(self, size: int) -> tuple[float, float]:
        """Commits and messages of one execution, without what a client costs at its begin."""
        commits, messages = self.session(1, size)
        more_commits, more_messages = self.session(1 + EXECUTIONS, size)
        return (more_commits - commits) / EXECUTIONS, (more_messages - messages) / EXECUTIONS

    def close(self) -> None:
        self._admin.close()
        self._redis.close()

    def _commits(self) -> int:
        # A backend reports what it counted before it leaves the list of backends.
        until(lambda: self._ask("SELECT count(*) FROM pg_stat_activity WHERE datname = %s") == 0)
        return self._ask("SELECT xact_commit FROM pg_stat_database WHERE datname = %s")

    def _messages(self) -> int:
        stats: dict[str, dict[str, int]] = self._redis.info("commandstats")
        return stats.get("cmdstat_lpush", {}).get("calls", 0)

    def _ask(self, query: str) -> int:
        row = self._admin.execute(psycopg.sql.SQL(query), [self._database]).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(scope="module")
def counted(_redis: RedisServer) -> Iterator[Counted]:
    """Without autovacuum, whose transactions are counted too."""
    _redis.start().flush()
    with PostgresServer(settings={"autovacuum": "off"}) as server, server.fresh_database() as url:
        made = Counted(server, url, _redis)
        yield made
        made.close()


@pytest.mark.parametrize("size", SIZES)
def test_an_execution_of_n_steps_costs_n_plus_3_commits_and_one_message(
    counted: Counted, size: int
) -> None:
    """The row, the claim, one for each step, the outcome; and the hint."""
    assert counted.of_one(size) == (size + 3, 1)
