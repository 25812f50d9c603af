"""Cancelling many children that have not begun: together, and each as if it were alone."""

from __future__ import annotations

import pytest

from polos.model.outcome import Cancelled
from polos.model.records import Claimed, Kind, Wait
from polos.model.states import Status
from polos.store import cancelling
from polos.store.database import Database
from polos.store.sql_store import SqlStore
from tests.store.scenes import child_of, claim, edit, parked, row, running, step
from tests.store.threads import Background
from tests.support.statements import statements

MANY = 60


def start_many(store: SqlStore, parent: Claimed, number: int = MANY) -> list[str]:
    """Children that their parent waits for, and one beside them for which it doesn't."""
    names = [f"kid-{n:02}" for n in range(number)]
    store.start_children(
        parent.execution.id,
        parent.token,
        [
            (child_of("parent", name, f"step-{name}"), Wait(f"step-{name}", Kind.CHILD, None, name))
            for name in names
        ],
    )
    beside = child_of("parent", "beside", "beside")
    store.start_child("parent", parent.token, beside, step("beside"))
    return names


def statuses(store: SqlStore, names: list[str]) -> set[str]:
    return {row(store.database, name)["status"] for name in names}


@pytest.mark.parametrize("portion", [500, 7])
def test_they_are_cancelled_together(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    monkeypatch.setattr(cancelling, "_MOST_AT_ONCE", portion)
    parent = running(store, "parent")
    names = start_many(store, parent)
    store.commit(parent.execution, parent.token, parked())
    with statements(store.database) as sent:
        found, hints = store.cancel("parent")
    assert found
    assert [hint.execution_id for hint in hints] == ["parent"]
    assert statuses(store, [*names, "beside"]) == {Status.CANCELLED}
    if portion == 500:
        assert len(sent) < MANY / 2
    # Each is a completion of its own, in an order that stays the same.
    kept, waiting = store.load("parent")
    ends = [it for it in kept if it.step_key != "beside"]
    assert waiting == ()
    assert sorted(it.step_key for it in ends) == [f"step-{name}" for name in names]
    assert {it.failure.error_type for it in ends if it.failure} == {"ExecutionCancelledError"}
    assert {it.failure.step_key == it.step_key for it in ends if it.failure} == {True}
    # The request itself has counted too.
    assert [it.turn for it in ends] == list(range(2, MANY + 2))
    assert row(store.database, "parent")["wakeups"] == MANY + 1
    assert claim(store, "parent").execution.wakeups == MANY + 1
    assert store.finish_descents(10) == ()


def test_below_one_that_has_ended_nobody_is_told(store: SqlStore) -> None:
    parent = running(store, "parent")
    names = start_many(store, parent, 5)
    store.revoke("parent")
    before = row(store.database, "parent")
    assert store.finish_descents(10) == ()
    assert statuses(store, [*names, "beside"]) == {Status.CANCELLED}
    after = row(store.database, "parent")
    assert after == before | {"cancel_descends": False}


def test_of_ends_that_celery_has_to_store_it_hears(store: SqlStore) -> None:
    parent = running(store, "parent")
    start_many(store, parent, 3)
    edit(store.database, "kid-01", known_to_celery=True)
    _, hints = store.cancel("parent")
    assert [hint.execution_id for hint in hints] == ["kid-01"]
    assert row(store.database, "kid-01")["unannounced"]


def test_a_parent_that_waits_is_woken_once(store: SqlStore) -> None:
    """One that waits although it is to end, as no code of ours leaves it."""
    parent = running(store, "parent")
    names = start_many(store, parent, 3)
    store.commit(parent.execution, parent.token, parked())
    edit(store.database, "parent", cancel_descends=True)
    assert [hint.execution_id for hint in store.finish_descents(10)] == ["parent"]
    assert statuses(store, names) == {Status.CANCELLED}
    assert row(store.database, "parent")["status"] == Status.QUEUED
    assert [it.turn for it in store.load("parent")[0]][-3:] == [1, 2, 3]


def test_one_that_begins_meanwhile_is_told(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = running(store, "parent")
    start_many(store, parent, 3)
    claimed: list[Claimed] = []

    look = store.database.run

    def claim_after(statement, named=None):
        found = look(statement, named)
        if statement is cancelling._open_children and not claimed:
            claimed.append(claim(store, "kid-01"))
        return found

    monkeypatch.setattr(store.database, "run", claim_after)
    store.cancel("parent")
    assert row(store.database, "kid-01")["status"] == Status.RUNNING
    assert row(store.database, "kid-01")["cancel_requested_at"] is not None
    assert statuses(store, ["kid-00", "kid-02", "beside"]) == {Status.CANCELLED}
    store.commit(claimed[0].execution, claimed[0].token, Cancelled())
    assert store.load("parent")[1] == ()


def test_many_descents_of_one_parent_count_each_end_once(database: Database) -> None:
    store = SqlStore(database)
    parent = running(store, "parent")
    start_many(store, parent, 20)
    edit(database, "parent", cancel_descends=True)
    work = [Background(database, lambda: store.finish_descents(10)) for _ in range(3)]
    for each in work:
        each.result()
    assert row(database, "parent")["wakeups"] == 20
    assert store.load("parent")[1] == ()
