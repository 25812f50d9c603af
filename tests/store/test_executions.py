"""Start, read and claim."""

from __future__ import annotations

import pytest

from polos.errors import ExecutionExists
from polos.model.outcome import Completed
from polos.model.records import ExecutionId, NewExecution, micros
from polos.model.states import Status
from polos.store.sql_store import SqlStore
from tests.store.scenes import (
    OTHER,
    OWNER,
    claim,
    edit,
    everything,
    new,
    now,
    parked,
    put,
    row,
    running,
    timer,
)
from tests.store.threads import errors, race
from tests.support.statements import statements

pytestmark = pytest.mark.pooled

ROUNDS = 20


def test_start_keeps_everything_that_was_given(store: SqlStore) -> None:
    given = NewExecution(
        id=ExecutionId("one"),
        workflow_id="flow",
        project_id="default",
        payload=b"\x00\xff payload",
        queue="slow",
        priority=7,
        session_id="session",
        user_id="user",
        deployment_id="blue",
        concurrency_key="customer",
        idempotency_key="order-1",
        initial_state=b"\x00state",
        parent_execution_id="parent",
        parent_step_key="kid",
        root_execution_id="root",
        root_workflow_id="root_flow",
        run_timeout_seconds=90,
        celery_options=b"\x00options",
        known_to_celery=True,
    )
    before = now(store.database)
    written, fresh = store.start(given)
    assert fresh
    assert store.get("one") == written
    assert before <= written.created_at <= now(store.database)
    stored = row(store.database, "one")
    for name in NewExecution.__slots__:
        if not name.endswith("_seconds") and name != "tags":
            assert stored[name] == getattr(given, name), name
            if hasattr(written, name):
                assert getattr(written, name) == getattr(given, name), name
    assert stored["deadline_at"] - stored["created_at"] == pytest.approx(micros(90), abs=micros(1))
    assert written.status is Status.QUEUED
    assert (written.claims, written.recoveries, written.wakeups) == (0, 0, 0)
    assert not (written.parent_waits or written.unannounced or written.cancel_requested)
    assert written.result is written.failure is written.started_at is written.finished_at is None


def test_start_is_one_statement(store: SqlStore) -> None:
    with statements(store.database) as sent:
        store.start(new("one"))
    assert len(sent) == 1


def test_an_idempotency_key_gives_the_execution_that_has_it(store: SqlStore) -> None:
    first, _ = store.start(new("one", idempotency_key="key"))
    again, fresh = store.start(new("two", idempotency_key="key", payload=b"other"))
    assert (again, fresh) == (first, False)
    assert store.get("two") is None


def test_an_idempotency_key_still_counts_after_the_end(store: SqlStore) -> None:
    claimed = running(store, "one", idempotency_key="key")
    store.commit(claimed.execution, claimed.token, Completed(b"done"))
    again, fresh = store.start(new("two", idempotency_key="key"))
    assert not fresh
    assert again.result == b"done"


def test_an_idempotency_key_belongs_to_a_workflow_and_a_project(store: SqlStore) -> None:
    other = SqlStore(store.database, "other")
    assert store.start(new("one", idempotency_key="key"))[1]
    assert store.start(new("two", idempotency_key="key", workflow_id="another"))[1]
    assert other.start(new("three", idempotency_key="key", project_id="other"))[1]
    assert store.start(new("four", idempotency_key="KEY"))[1]
    assert store.start(new("five", idempotency_key="key "))[1]


def test_one_idempotency_key_started_at_once_gives_one_execution(store: SqlStore) -> None:
    for turn in range(ROUNDS):
        starts = [new(f"{turn}-{n}", idempotency_key=f"key-{turn}") for n in range(3)]
        results = race(*(lambda it=it: store.start(it) for it in starts))
        assert not errors(results)
        assert sorted(fresh for _, fresh in results) == [False, False, True]
        assert len({execution.id for execution, _ in results}) == 1


def test_a_taken_id_is_an_error_that_changes_nothing(store: SqlStore) -> None:
    store.start(new("one"))
    before = everything(store.database)
    with pytest.raises(ExecutionExists) as caught:
        store.start(new("one", payload=b"other"))
    assert caught.value.execution_id == "one"
    with pytest.raises(ExecutionExists):
        store.start(new("one", idempotency_key="key"))
    with pytest.raises(ExecutionExists):
        SqlStore(store.database, "other").start(new("one", project_id="other"))
    assert everything(store.database) == before


def test_a_project_sees_only_its_own(store: SqlStore) -> None:
    other = SqlStore(store.database, "other")
    claimed = running(store, "one")
    store.commit(claimed.execution, claimed.token, Completed(b"done"))
    store.start(new("two"))
    assert other.get("one") is None
    assert other.ended(["one"]) == {}
    assert other.claim("two", "flow", OWNER, 60) is None
    assert other.cancel("two") == (False, ())
    edit(store.database, "two", dispatch_at=1)
    assert other.redispatch(10) == ()
    found = store.get("two")
    assert found is not None
    assert found.status is Status.QUEUED


