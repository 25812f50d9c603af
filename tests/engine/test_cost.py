"""What an execution costs, as PostgreSQL and Redis themselves count it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.counters import PostgresCounts, RedisCounts
from polos import PolosClient, WorkflowContext, workflow
from polos.engine.owner import this_process
from polos.model.outcome import Completed
from polos.model.settings import Settings
from tests.support.servers import PostgresServer, RedisServer

SIZES = (1, 10, 50)
EXECUTIONS = 4
# By then each statement is prepared on its connection, which psycopg does at the sixth call and in
# a transaction of its own.
WARM = 6


@workflow(id="cost_of_steps")
async def steps(ctx: WorkflowContext, payload: dict[str, Any]) -> int:
    """Steps that do nothing."""
    for number in range(payload["steps"]):
        await ctx.step.run(f"step_{number}", int)
    return payload["steps"]


class Counted:
    """A database and a broker that only this test uses, and what they counted of it."""

    def __init__(self, postgres: PostgresServer, url: str, redis: RedisServer) -> None:
        # No lease may need to be renewed while something is counted.
        self._settings = Settings.load(
            database_url=url, broker_url=redis.url, auto_migrate=True, lease_seconds=3600
        )
        self._postgres = PostgresCounts(postgres, url.rpartition("/")[2])
        self._redis = RedisCounts(redis.url)
        self.session(1, 0)

    def session(self, executions: int, size: int) -> tuple[int, int]:
        """Commits and messages of executions that are started, run, and ended by one client."""
        commits, messages = self._now()
        client = PolosClient(settings=self._settings)
        for _ in range(executions):
            handle = steps.start(client, {"steps": size})
            hop = client.bound.runner.run(handle.id, steps.id, this_process())
            assert isinstance(hop.outcome, Completed)
        client.close()
        now = self._now()
        return now[0] - commits, now[1] - messages

    def of_one(self, size: int) -> tuple[float, float]:
        """Commits and messages of one execution, without what a client costs at its begin."""
        commits, messages = self.session(WARM, size)
        more_commits, more_messages = self.session(WARM + EXECUTIONS, size)
        return (more_commits - commits) / EXECUTIONS, (more_messages - messages) / EXECUTIONS

    def close(self) -> None:
        self._postgres.close()
        self._redis.close()

    def _now(self) -> tuple[int, int]:
        commits = self._postgres.after_exit()["commits"]
        return commits, self._redis.now().get("lpush", 0)


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
