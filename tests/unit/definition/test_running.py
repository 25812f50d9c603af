"""Starting a workflow from outside: ``run``, ``run_sync``, ``invoke``, ``start``."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from polos import codec
from polos.definition.default_client import process_slot
from polos.definition.handle import ExecutionHandle
from polos.definition.registry import registry
from polos.definition.workflow import workflow
from polos.errors import (
    ConfigurationError,
    ExecutionCancelledError,
    InvalidPayload,
    StepExecutionError,
    WorkflowFailedError,
)
from polos.model.records import Failure
from polos.model.states import Status

from .fakes import FakeClient, completing, failing


class Order(BaseModel):
    id: str


class Receipt(BaseModel):
    number: int


@workflow(id="running.order", queue="orders", timeout_seconds=90, celery={"priority": 3})
async def order_workflow(ctx: Any, payload: Order) -> Receipt: ...


@workflow(id="running.anything")
async def anything(ctx: Any): ...


@pytest.fixture(autouse=True)
def no_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests may have left apps behind, and one that is held is the default."""
    monkeypatch.setattr(process_slot, "_bound", [])


def test_run_gives_an_instance_of_the_result_type() -> None:
    client = completing(codec.encode({"number": 7}))
    assert asyncio.run(order_workflow.run(client, Order(id="a"))) == Receipt(number=7)
    assert order_workflow.run_sync(client, {"id": "b"}) == Receipt(number=7)
    assert client.timeouts == [600.0, 600.0]


@pytest.mark.parametrize("result", [0, False, "", [], {}, None])
def test_falsy_results(result: Any) -> None:
    client = completing(codec.encode(result))
    got = asyncio.run(anything.run(client))
    assert got == result
    assert type(got) is type(result)


def test_what_a_start_asks_for() -> None:
    client = completing(codec.encode(Receipt(number=1)))
    asyncio.run(
        order_workflow.run(
            client,
            Order(id="a"),
            "slow",
            "customer-1",
            "s1",
            "u1",
            None,
            {"count": 0},
            idempotency_key="i1",
            execution_id="e1",
        )
    )
    [request] = client.requests
    assert request.workflow_id == "running.order"
    assert codec.decode_payload(request.payload, Order) == Order(id="a")
    assert (request.queue, request.concurrency_key) == ("slow", "customer-1")
    assert (request.session_id, request.user_id) == ("s1", "u1")
    assert (request.idempotency_key, request.execution_id) == ("i1", "e1")
    assert codec.decode(request.initial_state or b"") == {"count": 0}
    assert client.timeouts == [None]


def test_what_a_start_takes_from_the_workflow() -> None:
    client = FakeClient()
    order_workflow.start(client, Order(id="a"))
    order_workflow.start(client, Order(id="a"), run_timeout_seconds=5)
    first, second = client.requests
    assert (first.queue, first.priority, first.run_timeout_seconds) == ("orders", 3, 90)
    assert second.run_timeout_seconds == 5
    assert first.initial_state is None


def test_invoke_and_start_give_handles() -> None:
    client = FakeClient()
    handles = [
        asyncio.run(order_workflow.invoke(client, Order(id="a"), session_id="s1")),
        order_workflow.start(client, Order(id="a"), session_id="s1"),
    ]
    assert all(isinstance(handle, ExecutionHandle) for handle in handles)
    assert [handle.id for handle in handles] == ["e1", "e2"]
    assert {handle.session_id for handle in handles} == {"s1"}
    assert client.timeouts == []


def test_invoke_does_not_block_the_loop() -> None:
    class Slow(FakeClient):
        def start(self, request: Any) -> Any:
            threads.append(threading.current_thread())
            return super().start(request)

    threads: list[threading.Thread] = []
    asyncio.run(anything.invoke(Slow()))
    assert threads != [threading.current_thread()]


def test_the_default_client() -> None:
    client = completing(codec.encode(1))
    registry.set_default_client(client)
    assert asyncio.run(anything.run()) == 1
    assert anything.run_sync() == 1
    handle = anything.start()
    assert handle.result_sync() == 1
    assert len(client.requests) == 3


def test_no_client() -> None:
    with pytest.raises(ConfigurationError, match=r"'running.anything' has no client.*Polos\(app\)"):
        asyncio.run(anything.run())
    with pytest.raises(ConfigurationError, match="no client"):
        anything.start()


