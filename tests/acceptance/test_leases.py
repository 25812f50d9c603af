"""A lease is kept while a step computes, in every pool, and so nobody else takes the work."""

from __future__ import annotations

import pytest

from polos import PolosClient
from tests.acceptance import flows
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Workers


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo", "gevent"])
def test_a_computing_step_keeps_its_lease(
    worker: Workers, client: PolosClient, ledger: Ledger, pool: str
) -> None:
    short = {"POLOS_LEASE_SECONDS": "3"}
    pair = [worker(pool, name=name, env=short) for name in ("one", "two")]
    handle = flows.computing.start(client)
    assert handle.result_sync(60) == "computed"
    assert len(ledger.entries(handle.id, "compute", "begin")) == 1
    assert client.get(handle.id).recoveries == 0
    assert not any("its worker is gone" in each.text() for each in pair)


def test_a_pool_process_that_can_not_speak_for_itself_keeps_its_lease(
    worker: Workers, client: PolosClient, ledger: Ledger
) -> None:
    pair = [worker(name=name, env={"POLOS_LEASE_SECONDS": "2"}) for name in ("one", "two")]
    handle = flows.holding.start(client)
    assert handle.result_sync(60) == "held"
    assert len(ledger.entries(handle.id, "hold", "begin")) == 1
    assert client.get(handle.id).recoveries == 0
    assert not any("its worker is gone" in each.text() for each in pair)
