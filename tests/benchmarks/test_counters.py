"""What the servers count is what was done, and nothing of the readings."""

from __future__ import annotations

from redis import Redis

from benchmarks.counters import (
    PostgresCounts,
    RedisCounts,
    difference,
    logged_statements,
    per_execution,
)
from tests.support.servers import PostgresServer, RedisServer


def test_commits_and_rows_of_one_database(postgres_server: PostgresServer) -> None:
    with postgres_server.fresh_database() as url:
        database = url.rpartition("/")[2]
        with postgres_server.connect(database) as connection:
            connection.execute("CREATE TABLE things (number int)")
        counts = PostgresCounts(postgres_server, database)
        before = counts.after_exit()
        with postgres_server.connect(database) as connection:
            for number in range(7):
                connection.execute("INSERT INTO things VALUES (%s)", [number], prepare=False)
        added = difference(before, counts.after_exit())
        counts.close()
    opened = 1  # a connection's own beginning is a transaction, to PostgreSQL
    assert (added["commits"], added["written"]) == (opened + 7, 7)
    assert added["wal_syncs"] >= 7


def test_statements_of_one_database_from_the_log(postgres_server: PostgresServer) -> None:
    with postgres_server.fresh_database() as url:
        database = url.rpartition("/")[2]
        with postgres_server.connect(database) as seen, postgres_server.connect() as unseen:
            with logged_statements(postgres_server, database) as statements:
                with seen.transaction():
                    seen.execute("SELECT 1")
                    seen.execute("SELECT %s::int", [2])
                unseen.execute("SELECT 3")
            seen.execute("SELECT 4")
    assert statements.by_verb() == {"BEGIN": 1, "SELECT": 2, "COMMIT": 1}


def test_commands_of_redis(redis_server: RedisServer) -> None:
    counts = RedisCounts(redis_server.url)
    with Redis.from_url(redis_server.url) as client:
        client.ping()
        before = counts.now()
        client.lpush("queue", "a")
        client.brpop(["queue"], 1)
        added = difference(before, counts.now())
    counts.close()
    assert added == {"lpush": 1, "brpop": 1, "commands": 2}


def test_the_share_of_one_execution() -> None:
    assert per_execution({"commits": 26}, 2) == {"commits": 13.0}
