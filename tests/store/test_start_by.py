"""Executions that have to begin by a moment, and those that are ended or woken from outside."""

from __future__ import annotations

import pytest

from polos.errors import LeaseLost
from polos.model.outcome import Completed
from polos.model.records import Kind, Wait
from polos.model.states import Status
from polos.store.sql_store import SqlStore
from tests.store.scenes import OWNER, claim, edit, family, new, parked, row, running

HOUR = 3600.0


def expire(store: SqlStore, execution_id: str = "one") -> None:
    """Let its time be over."""
    edit(store.database, execution_id, start_by=1)


def test_one_that_is_too_late_is_not_claimed(store: SqlStore) -> None:
    store.start(new("one", start_within_seconds=-1.0))
    assert store.claim("one", "flow", OWNER, 60) is None
    store.start(new("two", start_within_seconds=HOUR))
    assert claim(store, "two")


def test_the_sweep_ends_it_once_and_tells_celery(store: SqlStore) -> None:
    store.start(new("one", start_within_seconds=-1.0, known_to_celery=True))
    store.start(new("unknown", start_within_seconds=-1.0))
    store.start(new("delayed", start_within_seconds=-1.0, delay_seconds=HOUR))
    store.start(new("early", start_within_seconds=HOUR))
    store.start(new("any"))
    hints = store.expire_unstarted(10)
    assert [(hint.execution_id, hint.reason) for hint in hints] == [("one", "ended")]
    for id_ in ("one", "unknown", "delayed"):
        found = store.get(id_)
        assert found is not None
        assert (found.status, found.expired) == (Status.CANCELLED, True)
        assert found.unannounced == (id_ == "one")
    assert [row(store.database, id_)["status"] for id_ in ("early", "any")] == ["queued"] * 2
    assert store.expire_unstarted(10) == ()


def test_one_that_has_begun_may_take_its_time(store: SqlStore) -> None:
    held = running(store, start_within_seconds=HOUR)
    assert row(store.database, "one")["start_by"] is None
    store.commit(held.execution, held.token, parked(wake_at=1))
    assert store.expire_unstarted(10) == ()
    assert claim(store, "one")


def test_one_that_was_given_back_has_begun(store: SqlStore) -> None:
    held = running(store, start_within_seconds=HOUR)
    store.release("one", held.token)
    assert store.expire_unstarted(10) == ()
    assert claim(store, "one")


def test_one_that_is_cancelled_has_not_expired(store: SqlStore) -> None:
    store.start(new("one", start_within_seconds=HOUR, known_to_celery=True))
    found, hints = store.cancel("one")
    assert found
    assert [hint.reason for hint in hints] == ["ended"]
    expire(store)
    assert store.expire_unstarted(10) == ()
    stored = store.get("one")
    assert stored is not None
    assert (stored.status, stored.expired) == (Status.CANCELLED, False)


def test_a_delayed_one_that_nobody_has_begun_is_cancelled_at_once(store: SqlStore) -> None:
    store.start(new("one", delay_seconds=HOUR))
    assert store.cancel("one") == (True, ())
    assert row(store.database, "one")["status"] == "cancelled"


@pytest.mark.parametrize("status", ["queued", "running", "waiting"])
def test_revoking_ends_an_open_one_whoever_holds_it(store: SqlStore, status: str) -> None:
    held = running(store, known_to_celery=True)
    if status == "queued":
        store.release("one", held.token)
    elif status == "waiting":
        wait = Wait("nap", Kind.TIMER, due_at=held.now)
        store.commit(held.execution, held.token, parked(wait, wake_at=held.now))
    assert [hint.reason for hint in store.revoke("one")] == ["ended"]
    found = row(store.database, "one")
    assert (found["status"], found["unannounced"]) == ("cancelled", True)
    assert found["cancel_requested_at"] is not None
    assert store.load("one")[1] == ()
    with pytest.raises(LeaseLost):
        store.commit(held.execution, held.token, Completed(b"late"))
    assert store.revoke("one") == ()
    assert store.revoke("nobody") == ()


def test_revoking_wakes_the_parent_and_leaves_children_to_the_sweep(store: SqlStore) -> None:
    parent, child = family(store)
    store.commit(parent.execution, parent.token, parked())
    assert [hint.execution_id for hint in store.revoke("child")] == ["parent"]
    [completed] = store.load("parent")[0]
    assert completed.failure is not None
    assert completed.failure.error_type == "ExecutionCancelledError"
    assert child.execution.id == "child"


def test_the_sweep_cancels_what_is_below_a_revoked_one(store: SqlStore) -> None:
    parent, _ = family(store)
    assert parent.execution.id == "parent"
    store.revoke("parent")
    store.finish_descents(10)
    assert row(store.database, "child")["cancel_requested_at"] is not None


def test_waking_one_before_its_time(store: SqlStore) -> None:
    store.start(new("one", delay_seconds=HOUR))
    assert [hint.execution_id for hint in store.wake("one")] == ["one"]
    assert claim(store, "one")
    assert store.wake("one") == ()


def test_which_ids_are_executions(store: SqlStore) -> None:
    store.start(new("one"))
    store.start(new("theirs", project_id="theirs"))
    assert store.known(["one", "theirs", "nobody"]) == {"one"}
