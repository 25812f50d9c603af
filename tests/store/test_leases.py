"""Leases: kept, lost, and what was held by the dead."""

from __future__ import annotations

import pytest

from polos.model.outcome import Completed
from polos.model.records import Claimed, Kind, Wait, micros
from polos.model.states import Status
from polos.model.workers import Renewal
from polos.store.outcomes import lock
from polos.store.sql_store import SqlStore
from tests.store.scenes import (
    FAR,
    OTHER,
    OWNER,
    child_of,
    claim,
    edit,
    everything,
    family,
    new,
    now,
    parked,
    row,
    running,
    step,
)
from tests.store.threads import Background

NEAR = micros(5)


def expiry(store: SqlStore, execution_id: str) -> int:
    return row(store.database, execution_id)["lease_expires_at"]


def lose(store: SqlStore, execution_id: str = "one", most: int = 10) -> tuple:
    """The worker of an execution dies, and somebody notices."""
    [pair] = [
        pair for pair in store.lost([str(OWNER)], trust_expiry=False) if pair[0].id == execution_id
    ]
    return store.reclaim(*pair, most)


def test_renewing_prolongs_from_now(store: SqlStore) -> None:
    one, two = running(store, "one"), running(store, "two")
    running(store, "three")
    for name in ("one", "two", "three"):
        edit(store.database, name, lease_expires_at=7)
    pairs = [("two", two.token), ("one", one.token)]
    assert store.renew(pairs, 15) == (Renewal(two.token, True), Renewal(one.token, True))
    for name in ("one", "two"):
        assert expiry(store, name) - now(store.database) == pytest.approx(micros(15), abs=NEAR)
    assert expiry(store, "three") == 7


def test_renewing_tells_which_tokens_are_lost(store: SqlStore) -> None:
    one, two = running(store, "one"), running(store, "two")
    ended = running(store, "three")
    store.commit(ended.execution, ended.token, Completed(b"r"))
    lose(store, "one")
    again = claim(store, "one", owner=OTHER)
    edit(store.database, "one", lease_expires_at=7)
    pairs = [("one", one.token), ("two", two.token), ("three", ended.token), ("no", "no")]
    renewals = store.renew(pairs, 15)
    assert [renewal.token for renewal in renewals] == [token for _, token in pairs]
    assert [renewal.held for renewal in renewals] == [False, True, False, False]
    assert expiry(store, "one") == 7
    assert again.token != one.token
    assert store.renew([], 15) == ()


def test_renewing_brings_what_came_from_outside(store: SqlStore) -> None:
    parent, child = family(store)
    store.commit(child.execution, child.token, Completed(b"r"))
    assert store.renew([("parent", parent.token)], 15) == (Renewal(parent.token, True, False, 1),)
    store.cancel("parent")
    assert store.renew([("parent", parent.token)], 15) == (Renewal(parent.token, True, True, 2),)


def test_renewing_passes_by_a_row_that_is_locked(rows_store: SqlStore) -> None:
    store = rows_store
    one, two, three = (running(store, name) for name in ("one", "two", "three"))
    for name in ("one", "two", "three"):
        edit(store.database, name, lease_expires_at=7)
    with store.database.engine.begin() as other:
        lock(other, "one")
        pairs = [("one", one.token), ("two", two.token), ("three", three.token)]
        heartbeat = Background(store.database, lambda: store.renew(pairs, 15))
        assert not heartbeat.is_blocked()
        assert [renewal.held for renewal in heartbeat.result()] == [True, True, True]
        assert expiry(store, "two") - now(store.database) == pytest.approx(micros(15), abs=NEAR)
        main_process = Background(
            store.database, lambda: store.renew_owner(str(OWNER), ["one", "two", "three"], 30)
        )
        assert not main_process.is_blocked()
    assert expiry(store, "one") == 7
    assert expiry(store, "two") - now(store.database) == pytest.approx(micros(30), abs=NEAR)


def test_an_expired_lease_can_be_renewed_while_nobody_took_it(store: SqlStore) -> None:
    claimed = running(store)
    edit(store.database, "one", lease_expires_at=1)
    assert store.renew([("one", claimed.token)], 15)[0].held
    assert store.lost([], trust_expiry=True) == ()


def test_all_leases_of_one_process_are_renewed(store: SqlStore) -> None:
    running(store, "one")
    running(store, "two")
    store.start(new("three"))
    claim(store, "three", owner=OTHER)
    for name in ("one", "two", "three"):
        edit(store.database, name, lease_expires_at=7)
    store.renew_owner(str(OWNER), ["one", "two", "three"], 15)
    for name in ("one", "two"):
        assert expiry(store, name) - now(store.database) == pytest.approx(micros(15), abs=NEAR)
    assert expiry(store, "three") == 7


def test_owners_are_those_who_hold_leases(store: SqlStore) -> None:
    assert store.owners() == ()
    running(store, "one")
    running(store, "two")
    store.start(new("three"))
    last = claim(store, "three", owner=OTHER)
    assert sorted(store.owners()) == [str(OWNER), str(OTHER)]
    assert SqlStore(store.database, "other").owners() == ()
    store.commit(last.execution, last.token, Completed(b"r"))
    assert store.owners() == (str(OWNER),)


