"""A retry against what others do with the same execution meanwhile."""

from __future__ import annotations

from polos.model.outcome import Completed, Failed, TriedAgain
from polos.model.records import Kind, Micros
from polos.model.states import Status
from polos.store.sql_store import SqlStore
from tests.store.scenes import (
    FAILURE,
    OTHER,
    child_of,
    claim,
    edit,
    now,
    row,
    running,
    start_child,
)
from tests.store.test_retrying import OK, OWN, of_step
from tests.store.threads import Background, held


def with_failed_child(store: SqlStore) -> None:
    parent = running(store, "parent")
    start_child(store, parent, child_of("parent", "child", "kid"))
    child = claim(store, "child")
    store.commit(child.execution, child.token, Failed(FAILURE))


def assert_it_waits_for_its_child(store: SqlStore) -> None:
    [wait] = store.load("parent")[1]
    assert (wait.kind, wait.target_id) == (Kind.CHILD, "child")
    child = claim(store, "child")
    assert child.execution.retried == 1
    store.commit(child.execution, child.token, Completed(OK))
    assert [it.value for it in store.load("parent")[0]] == [OK]


def test_a_child_that_somebody_retries_meanwhile_is_waited_for(store: SqlStore) -> None:
    with_failed_child(store)
    parent = store.get("parent")
    assert parent is not None
    store.commit(parent, row(store.database, "parent")["lease_token"], Failed(of_step("kid")))
    with held(store.database, lambda: store.retry("child")) as other:
        both = Background(store.database, lambda: store.retry("parent"))
        assert both.is_blocked()
        other.let_go()
    assert [it.execution_id for it in other.result()] == ["child"]
    assert [it.execution_id for it in both.result()] == ["parent"]
    assert_it_waits_for_its_child(store)


def test_it_is_waited_for_by_a_parent_that_tries_again_by_itself(store: SqlStore) -> None:
    with_failed_child(store)
    parent = store.get("parent")
    assert parent is not None
    token = row(store.database, "parent")["lease_token"]
    again = TriedAgain(of_step("kid"), Micros(now(store.database) + 2_000_000), "tried again")
    with held(store.database, lambda: store.retry("child")) as other:
        both = Background(store.database, lambda: store.commit(parent, token, again))
        assert both.is_blocked()
        other.let_go()
    assert both.result() == ()
    assert_it_waits_for_its_child(store)


def test_telling_an_end_does_not_touch_what_was_reopened_since(store: SqlStore) -> None:
    """Its hint would not be sent again where it is lost."""
    parent = running(store, "parent")
    start_child(store, parent, child_of("parent", "child", "kid"))
    child = claim(store, "child")
    store.commit(child.execution, child.token, Failed(FAILURE))
    edit(store.database, "child", unannounced=True)
    again = TriedAgain(of_step("kid"), Micros(now(store.database) + 2_000_000), "tried again")
    store.commit(parent.execution, parent.token, again)
    before = row(store.database, "child")
    assert (before["status"], before["unannounced"]) == (Status.WAITING, False)
    store.announced("child")
    assert row(store.database, "child") == before
    edit(store.database, "child", unannounced=True)
    store.announced("child")
    assert row(store.database, "child")["dispatch_at"] == before["dispatch_at"]


def test_the_next_end_is_announced_all_the_same(store: SqlStore) -> None:
    claimed = running(store, known_to_celery=True)
    store.commit(claimed.execution, claimed.token, Failed(OWN))
    store.announced("one")
    store.retry("one")
    assert not row(store.database, "one")["unannounced"]
    claimed = claim(store, "one", owner=OTHER)
    store.commit(claimed.execution, claimed.token, Completed(OK))
    assert row(store.database, "one")["unannounced"]
