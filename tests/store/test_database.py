"""Clocks, conflicts that are retried, and databases that are out of reach."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from polos.errors import StoreUnavailable
from polos.model.records import SECOND
from polos.model.settings import Settings
from polos.store import database as database_module
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.prebuilt import Prebuilt, Transaction
from polos.store.schema import executions, workflows
from polos.store.sql_store import SqlStore
from polos.store.waking import lock
from tests.store.scenes import new, now, row, running, step
from tests.store.threads import errors, race
from tests.support.servers import HOST, PostgresServer, free_port

SECRET = "s3cret"


@pytest.mark.parametrize("kept", [False, True])
def test_a_commit_that_fails_leaves_nothing_open(database: Database, kept: bool) -> None:
    """Else what follows on that connection is never committed."""
    dialect = database.engine.dialect
    commit = dialect.do_commit

    def failing(connection: Any) -> None:
        dialect.do_commit = commit
        raise dialect.loaded_dbapi.OperationalError("disk I/O error")

    def write(name: str) -> Callable[[Connection], None]:
        values = {"project_id": "default", "id": name, "seen_at": 1}
        return lambda it: it.execute(insert(workflows).values(values))

    for way in (database.transaction, lambda work: _begun(database, work)):
        with database.keeping() if kept else nullcontext():
            dialect.do_commit = failing
            with pytest.raises((StoreUnavailable, DBAPIError)):
                way(write("lost"))
            database.run(insert(workflows).values(project_id="default", id="next", seen_at=1))
            way(write("last"))
        found = {row.id for row in database.run(select(workflows.c.id))}
        assert found == {"next", "last"}
        database.run(delete(workflows))


def _begun(database: Database, work: Callable[[Connection], None]) -> None:
    with database.begun() as connection:
        work(connection)


def test_the_clock_is_utc_and_right(database: Database) -> None:
    before = time.time()
    moment = now(database)
    assert type(moment) is int
    assert before - 5 < moment / SECOND < time.time() + 5


def test_the_session_time_zone_does_not_matter(postgres_database: Database) -> None:
    def work(connection: Connection) -> int:
        connection.execute(text("SET LOCAL TIME ZONE 'Asia/Kathmandu'"))
        return connection.execute(now_micros().select()).scalar_one()

    assert abs(postgres_database.transaction(work) / SECOND - time.time()) < 5


def test_the_clock_goes_on_within_a_transaction(database: Database) -> None:
    def work(connection: Connection) -> list[int]:
        read = lambda: connection.execute(now_micros().select()).scalar_one()  # noqa: E731
        first = last = read()
        end = time.monotonic() + 5
        while last == first and time.monotonic() < end:
            last = read()
        return [first, last]

    first, last = database.transaction(work)
    assert first < last


def test_the_resolution_is_what_the_store_says(store: SqlStore) -> None:
    moments = [now(store.database) for _ in range(50)]
    assert moments == sorted(moments)
    assert all(moment % store.resolution == 0 for moment in moments)
    if store.resolution == 1:
        assert any(moment % 1000 for moment in moments)


def test_a_deadlock_is_tried_again(postgres_store: SqlStore) -> None:
    store = postgres_store
    for name in ("one", "two"):
        store.start(new(name))
    both = threading.Barrier(2)
    calls: list[str] = []

    def crossing(first: str, second: str) -> None:
        def work(connection: Connection) -> None:
            calls.append(first)
            lock(connection, first)
            if len(calls) <= 2:
                both.wait(60)
            lock(connection, second)
            add = update(executions).where(executions.c.id == first)
            connection.execute(add.values(dispatches=executions.c.dispatches + 1))

        store.database.transaction(work)

    results = race(lambda: crossing("one", "two"), lambda: crossing("two", "one"))
    assert not errors(results)
    assert len(calls) == 3
    assert [row(store.database, name)["dispatches"] for name in ("one", "two")] == [1, 1]


def test_a_serialization_failure_is_tried_again(postgres_store: SqlStore) -> None:
    store = postgres_store
    store.start(new("one"))
    more = update(executions).values(dispatches=executions.c.dispatches + 1)
    calls = 0

    def work(connection: Connection) -> None:
        nonlocal calls
        calls += 1
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        connection.execute(executions.select()).all()
        if calls == 1:
            store.database.run(more)
        connection.execute(more)

    store.database.transaction(work)
    assert calls == 2
    assert row(store.database, "one")["dispatches"] == 2


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_a_conflict_without_end_is_an_error_of_the_store(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(database_module, "time", SimpleNamespace(sleep=pauses.append))
    fail = text(f"DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '{state}'; END $$")
    with pytest.raises(StoreUnavailable, match="again"):
        postgres_database.transaction(lambda connection: connection.execute(fail))
    assert len(pauses) == 7
    with pytest.raises(StoreUnavailable, match="again"):
        postgres_database.run(fail)


def test_any_other_error_is_not_tried_again(database: Database) -> None:
    calls: list[int] = []

    def work(_connection: Connection) -> None:
        calls.append(1)
        raise RuntimeError("a mistake")

    with pytest.raises(RuntimeError, match="a mistake"):
        database.transaction(work)
    assert len(calls) == 1


def test_a_transaction_that_fails_writes_nothing(store: SqlStore) -> None:
    store.start(new("one"))

    def work(connection: Connection) -> None:
        connection.execute(update(executions).values(dispatches=9))
        raise RuntimeError("a mistake")

    with pytest.raises(RuntimeError):
        store.database.transaction(work)
    assert row(store.database, "one")["dispatches"] == 0


def test_read_then_write_loses_no_update_and_needs_no_second_try(store: SqlStore) -> None:
    """A transaction that takes its lock late, as pysqlite's own do, would."""
    store.start(new("one"))
    calls: list[int] = []

    def add(connection: Connection) -> None:
        calls.append(1)
        found = lock(connection, "one")
        connection.execute(update(executions).values(wakeups=found.wakeups + 1))

    def many() -> None:
        for _ in range(10):
            store.database.transaction(add)

    assert not errors(race(*(many for _ in range(4))))
    assert row(store.database, "one")["wakeups"] == len(calls) == 40


