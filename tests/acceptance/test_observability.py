"""What people see: in the workers' logs, and through Celery's events."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from polos import PolosClient
from tests.acceptance import flows
from tests.acceptance.conftest import opened
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import Program, until

Event = dict[str, Any]


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one whose broker carries events."""
    with opened(request, "servers") as made:
        yield made


@pytest.fixture(scope="module")
def running(workers: Workers) -> Program:
    return workers("prefork", args=("-E",))


class Events(threading.Thread):
    """What Flower does: receives all events."""

    def __init__(self, client: PolosClient) -> None:
        super().__init__(daemon=True)
        self.seen: list[Event] = []
        self.listening = threading.Event()
        self._app = client.bound.app
        self._receiver: Any = None

    def run(self) -> None:
        with self._app.connection_for_read() as connection:
            self._receiver = self._app.events.Receiver(connection, handlers={"*": self._take})
            self._receiver.capture(limit=None, timeout=None, wakeup=True)

    def stop(self) -> None:
        self._receiver.should_stop = True
        self.join(10)

    def of(self, execution_id: str, kind: str) -> list[Event]:
        """The events of one kind of one task."""
        return [
            event
            for event in list(self.seen)
            if event["type"] == kind and event.get("uuid") == execution_id
        ]

    def _take(self, event: Event) -> None:
        self.seen.append(event)
        self.listening.set()


@pytest.fixture(scope="module")
def events(running: Program, client: PolosClient) -> Iterator[Events]:
    made = Events(client)
    made.start()
    # The worker answers to its wake-up call, or says that it lives.
    assert made.listening.wait(30)
    yield made
    made.stop()


def test_one_task_from_the_first_message_to_the_end(events: Events, client: PolosClient) -> None:
    handle = flows.flaky.start(client)
    assert handle.result_sync(60) == "up"
    until(lambda: events.of(handle.id, "task-succeeded"), 30)
    received = events.of(handle.id, "task-received")
    assert len(received) >= 2
    assert {event["name"] for event in received} == {"polos.accept-flaky"}
    assert received[0]["args"] == "(start)"
    assert all(re.fullmatch(r"\([a-z' ]+\)", _readable(event)) for event in received), received
    assert {event["kwargs"] for event in received} == {"{}"}
    reasons = [event["exception"] for event in events.of(handle.id, "task-retried")]
    assert any(
        re.fullmatch(r"waiting for 'cooldown' until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", reason)
        for reason in reasons
    ), reasons
    [ended] = events.of(handle.id, "task-succeeded")
    assert ended["result"] == "'up'"


def _readable(event: Event) -> str:
    # What it waits for is part of a reason, and may hold digits.
    return re.sub(r"until [\d:\- ]+UTC", "", event["args"])


def test_a_failure(events: Events, client: PolosClient) -> None:
    handle = flows.broken.start(client)
    until(lambda: events.of(handle.id, "task-failed"), 60)
    [failed] = events.of(handle.id, "task-failed")
    assert "the bank is closed" in failed["exception"]


def test_the_lines_of_the_log(running: Program, client: PolosClient) -> None:
    handle = flows.flaky.start(client)
    assert handle.result_sync(60) == "up"
    who = f"execution={handle.id} workflow=accept-flaky"
    completed = rf"INFO.*{re.escape(who)} attempt=\d completed"
    until(lambda: re.search(completed, running.text()), 30, message=lambda: running.tail())
    text = running.text()
    step = re.escape(f"{who} step=unsure")
    assert re.search(
        rf"WARNING.*{step} attempt=1 failed: ConnectionError: the serv.* after \d", text
    )
    assert re.search(rf"INFO.*{step} attempt=2 done after \d+\.\d+ s", text)
    assert re.search(rf"INFO.*{re.escape(who)} attempt=\d waiting for 'cooldown' until", text)
    assert f"Task polos.accept-flaky[{handle.id}] retry: waiting for 'cooldown' until" in text


def test_the_end_of_a_failed_one_in_the_log(running: Program, client: PolosClient) -> None:
    handle = flows.broken.start(client)
    line = rf"execution={handle.id} workflow=accept-broken attempt=1 failed: .*the bank is closed"
    until(lambda: re.search(rf"ERROR.*{line}", running.text()), 60, message=lambda: running.tail())
