"""Workers' reports, the sweep's leadership, and the workflows that are known."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import update

from polos.model.records import micros
from polos.model.workers import SweepCounts, WorkerReport
from polos.store.schema import leaders, workers
from polos.store.sql_store import SqlStore
from tests.store.scenes import now
from tests.store.threads import errors, race

A = WorkerReport("worker@a", "owner-a", 4, 2, ("celery", 'ü,"x"'), ("flow", "other"))
B = WorkerReport("worker@b", "owner-b", 8, 0)


def seen(store: SqlStore, name: str, seconds_ago: float) -> None:
    moment = now(store.database) - micros(seconds_ago)
    store.database.run(update(workers).where(workers.c.name == name).values(seen_at=moment))


def test_reports_are_kept_one_for_each_worker(store: SqlStore) -> None:
    store.report(A)
    store.report(B)
    assert set(store.alive(10)) == {A, B}
    busier = WorkerReport(A.name, "owner-a2", 5, 0, ("celery",), ())
    store.report(busier)
    assert set(store.alive(10)) == {busier, B}


def test_workers_of_other_releases_are_seen(store: SqlStore) -> None:
    for worker, counts in ((A, None), (B, '{"sweeps": 3, "counted_by_a_newer_one": 1}')):
        store.report(worker)
        named = update(workers).where(workers.c.name == worker.name)
        store.database.run(named.values(counts=counts))
    assert set(store.alive(10)) == {A, replace(B, counts=SweepCounts(sweeps=3))}


def test_a_silent_worker_is_not_alive_until_it_reports_again(store: SqlStore) -> None:
    store.report(A)
    store.report(B)
    seen(store, A.name, 11)
    seen(store, B.name, 9)
    assert store.alive(10) == (B,)
    store.report(A)
    assert set(store.alive(10)) == {A, B}


def test_reports_belong_to_a_project(store: SqlStore) -> None:
    other = SqlStore(store.database, "other")
    store.report(A)
    assert other.alive(10) == ()
    other.report(A)
    other.sign_off(A.name, A.owner)
    assert store.alive(10) == (A,)


def test_first_reports_at_once_are_one_row(store: SqlStore) -> None:
    results = race(*(lambda: store.report(A) for _ in range(4)))
    assert not errors(results)
    assert store.alive(10) == (A,)


def test_one_holder_leads_and_keeps_it(store: SqlStore) -> None:
    assert store.lead("sweep", "a", 5)
    assert store.lead("sweep", "a", 5)
    assert not store.lead("sweep", "b", 5)
    assert store.lead("prune", "b", 5)
    assert SqlStore(store.database, "other").lead("sweep", "b", 5)


def expire(store: SqlStore) -> None:
    store.database.run(update(leaders).values(expires_at=now(store.database) - 2000))


def test_a_leader_that_fell_silent_is_followed_by_another(store: SqlStore) -> None:
    store.lead("sweep", "a", 5)
    expire(store)
    assert store.lead("sweep", "b", 5)
    assert not store.lead("sweep", "a", 5)


def test_a_leader_that_was_late_goes_on_if_nobody_came(store: SqlStore) -> None:
    store.lead("sweep", "a", 5)
    expire(store)
    assert store.lead("sweep", "a", 5)
    assert not store.lead("sweep", "b", 5)


def test_who_signs_off_hands_over_at_once(store: SqlStore) -> None:
    store.report(A)
    store.report(B)
    store.lead("sweep", A.owner, 500)
    store.sign_off(B.name, B.owner)
    assert not store.lead("sweep", B.owner, 5)
    store.sign_off(A.name, A.owner)
    assert store.alive(10) == ()
    assert store.lead("sweep", B.owner, 5)


def test_of_many_at_once_one_leads(store: SqlStore) -> None:
    for turn in range(10):
        duty = f"sweep-{turn}"
        for _ in range(2):
            results = race(
                *(lambda n=n, duty=duty: store.lead(duty, f"holder-{n}", 5) for n in range(4))
            )
            assert not errors(results)
            assert sum(results) == 1
            expire(store)


def test_known_workflows_are_all_that_some_worker_had(store: SqlStore) -> None:
    assert store.known_workflows() == frozenset()
    store.register_workflows(["a", "b"])
    store.register_workflows(["b", "c"])
    store.register_workflows([])
    assert store.known_workflows() == {"a", "b", "c"}
    assert SqlStore(store.database, "other").known_workflows() == frozenset()


def test_workers_that_start_at_once_register_all_they_have(store: SqlStore) -> None:
    for turn in range(10):
        names = [[f"{turn}-{(shift + n) % 6}" for n in range(4)] for shift in range(6)]
        results = race(*(lambda these=these: store.register_workflows(these) for these in names))
        assert not errors(results)
        assert {f"{turn}-{n}" for n in range(6)} <= store.known_workflows()


def test_a_generator_of_ids_is_registered_whole(store: SqlStore) -> None:
    store.register_workflows(name for name in ("a", "b"))
    assert store.known_workflows() == {"a", "b"}
