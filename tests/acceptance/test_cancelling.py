"""Cancelling what waits, what runs, and all below it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from polos import ExecutionCancelledError, ExecutionHandle, PolosClient
from tests.acceptance import flows
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Workers, wait_for_status
from tests.support.processes import Program, until


@pytest.fixture(scope="module", params=["prefork", "gevent"])
def running(request: pytest.FixtureRequest, workers: Workers) -> Program:
    workers.close()
    # A running one hears of it when its lease is renewed, three times in these seconds.
    return workers(request.param, slots=2, env={"POLOS_LEASE_SECONDS": "6"})


def _seconds_to_be_told(handle: ExecutionHandle[None], cancel: Callable[[], bool]) -> float:
    began = time.monotonic()
    assert cancel()
    with pytest.raises(ExecutionCancelledError, match=handle.id):
        handle.result_sync(60)
    return time.monotonic() - began


def test_one_that_waits(running: Program, client: PolosClient, ledger: Ledger) -> None:
    handle = flows.sleeper.start(client)
    wait_for_status(handle, "waiting")
    assert _seconds_to_be_told(handle, lambda: client.cancel(handle.id)) < 5
    assert ledger.runs(handle.id) == {"before": 1, "clean up": 1}
    assert client.cancel(handle.id) is False


def test_one_in_the_middle_of_an_async_step(
    running: Program, client: PolosClient, ledger: Ledger
) -> None:
    handle = flows.long_step.start(client)
    ledger.wait_for(handle.id, "long")
    assert _seconds_to_be_told(handle, lambda: client.cancel(handle.id)) < 15
    assert [entry.phase for entry in ledger.entries(handle.id)] == ["begin", "cancelled"]


def test_one_in_the_middle_of_a_plain_step(
    running: Program, client: PolosClient, ledger: Ledger
) -> None:
    """A plain function can't be interrupted; the wait that comes after it is."""
    handle = flows.plain_then_wait.start(client)
    ledger.wait_for(handle.id, "slow")
    assert client.cancel(handle.id)
    ledger.open_gate(handle.id)
    assert _seconds_to_be_told(handle, lambda: True) < 15
    assert [entry.phase for entry in ledger.entries(handle.id)] == ["begin", "end"]


def test_children_too(running: Program, client: PolosClient, ledger: Ledger) -> None:
    handle = flows.parent.start(client)
    below = [ledger.wait_for(handle.id, name)[0].text for name in ("middle", "leaf")]
    wait_for_status(handle, "waiting")
    until(lambda: all(client.get(id_).status == "waiting" for id_ in below), 60)
    assert _seconds_to_be_told(handle, lambda: client.cancel(handle.id)) < 5
    until(lambda: all(client.get(id_).status.ended for id_ in below), 30)


def test_a_parent_is_cancelled_also_where_its_child_was_first(
    worker: Workers, workers: Workers, client: PolosClient, ledger: Ledger
) -> None:
    workers.close()
    first = worker("threads", slots=2)
    handle = flows.parent.start(client)
    below = [ledger.wait_for(handle.id, name)[0].text for name in ("middle", "leaf")]
    until(lambda: all(client.get(id_).status == "waiting" for id_ in [handle.id, *below]), 60)
    assert first.stop(30) == 0
    assert client.cancel(handle.id)
    worker("threads", args=("-Q", "accept-leaves"))
    until(lambda: client.get(below[1]).status == "cancelled", 60)
    worker("threads", slots=2)
    with pytest.raises(ExecutionCancelledError, match=handle.id):
        handle.result_sync(60)
    until(lambda: client.get(below[0]).status.ended, 60)
    assert client.get(below[0]).status == "cancelled"


def test_one_that_nobody_has_begun(workers: Workers, client: PolosClient, ledger: Ledger) -> None:
    workers.close()
    handle = flows.quick.start(client)
    assert _seconds_to_be_told(handle, lambda: client.cancel(handle.id)) < 2
    workers("threads")
    assert flows.quick.run_sync(client, timeout=60) == "done"
    assert ledger.runs(handle.id) == {}
