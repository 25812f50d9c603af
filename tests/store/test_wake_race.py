"""A child's end against its parent's park: no order of the two loses the wake-up."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Row, select

from polos.model.outcome import Completed, Outcome
from polos.model.records import Claimed, Hint, Kind, Wait
from polos.model.states import Status
from polos.store import outcomes, waking
from polos.store.executions import insert_execution
from polos.store.prebuilt import run_in
from polos.store.rows import wait_of
from polos.store.schema import executions, waits
from polos.store.sql_store import SqlStore
from tests.store.scenes import child_of, claim, family, keys, parked, row, running
from tests.store.threads import Background, errors, held, race

pytestmark = pytest.mark.pooled

FOR_CHILD = Wait("kid", Kind.CHILD, target_id="child")


def end(store: SqlStore, child: Claimed, outcome: Outcome | None = None) -> Any:
    return store.commit(child.execution, child.token, outcome or Completed(b"from the child"))


def park(store: SqlStore, parent: Claimed, *new: Wait, wakeups: int = 0) -> Any:
    return store.commit(parent.execution, parent.token, parked(*new, wakeups=wakeups))


def strangers(store: SqlStore) -> tuple[Claimed, Claimed]:
    """The same as a family, but the parent writes its wait only when it parks."""
    parent = running(store, "parent")
    store.database.transaction(
        lambda it: insert_execution(it, child_of("parent", "child"), parent_waits=True)
    )
    return parent, claim(store, "child")


def assert_completed(store: SqlStore) -> None:
    """The parent has what the child came to, and no longer waits for it."""
    [kept], waiting = store.load("parent")
    assert (kept.step_key, kept.value, kept.turn) == ("kid", b"from the child", 1)
    assert waiting == ()
    assert row(store.database, "parent")["wakeups"] == 1


def test_an_end_before_the_park_makes_the_park_stale(store: SqlStore) -> None:
    parent, child = family(store)
    assert end(store, child) == ()
    assert park(store, parent) is None
    assert store.seen("parent", parent.token) == (1, None)
    assert_completed(store)
    assert park(store, parent, wakeups=1) == ()
    assert row(store.database, "parent")["status"] == Status.WAITING


def test_an_end_after_the_park_queues_the_parent(store: SqlStore) -> None:
    parent, child = family(store)
    assert park(store, parent) == ()
    [hint] = end(store, child)
    assert (hint.execution_id, hint.workflow_id) == ("parent", "flow")
    assert row(store.database, "parent")["status"] == Status.QUEUED
    assert_completed(store)


def test_a_park_waits_for_an_end_in_flight_and_is_stale(store: SqlStore) -> None:
    parent, child = family(store)
    with held(store.database, lambda: end(store, child)) as ending:
        parking = Background(store.database, lambda: park(store, parent))
        assert parking.is_blocked()
        ending.let_go()
    assert ending.result() == ()
    assert parking.result() is None
    assert row(store.database, "parent")["status"] == Status.RUNNING
    assert_completed(store)


@pytest.mark.parametrize("where", [None, "INSERT INTO polos_waits"], ids=["commit", "its waits"])
def test_an_end_waits_for_a_park_in_flight_and_wakes(store: SqlStore, where: str | None) -> None:
    parent, child = strangers(store)
    with held(store.database, lambda: park(store, parent, FOR_CHILD), before=where) as parking:
        ending = Background(store.database, lambda: end(store, child))
        assert ending.is_blocked()
        parking.let_go()
    assert parking.result() == ()
    assert [hint.execution_id for hint in ending.result()] == ["parent"]
    assert row(store.database, "parent")["status"] == Status.QUEUED
    assert_completed(store)


def test_a_wake_from_a_snapshot_older_than_its_lock_would_be_lost(
    postgres_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same scene with the waker's two statements made one."""
    found: list[Wait] = []

    def lock_and_find(connection: Any, execution_id: str) -> Row[Any] | None:
        query = (
            select(executions, waits)
            .outerjoin(waits, waits.c.execution_id == executions.c.id)
            .where(executions.c.id == execution_id)
            .with_for_update(of=executions, key_share=True)
        )
        [locked] = connection.execute(query).all()
        if locked.step_key:
            found.append(wait_of(locked))
        return locked

    def end_child(connection: Any, parent: Any, child: Any, end: Any, values: Any, *rest: Any, **_):
        assert run_in(connection, end, values)
        return waking.tell_parent(connection, parent, child, *rest)

    store = postgres_store
    monkeypatch.setattr(store.database, "driven", store.database.transaction)
    monkeypatch.setattr(outcomes, "lock", lock_and_find)
    monkeypatch.setattr(outcomes, "end_child", end_child)
    monkeypatch.setattr(outcomes.waits, "take", lambda *_: bool(found))
    parent, child = strangers(store)
    with held(store.database, lambda: park(store, parent, FOR_CHILD)) as parking:
        ending = Background(store.database, lambda: end(store, child))
        assert ending.is_blocked()
        parking.let_go()
    ending.result()
    assert row(store.database, "child")["status"] == Status.COMPLETED
    assert keys(store, "parent") == []
    assert store.load("parent")[1] == (FOR_CHILD,)


