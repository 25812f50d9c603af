"""Children that are started together, and how many statements children cost."""

from __future__ import annotations

import pytest

from polos.errors import ExecutionExists, LeaseLost
from polos.model.outcome import Completed
from polos.model.records import Checkpoint, Kind, NewExecution, Wait
from polos.store import children
from polos.store.children import in_portions
from polos.store.prebuilt import run_in
from polos.store.sql_store import SqlStore
from tests.store.scenes import (
    child_of,
    claim,
    everything,
    new,
    parked,
    running,
    step,
)
from tests.store.threads import Background, errors, race
from tests.support.statements import statements

pytestmark = pytest.mark.pooled

Awaited = tuple[NewExecution, Wait]

# All that a parent can hand down, so that a column that is left out is seen.
FULL = {
    "workflow_id": "other",
    "payload": b"\x00payload",
    "queue": "slow",
    "priority": 3,
    "session_id": "s",
    "user_id": "u",
    "deployment_id": "d",
    "concurrency_key": "c",
    "initial_state": b"\x00state",
    "root_execution_id": "root",
    "root_workflow_id": "top",
    "run_timeout_seconds": 9.5,
    "celery_options": b"\x00options",
    "known_to_celery": True,
}


def awaited(number: int, parent: str = "parent", **given: object) -> Awaited:
    key, id_ = f"kid-{number}", f"{parent}-child-{number}"
    kept = Wait(key, Kind.CHILD, target_id=id_, started_at=7)
    return child_of(parent, id_, key, **given), kept


def many(count: int, parent: str = "parent") -> list[Awaited]:
    return [awaited(number, parent) for number in range(count)]


def cost_of_starting(store: SqlStore, count: int) -> int:
    name = f"parent-{count}"
    parent = running(store, name)
    with statements(store.database) as sent:
        started = store.start_children(name, parent.token, many(count, name))
    assert len(started) == count
    return len(sent)


def test_two_hundred_children_cost_as_many_statements_as_two(store: SqlStore) -> None:
    cost = {"postgresql": 1, "sqlite": 6, "mariadb": 6}[store.database.dialect]
    assert [cost_of_starting(store, count) for count in (1, 2, 200)] == [cost] * 3


@pytest.mark.parametrize("waits", [True, False], ids=["waits", "does not wait"])
def test_all_that_is_given_is_stored(store: SqlStore, waits: bool) -> None:
    parent = running(store, "parent")
    child, wait = awaited(1, **FULL)
    kept: Wait | Checkpoint = wait if waits else step(wait.step_key, position=1, attempts=1)
    started = store.start_child("parent", parent.token, child, kept)
    assert started == store.get(child.id)
    for name in set(FULL) - {"concurrency_key", "run_timeout_seconds"}:
        assert getattr(started, name) == FULL[name], name
    [stored] = [row for row in everything(store.database)["polos_executions"] if row[0] == child.id]
    assert "c" in stored
    recorded, waiting = store.load("parent")
    assert waiting == ((wait,) if waits else ())
    assert [row.value for row in recorded] == ([] if waits else [b"value"])
    assert started.parent_waits is waits


def test_the_same_children_again_change_nothing(store: SqlStore) -> None:
    parent = running(store, "parent")
    first = store.start_children("parent", parent.token, many(3))
    before = everything(store.database)
    assert store.start_children("parent", parent.token, many(3)) == first
    assert everything(store.database) == before
    # Some of them are new.
    assert set(store.start_children("parent", parent.token, many(5))) == {
        child.id for child, _ in many(5)
    }


def test_of_a_child_whose_id_is_taken_nothing_is_written(store: SqlStore) -> None:
    parent = running(store, "parent")
    taken = awaited(1)[0].id
    store.start(new(taken))
    stored = store.get(taken)
    started = store.start_children("parent", parent.token, many(3))
    assert set(started) == {child.id for child, _ in many(3)} - {taken}
    assert store.get(taken) == stored
    assert {wait.step_key for wait in store.load("parent")[1]} == {"kid-0", "kid-2"}
    with pytest.raises(ExecutionExists):
        store.start_child("parent", parent.token, *awaited(1))


def test_a_child_that_has_ended_is_not_awaited_again(store: SqlStore) -> None:
    """The answer to its start was lost, and came to its parent only after its end."""
    parent = running(store, "parent")
    store.start_child("parent", parent.token, *awaited(1))
    child = claim(store, awaited(1)[0].id)
    store.commit(child.execution, child.token, Completed(b"done"))
    before = everything(store.database)
    assert store.start_child("parent", parent.token, *awaited(1)).result == b"done"
    assert everything(store.database) == before


def test_without_the_lease_no_child_is_written(store: SqlStore) -> None:
    running(store, "parent")
    before = everything(store.database)
    with pytest.raises(LeaseLost):
        store.start_children("parent", "another", many(3))
    assert everything(store.database) == before


def test_who_takes_the_lease_waits_for_a_start_in_flight(postgres_store: SqlStore) -> None:
    store = postgres_store
    parent = running(store, "parent")
    ending = lambda: store.commit(parent.execution, parent.token, Completed(b"r"))  # noqa: E731
    with store.database.engine.begin() as connection:
        named = children._parameters("parent", parent.token, many(3))
        run_in(connection, children._statement(waited=True), named)
        other = Background(store.database, ending)
        assert other.is_blocked()
    other.result()
    assert len(store.ended(["parent"])) == 1


def test_in_a_race_each_child_is_made_once(store: SqlStore) -> None:
    parent = running(store, "parent")
    results = race(
        *(lambda: store.start_children("parent", parent.token, many(20)) for _ in range(4))
    )
    assert not errors(results)
    assert all(result == results[0] for result in results)
    assert len(store.load("parent")[1]) == 20


def test_a_transaction_is_bounded() -> None:
    heavy = [awaited(number, payload=b"x" * 600_000) for number in range(3)]
    assert [len(some) for some in in_portions(many(450))] == [200, 200, 50]
    assert [len(some) for some in in_portions(heavy)] == [1, 1, 1]
    assert [it for some in in_portions(many(450)) for it in some] == many(450)
    assert in_portions([]) == []


@pytest.mark.parametrize("park", [True, False], ids=["waiting", "running"])
@pytest.mark.parametrize("pace", [0.0, 30.0], ids=["at once", "at a pace"])
def test_the_end_of_a_child_costs_few_statements(store: SqlStore, park: bool, pace: float) -> None:
    """With BEGIN; on SQLite they are no round trips, which could be saved."""
    parent = running(store, "parent")
    store.start_children("parent", parent.token, many(12))
    if park:
        store.commit(parent.execution, parent.token, parked(pace=pace))
    child = claim(store, awaited(1)[0].id)
    with statements(store.database) as sent:
        store.commit(child.execution, child.token, Completed(b"r"), has_waits=False)
    # One to see whether it was the last one.
    more = int(park and pace > 0)
    few = {"postgresql": 3, "sqlite": 6 + more, "mariadb": 6 + more}
    assert len(sent) == few[store.database.dialect]
    assert sent[0][0].startswith("BEGIN")


@pytest.mark.parametrize("park", [True, False], ids=["parks", "ends"])
def test_a_parent_parks_and_ends_in_one_statement(postgres_store: SqlStore, park: bool) -> None:
    store = postgres_store
    parent = running(store, "parent")
    store.start_children("parent", parent.token, many(2))
    with statements(store.database) as sent:
        store.commit(parent.execution, parent.token, parked() if park else Completed(b"r"))
    assert len(sent) == 1
    assert len(store.load("parent")[1]) == (2 if park else 0)
