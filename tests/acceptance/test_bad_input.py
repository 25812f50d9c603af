"""What can't be started leaves nothing behind, and says why."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from polos import InvalidPayload, PolosClient, WorkflowFailedError, WorkflowNotFound
from tests.acceptance import flows
from tests.acceptance.stacks import Stack, Workers


def _rows(client: PolosClient) -> int:
    engine = create_engine(client.bound.store.database.engine.url)
    try:
        with engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM polos_executions")).scalar())
    finally:
        engine.dispose()


@pytest.fixture
def nothing_begun(stack: Stack, client: PolosClient) -> Any:
    """Neither a row nor a message is left by the test."""
    before = (_rows(client), stack.queued_messages())
    yield
    assert (_rows(client), stack.queued_messages()) == before


def test_a_workflow_that_nobody_knows(nothing_begun: None, client: PolosClient) -> None:
    with pytest.raises(WorkflowNotFound, match="'accept-quik'.*known: .*accept-quick.*start a"):
        asyncio.run(client.invoke("accept-quik"))


def test_a_payload_of_the_wrong_shape(nothing_begun: None, client: PolosClient) -> None:
    with pytest.raises(InvalidPayload, match="seconds"):
        flows.journey.start(client, {"seconds": "a while"})
    with pytest.raises(InvalidPayload, match="seconds"):
        asyncio.run(client.invoke("accept-rest", {}))


@pytest.mark.parametrize("payload", [["a list"], "text", 3])
def test_a_payload_of_the_wrong_type(
    nothing_begun: None, client: PolosClient, payload: Any
) -> None:
    with pytest.raises(TypeError, match=type(payload).__name__):
        flows.journey.start(client, payload)
    with pytest.raises(TypeError, match=type(payload).__name__):
        asyncio.run(client.invoke("accept-journey", payload))


def test_a_payload_that_cannot_be_kept(nothing_begun: None, client: PolosClient) -> None:
    with pytest.raises(TypeError, match=r"object at \$.deep\[1\]"):
        flows.echo.start(client, {"deep": [1, object()]})


@pytest.mark.parametrize("label", ["session_id", "user_id", "idempotency_key", "execution_id"])
def test_a_nul_in_a_label(nothing_begun: None, client: PolosClient, label: str) -> None:
    with pytest.raises(ValueError, match=label):
        flows.quick.start(client, **{label: "a\0b"})


@pytest.mark.parametrize("label", ["session_id", "idempotency_key"])
def test_a_nul_in_a_label_of_invoke(nothing_begun: None, client: PolosClient, label: str) -> None:
    with pytest.raises(ValueError, match=label):
        asyncio.run(client.invoke("accept-quick", **{label: "a\0b"}))


def test_values_may_hold_anything(workers: Workers, client: PolosClient) -> None:
    workers("threads")
    payload = {"nul": "a\0b", "lone": "\ud800", "\0": "\N{GRINNING FACE}"}
    assert flows.echo.run_sync(client, payload, timeout=60) == payload


def test_a_result_that_cannot_be_kept(workers: Workers, client: PolosClient) -> None:
    handle = flows.unkeepable.start(client)
    if not any(worker.running for worker in workers.started):
        workers("threads")
    with pytest.raises(WorkflowFailedError, match=r"object at \$.handle\[1\] can't be kept"):
        handle.result_sync(60)
