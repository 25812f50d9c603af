"""Cancelling against a child's end: the ancestor's row comes first, nobody waits in a circle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from polos.model.outcome import Cancelled, Completed
from polos.model.states import Status
from polos.store import database as database_module
from polos.store.outcomes import lock
from polos.store.schema import executions
from polos.store.sql_store import SqlStore
from tests.store.scenes import OWNER, family, keys, parked, row
from tests.store.threads import Background, errors, held, race

pytestmark = pytest.mark.pooled


@pytest.fixture
def conflicts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collects the deadlocks and serialization failures that were retried."""
    seen: list[str] = []
    whole = database_module.is_conflict

    def is_conflict(error: Any) -> bool:
        found = whole(error)
        if found:
            seen.append(str(error.orig))
        return found

    monkeypatch.setattr(database_module, "is_conflict", is_conflict)
    yield seen


def waiting_family(store: SqlStore, *, claimed: bool) -> Any:
    parent, child = family(store, claimed=claimed)
    assert store.commit(parent.execution, parent.token, parked()) == ()
    return child


def complete(store: SqlStore, child: Any) -> Any:
    return store.commit(child.execution, child.token, Completed(b"done"))


def is_free(store: SqlStore, execution_id: str) -> bool:
    """Whether nobody holds the row's lock."""
    query = select(executions.c.id).where(executions.c.id == execution_id)
    return bool(store.database.run(query.with_for_update(skip_locked=True)))


@pytest.mark.parametrize("how", ["end", "cancel"])
def test_who_ends_a_child_locks_the_parent_first(postgres_store: SqlStore, how: str) -> None:
    store = postgres_store
    child = waiting_family(store, claimed=how == "end")
    work = (lambda: complete(store, child)) if how == "end" else (lambda: store.cancel("child"))
    with store.database.engine.begin() as other:
        lock(other, "parent")
        ending = Background(store.database, work)
        assert ending.is_blocked()
        assert is_free(store, "child")
        assert not is_free(store, "parent")
    ending.result()
    assert row(store.database, "child")["status"] in {Status.COMPLETED, Status.CANCELLED}
    assert keys(store, "parent") == ["kid"]


def test_a_cancel_after_an_end_in_flight(store: SqlStore) -> None:
    child = waiting_family(store, claimed=True)
    with held(store.database, lambda: complete(store, child)) as ending:
        cancelling = Background(store.database, lambda: store.cancel("parent"))
        assert cancelling.is_blocked()
        ending.let_go()
    assert [hint.execution_id for hint in ending.result()] == ["parent"]
    assert cancelling.result() == (True, ())
    assert_sensible(store)
    assert row(store.database, "child")["status"] == Status.COMPLETED
    assert row(store.database, "parent")["wakeups"] == 2


def test_an_end_after_a_cancel_in_flight(store: SqlStore) -> None:
    child = waiting_family(store, claimed=True)
    with held(store.database, lambda: store.cancel("parent")) as cancelling:
        ending = Background(store.database, lambda: complete(store, child))
        assert ending.is_blocked()
        cancelling.let_go()
    found, hints = cancelling.result()
    assert found
    assert [hint.execution_id for hint in hints] == ["parent"]
    assert ending.result() == ()
    assert_sensible(store)
    assert row(store.database, "child")["status"] == Status.COMPLETED


IN_FLIGHT = {
    "claim": {"status": "running", "lease_token": "t", "lease_expires_at": 9, "claims": 1},
    "claim and release": {"claims": 1},
}


@pytest.mark.parametrize("what", IN_FLIGHT)
def test_a_claim_in_flight_beats_the_cancel_of_a_new_one(store: SqlStore, what: str) -> None:
    """Code that has begun to run gets the chance to clean up."""
    waiting_family(store, claimed=False)
    claim = executions.update().where(executions.c.id == "child").values(IN_FLIGHT[what])
    with held(
        store.database, lambda: store.database.transaction(lambda it: it.execute(claim))
    ) as claiming:
        cancelling = Background(store.database, lambda: store.cancel("child"))
        assert cancelling.is_blocked()
        claiming.let_go()
    assert cancelling.result() == (True, ())
    after = row(store.database, "child")
    assert after["status"] == IN_FLIGHT[what].get("status", Status.QUEUED)
    assert (after["wakeups"], after["cancel_requested_at"] is None) == (1, False)
    assert keys(store, "parent") == []


def test_the_cancel_of_a_new_one_in_flight_beats_its_claim(store: SqlStore) -> None:
    waiting_family(store, claimed=False)
    with held(store.database, lambda: store.cancel("child")) as cancelling:
        claiming = Background(store.database, lambda: store.claim("child", "flow", OWNER, 60))
        assert claiming.is_blocked()
        cancelling.let_go()
    assert cancelling.result()[0]
    assert claiming.result() is None
    assert row(store.database, "child")["status"] == Status.CANCELLED
    assert keys(store, "parent") == ["kid"]


@pytest.mark.parametrize("claimed", [True, False], ids=["running", "new"])
def test_in_a_race_all_come_to_their_end(
    store: SqlStore, conflicts: list[str], claimed: bool
) -> None:
    for _ in range(15):
        child = waiting_family(store, claimed=claimed)
        work = [lambda: store.cancel("parent"), lambda: store.cancel("child")]
        if claimed:
            work.append(lambda child=child: complete(store, child))
        results = race(*work)
        assert not errors(results)
        assert results[0][0]
        assert_sensible(store)
        empty(store)
    if store.database.dialect == "postgresql":
        assert conflicts == []


def assert_sensible(store: SqlStore) -> None:
    """The parent was told and can be claimed; the child ended, or was told; the end is known."""
    parent, child = row(store.database, "parent"), row(store.database, "child")
    assert parent["status"] == Status.QUEUED
    assert parent["cancel_requested_at"] is not None
    ended = Status(child["status"]).ended
    assert ended or child["cancel_requested_at"] is not None
    assert keys(store, "parent") == (["kid"] if ended else [])
    assert not parent["cancel_descends"]


def empty(store: SqlStore) -> None:
    for name in ("child", "parent"):
        store.database.run(executions.delete().where(executions.c.id == name))


def test_a_child_that_cleans_up_does_not_hold_its_cancelled_parent(store: SqlStore) -> None:
    child = waiting_family(store, claimed=True)
    store.cancel("parent")
    parent = store.claim("parent", "flow", OWNER, 60)
    assert parent is not None
    results = race(
        lambda: store.commit(parent.execution, parent.token, Cancelled()),
        lambda: store.commit(child.execution, child.token, Cancelled()),
    )
    assert not errors(results)
    assert results[1] == ()
    for name in ("parent", "child"):
        assert row(store.database, name)["status"] == Status.CANCELLED
