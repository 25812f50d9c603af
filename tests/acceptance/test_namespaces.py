"""Two containers with one hostname: the same boot, the same process ids, and not the same process.

Each worker runs in a pid namespace of its own, in which it has the number 1.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from polos import ExecutionHandle, PolosClient
from polos.model.workers import Owner
from tests.acceptance import zombie_flows
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Workers
from tests.acceptance.tables import Tables
from tests.acceptance.zombie_flows import gate_of
from tests.support.processes import Program, until

LEASE = 3.0
# The sweep's row is free again after this long, where the one who held it was killed.
LEADERSHIP = 5.0
ENV = {"POLOS_LEASE_SECONDS": str(LEASE)}
FLOWS = "tests.acceptance.zombie_flows"
SECOND = 1_000_000


@pytest.fixture(scope="module")
def own_namespace() -> tuple[str, ...]:
    """The command that runs another one in a pid namespace of its own."""
    command = ("unshare", "--pid", "--fork", "--mount-proc")
    if os.geteuid() != 0:
        command = ("unshare", "--user", "--map-root-user", *command[1:])
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return command
    said = f"this machine permits no pid namespaces: {' '.join(command)}: {tried.stderr.strip()}"
    if os.geteuid() == 0:
        pytest.fail(said)
    pytest.skip(said)


@pytest.fixture
def tables(client: PolosClient) -> Iterator[Tables]:
    made = Tables(client)
    yield made
    made.close()


class Busy:
    """An execution in the middle of its step, and the process that is in it."""

    def __init__(self, handle: ExecutionHandle[Any], tables: Tables) -> None:
        self.handle = handle
        self.id = handle.id
        self.first = tables.row(handle.id)
        self.owner = Owner.parse(self.first["lease_owner"])

    def let_go(self, ledger: Ledger) -> None:
        """Let the step end, in whatever process it is."""
        for entry in ledger.entries(self.id, "slow", "begin"):
            ledger.open_gate(gate_of(self.id, entry.pid))


def test_two_namespaces_with_one_hostname(
    worker: Workers,
    client: PolosClient,
    ledger: Ledger,
    tables: Tables,
    own_namespace: tuple[str, ...],
) -> None:
    options = {"flows": FLOWS, "env": ENV, "prefix": own_namespace, "ready": False}
    pair = [worker("prefork", name=name, **options) for name in ("one", "two")]
    for each in pair:
        each.wait_for(" ready.", 60)
    busy = [_busy(client, ledger, tables) for _ in pair]
    _alike_but_for_the_namespace(*(each.owner for each in busy))
    # Several sweeps and renewals later nobody has been declared dead.
    for each in busy:
        until(lambda id_=each.id: _renewed(tables, id_) > 2 * LEASE * SECOND, 60)
    for each in busy:
        row = tables.row(each.id)
        assert (row["status"], row["claims"], row["recoveries"]) == ("running", 1, 0)
        assert row["lease_token"] == each.first["lease_token"]
    victim, lost = _sort_out(pair, busy)
    survivor = next(each for each in busy if each is not lost)
    _taken_over_when_the_lease_ran_out(tables, victim, lost)
    survivor.let_go(ledger)
    ledger.wait_for(lost.id, "slow", times=2)
    lost.let_go(ledger)
    for each, runs in ((survivor, 1), (lost, 2)):
        assert each.handle.result_sync(60)[:2] == [0, 1]
        assert ledger.runs(each.id) == {"step0": 1, "step1": 1, "slow": runs, "last": 1}
    assert tables.row(survivor.id)["recoveries"] == 0


def _busy(client: PolosClient, ledger: Ledger, tables: Tables) -> Busy:
    handle = zombie_flows.plain.start(client)
    ledger.wait_for(handle.id, "slow")
    return Busy(handle, tables)


def _alike_but_for_the_namespace(one: Owner, two: Owner) -> None:
    assert one.boot_id == two.boot_id
    assert one.pid_namespace != two.pid_namespace
    # Small numbers: each counts from 1 in its own namespace, and has the pool's next ones.
    assert max(one.pid, two.pid) < 1000


def _renewed(tables: Tables, execution_id: str) -> int:
    """By how much a lease was prolonged since its claim."""
    row = tables.row(execution_id)
    return int(row["lease_expires_at"] - row["started_at"] - LEASE * SECOND)


def _sort_out(pair: list[Program], busy: list[Busy]) -> tuple[Program, Busy]:
    """A worker, and the execution that it holds."""
    victim = pair[0]
    inside = {os.readlink(f"/proc/{child.pid}/ns/pid") for child in victim.children()}
    [lost] = [each for each in busy if f"pid:[{each.owner.pid_namespace}]" in inside]
    return victim, lost


def _taken_over_when_the_lease_ran_out(tables: Tables, victim: Program, lost: Busy) -> None:
    victim.kill(signal.SIGKILL, group=True)
    victim.wait()
    dead = tables.row(lost.id)
    assert dead["status"] == "running"
    # The other worker is busy, so that what it takes back stays in the queue.
    until(lambda: tables.row(lost.id)["recoveries"] == 1, 60, every=0.02)
    then = tables.row(lost.id)
    assert then["now"] >= dead["lease_expires_at"]
    late = then["now"] - max(dead["lease_expires_at"], dead["now"] + LEADERSHIP * SECOND)
    assert late < 8 * SECOND