@pytest.mark.parametrize("payload", [Order(id="a"), {"id": "a"}])
def test_a_payload_in_the_client_s_place(payload: Any) -> None:
    client = completing(codec.encode({"number": 7}))
    registry.set_default_client(client)
    order_workflow.start(payload)
    order_workflow.run_sync(payload)
    asyncio.run(order_workflow.invoke(payload))
    asyncio.run(order_workflow.run(payload))
    read = [codec.decode_payload(request.payload, Order) for request in client.requests]
    assert read == [Order(id="a")] * 4


def test_a_payload_in_the_client_s_place_needs_a_default_client() -> None:
    with pytest.raises(ConfigurationError, match="has no client"):
        order_workflow.start(Order(id="a"))


@pytest.mark.parametrize("thing", ["http://localhost", 5])
def test_what_is_neither_a_client_nor_a_payload(thing: Any) -> None:
    for call in (order_workflow.start, order_workflow.run_sync):
        with pytest.raises(TypeError, match="takes a client or the payload as its first"):
            call(thing)
    with pytest.raises(TypeError, match="takes a client or the payload as its first"):
        asyncio.run(order_workflow.run(thing))


def test_two_payloads() -> None:
    with pytest.raises(TypeError, match="with a client it comes second"):
        order_workflow.start({"id": "a"}, Order(id="a"))


def test_a_connection_is_handed_on() -> None:
    client, connection = FakeClient(), object()
    order_workflow.start(client, Order(id="a"), connection=connection)
    assert client.requests[0].connection is connection


def test_a_bad_payload_never_becomes_an_execution() -> None:
    client = FakeClient()
    with pytest.raises(InvalidPayload, match="id"):
        asyncio.run(order_workflow.run(client, {"no": 1}))
    with pytest.raises(TypeError, match="a dict or None"):
        asyncio.run(order_workflow.run(client, 5))
    assert client.requests == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("session_id", "a\0b"),
        ("session_id", "x" * 256),
        ("session_id", 5),
        ("user_id", "x" * 256),
        ("user_id", "\ud800"),
        ("concurrency_key", "a\0"),
        ("queue", ""),
        ("idempotency_key", ""),
        ("idempotency_key", "x" * 256),
        ("execution_id", ""),
        ("execution_id", "a\0"),
        ("run_timeout_seconds", 0),
        ("run_timeout_seconds", float("inf")),
    ],
)
def test_unacceptable_arguments_are_named(name: str, value: Any) -> None:
    client = FakeClient()
    with pytest.raises(ValueError, match=f"^{name} "):
        anything.start(client, **{name: value})
    assert client.requests == []


def test_the_longest_labels() -> None:
    client = FakeClient()
    anything.start(client, session_id="x" * 255, user_id="")
    assert client.requests[0].user_id == ""


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5"])
def test_a_timeout_is_checked_before_the_start(timeout: Any) -> None:
    client = FakeClient()
    for call in (anything.run_sync, lambda c, **k: asyncio.run(anything.run(c, **k))):
        with pytest.raises(ValueError, match="timeout is"):
            call(client, timeout=timeout)
    assert client.requests == []


def test_a_failed_step() -> None:
    client = failing(Failure("no money", "shop.Declined", "charge", 3))
    with pytest.raises(StepExecutionError) as caught:
        asyncio.run(anything.run(client))
    error = caught.value
    assert (error.reason, error.step_key, error.attempts) == ("no money", "charge", 3)
    assert error.error_type == "shop.Declined"


def test_a_step_error_without_a_key() -> None:
    client = failing(Failure("bad", "polos.errors.StepExecutionError"))
    with pytest.raises(StepExecutionError, match="^bad$"):
        anything.run_sync(client)


def test_any_other_failure() -> None:
    client = failing(Failure("boom", "ValueError"))
    with pytest.raises(WorkflowFailedError) as caught:
        anything.run_sync(client)
    error = caught.value
    assert (error.reason, error.execution_id, error.error_type) == ("boom", "e1", "ValueError")


def test_a_cancelled_execution() -> None:
    with pytest.raises(ExecutionCancelledError, match="e1"):
        anything.run_sync(FakeClient(status=Status.CANCELLED))


@pytest.mark.parametrize("call", ["delay", "apply_async", "s", "si", "signature", "AsyncResult"])
def test_celerys_calls_need_an_app(call: str) -> None:
    registry.set_default_client(FakeClient())
    for client in (None, registry.default_client()):
        registry.set_default_client(client)
        arguments = ("id",) if call == "AsyncResult" else ()
        with pytest.raises(ConfigurationError, match=rf"{call}\(\) needs: create Polos\(app\)"):
            getattr(order_workflow, call)(*arguments)
    registry.set_default_client(None)
