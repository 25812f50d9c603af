"""The sweep's thread while its worker ends. The worker and the binding are stand-ins."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from polos.binding.sweep_thread import SweepThread
from polos.model.settings import Settings
from polos.store.sql_store import SqlStore
from tests.support.processes import until


class Bound:
    """A binding with one execution that runs in this process until it is let go."""

    def __init__(self, url: str) -> None:
        self.settings = Settings.load(database_url=url, auto_migrate=True)
        self.store = SqlStore.open(self.settings)
        self.dispatcher = SimpleNamespace(dispatch=len, is_away=lambda: False)
        self.running = ["execution"]
        self.handed_on: list[Any] = []
        self.soft_shutdown = 60.0
        self.clock = None

    def stopping(self) -> bool:
        return True

    def held(self) -> list[str]:
        return self.running

    def workflow_ids(self) -> list[str]:
        return []

    def hand_on(self, running: Any) -> None:
        self.handed_on.append(running)


@pytest.fixture
def bound(sqlite_url: str) -> Iterator[Bound]:
    made = Bound(sqlite_url)
    yield made
    made.store.close()


@pytest.fixture
def ending(bound: Bound) -> Iterator[SweepThread]:
    """A thread whose worker was told to end, and still runs something."""
    queues = SimpleNamespace(consume_from={})
    app = SimpleNamespace(
        amqp=SimpleNamespace(queues=queues), conf=SimpleNamespace(broker_url="redis://")
    )
    worker = SimpleNamespace(hostname="w1", concurrency=1, consumer=None, app=app)
    made = SweepThread(bound, worker)
    made.start()
    made.stop()
    yield made
    bound.running = []
    made.nudge()
    made._thread.join(30)


def test_the_end_of_a_task_is_recorded_before_the_process_may_be_gone(ending: SweepThread) -> None:
    by: list[threading.Thread] = []
    ending.do_soon(lambda: by.append(threading.current_thread()))
    assert by == [threading.current_thread()]


def test_a_defect_in_recording_does_not_reach_celery(
    ending: SweepThread, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("a defect")

    ending.do_soon(broken)
    assert "a defect" in caplog.text


@pytest.mark.parametrize("still_runs", [True, False])
def test_a_hard_limit_that_is_hit_meanwhile_is_heeded(
    bound: Bound, ending: SweepThread, still_runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def change(store: Any) -> tuple[Any, ...]:
        made.append(store)
        return ()

    def held() -> list[str]:
        """Celery asks for the change, and takes what it killed from what runs."""
        if not asked.is_set():
            asked.set()
            ending.change_soon("fail it", change)
        return bound.running if still_runs else []

    asked = threading.Event()
    monkeypatch.setattr(bound, "held", held)
    until(lambda: made == [bound.store], 30)
