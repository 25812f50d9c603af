"""Through PgBouncer, where each transaction may be another connection of the server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from polos.client.listener import Listener
from polos.errors import StoreUnavailable
from polos.model.outcome import Completed
from polos.store.connecting import is_pooled
from polos.store.database import Database
from polos.store.listening import Unheard
from polos.store.migrate import upgrade
from polos.store.schema import SCHEMA
from polos.store.sql_store import SqlStore
from tests.store.scenes import claim, new, step
from tests.store.threads import errors, race
from tests.support.pgbouncer import PgBouncer
from tests.support.servers import PostgresServer

# More than PgBouncer has connections.
CLIENTS = 12


@pytest.fixture
def pooled_store(pooled_database: Database) -> SqlStore:
    return SqlStore(pooled_database)


def name_of(database: Database) -> str:
    return database.url.rpartition("/")[2]


def test_a_pooler_is_told_from_the_server(
    pgbouncer: PgBouncer, postgres_server: PostgresServer
) -> None:
    with pgbouncer.connect() as pooled, postgres_server.connect() as direct:
        assert is_pooled(pooled)
        assert not is_pooled(direct)
        assert pooled.autocommit


def test_statements_are_prepared_only_where_they_stay(
    pooled_database: Database, postgres_database: Database
) -> None:
    for database, threshold in ((pooled_database, None), (postgres_database, 5)):
        connection = database.engine.raw_connection()
        assert connection.driver_connection.prepare_threshold == threshold
        connection.close()


def test_more_clients_than_connections_do_all_they_want(
    pooled_store: SqlStore, postgres_server: PostgresServer
) -> None:
    """Each statement often enough to be prepared by its driver."""

    def live(name: str) -> Callable[[], None]:
        def work() -> None:
            for number in range(8):
                id_ = f"{name}-{number}"
                pooled_store.start(new(id_))
                claimed = claim(pooled_store, id_)
                pooled_store.checkpoint(id_, claimed.token, [step("a"), step("b")])
                pooled_store.commit(claimed.execution, claimed.token, Completed(b"1"))

        return work

    assert not errors(race(*(live(f"client{number}") for number in range(CLIENTS))))
    with postgres_server.connect(name_of(pooled_store.database)) as connection:
        states = connection.execute(
            "SELECT state, count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() GROUP BY state"
        ).fetchall()
    # No transaction is left open, and no more connections are than the pool has.
    assert [state for state, _ in states] == ["idle"]
    assert states[0][1] <= 8


def test_nothing_stays_behind_on_the_servers_connections(
    pooled_store: SqlStore, pgbouncer: PgBouncer
) -> None:
    for number in range(10):
        pooled_store.start(new(f"e{number}"))
    with pytest.raises(Unheard), pooled_store.listen("polos_channel"):
        pass
    left: list[Any] = []
    with pgbouncer.connect(name_of(pooled_store.database)) as connection:
        connection.prepare_threshold = None
        for _ in range(20):
            left += connection.execute("SELECT name FROM pg_prepared_statements").fetchall()
            left += connection.execute("SELECT pg_listening_channels()").fetchall()
    assert left == []


def test_whoever_waits_asks(pooled_store: SqlStore, until: Callable[..., Any]) -> None:
    changes: list[bool] = []
    listener = Listener(pooled_store, lambda _: None, lambda: changes.append(True))
    assert listener.begin()
    until(lambda: not listener.begin())
    assert not listener.healthy
    assert not changes
    listener.close()


def test_four_migrate_at_once(pgbouncer_url: str) -> None:
    found: list[Any] = []

    def work() -> None:
        database = Database(pgbouncer_url)
        found.append(upgrade(database))
        database.close()

    assert not errors(race(*(work for _ in range(4))))
    assert found == [SCHEMA] * 4


def test_a_pooler_that_was_started_again(pooled_store: SqlStore, pgbouncer: PgBouncer) -> None:
    pooled_store.start(new("one"))
    pgbouncer.stop()
    with pytest.raises(StoreUnavailable):
        pooled_store.get("one")
    with pytest.raises(StoreUnavailable, match="can't be reached"):
        pooled_store.get("one")
    pgbouncer.start()
    assert claim(pooled_store, "one").execution.id == "one"


def test_transactions_share_one_connection(postgres_server: PostgresServer) -> None:
    """With one for all of them, whoever kept a session's state would meet another's."""
    with PgBouncer(postgres_server, connections=1) as pooler, pooler.fresh_database() as url:
        first, second = Database(url), Database(url)
        upgrade(first)
        stores = [SqlStore(first), SqlStore(second)]
        barrier = threading.Barrier(2)

        def work(store: SqlStore, name: str) -> None:
            barrier.wait(60)
            for number in range(10):
                store.start_many([new(f"{name}{number}{place}") for place in range(3)])
                store.redispatch(10)

        assert not errors(race(*(lambda it=it: work(*it) for it in zip(stores, "ab", strict=True))))
        assert second.run(text("SELECT count(*) FROM polos_executions"))[0][0] == 60
        for database in (first, second):
            database.close()
