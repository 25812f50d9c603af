"""What the sweep finds by its time: waits that end, hints that nobody followed."""

from __future__ import annotations

import pytest
from sqlalchemy import text, update

from polos.model.outcome import Completed
from polos.model.records import SECOND, Claimed, micros
from polos.model.states import Status
from polos.store.executions import REDISPATCH_AFTER
from polos.store.outcomes import lock
from polos.store.schema import executions
from polos.store.sql_store import SqlStore
from tests.store.scenes import claim, edit, everything, new, now, parked, row, running, timer
from tests.store.threads import Background, errors, race
from tests.support.statements import statements

CLOSE = 3 * SECOND


def sleeping(store: SqlStore, seconds: float, execution_id: str = "one", **given) -> int:
    """Park until so many seconds from now; the due time."""
    claimed = running(store, execution_id, **given)
    due = now(store.database) + micros(seconds)
    park = parked(timer("t", due), wake_at=due)
    assert store.commit(claimed.execution, claimed.token, park) == ()
    return due


def let_pass(store: SqlStore, seconds: float) -> None:
    """Move all times of all executions back, as if so many seconds had gone by."""
    names = ("wake_at", "dispatch_at", "lease_expires_at")
    values = {name: executions.c[name] - micros(seconds) for name in names}
    store.database.run(update(executions).values(values))


def ids(hints) -> list[str]:
    return [hint.execution_id for hint in hints]


def test_a_long_wait_is_left_alone_until_its_time_is_near(store: SqlStore) -> None:
    due = sleeping(store, 3600)
    assert row(store.database, "one")["dispatch_at"] == due - micros(30)
    before = everything(store.database)
    assert store.send_ahead(10) == store.wake_due(10) == store.redispatch(10) == ()
    assert everything(store.database) == before
    let_pass(store, 3560)
    assert store.send_ahead(10) == ()
    let_pass(store, 11)
    [hint] = store.send_ahead(10)
    assert hint.execution_id == "one"
    assert 24 < hint.countdown <= 29


def test_a_hint_sent_ahead_is_sent_once(store: SqlStore) -> None:
    sleeping(store, 40, queue="slow", priority=2, celery_options=b"\x00")
    let_pass(store, 15)
    [hint] = store.send_ahead(10)
    assert (hint.queue, hint.priority, hint.celery_options) == ("slow", 2, b"\x00")
    assert 20 < hint.countdown <= 25
    stored = row(store.database, "one")
    assert stored["dispatch_at"] == stored["wake_at"] + SECOND
    assert stored["status"] == Status.WAITING
    assert store.send_ahead(10) == store.wake_due(10) == ()


@pytest.mark.parametrize(("seconds", "in_horizon"), [(29, True), (40, False)])
def test_a_park_within_the_horizon_needs_no_hint_of_the_sweep(
    store: SqlStore, seconds: float, in_horizon: bool
) -> None:
    due = sleeping(store, seconds)
    dispatch_at = row(store.database, "one")["dispatch_at"]
    assert dispatch_at == (due + SECOND if in_horizon else due - micros(30))
    assert store.send_ahead(10) == ()


def test_a_countdown_is_never_beyond_the_horizon(store: SqlStore) -> None:
    for number, seconds in enumerate((1, 10, 29, 31, 60, 3600)):
        sleeping(store, seconds, f"e{number}")
    for _ in range(5):
        for hint in store.send_ahead(10):
            assert 0 < hint.countdown <= 30
        let_pass(store, 15)


def test_the_sweep_wakes_one_second_after_the_due_time(store: SqlStore) -> None:
    sleeping(store, 20)
    let_pass(store, 20.1)
    assert store.wake_due(10) == ()
    let_pass(store, 1)
    [hint] = store.wake_due(10)
    assert (hint.execution_id, hint.countdown) == ("one", 0)
    stored = row(store.database, "one")
    assert (stored["status"], stored["wake_at"]) == (Status.QUEUED, None)
    left = stored["dispatch_at"] - now(store.database)
    assert REDISPATCH_AFTER - CLOSE < left <= REDISPATCH_AFTER
    assert store.wake_due(10) == ()
    # A wait that ended by itself is no completion from outside.
    assert stored["wakeups"] == 0


def test_after_a_long_pause_of_the_sweep_all_due_waits_are_woken(store: SqlStore) -> None:
    for number, seconds in enumerate((1, 100, 1000)):
        sleeping(store, seconds, f"e{number}")
    let_pass(store, 2000)
    assert store.send_ahead(10) == ()
    assert sorted(ids(store.wake_due(10))) == ["e0", "e1", "e2"]


def test_waking_takes_no_more_than_asked_for(store: SqlStore) -> None:
    for number in range(5):
        sleeping(store, 10, f"e{number}")
    let_pass(store, 20)
    batches = [ids(store.wake_due(2)) for _ in range(4)]
    assert [len(batch) for batch in batches] == [2, 2, 1, 0]
    assert sorted(sum(batches, [])) == [f"e{number}" for number in range(5)]


def test_a_wait_without_a_time_is_never_swept(store: SqlStore) -> None:
    claimed = running(store)
    store.commit(claimed.execution, claimed.token, parked())
    let_pass(store, 1e6)
    assert store.send_ahead(10) == store.wake_due(10) == store.redispatch(10) == ()


def test_each_wait_is_woken_by_one_of_two_sweeps(store: SqlStore) -> None:
    names = [f"e{number}" for number in range(20)]
    for name in names:
        sleeping(store, 10, name)
    let_pass(store, 20)
    results = race(lambda: store.wake_due(100), lambda: store.wake_due(100))
    assert not errors(results)
    assert sorted(ids(results[0]) + ids(results[1]) + ids(store.wake_due(100))) == sorted(names)


