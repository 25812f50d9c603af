"""A worker that lost its lease and does not know it yet: its writes against the next owner's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from polos.errors import LeaseLost
from polos.model.outcome import Completed, Failed
from polos.model.records import Kind, Wait
from polos.model.states import RECLAIM, Status
from polos.store import checkpoints
from polos.store.executions import change
from polos.store.sql_store import SqlStore
from tests.store.scenes import (
    FAILURE,
    OTHER,
    OWNER,
    child_of,
    claim,
    everything,
    keys,
    parked,
    row,
    running,
    step,
    timer,
)
from tests.store.threads import Background, errors, held, race

pytestmark = pytest.mark.pooled


def take_over(store: SqlStore) -> list[str]:
    """Reclaim what is lost and claim it again; the checkpoints that the new owner starts from."""
    for execution, token in store.lost([str(OWNER)], trust_expiry=False):
        store.reclaim(execution, token, 10)
    claim(store, "one", owner=OTHER)
    return keys(store, "one")


def zombie_writes_first(store: SqlStore) -> tuple[bool, list[str], list[str]]:
    """The insert is in flight when another worker takes over.

    Gives whether that one had to wait, what it loaded, and what is stored in the end.
    """
    claimed = running(store)
    with store.database.engine.begin() as zombie:
        checkpoints.write(zombie, "one", claimed.token, [step("effect")])
        successor = Background(store.database, lambda: take_over(store))
        had_to_wait = successor.is_blocked()
    loaded = successor.result()
    return had_to_wait, loaded, keys(store, "one")


def zombie_writes_last(store: SqlStore) -> tuple[bool, BaseException | None, list[str]]:
    """The lease is being taken away when the zombie's insert comes.

    Gives whether it had to wait, what it raised, and what is stored in the end.
    """
    claimed = running(store)

    def reclaim(connection: Connection) -> None:
        connection.execute(change(RECLAIM), {"the_id": "one"})

    with held(store.database, lambda: store.database.transaction(reclaim)) as successor:
        zombie = Background(
            store.database, lambda: store.checkpoint("one", claimed.token, [step("effect")])
        )
        had_to_wait = zombie.is_blocked()
        successor.let_go()
        successor.result()
    claim(store, "one", owner=OTHER)
    try:
        zombie.result()
    except LeaseLost as error:
        return had_to_wait, error, keys(store, "one")
    return had_to_wait, None, keys(store, "one")


def test_the_next_owner_waits_for_a_write_in_flight_and_sees_it(store: SqlStore) -> None:
    assert zombie_writes_first(store) == (True, ["effect"], ["effect"])


def test_a_write_that_comes_while_the_lease_is_taken_is_refused(store: SqlStore) -> None:
    had_to_wait, error, stored = zombie_writes_last(store)
    assert had_to_wait
    assert isinstance(error, LeaseLost)
    assert stored == []


@pytest.fixture
def fence_without_lock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The fence as it would be if it only read the token."""
    monkeypatch.setattr(checkpoints, "fence", checkpoints.holds_lease)
    checkpoints._insert.cache_clear()
    yield
    checkpoints._insert.cache_clear()


@pytest.mark.usefixtures("fence_without_lock")
def test_without_the_lock_the_next_owner_would_miss_a_write(postgres_store: SqlStore) -> None:
    assert zombie_writes_first(postgres_store) == (False, [], ["effect"])


@pytest.mark.usefixtures("fence_without_lock")
def test_without_the_lock_a_late_write_would_land(postgres_store: SqlStore) -> None:
    assert zombie_writes_last(postgres_store) == (False, None, ["effect"])


def test_in_a_race_every_write_that_succeeds_is_seen(store: SqlStore) -> None:
    for _ in range(20):
        claimed = running(store)
        written, loaded = race(
            lambda: store.checkpoint("one", claimed.token, [step("effect")]),  # noqa: B023
            lambda: take_over(store),
        )
        if isinstance(written, LeaseLost):
            assert loaded == keys(store, "one") == []
        else:
            assert not errors([written, loaded])
            assert loaded == ["effect"]
        [(execution, token)] = store.lost([str(OTHER)], trust_expiry=False)
        store.commit(execution, token, Failed(FAILURE))
        store.database.run(checkpoints.checkpoints.delete())
        store.database.run(checkpoints.executions.delete())


ZOMBIE_WRITES = {
    "checkpoint": lambda store, it: store.checkpoint("one", it.token, [step("a")]),
    "checkpoint with wait": lambda store, it: store.checkpoint(
        "one", it.token, [step("a")], [timer("t", 5)]
    ),
    "wait": lambda store, it: store.keep_wait("one", it.token, timer("t", 5)),
    "awaited child": lambda store, it: store.start_child(
        "one", it.token, child_of("one", "kid"), Wait("kid", Kind.CHILD, target_id="kid")
    ),
    "child": lambda store, it: store.start_child(
        "one", it.token, child_of("one", "kid"), step("kid")
    ),
    "park": lambda store, it: store.commit(
        it.execution, it.token, parked(timer("t", 5), wake_at=5)
    ),
    "result": lambda store, it: store.commit(
        it.execution, it.token, Completed(b"r"), rows=[step("a")]
    ),
    "result alone": lambda store, it: store.commit(
        it.execution, it.token, Completed(b"r"), has_waits=False
    ),
    "failure": lambda store, it: store.commit(it.execution, it.token, Failed(FAILURE)),
    "release": lambda store, it: store.release("one", it.token),
    "look": lambda store, it: store.seen("one", it.token),
}


@pytest.mark.parametrize("write", ZOMBIE_WRITES)
def test_after_a_take_over_a_zombie_writes_nothing(store: SqlStore, write: str) -> None:
    zombie = running(store)
    take_over(store)
    before = everything(store.database)
    with pytest.raises(LeaseLost):
        ZOMBIE_WRITES[write](store, zombie)
    assert everything(store.database) == before


def test_an_end_that_came_first_leaves_nothing_to_reclaim(store: SqlStore) -> None:
    claimed = running(store)
    [(execution, token)] = store.lost([str(OWNER)], trust_expiry=False)
    # Without a checkpoint to write it is one statement, which can't be held.
    with held(
        store.database,
        lambda: store.commit(claimed.execution, claimed.token, Completed(b"r"), rows=[step("a")]),
    ) as ending:
        reclaiming = Background(store.database, lambda: store.reclaim(execution, token, 10))
        assert reclaiming.is_blocked()
        ending.let_go()
    assert reclaiming.result() == ()
    assert row(store.database, "one")["status"] == Status.COMPLETED
