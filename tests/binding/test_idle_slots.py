"""Which slots count as idle. The worker is a stand-in; its requests are Celery's own set."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import pytest
from celery.worker import state
from kombu.utils.limits import TokenBucket

from polos.binding.idle_slots import IdleSlots


class Message:
    """What the worker has reserved."""


@pytest.fixture
def reserved(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Those that are added here, and nothing that a worker in this process has left behind."""
    monkeypatch.setattr(state, "reserved_requests", WeakSet())
    return [Message() for _ in range(8)]


@pytest.fixture
def worker() -> Any:
    buckets: dict[str, Any] = defaultdict(lambda: None)
    return SimpleNamespace(concurrency=4, consumer=SimpleNamespace(task_buckets=buckets))


def test_no_slot_is_idle_before_some_looks(worker: Any, reserved: list[Message]) -> None:
    slots = IdleSlots(worker)
    seen = []
    for _ in range(4):
        seen.append(slots.lately)
        slots.sample()
    assert seen == [0, 0, 0, 4]


def test_a_slot_that_was_busy_a_moment_ago_is_not_idle(
    worker: Any, reserved: list[Message]
) -> None:
    slots = IdleSlots(worker)
    counts = [0, 0, 0, 3, 0, 0, 0, 6, 0]
    seen = []
    for count in counts:
        state.reserved_requests.clear()
        for message in reserved[:count]:
            state.reserved_requests.add(message)
        slots.sample()
        seen.append(slots.lately)
    assert seen == [0, 0, 4, 1, 1, 1, 4, 0, 0]


def test_what_a_rate_limit_holds_back_takes_slots(worker: Any, reserved: list[Message]) -> None:
    slots = IdleSlots(worker)
    bucket = TokenBucket(1, 1)
    for message in reserved[:3]:
        bucket.add((message, 1))
    worker.consumer.task_buckets |= {"limited": bucket, "free": None}
    for _ in range(3):
        slots.sample()
    assert slots.lately == 1


def test_a_worker_that_is_not_up_yet_is_asked_all_the_same(
    worker: Any, reserved: list[Message]
) -> None:
    worker.consumer = None
    slots = IdleSlots(worker)
    for _ in range(3):
        slots.sample()
    assert slots.lately == 4
