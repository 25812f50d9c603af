"""Celery's revoke where this worker has no message of an id: it may be an execution's, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.worker import state as worker_state

from polos.binding.bound import Bound
from polos.binding.request import PolosRequest
from polos.binding.revoking import revoke_all


class Worker:
    """Stands in for a binding, its store, Celery's state of a command and its consumer."""

    def __init__(self, *executions: str) -> None:
        self.executions = executions
        self.asked: list[str] = []
        self.own: list[Any] = []
        self.changes: list[Callable[[Any], Any]] = []
        self.later: list[Callable[[], Any]] = []

    # As the store.

    def known(self, ids: Any) -> frozenset[str]:
        self.asked += ids
        return frozenset(ids) & frozenset(self.executions)

    def cancel(self, id_: str) -> tuple[bool, tuple[Any, ...]]:
        self.asked.append(f"cancel {id_}")
        return True, (f"hint of {id_}",)

    def revoke(self, id_: str) -> tuple[Any, ...]:
        self.asked.append(f"revoke {id_}")
        return ()

    # As the binding.

    @property
    def store(self) -> Worker:
        return self

    def change_soon(self, what: str, change: Callable[[Any], Any]) -> None:
        self.changes.append(change)

    def cancel_soon(self, id_: str) -> None:
        self.change_soon(id_, lambda store: store.cancel(id_)[1])

    # As the consumer, and the state that Celery gives.

    @property
    def consumer(self) -> Worker:
        return self

    def call_soon(self, work: Callable[..., Any], *args: Any) -> None:
        self.later.append(lambda: work(*args))

    def command(self, *ids: str, **options: Any) -> Any:
        def own(state: Any, task_id: Any, terminate: bool, signal: Any) -> Any:
            self.own.append((sorted(task_id), terminate, signal))
            return {"ok": "Celery's"}

        return revoke_all(self, own, self, list(ids), **options)

    def sweep(self) -> list[Any]:
        return [hint for change in self.changes for hint in change(self)]


@pytest.fixture(autouse=True)
def _revoked() -> Iterator[None]:
    worker_state.revoked.clear()
    yield
    worker_state.revoked.clear()


def test_the_database_is_not_asked_while_messages_wait() -> None:
    worker = Worker("execution")
    assert "flagged as revoked" in worker.command("execution", "task")["ok"]
    assert worker.asked == []
    # Whichever comes now is not begun.
    assert {"execution", "task"} <= set(worker_state.revoked)


def test_executions_are_cancelled_and_the_others_are_left_to_celery() -> None:
    worker = Worker("execution")
    worker.command("execution", "task", terminate=True, signal="SIGKILL")
    assert worker.sweep() == ["hint of execution"]
    assert worker.asked == ["execution", "task", "cancel execution"]
    assert worker.own == []
    # On the thread that reads messages: what Celery keeps in memory is that thread's.
    [settle] = worker.later
    settle()
    assert worker.own == [(["task"], True, "SIGKILL")]
    # One that has failed before may be retried: its next message is to be heeded.
    assert "execution" not in worker_state.revoked
    assert "task" in worker_state.revoked


class Known:
    """A request that Celery holds."""


def test_one_that_is_here_is_answered_by_celery_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    monkeypatch.setitem(worker_state.requests, "task", Known())
    assert worker.command("task") == {"ok": "Celery's"}
    assert (worker.changes, len(worker.own)) == ([], 1)


def test_one_of_ours_that_runs_is_ended_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker("execution")
    Bound.terminated(worker, "execution")  # type: ignore[arg-type]
    assert worker.asked == []
    worker.sweep()
    assert worker.asked == ["revoke execution"]
    request = PolosRequest.__new__(PolosRequest)
    monkeypatch.setitem(worker_state.requests, "execution", request)
    worker.command("execution")
    assert worker.sweep() == ["hint of execution"]
