"""What is bound to an app makes its parts when they are first needed, on any thread."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery

from polos import PolosClient
from polos.binding import dispatcher as dispatching
from polos.binding.bound import Bound
from polos.binding.dispatcher import CeleryDispatcher
from polos.client import direct
from polos.client.direct import DirectClient
from polos.definition.registry import Registry
from polos.model.records import ExecutionId, Hint
from polos.model.settings import Settings
from polos.worker import client as clients
from tests.support.processes import until
from tests.support.servers import RedisServer


@pytest.fixture
def bound(sqlite_url: str) -> Iterator[Bound]:
    app = Celery("fresh", broker="memory://", set_as_current=False)
    made = Bound(app, Settings.load(database_url=sqlite_url, auto_migrate=True), Registry())
    yield made
    made.close()
    app.close()


def on_threads(work: Callable[[], Any], number: int = 1) -> list[Any]:
    """What a call gives on so many threads that begin together."""
    found: list[Any] = []
    begin = threading.Barrier(number)

    def call() -> None:
        begin.wait(30)
        found.append(work())

    threads = [threading.Thread(target=call, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def test_the_runner_may_be_what_is_asked_for_first(bound: Bound) -> None:
    assert on_threads(lambda: bound.runner) == [bound.runner]


def slowly(make: Callable[..., Any], made: list[Any]) -> Callable[..., Any]:
    """The same, so slow that whoever asks meanwhile could make another one."""

    def making(*args: Any, **options: Any) -> Any:
        made.append(args)
        time.sleep(0.1)
        return make(*args, **options)

    return making


def test_the_first_of_many_requests_open_one_store(
    bound: Bound, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    client = DirectClient("default", slowly(lambda: bound.store, opened), bound.dispatcher)
    monkeypatch.setattr(direct, "Watcher", slowly(direct.Watcher, watchers := []))
    found = on_threads(lambda: (client.store, client.watcher), 8)
    assert len(found) == 8
    assert len(set(found)) == len(opened) == len(watchers) == 1
    found[0][1].close()


def test_the_first_of_many_requests_bind_a_client_once(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = PolosClient(settings=Settings.load(database_url=sqlite_url))
    monkeypatch.setattr(clients, "make_app", slowly(clients.make_app, made := []))
    assert len(set(on_threads(lambda: client.bound, 8))) == len(made) == 1
    client.close()


def test_a_process_has_one_pool_of_connections_and_never_its_parents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = Celery("forked", broker="memory://", set_as_current=False)
    sending = CeleryDispatcher(app)
    [parents] = on_threads(sending._pool)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    monkeypatch.setattr(dispatching, "ConnectionPool", slowly(dispatching.ConnectionPool, []))
    found = on_threads(sending._pool, 8)
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    assert found[0] is not parents


def test_no_connection_to_the_broker_outlives_a_binding(
    sqlite_url: str, redis_server: RedisServer
) -> None:
    app = Celery("closed", broker=redis_server.url, set_as_current=False)
    bound = Bound(app, Settings.load(database_url=sqlite_url, auto_migrate=True), Registry())
    with redis.Redis(port=redis_server.port) as client:
        before = len(client.client_list())
        assert bound.dispatcher.dispatch([Hint(ExecutionId("a" * 20), "flow")]) == 1
        assert len(client.client_list()) > before
        bound.close()
        until(lambda: len(client.client_list()) <= before, 30)
        # A binding may be used again.
        assert bound.dispatcher.dispatch([Hint(ExecutionId("b" * 20), "flow")]) == 1
        bound.close()
    app.close()
