"""Every state with every transition, and what the database itself refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from polos.errors import LeaseLost
from polos.model.outcome import Cancelled, Completed, Failed
from polos.model.records import Execution
from polos.model.states import (
    CLAIM,
    COMPLETE,
    END_CANCELLED,
    FAIL,
    GIVE_UP,
    PARK,
    RECLAIM,
    RELEASE,
    TRANSITIONS,
    WAKE,
    Status,
    Transition,
)
from polos.store.database import Database
from polos.store.executions import change
from polos.store.sql_store import SqlStore
from tests.store.scenes import FAILURE, OTHER, REFUSED, edit, everything, parked, put, row

STATUSES = sorted(Status)
by_name = {"ids": lambda it: it.name.replace(" ", "_")}


def statement(transition: Transition) -> Any:
    needed = {
        Status.RUNNING: {"lease_token": "new", "lease_expires_at": 9},
        Status.COMPLETED: {"result": b"r"},
        Status.FAILED: {"failure": b"f"},
    }
    return change(transition, **needed.get(transition.target, {}))


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("transition", TRANSITIONS, **by_name)
def test_a_state_changes_as_the_table_says(
    database: Database, transition: Transition, status: Status
) -> None:
    put(database, status)
    before = everything(database)
    named = {"the_id": "one"} | ({"the_token": "token"} if transition.fenced else {})
    database.run(statement(transition), named)
    if status in transition.sources:
        assert row(database, "one")["status"] == transition.target
    else:
        assert everything(database) == before


@pytest.mark.parametrize("transition", [t for t in TRANSITIONS if t.fenced], **by_name)
def test_only_the_holder_of_the_lease_makes_a_fenced_change(
    database: Database, transition: Transition
) -> None:
    put(database, Status.RUNNING)
    before = everything(database)
    for token in ("Token", "token ", ""):
        database.run(statement(transition), {"the_id": "one", "the_token": token})
    assert everything(database) == before


def _end(store: SqlStore, execution: Execution, outcome: Any) -> None:
    store.commit(execution, "token", outcome)


def _reclaim(store: SqlStore, execution: Execution) -> None:
    store.reclaim(execution, "token", 10)


# How callers make each change; cancelling has tests of its own.
OPERATIONS: dict[Transition, Callable[[SqlStore, Execution], Any]] = {
    CLAIM: lambda store, it: store.claim(it.id, "flow", OTHER, 60),
    PARK: lambda store, it: _end(store, it, parked(wake_at=9)),
    RELEASE: lambda store, it: store.release(it.id, "token"),
    COMPLETE: lambda store, it: _end(store, it, Completed(b"result")),
    FAIL: lambda store, it: _end(store, it, Failed(FAILURE)),
    END_CANCELLED: lambda store, it: _end(store, it, Cancelled()),
    WAKE: lambda store, _: store.wake_due(10),
    RECLAIM: _reclaim,
    GIVE_UP: lambda store, it: store.give_up(it.id, FAILURE),
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("transition", OPERATIONS, **by_name)
def test_an_operation_makes_its_change_or_none(
    store: SqlStore, transition: Transition, status: Status
) -> None:
    execution = put(store.database, status, dispatch_at=1)
    before = everything(store.database)
    if status in transition.sources or not transition.fenced:
        OPERATIONS[transition](store, execution)
    else:
        with pytest.raises(LeaseLost):
            OPERATIONS[transition](store, execution)
    if status in transition.sources:
        assert row(store.database, "one")["status"] == transition.target
    else:
        assert everything(store.database) == before


@pytest.mark.parametrize("transition", TRANSITIONS, **by_name)
def test_an_end_clears_what_belongs_to_an_open_execution(
    database: Database, transition: Transition
) -> None:
    [source, *_] = sorted(transition.sources)
    put(database, source)
    named = {"the_id": "one"} | ({"the_token": "token"} if transition.fenced else {})
    database.run(statement(transition), named)
    after = row(database, "one")
    assert (after["finished_at"] is not None) == transition.target.ended
    assert (after["lease_token"] is not None) == (transition.target is Status.RUNNING)
    if transition.target.ended:
        assert after["wake_at"] is after["dispatch_at"] is after["lease_owner"] is None
    if transition.target is Status.QUEUED:
        assert after["dispatch_at"] is not None
        assert after["wake_at"] is None


CONTRADICTIONS = [
    (status, change)
    for status in STATUSES
    for change in (
        {"finished_at": None if status.ended else 5},
        {"lease_token": None if status is Status.RUNNING else "token"},
        {"lease_expires_at": None if status is Status.RUNNING else 5},
        {"lease_token": "token", "lease_expires_at": 5} if status is not Status.RUNNING else None,
        {"result": None if status is Status.COMPLETED else b"result"},
        {"failure": None if status is Status.FAILED else b"failure"},
        {"status": "paused"},
        {"status": status.upper()},
    )
    if change
]


@pytest.mark.parametrize(
    ("status", "change"),
    CONTRADICTIONS,
    ids=lambda it: "+".join(it) if isinstance(it, dict) else it,
)
def test_the_database_refuses_contradictions(
    database: Database, status: Status, change: dict[str, Any]
) -> None:
    put(database, status)
    before = everything(database)
    with pytest.raises(REFUSED, match="polos_ck_"):
        edit(database, "one", **change)
    assert everything(database) == before


@pytest.mark.parametrize("status", STATUSES)
def test_a_bare_change_of_status_is_refused(database: Database, status: Status) -> None:
    put(database, status)
    open_ones = {Status.QUEUED, Status.WAITING}
    for other in set(STATUSES) - {status}:
        if {status, other} != open_ones:
            with pytest.raises(REFUSED, match="polos_ck_"):
                edit(database, "one", status=other.value)