def test_lost_are_those_of_the_dead(store: SqlStore) -> None:
    one = running(store, "one")
    store.start(new("two"))
    claim(store, "two", owner=OTHER)
    assert store.lost([], trust_expiry=False) == store.lost([], trust_expiry=True) == ()
    assert store.lost(["another"], trust_expiry=True) == ()
    [(execution, token)] = store.lost([str(OWNER)], trust_expiry=False)
    assert (execution, token) == (one.execution, one.token)
    assert len(store.lost([str(OWNER), str(OTHER)], trust_expiry=False)) == 2
    assert SqlStore(store.database, "other").lost([str(OWNER)], trust_expiry=True) == ()


def test_an_expired_lease_counts_only_where_expiry_is_trusted(store: SqlStore) -> None:
    running(
        store,
        "one",
    )
    running(store, "two")
    edit(store.database, "one", lease_expires_at=now(store.database) - 2000)
    edit(store.database, "two", lease_expires_at=FAR)
    assert store.lost([], trust_expiry=False) == ()
    assert [found.id for found, _ in store.lost([], trust_expiry=True)] == ["one"]
    edit(store.database, "one", lease_expires_at=1)
    assert store.lost([], trust_expiry=False) == ()


def test_a_reclaimed_execution_is_queued_at_once(store: SqlStore) -> None:
    claimed = running(store, "one", queue="slow", priority=2)
    [hint] = lose(store)
    assert (hint.execution_id, hint.queue, hint.priority) == ("one", "slow", 2)
    found = store.get("one")
    assert found is not None
    assert (found.status, found.recoveries) == (Status.QUEUED, 1)
    assert store.owners() == ()
    again = claim(store, "one")
    assert again.execution.claims == 2
    assert again.execution.started_at == claimed.execution.started_at


def test_a_reclaim_of_a_lease_that_changed_hands_does_nothing(store: SqlStore) -> None:
    running(store)
    [pair] = store.lost([str(OWNER)], trust_expiry=False)
    lose(store)
    claim(store, "one", owner=OTHER)
    before = everything(store.database)
    assert store.reclaim(*pair, 10) == ()
    assert store.reclaim(*pair, 0) == ()
    assert everything(store.database) == before


def test_too_many_recoveries_without_a_checkpoint_fail_it(store: SqlStore) -> None:
    running(store)
    for count in range(1, 4):
        assert len(lose(store, most=3)) == 1
        assert claim(store, "one").execution.recoveries == count
    assert lose(store, most=3) == ()
    found = store.get("one")
    assert found is not None
    assert found.status is Status.FAILED
    assert found.failure is not None
    assert found.failure.error_type == "ExecutionPoisoned"
    assert "4 times" in found.failure.reason
    assert found.finished_at is not None


def test_a_new_checkpoint_starts_the_count_again(store: SqlStore) -> None:
    claimed = running(store)
    for turn in range(3):
        for count in range(1, 4):
            lose(store, most=3)
            claimed = claim(store, "one")
            assert claimed.execution.recoveries == count
        store.checkpoint("one", claimed.token, [step(f"s{turn}")])
    assert len(lose(store, most=3)) == 1
    assert row(store.database, "one")["recoveries"] == 1


def test_a_clean_hand_back_is_no_recovery(store: SqlStore) -> None:
    claimed = running(store)
    for _ in range(5):
        store.release("one", claimed.token)
        claimed = claim(store, "one")
    lose(store, most=1)
    assert claim(store, "one").execution.recoveries == 1
    lose(store, most=1)
    assert row(store.database, "one")["status"] == Status.FAILED


def poisoned_child(store: SqlStore) -> Claimed:
    parent = running(store, "parent")
    wait = Wait("kid", Kind.CHILD, target_id="child")
    store.start_child("parent", parent.token, child_of("parent", "child"), wait)
    store.commit(parent.execution, parent.token, parked())
    return claim(store, "child")


def test_a_poisoned_child_wakes_its_parent_with_a_failure(store: SqlStore) -> None:
    poisoned_child(store)
    [hint] = lose(store, "child", most=0)
    assert hint.execution_id == "parent"
    [kept], waiting = store.load("parent")
    assert waiting == ()
    assert kept.failure is not None
    assert (kept.failure.error_type, kept.failure.step_key) == ("ExecutionPoisoned", "kid")
    assert row(store.database, "parent")["status"] == Status.QUEUED


def test_a_poisoned_end_that_celery_knows_is_announced(store: SqlStore) -> None:
    running(store, "one", known_to_celery=True)
    lose(store, most=0)
    edit(store.database, "one", dispatch_at=1)
    assert [hint.execution_id for hint in store.redispatch(10)] == ["one"]


def test_cancelling_survives_the_loss_of_the_worker(store: SqlStore) -> None:
    running(store)
    store.cancel("one")
    lose(store)
    assert claim(store, "one").execution.cancel_requested
