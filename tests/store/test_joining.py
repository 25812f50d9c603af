"""A start in the caller's own transaction: with it, it is; without it, it never was."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from polos.client.direct import DirectClient
from polos.errors import ConfigurationError, ExecutionExists, SchemaError
from polos.model.listing import ExecutionQuery
from polos.model.ports import StartRequest
from polos.model.records import Execution, Hint
from polos.model.workers import Reach
from polos.store.database import Database
from polos.store.joining import _fitting
from polos.store.sql_store import SqlStore
from tests.store.scenes import new, row


class Hints:
    """A broker that is a list, or one that is away."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.broken = False

    def dispatch(self, hints: Sequence[Hint]) -> int:
        if self.broken:
            raise OSError("away")
        self.sent += [hint.execution_id for hint in hints]
        return len(hints)

    def is_away(self) -> bool:
        return False


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture
def client(hints: Hints) -> DirectClient:
    """One that must not open a store of its own inside the caller's transaction."""

    def no_store() -> SqlStore:
        raise AssertionError("a start in the caller's transaction opened the store")

    return DirectClient("default", no_store, hints, "deployment")


def url_of(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=False)


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    """The caller's own, with SQLAlchemy's defaults."""
    made = create_engine(url_of(database))
    yield made
    made.dispose()


def start(client: DirectClient, connection: Any, **given: Any) -> Execution:
    return client.start(StartRequest("flow", b"payload", connection=connection, **given))


def is_due(store: SqlStore) -> list[str]:
    return [hint.execution_id for hint in store.redispatch(10, Reach())]


