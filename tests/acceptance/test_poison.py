"""An execution that kills its process each time is given up, and those beside it are not blamed."""

from __future__ import annotations

import time

import pytest

from polos import PolosClient, WorkflowFailedError
from polos.model.records import SUSPECT
from polos.model.states import Status
from tests.acceptance import flows
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Workers
from tests.support.processes import Program

LIMIT = {"POLOS_MAX_RECOVERIES": "3"}
GIVEN_UP = r"died 4 times in a row.*in step 'fatal' \(checkpoints so far: 1\)"


def test_in_a_pool_of_processes(worker: Workers, client: PolosClient, ledger: Ledger) -> None:
    survivor = worker("prefork", slots=2, env=LIMIT)
    poison = flows.poison.start(client)
    honest = [flows.steps.start(client, {"steps": 3, "seconds": 0.3}) for _ in range(4)]
    with pytest.raises(WorkflowFailedError, match=GIVEN_UP):
        poison.result_sync(120)
    assert [handle.result_sync(60) for handle in honest] == [3] * 4
    assert ledger.runs(poison.id) == {"harmless": 1, "fatal": 4}
    for handle in honest:
        assert set(ledger.runs(handle.id).values()) == {1}
        assert client.get(handle.id).recoveries == 0
    assert survivor.running
    assert "in step 'fatal'" in survivor.text()


def test_among_threads_that_die_with_it(
    worker: Workers, client: PolosClient, ledger: Ledger
) -> None:
    poison = flows.poison.start(client)
    honest = [flows.steps.start(client, {"steps": 6, "seconds": 0.5}) for _ in range(3)]
    handles = [poison, *honest]
    deadline = time.monotonic() + 180
    current: Program | None = None
    while not all(client.get(handle.id).status.ended for handle in handles):
        assert time.monotonic() < deadline, [client.get(handle.id) for handle in handles]
        if current is None or not current.running:
            current = worker("threads", slots=4, env=LIMIT, ready=False)
        time.sleep(0.1)
    with pytest.raises(WorkflowFailedError, match=r"times in a row.*in step 'fatal'"):
        poison.result_sync(10)
    assert [handle.result_sync(10) for handle in honest] == [6] * 3
    assert ledger.runs(poison.id)["harmless"] == 1
    # Two deaths in company make a suspect; after those it died alone.
    deaths = ledger.runs(poison.id)["fatal"]
    assert SUSPECT < deaths <= SUSPECT + 3
    for handle in honest:
        assert client.get(handle.id).status is Status.COMPLETED
        assert client.get(handle.id).recoveries <= SUSPECT
