"""What is bound to an app makes its parts when they are first needed, on any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

from polos.binding.bound import Bound
from polos.definition.registry import Registry
from polos.model.settings import Settings


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