def test_a_driven_transaction_is_all_or_nothing(store: SqlStore) -> None:
    store.start(new("one"))
    count_up = Prebuilt(
        update(executions)
        .where(executions.c.id == bindparam("the_id"))
        .values(wakeups=executions.c.wakeups + 1)
        .returning(executions.c.wakeups)
    )

    def work(it: Transaction, fail: bool) -> int:
        [found] = it.run(count_up, {"the_id": "one"})
        if fail:
            raise ValueError("no")
        return found.wakeups

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            store.database.driven(lambda it: work(it, True))
    assert store.database.driven(lambda it: work(it, False)) == 1
    assert row(store.database, "one")["wakeups"] == 1


def test_a_driven_transaction_whose_connection_is_lost_may_have_committed(
    postgres_store: SqlStore,
) -> None:
    store = postgres_store
    store.start(new("one"))
    me = Prebuilt(select(func.pg_backend_pid().label("pid")))

    def work(it: Transaction) -> None:
        [found] = it.run(me, {})
        store.database.run(select(func.pg_terminate_backend(found.pid)))
        it.run(me, {})

    with pytest.raises(StoreUnavailable) as caught:
        store.database.driven(work)
    assert caught.value.uncertain
    assert store.get("one") is not None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:{secret}@{host}:{port}/name",
        "postgresql://{host}:{port}/name?user=u&password={secret}",
        "postgresql+psycopg://user:{secret}@no-such-host.invalid/name",
    ],
)
def test_a_server_out_of_reach_is_told_at_once_and_without_the_password(url: str) -> None:
    database = Database(url.format(secret=SECRET, host=HOST, port=free_port()))
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="can't be reached") as caught:
        database.run(text("SELECT 1"))
    assert time.monotonic() - begun < 30
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert "/name" in str(caught.value)
    assert "POLOS_DATABASE_URL" in str(caught.value)


@contextmanager
def silent_server() -> Iterator[int]:
    """Takes connections and says nothing."""
    with socket.create_server((HOST, 0)) as listening:
        yield listening.getsockname()[1]


