"""Lists of executions: what they hold, page by page, and what they cost."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, text

from polos.model.listing import ExecutionPage, ExecutionQuery, Place
from polos.model.records import Micros, as_datetime
from polos.model.states import Status
from polos.store.sql_store import SqlStore
from tests.store.scenes import child_of, edit, new, put, rows_read_on_mariadb, running, start_child
from tests.support.bulk import finish_many
from tests.support.statements import statements


def ids(store: SqlStore, **asked: Any) -> list[str]:
    return [item.id for item in store.list_executions(ExecutionQuery(**asked)).items]


def pages(store: SqlStore, limit: int, **asked: Any) -> list[list[str]]:
    """All pages, each as the ids on it."""
    found: list[list[str]] = []
    after = None
    while True:
        page = store.list_executions(ExecutionQuery(after=after, limit=limit, **asked))
        found.append([item.id for item in page.items])
        if page.next_cursor is None:
            return found
        after = Place.of_cursor(page.next_cursor)


def test_the_newest_comes_first_and_those_of_one_moment_by_id(store: SqlStore) -> None:
    for name, moment in (("a", 5), ("c", 7), ("b", 7), ("d", 6)):
        store.start(new(name))
        edit(store.database, name, created_at=moment)
    assert ids(store) == ["c", "b", "d", "a"]
    assert pages(store, 1) == [["c"], ["b"], ["d"], ["a"]]
    assert pages(store, 3) == [["c", "b", "d"], ["a"]]
    assert pages(store, 4) == [["c", "b", "d", "a"]]


def test_what_starts_meanwhile_moves_no_page(store: SqlStore) -> None:
    for name in "abcd":
        store.start(new(name))
        edit(store.database, name, created_at=ord(name))
    first = store.list_executions(ExecutionQuery(limit=2))
    store.start(new("z"))
    assert first.next_cursor is not None
    assert ids(store, after=Place.of_cursor(first.next_cursor)) == ["b", "a"]


def test_an_item_shows_all_but_the_payload(store: SqlStore) -> None:
    given = {"session_id": "s", "user_id": "u", "deployment_id": "d", "queue": "q"}
    store.start(new("one", tags=("blue", "azure"), **given))
    store.start(new("top"))
    edit(store.database, "one", created_at=1, forked_from="top", claims=2, retried=1, started_at=3)
    [item] = store.list_executions(ExecutionQuery(user_id="u")).items
    assert {name: getattr(item, name) for name in given} == given
    assert (item.id, item.workflow_id, item.status) == ("one", "flow", Status.QUEUED)
    assert (item.created_at, item.started_at) == (as_datetime(Micros(1)), as_datetime(Micros(3)))
    assert (item.forked_from, item.attempts, item.retried) == ("top", 2, 1)
    assert item.tags == ("azure", "blue")
    assert item.to_dict()["created_at"] == "1970-01-01T00:00:00.000001+00:00"
    assert item.to_dict()["tags"] == ["azure", "blue"]
    assert item.to_dict()["status"] == "queued"


@pytest.mark.parametrize("status", sorted(Status))
def test_by_status(store: SqlStore, status: Status) -> None:
    for each in Status:
        put(store.database, each, f"the {each}")
    assert ids(store, statuses=(status,)) == [f"the {status}"]


def test_by_several_statuses(store: SqlStore) -> None:
    for each in Status:
        put(store.database, each, f"the {each}")
    trouble = (Status.FAILED, Status.CANCELLED)
    assert set(ids(store, statuses=trouble)) == {"the failed", "the cancelled"}
    under_way = (Status.QUEUED, Status.RUNNING, Status.WAITING)
    assert set(ids(store, statuses=under_way)) == {f"the {each}" for each in under_way}


def test_by_all_else_that_can_be_asked_for(store: SqlStore) -> None:
    parent = running(store, "parent", session_id="s1", user_id="u1", tags=("x",))
    start_child(store, parent, child_of("parent", "child", session_id="s1"))
    store.start(new("other", workflow_id="another", user_id="u1", tags=("x", "y")))
    for name, moment in (("parent", 10), ("child", 20), ("other", 30)):
        edit(store.database, name, created_at=moment)
        store.database.run(
            text(f"UPDATE polos_tags SET created_at = {moment} WHERE execution_id = '{name}'")
        )
    assert ids(store, workflow_id="another") == ["other"]
    assert ids(store, session_id="s1") == ["child", "parent"]
    assert ids(store, user_id="u1") == ["other", "parent"]
    assert ids(store, tag="x") == ["other", "parent"]
    assert ids(store, tag="y") == ["other"]
    assert ids(store, tag="X") == []
    assert ids(store, parent_execution_id="parent") == ["child"]
    assert ids(store, created_after=Micros(20)) == ["other", "child"]
    assert ids(store, created_before=Micros(20)) == ["parent"]
    assert ids(store, tag="x", workflow_id="flow", user_id="u1") == ["parent"]
    assert ids(store, tag="x", created_after=Micros(11), statuses=(Status.QUEUED,)) == ["other"]
    assert pages(store, 1, tag="x") == [["other"], ["parent"]]


def test_only_the_own_project_is_listed(store: SqlStore) -> None:
    parent = running(store, "parent", tags=("x",), session_id="s", user_id="u")
    start_child(store, parent, child_of("parent", "child"))
    store.start(new("foreign", project_id="theirs", tags=("x",), session_id="s", user_id="u"))
    edit(store.database, "foreign", parent_execution_id="parent")
    other = SqlStore(store.database, "theirs")
    asked: list[dict[str, Any]] = [{}, {"tag": "x"}, {"session_id": "s"}, {"user_id": "u"}]
    asked += [{"workflow_id": "flow"}, {"parent_execution_id": "parent"}]
    asked += [{"statuses": (status,)} for status in Status]
    for query in asked:
        assert "foreign" not in ids(store, **query)
        assert set(ids(other, **query)) <= {"foreign"}
    assert ids(other) == ["foreign"]


@pytest.mark.parametrize("id_", ["one", "ß/✓.5", "a.b", ""])
def test_a_cursor_leads_back_to_its_place(id_: str) -> None:
    place = Place(Micros(1_700_000_000_000_001), id_)
    assert Place.of_cursor(place.to_cursor()) == place
    assert place.to_cursor().replace("-", "").replace("_", "").isalnum()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


GARBAGE = ["", "x", "ü", "====", "MTIz=", "a b", _encoded(b"12"), _encoded(b"x.id")]
GARBAGE += [_encoded(b"-1.id"), _encoded(b"\xff.id"), _encoded(b"99999999999999999999.id")]
GARBAGE += [_encoded(b"1_0.id"), _encoded(b" 1.id"), _encoded("٣.id".encode())]


@pytest.mark.parametrize("cursor", [*GARBAGE, 7, None, b"MS5h"])
def test_what_is_no_cursor_is_refused(cursor: Any) -> None:
    with pytest.raises(ValueError, match="is no cursor"):
        Place.of_cursor(cursor)


# -- what a page costs -------------------------------------------------------------------

MANY = 3000
QUERIES: dict[str, dict[str, Any]] = {
    "all": {},
    "a later page": {"after": Place(Micros(1_000_000_500_000), "x")},
    "a later page of a workflow": {
        "workflow_id": "flow-1",
        "after": Place(Micros(1_000_000_500_000), "x"),
    },
    "a later page of a tag": {"tag": "tag-1", "after": Place(Micros(1_000_001_500_000), "x")},
    "workflow": {"workflow_id": "flow-1"},
    "session": {"session_id": "session-1"},
    "user": {"user_id": "user-1"},
    "tag": {"tag": "tag-1"},
    "time": {"created_after": Micros(1_000_000_100_000), "created_before": Micros(10**13)},
    "parent": {"parent_execution_id": "e000001"},
    "failed": {"statuses": (Status.FAILED,)},
    "cancelled": {"statuses": (Status.CANCELLED,)},
    "waiting": {"statuses": (Status.WAITING,)},
    "running": {"statuses": (Status.RUNNING,)},
    "failed of a workflow": {"workflow_id": "flow-1", "statuses": (Status.FAILED,)},
}
# What only a few can fit is found by an index of its own, and then put in order.
SORTED = {"running", "parent"}

Plan = Callable[[Connection, str, Any], list[str]]


@pytest.mark.parametrize("analyzed", [False, True])
def test_a_page_is_read_from_an_index_in_its_order(store: SqlStore, analyzed: bool) -> None:
    finish_many(store, MANY)
    # PostgreSQL does it by itself, SQLite never.
    if store.database.dialect == "mariadb":
        _reads_few_rows(store, analyzed)
        return
    if analyzed or store.database.dialect != "sqlite":
        store.database.run(text("ANALYZE"))
    plan_of = _plans[store.database.dialect]
    for name, asked in QUERIES.items():
        with statements(store.database) as sent:
            store.list_executions(ExecutionQuery(**asked, limit=5))
        with store.database.engine.connect() as connection:
            plan = plan_of(connection, *sent[0])
        scans = [line for line in plan if "SCAN" in line or "Seq Scan" in line]
        assert not scans, (name, plan)
        sorts = [line for line in plan if "TEMP B-TREE FOR ORDER" in line or "Sort" in line]
        assert not sorts or name in SORTED, (name, plan)


def test_a_page_takes_two_statements_however_long_it_is(store: SqlStore) -> None:
    finish_many(store, 100)
    for limit in (1, 100):
        with statements(store.database) as sent:
            page = store.list_executions(ExecutionQuery(limit=limit))
        assert len(page.items) == limit
        assert len(sent) == 2
    with statements(store.database) as sent:
        assert store.list_executions(ExecutionQuery(tag="none")) == ExecutionPage(())
    assert len(sent) == 1


def _reads_few_rows(store: SqlStore, analyzed: bool) -> None:
    if analyzed:
        store.database.run(text("ANALYZE TABLE polos_executions"))
    for name, asked in QUERIES.items():
        query = ExecutionQuery(**asked, limit=5)
        read = rows_read_on_mariadb(store.database, lambda it=query: store.list_executions(it))
        # It walks from the newest to where a later page begins.
        most = MANY if name == "a later page" else 100
        assert read < most, (name, read)


def _plan_of_sqlite(connection: Connection, statement: str, parameters: Any) -> list[str]:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    return [row.detail for row in rows]


def _plan_of_postgresql(connection: Connection, statement: str, parameters: Any) -> list[str]:
    # Of so few rows it takes those in memory one after another; of many it would not.
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
    rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
    return [row[0] for row in rows]


_plans: dict[str, Plan] = {"sqlite": _plan_of_sqlite, "postgresql": _plan_of_postgresql}
