"""Forks: copies of what was recorded before a step, under a new id."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select

from polos.errors import ExecutionExists, ExecutionNotFound, StepNotFound
from polos.model.outcome import Completed, Failed
from polos.model.records import Checkpoint, Kind, Wait
from polos.model.states import Status
from polos.store.forking import Fork
from polos.store.schema import checkpoints, tags
from polos.store.sql_store import SqlStore
from tests.store.scenes import (
    FAILURE,
    child_of,
    claim,
    everything,
    keys,
    new,
    now,
    row,
    running,
    start_child,
    step,
    timer,
)
from tests.support.statements import statements

GIVEN: dict[str, Any] = {
    "queue": "slow",
    "priority": 7,
    "session_id": "session",
    "user_id": "user",
    "deployment_id": "blue",
    "concurrency_key": "customer",
    "initial_state": b"state",
    "payload": b"given",
}


def finished(store: SqlStore, **given: Any) -> None:
    """An execution of five steps, one of which failed and was caught."""
    claimed = running(store, **given)
    rows = [
        step("a", b"1", position=1),
        Checkpoint("id", Kind.UUID, 0, 2, b'"x"'),
        Checkpoint("caught", Kind.STEP, 0, 3, failure=FAILURE, attempts=3, history=b"[]"),
        step("b", b"2", turn=1, position=1),
        step("c", b"3", turn=3, position=1),
    ]
    for each in rows:
        store.checkpoint("one", claimed.token, [each])
    store.commit(claimed.execution, claimed.token, Completed(b"r"))


def fork(store: SqlStore, from_step: str | None = None, payload: bytes | None = None) -> Any:
    return store.fork(Fork("one", "two", from_step, payload))


def copied(store: SqlStore, id_: str) -> list[dict[str, Any]]:
    rows = store.database.run(
        select(checkpoints)
        .where(checkpoints.c.execution_id == id_)
        .order_by(checkpoints.c.turn, checkpoints.c.position)
    )
    return [{k: v for k, v in row._mapping.items() if k != "execution_id"} for row in rows]


@pytest.mark.parametrize(
    ("from_step", "kept"),
    [
        (None, []),
        ("a", []),
        ("id", ["a"]),
        ("caught", ["a", "id"]),
        ("b", ["a", "id", "caught"]),
        ("c", ["a", "id", "caught", "b"]),
    ],
)
def test_what_comes_before_the_step_is_copied(
    store: SqlStore, from_step: str | None, kept: list[str]
) -> None:
    finished(store)
    before = copied(store, "one")
    forked = fork(store, from_step)
    assert keys(store, "two") == kept
    assert copied(store, "two") == before[: len(kept)]
    assert copied(store, "one") == before
    assert (forked.id, forked.status, forked.claims) == ("two", Status.QUEUED, 0)
    assert forked == store.get("two")


def test_it_is_like_its_source_but_for_what_was_unique_to_that(store: SqlStore) -> None:
    finished(store, tags=("x", "y"), idempotency_key="once", run_timeout_seconds=50, **GIVEN)
    before = now(store.database)
    fork(store, "b")
    found = row(store.database, "two")
    assert {name: found[name] for name in GIVEN} == GIVEN
    assert (found["workflow_id"], found["forked_from"]) == ("flow", "one")
    assert (
        found["idempotency_key"] is found["parent_execution_id"] is found["celery_options"] is None
    )
    assert found["created_at"] >= before
    assert found["deadline_at"] - found["created_at"] == pytest.approx(50_000_000, abs=1000)
    rows = store.database.run(select(tags).where(tags.c.execution_id == "two"))
    assert sorted((it.tag, it.created_at) for it in rows) == [
        ("x", found["created_at"]),
        ("y", found["created_at"]),
    ]


def test_another_payload_takes_the_place_of_the_first(store: SqlStore) -> None:
    finished(store)
    assert fork(store, payload=b"other").payload == b"other"


def test_what_is_completed_from_outside_comes_after_what_was_copied(store: SqlStore) -> None:
    finished(store)
    fork(store, "c")
    claimed = claim(store, "two")
    assert not claimed.execution.is_fresh
    start_child(store, claimed, child_of("two", "child"))
    child = claim(store, "child")
    store.commit(child.execution, child.token, Completed(b"r"))
    assert keys(store, "two") == ["a", "id", "caught", "b", "kid"]


def test_an_unknown_step_is_refused_and_the_others_named(store: SqlStore) -> None:
    finished(store)
    before = everything(store.database)
    with pytest.raises(StepNotFound, match="no step 'x'; its steps: 'a', 'id', 'caught', 'b', 'c'"):
        fork(store, "x")
    assert everything(store.database) == before


def test_one_that_is_not_there_can_not_be_forked(store: SqlStore) -> None:
    finished(store)
    for other, id_ in ((store, "none"), (SqlStore(store.database, "theirs"), "one")):
        with pytest.raises(ExecutionNotFound):
            other.fork(Fork(id_, "two"))


@pytest.mark.parametrize("from_step", ["timer", "kid"])
def test_one_under_way_is_forked_from_what_it_waits_for(store: SqlStore, from_step: str) -> None:
    claimed = running(store)
    start_child(store, claimed, child_of("one", "child"))
    store.checkpoint("one", claimed.token, [step("a", position=1)], [timer("timer", 9)])
    before = everything(store.database)
    fork(store, from_step)
    assert keys(store, "two") == ["a"]
    assert store.load("two")[1] == ()
    after = everything(store.database)
    assert set(before["polos_executions"]) < set(after["polos_executions"])
    assert before["polos_waits"] == after["polos_waits"]


def test_before_its_first_step_has_ended_there_is_nothing_to_copy(store: SqlStore) -> None:
    claimed = running(store)
    store.keep_wait("one", claimed.token, Wait("a", Kind.STEP, due_at=None, target_id="x"))
    fork(store, "a")
    assert keys(store, "two") == []


def test_ten_thousand_steps_are_copied_in_one_statement(store: SqlStore) -> None:
    claimed = running(store)
    fixed = {"execution_id": "one", "kind": "step", "turn": 0, "value": b"v", "attempts": 1}
    rows = [{"step_key": f"s{n}", "position": n, "created_at": n} for n in range(10_000)]
    with store.database.engine.begin() as connection:
        connection.execute(insert(checkpoints), [fixed | it for it in rows])
    store.commit(claimed.execution, claimed.token, Failed(FAILURE))
    with statements(store.database) as sent:
        fork(store, "s9999")
    assert len(sent) < 10
    assert len(keys(store, "two")) == 9_999


def test_a_fork_of_a_fork_and_its_source_go_their_own_ways(store: SqlStore) -> None:
    finished(store)
    fork(store, "c")
    store.fork(Fork("two", "three", "b"))
    assert keys(store, "three") == ["a", "id", "caught"]
    assert row(store.database, "three")["forked_from"] == "two"


def test_one_that_is_asked_for_again_is_there_once(store: SqlStore) -> None:
    finished(store)
    first = fork(store, "b")
    assert fork(store, "b") == first
    assert len(copied(store, "two")) == 3


def test_a_taken_id_is_refused(store: SqlStore) -> None:
    finished(store)
    store.start(new("two"))
    with pytest.raises(ExecutionExists, match="'two'"):
        fork(store, "b")
    assert not copied(store, "two")
