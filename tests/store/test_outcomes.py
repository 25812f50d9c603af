"""How attempts end, and what goes into the same transaction."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from polos.errors import ExecutionExists, LeaseLost
from polos.model.outcome import Cancelled, Completed, Failed, Outcome
from polos.model.records import Failure, Kind, Wait, micros
from polos.model.states import Status
from polos.store import waits as waits_module
from polos.store.schema import checkpoints, waits
from polos.store.sql_store import SqlStore
from tests.store.scenes import (
    FAILURE,
    child_of,
    claim,
    edit,
    everything,
    family,
    keys,
    new,
    now,
    parked,
    row,
    running,
    step,
    timer,
)
from tests.support.statements import statements

pytestmark = pytest.mark.pooled

ENDS: dict[Status, Outcome] = {
    Status.COMPLETED: Completed(b"\x00result"),
    Status.FAILED: Failed(FAILURE),
    Status.CANCELLED: Cancelled(),
}
ends = pytest.mark.parametrize("status", ENDS)


def waits_left(store: SqlStore) -> int:
    return store.database.run(select(func.count()).select_from(waits))[0][0]


@ends
def test_an_end_is_stored(store: SqlStore, status: Status) -> None:
    claimed = running(store)
    before = now(store.database)
    assert store.commit(claimed.execution, claimed.token, ENDS[status]) == ()
    found = store.get("one")
    assert found is not None
    assert found.status is status
    assert found.result == (b"\x00result" if status is Status.COMPLETED else None)
    assert found.failure == (FAILURE if status is Status.FAILED else None)
    assert before <= found.finished_at <= now(store.database)
    assert row(store.database, "one")["dispatch_at"] is None


def test_a_plain_end_is_one_statement(store: SqlStore) -> None:
    claimed = running(store)
    with statements(store.database) as sent:
        store.commit(claimed.execution, claimed.token, Completed(b"r"), has_waits=False)
    assert len(sent) == 1


@ends
def test_an_end_takes_its_waits_with_it(store: SqlStore, status: Status) -> None:
    claimed = running(store)
    other = running(store, "two")
    for lease in (claimed, other):
        store.keep_wait(lease.execution.id, lease.token, timer("t", 5))
    store.commit(claimed.execution, claimed.token, ENDS[status], has_waits=True)
    assert waits_left(store) == 1
    assert store.load("two")[1] == (timer("t", 5),)


@ends
@pytest.mark.parametrize("has_waits", [True, False])
def test_unsaved_rows_go_with_the_end(store: SqlStore, status: Status, has_waits: bool) -> None:
    claimed = running(store)
    rows = [step("a", position=1), step("b", position=2)]
    store.commit(claimed.execution, claimed.token, ENDS[status], rows=rows, has_waits=has_waits)
    assert keys(store, "one") == ["a", "b"]


def test_unsaved_rows_go_with_a_park(store: SqlStore) -> None:
    claimed = running(store)
    park = parked(timer("t", 500), wake_at=500)
    assert store.commit(claimed.execution, claimed.token, park, rows=[step("a")]) == ()
    assert keys(store, "one") == ["a"]
    assert store.load("one")[1] == (timer("t", 500),)


@pytest.mark.parametrize("outcome", [*ENDS.values(), parked(timer("t", 5), wake_at=5)])
def test_rows_and_end_are_one_transaction(
    store: SqlStore, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = running(store)
    store.keep_wait("one", claimed.token, timer("u", 5))
    before = everything(store.database)

    def fail(*_args: object) -> None:
        raise RuntimeError("the process is in trouble")

    monkeypatch.setattr(waits_module, "forget_all", fail)
    monkeypatch.setattr(waits_module, "forget", fail)
    with pytest.raises(RuntimeError, match="in trouble"):
        store.commit(claimed.execution, claimed.token, outcome, rows=[step("a")])
    assert everything(store.database) == before


def test_a_park_keeps_forgets_and_sets_the_time(store: SqlStore) -> None:
    claimed = running(store)
    store.keep_wait("one", claimed.token, timer("old", 5))
    store.keep_wait("one", claimed.token, timer("kept", 7))
    due = now(store.database) + micros(10)
    park = parked(timer("new", due), wake_at=due, settled=["old", "never there"])
    assert store.commit(claimed.execution, claimed.token, park) == ()
    found = store.get("one")
    assert found is not None
    assert (found.status, found.wake_at) == (Status.WAITING, due)
    assert {wait.step_key for wait in store.load("one")[1]} == {"new", "kept"}
    assert row(store.database, "one")["dispatch_at"] == due + micros(1)


def test_a_stale_park_changes_nothing_else(store: SqlStore) -> None:
    claimed = running(store)
    edit(store.database, "one", wakeups=2)
    before = everything(store.database)
    for seen in (1, 3):
        park = parked(timer("t", 5), wake_at=5, wakeups=seen)
        assert store.commit(claimed.execution, claimed.token, park) is None
    assert everything(store.database) == before


PARENT_ENDS = {"running": None, "waiting": parked()}


@pytest.mark.parametrize("parent_is", PARENT_ENDS)
@ends
def test_a_childs_end_is_a_checkpoint_of_its_parent(
    store: SqlStore, status: Status, parent_is: str
) -> None:
    parent, child = family(store)
    if park := PARENT_ENDS[parent_is]:
        store.commit(parent.execution, parent.token, park)
    hints = store.commit(child.execution, child.token, ENDS[status])
    assert [hint.execution_id for hint in hints] == (["parent"] if park else [])
    [kept], waiting = store.load("parent")
    assert waiting == ()
    assert (kept.step_key, kept.kind, kept.turn, kept.position) == ("kid", Kind.CHILD, 1, 0)
    assert kept.started_at == child.execution.created_at
    if status is Status.COMPLETED:
        assert (kept.value, kept.failure) == (b"\x00result", None)
    else:
        assert kept.value is None
        assert kept.failure is not None
        # A replay raises it as the parent's own step, and the traceback is no part of that.
        assert (kept.failure.step_key, kept.failure.attempts) == ("kid", 1)
        assert kept.failure.traceback == ""
    if status is Status.FAILED:
        assert kept.failure == Failure(FAILURE.reason, FAILURE.error_type, "kid", 1)
    stored = row(store.database, "parent")
    assert stored["status"] == (Status.QUEUED if park else Status.RUNNING)
    assert stored["wakeups"] == 1


def test_a_hint_for_a_parent_carries_how_it_is_sent(store: SqlStore) -> None:
    parent = running(store, "parent", queue="slow", priority=4, celery_options=b"\x00kept")
    wait = Wait("kid", Kind.CHILD, target_id="child")
    store.start_child("parent", parent.token, child_of("parent", "child"), wait)
    child = claim(store, "child")
    store.commit(parent.execution, parent.token, parked())
    [hint] = store.commit(child.execution, child.token, Completed(b"r"))
    assert (hint.queue, hint.priority, hint.celery_options) == ("slow", 4, b"\x00kept")
    assert (hint.workflow_id, hint.countdown) == ("flow", 0)
    assert "kid" in hint.reason


def test_a_child_that_nobody_waits_for_tells_nobody(store: SqlStore) -> None:
    parent = running(store, "parent")
    started = store.start_child("parent", parent.token, child_of("parent", "child"), step("kid"))
    assert (started.status, started.parent_waits) == (Status.QUEUED, False)
    child = claim(store, "child")
    store.commit(parent.execution, parent.token, parked())
    before = row(store.database, "parent")
    assert store.commit(child.execution, child.token, Completed(b"r")) == ()
    assert row(store.database, "parent") == before
    assert [found.value for found in store.load("parent")[0]] == [b"value"]


def test_a_child_may_outlive_its_parent(store: SqlStore) -> None:
    parent, child = family(store)
    store.commit(parent.execution, parent.token, Completed(b"first"))
    before = row(store.database, "parent")
    assert store.commit(child.execution, child.token, Completed(b"late")) == ()
    assert row(store.database, "parent") == before
    assert keys(store, "parent") == []
    found = store.get("child")
    assert found is not None
    assert found.result == b"late"


def test_a_wait_for_another_child_is_left_alone(store: SqlStore) -> None:
    parent, child = family(store)
    another = Wait("kid", Kind.CHILD, target_id="another")
    store.keep_wait("parent", parent.token, another)
    store.commit(child.execution, child.token, Completed(b"r"))
    assert store.load("parent") == ((), (another,))
    assert row(store.database, "parent")["wakeups"] == 1


def test_what_the_parent_recorded_first_is_kept(store: SqlStore) -> None:
    parent, child = family(store)
    store.checkpoint("parent", parent.token, [step("kid", b"first", position=1)])
    store.commit(child.execution, child.token, Completed(b"second"))
    [kept] = store.load("parent")[0]
    assert kept.value == b"first"
    found = store.get("child")
    assert found is not None
    assert found.status is Status.COMPLETED


def test_start_child_can_be_sent_again_after_a_lost_answer(store: SqlStore) -> None:
    parent = running(store, "parent")
    for kept in (Wait("kid", Kind.CHILD, target_id="child"), step("other")):
        name = kept.step_key + "-1"
        first = store.start_child("parent", parent.token, child_of("parent", name, name), kept)
        before = everything(store.database)
        again = store.start_child("parent", parent.token, child_of("parent", name, name), kept)
        assert again == first
        assert everything(store.database) == before


def test_a_childs_id_that_is_taken_is_an_error(store: SqlStore) -> None:
    parent = running(store, "parent")
    store.start(new("taken"))
    before = everything(store.database)
    wait = Wait("kid", Kind.CHILD, target_id="taken")
    with pytest.raises(ExecutionExists):
        store.start_child("parent", parent.token, child_of("parent", "taken"), wait)
    assert everything(store.database) == before


@ends
def test_an_end_that_celery_knows_is_sent_again_until_it_is_announced(
    store: SqlStore, status: Status
) -> None:
    claimed = running(store, "one", known_to_celery=True)
    store.commit(claimed.execution, claimed.token, ENDS[status])
    found = store.get("one")
    assert found is not None
    assert found.unannounced
    assert store.redispatch(10) == ()
    for _ in range(2):
        edit(store.database, "one", dispatch_at=1)
        [hint] = store.redispatch(10)
        assert hint.execution_id == "one"
    store.announced("one")
    found = store.get("one")
    assert found is not None
    assert not found.unannounced
    assert found.status is status
    assert row(store.database, "one")["dispatch_at"] is None
    before = everything(store.database)
    store.announced("one")
    assert everything(store.database) == before


def test_the_cancel_of_a_new_one_that_celery_knows_is_announced_too(store: SqlStore) -> None:
    store.start(new("one", known_to_celery=True))
    store.cancel("one")
    edit(store.database, "one", dispatch_at=1)
    assert [hint.execution_id for hint in store.redispatch(10)] == ["one"]


@ends
def test_an_end_that_celery_does_not_know_is_not_sent(store: SqlStore, status: Status) -> None:
    claimed = running(store)
    store.commit(claimed.execution, claimed.token, ENDS[status])
    found = store.get("one")
    assert found is not None
    assert not found.unannounced
    assert row(store.database, "one")["dispatch_at"] is None


def test_a_release_can_be_claimed_at_once(store: SqlStore) -> None:
    claimed = running(store)
    store.checkpoint("one", claimed.token, [step("a")])
    store.release("one", claimed.token)
    again = claim(store, "one")
    assert again.execution.recoveries == 0
    assert keys(store, "one") == ["a"]
    with pytest.raises(LeaseLost):
        store.release("one", claimed.token)


def test_checkpoints_go_with_their_execution(store: SqlStore) -> None:
    claimed = running(store)
    store.checkpoint("one", claimed.token, [step("a")], [timer("t", 5)])
    store.database.run(checkpoints.metadata.tables["polos_executions"].delete())
    assert everything(store.database) == {name: [] for name in checkpoints.metadata.tables}
