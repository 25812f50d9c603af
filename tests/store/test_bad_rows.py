"""A row that can't be read must not hide the others of its query."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, text, update

from polos.errors import CodecError
from polos.model.outcome import Completed
from polos.model.states import Status
from polos.model.workers import WorkerReport
from polos.store.database import Database
from polos.store.schema import checkpoints, waits, workers
from polos.store.sql_store import SqlStore
from tests.store.scenes import claim, edit, family, keys, new, put, row, running, step, timer
from tests.support.statements import statements

SEEN = 9_000_000_000_000_000


def test_a_damaged_failure_is_told_as_such(store: SqlStore) -> None:
    put(store.database, Status.FAILED, "bad", failure=b"\x00")
    put(store.database, Status.FAILED, "good")
    found = store.ended(["bad", "good"])
    assert found["good"].failure is not None
    assert found["good"].failure.reason == "no luck"
    assert found["bad"].failure is not None
    assert "the reason can't be read: the kept value is damaged" in found["bad"].failure.reason


@pytest.mark.parametrize("table", [checkpoints, waits])
def test_an_unknown_kind_names_its_step(store: SqlStore, table) -> None:
    claimed = running(store)
    store.checkpoint("one", claimed.token, [step("done")], [timer("rest", 5)])
    store.database.run(update(table).values(kind="sorcery"))
    key = "done" if table is checkpoints else "rest"
    with pytest.raises(CodecError, match=f"step '{key}' .* unknown kind 'sorcery'; .*newer rel"):
        store.load("one")


def test_a_child_ends_whatever_its_parents_wait_is(store: SqlStore) -> None:
    parent, child = family(store)
    store.database.run(update(waits).values(kind="sorcery"))
    store.commit(child.execution, child.token, Completed(b"r"))
    assert row(store.database, "child")["status"] == Status.COMPLETED
    assert keys(store, "parent") == ["kid"]


def test_a_lease_without_an_owner(store: SqlStore) -> None:
    running(store, "bad")
    running(store, "good")
    edit(store.database, "bad", lease_owner=None)
    assert len(store.owners()) == 1
    edit(store.database, "bad", lease_expires_at=1)
    [(execution, token)] = store.lost([], trust_expiry=True)
    assert [hint.execution_id for hint in store.reclaim(execution, token, 10)] == ["bad"]
    claim(store, "bad")


def test_a_report_that_cannot_be_read(store: SqlStore, caplog: pytest.LogCaptureFixture) -> None:
    store.report(WorkerReport("good", "owner", 2, 1))
    values = {"project_id": "default", "name": "bad", "owner": "x", "slots": 1, "idle": 1}
    values |= {"queues": "garbage", "workflows": "[]", "broker": "", "seen_at": SEEN}
    store.database.run(insert(workers).values(values))
    assert [report.name for report in store.alive(60)] == ["good"]
    assert "what worker bad reported can't be read" in caplog.text


def test_text_in_a_column_of_bytes(sqlite_database: Database) -> None:
    """SQLite takes it."""
    store = SqlStore(sqlite_database)
    for name in ("bad", "good"):
        store.start(new(name))
        edit(store.database, name, dispatch_at=1)
    store.database.run(text("UPDATE polos_executions SET payload = 'a\u00e9' WHERE id = 'bad'"))
    bad = store.get("bad")
    assert bad is not None
    assert bad.payload == "a\u00e9".encode()
    assert {hint.execution_id for hint in store.redispatch(10)} == {"bad", "good"}


def test_hints_fetch_no_payloads(store: SqlStore) -> None:
    """A duty that names its columns; a payload may have megabytes."""
    store.start(new("one"))
    edit(store.database, "one", dispatch_at=1)
    with statements(store.database) as sent:
        store.redispatch(10)
        store.wake_due(10)
        store.send_ahead(10)
    assert len(sent) >= 3
    for sql, _ in sent:
        assert "payload" not in sql
