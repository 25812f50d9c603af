"""A worker, or a client, whose clock is an hour ahead or behind; faked in its process only.

The monotonic clock stays true, as it does on a machine that was set to a wrong time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import libfaketime
import pytest

from polos import ExecutionHandle, PolosClient
from polos.model.records import as_datetime
from tests.acceptance import skew_flows
from tests.acceptance.conftest import opened
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers
from tests.acceptance.tables import Tables
from tests.support.processes import ROOT, Program, until

SKEWS = ("+1h", "-1h")
HOUR = 3600.0
# The monotonic clock may be slewed against the database's by 500 ppm.
SLEW = 0.005
# A sweep comes each second, and sends again a second after the due time; the rest is for a machine
# that does other things, too.
LATE = 5.0
WAITS = {
    ("a", "b"): skew_flows.IN_PLACE,
    ("b", "c"): skew_flows.COUNTDOWN,
    ("c", "d"): skew_flows.SWEPT,
    ("d", "e"): skew_flows.BACK_OFF,
    ("e", "f"): skew_flows.CHILD,
}
FLOWS = "tests.acceptance.skew_flows"
ENV = {"POLOS_LEASE_SECONDS": "3", "POLOS_COUNTDOWN_HORIZON": "3"}
RUN = """
from polos import PolosClient
from tests.acceptance import skew_flows
print("ended", len(skew_flows.trip.run_sync(PolosClient(), timeout=100)))
"""
AT = """
import sys
from datetime import datetime
from polos import PolosClient
from tests.acceptance import skew_flows
task = PolosClient().bound.app.tasks["polos.skewed-at"]
print("id", task.apply_async(eta=datetime.fromisoformat(sys.argv[1])).id)
"""


@pytest.fixture(scope="module", params=["servers"])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only a database server has a clock of its own."""
    with opened(request, request.param) as made:
        yield made


@pytest.fixture
def tables(client: PolosClient) -> Iterator[Tables]:
    made = Tables(client)
    yield made
    made.close()


def skewed(by: str) -> dict[str, str | None]:
    """The environment of a process whose clock is wrong."""
    return {**libfaketime.get_reload_information()[1], "FAKETIME": by}


@pytest.mark.parametrize("skew", SKEWS)
def test_a_worker_with_a_wrong_clock(
    worker: Workers,
    program: Callable[..., Program],
    stack: Stack,
    client: PolosClient,
    ledger: Ledger,
    tables: Tables,
    skew: str,
    record_property: Callable[[str, object], None],
) -> None:
    options: dict[str, Any] = {"slots": 2, "flows": FLOWS, "ready": False}
    wrong = worker("prefork", name="wrong", env=ENV | skewed(skew), **options)
    right = worker("prefork", name="right", env=ENV, **options)
    for each in (wrong, right):
        each.wait_for(" ready.", 60)
    other = program(sys.executable, "-c", RUN, cwd=ROOT, env=stack.env | skewed(skew))
    # So many that none of the two has all of them by chance.
    handles = [skew_flows.trip.start(client) for _ in range(8)]
    offsets = [offset for handle in handles for offset in _offsets(handle)]
    # Both have worked, and the one is wrong by an hour.
    expected = HOUR if skew == "+1h" else -HOUR
    assert {round(offset / HOUR) for offset in offsets} == {0, round(expected / HOUR)}
    assert other.wait(100) == 0, other.text()
    assert "ended 4" in other.text()
    lateness = max(_lateness(ledger, handle) for handle in handles)
    record_property("lateness", lateness)
    assert lateness < LATE
    _nobody_lost_a_lease(tables)
    _nothing_is_held(client, stack)


@pytest.mark.parametrize("skew", SKEWS)
def test_an_eta_of_a_client_with_a_wrong_clock(
    worker: Workers,
    program: Callable[..., Program],
    stack: Stack,
    client: PolosClient,
    tables: Tables,
    skew: str,
) -> None:
    worker("threads", name="right", flows=FLOWS, env=ENV)
    started = skew_flows.at.start(client)
    assert started.result_sync(60) == "begun"
    now = as_datetime(tables.row(started.id)["now"])
    due = now + timedelta(seconds=6)
    env = stack.env | skewed(skew)
    asked = program(sys.executable, "-c", AT, due.isoformat(), cwd=ROOT, env=env)
    assert asked.wait(60) == 0, asked.text()
    id_ = asked.text().split("id ")[1].strip()
    until(lambda: tables.row(id_)["status"] == "completed", 60)
    begun: datetime = as_datetime(tables.row(id_)["started_at"])
    assert timedelta(0) <= begun - due < timedelta(seconds=LATE + 5)


def _offsets(handle: ExecutionHandle[Any]) -> list[float]:
    """By how much the clock of each process that ran it was ahead of the database's."""
    first, now, second, later = handle.result_sync(120)
    return [first - now / 1000, second - later / 1000]


def _lateness(ledger: Ledger, handle: ExecutionHandle[Any]) -> float:
    """How late the latest of its waits ended; none ended early."""
    late = []
    for (before, after), seconds in WAITS.items():
        took = ledger.at(handle.id, after) - ledger.at(handle.id, before, "end")
        assert took >= seconds - SLEW, (before, took)
        late.append(took - seconds)
    return max(late)


def _nobody_lost_a_lease(tables: Tables) -> None:
    trips = "FROM polos_executions WHERE workflow_id = 'skewed-trip'"
    assert set(tables.column("SELECT recoveries FROM polos_executions")) == {0}
    # The first, and one after each wait that is not slept in place; a hint that comes half a second
    # early may find that there is a little more to wait, and park again.
    assert max(tables.column(f"SELECT claims {trips}")) <= 2 * len(WAITS)


def _nothing_is_held(client: PolosClient, stack: Stack) -> None:
    """No worker keeps a message in memory for an hour; one sent once more may take a moment."""
    control = client.bound.app.control.inspect(timeout=3)

    def empty() -> bool:
        scheduled = control.scheduled() or {"nobody": ["answers"]}
        return not any(scheduled.values()) and stack.queued_messages() == 0

    until(empty, 30, message=lambda: str(control.scheduled()))
