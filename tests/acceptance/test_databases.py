"""The core of it once more, on MariaDB and through PgBouncer: tests that other modules have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from polos import PolosClient
from tests.acceptance import (
    test_basics,
    test_broker_loss,
    test_cancelling,
    test_crashes,
    test_duplicates,
    test_outages,
    test_task_steps,
    test_zombies,
)
from tests.acceptance.conftest import opened
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers, wait_for_status


@pytest.fixture(scope="module", params=["mariadb", "pgbouncer"])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Redis, and one of these."""
    with opened(request, request.param) as made:
        yield made


tables = test_zombies.tables
shop = test_task_steps.shop

test_worker_and_main = test_basics.test_worker_and_main
test_another_worker_goes_on_where_one_was_killed = (
    test_crashes.test_another_worker_goes_on_where_one_was_killed
)
test_what_an_effect_depended_on_is_the_same_after_a_crash = (
    test_crashes.test_what_an_effect_depended_on_is_the_same_after_a_crash
)
test_two_workers_get_the_same_message = test_duplicates.test_two_workers_get_the_same_message
test_an_emptied_broker_that_no_worker_listens_to = (
    test_broker_loss.test_an_emptied_broker_that_no_worker_listens_to
)
test_an_async_step_of_a_zombie_is_told = test_zombies.test_an_async_step_of_a_zombie_is_told
test_a_plain_step_of_a_zombie_that_goes_on = test_zombies.test_a_plain_step_of_a_zombie_that_goes_on
test_a_database_that_is_away_for_longer_than_a_lease = (
    test_outages.test_a_database_that_is_away_for_longer_than_a_lease
)


def test_children_are_cancelled_too(worker: Workers, client: PolosClient, ledger: Ledger) -> None:
    running = worker("prefork", slots=2, env={"POLOS_LEASE_SECONDS": "6"})
    test_cancelling.test_children_too(running, client, ledger)


def test_tasks_and_groups_as_steps(
    shop: test_task_steps.Shop, workers: Workers, ledger: Ledger
) -> None:
    """A group is sent once, although the end of a member wakes its execution."""
    workers.close()
    shop.worker("prefork", 3)
    uneven = shop.order("uneven group")
    ledger.wait_for(uneven.id, "by hand", times=2)
    ledger.wait_for(uneven.id, "slow")
    plain = shop.order("group", flow="shop-sync-order")
    handles = {what: shop.order(what, pause=0.6) for what in ("charge", "group", "failing group")}
    found = {what: handle.result_sync(60) for what, handle in handles.items()}
    assert found == {what: (test_task_steps.KEPT | test_task_steps.FAILED)[what] for what in found}
    assert plain.result_sync(60) == [[0, 2, 4], "done"]
    assert ledger.runs(plain.id) == {"add": 3, "after": 1}
    assert ledger.runs(handles["group"].id) == {"add": 3, "told": 1}
    wait_for_status(uneven, "waiting")
    ledger.open_gate(uneven.id)
    assert uneven.result_sync(60) == ["at last", "slow and sure"]
    assert ledger.runs(uneven.id) == {"by hand": 2, "slow": 1, "told": 1}
