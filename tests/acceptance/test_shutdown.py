"""Workers that are told to end."""

from __future__ import annotations

import pytest

from polos import PolosClient
from tests.acceptance import flows
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import until

pytestmark = pytest.mark.timeout(180)


def test_one_that_has_nothing_to_do(worker: Workers) -> None:
    assert worker("prefork").stop(15) == 0


def test_one_that_runs_a_step_finishes_it(
    worker: Workers, stack: Stack, client: PolosClient, ledger: Ledger
) -> None:
    first = worker("prefork")
    busy, queued = flows.interrupted.start(client), flows.quick.start(client)
    ledger.wait_for(busy.id, "slow")
    first.kill(15)
    first.wait_for("Warm shutdown", 30)
    ledger.open_gate(busy.id)
    assert first.wait(30) == 0
    assert (busy.status(), queued.status()) == ("completed", "queued")
    worker("prefork")
    assert queued.result_sync(60) == "done"
    assert set(ledger.runs(busy.id).values()) == {1}
    until(lambda: stack.queued_messages() == 0, 30)
