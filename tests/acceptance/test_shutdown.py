"""Workers that are told to end: what they run goes on elsewhere."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from polos import PolosClient
from polos.store.schema import executions
from tests.acceptance import flows
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Workers
from tests.support.processes import until

POOLS = ("prefork", "threads", "solo", "gevent")
ONCE = {"step0": 1, "step1": 1, "slow": 1, "last": 1}


def test_one_that_has_nothing_to_do(worker: Workers) -> None:
    assert worker("prefork").stop(30) == 0


@pytest.mark.parametrize("pool", POOLS)
def test_the_step_in_flight_ends_and_another_worker_has_the_next(
    worker: Workers, client: PolosClient, ledger: Ledger, pool: str
) -> None:
    first = worker(pool, name="first")
    handle = flows.interrupted.start(client)
    ledger.wait_for(handle.id, "slow")
    worker("prefork", name="second")
    first.kill(15)
    first.wait_for("Warm shutdown", 30)
    ledger.open_gate(handle.id)
    assert first.wait(30) == 0
    assert handle.result_sync(60) == [0, 1, 2, 3]
    assert ledger.runs(handle.id) == ONCE
    [slow], [last] = (ledger.entries(handle.id, step, "end") for step in ("slow", "last"))
    assert slow.pid != last.pid
    # Not the sweep's doing, which sends again after 5 s.
    assert ledger.at(handle.id, "last") - slow.at < 4
    assert client.get(handle.id).recoveries == 0


def test_a_step_that_takes_too_long_is_handed_on_all_the_same(
    worker: Workers, client: PolosClient, ledger: Ledger
) -> None:
    short = {"POLOS_SOFT_SHUTDOWN_SECONDS": "1"}
    first = worker("prefork", name="first", env=short)
    handle = flows.interrupted.start(client)
    ledger.wait_for(handle.id, "slow")
    second = worker("prefork", name="second")
    first.kill(15)
    ledger.wait_for(handle.id, "slow", times=2)
    assert first.running
    ledger.open_gate(handle.id)
    assert handle.result_sync(60) == [0, 1, 2, 3]
    assert first.wait(30) == 0
    # What the first returned was dropped, and it began nothing more.
    assert ledger.runs(handle.id) == {**ONCE, "slow": 2}
    [last] = ledger.entries(handle.id, "last", "end")
    assert last.pid in {child.pid for child in second.children()}
    assert client.get(handle.id).recoveries == 0


def test_what_was_fetched_and_not_begun_goes_to_others(
    worker: Workers, client: PolosClient, ledger: Ledger
) -> None:
    first = worker("prefork", name="first", args=("--prefetch-multiplier", "8"))
    busy = flows.interrupted.start(client)
    ledger.wait_for(busy.id, "slow")
    queued = [flows.quick.start(client) for _ in range(6)]
    first.kill(15)
    first.wait_for("Warm shutdown", 30)
    ledger.open_gate(busy.id)
    assert first.wait(30) == 0
    worker("prefork", name="second")
    assert busy.result_sync(60) == [0, 1, 2, 3]
    assert [handle.result_sync(60) for handle in queued] == ["done"] * 6
    for handle in (busy, *queued):
        assert set(ledger.runs(handle.id).values()) == {1}


def test_one_that_is_killed_while_it_ends_is_held_against_nothing(
    worker: Workers, client: PolosClient, ledger: Ledger
) -> None:
    handle = flows.interrupted.start(client)
    for deploy in range(1, 4):
        victim = worker("prefork", name="deploy", env={"POLOS_MAX_RECOVERIES": "1"})
        ledger.wait_for(handle.id, "slow", times=deploy)
        victim.kill(15)
        victim.wait_for("Warm shutdown", 30)
        _wait_until_excused(client, handle.id)
        victim.kill(9, group=True)
        victim.wait()
    worker("prefork", name="last")
    ledger.wait_for(handle.id, "slow", times=4)
    ledger.open_gate(handle.id)
    assert handle.result_sync(60) == [0, 1, 2, 3]
    assert ledger.runs(handle.id) == {**ONCE, "slow": 4}


def _wait_until_excused(client: PolosClient, execution_id: str) -> None:
    def excused() -> bool:
        rows = client.bound.store.database.run(
            select(executions.c.lease_accountable).where(executions.c.id == execution_id)
        )
        return not rows[0].lease_accountable

    until(excused)
