"""Starts that are repeated, because their answer may have been lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from polos import ExecutionExists, PolosClient, WorkflowContext, WorkflowNotFound, workflow
from polos.client.direct import DirectClient
from polos.definition.registry import registry
from polos.model.ports import StartRequest
from polos.model.settings import Settings

ASKED = StartRequest("tidy", b'{"a":1}', execution_id="e1", session_id="s", priority=3)


@pytest.fixture
def client(database_url: str) -> Iterator[DirectClient]:
    settings = Settings.load(
        database_url=database_url, broker_url="memory://", auto_migrate=True, deployment_id="own"
    )
    made = PolosClient(settings=settings)
    with registry.scoped():

        @workflow(id="tidy")
        async def tidy(ctx: WorkflowContext) -> int:
            return 7

        yield made.bound.client
    made.close()


def test_a_repeated_one_gives_what_the_first_has_started(client: DirectClient) -> None:
    first, fresh = client.start_once(ASKED)
    assert fresh
    assert client.start_once(ASKED) == (client.get(first.id), False)


@pytest.mark.parametrize(
    "other",
    [
        {"payload": b'{"a":2}'},
        {"workflow_id": "other", "declared": True},
        {"session_id": "t"},
        {"user_id": "u"},
        {"priority": 4},
        {"initial_state": b"{}"},
        {"idempotency_key": "k"},
    ],
    ids=str,
)
def test_another_one_with_its_id_is_refused(client: DirectClient, other: dict[str, object]) -> None:
    client.start_once(ASKED)
    with pytest.raises(ExecutionExists, match="e1"):
        client.start_once(replace(ASKED, **other))


def test_a_key_gives_the_execution_that_has_it(client: DirectClient) -> None:
    first, _ = client.start_once(replace(ASKED, idempotency_key="k"))
    second = replace(ASKED, idempotency_key="k", execution_id="e2", payload=b"{}")
    assert client.start_once(second) == (client.get(first.id), False)


def test_a_fork_is_not_the_start_of_its_id(client: DirectClient) -> None:
    client.start(replace(ASKED, execution_id="e0"))
    forked = client.fork("e0", None, None, "e1")
    assert client.fork("e0", None, None, "e1") == forked
    with pytest.raises(ExecutionExists):
        client.start_once(ASKED)


def test_what_the_caller_declares_needs_no_worker(client: DirectClient) -> None:
    unknown = replace(ASKED, workflow_id="unknown")
    with pytest.raises(WorkflowNotFound):
        client.start(unknown)
    with pytest.raises(WorkflowNotFound):
        client.start_many([unknown])
    assert client.start(replace(unknown, declared=True)).workflow_id == "unknown"
    assert client.start_many([replace(unknown, declared=True, execution_id=None)])


def test_the_label_of_a_start_comes_before_that_of_the_client(client: DirectClient) -> None:
    assert client.start(ASKED).deployment_id == "own"
    other = replace(ASKED, execution_id="e2", deployment_id="other")
    assert client.start(other).deployment_id == "other"
