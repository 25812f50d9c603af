"""A project as a whole: workers, counts, what is due and unclaimed."""

from __future__ import annotations

from sqlalchemy import update

from polos.model.records import micros
from polos.model.states import Status
from polos.model.workers import WorkerReport
from polos.store.overview import overview, projects_at_work, seen_workers
from polos.store.schema import workers
from polos.store.sql_store import SqlStore
from tests.store.scenes import FAR, edit, new, now, put

A = WorkerReport("worker@a", "owner-a", 4, 2, ("celery",), ("flow",))


def test_an_empty_project(store: SqlStore) -> None:
    found = overview(store.database, "default")
    assert found.workers == found.due == ()
    assert found.counts == {status.value: 0 for status in Status}
    assert found.workflows == frozenset()
    assert abs(found.now - now(store.database)) < micros(60)


def test_executions_are_counted_by_their_states(store: SqlStore) -> None:
    for status in Status:
        put(store.database, status, f"one {status.value}")
    put(store.database, Status.FAILED, "another failed")
    SqlStore(store.database, "other").start(new("elsewhere", project_id="other"))
    found = overview(store.database, "default")
    assert found.counts == {status.value: 1 for status in Status} | {"failed": 2}
    assert overview(store.database, "default", counted=False).counts == {}


def test_due_is_what_a_worker_could_claim_now(store: SqlStore) -> None:
    store.start(new("plain"))
    store.start(new("routed", queue="slow"))
    store.start(new("routed too", queue="slow"))
    store.start(new("later", delay_seconds=3600))
    put(store.database, Status.WAITING, "woken")
    edit(store.database, "woken", wake_at=1, dispatch_at=1, workflow_id="other")
    put(store.database, Status.WAITING, "asleep")
    edit(store.database, "asleep", wake_at=FAR, dispatch_at=FAR)
    put(store.database, Status.RUNNING, "running")
    edit(store.database, "routed", created_at=5)
    due = {(work.workflow_id, work.queue): work for work in overview(store.database, "default").due}
    assert {key: work.number for key, work in due.items()} == {
        ("flow", None): 1,
        ("flow", "slow"): 2,
        ("other", None): 1,
    }
    assert due["flow", "slow"].oldest == 5


def test_silent_workers_are_seen_with_their_silence(store: SqlStore) -> None:
    store.report(A)
    [found] = seen_workers(store.database, "default")
    assert found.report == A
    assert 0 <= found.silent < 60
    moment = now(store.database) - micros(100)
    store.database.run(update(workers).values(seen_at=moment))
    [found] = seen_workers(store.database, "default")
    assert 99 <= found.silent < 160
    assert projects_at_work(store.database) == ()
    store.database.run(update(workers).values(seen_at=moment - micros(86_400)))
    assert seen_workers(store.database, "default") == ()


def test_projects_that_have_workers(store: SqlStore) -> None:
    store.report(A)
    SqlStore(store.database, "another").report(A)
    assert projects_at_work(store.database) == ("another", "default")
    assert [it.report.name for it in seen_workers(store.database, "another")] == [A.name]
    store.register_workflows(["flow", "more"])
    assert overview(store.database, "default").workflows == {"flow", "more"}
    assert overview(store.database, "another").workflows == frozenset()
