"""Executions whose time is over, in every state they can be in."""

from __future__ import annotations

from typing import Any

import pytest

from polos.codec import decode_failure
from polos.model.outcome import Completed, Failed, timed_out
from polos.model.records import Kind, Micros
from polos.model.states import Status
from polos.store import cancelling, expiring
from polos.store.sql_store import SqlStore
from tests.store.scenes import (
    child_of,
    claim,
    edit,
    everything,
    new,
    now,
    parked,
    put,
    row,
    running,
    start_child,
    timer,
)

GRACE = 30.0


def over(store: SqlStore, id_: str = "one", *, since: float = 0.001) -> None:
    """Let its time be over since so many seconds."""
    deadline = now(store.database) - round(since * 1_000_000)
    edit(store.database, id_, deadline_at=deadline, run_timeout=2_000_000)


def expire(store: SqlStore) -> list[str]:
    return [hint.execution_id for hint in store.expire(100, GRACE)]


def failure_of(store: SqlStore, id_: str = "one") -> tuple[str, str]:
    found = row(store.database, id_)
    assert found["status"] == Status.FAILED
    failure = decode_failure(found["failure"])
    return failure.error_type, failure.reason


LATE = ("ExecutionTimedOut", "it did not end within its run timeout of 2 s")


def test_one_that_never_ran_fails_at_once(store: SqlStore) -> None:
    store.start(new("one", known_to_celery=True))
    over(store)
    # Celery has to hear of the end.
    assert expire(store) == ["one"]
    assert failure_of(store) == LATE
    assert row(store.database, "one")["unannounced"]


def test_before_its_time_nothing_happens(store: SqlStore) -> None:
    store.start(new("one", run_timeout_seconds=60))
    store.start(new("two"))
    before = everything(store.database)
    assert expire(store) == []
    assert everything(store.database) == before


def test_a_waiting_one_is_woken_to_clean_up(store: SqlStore) -> None:
    claimed = running(store)
    store.commit(claimed.execution, claimed.token, parked(timer("t", 9), wake_at=2**52))
    over(store)
    assert expire(store) == ["one"]
    found = row(store.database, "one")
    assert found["status"] == Status.QUEUED
    assert found["cancel_requested_at"] >= found["deadline_at"]
    # It is left alone while it may clean up.
    assert expire(store) == []
    assert row(store.database, "one") == found


def test_a_running_one_hears_of_it_with_its_next_heartbeat(store: SqlStore) -> None:
    claimed = running(store)
    over(store)
    assert expire(store) == []
    [renewal] = store.renew([("one", claimed.token)], 60)
    assert renewal.held
    assert renewal.cancel_requested
    ending = Failed(timed_out(Micros(2_000_000)), with_children=True)
    store.commit(claimed.execution, claimed.token, ending)
    assert failure_of(store) == LATE
    assert row(store.database, "one")["cancel_descends"]


@pytest.mark.parametrize("status", [Status.QUEUED, Status.WAITING, Status.RUNNING])
def test_one_that_does_not_clean_up_in_time_is_failed(store: SqlStore, status: Status) -> None:
    put(store.database, status, claims=1)
    over(store)
    expire(store)
    assert row(store.database, "one")["status"] != Status.FAILED
    over(store, since=GRACE + 1)
    assert expire(store) == []
    assert failure_of(store) == LATE


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
def test_what_has_ended_stays_as_it_is(store: SqlStore, status: Status) -> None:
    put(store.database, status)
    over(store, since=GRACE + 1)
    before = everything(store.database)
    assert expire(store) == []
    assert everything(store.database) == before


def test_its_open_children_are_cancelled(store: SqlStore) -> None:
    parent = running(store, "parent")
    for name in ("begun", "fresh"):
        start_child(store, parent, child_of("parent", name, name))
    claim(store, "begun")
    over(store, "parent")
    expire(store)
    assert row(store.database, "fresh")["status"] == Status.CANCELLED
    assert row(store.database, "begun")["cancel_requested_at"] is not None


def test_children_of_one_that_is_failed_from_outside_are_cancelled(store: SqlStore) -> None:
    parent = running(store, "parent")
    over(store, "parent", since=GRACE + 1)
    start_child(store, parent, child_of("parent", "fresh", "fresh"))
    expire(store)
    assert failure_of(store, "parent") == LATE
    assert row(store.database, "fresh")["status"] == Status.CANCELLED


def test_where_telling_the_children_is_broken_off_the_sweep_goes_on(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = running(store, "parent")
    over(store, "parent", since=GRACE + 1)
    start_child(store, parent, child_of("parent", "fresh", "fresh"))
    with monkeypatch.context() as patch:
        patch.setattr(cancelling, "descend", lambda *_: ())
        expire(store)
    assert row(store.database, "fresh")["status"] == Status.QUEUED
    store.finish_descents(10)
    assert row(store.database, "fresh")["status"] == Status.CANCELLED


def test_one_that_is_claimed_at_that_moment_is_told_and_not_failed(store: SqlStore) -> None:
    store.start(new("one"))
    over(store)
    seen = store.get("one")
    assert seen is not None
    claim(store, "one")
    expiring._expire_one(store.database, "default", seen, at_once=False)
    found = row(store.database, "one")
    assert found["status"] == Status.RUNNING
    assert found["cancel_requested_at"] is not None


def test_its_parent_learns_of_it_and_goes_on(store: SqlStore) -> None:
    parent = running(store, "parent")
    start_child(store, parent, child_of("parent", "child", "kid", run_timeout_seconds=1))
    store.commit(parent.execution, parent.token, parked())
    over(store, "child")
    assert expire(store) == ["parent"]
    [found] = store.load("parent")[0]
    assert found.failure is not None
    assert (found.kind, found.failure.error_type) == (Kind.CHILD, "ExecutionTimedOut")
    assert row(store.database, "parent")["status"] == Status.QUEUED


def test_only_the_own_project_is_looked_at(store: SqlStore) -> None:
    store.start(new("one", project_id="theirs"))
    over(store)
    assert expire(store) == []
    assert row(store.database, "one")["status"] == Status.QUEUED
    assert SqlStore(store.database, "theirs").expire(100, GRACE) == ()
    assert failure_of(store) == LATE


def test_one_that_was_cancelled_before_is_not_told_again(store: SqlStore) -> None:
    claimed = running(store)
    store.cancel("one")
    before = row(store.database, "one")
    over(store)
    expire(store)
    after = row(store.database, "one")
    assert after["cancel_requested_at"] == before["cancel_requested_at"]
    store.commit(claimed.execution, claimed.token, Completed(b"r"))


def test_one_that_can_not_be_ended_does_not_keep_the_others(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        store.start(new(name))
        over(store, name)
    real = expiring._expire_one

    def broken(database: Any, project: str, execution: Any, at_once: bool) -> Any:
        if execution.id == "one":
            raise ValueError("a defect")
        return real(database, project, execution, at_once)

    monkeypatch.setattr(expiring, "_expire_one", broken)
    expire(store)
    assert row(store.database, "one")["status"] == Status.QUEUED
    assert failure_of(store, "two") == LATE
