"""How many connections a worker has open at most, so that a server's limit can be counted out."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import make_url

from polos import PolosClient
from polos.cli.doctor.of_database import connections_needed
from polos.model.workers import WorkerReport
from tests.acceptance import flows
from tests.acceptance.conftest import opened
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import until

SLOTS = 3
HERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'the worker'"


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one whose database tells of its connections."""
    with opened(request, "servers") as made:
        yield made


def most_seen(stack: Stack, seconds: float) -> int:
    """The most connections of the worker that there are at once within this time."""
    url = make_url(stack.database).set(drivername="postgresql").render_as_string(False)
    most, end = 0, time.monotonic() + seconds
    with psycopg.connect(url, autocommit=True) as connection:
        while time.monotonic() < end:
            [(found,)] = connection.execute(HERS).fetchall()
            most = max(most, found)
            time.sleep(0.02)
    return most


@pytest.mark.parametrize(("pool", "allowed"), [("prefork", 2 * SLOTS + 1), ("threads", SLOTS + 2)])
def test_a_worker_has_no_more_than_it_is_said_to_need(
    worker: Workers, client: PolosClient, ledger: Ledger, stack: Stack, pool: str, allowed: int
) -> None:
    """While all its slots execute, it sweeps and its leases are renewed several times."""
    named = make_url(stack.database).update_query_dict({"application_name": "the worker"})
    told = named.render_as_string(hide_password=False)
    worker(pool, SLOTS, env={"POLOS_DATABASE_URL": told, "POLOS_LEASE_SECONDS": "2"})
    handles = [flows.interrupted.start(client) for _ in range(2 * SLOTS)]

    def busy() -> int:
        return sum("slow" in ledger.runs(handle.id) for handle in handles)

    until(lambda: busy() == SLOTS, 60)
    seen = most_seen(stack, 4)
    for handle in handles:
        ledger.open_gate(handle.id)
    seen = max(seen, most_seen(stack, 2))
    for handle in handles:
        assert handle.result_sync(60) == [0, 1, 2, 3]
    assert 0 < seen <= allowed
    report = WorkerReport("the worker", "", SLOTS, 0)
    assert allowed <= connections_needed([report])
