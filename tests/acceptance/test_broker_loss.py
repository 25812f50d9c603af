"""A broker that loses everything, or is away: executions are delayed, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from polos import PolosClient
from tests.acceptance import flows
from tests.acceptance.conftest import opened
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers, wait_for_status
from tests.support.servers import RedisServer


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one whose broker can be emptied by one command."""
    with opened(request, "servers") as made:
        yield made


def test_an_emptied_broker_that_no_worker_listens_to(
    worker: Workers, stack: Stack, client: PolosClient
) -> None:
    handles = [flows.quick.start(client) for _ in range(8)]
    assert stack.queued_messages() == 8
    _redis(stack).flush()
    worker("prefork", slots=2)
    assert [handle.result_sync(60) for handle in handles] == ["done"] * 8


def test_an_emptied_broker_while_the_worker_is_busy_and_others_wait(
    worker: Workers, stack: Stack, client: PolosClient, ledger: Ledger
) -> None:
    # Far waits get their message from the sweep, near ones are already held by the worker.
    worker("prefork", slots=1, env={"POLOS_COUNTDOWN_HORIZON": "2"})
    near = flows.rest.start(client, {"seconds": 1.8})
    far = flows.rest.start(client, {"seconds": 5})
    wait_for_status(near, "waiting")
    wait_for_status(far, "waiting")
    busy = flows.interrupted.start(client)
    ledger.wait_for(busy.id, "slow")
    queued = [flows.quick.start(client) for _ in range(5)]
    _redis(stack).flush()
    ledger.open_gate(busy.id)
    assert busy.result_sync(60) == [0, 1, 2, 3]
    assert [handle.result_sync(60) for handle in queued] == ["done"] * 5
    assert [handle.result_sync(60) for handle in (near, far)] == ["rested"] * 2
    for handle in (busy, *queued, near, far):
        assert set(ledger.runs(handle.id).values()) == {1}


def test_a_broker_that_is_away(worker: Workers, stack: Stack, client: PolosClient) -> None:
    worker("prefork")
    redis = _redis(stack)
    redis.stop()
    try:
        began = time.monotonic()
        handles = [flows.quick.start(client) for _ in range(3)]
        assert time.monotonic() - began < 5
        assert [handle.status() for handle in handles] == ["queued"] * 3
    finally:
        redis.start()
    assert [handle.result_sync(90) for handle in handles] == ["done"] * 3


def _redis(stack: Stack) -> RedisServer:
    assert stack.redis is not None
    return stack.redis
