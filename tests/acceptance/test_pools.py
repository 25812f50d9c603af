"""Every pool, with one slot, on both stacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from polos import PolosClient
from tests.acceptance import flows, site
from tests.acceptance.flows import Told, Trip
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers, received, wait_for_status
from tests.support.processes import Program, until

WAITED = 3.0
# The monotonic clock may be slewed against the database's by 500 ppm.
SLEW = 0.002
# A hint that was lost is sent again a second after the due time; the rest is for a busy machine.
LATE = 5.0


@pytest.fixture(scope="module", params=["prefork", "threads", "solo", "gevent"])
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def one_slot(workers: Workers, pool: str) -> Program:
    """The one worker of a stack, which takes one execution at a time."""
    workers.close()
    return workers(pool, slots=1, name=pool, mingle=True)


def test_a_journey(
    one_slot: Program,
    stack: Stack,
    client: PolosClient,
    ledger: Ledger,
    record_property: Callable[[str, object], None],
) -> None:
    handle = flows.journey.start(client, Trip(seconds=WAITED))
    states = _celery_states(stack, client, handle.id)
    assert handle.result_sync(60) == Told(numbers=[2, 3], child="rested", branches=[0, 1, 4, 9, 16])
    assert set(ledger.runs(handle.id).values()) == {1}
    waited = ledger.at(handle.id, "after") - ledger.at(handle.id, "before", "end")
    assert WAITED - SLEW <= waited < WAITED + LATE
    record_property("lateness", waited - WAITED)
    # The first message, and one after each of three waits at the least, all under one id.
    assert received(one_slot, handle) >= 4
    if stack.redis is not None:
        assert states[-1] == "SUCCESS"
        assert "RETRY" in states
        assert set(states) <= {"PENDING", "RETRY", "SUCCESS"}
        result = client.bound.app.AsyncResult(handle.id)
        assert result.result["child"] == "rested"


def test_the_slot_is_free_while_an_execution_waits(
    one_slot: Program, client: PolosClient, ledger: Ledger
) -> None:
    waiting = flows.sleeper.start(client)
    wait_for_status(waiting, "waiting")
    assert flows.quick.run_sync(client, timeout=60) == "done"
    assert waiting.status() == "waiting"
    assert ledger.runs(waiting.id) == {"before": 1}


def test_a_plain_def(one_slot: Program, client: PolosClient, ledger: Ledger) -> None:
    handle = flows.plain_def.start(client, {"number": 41})
    assert handle.result_sync(60) == 42
    assert ledger.runs(handle.id) == {"one": 1, "two": 1}


def test_what_plain_steps_may_do(one_slot: Program, client: PolosClient) -> None:
    """Django's ORM refuses, and ``asyncio.run`` raises, where a loop runs."""
    found = site.guests.run_sync(client, {"name": "Ada"}, timeout=60)
    assert found == {"orm": ["Ada"], "own loop": "run", "thread": "to_thread"}


def test_it_ends_when_told_to_while_an_execution_waits(
    one_slot: Program, client: PolosClient
) -> None:
    waiting = flows.sleeper.start(client)
    soon = flows.rest.start(client, {"seconds": 40})
    wait_for_status(waiting, "waiting")
    wait_for_status(soon, "waiting")
    assert one_slot.stop(30) == 0
    assert (waiting.status(), soon.status()) == ("waiting", "waiting")


def _celery_states(stack: Stack, client: PolosClient, execution_id: str) -> list[str]:
    """The states that Celery's result backend shows, until the end."""
    if stack.redis is None:
        return []
    client.bound.app.conf.result_backend = stack.broker
    states: list[str] = []

    def ended() -> Any:
        state = client.bound.app.AsyncResult(execution_id).state
        if not states or states[-1] != state:
            states.append(state)
        return state in ("SUCCESS", "FAILURE")

    until(ended, 60, every=0.02, message=lambda: f"{execution_id} went {states}")
    return states