def test_a_server_that_says_nothing_is_given_up() -> None:
    with silent_server() as port:
        database = Database(f"postgresql://user@{HOST}:{port}/name?connect_timeout=2")
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable):
            database.run(text("SELECT 1"))
        assert 1 < time.monotonic() - begun < 30


def test_the_time_to_connect_is_bounded_without_a_word_in_the_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = Database("postgresql://user@h/name")
    asked: dict[str, Any] = {}

    def connect(*_args: Any, **options: Any) -> None:
        asked.update(options)
        raise database.engine.dialect.dbapi.OperationalError("not today")

    monkeypatch.setattr(database.engine.dialect, "connect", connect)
    with pytest.raises(StoreUnavailable, match="not today"):
        database.run(text("SELECT 1"))
    assert asked["connect_timeout"] == 5


def test_a_folder_in_the_place_of_the_file_is_a_store_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "polos.db").mkdir()
    with pytest.raises(StoreUnavailable, match="polos.db"):
        Database(f"sqlite:///{tmp_path / 'polos.db'}").run(text("SELECT 1"))


def test_connections_that_the_server_closed_are_replaced(postgres_store: SqlStore) -> None:
    store = postgres_store
    claimed = running(store)
    closing = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with store.database.engine.connect(), store.database.engine.connect():
        pass
    killer = Database(store.database.url)
    killer.run(closing)
    killer.close()
    # One answer is lost; the others of the pool are not tried one by one.
    with pytest.raises(StoreUnavailable):
        store.get("one")
    assert store.checkpoint("one", claimed.token, [step("a")]) == {}
    with store.database.engine.connect() as one, store.database.engine.connect() as other:
        for connection in (one, other):
            assert connection.execute(text("SELECT 1")).scalar() == 1


def test_sqlite_is_prepared_on_every_connection(sqlite_database: Database) -> None:
    pragmas = {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 30_000}
    connections = [sqlite_database.engine.raw_connection() for _ in range(2)]
    for connection in connections:
        cursor = connection.cursor()
        for name, value in pragmas.items():
            cursor.execute(f"PRAGMA {name}")
            assert cursor.fetchone() == (value,), name
        connection.close()


def test_sqlite_is_synchronous_unless_it_is_told_otherwise(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    assert database.run(text("PRAGMA synchronous"))[0][0] == 2
    database.close()


def test_a_commit_that_fails_leaves_sqlite_unlocked(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    dialect: Any = database.engine.dialect
    commit = dialect.do_commit

    def full(connection: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    database.run(text("CREATE TABLE t (n INTEGER)"))
    for kept in (nullcontext(), database.keeping()):
        dialect.do_commit = full
        with kept, pytest.raises(StoreUnavailable):
            database.transaction(lambda it: it.execute(text("INSERT INTO t VALUES (1)")))
        dialect.do_commit = commit
        other = sqlite3.connect(str(database.engine.url.database), timeout=0.1)
        other.execute("INSERT INTO t VALUES (2)")
        other.commit()
        other.close()
    assert [row[0] for row in database.run(text("SELECT n FROM t"))] == [2, 2]
    database.close()


@pytest.mark.parametrize("kept", [False, True])
def test_a_server_that_was_the_primary_is_out_of_reach_and_left(
    postgres_server: PostgresServer, kept: bool
) -> None:
    with postgres_server.fresh_database() as url:
        store = SqlStore.open(Settings(database_url=url, auto_migrate=True))
        name = store.database.engine.url.database

        def writable(on: bool) -> None:
            # Each connection has it from its beginning, as it has its server.
            with postgres_server.connect() as connection:
                value = "off" if on else "on"
                connection.execute(
                    f'ALTER DATABASE "{name}" SET default_transaction_read_only = {value}'
                )

        writable(False)
        store.database.forget()
        with store.one_connection() if kept else nullcontext():
            with pytest.raises(StoreUnavailable, match="read-only transaction"):
                store.start(new("late"))
            writable(True)
            store.start(new("late"))
        assert store.get("late") is not None
        store.close()
