"""A broker or a database that is away for longer than a lease."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from polos import PolosClient, WorkflowTimeoutError
from tests.acceptance import flows
from tests.acceptance.conftest import opened
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import DatabaseServer, Stack, Workers
from tests.support.processes import until
from tests.support.servers import PostgresServer

LEASE = 2.0
ENV = {"POLOS_LEASE_SECONDS": str(LEASE)}


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one whose servers can be stopped."""
    with opened(request, "servers") as made:
        yield made


def test_executions_that_were_started_without_a_broker_run_soon_after_its_return(
    worker: Workers, stack: Stack, client: PolosClient
) -> None:
    watching = worker("prefork", slots=2)
    assert stack.redis is not None
    said = len(watching.text())
    stack.redis.stop()
    watching.wait_for("Trying again in 2.00 seconds", 60, after=said)
    handles = [flows.quick.start(client) for _ in range(3)]
    assert [handle.status() for handle in handles] == ["queued"] * 3
    stack.redis.start()
    back = time.monotonic()
    assert [handle.result_sync(60) for handle in handles] == ["done"] * 3
    # Celery's own next try may be four seconds away, where this machine took two to get here.
    assert time.monotonic() - back < 10
    assert watching.running


def test_a_database_that_is_away_for_longer_than_a_lease(
    worker: Workers, stack: Stack, client: PolosClient, ledger: Ledger
) -> None:
    pair = [worker("prefork", slots=2, name=name, env=ENV) for name in ("one", "two")]
    busy = [flows.interrupted.start(client) for _ in range(2)]
    for handle in busy:
        ledger.wait_for(handle.id, "slow")
    queued = [flows.quick.start(client) for _ in range(4)]
    said = [len(each.text()) for each in pair]
    _crash(stack)
    try:
        for handle in busy:
            ledger.open_gate(handle.id)
            ledger.wait_for(handle.id, "slow", "end")
        _away_for(3 * LEASE)
    finally:
        _databases(stack).start()
    assert [handle.result_sync(60) for handle in busy] == [[0, 1, 2, 3]] * 2
    assert [handle.result_sync(60) for handle in queued] == ["done"] * 4
    for handle in (*busy, *queued):
        assert set(ledger.runs(handle.id).values()) == {1}
        assert client.get(handle.id).recoveries == 0
    for each, before in zip(pair, said, strict=True):
        text = each.text()[before:]
        # The sweep in the main process, and each of the two pool processes.
        assert 1 <= text.count("can't be reached") <= 3, text
        assert "Traceback" not in text, text


def test_who_waits_for_a_result_hears_of_it_when_its_time_is_over(
    stack: Stack, client: PolosClient
) -> None:
    handle = flows.quick.start(client)
    _crash(stack)
    began = time.monotonic()
    try:
        with pytest.raises(
            WorkflowTimeoutError, match="has not ended within 3 s.*can't be reached"
        ):
            asyncio.run(handle.result(timeout=3))
    finally:
        _databases(stack).start()
    assert time.monotonic() - began >= 3


def _databases(stack: Stack) -> DatabaseServer:
    assert stack.databases is not None
    return stack.databases


def _crash(stack: Stack) -> None:
    server = _databases(stack)
    if isinstance(server, PostgresServer):
        server.stop("immediate")
    else:
        server.kill()


def _away_for(seconds: float) -> None:
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, seconds + 5)
