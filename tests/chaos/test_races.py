"""Bugs that show in a race of microseconds: the store is driven straight into it, and then judged.

The races and their bugs are those of ``tests/store``; here what they leave behind is the evidence.
What the ledger would hold is written by hand, as the loaded checkpoints say what would be run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Row, select

from polos.model.outcome import Completed
from polos.model.records import Kind, Wait
from polos.model.workers import Owner
from polos.store import checkpoints, outcomes, waking
from polos.store.database import Database
from polos.store.executions import insert_execution
from polos.store.migrate import upgrade
from polos.store.prebuilt import run_in
from polos.store.rows import wait_of
from polos.store.schema import executions, waits
from polos.store.sql_store import SqlStore
from tests.chaos import audit, ledger
from tests.chaos.evidence import Evidence, collect
from tests.chaos.invariants import ended_right, never_again
from tests.chaos.ledger import Ledger, Scribe
from tests.chaos.stream import Started
from tests.store.scenes import OTHER, OWNER, child_of, claim, keys, parked, running, step
from tests.store.threads import Background, held
from tests.support.servers import PostgresServer

PAYLOAD = b"{}"


@pytest.fixture
def store(postgres_server: PostgresServer) -> Iterator[SqlStore]:
    """An empty database of its own, with the audit's triggers."""
    with postgres_server.fresh_database() as url:
        database = Database(url)
        upgrade(database)
        audit.install(database.engine)
        yield SqlStore(database)
        database.close()


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv(ledger.VARIABLE, str(tmp_path / "ledger"))
    return Ledger(tmp_path / "ledger")


def evidence(store: SqlStore, book: Ledger) -> Evidence:
    return collect(store.database.engine, book, Started())


def write_as(owner: Owner, execution: str) -> None:
    """The ledger of an attempt of another process that runs the step ``effect``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger.os, "getpid", lambda: owner.pid)
        Scribe(execution).work("effect")


def zombie_and_heir(store: SqlStore) -> None:
    """A write is in flight when the execution is taken over; the heir runs what it does not see."""
    zombie = running(store, payload=PAYLOAD)
    write_as(OWNER, "one")

    def take_over() -> list[str]:
        for execution, token in store.lost([str(OWNER)], trust_expiry=False):
            store.reclaim(execution, token, 10)
        claim(store, "one", owner=OTHER)
        return keys(store, "one")

    with store.database.engine.begin() as connection:
        checkpoints.write(connection, "one", zombie.token, [step("effect")])
        heir = Background(store.database, take_over)
        heir.is_blocked()
    if "effect" not in heir.result():
        write_as(OTHER, "one")


def test_with_the_fence_nothing_runs_again(store: SqlStore, book: Ledger) -> None:
    zombie_and_heir(store)
    assert never_again(evidence(store, book)) == []


@pytest.fixture
def fence_without_lock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The fence as it would be if it only read the token."""
    monkeypatch.setattr(checkpoints, "fence", checkpoints.holds_lease)
    checkpoints._insert.cache_clear()
    yield
    checkpoints._insert.cache_clear()


@pytest.mark.usefixtures("fence_without_lock")
def test_a_fence_without_lock_is_found(store: SqlStore, book: Ledger) -> None:
    zombie_and_heir(store)
    found = never_again(evidence(store, book))
    assert any("'effect' was recorded as no. 2, and ran again" in text for text in found)


def park_and_end(store: SqlStore) -> None:
    """A child ends while its parent is parking with the wait for it."""
    parent = running(store, "parent", payload=PAYLOAD)
    kid = child_of("parent", "child", payload=PAYLOAD)
    wait = Wait("kid", Kind.CHILD, target_id="child")
    store.database.transaction(lambda it: insert_execution(it, kid, parent_waits=True))
    child = claim(store, "child")
    with held(
        store.database, lambda: store.commit(parent.execution, parent.token, parked(wait))
    ) as parking:
        ending = Background(
            store.database, lambda: store.commit(child.execution, child.token, Completed(b"1"))
        )
        assert ending.is_blocked()
        parking.let_go()
    ending.result()
    # Whoever is woken is claimed and, having all that it waited for, ends.
    after = store.claim("parent", "flow", OTHER, 60)
    if after is not None and keys(store, "parent") == ["kid"]:
        store.commit(after.execution, after.token, Completed(b"1"))


def test_with_two_statements_a_parent_is_woken(store: SqlStore, book: Ledger) -> None:
    park_and_end(store)
    assert ended_right(evidence(store, book)) == []


def test_a_wake_in_one_statement_is_found(
    store: SqlStore, book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Wait] = []

    def lock_and_find(connection: Connection, execution_id: str) -> Row[Any]:
        query = (
            select(executions, waits)
            .outerjoin(waits, waits.c.execution_id == executions.c.id)
            .where(executions.c.id == execution_id)
            .with_for_update(of=executions, key_share=True)
        )
        [locked] = connection.execute(query).all()
        found.extend([wait_of(locked)] if locked.step_key else [])
        return locked

    def end_child(connection: Any, parent: Any, child: Any, end: Any, values: Any, *rest: Any, **_):
        assert run_in(connection, end, values)
        return waking.tell_parent(connection, parent, child, *rest)

    monkeypatch.setattr(store.database, "driven", store.database.transaction)
    monkeypatch.setattr(outcomes, "lock", lock_and_find)
    monkeypatch.setattr(outcomes, "end_child", end_child)
    monkeypatch.setattr(outcomes.waits, "take", lambda *_: bool(found))
    park_and_end(store)
    assert ended_right(evidence(store, book)) == [
        "a: flow parent: it is running, not completed: None"
    ]
