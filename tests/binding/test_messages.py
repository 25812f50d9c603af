"""What a worker does with a message before Celery does anything with it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polos.binding.message_guard import guarded
from polos.binding.names import AHEAD_HEADER, DUE_HEADER, HINT_HEADER
from polos.binding.strategy import time_by_own_clock
from polos.engine.clock import StoreClock
from polos.model.records import SECOND, Micros


@pytest.mark.parametrize("sent", [None, "2999-01-01T00:00:00+00:00", "1999-01-01T00:00:00+00:00"])
def test_a_hint_is_timed_by_the_receiver(sent: str | None) -> None:
    headers = {HINT_HEADER: True, AHEAD_HEADER: 20.0, "eta": sent, "expires": sent}
    before = datetime.now(UTC)
    time_by_own_clock(headers)
    due = datetime.fromisoformat(headers["eta"])
    # A hundredth of a second early: who claims then waits for the moment itself.
    ahead = timedelta(seconds=19.99)
    assert before + ahead <= due <= datetime.now(UTC) + ahead
    assert headers["expires"] is None


def test_a_hint_that_was_long_on_its_way_is_due_sooner() -> None:
    read, now = Micros(10**15), time.monotonic()
    clock = StoreClock(read, now, now, 1)
    headers = {HINT_HEADER: True, AHEAD_HEADER: 20.0, DUE_HEADER: read + 5 * SECOND}
    time_by_own_clock(headers, clock)
    left = datetime.fromisoformat(headers["eta"]) - datetime.now(UTC)
    assert timedelta(seconds=1) < left < timedelta(seconds=5)


@pytest.mark.parametrize("due", [None, "soon", 10**20])
def test_a_hint_is_never_due_later_than_it_said(due: Any) -> None:
    now = time.monotonic()
    headers = {HINT_HEADER: True, AHEAD_HEADER: 20.0, DUE_HEADER: due}
    time_by_own_clock(headers, StoreClock(Micros(10**15), now, now, 1))
    left = datetime.fromisoformat(headers["eta"]) - datetime.now(UTC)
    assert timedelta(seconds=10) < left < timedelta(seconds=20)


@pytest.mark.parametrize("ahead", [None, 0, -1, 1e9, float("nan"), "20", [20]])
def test_a_hint_of_no_known_time_is_due_now(ahead: Any) -> None:
    headers = {HINT_HEADER: True, AHEAD_HEADER: ahead, "eta": "2999-01-01T00:00:00+00:00"}
    time_by_own_clock(headers)
    assert headers["eta"] is None


class BrokerGone(Exception):
    """Stands in for what a broker's library raises."""


class FakeMessage:
    """Stands in for a message; says whether it was refused."""

    content_type = "text/plain"
    headers: dict[str, Any] = {"task": ["x"]}

    def __init__(self) -> None:
        self.acknowledged = False

    def reject_log_error(self, logger: Any, errors: Any) -> None:
        self.acknowledged = True


class FakeConsumer:
    """Stands in for Celery's consumer, whose handler raises."""

    # As kombu has it for Redis.
    connection_errors = (BrokerGone, OSError, KeyError)
    channel_errors = ()

    def __init__(self, error: Exception) -> None:
        self._error = error

    def create_task_handler(self) -> Any:
        def handle(message: Any) -> None:
            raise self._error

        return handle


@pytest.mark.parametrize(
    "error", [TypeError("unhashable"), KeyError("id"), ValueError("unpack"), RecursionError()]
)
def test_a_message_that_raises_is_refused(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    consumer, message = FakeConsumer(error), FakeMessage()
    guarded(consumer, consumer.create_task_handler)()(message)
    assert message.acknowledged
    [line] = caplog.messages
    assert line.startswith(f"a message that can't be read is refused: {type(error).__name__}")


@pytest.mark.parametrize("error", [BrokerGone("away"), ConnectionResetError("away")])
def test_a_broker_that_is_gone_is_celerys_to_find_again(error: Exception) -> None:
    consumer, message = FakeConsumer(error), FakeMessage()
    with pytest.raises(type(error)):
        guarded(consumer, consumer.create_task_handler)()(message)
    assert not message.acknowledged
