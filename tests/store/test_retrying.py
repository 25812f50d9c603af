"""Trying a failed execution again: what is forgotten and kept, and what becomes of children."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update

from polos.errors import ExecutionNotFound, IllegalTransition, LeaseLost
from polos.model.outcome import Cancelled, Completed, Failed, TriedAgain
from polos.model.records import Checkpoint, Claimed, Failure, Kind, Micros, Wait
from polos.model.states import Status
from polos.store.database import Database
from polos.store.schema import checkpoints
from polos.store.sql_store import SqlStore
from tests.store.scenes import (
    FAILURE,
    OTHER,
    child_of,
    claim,
    edit,
    everything,
    keys,
    now,
    put,
    row,
    running,
    start_child,
    step,
    timer,
)
from tests.store.threads import errors, race

OWN = Failure("a mistake", "builtins.TypeError")
OK = b"1"


def of_step(key: str) -> Failure:
    return Failure("no luck", "builtins.ValueError", key, 3)


def fail(store: SqlStore, claimed: Claimed, rows: Sequence[Checkpoint], failure: Failure) -> None:
    """Record rows in their order, and fail."""
    for position, each in enumerate(rows, start=1):
        numbered = Checkpoint(
            each.step_key, each.kind, 0, position, each.value, each.failure, each.attempts
        )
        store.checkpoint(claimed.execution.id, claimed.token, [numbered])
    store.commit(claimed.execution, claimed.token, Failed(failure))


def failed(key: str) -> Checkpoint:
    return Checkpoint(key, Kind.STEP, failure=of_step(key), attempts=3)


def again(store: SqlStore, claimed: Claimed, failure: Failure = OWN) -> Any:
    """Commit that it is tried again in two seconds."""
    outcome = TriedAgain(failure, Micros(now(store.database) + 2_000_000), "tried again")
    return store.commit(claimed.execution, claimed.token, outcome)


def test_it_is_queued_again_under_its_id(store: SqlStore) -> None:
    fail(store, running(store), [step("one"), failed("two")], of_step("two"))
    edit(store.database, "one", recoveries=4, retries_used=2)
    before = row(store.database, "one")
    [hint] = store.retry("one")
    assert (hint.execution_id, hint.workflow_id, hint.countdown) == ("one", "flow", 0)
    after = row(store.database, "one")
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {
        "status",
        "failure",
        "finished_at",
        "dispatch_at",
        "retried",
        "retries_used",
        "recoveries",
    }
    assert (after["status"], after["retried"], after["retries_used"]) == ("queued", 1, 0)
    assert keys(store, "one") == ["one"]
    assert claim(store, "one").execution.claims == 2


FORGOTTEN: dict[str, tuple[list[Checkpoint], Failure, list[str]]] = {
    "the step that ended it": ([step("a"), failed("b")], of_step("b"), ["a"]),
    "not what its code had caught before": (
        [failed("caught"), step("instead"), failed("last")],
        of_step("last"),
        ["caught", "instead"],
    ),
    "what failed beside it": (
        [step("a"), failed("b"), step("beside"), failed("c")],
        of_step("b"),
        ["a", "beside"],
    ),
    "the cause of an error of its own": (
        [failed("caught"), step("instead"), failed("b"), step("clean")],
        Failure("wrapped", "MyError", cause="b"),
        ["caught", "instead", "clean"],
    ),
    "what nothing followed, where the cause is unknown": (
        [failed("caught"), step("instead"), failed("b"), failed("c")],
        OWN,
        ["caught", "instead"],
    ),
    "nothing, where nothing failed": ([step("a"), step("b")], OWN, ["a", "b"]),
    "all, where nothing succeeded": ([failed("a"), failed("b")], OWN, []),
    "as if derived values were not there": (
        [failed("a"), Checkpoint("id", Kind.UUID, value=OK)],
        OWN,
        ["id"],
    ),
    "nothing, where that step has no error": ([step("a")], of_step("a"), ["a"]),
}


@pytest.mark.parametrize("name", FORGOTTEN)
def test_what_is_forgotten(store: SqlStore, name: str) -> None:
    rows, failure, kept = FORGOTTEN[name]
    fail(store, running(store), rows, failure)
    store.retry("one")
    assert keys(store, "one") == kept


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.FAILED}))
def test_only_what_has_failed_can_be_retried(store: SqlStore, status: Status) -> None:
    put(store.database, status)
    before = everything(store.database)
    with pytest.raises(IllegalTransition, match=f"is {status}; retry is not possible: ") as caught:
        store.retry("one")
    assert (caught.value.execution_id, caught.value.status) == ("one", status)
    assert everything(store.database) == before


def test_what_is_not_there_can_not_be_retried(store: SqlStore) -> None:
    put(store.database, Status.FAILED)
    for other, id_ in ((store, "two"), (SqlStore(store.database, "theirs"), "one")):
        with pytest.raises(ExecutionNotFound):
            other.retry(id_)


def test_an_end_that_celery_has_not_stored_is_announced_first(store: SqlStore) -> None:
    fail(store, running(store, known_to_celery=True), [], OWN)
    with pytest.raises(IllegalTransition, match="Celery has not yet stored its end"):
        store.retry("one")
    store.announced("one")
    store.retry("one")
    claimed = claim(store, "one")
    store.commit(claimed.execution, claimed.token, Completed(OK))
    assert row(store.database, "one")["unannounced"]


def test_of_many_at_once_one_retries_it(database: Database) -> None:
    for turn in range(10):
        id_ = f"x{turn}"
        put(database, Status.FAILED, id_)
        stores = [SqlStore(database) for _ in range(4)]
        found = race(*(partial(it.retry, id_) for it in stores))
        assert [type(error) for error in errors(found)] == [IllegalTransition] * 3
        assert row(database, id_)["retried"] == 1


def test_its_time_begins_anew(store: SqlStore) -> None:
    fail(store, running(store, run_timeout_seconds=50), [], OWN)
    edit(store.database, "one", deadline_at=1)
    before = now(store.database)
    store.retry("one")
    deadline = row(store.database, "one")["deadline_at"]
    assert before + 50_000_000 <= deadline <= now(store.database) + 50_000_000


def test_of_one_whose_time_was_over_what_was_cancelled_with_it_is_forgotten(
    store: SqlStore,
) -> None:
    fail(store, running(store), [failed("caught"), step("a"), failed("late"), step("clean")], OWN)
    moments = {"caught": 10, "a": 20, "late": 40, "clean": 50}
    for key, moment in moments.items():
        _set_created(store, key, moment)
    edit(store.database, "one", cancel_requested_at=30)
    store.retry("one")
    assert keys(store, "one") == ["caught", "a", "clean"]
    assert row(store.database, "one")["cancel_requested_at"] is None


def _set_created(store: SqlStore, key: str, moment: int) -> None:
    store.database.run(
        update(checkpoints).where(checkpoints.c.step_key == key).values(created_at=moment)
    )


# -- children ----------------------------------------------------------------------------


def with_child(store: SqlStore, outcome: Any) -> None:
    """A parent that has failed beside a child that has come to ``outcome``."""
    parent = running(store, "parent")
    start_child(store, parent, child_of("parent", "child", "kid"))
    if outcome is not None:
        child = claim(store, "child")
        store.commit(child.execution, child.token, outcome)
    fresh = store.get("parent")
    assert fresh is not None
    failure = OWN if not isinstance(outcome, Failed) else of_step("kid")
    store.commit(fresh, parent.token, Failed(failure))


def test_a_failed_child_is_retried_with_its_parent(store: SqlStore) -> None:
    with_child(store, Failed(FAILURE))
    assert keys(store, "parent") == ["kid"]
    assert {hint.execution_id for hint in store.retry("parent")} == {"parent", "child"}
    assert row(store.database, "child")["status"] == Status.QUEUED
    rows, [wait] = store.load("parent")
    assert (rows, wait.kind, wait.target_id) == ((), Kind.CHILD, "child")
    child = claim(store, "child")
    assert child.execution.retried == 1
    store.commit(child.execution, child.token, Completed(OK))
    assert [it.value for it in store.load("parent")[0]] == [OK]


def test_grandchildren_are_retried_too(store: SqlStore) -> None:
    top = running(store, "top")
    start_child(store, top, child_of("top", "middle", "kid"))
    middle = claim(store, "middle")
    start_child(store, middle, child_of("middle", "low", "kid"))
    low = claim(store, "low")
    for claimed, failure in ((low, FAILURE), (middle, of_step("kid")), (top, of_step("kid"))):
        store.commit(claimed.execution, claimed.token, Failed(failure))
    assert {it.execution_id for it in store.retry("top")} == {"top", "middle", "low"}
    assert {row(store.database, it)["status"] for it in ("top", "middle", "low")} == {"queued"}


def test_a_child_that_completed_after_its_parent_had_failed_is_not_started_again(
    store: SqlStore,
) -> None:
    with_child(store, None)
    child = claim(store, "child")
    store.commit(child.execution, child.token, Completed(OK))
    assert [hint.execution_id for hint in store.retry("parent")] == ["parent"]
    [found] = store.load("parent")[0]
    assert (found.step_key, found.value, found.turn, found.position) == ("kid", OK, 1, 0)
    assert row(store.database, "parent")["wakeups"] == 1


def test_a_child_that_still_runs_is_waited_for_again(store: SqlStore) -> None:
    with_child(store, None)
    store.retry("parent")
    assert [wait.target_id for wait in store.load("parent")[1]] == ["child"]
    claim(store, "parent")
    child = claim(store, "child")
    store.commit(child.execution, child.token, Completed(OK))
    assert [it.value for it in store.load("parent")[0]] == [OK]


def test_a_cancelled_child_stays_cancelled(store: SqlStore) -> None:
    with_child(store, Cancelled())
    edit(
        store.database,
        "parent",
        failure=None,
        status="running",
        finished_at=None,
        lease_token="t",
        lease_expires_at=5,
    )
    found = store.get("parent")
    assert found is not None
    store.commit(found, "t", Failed(of_step("kid")))
    assert [hint.execution_id for hint in store.retry("parent")] == ["parent"]
    assert store.load("parent") == ((), ())
    assert row(store.database, "child")["status"] == Status.CANCELLED


def test_a_child_that_is_not_waited_for_is_left_alone(store: SqlStore) -> None:
    parent = running(store, "parent")
    kept = Checkpoint("kid", Kind.INVOKE, value=b'"child"', position=1)
    store.start_child("parent", parent.token, child_of("parent", "child"), kept)
    child = claim(store, "child")
    store.commit(child.execution, child.token, Failed(FAILURE))
    store.commit(parent.execution, parent.token, Failed(OWN))
    assert [hint.execution_id for hint in store.retry("parent")] == ["parent"]
    assert keys(store, "parent") == ["kid"]


# -- by itself ---------------------------------------------------------------------------


def test_it_waits_for_a_while_and_keeps_what_it_waits_for(store: SqlStore) -> None:
    claimed = running(store)
    store.checkpoint("one", claimed.token, [step("a", position=1)], [timer("t", 9)])
    store.checkpoint("one", claimed.token, [Checkpoint("b", Kind.STEP, 0, 2, failure=of_step("b"))])
    before = now(store.database)
    assert again(store, claimed, of_step("b")) == ()
    after = row(store.database, "one")
    assert (after["status"], after["retried"], after["retries_used"]) == ("waiting", 1, 1)
    assert after["wake_at"] >= before + 2_000_000
    assert after["dispatch_at"] == after["wake_at"] + 1_000_000
    assert after["lease_token"] is after["failure"] is after["finished_at"] is None
    assert keys(store, "one") == ["a"]
    assert [wait.step_key for wait in store.load("one")[1]] == ["t"]
    assert store.claim("one", "flow", OTHER, 60) is None


def test_the_step_that_failed_begins_anew_and_one_beside_it_goes_on(store: SqlStore) -> None:
    claimed = running(store)
    beside = Wait("beside", Kind.STEP, Micros(9), None, 1)
    tried = Wait("b", Kind.STEP, Micros(9), None, 2)
    store.checkpoint("one", claimed.token, [failed("b")], [tried, beside])
    again(store, claimed, of_step("b"))
    assert store.load("one") == ((), (beside,))


def test_its_failed_child_waits_as_long(store: SqlStore) -> None:
    parent = running(store, "parent")
    start_child(store, parent, child_of("parent", "child", "kid"))
    child = claim(store, "child")
    store.commit(child.execution, child.token, Failed(FAILURE))
    [hint] = again(store, parent, of_step("kid"))
    assert (hint.execution_id, hint.countdown > 1) == ("child", True)
    parent_row, child_row = row(store.database, "parent"), row(store.database, "child")
    assert child_row["status"] == parent_row["status"] == "waiting"
    assert child_row["wake_at"] == parent_row["wake_at"]
    assert [wait.target_id for wait in store.load("parent")[1]] == ["child"]


def test_one_that_is_cancelled_meanwhile_is_not_tried_again(store: SqlStore) -> None:
    claimed = running(store)
    store.cancel("one")
    before = everything(store.database)
    assert again(store, claimed) is None
    assert everything(store.database) == before


def test_without_the_lease_nothing_is_tried_again(store: SqlStore) -> None:
    claimed = running(store)
    edit(store.database, "one", lease_token="another")
    before = everything(store.database)
    with pytest.raises(LeaseLost):
        again(store, claimed)
    assert everything(store.database) == before


def test_what_was_deferred_is_written_with_it(store: SqlStore) -> None:
    claimed = running(store)
    outcome = TriedAgain(OWN, Micros(now(store.database) + 5), "again")
    rows = [Checkpoint("id", Kind.UUID, position=1, value=OK)]
    assert store.commit(claimed.execution, claimed.token, outcome, rows=rows) == ()
    assert keys(store, "one") == ["id"]


def test_a_child_that_ends_in_the_pause_does_not_cut_it_short(store: SqlStore) -> None:
    parent = running(store, "parent")
    for name in ("a", "b"):
        start_child(store, parent, child_of("parent", name, name))
    again(store, parent)
    child = claim(store, "a")
    store.commit(child.execution, child.token, Completed(OK))
    assert row(store.database, "parent")["status"] == "waiting"
    assert [it.step_key for it in store.load("parent")[0]] == ["a"]
