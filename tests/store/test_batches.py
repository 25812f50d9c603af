"""Many starts at once: all or none, in order, found again where their keys are taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from polos.errors import ExecutionExists
from polos.model.records import ExecutionId, NewExecution
from polos.store import batches
from polos.store.database import Database
from polos.store.schema import executions
from polos.store.sql_store import SqlStore
from tests.boundaries.traps import Boundaries, Fate, Side, Trap
from tests.store.scenes import REFUSED, new
from tests.support.statements import statements

pytestmark = pytest.mark.pooled

FULL = {
    "payload": b"\0\xff payload",
    "queue": "slow",
    "priority": 3,
    "session_id": "session",
    "user_id": "user",
    "deployment_id": "d1",
    "concurrency_key": "shared",
    "idempotency_key": "key",
    "initial_state": b"{}",
    "celery_options": b"{}",
    "run_timeout_seconds": 5.0,
}


def fresh(**given: object) -> NewExecution:
    return new(str(uuid4()), **given)


def all_rows(database: Database) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in database.run(select(executions))]


def test_rows_are_those_that_single_starts_write(store: SqlStore) -> None:
    news = [fresh(), fresh(**FULL), fresh(priority=1)]
    single = [
        replace(it, id=ExecutionId(str(uuid4())), idempotency_key=it.idempotency_key and "other")
        for it in news
    ]
    started = store.start_many(news)
    assert [(store.get(it.id), True) for it in news] == started
    for it in single:
        store.start(it)
    rows = {row["id"]: row for row in all_rows(store.database)}
    for one, other in zip(news, single, strict=True):
        assert _comparable(rows[one.id]) == _comparable(rows[other.id])


def _comparable(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what is its own, its times counted from its beginning."""
    began = row["created_at"]
    times = {
        name: None if row[name] is None else round((row[name] - began) / 1e6, 1)
        for name in ("dispatch_at", "deadline_at", "wake_at")
    }
    return row | times | dict.fromkeys(("id", "created_at", "idempotency_key"))


def test_order_is_kept_over_several_statements(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_MOST_ROWS", 7)
    monkeypatch.setattr(batches, "_MOST_BYTES", 50)
    news = [fresh(payload=b"x" * (number % 30)) for number in range(100)]
    started = store.start_many(news)
    assert [(it.id, it.payload, new) for it, new in started] == [
        (it.id, it.payload, True) for it in news
    ]


def test_nothing_is_written_where_one_cannot_be(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_MOST_ROWS", 2)
    news = [fresh() for _ in range(4)] + [fresh(workflow_id=None)]
    with pytest.raises(REFUSED):
        store.start_many(news)
    assert not all_rows(store.database)


def test_a_taken_id_is_refused_with_all_others(store: SqlStore) -> None:
    taken = new("taken", project_id="other")
    store.start(taken)
    with pytest.raises(ExecutionExists) as caught:
        store.start_many([fresh(), new("taken", idempotency_key="k"), fresh()])
    assert caught.value.execution_id == "taken"
    assert [row["id"] for row in all_rows(store.database)] == ["taken"]


def test_what_was_started_before_is_found_by_its_id_and_nothing_else_is(store: SqlStore) -> None:
    news = [fresh(payload=b"1"), fresh(payload=b"2")]
    first = store.start_many(news)
    assert store.start_many([*news, *news[:1]]) == [*first, first[0]]
    with pytest.raises(ExecutionExists, match=news[1].id):
        store.start_many([fresh(), news[0], replace(news[1], payload=b"3")])
    assert len(all_rows(store.database)) == 2


def test_taken_keys_give_the_executions_that_have_them(store: SqlStore) -> None:
    first, _ = store.start(fresh(idempotency_key="a"))
    other, _ = store.start(fresh(workflow_id="other", idempotency_key="b"))
    news = [
        fresh(),
        fresh(idempotency_key="a"),
        fresh(idempotency_key="b"),
        fresh(idempotency_key="b"),
    ]
    started = store.start_many(news)
    assert [it.id for it, _ in started] == [news[0].id, first.id, news[2].id, news[2].id]
    assert [new for _, new in started] == [True, False, True, False]
    assert len(all_rows(store.database)) == 4
    assert other.id not in [it.id for it, _ in started]


def test_an_empty_batch_is_nothing(store: SqlStore) -> None:
    assert store.start_many([]) == []


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_batch_whose_answer_is_lost_is_written_once(
    postgres_store: SqlStore, side: Side, number: int
) -> None:
    store = postgres_store
    dialect = store.database.engine.dialect
    news = [fresh() for _ in range(5)]
    Boundaries(Trap(number, side, Fate.CUT)).watch(store.database.engine)
    try:
        started = store.start_many(news)
    finally:
        for method in ("do_execute", "do_executemany", "do_execute_no_params", "do_commit"):
            delattr(dialect, method)
    assert started == [(store.get(it.id), True) for it in news]
    assert len(all_rows(store.database)) == 5


def test_a_thousand_take_one_transaction_of_few_statements(store: SqlStore) -> None:
    with statements(store.database) as sent:
        store.start_many([fresh() for _ in range(1000)])
    texts = [text for text, _ in sent if text not in ("BEGIN", "BEGIN IMMEDIATE")]
    # MariaDB doesn't tell which rows of an insert were there already.
    more = ["SELECT"] if store.database.dialect == "mariadb" else []
    assert [text.split()[0] for text in texts] == ["SELECT", "INSERT", *more]
