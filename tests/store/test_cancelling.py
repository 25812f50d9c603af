"""Cancelling one execution and all below it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from polos.model.outcome import Cancelled, Completed
from polos.model.records import Claimed, Kind, Wait
from polos.model.states import ENDED, Status
from polos.store import cancelling
from polos.store.sql_store import SqlStore
from tests.store.scenes import (
    child_of,
    claim,
    edit,
    everything,
    family,
    new,
    now,
    parked,
    put,
    row,
    running,
    step,
)


def status(store: SqlStore, execution_id: str) -> str:
    return row(store.database, execution_id)["status"]


def start_below(store: SqlStore, parent: Claimed, name: str, *, awaited: bool = True) -> None:
    """Start a child whose step key is its id."""
    kept = Wait(name, Kind.CHILD, target_id=name) if awaited else step(name)
    store.start_child(
        parent.execution.id, parent.token, child_of(parent.execution.id, name, name), kept
    )


def test_one_that_never_ran_is_cancelled_at_once(store: SqlStore) -> None:
    store.start(new("one"))
    before = now(store.database)
    assert store.cancel("one") == (True, ())
    found = store.get("one")
    assert found is not None
    assert found.status is Status.CANCELLED
    assert before <= found.finished_at <= now(store.database)


def test_a_running_one_is_told(store: SqlStore) -> None:
    claimed = running(store)
    assert store.cancel("one") == (True, ())
    assert status(store, "one") == Status.RUNNING
    wakeups, cancelled_at = store.seen("one", claimed.token)
    assert (wakeups, cancelled_at is not None) == (1, True)
    [renewal] = store.renew([("one", claimed.token)], 60)
    assert renewal.cancel_requested
    assert store.commit(claimed.execution, claimed.token, Cancelled()) == ()
    assert status(store, "one") == Status.CANCELLED


def test_a_waiting_one_is_queued_so_that_it_can_clean_up(store: SqlStore) -> None:
    claimed = running(store, "one", queue="slow", priority=3)
    store.commit(claimed.execution, claimed.token, parked())
    found, [hint] = store.cancel("one")
    assert found
    assert (hint.execution_id, hint.queue, hint.priority) == ("one", "slow", 3)
    assert status(store, "one") == Status.QUEUED
    assert claim(store, "one").execution.cancel_requested


def test_a_queued_one_that_ran_before_is_told_and_stays_queued(store: SqlStore) -> None:
    claimed = running(store)
    store.release("one", claimed.token)
    assert store.cancel("one") == (True, ())
    assert status(store, "one") == Status.QUEUED
    assert claim(store, "one").execution.cancel_requested


@pytest.mark.parametrize("ended", sorted(ENDED))
def test_what_has_ended_is_left_alone(store: SqlStore, ended: Status) -> None:
    put(store.database, ended)
    before = everything(store.database)
    assert store.cancel("one") == (False, ())
    assert store.cancel("nobody") == (False, ())
    assert everything(store.database) == before


def test_cancelling_twice_counts_once(store: SqlStore) -> None:
    claimed = running(store)
    store.cancel("one")
    asked = row(store.database, "one")["cancel_requested_at"]
    assert store.cancel("one") == (True, ())
    assert row(store.database, "one")["cancel_requested_at"] == asked
    wakeups, cancelled_at = store.seen("one", claimed.token)
    assert (wakeups, cancelled_at is not None) == (1, True)


def test_a_park_after_the_request_is_stale(store: SqlStore) -> None:
    claimed = running(store)
    store.cancel("one")
    assert store.commit(claimed.execution, claimed.token, parked(wakeups=0)) is None
    assert store.commit(claimed.execution, claimed.token, parked(wakeups=1)) is None
    assert status(store, "one") == Status.RUNNING


def test_one_that_was_told_may_still_complete(store: SqlStore) -> None:
    claimed = running(store)
    store.cancel("one")
    store.commit(claimed.execution, claimed.token, Completed(b"anyway"))
    assert status(store, "one") == Status.COMPLETED
    assert store.cancel("one") == (False, ())


def three_levels(store: SqlStore) -> None:
    """A parent that waits; below it a child that waits, one that runs, and new ones."""
    parent = running(store, "parent")
    for name in ("waits", "runs", "new"):
        start_below(store, parent, name)
    start_below(store, parent, "detached", awaited=False)
    middle = claim(store, "waits")
    for name in ("waits.runs", "waits.new"):
        start_below(store, middle, name)
    claim(store, "waits.runs")
    claim(store, "runs")
    store.commit(middle.execution, middle.token, parked())
    store.commit(parent.execution, parent.token, parked())


def assert_all_cancelled(store: SqlStore) -> None:
    for name in ("parent", "waits"):
        assert status(store, name) == Status.QUEUED, name
    for name in ("runs", "waits.runs"):
        assert status(store, name) == Status.RUNNING, name
    for name in ("parent", "waits", "runs", "waits.runs"):
        assert row(store.database, name)["cancel_requested_at"] is not None, name
    for name in ("new", "detached", "waits.new"):
        assert status(store, name) == Status.CANCELLED, name


def test_cancelling_goes_down(store: SqlStore) -> None:
    three_levels(store)
    found, hints = store.cancel("parent")
    assert found
    assert sorted({hint.execution_id for hint in hints}) == ["parent", "waits"]
    assert_all_cancelled(store)
    assert store.finish_descents(10) == ()


def test_cancelling_never_goes_up(store: SqlStore) -> None:
    three_levels(store)
    before = row(store.database, "parent")
    assert store.cancel("waits")[0]
    assert row(store.database, "parent") == before
    for name in ("new", "detached"):
        assert status(store, name) == Status.QUEUED
    assert row(store.database, "runs")["cancel_requested_at"] is None
    assert status(store, "waits.new") == Status.CANCELLED
    assert row(store.database, "waits.runs")["cancel_requested_at"] is not None


class PowerCut(BaseException):
    """The process ends here."""


def cut(*_args: object) -> None:
    raise PowerCut


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_descent_that_was_broken_off_is_finished(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    three_levels(store)
    whole: Callable[..., object] = cancelling.descend
    calls: list[object] = []

    def descend(*args: object) -> object:
        calls.append(args)
        return cut() if len(calls) == level else whole(*args)

    monkeypatch.setattr(cancelling, "descend", descend)
    with pytest.raises(PowerCut):
        store.cancel("parent")
    monkeypatch.undo()
    for _ in range(3):
        store.finish_descents(10)
    assert_all_cancelled(store)
    edit(store.database, "parent", cancel_descends=False)
    assert store.finish_descents(10) == ()


def test_finishing_takes_no_more_than_asked_for(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    parents = [running(store, f"parent-{number}") for number in range(3)]
    for number, parent in enumerate(parents):
        start_below(store, parent, f"child-{number}")
    monkeypatch.setattr(cancelling, "descend", cut)
    for number in range(3):
        with pytest.raises(PowerCut):
            store.cancel(f"parent-{number}")
    monkeypatch.undo()
    cancelled = 0
    for turn in range(1, 4):
        store.finish_descents(1)
        cancelled = sum(status(store, f"child-{number}") == Status.CANCELLED for number in range(3))
        assert cancelled == turn
    assert cancelled == 3


def test_a_child_started_after_the_request_is_found_when_its_parent_ends(store: SqlStore) -> None:
    parent = running(store, "parent")
    store.cancel("parent")
    start_below(store, parent, "late", awaited=False)
    store.commit(parent.execution, parent.token, Cancelled())
    assert status(store, "late") == Status.QUEUED
    store.finish_descents(10)
    assert status(store, "late") == Status.CANCELLED


def test_a_child_started_during_a_descent_is_not_forgotten(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look for children and the note that all were found."""
    parent = running(store, "parent")
    start_below(store, parent, "early")
    claim(store, "early")
    whole = cancelling.cancel

    def slowly(database, project_id, execution_id):
        result = whole(database, project_id, execution_id)
        if execution_id == "early":
            start_below(store, parent, "late", awaited=False)
            store.commit(parent.execution, parent.token, Cancelled())
        return result

    monkeypatch.setattr(cancelling, "cancel", slowly)
    store.cancel("parent")
    monkeypatch.undo()
    store.finish_descents(10)
    assert status(store, "late") == Status.CANCELLED


def test_a_cancelled_child_completes_its_parents_wait_as_a_failure(store: SqlStore) -> None:
    parent, _ = family(store, claimed=False)
    store.commit(parent.execution, parent.token, parked())
    found, [hint] = store.cancel("child")
    assert found
    assert hint.execution_id == "parent"
    assert status(store, "parent") == Status.QUEUED
    assert row(store.database, "parent")["cancel_requested_at"] is None
    [kept], waiting = store.load("parent")
    assert waiting == ()
    assert kept.failure is not None
    assert kept.failure.error_type == "ExecutionCancelledError"
    assert (kept.failure.step_key, kept.kind) == ("kid", Kind.CHILD)
    assert "child" in kept.failure.reason


def test_a_running_child_that_ends_as_cancelled_tells_its_parent(store: SqlStore) -> None:
    parent, child = family(store)
    store.commit(parent.execution, parent.token, parked())
    assert store.cancel("child") == (True, ())
    assert status(store, "parent") == Status.WAITING
    [hint] = store.commit(child.execution, child.token, Cancelled())
    assert hint.execution_id == "parent"
    [kept] = store.load("parent")[0]
    assert kept.failure is not None
    assert kept.failure.error_type == "ExecutionCancelledError"
