"""RabbitMQ as the broker of somebody's project, with classic and with quorum queues."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from celery import chain, chord

from polos import PolosClient, StepExecutionError
from polos.binding.of_app import bound_of
from tests.acceptance import flows
from tests.acceptance.conftest import watched
from tests.acceptance.ledger import Ledger
from tests.acceptance.rabbit_app import KINDS
from tests.acceptance.rabbit_stack import RabbitStack, rabbit_stack
from tests.acceptance.stacks import Workers, received, wait_for_status

# The same on this broker as on the others.
from tests.acceptance.test_crashes import (
    test_a_worker_survives_the_death_of_its_pool_process,
    test_another_worker_goes_on_where_one_was_killed,
)
from tests.acceptance.test_duplicates import test_two_workers_get_the_same_message
from tests.support.processes import until
from tests.support.rabbit import RabbitServer
from tests.support.servers import PostgresServer, RedisServer

__all__ = [
    "test_a_worker_survives_the_death_of_its_pool_process",
    "test_another_worker_goes_on_where_one_was_killed",
    "test_two_workers_get_the_same_message",
]


@pytest.fixture(scope="module", params=["classic", "quorum"])
def stack(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    _rabbit: RabbitServer,
    _redis: RedisServer,
    _postgres: PostgresServer,
) -> Iterator[RabbitStack]:
    """A project with queues of one type."""
    folder = tmp_path_factory.mktemp(request.param)
    with rabbit_stack(request.param, folder, _rabbit, _redis, _postgres) as made, watched(made):
        yield made


def test_a_journey(worker: Workers, client: PolosClient, ledger: Ledger) -> None:
    worker("prefork", slots=2)
    handle = flows.journey.start(client)
    told = handle.result_sync(60)
    assert (told.numbers, told.child) == ([2, 3], "rested")
    assert set(ledger.runs(handle.id).values()) == {1}


@pytest.mark.parametrize("stack", KINDS, indirect=True)
def test_waits_hold_no_message_of_the_worker(
    worker: Workers, stack: RabbitStack, client: PolosClient
) -> None:
    """On quorum queues what a worker holds has a fixed limit: waits must not use it up."""
    program = worker("prefork", slots=1)
    waiting = [flows.rest.start(client, {"seconds": 10}) for _ in range(12)]
    for handle in waiting:
        wait_for_status(handle, "waiting")
    assert flows.quick.run_sync(client, timeout=60) == "done"
    assert {handle.status() for handle in waiting} == {"waiting"}
    assert [handle.result_sync(60) for handle in waiting] == ["rested"] * 12
    # Each was sent at its start, and once more for its end.
    assert [received(program, handle) for handle in waiting] == [2] * 12


def test_a_purged_queue(
    worker: Workers, stack: RabbitStack, client: PolosClient, _rabbit: RabbitServer
) -> None:
    _rabbit.purge(stack.queue)
    handles = [flows.quick.start(client) for _ in range(8)]
    until(lambda: stack.queued_messages() == 8, message=lambda: str(stack.queued_messages()))
    _rabbit.purge(stack.queue)
    worker("prefork", slots=2)
    assert [handle.result_sync(60) for handle in handles] == ["done"] * 8


def test_a_broker_that_is_started_again(
    worker: Workers, client: PolosClient, ledger: Ledger, _rabbit: RabbitServer
) -> None:
    worker("prefork", slots=1)
    busy, parked = flows.interrupted.start(client), flows.rest.start(client, {"seconds": 4})
    ledger.wait_for(busy.id, "slow")
    _rabbit.restart()
    ledger.open_gate(busy.id)
    assert busy.result_sync(60) == [0, 1, 2, 3]
    assert parked.result_sync(60) == "rested"
    assert ledger.runs(busy.id) == {"step0": 1, "step1": 1, "slow": 1, "last": 1}


def test_chains_chords_and_failures(
    worker: Workers, stack: RabbitStack, client: PolosClient, ledger: Ledger
) -> None:
    worker("prefork", slots=2)
    me, app = str(uuid4()), stack.project
    relay = app.tasks["polos.accept-relay"]
    one = chain(relay.s({"name": "Ada", "seconds": 2}), app.signature("rabbit.pass_on", (me,)))
    header = [relay.s({"name": str(n), "seconds": n}) for n in range(3)]
    all_of_them = chord(header)(app.signature("rabbit.gather", (me,)))
    broken = app.tasks["polos.accept-broken"].apply_async()
    assert one.apply_async().get(timeout=60) == "passed on: from Ada"
    assert sorted(all_of_them.get(timeout=60)) == ["from 0", "from 1", "from 2"]
    with pytest.raises(StepExecutionError, match="the bank is closed"):
        broken.get(timeout=60)
    assert ledger.runs(me) == {"passed on": 1, "gathered": 1}
    assert bound_of(app).store is client.bound.store