def test_get_of_an_unknown_id(store: SqlStore) -> None:
    assert store.get("nobody") is None


def test_ids_are_compared_byte_for_byte(store: SqlStore) -> None:
    for name in ("a", "A", "a ", "é", "e\u0301"):
        store.start(new(name, payload=name.encode()))
    for name in ("a", "A", "a ", "é", "e\u0301"):
        found = store.get(name)
        assert found is not None
        assert (found.id, found.payload) == (name, name.encode())


def test_ended_gives_those_that_have_ended(store: SqlStore) -> None:
    one = running(store, "one")
    running(store, "two")
    store.commit(one.execution, one.token, Completed(b"done"))
    store.start(new("four"))
    assert store.cancel("four")[0]
    found = store.ended(["one", "two", "four", "nobody"])
    assert {name: execution.status for name, execution in found.items()} == {
        "one": Status.COMPLETED,
        "four": Status.CANCELLED,
    }
    assert found["one"] == store.get("one")
    assert store.ended([]) == {}


def test_a_claim_takes_the_lease(store: SqlStore) -> None:
    store.start(new("one"))
    before = now(store.database)
    claimed = store.claim("one", "flow", OWNER, 15)
    after = now(store.database)
    assert claimed is not None
    assert claimed.execution == store.get("one")
    assert claimed.execution.status is Status.RUNNING
    assert claimed.execution.claims == 1
    assert before <= claimed.now <= after
    assert before <= claimed.execution.started_at <= after
    stored = row(store.database, "one")
    assert stored["lease_token"] == claimed.token
    assert (stored["lease_owner"], stored["lease_worker"]) == (str(OWNER), "worker@a")
    assert before + micros(15) <= stored["lease_expires_at"] <= after + micros(15)
    assert stored["dispatch_at"] is None


def test_a_claim_is_one_statement(store: SqlStore) -> None:
    """Where there is no UPDATE … RETURNING: it begins, locks, writes and reads."""
    store.start(new("one"))
    with statements(store.database) as sent:
        claim(store, "one")
    assert len(sent) == (4 if store.database.dialect == "mariadb" else 1)


def test_claims_are_counted_and_the_first_start_is_kept(store: SqlStore) -> None:
    first = running(store)
    store.release("one", first.token)
    edit(store.database, "one", started_at=123)
    second = claim(store, "one")
    assert second.execution.claims == 2
    assert second.execution.started_at == 123
    assert second.token != first.token


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.QUEUED, Status.WAITING}))
def test_only_open_executions_are_claimed(store: SqlStore, status: Status) -> None:
    put(store.database, status)
    before = everything(store.database)
    assert store.claim("one", "flow", OWNER, 60) is None
    assert everything(store.database) == before


def test_a_claim_needs_the_right_workflow_project_and_id(store: SqlStore) -> None:
    store.start(new("one"))
    before = everything(store.database)
    assert store.claim("one", "another", OWNER, 60) is None
    assert store.claim("One", "flow", OWNER, 60) is None
    assert SqlStore(store.database, "other").claim("one", "flow", OWNER, 60) is None
    assert everything(store.database) == before
    claim(store, "one")


def test_a_waiting_execution_is_claimed_when_it_is_due_or_nearly(store: SqlStore) -> None:
    claimed = running(store)
    due = now(store.database) + micros(60)
    store.commit(claimed.execution, claimed.token, parked(timer("t", due), wake_at=due))
    assert store.claim("one", "flow", OWNER, 60) is None
    patient = SqlStore(store.database, early=30)
    assert patient.claim("one", "flow", OWNER, 60) is None
    early = SqlStore(store.database, early=90)
    taken = early.claim("one", "flow", OTHER, 60)
    assert taken is not None
    assert taken.execution.wake_at is None
    assert row(store.database, "one")["lease_owner"] == str(OTHER)


def test_a_wait_without_a_time_is_never_due(store: SqlStore) -> None:
    claimed = running(store)
    assert store.commit(claimed.execution, claimed.token, parked()) == ()
    assert SqlStore(store.database, early=1e9).claim("one", "flow", OWNER, 60) is None
    assert row(store.database, "one")["dispatch_at"] is None


def test_of_two_claims_at_once_one_wins(store: SqlStore) -> None:
    for turn in range(ROUNDS):
        name = f"one-{turn}"
        store.start(new(name))
        results = race(
            lambda name=name: store.claim(name, "flow", OWNER, 60),
            lambda name=name: store.claim(name, "flow", OTHER, 60),
        )
        assert not errors(results)
        [won] = [result for result in results if result is not None]
        stored = row(store.database, name)
        assert (stored["lease_token"], stored["claims"]) == (won.token, 1)