def test_a_sweep_passes_by_what_is_locked(rows_store: SqlStore) -> None:
    store = rows_store
    # Few: a database reads all rows of a small table, also those that it looks for by their keys.
    for name in ("one", "two", "three"):
        sleeping(store, 10, name)
        store.start(new(f"queued-{name}"))
    let_pass(store, 20)
    with store.database.engine.begin() as other:
        lock(other, "one")
        lock(other, "queued-one")
        waking = Background(store.database, lambda: store.wake_due(10))
        assert not waking.is_blocked()
        assert sorted(ids(waking.result())) == ["three", "two"]
        sending = Background(store.database, lambda: store.redispatch(10))
        assert not sending.is_blocked()
        assert sorted(ids(sending.result())) == ["queued-three", "queued-two"]
    assert ids(store.wake_due(10)) == ["one"]


def test_what_was_never_claimed_is_sent_again(store: SqlStore) -> None:
    store.start(new("one", queue="slow", priority=1, celery_options=b"\x00"))
    assert store.redispatch(10) == ()
    let_pass(store, 3)
    assert store.redispatch(10) == ()
    let_pass(store, 2.1)
    [hint] = store.redispatch(10)
    assert (hint.execution_id, hint.workflow_id) == ("one", "flow")
    assert (hint.queue, hint.priority, hint.celery_options) == ("slow", 1, b"\x00")
    assert hint.countdown == 0
    assert store.redispatch(10) == ()
    assert row(store.database, "one")["status"] == Status.QUEUED


def test_it_is_sent_again_after_the_same_time_however_often(store: SqlStore) -> None:
    store.start(new("one"))
    for _ in range(9):
        edit(store.database, "one", dispatch_at=1)
        assert ids(store.redispatch(10)) == ["one"]
        delay = row(store.database, "one")["dispatch_at"] - now(store.database)
        assert REDISPATCH_AFTER - CLOSE < delay <= REDISPATCH_AFTER


def test_a_claim_forgets_that_it_was_sent_again(store: SqlStore) -> None:
    store.start(new("one"))
    for _ in range(5):
        edit(store.database, "one", dispatch_at=1)
        store.redispatch(10)
    claim(store, "one")
    assert row(store.database, "one")["dispatches"] == 0
    let_pass(store, 1e6)
    assert store.redispatch(10) == ()


def test_a_hint_sent_again_is_unclaimed_until_somebody_claims(store: SqlStore) -> None:
    for name in ("one", "two", "three", "ended"):
        store.start(new(name))
    names = ["one", "two", "three", "ended", "nobody"]
    assert store.unclaimed(names) == frozenset()
    let_pass(store, 6)
    store.redispatch(10)
    assert store.unclaimed(names) == {"one", "two", "three", "ended"}
    assert store.unclaimed(["one"]) == {"one"}
    claimed = claim(store, "two")
    assert store.unclaimed(names) == {"one", "three", "ended"}
    # Handed back, it has a hint of its own again.
    store.release("two", claimed.token)
    assert store.unclaimed(names) == {"one", "three", "ended"}
    ended = claim(store, "ended")
    store.commit(ended.execution, ended.token, Completed(b"r"))
    assert store.unclaimed(names) == {"one", "three"}


def test_the_oldest_are_sent_first(store: SqlStore) -> None:
    order = [4, 0, 3, 1, 2, 9, 7, 8, 6, 5]
    for number in order:
        store.start(new(f"e{number}"))
        edit(store.database, f"e{number}", dispatch_at=100 + number, created_at=100 + number)
    assert ids(store.redispatch(3)) == ["e0", "e1", "e2"]
    assert ids(store.redispatch(10)) == [f"e{number}" for number in range(3, 10)]


def test_each_sweep_is_one_statement(store: SqlStore) -> None:
    """Or one transaction of few: it begins, chooses, locks, writes and reads."""
    sleeping(store, 10)
    let_pass(store, 20)
    for duty in (store.wake_due, store.send_ahead, store.redispatch):
        with statements(store.database) as sent:
            duty(10)
        assert len(sent) == (5 if store.database.dialect == "mariadb" else 1)


def test_a_limit_holds_whatever_plan_the_database_makes(postgres_store: SqlStore) -> None:
    """Joined by a loop, a subquery that locks rows must not be run for each row."""
    store = postgres_store
    for number in range(30):
        store.start(new(f"e{number}"))
    let_pass(store, 10)
    database = store.database.url.rpartition("/")[2]
    plans = ("hashagg", "hashjoin", "mergejoin", "material", "sort", "indexscan", "bitmapscan")
    try:
        for plan in plans:
            store.database.run(_setting(database, f"enable_{plan}", "off"))
        store.database.close()
        assert len(store.redispatch(2)) == 2
    finally:
        for plan in plans:
            store.database.run(_setting(database, f"enable_{plan}", "on"))
        store.database.close()


def _setting(database: str, name: str, value: str):
    return text(f'ALTER DATABASE "{database}" SET {name} = {value}')


def test_another_projects_executions_are_left_to_its_own_sweep(store: SqlStore) -> None:
    other = SqlStore(store.database, "other")
    other.start(new("theirs", project_id="other"))
    sleeping(store, 10)
    let_pass(store, 20)
    assert other.wake_due(10) == other.send_ahead(10) == ()
    assert store.redispatch(10) == ()
    assert ids(other.redispatch(10)) == ["theirs"]


def test_what_has_ended_is_not_swept(store: SqlStore) -> None:
    claimed: Claimed = running(store)
    store.commit(claimed.execution, claimed.token, Completed(b"r"))
    edit(store.database, "one", dispatch_at=1)
    assert store.wake_due(10) == store.send_ahead(10) == store.redispatch(10) == ()
