"""A parent of many children that is not woken at each one's end, and is never left asleep."""

from __future__ import annotations

from typing import Any

import pytest

from polos.errors import LeaseLost
from polos.model.outcome import Completed
from polos.model.records import SECOND, Claimed, Hint, Kind, Wait
from polos.model.states import Status
from polos.store.sql_store import SqlStore
from tests.store.scenes import FAR, OTHER, child_of, claim, edit, now, parked, row, running
from tests.store.threads import errors, race

PACE = 20.0


def family(store: SqlStore, count: int = 3, name: str = "parent") -> tuple[Claimed, list[Claimed]]:
    """A running parent that waits for some children, which run."""
    parent = running(store, name)
    ids = [f"{name}-{number}" for number in range(count)]
    store.start_children(
        name,
        parent.token,
        [(child_of(name, id_, id_), Wait(id_, Kind.CHILD, target_id=id_)) for id_ in ids],
    )
    return parent, [claim(store, id_) for id_ in ids]


def park(store: SqlStore, parent: Claimed, pace: float = PACE, **given: Any) -> Any:
    return store.commit(parent.execution, parent.token, parked(pace=pace, **given))


def end(store: SqlStore, child: Claimed) -> tuple[Hint, ...]:
    hints = store.commit(child.execution, child.token, Completed(b"r"))
    assert hints is not None
    return hints


def test_all_but_the_last_end_wake_the_parent_once_and_later(store: SqlStore) -> None:
    parent, [first, second, last] = family(store)
    assert park(store, parent) == ()
    at = row(store.database, "parent")["wake_after"]
    assert 0 < at - now(store.database) <= PACE * SECOND
    [hint] = end(store, first)
    assert hint.execution_id == "parent"
    assert PACE - 15 < hint.countdown <= PACE
    assert end(store, second) == ()
    stored = row(store.database, "parent")
    assert (stored["status"], stored["wakeups"]) == (Status.WAITING, 2)
    assert (stored["wake_at"], stored["dispatch_at"]) == (at, at + SECOND)
    assert store.claim("parent", "flow", OTHER, 60) is None
    [hint] = end(store, last)
    assert (hint.execution_id, hint.countdown) == ("parent", 0)
    stored = row(store.database, "parent")
    assert (stored["status"], stored["wakeups"]) == (Status.QUEUED, 3)
    assert {found.step_key for found in store.load("parent")[0]} == {
        "parent-0",
        "parent-1",
        "parent-2",
    }


def test_an_end_after_the_pause_wakes_at_once(store: SqlStore) -> None:
    parent, children = family(store)
    park(store, parent)
    edit(store.database, "parent", wake_after=1)
    [hint] = end(store, children[0])
    assert hint.countdown == 0
    assert row(store.database, "parent")["status"] == Status.QUEUED


def test_a_parent_without_a_pace_is_woken_at_once(store: SqlStore) -> None:
    parent, children = family(store)
    edit(store.database, "parent", wake_after=FAR)
    park(store, parent, pace=0.0)
    assert row(store.database, "parent")["wake_after"] is None
    assert [hint.countdown for hint in end(store, children[0])] == [0]


def test_the_sweep_wakes_a_parent_whose_hint_was_lost(store: SqlStore) -> None:
    parent, children = family(store)
    park(store, parent)
    assert store.wake_due(10) == ()
    end(store, children[0])
    assert (store.wake_due(10), store.send_ahead(10), store.redispatch(10)) == ((), (), ())
    edit(store.database, "parent", wake_at=1, wake_after=1, dispatch_at=1)
    assert [hint.execution_id for hint in store.wake_due(10)] == ["parent"]


def test_while_its_hint_is_on_its_way_an_end_sends_no_other(store: SqlStore) -> None:
    parent, children = family(store)
    park(store, parent)
    end(store, children[0])
    edit(store.database, "parent", wake_at=1, wake_after=1, dispatch_at=1)
    assert end(store, children[1]) == ()
    # The last one too finds that its parent wakes now.
    assert end(store, children[2]) == ()
    claimed = store.claim("parent", "flow", OTHER, 60)
    assert claimed is not None
    assert claimed.execution.wakeups == 3


@pytest.mark.parametrize("sooner", [True, False])
def test_the_parents_own_time_is_kept_where_it_comes_first(store: SqlStore, sooner: bool) -> None:
    parent, children = family(store)
    due = now(store.database) + 5 * SECOND if sooner else FAR
    park(store, parent, wake_at=due)
    hints = end(store, children[0])
    assert len(hints) == (0 if sooner else 1)
    stored = row(store.database, "parent")
    assert stored["wake_at"] == (due if sooner else stored["wake_after"])


def test_a_cancellation_wakes_at_once(store: SqlStore) -> None:
    parent, _ = family(store)
    park(store, parent)
    _, hints = store.cancel("parent")
    assert ("parent", 0) in {(hint.execution_id, hint.countdown) for hint in hints}
    assert row(store.database, "parent")["status"] == Status.QUEUED


def test_a_stale_park_at_a_pace_comes_back_in_time(store: SqlStore) -> None:
    """What ended meanwhile is taken in with what ends until then."""
    parent, children = family(store)
    end(store, children[0])
    [hint] = park(store, parent)
    assert (hint.execution_id, hint.reason) == ("parent", "waiting")
    assert PACE - 15 < hint.countdown <= PACE
    stored = row(store.database, "parent")
    assert (stored["status"], stored["wakeups"]) == (Status.WAITING, 1)
    assert 0 < stored["wake_at"] - now(store.database) <= PACE * SECOND
    assert end(store, children[1]) == ()
    assert len(end(store, children[2])) == 1


def test_a_stale_park_goes_on_where_nothing_is_out(store: SqlStore) -> None:
    parent, children = family(store, 2)
    end(store, children[0])
    assert park(store, parent, settled=["parent-1"]) is None
    end(store, children[1])
    assert park(store, parent) is None
    assert row(store.database, "parent")["status"] == Status.RUNNING


def test_a_stale_park_goes_on_without_a_pace_or_when_cancelled(store: SqlStore) -> None:
    parent, children = family(store)
    end(store, children[0])
    assert park(store, parent, pace=0.0) is None
    store.cancel("parent")
    assert park(store, parent) is None
    with pytest.raises(LeaseLost):
        store.commit(parent.execution, "another", parked(pace=PACE))


def test_in_a_race_the_last_child_wakes_its_parent(store: SqlStore) -> None:
    for turn in range(25):
        name = f"parent-{turn}"
        parent, children = family(store, 4, name)
        jobs = [lambda child=child: end(store, child) for child in children]
        results = race(*jobs, lambda parent=parent: park(store, parent))
        assert not errors(results)
        after = row(store.database, name)
        assert after["wakeups"] == 4
        if results[-1] is None:
            assert after["status"] == Status.RUNNING
            continue
        assert after["status"] == Status.QUEUED
        hints = [hint for result in results for hint in result]
        assert sum(hint.countdown == 0 for hint in hints) == 1