def own_table(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE IF NOT EXISTS own (number INTEGER)"))
    connection.execute(text("DELETE FROM own"))


def test_a_start_is_written_as_any_other(
    client: DirectClient, store: SqlStore, engine: Engine
) -> None:
    given: dict[str, Any] = {
        "queue": "slow",
        "priority": 3,
        "concurrency_key": "c",
        "session_id": "s",
        "user_id": "u",
        "initial_state": b"state",
        "run_timeout_seconds": 5.0,
    }
    with engine.begin() as connection:
        started = start(client, connection, **given)
    assert store.get(started.id) == started
    theirs = row(store.database, started.id)
    store.start(new("two", deployment_id="deployment", **given))
    ours = row(store.database, "two")
    assert abs(theirs["deadline_at"] - theirs["created_at"] - 5_000_000) < 1_000_000
    for name in ("id", "created_at", "deadline_at", "dispatch_at"):
        del theirs[name], ours[name]
    assert theirs == ours


def test_its_tags_are_part_of_it(client: DirectClient, store: SqlStore, engine: Engine) -> None:
    with engine.begin() as connection:
        kept = start(client, connection, tags=("red", "big"))
    with engine.connect() as connection:
        start(client, connection, tags=("red",))
        connection.rollback()
    found = store.list_executions(ExecutionQuery(tag="red"))
    assert [it.id for it in found.items] == [kept.id]
    assert set(found.items[0].tags) == {"red", "big"}


def _with_connection(engine: Engine, work: Callable[[Any], Any], commit: bool) -> None:
    with engine.connect() as connection:
        work(connection)
        connection.commit() if commit else connection.rollback()


def _with_session(engine: Engine, work: Callable[[Any], Any], commit: bool) -> None:
    with Session(engine) as session:
        work(session)
        session.commit() if commit else session.rollback()


def _with_scoped_session(engine: Engine, work: Callable[[Any], Any], commit: bool) -> None:
    session = scoped_session(sessionmaker(engine))
    work(session)
    session.commit() if commit else session.rollback()
    session.remove()


WAYS = [_with_connection, _with_session, _with_scoped_session]


@pytest.mark.parametrize("way", WAYS)
def test_it_is_committed_and_rolled_back_with_the_transaction(
    client: DirectClient, store: SqlStore, engine: Engine, hints: Hints, way: Any
) -> None:
    for commit in (False, True):
        started: list[str] = []

        def work(connection: Any, started: list[str] = started) -> None:
            started.append(start(client, connection).id)
            assert hints.sent == []

        way(engine, work, commit)
        assert (store.get(started[0]) is not None) is commit
        assert hints.sent == is_due(store) == (started if commit else [])


def test_its_hint_is_sent_once_and_only_after_the_commit(
    client: DirectClient, store: SqlStore, engine: Engine, hints: Hints
) -> None:
    with engine.connect() as connection:
        first = start(client, connection).id
        connection.commit()
        start(client, connection)
        assert hints.sent == [first]
        connection.rollback()
        third, fourth = (start(client, connection).id for _ in range(2))
        connection.commit()
    assert hints.sent == [first, third, fourth]
    with engine.begin() as connection:
        connection.execute(text("SELECT 1"))
    assert hints.sent == [first, third, fourth]


def test_a_savepoint_that_is_rolled_back(
    client: DirectClient, store: SqlStore, engine: Engine
) -> None:
    with Session(engine) as session, session.begin():
        session.execute(text("UPDATE polos_executions SET queue = queue"))
        kept = start(client, session).id
        with session.begin_nested():
            inner = start(client, session).id
        with pytest.raises(ZeroDivisionError), session.begin_nested():
            lost = start(client, session).id
            raise ZeroDivisionError
    assert [store.get(id_) is not None for id_ in (kept, inner, lost)] == [True, True, False]


def test_a_session_that_has_joined_a_transaction(
    client: DirectClient, store: SqlStore, engine: Engine, hints: Hints
) -> None:
    """What a test suite does: all that its sessions commit is rolled back in the end."""
    with engine.connect() as connection, connection.begin() as outer:
        with Session(connection, join_transaction_mode="rollback_only") as session:
            started = start(client, session).id
            session.commit()
        assert hints.sent == []
        outer.rollback()
    assert (store.get(started), hints.sent) == (None, [])


def test_without_a_transaction_it_is_written_at_once(
    client: DirectClient, store: SqlStore, engine: Engine, hints: Hints
) -> None:
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        started = start(client, connection).id
        assert hints.sent == [started]
        assert store.get(started) is not None


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_any_isolation_level(
    client: DirectClient, store: SqlStore, engine: Engine, level: str
) -> None:
    if engine.dialect.name == "sqlite" and level == "REPEATABLE READ":
        pytest.skip("SQLite has no such level")
    with engine.connect().execution_options(isolation_level=level) as connection:
        connection.execute(text("SELECT count(*) FROM polos_executions"))
        started = start(client, connection, idempotency_key="k")
        assert start(client, connection, idempotency_key="k") == started
        connection.commit()
    assert store.get(started.id) == started


def test_an_idempotency_key_that_is_taken(
    client: DirectClient, store: SqlStore, engine: Engine, hints: Hints
) -> None:
    with engine.begin() as connection:
        own_table(connection)
    first, _ = store.start(new("one", idempotency_key="k"))
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO own VALUES (1)"))
        assert start(client, connection, idempotency_key="k") == first
        inner = start(client, connection, idempotency_key="other")
        assert start(client, connection, idempotency_key="other") == inner
        connection.execute(text("INSERT INTO own VALUES (2)"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM own")).scalar() == 2
    assert hints.sent == [inner.id]


def test_a_taken_id_leaves_the_transaction_whole(
    client: DirectClient, store: SqlStore, engine: Engine
) -> None:
    store.start(new("one"))
    with engine.begin() as connection:
        with pytest.raises(ExecutionExists):
            start(client, connection, execution_id="one")
        with pytest.raises(ExecutionExists):
            start(client, connection, execution_id="one", idempotency_key="k")
        other = start(client, connection, execution_id="two")
    assert store.get("two") == other


def test_a_key_whose_holder_is_not_committed_yet(
    client: DirectClient, store: SqlStore, engine: Engine
) -> None:
    """The second one waits for the first one's transaction, and takes its place or finds it."""
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    for commit in (True, False):
        second: list[Execution] = []

        def other(second: list[Execution] = second, key: str = str(commit)) -> None:
            with engine.begin() as connection:
                second.append(start(client, connection, idempotency_key=key))

        thread = threading.Thread(target=other)
        with engine.connect() as connection:
            first = start(client, connection, idempotency_key=str(commit))
            thread.start()
            thread.join(0.3)
            assert not second
            connection.commit() if commit else connection.rollback()
        thread.join(60)
        assert (second[0].id == first.id) is commit
        assert store.get(second[0].id) == second[0]


def test_a_broker_that_is_away_does_not_break_the_caller(
    client: DirectClient, store: SqlStore, engine: Engine, hints: Hints
) -> None:
    hints.broken = True
    with engine.begin() as connection:
        first = start(client, connection).id
    with engine.connect() as connection:
        second = start(client, connection).id
        connection.commit()
        connection.execute(text("SELECT 1"))
    assert set(is_due(store)) == {first, second}


@pytest.mark.parametrize("pool", [None, NullPool])
def test_a_commit_that_fails_sends_nothing(
    client: DirectClient, store: SqlStore, database: Database, hints: Hints, pool: Any
) -> None:
    engine = create_engine(url_of(database), poolclass=pool)
    commit = engine.dialect.do_commit

    def failing(connection: Any) -> None:
        engine.dialect.do_rollback(connection)
        raise engine.dialect.loaded_dbapi.OperationalError("no")

    with pytest.raises(DBAPIError), Session(engine) as session, session.begin():
        started = start(client, session).id
        engine.dialect.do_commit = failing
    engine.dialect.do_commit = commit
    assert store.get(started) is None
    with Session(engine) as session, session.begin():
        again = start(client, session).id
    assert [id_ for id_ in hints.sent if id_ != started] == [again]
    engine.dispose()


def test_another_driver_of_postgresql(
    client: DirectClient, postgres_store: SqlStore, hints: Hints
) -> None:
    url = postgres_store.database.engine.url.set(drivername="postgresql+psycopg2")
    engine = create_engine(url)
    with Session(engine) as session, session.begin():
        started = start(client, session, idempotency_key="k")
        assert start(client, session, idempotency_key="k") == started
    assert postgres_store.get(started.id) == started
    assert hints.sent == [started.id]
    engine.dispose()


ASYNC = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


def test_an_asynchronous_session(
    client: DirectClient, store: SqlStore, database: Database, hints: Hints, until: Any
) -> None:
    url = database.engine.url
    if url.get_backend_name() not in ASYNC:
        pytest.skip("no asynchronous driver for it")

    async def both() -> list[Execution]:
        engine = create_async_engine(url.set(drivername=ASYNC[url.get_backend_name()]))
        async with AsyncSession(engine) as session:
            lost = await session.run_sync(lambda it: start(client, it))
            await session.rollback()
            kept = await session.run_sync(lambda it: start(client, it, idempotency_key="k"))
            same = await session.run_sync(lambda it: start(client, it, idempotency_key="k"))
            assert same == kept
            await session.commit()
        with pytest.raises(TypeError, match=r"run_sync\(lambda it: workflow.start"):
            start(client, session)
        await engine.dispose()
        return [lost, kept]

    lost, kept = asyncio.run(both())
    assert store.get(lost.id) is None
    assert store.get(kept.id) == kept
    until(lambda: hints.sent == [kept.id])


def test_connections_of_drivers(
    client: DirectClient, store: SqlStore, database: Database, hints: Hints
) -> None:
    url = database.engine.url
    connection: Any
    if url.get_backend_name() == "sqlite":
        connection = sqlite3.connect(str(url.database))
        connection.row_factory = sqlite3.Row
    elif url.get_backend_name() == "postgresql":
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        connection = psycopg.connect(plain, row_factory=dict_row)
    else:
        pytest.skip("only drivers that the documents name")
    with closing(connection):
        lost = start(client, connection)
        connection.rollback()
        kept = start(client, connection, idempotency_key="k")
        assert start(client, connection, idempotency_key="k") == kept
        connection.commit()
    assert store.get(lost.id) is None
    assert store.get(kept.id) == kept
    assert is_due(store) == [kept.id]


@pytest.mark.parametrize("thing", [object(), "sqlite://", 5])
def test_what_is_no_connection(client: DirectClient, thing: Any) -> None:
    with pytest.raises(TypeError, match=f"was given a {type(thing).__name__}; pass SQLAlchemy's"):
        start(client, thing)


def test_an_engine_is_no_connection(client: DirectClient, engine: Engine) -> None:
    with pytest.raises(TypeError, match="was given a Engine"):
        start(client, engine)


def test_a_database_without_the_tables(client: DirectClient, database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        with pytest.raises(ConfigurationError, match="which has no tables of Polos"):
            start(client, connection)
        # The transaction is whole.
        connection.execute(text("CREATE TABLE polos_schema (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO polos_schema VALUES ('0001')"))
        with pytest.raises(SchemaError, match="has schema 0001"):
            start(client, connection)
        assert connection.execute(text("SELECT 1")).scalar() == 1
    engine.dispose()


def test_the_schema_is_looked_at_once(client: DirectClient, engine: Engine) -> None:
    with engine.begin() as connection:
        start(client, connection)
    assert engine in _fitting
