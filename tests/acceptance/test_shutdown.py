"""Workers that are told to end."""

from __future__ import annotations

import pytest

from polos import PolosClient
from tests.acceptance import flows
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Workers

pytestmark = pytest.mark.timeout(180)


def test_one_that_has_nothing_to_do(worker: Workers) -> None:
    assert worker("prefork").stop(15) == 0


def test_one_that_runs_a_step_finishes_it(
    worker: Workers, client: PolosClient, ledger: Ledger
) -> None:
    first = worker("prefork")
    busy, queued = flows.interrupted.start(client), flows.quick.start(client)
    ledger.wait_for(busy.id, "slow")
    first.kill(15)
    first.wait_for("Warm shutdown", 30)
    ledger.open_gate(busy.id)
    assert first.wait(30) == 0
    assert busy.result_sync(10) == [0, 1, 2, 3]
    # Celery may have run what it had fetched, too.
    worker("prefork")
    assert queued.result_sync(60) == "done"
    for handle in (busy, queued):
        assert set(ledger.runs(handle.id).values()) == {1}
