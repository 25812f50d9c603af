"""A worker that stood still for longer than its lease, and comes back."""

from __future__ import annotations

import signal
import time
from typing import Any

import psutil
import pytest

from polos import ExecutionHandle, PolosClient
from polos.definition.workflow import Workflow
from tests.acceptance import zombie_flows
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Workers
from tests.acceptance.tables import Tables
from tests.acceptance.zombie_flows import gate_of
from tests.support.processes import Program, until

LEASE = 2.0
# A heartbeat comes three times a lease; the rest is for a machine that does other things, too, and
# far from what the step would last if it were not told.
TOLD_WITHIN = LEASE / 3 + 8
FLOWS = "tests.acceptance.zombie_flows"
ENV = {"POLOS_LEASE_SECONDS": str(LEASE)}


class TakenOver:
    """An execution in the middle of a step, in the old worker and in the new one.

    Attributes:
        old: the process of the stopped worker's pool that is in the step.
        new: that of the other worker.
    """

    def __init__(self, worker: Workers, client: PolosClient, ledger: Ledger, flow: Any) -> None:
        names = ("one", "two")
        pair = [worker("prefork", name=n, flows=FLOWS, env=ENV, ready=False) for n in names]
        for each in pair:
            each.wait_for(" ready.", 60)
        self.handle: ExecutionHandle[Any] = _started(flow, client)
        self.id = self.handle.id
        self.old = ledger.wait_for(self.id, "slow")[0].pid
        parent = psutil.Process(self.old).ppid()
        [self.zombie] = [each for each in pair if each.pid == parent]
        self.zombie.kill(signal.SIGSTOP, group=True)
        until(lambda: psutil.Process(self.old).status() == psutil.STATUS_STOPPED)
        self.new = ledger.wait_for(self.id, "slow", times=2)[1].pid
        assert self.new != self.old

    def go_on(self) -> float:
        """Let the stopped worker run again; when that was."""
        moment = time.monotonic()
        self.zombie.kill(signal.SIGCONT, group=True)
        return moment


def _started(flow: Workflow[Any, Any], client: PolosClient) -> ExecutionHandle[Any]:
    return flow.start(client)


@pytest.fixture
def tables(client: PolosClient) -> Any:
    made = Tables(client)
    yield made
    made.close()


def test_an_async_step_of_a_zombie_is_told(
    worker: Workers, client: PolosClient, ledger: Ledger, tables: Tables
) -> None:
    case = TakenOver(worker, client, ledger, zombie_flows.native)
    owned = tables.row(case.id)
    assert f"/{case.new}/" in owned["lease_owner"]
    back = case.go_on()
    [told] = ledger.wait_for(gate_of(case.id, case.old), "slow", "cancelled")
    assert told.at - back < TOLD_WITHIN
    _says_that_it_lost(case.zombie, case.id)
    _belongs_to_the_other(tables, case, owned)
    _ends_as_the_other_says(client, ledger, case)


def test_a_plain_step_of_a_zombie_ends_in_vain(
    worker: Workers, client: PolosClient, ledger: Ledger, tables: Tables
) -> None:
    case = TakenOver(worker, client, ledger, zombie_flows.plain)
    owned = tables.row(case.id)
    # It has its value before anybody can have told it.
    ledger.open_gate(gate_of(case.id, case.old))
    back = case.go_on()
    [end] = ledger.wait_for(case.id, "slow", "end")
    assert end.pid == case.old
    _says_that_it_lost(case.zombie, case.id)
    assert time.monotonic() - back < TOLD_WITHIN
    _belongs_to_the_other(tables, case, owned)
    _ends_as_the_other_says(client, ledger, case)


def test_a_plain_step_of_a_zombie_that_goes_on(
    worker: Workers, client: PolosClient, ledger: Ledger
) -> None:
    """The other worker has ended it all before the zombie comes back."""
    case = TakenOver(worker, client, ledger, zombie_flows.plain)
    ledger.open_gate(gate_of(case.id, case.new))
    assert case.handle.result_sync(60) == [0, 1, case.new, 3]
    ledger.open_gate(gate_of(case.id, case.old))
    case.go_on()
    _says_that_it_lost(case.zombie, case.id)
    _ends_as_the_other_says(client, ledger, case)


def _says_that_it_lost(zombie: Program, execution_id: str) -> None:
    zombie.wait_for(f"the lease of execution {execution_id} is gone")


def _belongs_to_the_other(tables: Tables, case: TakenOver, owned: dict[str, Any]) -> None:
    """Nothing that the zombie tried to write is there, and the lease is as it was."""
    now = tables.row(case.id)
    same = ("status", "lease_token", "lease_owner", "claims", "recoveries", "wakeups", "result")
    assert {name: now[name] for name in same} == {name: owned[name] for name in same}
    assert now["status"] == "running"
    assert tables.keys(case.id) == ["step0", "step1"]


def _ends_as_the_other_says(client: PolosClient, ledger: Ledger, case: TakenOver) -> None:
    ledger.open_gate(gate_of(case.id, case.new))
    assert case.handle.result_sync(60) == [0, 1, case.new, 3]
    # What the zombie had committed was taken over, and it began no further step.
    assert ledger.runs(case.id) == {"step0": 1, "step1": 1, "slow": 2, "last": 1}
    assert ledger.entries(case.id, "step0")[0].pid == case.old
    assert ledger.entries(case.id, "last")[0].pid == case.new
    stored = client.get(case.id)
    assert (stored.claims, stored.recoveries) == (2, 1)
