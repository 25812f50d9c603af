"""Deleting what has ended: what goes, what stays, and in which portions."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from polos.model.outcome import Completed
from polos.model.records import Kind, Wait
from polos.model.states import ENDED, Status
from polos.store.outcomes import lock
from polos.store.schema import checkpoints
from polos.store.sql_store import SqlStore
from tests.store.scenes import edit, everything, new, now, put, running, step
from tests.store.threads import Background

DAY = 86_400.0
LONG_AGO = 5


def ended(store: SqlStore, id_: str, status: Status = Status.COMPLETED, **given: Any) -> None:
    put(store.database, status, id_, finished_at=LONG_AGO, **given)


def left(store: SqlStore) -> list[str]:
    return sorted(row[0] for row in everything(store.database)["polos_executions"])


def test_an_execution_goes_with_all_that_belongs_to_it(store: SqlStore) -> None:
    claimed = running(store, tags=("x",))
    store.checkpoint("one", claimed.token, [step("a")])
    store.keep_wait("one", claimed.token, Wait("w", Kind.TIMER, due_at=now(store.database)))
    store.commit(claimed.execution, claimed.token, Completed(b"r"), has_waits=False)
    edit(store.database, "one", finished_at=LONG_AGO)
    assert store.prune(DAY, 10) == 1
    assert not any(everything(store.database).values())


@pytest.mark.parametrize("status", sorted(Status))
def test_only_what_has_ended_goes(store: SqlStore, status: Status) -> None:
    put(store.database, status)
    if status in ENDED:
        edit(store.database, "one", finished_at=LONG_AGO)
    assert store.prune(DAY, 10) == (status in ENDED)
    assert left(store) == ([] if status in ENDED else ["one"])


def test_what_ended_lately_stays(store: SqlStore) -> None:
    ended(store, "old")
    for name, age in (("older", 1.01), ("newer", 0.99)):
        put(store.database, Status.FAILED, name)
        edit(store.database, name, finished_at=now(store.database) - round(age * DAY * 1_000_000))
    assert store.prune(DAY, 10) == 2
    assert left(store) == ["newer"]


def test_what_celery_has_not_stored_or_what_is_to_be_cancelled_below_it_stays(
    store: SqlStore,
) -> None:
    ended(store, "unannounced", unannounced=True)
    ended(store, "descends", Status.CANCELLED, cancel_descends=True)
    assert store.prune(DAY, 10) == 0


def test_what_is_locked_is_left_to_the_next_time(rows_store: SqlStore) -> None:
    store = rows_store
    for name in ("one", "two", "three"):
        ended(store, name)
    running(store, "open")
    with store.database.engine.begin() as other:
        lock(other, "one")
        lock(other, "open")
        pruning = Background(store.database, lambda: store.prune(DAY, 10))
        assert not pruning.is_blocked()
        assert pruning.result() == 2
    assert left(store) == ["one", "open"]
    assert store.prune(DAY, 10) == 1


def test_a_tree_goes_when_all_of_it_that_refers_to_the_other_has_ended(store: SqlStore) -> None:
    top, middle, low = ("top", "middle", "low")
    put(store.database, Status.WAITING, top)
    ended(store, middle, parent_execution_id=top, root_execution_id=top)
    ended(store, low, parent_execution_id=middle, root_execution_id=top)
    # Its parent, or its root, is open.
    assert store.prune(DAY, 10) == 0
    edit(store.database, top, status="completed", result=b"r", finished_at=LONG_AGO, wake_at=None)
    edit(store.database, low, status="waiting", result=None, finished_at=None)
    # Its child is open.
    assert store.prune(DAY, 10) == 1
    assert left(store) == [low, middle]
    edit(store.database, low, status="cancelled", finished_at=LONG_AGO)
    assert store.prune(DAY, 10) == 2


def test_the_end_of_its_root_does_not_let_it_go_while_its_parent_is_open(store: SqlStore) -> None:
    ended(store, "top")
    put(store.database, Status.WAITING, "middle", parent_execution_id="top")
    ended(store, "low", parent_execution_id="middle", root_execution_id="top")
    assert store.prune(DAY, 10) == 0


def test_only_the_own_project_is_pruned(store: SqlStore) -> None:
    store.start(new("foreign", project_id="theirs"))
    edit(store.database, "foreign", status="completed", result=b"r", finished_at=LONG_AGO)
    assert store.prune(DAY, 10) == 0
    assert SqlStore(store.database, "theirs").prune(DAY, 10) == 1


def test_it_goes_in_portions_the_oldest_first(store: SqlStore) -> None:
    for number in range(5):
        ended(store, f"e{number}")
        edit(store.database, f"e{number}", finished_at=10 - number)
    assert store.prune(DAY, 2) == 2
    assert left(store) == ["e0", "e1", "e2"]
    assert [store.prune(DAY, 2) for _ in range(3)] == [2, 1, 0]


def test_executions_of_many_steps_go_one_by_one(store: SqlStore) -> None:
    for name in ("a", "b", "c"):
        ended(store, name)
    fixed = {"kind": "step", "turn": 0, "value": b"v", "attempts": 1, "created_at": 1}
    rows = [
        {"execution_id": name, "step_key": f"s{n}", "position": n}
        for name in ("a", "b", "c")
        for n in range(3000)
    ]
    with store.database.engine.begin() as connection:
        connection.execute(insert(checkpoints), [fixed | it for it in rows])
    assert [store.prune(DAY, 10) for _ in range(4)] == [1, 1, 1, 0]
