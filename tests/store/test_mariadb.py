"""What is MariaDB's own: its sessions, its errors, its keys, and a migration that is broken off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from alembic import op
from sqlalchemy import Connection, bindparam, select, text, update
from sqlalchemy.exc import DBAPIError, OperationalError

from polos.errors import ExecutionExists, StoreUnavailable
from polos.model.states import Status
from polos.store import checkpoints, migrate
from polos.store import database as database_module
from polos.store.clock import now_micros
from polos.store.connecting import parsed
from polos.store.database import Database
from polos.store.migrate import VERSION_TABLE, found_schema, upgrade
from polos.store.prebuilt import Prebuilt, Transaction
from polos.store.schema import SCHEMA, executions, metadata
from polos.store.sql_store import SqlStore
from polos.store.waking import lock
from tests.store.scenes import claim, new, row, running, step
from tests.store.test_schema import tables
from tests.store.threads import errors, race
from tests.support.mariadb import MariaServer


@pytest.fixture
def maria_store(mariadb_database: Database) -> SqlStore:
    return SqlStore(mariadb_database)


# -- sessions --------------------------------------------------------------------------------


def test_a_session_depends_on_no_default_of_the_server(mariadb_database: Database) -> None:
    [(isolation, mode, charset)] = mariadb_database.run(
        text("SELECT @@tx_isolation, @@sql_mode, @@character_set_client")
    )
    assert isolation == "READ-COMMITTED"
    assert "STRICT_ALL_TABLES" in mode
    assert charset == "utf8mb4"


@pytest.mark.parametrize("zone", ["+05:45", "-11:00"])
def test_the_time_zone_of_a_session_does_not_matter(mariadb_database: Database, zone: str) -> None:
    store = SqlStore(mariadb_database)

    def work(connection: Connection) -> int:
        connection.execute(text(f"SET time_zone = '{zone}'"))
        try:
            return int(connection.execute(select(now_micros())).scalar_one())
        finally:
            connection.execute(text("SET time_zone = DEFAULT"))

    assert abs(mariadb_database.transaction(work) - store.now()) < 60_000_000


def test_a_later_statement_sees_what_was_committed_since_the_first(maria_store: SqlStore) -> None:
    maria_store.start(new("one"))

    def work(connection: Connection) -> list[int]:
        read = select(executions.c.wakeups)
        before = connection.execute(read).scalar_one()
        maria_store.database.run(update(executions).values(wakeups=5))
        return [before, connection.execute(read).scalar_one()]

    assert maria_store.database.transaction(work) == [0, 5]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("mysql://u:p@h/d", "mysql+pymysql://u:p@h/d?charset=utf8mb4"),
        ("mariadb://h/d", "mariadb+pymysql://h/d?charset=utf8mb4"),
        ("mysql+mysqldb://h/d?charset=latin1", "mysql+mysqldb://h/d?charset=latin1"),
        ("postgresql://h/d", "postgresql+psycopg://h/d"),
    ],
)
def test_urls(given: str, wanted: str) -> None:
    assert parsed(given).render_as_string(hide_password=False) == wanted


@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
def test_both_names_lead_to_it(mariadb_server: MariaServer, dialect: str) -> None:
    with mariadb_server.fresh_database(dialect=dialect) as url:
        database = Database(url)
        upgrade(database)
        store = SqlStore(database)
        claimed = running(store)
        assert store.checkpoint("one", claimed.token, [step("a")]) == {}
        store.release("one", claimed.token)
        assert row(database, "one")["status"] == Status.QUEUED
        database.close()


# -- errors ----------------------------------------------------------------------------------


def crossing(store: SqlStore) -> list[Any]:
    for name in ("one", "two"):
        store.start(new(name))
    both, calls = threading.Barrier(2), []

    def cross(first: str, second: str) -> None:
        def work(connection: Connection) -> None:
            calls.append(first)
            lock(connection, first)
            if len(calls) <= 2:
                both.wait(60)
            lock(connection, second)
            add = update(executions).where(executions.c.id == first)
            connection.execute(add.values(dispatches=executions.c.dispatches + 1))

        store.database.transaction(work)

    return [*race(lambda: cross("one", "two"), lambda: cross("two", "one")), calls]


def test_a_deadlock_is_tried_again(maria_store: SqlStore) -> None:
    *results, calls = crossing(maria_store)
    assert not errors(results)
    assert len(calls) == 3
    counts = [row(maria_store.database, name)["dispatches"] for name in ("one", "two")]
    assert counts == [1, 1]


def test_a_wait_for_a_lock_that_takes_too_long_is_tried_again(
    maria_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    maria_store.start(new("one"))
    begun, calls = threading.Event(), []
    # Of this module alone: other threads sleep, too.
    clock = SimpleNamespace(sleep=lambda _: begun.set())
    monkeypatch.setattr(database_module, "time", clock)

    def holder(connection: Connection) -> None:
        lock(connection, "one")
        held.set()
        assert begun.wait(60)

    def waiter(connection: Connection) -> None:
        calls.append(1)
        connection.execute(text("SET innodb_lock_wait_timeout = 1"))
        lock(connection, "one")
        connection.execute(text("SET innodb_lock_wait_timeout = DEFAULT"))

    held = threading.Event()
    thread = threading.Thread(target=lambda: maria_store.database.transaction(holder))
    thread.start()
    assert held.wait(60)
    maria_store.database.transaction(waiter)
    thread.join(60)
    assert len(calls) >= 2


def test_a_mistake_is_no_database_out_of_reach(mariadb_database: Database) -> None:
    with pytest.raises(DBAPIError, match="Unknown column"):
        mariadb_database.run(text("SELECT nothing FROM polos_executions"))


def test_a_wrong_password_is_told_without_it(mariadb_server: MariaServer) -> None:
    wrong = mariadb_server.url("mysql").replace(":polos@", ":s3cret@")
    with pytest.raises(StoreUnavailable, match="Access denied") as caught:
        Database(wrong).run(text("SELECT 1"))
    assert "s3cret" not in str(caught.value)
    assert not caught.value.uncertain


@pytest.mark.parametrize("driven", [False, True], ids=["run", "driven"])
def test_a_connection_that_the_server_ended_is_replaced(
    maria_store: SqlStore, mariadb_server: MariaServer, driven: bool
) -> None:
    maria_store.start(new("one"))
    database = maria_store.database
    mariadb_server.close_connections(database.url.rpartition("/")[2].partition("?")[0])
    read = Prebuilt(select(executions.c.id).where(executions.c.id == bindparam("the_id")))

    def work(it: Transaction) -> Any:
        return it.run(read, {"the_id": "one"})

    ask = (lambda: database.driven(work)) if driven else (lambda: maria_store.get("one"))
    with pytest.raises(StoreUnavailable):
        ask()
    assert ask()


def test_what_was_acknowledged_is_there_after_a_crash(mariadb_server: MariaServer) -> None:
    with mariadb_server.fresh_database() as url:
        database = Database(url)
        upgrade(database)
        store = SqlStore(database)
        claimed = running(store)
        store.checkpoint("one", claimed.token, [step("a")])
        mariadb_server.kill()
        with pytest.raises(StoreUnavailable):
            store.get("one")
        mariadb_server.start()
        assert [it.step_key for it in store.load("one")[0]] == ["a"]
        assert store.checkpoint("one", claimed.token, [step("b")]) == {}
        database.close()


# -- keys and values -------------------------------------------------------------------------


def test_case_accents_and_blanks_count_in_ids_and_keys(maria_store: SqlStore) -> None:
    ids = ["a", "A", "a ", "ä", "a\u0308", "é", "É"]
    for id_ in ids:
        assert maria_store.start(new(id_, idempotency_key=id_))[1]
    claimed = claim(maria_store, "a")
    assert maria_store.checkpoint("a", claimed.token, [step(it) for it in ids]) == {}
    assert {it.step_key for it in maria_store.load("a")[0]} == set(ids)
    assert maria_store.get("a  ") is None
    with pytest.raises(ExecutionExists):
        maria_store.start(new("A"))


@pytest.mark.parametrize("name", ["id", "session_id", "idempotency_key"])
def test_what_is_too_long_is_refused_and_not_cut_off(maria_store: SqlStore, name: str) -> None:
    given = {"execution_id": "one", name: "x" * 256}
    given["execution_id"] = given.pop("id", given["execution_id"])
    with pytest.raises(DBAPIError, match="too long"):
        maria_store.start(new(**given))
    with pytest.raises(DBAPIError, match="too long"):
        maria_store.start_many([new(**given)])
    assert maria_store.get("one") is None


def test_many_large_values_at_once_take_several_statements(
    maria_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = running(maria_store)
    # Half of these bytes are written as two.
    large = bytes(range(256)) * (4 * 1024 * 4)
    rows = [step(f"s{number}", large) for number in range(6)]
    assert maria_store.checkpoint("one", claimed.token, rows) == {}
    assert [it.value == large for it in maria_store.load("one")[0]] == [True] * 6
    monkeypatch.setattr(checkpoints, "_MOST_BYTES", 10**9)
    with pytest.raises((StoreUnavailable, OperationalError)):
        maria_store.checkpoint("one", claimed.token, [step(f"t{it}", large) for it in range(6)])


# -- migrations ------------------------------------------------------------------------------


@pytest.fixture
def fresh(mariadb_url: str) -> Iterator[Database]:
    database = Database(mariadb_url)
    yield database
    database.close()


@pytest.mark.parametrize("number", [1, 4, 9, 14, 19, 25, 33])
def test_a_migration_that_was_broken_off_is_begun_again(
    fresh: Database, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    count = 0

    def breaking(name: str) -> Any:
        whole = getattr(op, name)

        def made(*args: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == number:
                raise RuntimeError("the machine stopped")
            return whole(*args, **named)

        return made

    for name in ("create_table", "create_index", "add_column"):
        monkeypatch.setattr(op, name, breaking(name))
    with pytest.raises(RuntimeError, match="the machine stopped"):
        upgrade(fresh)
    monkeypatch.undo()
    assert upgrade(fresh) == SCHEMA
    assert tables(fresh) == sorted([*metadata.tables, VERSION_TABLE])
    assert found_schema(fresh) == SCHEMA
    assert SqlStore(fresh).start(new("one"))[1]


def test_who_migrates_is_waited_for(fresh: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "_LOCK_SECONDS", 1)
    with fresh.engine.connect() as other:
        other.execute(migrate._GET_LOCK, {"seconds": 1})
        with pytest.raises(StoreUnavailable, match="another process has migrated it for 1 s"):
            upgrade(fresh)
        other.execute(migrate._RELEASE_LOCK)
    assert upgrade(fresh) == SCHEMA
