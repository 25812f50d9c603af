"""What a page of an execution is made of: some of its steps, cut values, and its family."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text

from polos.codec import encode, encode_failure
from polos.model.listing import ExecutionQuery
from polos.model.records import Kind, Micros
from polos.model.states import Status
from polos.model.steps import MOST_BYTES, Asked, StepPage, StepPlace, child_id
from polos.store.schema import checkpoints, waits
from polos.store.sql_store import SqlStore
from polos.store.step_pages import PARTS
from tests.store.scenes import FAILURE, edit, new, put, rows_read_on_mariadb
from tests.support.bulk import finish_many
from tests.support.statements import statements

BEGIN = 1_000_000_000_000


def begun(store: SqlStore, execution_id: str = "one", **columns: Any) -> str:
    """A running execution without steps, that began at BEGIN."""
    put(store.database, Status.RUNNING, execution_id, created_at=BEGIN, started_at=BEGIN, **columns)
    return execution_id


def write_steps(store: SqlStore, execution_id: str, *rows: dict[str, Any]) -> None:
    fixed = {"kind": "step", "value": b"1", "failure": None, "attempts": 1, "started_at": None}
    fixed |= {"input": None, "history": None, "execution_id": execution_id}
    store.database.run(insert(checkpoints), [fixed | it for it in rows])


def write_waits(store: SqlStore, execution_id: str, *rows: dict[str, Any]) -> None:
    fixed = {"kind": "wait", "due_at": None, "target_id": None, "attempts": 0, "started_at": None}
    fixed |= {"input": None, "failure": None, "history": None, "execution_id": execution_id}
    store.database.run(insert(waits), [fixed | it for it in rows])


def step(key: str, turn: int, position: int, ended: int = 0, **given: Any) -> dict[str, Any]:
    return {
        "step_key": key,
        "turn": turn,
        "position": position,
        "created_at": BEGIN + ended,
    } | given


def ask(store: SqlStore, execution_id: str = "one", **asked: Any) -> StepPage:
    head = store.head(execution_id)
    assert head is not None
    return store.steps(head, Asked(**asked))


def keys(page: StepPage) -> list[str]:
    return [row.key for row in page.rows]


# Two turns; of the second three ended from outside, at one place.
ORDER = ["a", "b", "B", "c", "d", "e", "f"]


@pytest.fixture
def seven(store: SqlStore) -> SqlStore:
    """An execution of seven steps."""
    begun(store)
    write_steps(
        store,
        "one",
        step("f", 1, 2, 70),
        step("a", 0, 1, 10),
        step("b", 0, 2, 20),
        step("B", 0, 3, 30, value=None, failure=encode_failure(FAILURE)),
        step("e", 1, 0, 40),
        step("d", 1, 0, 40),
        step("c", 1, 0, 40, value=None, failure=encode_failure(FAILURE)),
    )
    return store


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_are_all_steps_in_their_order_both_ways(seven: SqlStore, limit: int) -> None:
    there: list[str] = []
    page = ask(seven, limit=limit)
    while True:
        assert page.before == len(there)
        assert (page.total, page.failed, page.found) == (7, 2, True)
        there += keys(page)
        if page.is_last:
            break
        assert page.rows[-1].place is not None
        page = ask(seven, after=page.rows[-1].place, limit=limit)
    assert there == ORDER
    back: list[str] = []
    page = ask(seven, last=True, limit=limit)
    assert page.is_last
    while True:
        back = [*keys(page), *back]
        if not page.before:
            break
        page = ask(seven, before=page.rows[0].place, limit=limit)
    assert back == ORDER


def test_a_page_begins_where_it_is_asked_to(seven: SqlStore) -> None:
    assert keys(ask(seven, key="c", limit=2)) == ["c", "d"]
    assert keys(ask(seven, since=Micros(BEGIN + 25), limit=2)) == ["B", "c"]
    failed = ask(seven, failed=True, limit=2)
    assert (keys(failed), failed.before) == (["B", "c"], 2)
    assert keys(ask(seven, failed=True, after=failed.rows[0].place, limit=1)) == ["c"]
    missing = ask(seven, failed=True, after=failed.rows[1].place)
    assert not missing.found
    assert not ask(seven, key="A").found
    assert not ask(seven, key="c ").found


def test_nothing_is_recorded_yet(store: SqlStore) -> None:
    begun(store)
    page = ask(store, last=True)
    assert (page.rows, page.total, page.before, page.is_last) == ((), 0, 0, True)


def test_the_steps_lie_in_the_time_of_the_execution(store: SqlStore) -> None:
    begun(store)
    edit(
        store.database,
        "one",
        status="completed",
        result=b"1",
        finished_at=BEGIN + 6000,
        lease_token=None,
        lease_expires_at=None,
    )
    write_steps(
        store,
        "one",
        step("before", 0, 1, -5),
        step("first", 0, 2, 0),
        step("second", 0, 3, 99, value=None, failure=encode_failure(FAILURE)),
        step("middle", 0, 4, 3000),
        step("end", 0, 5, 6000),
    )
    found = {part.number: part for part in ask(store).density}
    assert sorted(found) == [-1, 0, 29, PARTS - 1]
    assert (found[0].steps, found[0].failed, found[0].begins) == (2, 1, BEGIN)
    assert found[-1].steps == found[29].steps == found[PARTS - 1].steps == 1


def test_values_are_read_as_far_as_they_are_shown(store: SqlStore) -> None:
    begun(store)
    long = b'"' + b"x" * 50_000 + b'"'
    write_steps(store, "one", step("a", 0, 1, value=long, input=long), step("b", 0, 2, value=b"22"))
    write_waits(store, "one", {"step_key": "w", "due_at": 5, "input": long})
    page = ask(store)
    a, b = page.rows
    assert a.value is not None and a.input is not None and b.value is not None
    for cut in (a.value, a.input, page.waits[0].input):
        assert cut is not None
        assert (cut.data, cut.size, cut.is_whole) == (long[:MOST_BYTES], len(long), False)
    assert (b.value.data, b.value.size, b.value.is_whole, b.input) == (b"22", 2, True, None)
    edit(store.database, "one", payload=long)
    head = store.head("one")
    assert head is not None
    assert (len(head.payload.data), head.payload.size) == (MOST_BYTES, len(long))


def test_what_waits_comes_by_its_time_and_not_without_end(store: SqlStore) -> None:
    begun(store)
    write_waits(
        store,
        "one",
        *(
            {"step_key": f"child{n:03}", "kind": "invoke_and_wait", "target_id": "x"}
            for n in range(40)
        ),
        {"step_key": "late", "due_at": 900},
        {"step_key": "soon", "due_at": 100, "kind": "step", "attempts": 2},
        {"step_key": "ended", "due_at": 50},
    )
    write_steps(store, "one", step("ended", 0, 1))
    page = ask(store)
    assert page.waiting == 42
    assert len(page.waits) < 42
    shown = [(row.key, row.status) for row in page.waits[:3]]
    assert shown == [("soon", "retrying"), ("late", "waiting"), ("child000", "waiting")]


def test_a_wait_can_be_asked_for(seven: SqlStore) -> None:
    write_waits(seven, "one", *({"step_key": f"w{n:02}", "due_at": n} for n in range(40)))
    page = ask(seven, key="w39", limit=2)
    assert (page.found, page.waits[0].key, page.waits[-1].key) == (True, "w00", "w39")
    assert (keys(page), page.is_last) == (["e", "f"], True)
    assert not ask(seven, key="w40").found


def test_a_head_has_what_a_person_asks_for(store: SqlStore) -> None:
    given = {"session_id": "s", "idempotency_key": "once", "queue": "q", "tags": ("b", "a")}
    store.start(new("one", **given))
    head = store.head("one")
    assert head is not None
    execution = head.execution
    assert (execution.id, execution.status, execution.queue) == ("one", Status.QUEUED, "q")
    assert (head.idempotency_key, head.tags, head.payload.data) == ("once", ("a", "b"), b"payload")
    assert (head.worker, head.running, head.result, head.failure) == (None, (), None, None)
    assert abs(head.now - execution.created_at) < 60_000_000
    begun(store, "two", lease_worker="worker@a", lease_steps='["x", "y"]')
    two = store.head("two")
    assert two is not None
    assert (two.worker, two.running) == ("worker@a", ("x", "y"))
    assert store.head("three") is None
    assert SqlStore(store.database, "other").head("one") is None


def test_what_runs_is_what_was_noted_and_is_not_recorded_yet(seven: SqlStore) -> None:
    edit(seven.database, "one", lease_steps='["b", "g", "h"]')
    assert ask(seven).running == ("g", "h")
    edit(seven.database, "one", lease_steps=None)
    assert ask(seven).running == ()


@pytest.mark.parametrize("marked", ["{", "7", '{"a": 1}', "[1, null]"])
def test_marks_that_make_no_sense_are_none(store: SqlStore, marked: str) -> None:
    begun(store, lease_steps=marked)
    head = store.head("one")
    assert head is not None
    assert head.running == ()


def related(store: SqlStore, execution_id: str, parent: str, key: str, **given: Any) -> None:
    store.start(new(execution_id, parent_execution_id=parent, parent_step_key=key, **given))


def test_steps_come_with_their_children(store: SqlStore) -> None:
    begun(store)
    edit(store.database, "one", retried=1, forked_from="source")
    ids = {
        "again": child_id("one", "again", 1),
        "old": child_id("one", "old", 0),
        "copied": child_id("source", "copied", 0),
        "started": "any-id",
        "open": "other-id",
    }
    for key, id_ in ids.items():
        related(store, id_, "one", key)
    child = Kind.CHILD.value
    write_steps(
        store,
        "one",
        step("again", 0, 1, kind=child),
        step("old", 0, 2, kind=child),
        step("copied", 0, 3, kind=child),
        step("started", 0, 4, kind=Kind.INVOKE.value, value=encode("any-id")),
        step("pruned", 0, 5, kind=child),
        step("odd", 0, 6, kind=Kind.INVOKE.value, value=b"{"),
        step("plain", 0, 7),
    )
    write_waits(store, "one", {"step_key": "open", "kind": child, "target_id": "other-id"})
    page = ask(store)
    found = {row.key: row.child.id for row in (*page.rows, *page.waits) if row.child is not None}
    assert found == ids
    assert {row.payload.data for row in page.rows if row.payload is not None} == {b"payload"}


def test_the_family_of_an_execution(store: SqlStore) -> None:
    store.start(new("root"))
    related(store, "parent", "root", "p", root_execution_id="root")
    for name in ("this", "brother", "sister"):
        related(store, name, "parent", name, root_execution_id="root")
    for number in range(5):
        related(store, f"kid{number}", "this", f"k{number}", root_execution_id="root")
        edit(store.database, f"kid{number}", created_at=number)
    edit(store.database, "kid4", status="cancelled", finished_at=9)
    head = store.head("this")
    assert head is not None
    family = store.family(head, ExecutionQuery(limit=3))
    assert [it.id for it in family.ancestors] == ["parent", "root"]
    assert family.root is None
    assert {it.id for it in family.siblings} == {"brother", "sister"}
    assert family.siblings_by_status == {"queued": 3}
    assert family.by_status == {"queued": 4, "cancelled": 1}
    assert [it.id for it in family.children.items] == ["kid4", "kid3", "kid2"]
    assert family.children.next_cursor is not None
    # Its parent was pruned.
    edit(store.database, "this", parent_execution_id="gone")
    head = store.head("this")
    assert head is not None
    family = store.family(head, ExecutionQuery())
    assert family.ancestors == ()
    assert family.root is not None and family.root.id == "root"
    alone = store.head("root")
    assert alone is not None
    assert store.family(alone, ExecutionQuery()).by_status == {"queued": 1}


def test_ancestors_in_a_circle_come_to_an_end(store: SqlStore) -> None:
    related(store, "a", "b", "x")
    related(store, "b", "a", "x")
    head = store.head("a")
    assert head is not None
    assert len(store.family(head, ExecutionQuery()).ancestors) < 100


def test_one_value_is_given_whole(store: SqlStore) -> None:
    begun(store)
    long = b"y" * 30_000
    write_steps(store, "one", step("a", 0, 1, value=long, input=b"in"))
    write_waits(store, "one", {"step_key": "w", "due_at": 5, "input": b"win"})
    edit(store.database, "one", payload=long)
    assert store.whole("one", "a", "value") == (True, long)
    assert store.whole("one", "a", "input") == (True, b"in")
    assert store.whole("one", "a", "failure") == (True, None)
    assert store.whole("one", "w", "input") == (True, b"win")
    assert store.whole("one", "w", "value") == (True, None)
    assert store.whole("one", "nothing", "value") == (False, None)
    assert store.whole("one", None, "payload") == (True, long)
    assert store.whole("none", None, "payload") == (False, None)
    other = SqlStore(store.database, "other")
    assert other.whole("one", None, "payload") == other.whole("one", "a", "value") == (False, None)


def test_places_stand_in_addresses() -> None:
    for place in (StepPlace(0, 0, "a"), StepPlace(7, 12, "é.ü …\n")):
        assert StepPlace.of_cursor(place.to_cursor()) == place
    for bad in ("", "x", "%", "MS4y", "LTEuMC5h", "é", StepPlace(2**31, 0, "a").to_cursor()):
        with pytest.raises(ValueError, match="no place"):
            StepPlace.of_cursor(bad)


LOOKS = {
    "first": Asked(),
    "last": Asked(last=True),
    "after": Asked(after=StepPlace(0, 5, "s5")),
    "failed": Asked(failed=True),
    "since": Asked(since=Micros(BEGIN)),
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_reads_only_what_is_of_that_execution(store: SqlStore, look: str) -> None:
    finish_many(store, 3000)
    many = [
        {"execution_id": f"e{n:06}"} | step(f"s{m}", 0, m) for n in range(600) for m in range(4)
    ]
    fixed = {"kind": "step", "value": b"1", "attempts": 1}
    store.database.run(insert(checkpoints), [fixed | it for it in many])
    waiting = [{"execution_id": f"e{n:06}", "step_key": "w", "due_at": 5} for n in range(600)]
    store.database.run(insert(waits), [{"kind": "wait", "attempts": 0} | it for it in waiting])
    begun(store)
    edit(store.database, "one", parent_execution_id="e000001", root_execution_id="e000000")
    write_steps(store, "one", *(step(f"s{n}", 0, n) for n in range(100)))
    write_waits(store, "one", {"step_key": "w", "due_at": 5})
    related(store, "kid", "one", "s1")

    def work() -> None:
        head = store.head("one")
        assert head is not None
        store.steps(head, LOOKS[look])
        store.family(head, ExecutionQuery(limit=20))

    if store.database.dialect == "mariadb":
        store.database.run(text("ANALYZE TABLE polos_executions, polos_checkpoints, polos_waits"))
        assert rows_read_on_mariadb(store.database, work) < 1500
        return
    store.database.run(text("ANALYZE"))
    with statements(store.database) as sent:
        work()
    with store.database.engine.connect() as connection:
        for statement, parameters in sent:
            if statement.startswith("BEGIN"):
                continue
            assert _scans[store.database.dialect](connection, statement, parameters) == []
        connection.rollback()


def _scans_of_sqlite(connection: Connection, statement: str, parameters: Any) -> list[str]:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    by_project = [f"USING INDEX polos_ix_{name}" for name in ("workflow", "created", "status")]
    return [
        row.detail
        for row in rows
        if re.match(r"SCAN polos_", row.detail) or any(it in row.detail for it in by_project)
    ]


def _scans_of_postgresql(connection: Connection, statement: str, parameters: Any) -> list[str]:
    connection.exec_driver_sql("SET enable_seqscan = off")
    lines = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)]
    return [line for line in lines if "Seq Scan on polos_" in line]


_scans = {"sqlite": _scans_of_sqlite, "postgresql": _scans_of_postgresql}
