"""Rows that can't be read: each ends its own execution, and no other one notices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from polos import CodecError, ExecutionHandle, PolosClient, WorkflowFailedError
from polos.codec import encode
from tests.acceptance import bad_row_flows
from tests.acceptance.bad_row_flows import Amount
from tests.acceptance.conftest import opened
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import FLOWS, Stack, Workers, wait_for_status
from tests.acceptance.tables import Tables
from tests.support.processes import Program, until

ENV = {"POLOS_LEASE_SECONDS": "3"}
NAMES = f"{FLOWS},tests.acceptance.bad_row_flows"
UNKNOWN = b'{"$":"model","t":"shop.gone:Invoice","f":{}}'
EXECUTION = "UPDATE polos_executions SET {} WHERE id = :id"
CHECKPOINT = "UPDATE polos_checkpoints SET {} WHERE execution_id = :id AND step_key = 'paid'"
WAIT = "UPDATE polos_waits SET {} WHERE execution_id = :id AND step_key = 'pause'"

# What is done to an execution that waits, and what it then fails with.
BROKEN: dict[str, tuple[str, dict[str, Any], str]] = {
    "payload of garbage": (
        EXECUTION.format("payload = :bad"),
        {"bad": b"\xff\x00garbage"},
        "payload can't be read: the kept value is damaged",
    ),
    "payload that no longer fits": (
        EXECUTION.format("payload = :bad"),
        {"bad": encode({"euros": "many"})},
        "payload doesn't fit: euros",
    ),
    "checkpoint of an unknown type": (
        CHECKPOINT.format("value = :bad"),
        {"bad": UNKNOWN},
        "step 'paid' can't be read: .*shop.gone:Invoice.* is not known here",
    ),
    "checkpoint of garbage": (
        CHECKPOINT.format("value = :bad"),
        {"bad": b'{"$":'},
        "step 'paid' can't be read: the kept value is damaged",
    ),
    "checkpoint with a failure of garbage": (
        CHECKPOINT.format("value = NULL, failure = :bad"),
        {"bad": b"[]"},
        "the reason can't be read: a kept failure is damaged",
    ),
    "checkpoint of an unknown kind": (
        CHECKPOINT.format("kind = 'sorcery'"),
        {},
        "step 'paid' is kept as one of the unknown kind 'sorcery'",
    ),
    "wait of an unknown kind": (
        WAIT.format("kind = 'sorcery'"),
        {},
        "step 'pause' is kept as one of the unknown kind 'sorcery'",
    ),
    "options of garbage": (
        EXECUTION.format("celery_options = :bad"),
        {"bad": b"\x80\x04garbage"},
        "kept options of its Celery task can't be read",
    ),
    "options that are no options": (
        EXECUTION.format("celery_options = :bad"),
        {"bad": b'{"chain": [7], "link": 5}'},
        "kept options of its Celery task can't be read: its callbacks",
    ),
}


@pytest.fixture(scope="module", params=["embedded", "servers"])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with opened(request, request.param) as made:
        yield made


@pytest.fixture(scope="module")
def tables(client: PolosClient) -> Iterator[Tables]:
    made = Tables(client)
    yield made
    made.close()


@pytest.fixture(scope="module")
def served(workers: Workers) -> Program:
    return workers("threads", slots=3, flows=NAMES, env=ENV)


def _waiting(client: PolosClient) -> ExecutionHandle[Any]:
    handle = bad_row_flows.paid.start(client, Amount(euros=3))
    wait_for_status(handle, "waiting")
    return handle


def _wake(tables: Tables, execution_id: str) -> None:
    """Its wait, of a month, is over."""
    past = "wake_at = created_at, dispatch_at = created_at"
    tables.execute(EXECUTION.format(past), id=execution_id)
    tables.execute(
        "UPDATE polos_waits SET due_at = started_at WHERE execution_id = :id", id=execution_id
    )


def test_each_bad_row_ends_its_own_execution(
    served: Program, client: PolosClient, ledger: Ledger, tables: Tables
) -> None:
    handles = {name: _waiting(client) for name in BROKEN}
    healthy = _waiting(client)
    for name, (sql, values, _) in BROKEN.items():
        tables.execute(sql, id=handles[name].id, **values)
    for handle in [*handles.values(), healthy]:
        _wake(tables, handle.id)
    assert healthy.result_sync(60) == "paid 3 EUR"
    for name, (_, _, text) in BROKEN.items():
        with pytest.raises((WorkflowFailedError, RuntimeError), match=text):
            handles[name].result_sync(60)
        row = tables.row(handles[name].id)
        assert (row["status"], row["recoveries"]) == ("failed", 0), name
        assert ledger.runs(handles[name].id) == {"pay": 1}, name
    assert "Traceback" not in served.text()


def test_a_client_that_reads_a_bad_row(
    served: Program, client: PolosClient, tables: Tables
) -> None:
    bad, other = (bad_row_flows.quick.start(client) for _ in range(2))
    failing = bad_row_flows.failing.start(client)
    assert bad.result_sync(60) == other.result_sync(60) == "done"
    with pytest.raises(WorkflowFailedError):
        failing.result_sync(60)
    tables.execute(EXECUTION.format("result = :bad"), id=bad.id, bad=b"\x00")
    tables.execute(EXECUTION.format("failure = :bad"), id=failing.id, bad=b"\x00")
    with pytest.raises(CodecError, match=f"the result of execution {bad.id} can't be read"):
        bad.result_sync(60)
    with pytest.raises(WorkflowFailedError, match="the reason can't be read"):
        failing.result_sync(60)
    assert bad.status() == "completed"
    assert other.result_sync(60) == "done"


OWNERS = ("", "garbage", "a/b/c/d", "boot/1/99999999999999999999999/1", None)


def test_a_lease_of_nobody_ends(
    served: Program, client: PolosClient, ledger: Ledger, tables: Tables
) -> None:
    """The lease still counts; another worker takes the execution when it has run out."""
    boot = tables.column("SELECT owner FROM polos_workers")[0].rsplit("/", 2)[0]
    owners = (*OWNERS, f"{boot}/99999999999999999999999/1", f"{boot}/-1/1")
    handles = [bad_row_flows.quick.start(client) for _ in owners]
    for handle in handles:
        assert handle.result_sync(60) == "done"
    for handle, owner in zip(handles, owners, strict=True):
        back = (
            "status = 'running', result = NULL, finished_at = NULL, lease_token = id, "
            "lease_owner = :owner, lease_expires_at = 1, unannounced = :no, dispatch_at = NULL"
        )
        tables.execute(EXECUTION.format(back), id=handle.id, owner=owner, no=False)
    for handle in handles:
        assert handle.result_sync(60) == "done"
        assert tables.row(handle.id)["recoveries"] == 1


def test_text_where_bytes_belong(
    served: Program, stack: Stack, client: PolosClient, tables: Tables
) -> None:
    """SQLite keeps what it is given, in any column; PostgreSQL refuses it."""
    if stack.redis is not None:
        return
    bad, good = _waiting(client), _waiting(client)
    tables.execute(EXECUTION.format("payload = 'garbage'"), id=bad.id)
    for handle in (bad, good):
        _wake(tables, handle.id)
    assert good.result_sync(60) == "paid 3 EUR"
    with pytest.raises(WorkflowFailedError, match="payload can't be read"):
        bad.result_sync(60)


def test_a_childs_end_does_not_depend_on_its_parents_wait(
    served: Program, client: PolosClient, ledger: Ledger, tables: Tables
) -> None:
    parent = bad_row_flows.parent.start(client)
    [begun] = ledger.wait_for(parent.id, "child")
    wait_for_status(parent, "waiting")
    tables.execute("UPDATE polos_waits SET kind = 'sorcery' WHERE execution_id = :id", id=parent.id)
    ledger.open_gate(begun.text)
    until(lambda: tables.row(begun.text)["status"] == "completed", 60)
    assert parent.result_sync(60) == "child is done"


def test_a_report_of_garbage(served: Program, client: PolosClient, tables: Tables) -> None:
    """A worker that nobody can read does not keep the others from sweeping."""
    columns = "project_id, name, owner, slots, idle, queues, workflows, broker, seen_at"
    values = "'default', 'ghost', 'x', 1, 1, 'garbage', '{', '', 9000000000000000"
    tables.execute(f"INSERT INTO polos_workers ({columns}) VALUES ({values})")
    try:
        handle = _waiting(client)
        _wake(tables, handle.id)
        assert handle.result_sync(60) == "paid 3 EUR"
    finally:
        tables.execute("DELETE FROM polos_workers WHERE name = 'ghost'")