def test_in_a_race_no_completion_goes_unseen(store: SqlStore) -> None:
    for turn in range(50):
        names = {"parent": f"parent-{turn}", "child": f"child-{turn}"}
        parent = running(store, names["parent"])
        wait = Wait("kid", Kind.CHILD, target_id=names["child"])
        kid = child_of(names["parent"], names["child"])
        store.start_child(names["parent"], parent.token, kid, wait)
        child = claim(store, names["child"])
        ended, stored = race(
            lambda child=child: end(store, child), lambda parent=parent: park(store, parent)
        )
        assert not errors([ended, stored])
        after = row(store.database, names["parent"])
        assert after["wakeups"] == 1
        assert keys(store, names["parent"]) == ["kid"]
        if stored is None:
            assert ended == ()
            assert after["status"] == Status.RUNNING
        else:
            assert [hint.execution_id for hint in ended] == [names["parent"]]
            assert after["status"] == Status.QUEUED


def test_children_that_end_at_once_get_turns_of_their_own(store: SqlStore) -> None:
    parent = running(store, "parent")
    children = []
    for number in range(4):
        name, key = f"child-{number}", f"kid-{number}"
        wait = Wait(key, Kind.CHILD, target_id=name)
        store.start_child("parent", parent.token, child_of("parent", name, key), wait)
        children.append(claim(store, name))
    assert park(store, parent) == ()
    results = race(*(lambda child=child: end(store, child) for child in children))
    assert not errors(results)
    hints: list[Hint] = [hint for result in results for hint in result]
    assert [hint.execution_id for hint in hints] == ["parent"]
    rows, waiting = store.load("parent")
    assert [found.turn for found in rows] == [1, 2, 3, 4]
    assert {found.step_key for found in rows} == {f"kid-{number}" for number in range(4)}
    assert waiting == ()
    assert row(store.database, "parent")["wakeups"] == 4


def test_a_completion_counts_even_where_no_wait_is_found(store: SqlStore) -> None:
    parent, child = strangers(store)
    assert park(store, parent) == ()
    [hint] = end(store, child)
    assert hint.execution_id == "parent"
    after = row(store.database, "parent")
    assert (after["status"], after["wakeups"]) == (Status.QUEUED, 1)
    assert keys(store, "parent") == []


def test_an_end_while_all_is_loaded_is_not_overlooked(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ends between the two reads is a wait, a checkpoint or both, but never neither."""
    _, child = family(store)
    whole = store.database.run
    asked: list[int] = []

    def run(*args: Any) -> Any:
        rows = whole(*args)
        asked.append(1)
        if len(asked) == 1:
            end(store, child)
        return rows

    monkeypatch.setattr(store.database, "run", run)
    recorded, waiting = store.load("parent")
    assert {found.step_key for found in (*recorded, *waiting)} == {"kid"}
