"""Waiting for ends: many waiters, few queries."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest

from polos.client import watcher as watcher_module
from polos.client.watcher import Watcher
from polos.engine.owner import this_process
from polos.errors import WorkflowTimeoutError
from polos.model.outcome import Completed
from polos.model.records import ExecutionId, NewExecution
from polos.model.settings import Settings
from polos.model.workers import WorkerReport
from polos.store.sql_store import SqlStore
from tests.support.processes import until
from tests.support.statements import listen


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    made = SqlStore.open(Settings.load(database_url=database_url, auto_migrate=True))
    yield made
    made.close()


def begin(store: SqlStore) -> str:
    id_ = ExecutionId(str(uuid4()))
    store.start(NewExecution(id_, "flow", "default", b"null"))
    return id_


def end(store: SqlStore, id_: str) -> None:
    claimed = store.claim(id_, "flow", this_process(), 15)
    assert claimed is not None
    store.commit(claimed.execution, claimed.token, Completed(b"1"))


def test_two_hundred_waiters_share_their_queries(store: SqlStore) -> None:
    watcher, ids = Watcher(store), [begin(store) for _ in range(200)]
    queries: list[str] = []
    engine = store.database.engine

    def count(sql: str, _parameters: object) -> None:
        # Not those by which MariaDB locks what it claims.
        if "status IN" in sql and sql.startswith("SELECT") and "FOR UPDATE" not in sql:
            queries.append(sql)

    async def wait() -> list[str]:
        waiting = [asyncio.ensure_future(watcher.wait_async(id_, 30)) for id_ in ids]
        await asyncio.sleep(0)
        listen(engine, count)
        ender = threading.Thread(target=lambda: [end(store, id_) for id_ in ids])
        ender.start()
        found = await asyncio.gather(*waiting)
        ender.join()
        return [one.id for one in found]

    began = time.monotonic()
    assert asyncio.run(wait()) == ids
    took = time.monotonic() - began
    # One query for all at a time, never more often than every 4 ms, plus one for each look
    # that found something.
    assert len(queries) <= took / 0.004 + 200
    watcher.close()


def test_quiet_waiting_asks_ever_more_rarely(store: SqlStore) -> None:
    watcher, id_ = Watcher(store), begin(store)
    queries: list[str] = []
    listen(store.database.engine, lambda sql, _parameters: queries.append(sql))
    with pytest.raises(WorkflowTimeoutError) as caught:
        watcher.wait(id_, 2.0)
    assert caught.value.execution_id == id_
    # 15 looks while the pause grows from 4 ms to 250 ms in the first second, then 4 a second.
    assert len(queries) < 30
    watcher.close()


def test_an_end_that_is_there_already_is_found(store: SqlStore) -> None:
    watcher, id_ = Watcher(store), begin(store)
    end(store, id_)
    assert watcher.wait(id_, 10).id == id_
    assert asyncio.run(watcher.wait_async(id_, 10)).id == id_
    watcher.close()


def test_a_thread_that_nobody_needs_ends_and_begins_again(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "_IDLE", 0.05)
    watcher, id_ = Watcher(store), begin(store)
    end(store, id_)
    for _ in range(2):
        assert watcher.wait(id_, 10).id == id_
        until(lambda: watcher._thread is None)
    watcher.close()


def test_the_first_of_several_ends_is_heard_of(store: SqlStore) -> None:
    watcher, ids = Watcher(store), [begin(store) for _ in range(3)]

    async def both() -> tuple[object, object, object]:
        waiting = asyncio.create_task(watcher.first_ended(ids, 30))
        other = asyncio.create_task(watcher.first_ended(ids[1:], 30))
        await asyncio.sleep(0)
        for id_ in ids[1:]:
            await asyncio.to_thread(end, store, id_)
        return await waiting, await other, await watcher.first_ended([ids[0]], 0.05)

    first, other, nobody = asyncio.run(both())
    looking = watcher._thread
    assert first is not None and first.id in ids[1:]  # type: ignore[attr-defined]
    assert other is not None
    assert nobody is None
    assert not watcher._waiting
    # Now two ends are found by one look.
    assert asyncio.run(watcher.first_ended(ids[1:], 30)) is not None
    assert asyncio.run(watcher.first_ended(ids[:1], 0.05)) is None
    assert looking is watcher._thread
    watcher.close()


def test_who_waits_hears_that_there_is_no_worker(
    store: SqlStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "_LATE", 0.1)
    watcher, id_ = Watcher(store), begin(store)
    said = []
    for workflows in ((), ("other",), ("flow",)):
        if workflows:
            store.report(WorkerReport("one", "owner", 1, 1, (), workflows))
        with pytest.raises(WorkflowTimeoutError) as told:
            watcher.wait(id_, 1.0)
        said.append(told.value.detail)
    assert said == [
        "no worker is alive: start one",
        "no living worker has the workflow 'flow': start one that imports it",
        "",
    ]
    # Once each, though it is looked at again and again.
    assert [it.getMessage() for it in caplog.records if it.levelname == "WARNING"] == [
        f"execution {id_} waits for a worker: {why}" for why in said[:2]
    ]
    store.sign_off("one", "owner")
    watcher.close()
