"""What is measured of a project: what it has open, and how long what ended took."""

from __future__ import annotations

from sqlalchemy import insert

from polos.model.measures import BOUNDS
from polos.model.records import SECOND, Micros
from polos.model.states import Status
from polos.model.workers import SweepCounts, WorkerReport
from polos.store.schema import checkpoints
from polos.store.sql_store import SqlStore
from tests.store.scenes import edit, new, put


def end(
    store: SqlStore, id_: str, took: float, at: int, *, status: Status = Status.COMPLETED
) -> None:
    """One that took so many seconds and ended at a moment, in seconds."""
    put(store.database, status, id_)
    finished = at * SECOND
    edit(store.database, id_, created_at=finished - int(took * SECOND), finished_at=finished)


def step(store: SqlStore, id_: str, key: str, took: float | None, attempts: int = 1) -> None:
    created = 1_000 * SECOND
    started = None if took is None else created - int(took * SECOND)
    row = {
        "execution_id": id_,
        "step_key": key,
        "kind": "step",
        "turn": 0,
        "position": 0,
        "value": b"1",
        "attempts": attempts,
        "started_at": started,
        "created_at": created,
    }
    store.database.run(insert(checkpoints).values(row))


def test_nothing(store: SqlStore) -> None:
    found = store.present()
    assert (found.open, found.due, found.workers, found.unstarted) == ({}, (), (), None)
    assert store.ended_between(Micros(0), found.now).executions == {}


def test_open_executions_are_counted_by_workflow_and_status(store: SqlStore) -> None:
    for status in Status:
        put(store.database, status, f"one {status.value}")
    store.start(new("queued too"))
    put(store.database, Status.WAITING, "of another workflow")
    edit(store.database, "of another workflow", workflow_id="other")
    SqlStore(store.database, "other").start(new("elsewhere", project_id="other"))
    assert store.present().open == {
        ("flow", "queued"): 2,
        ("flow", "running"): 1,
        ("flow", "waiting"): 1,
        ("other", "waiting"): 1,
    }


def test_the_oldest_that_nobody_has_taken(store: SqlStore) -> None:
    store.start(new("young"))
    store.start(new("old"))
    edit(store.database, "old", created_at=7)
    store.start(new("oldest, and taken before"))
    edit(store.database, "oldest, and taken before", created_at=5, started_at=6)
    assert store.present().unstarted == 7


def test_ends_are_counted_once_in_neighbouring_spans(store: SqlStore) -> None:
    for number, at in enumerate((10, 11, 12, 13)):
        end(store, f"at {at}", 1.0, at, status=Status.FAILED if number == 3 else Status.COMPLETED)
    spans = [(10, 12), (12, 13)]
    found = [store.ended_between(Micros(a * SECOND), Micros(b * SECOND)) for a, b in spans]
    assert {key: it.number for key, it in found[0].executions.items()} == {("flow", "completed"): 2}
    assert {key: it.number for key, it in found[1].executions.items()} == {("flow", "failed"): 1}


def test_durations_fall_into_their_buckets(store: SqlStore) -> None:
    for number, took in enumerate((0.001, 0.05, 0.3, 700.0, 9e6)):
        end(store, f"{number}", took, 20)
    [spread] = store.ended_between(Micros(0), Micros(20 * SECOND)).executions.values()
    assert spread.number == 5
    assert abs(spread.seconds - (0.001 + 0.05 + 0.3 + 700 + 9e6)) < 0.01
    by_bound = dict(zip(BOUNDS, spread.counts, strict=True))
    assert [by_bound[bound] for bound in (0.01, 0.05, 0.1, 0.5, 300, 1800, 2_592_000)] == [
        1,
        2,
        2,
        3,
        3,
        4,
        4,
    ]


def test_steps_of_what_ended_with_their_retries(store: SqlStore) -> None:
    end(store, "one", 5.0, 30)
    step(store, "one", "quick", 0.02)
    step(store, "one", "shaky", 2.0, attempts=3)
    step(store, "one", "took no time", None)
    put(store.database, Status.RUNNING, "still open")
    step(store, "still open", "not yet", 1.0)
    [(key, spread)] = store.ended_between(Micros(0), Micros(30 * SECOND)).steps.items()
    assert key == ("flow", "step")
    assert (spread.number, spread.retries) == (2, 2)
    assert abs(spread.seconds - 2.02) < 0.001


def test_what_a_worker_counted_comes_with_it(store: SqlStore) -> None:
    counts = SweepCounts(7, 0.25, 2, 11)
    store.report(WorkerReport("worker@a", "owner", 4, 2, counts=counts))
    [seen] = store.present().workers
    assert seen.report.counts == counts
