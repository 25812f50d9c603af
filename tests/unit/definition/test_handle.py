from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from polos import codec
from polos.definition.handle import ExecutionHandle, value_of
from polos.definition.registry import registry
from polos.definition.workflow import workflow
from polos.errors import CodecError, ConfigurationError, ExecutionNotFound, WorkflowFailedError
from polos.model.records import Execution, ExecutionId, Failure, Micros
from polos.model.states import Status

from .fakes import FakeClient, completing, failing


class Receipt(BaseModel):
    number: int


@workflow(id="handle.receipts")
async def receipts(ctx: Any) -> Receipt: ...


def execution(**given: Any) -> Execution:
    fields: dict[str, Any] = {
        "id": ExecutionId("e1"),
        "workflow_id": "handle.receipts",
        "project_id": "default",
        "status": Status.QUEUED,
        "payload": b"null",
        "created_at": Micros(1_700_000_000_000_000),
    }
    return Execution(**(fields | given))


def test_its_attributes() -> None:
    handle = ExecutionHandle.of(
        execution(
            parent_execution_id="p",
            parent_step_key="k",
            root_execution_id="r",
            root_workflow_id="w",
            session_id="s",
            user_id="u",
        )
    )
    assert handle.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert handle.to_dict() == {
        "id": "e1",
        "workflow_id": "handle.receipts",
        "created_at": "2023-11-14T22:13:20+00:00",
        "parent_execution_id": "p",
        "root_workflow_id": "w",
        "root_execution_id": "r",
        "session_id": "s",
        "user_id": "u",
        "step_key": "k",
    }
    assert "client" not in repr(handle)
    with pytest.raises(AttributeError):
        handle.id = "other"


def test_get_is_a_fresh_look() -> None:
    client = completing(codec.encode(Receipt(number=0)))
    handle = receipts.start(client)
    before = asyncio.run(handle.get())
    assert (before["status"], before["result"], before["finished_at"]) == ("queued", None, None)
    handle.result_sync()
    after = asyncio.run(handle.get(client))
    assert (after["id"], after["workflow_id"], after["error"]) == ("e1", "handle.receipts", None)
    assert (after["status"], after["result"]) == ("completed", {"number": 0})
    assert after["finished_at"] == "2023-11-14T22:13:21+00:00"
    assert type(after["status"]) is str
    assert json.loads(json.dumps(after)) == after


def test_get_of_a_failed_one() -> None:
    client = failing(Failure("boom", "ValueError"))
    handle = receipts.start(client)
    with pytest.raises(WorkflowFailedError):
        handle.result_sync()
    found = asyncio.run(handle.get())
    assert (found["status"], found["error"], found["error_type"]) == (
        "failed",
        "boom",
        "ValueError",
    )


def test_results_and_status() -> None:
    client = completing(codec.encode({"number": 7}))
    handle = receipts.start(client)
    assert handle.status() == "queued"
    assert asyncio.run(handle.result()) == Receipt(number=7)
    assert handle.result_sync(timeout=2) == Receipt(number=7)
    assert handle.status() is Status.COMPLETED
    assert client.timeouts == [None, 2]


def test_cancel() -> None:
    handle = receipts.start(FakeClient())
    assert asyncio.run(handle.cancel()) is True
    assert asyncio.run(handle.cancel()) is False
    assert handle.status() == "cancelled"


def test_another_client_may_be_asked() -> None:
    handle = receipts.start(FakeClient())
    with pytest.raises(ExecutionNotFound, match="'e1'"):
        asyncio.run(handle.get(FakeClient()))


def test_a_handle_without_client_uses_the_default() -> None:
    handle = ExecutionHandle.of(execution(), result_type=Receipt)
    for call in (handle.status, handle.result_sync, lambda: asyncio.run(handle.get())):
        wanted = r"ExecutionHandle\.\w+\(\) has no client: ask with get\(client\), or create Polos"
        with pytest.raises(ConfigurationError, match=wanted):
            call()
    client = FakeClient()
    client.executions["e1"] = execution()
    registry.set_default_client(client)
    assert handle.status() == "queued"


def test_what_a_handle_takes_for_a_client() -> None:
    handle: Any = receipts.start(FakeClient())
    for call in (handle.get, handle.cancel):
        with pytest.raises(TypeError, match=r"\(\) takes a client, not str; pass a PolosClient"):
            asyncio.run(call("x"))


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5"])
def test_unacceptable_timeouts(timeout: Any) -> None:
    handle = receipts.start(FakeClient())
    with pytest.raises(ValueError, match="timeout is"):
        handle.result_sync(timeout)
    with pytest.raises(ValueError, match="timeout is"):
        asyncio.run(handle.result(timeout))


def test_what_has_not_ended_has_no_value() -> None:
    for status in (Status.QUEUED, Status.RUNNING, Status.WAITING):
        with pytest.raises(ValueError, match=f"is {status}: it has no result yet"):
            value_of(execution(status=status))


def test_a_failure_whose_reason_is_lost() -> None:
    with pytest.raises(WorkflowFailedError, match="no reason was kept"):
        value_of(execution(status=Status.FAILED))


def test_a_result_that_is_not_what_the_annotation_says() -> None:
    client = completing(codec.encode({"number": "many"}))
    with pytest.raises(CodecError, match="a kept result doesn't fit: number: "):
        receipts.start(client).result_sync()
