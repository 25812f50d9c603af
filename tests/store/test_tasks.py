"""A task's end against what its execution does meanwhile: it counts once, and is not overlooked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from polos.model.outcome import Completed
from polos.model.records import Claimed, Kind, Micros, Wait
from polos.model.states import Status
from polos.store.sql_store import SqlStore
from tests.store.scenes import FAILURE, claim, everything, keys, now, parked, row, running
from tests.store.threads import Background, errors, held, race

TASK = Wait("charge", Kind.TASK, target_id="task", started_at=Micros(7))


def waiting(store: SqlStore, execution_id: str = "one", *tasks: Wait) -> Claimed:
    """An execution that runs, and is about to wait for tasks that were sent."""
    claimed = running(store, execution_id)
    store.keep_waits(execution_id, claimed.token, tasks or (TASK,))
    return claimed


def park(store: SqlStore, claimed: Claimed, **given: Any) -> Any:
    return store.commit(claimed.execution, claimed.token, parked(**given))


def complete(store: SqlStore, execution_id: str = "one", **given: Any) -> Any:
    named = {"step_key": "charge", "task_id": "task", "outcome": b"paid", **given}
    return store.complete_task(execution_id, **named)


def assert_paid(store: SqlStore, execution_id: str = "one") -> None:
    [kept], pending = store.load(execution_id)
    assert (kept.step_key, kept.kind, kept.value) == ("charge", Kind.TASK, b"paid")
    assert (kept.turn, kept.position, kept.started_at) == (1, 0, 7)
    assert pending == ()
    assert row(store.database, execution_id)["wakeups"] == 1


def test_an_end_wakes_the_execution(store: SqlStore) -> None:
    assert park(store, waiting(store)) == ()
    [hint] = complete(store, attempts=3)
    assert (hint.execution_id, hint.workflow_id) == ("one", "flow")
    assert row(store.database, "one")["status"] == Status.QUEUED
    assert_paid(store)
    assert store.load("one")[0][0].attempts == 3


def test_a_failure_is_kept(store: SqlStore) -> None:
    park(store, waiting(store))
    complete(store, outcome=FAILURE)
    [kept] = store.load("one")[0]
    assert (kept.value, kept.failure) == (None, FAILURE)


def test_the_second_end_does_nothing(store: SqlStore) -> None:
    park(store, waiting(store))
    complete(store)
    before = everything(store.database)
    assert complete(store, outcome=b"twice") == ()
    assert everything(store.database) == before


@pytest.mark.parametrize(
    "other",
    [{"task_id": "another"}, {"step_key": "refund"}, {"task_id": "TASK"}, {"step_key": "Charge"}],
    ids=["task", "step", "case of the task", "case of the step"],
)
def test_what_is_not_waited_for_does_nothing(store: SqlStore, other: dict[str, Any]) -> None:
    park(store, waiting(store))
    before = everything(store.database)
    assert complete(store, **other) == ()
    assert everything(store.database) == before


def test_a_childs_wait_is_none_of_a_tasks(store: SqlStore) -> None:
    park(store, waiting(store, "one", Wait("charge", Kind.CHILD, target_id="task")))
    assert complete(store) == ()
    assert row(store.database, "one")["status"] == Status.WAITING


def test_no_such_execution_is_told_apart(store: SqlStore) -> None:
    park(store, waiting(store))
    before = everything(store.database)
    assert complete(store, "another") is None
    assert complete(SqlStore(store.database, "another project")) is None
    assert everything(store.database) == before


def test_one_that_has_ended_stays_as_it_is(store: SqlStore) -> None:
    claimed = waiting(store)
    store.commit(claimed.execution, claimed.token, Completed(b"result"))
    before = everything(store.database)
    assert complete(store) == ()
    assert everything(store.database) == before


def test_an_end_while_it_runs_makes_its_park_stale(store: SqlStore) -> None:
    claimed = waiting(store)
    assert complete(store) == ()
    assert park(store, claimed) is None
    assert_paid(store)
    assert park(store, claimed, wakeups=1) == ()


def test_a_park_waits_for_an_end_in_flight_and_is_stale(store: SqlStore) -> None:
    claimed = waiting(store)
    with held(store.database, lambda: complete(store)) as ending:
        parking = Background(store.database, lambda: park(store, claimed))
        assert parking.is_blocked()
        ending.let_go()
    assert (ending.result(), parking.result()) == ((), None)
    assert row(store.database, "one")["status"] == Status.RUNNING
    assert_paid(store)


def test_an_end_waits_for_a_park_in_flight_and_wakes(store: SqlStore) -> None:
    claimed = waiting(store)
    with held(store.database, lambda: park(store, claimed, settled=["pause"])) as parking:
        ending = Background(store.database, lambda: complete(store))
        assert ending.is_blocked()
        parking.let_go()
    assert parking.result() == ()
    assert [hint.execution_id for hint in ending.result()] == ["one"]
    assert row(store.database, "one")["status"] == Status.QUEUED
    assert_paid(store)


def test_in_a_race_no_end_goes_unseen_and_none_counts_twice(store: SqlStore) -> None:
    for turn in range(20):
        name = f"one-{turn}"
        claimed = waiting(store, name)
        *ends, stored = race(
            lambda name=name: complete(store, name),
            lambda name=name: complete(store, name),
            lambda claimed=claimed: park(store, claimed),
        )
        assert not errors([*ends, stored])
        woken = [hint.execution_id for hints in ends for hint in hints]
        status = row(store.database, name)["status"]
        assert (woken, status) == (
            ([], Status.RUNNING) if stored is None else ([name], Status.QUEUED)
        )
        assert_paid(store, name)


def test_many_ends_wake_it_at_its_pace(store: SqlStore) -> None:
    tasks = [Wait(f"task-{n}", Kind.TASK, target_id=f"id-{n}") for n in range(3)]
    claimed = waiting(store, "one", *tasks)
    assert park(store, claimed, pace=60.0) == ()
    [first] = complete(store, step_key="task-0", task_id="id-0")
    assert first.countdown > 50
    assert complete(store, step_key="task-1", task_id="id-1") == ()
    assert row(store.database, "one")["status"] == Status.WAITING
    [last] = complete(store, step_key="task-2", task_id="id-2")
    assert last.countdown == 0
    assert row(store.database, "one")["status"] == Status.QUEUED


def test_that_it_was_sent_is_noted(store: SqlStore) -> None:
    claimed = waiting(store)
    due = Micros(now(store.database) + 1)
    sent = Wait("charge", Kind.TASK, due, "task", 1, started_at=Micros(7))
    store.sent("one", claimed.token, [sent])
    assert store.load("one")[1] == (sent,)


def test_a_worker_that_lost_its_lease_notes_nothing(store: SqlStore) -> None:
    claimed = waiting(store)
    store.release("one", claimed.token)
    claim(store, "one")
    store.sent("one", claimed.token, [Wait("charge", Kind.TASK, None, "task", 1)])
    assert store.load("one")[1] == (TASK,)


def test_what_has_ended_is_not_noted_as_sent(store: SqlStore) -> None:
    claimed = waiting(store)
    complete(store)
    store.sent("one", claimed.token, [Wait("charge", Kind.TASK, None, "task", 1)])
    assert store.load("one")[1] == ()
    assert keys(store, "one") == ["charge"]


def test_that_several_were_sent_is_noted_at_once(store: SqlStore) -> None:
    tasks = [Wait(f"all[{n}]", Kind.TASK, target_id=f"id-{n}") for n in range(3)]
    claimed = waiting(store, "one", *tasks)
    complete(store, step_key="all[1]", task_id="id-1")
    due = Micros(now(store.database) + 1)
    store.sent("one", claimed.token, [replace(it, attempts=1, due_at=due) for it in tasks])
    noted = {it.step_key: (it.attempts, it.due_at) for it in store.load("one")[1]}
    assert noted == {"all[0]": (1, due), "all[2]": (1, due)}
    store.sent("one", "another", [replace(it, attempts=2) for it in tasks])
    assert {it.attempts for it in store.load("one")[1]} == {1}
