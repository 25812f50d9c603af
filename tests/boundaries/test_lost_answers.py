"""What took effect although the answer of the database was lost: not done twice, not forgotten."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from polos.engine.contact import Contact
from polos.errors import ExecutionExists
from polos.model.records import Claimed, ExecutionId, NewExecution
from polos.model.states import Status
from polos.model.workers import Owner
from polos.store.database import Database
from polos.store.migrate import upgrade
from polos.store.sql_store import SqlStore
from tests.boundaries.traps import Boundaries, Fate, Side, Trap

OWNER = Owner("boot", "namespace", 41, 7, "worker@a")


def new(id_: str, **given: str) -> NewExecution:
    return NewExecution(ExecutionId(id_), "flow", "default", b"payload", **given)


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    database = Database(database_url)
    upgrade(database)
    yield SqlStore(database)
    database.close()


@contextmanager
def cut(store: SqlStore, side: Side) -> Iterator[None]:
    """The connection is lost before or after the next statement."""
    dialect = store.database.engine.dialect
    Boundaries(Trap(1, side, Fate.CUT)).watch(store.database.engine)
    yield
    for method in ("do_execute", "do_executemany", "do_execute_no_params", "do_commit"):
        delattr(dialect, method)


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("key", [None, "key"])
def test_a_start_is_done_once(store: SqlStore, side: Side, key: str | None) -> None:
    given = new("one") if key is None else new("one", idempotency_key=key)
    with cut(store, side):
        written, fresh = store.start(given)
    assert fresh
    assert written == store.get("one")


def test_a_taken_id_is_still_refused(store: SqlStore) -> None:
    store.start(NewExecution(ExecutionId("one"), "other", "default", b"payload"))
    with cut(store, Side.BEFORE), pytest.raises(ExecutionExists):
        store.start(new("one"))


def claim(store: SqlStore) -> Claimed | None:
    """As a worker claims, which waits for a database that is away."""
    tries = itertools.count()
    return Contact().insist(
        lambda: store.claim("one", "flow", OWNER, 15.0, token="mine", again=next(tries) > 0),
        lambda: False,
    )


@pytest.mark.parametrize("side", Side)
def test_a_claim_is_held_by_who_asked_for_it(store: SqlStore, side: Side) -> None:
    store.start(new("one"))
    with cut(store, side):
        claimed = claim(store)
    assert claimed is not None
    assert (claimed.execution.claims, claimed.execution.status) == (1, Status.RUNNING)
    store.release("one", claimed.token)


def test_a_claim_that_another_one_won_meanwhile_is_none(store: SqlStore) -> None:
    store.start(new("one"))
    store.claim("one", "flow", OWNER, 15.0)
    with cut(store, Side.BEFORE):
        assert claim(store) is None
