"""Being told of ends: on PostgreSQL, by those who start to wait, and never relied upon."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import select

from polos import Polos, WorkflowContext, workflow
from polos.client import listener, watcher
from polos.client.watcher import Watcher
from polos.definition.registry import registry
from polos.engine.owner import this_process
from polos.model.outcome import Completed, Failed
from polos.model.records import ExecutionId, Failure, NewExecution
from polos.model.settings import Settings
from polos.store.schema import executions
from polos.store.sql_store import SqlStore
from tests.support.servers import PostgresServer
from tests.support.statements import statements


@pytest.fixture
def store(postgres_url: str) -> Iterator[SqlStore]:
    made = SqlStore.open(Settings.load(database_url=postgres_url, auto_migrate=True))
    yield made
    made.close()


@pytest.fixture
def watching(store: SqlStore, until: Callable[..., Any]) -> Iterator[Watcher]:
    """A watcher that is told of ends."""
    made = Watcher(store)
    healthy(made, until)
    yield made
    made.close()


def healthy(found: Watcher, until: Callable[..., Any]) -> None:
    def begun() -> bool:
        found.expect(str(uuid4()))
        return found._listener.healthy

    until(begun)


def begin(store: SqlStore, found: Watcher | None) -> str:
    id_ = ExecutionId(str(uuid4()))
    channel = None if found is None else found.expect(id_)
    store.start(NewExecution(id_, "flow", "default", b"null", listener=channel))
    return id_


def end(store: SqlStore, id_: str, outcome: Any = None) -> None:
    claimed = store.claim(id_, "flow", this_process(), 15)
    assert claimed is not None
    store.commit(claimed.execution, claimed.token, outcome or Completed(b"1"))


def looks(sent: list[tuple[str, Any]]) -> int:
    return len([text for text, _ in sent if text.startswith("SELECT") and "status IN" in text])


@contextmanager
def ending_soon(store: SqlStore, id_: str, outcome: Any = None) -> Iterator[None]:
    thread = threading.Timer(0.4, lambda: end(store, id_, outcome))
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize("outcome", [None, Failed(Failure("no", "ValueError"))])
def test_an_end_is_told_and_not_asked_for(
    store: SqlStore, watching: Watcher, outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "_TOLD", 60.0)
    id_ = begin(store, watching)
    with statements(store.database) as sent, ending_soon(store, id_, outcome):
        assert watching.wait(id_, 30).id == id_
    assert looks(sent) == 1


def test_a_cancellation_is_told(
    store: SqlStore, watching: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "_TOLD", 60.0)
    id_ = begin(store, watching)
    threading.Timer(0.2, lambda: store.cancel(id_)).start()
    assert watching.wait(id_, 30).id == id_


def test_an_end_that_came_before_anybody_waited_is_found(
    store: SqlStore, watching: Watcher, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    monkeypatch.setattr(watcher, "_TOLD", 60.0)
    id_ = begin(store, watching)
    end(store, id_)
    assert asyncio.run(watching.wait_async(id_, 30)).id == id_


def test_what_nobody_starts_to_wait_for_notifies_nobody(
    store: SqlStore, watching: Watcher, postgres_url: str
) -> None:
    url = postgres_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'LISTEN "{watching._listener.channel}"')
        quiet, told = begin(store, None), begin(store, watching)
        for id_ in (quiet, told):
            end(store, id_)
        heard = [it.payload for it in connection.notifies(timeout=60, stop_after=1)]
    assert heard == [told]


def test_a_lost_notification_costs_a_second(
    store: SqlStore, watching: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watcher, "_told", lambda *_: None)
    watching._listener._heard = lambda _: None
    id_ = begin(store, watching)
    with ending_soon(store, id_):
        assert watching.wait(id_, 30).id == id_


def test_a_lost_connection_is_made_again(
    store: SqlStore,
    watching: Watcher,
    postgres_server: PostgresServer,
    until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "_AGAIN_AFTER", 0.1)
    found, changes, changed = watching._listener, [], watching._listener._changed
    found._changed = lambda: (changes.append(found.healthy), changed())
    id_ = begin(store, watching)
    postgres_server.restart()
    until(lambda: False in changes)
    store.close()
    with ending_soon(store, id_):
        assert watching.wait(id_, 30).id == id_
    healthy(watching, until)


def test_a_pooler_that_loses_notifications_is_found_out(
    store: SqlStore, until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_PROOF_TIME", 0.2)
    monkeypatch.setattr(SqlStore, "notify", lambda *_: None)
    made = Watcher(store)
    id_ = begin(store, made)
    until(lambda: not made._listener.begin())
    assert made.expect("another") is None
    with ending_soon(store, id_):
        assert made.wait(id_, 30).id == id_
    made.close()


def test_many_waiters_ask_and_are_not_told(store: SqlStore, watching: Watcher) -> None:
    waiting = [begin(store, None) for _ in range(watcher._FEW)]
    threads = [threading.Thread(target=watching.wait, args=(id_, 30)) for id_ in waiting]
    for thread in threads:
        thread.start()
    while len(watching._waiting) < len(waiting):
        time.sleep(0.01)
    assert watching.expect("another") is None
    for id_ in waiting:
        end(store, id_)
    for thread in threads:
        thread.join()


def test_a_forked_process_has_a_line_of_its_own(
    store: SqlStore, watching: Watcher, until: Callable[..., Any]
) -> None:
    channel = watching._listener.channel
    child = os.fork()
    if not child:
        try:
            healthy(watching, until)
            id_ = begin(store, watching)
            with ending_soon(store, id_):
                watching.wait(id_, 30)
            os._exit(watching._listener.channel == channel)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert watching._listener.healthy
    id_ = begin(store, watching)
    with ending_soon(store, id_):
        assert watching.wait(id_, 30).id == id_


def test_a_client_that_is_closed_leaves_no_line(
    store: SqlStore, watching: Watcher, until: Callable[..., Any]
) -> None:
    watching.close()
    assert not watching._listener.healthy
    assert watching._listener._thread is not None
    assert not watching._listener._thread.is_alive()


def test_a_line_ends_when_nobody_waits_any_more(
    store: SqlStore, until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_IDLE", 0.2)
    monkeypatch.setattr(listener, "_LOOK_UP", 0.05)
    made = Watcher(store)
    made.expect("one")
    until(lambda: made._listener._thread is not None and not made._listener._thread.is_alive())
    assert not made._listener.healthy
    made.close()


def test_sqlite_is_asked(sqlite_url: str) -> None:
    store = SqlStore.open(Settings.load(database_url=sqlite_url))
    made = Watcher(store)
    id_ = begin(store, made)
    assert made.expect("another") is None
    with ending_soon(store, id_):
        assert made.wait(id_, 30).id == id_
    made.close()
    store.close()


def test_run_is_told_and_start_is_not(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLOS_AUTO_MIGRATE", "1")
    with registry.scoped():

        @workflow(id="greet")
        async def greet(ctx: WorkflowContext) -> str:
            return "hello"

        with Polos(database_url=postgres_url) as polos:
            assert greet.run_sync(polos, timeout=30) == "hello"
            assert asyncio.run(greet.run(polos, timeout=30)) == "hello"
            assert greet.start(polos).result_sync(30) == "hello"
            rows = polos.bound.store.database.run(
                select(executions.c.listener).order_by(executions.c.created_at)
            )
    # PostgreSQL's pg_notify gives the empty text.
    assert [row.listener for row in rows] == ["", "", None]
