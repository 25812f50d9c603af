"""What ``ctx`` says of an execution is what the store has of it, down to its grandchildren."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.workflow import workflow
from polos.model.records import ExecutionId, NewExecution, as_datetime
from polos.store.sql_store import SqlStore
from tests.engine.conftest import Engine

# All of ExecutionFacts, each with the place in the store where it comes from.
FACTS = {
    "workflow_id": "workflow_id",
    "execution_id": "id",
    "session_id": "session_id",
    "user_id": "user_id",
    "parent_execution_id": "parent_execution_id",
    "root_execution_id": "root_execution_id",
    "root_workflow_id": "root_workflow_id",
    "retry_count": "retried",
    "deployment_id": "deployment_id",
}


def facts(ctx: Any) -> dict[str, Any]:
    return {name: getattr(ctx, name) for name in (*FACTS, "created_at", "state", "workflow_type")}


def stored(store: SqlStore, id_: str) -> dict[str, Any]:
    found = store.get(ExecutionId(id_))
    assert found is not None
    own = {name: getattr(found, column) for name, column in FACTS.items()}
    return {
        **own,
        "created_at": as_datetime(found.created_at),
        "state": None,
        "workflow_type": "workflow",
    }


@pytest.fixture
def seen() -> list[dict[str, Any]]:
    return []


def test_facts_of_a_family(engine: Engine, seen: list[dict[str, Any]]) -> None:
    @workflow(id="facts-grandchild")
    def grandchild(ctx: SyncWorkflowContext) -> None:
        seen.append(facts(ctx))

    @workflow(id="facts-child")
    async def child(ctx: WorkflowContext) -> None:
        seen.append(facts(ctx))
        await ctx.step.invoke_and_wait("grandchild", grandchild)

    @workflow(id="facts-top")
    async def top(ctx: WorkflowContext) -> None:
        seen.append(facts(ctx))
        await ctx.step.invoke_and_wait("child", child)

    engine.add(grandchild, child, top)
    engine.store.start(
        NewExecution(
            ExecutionId("facts"),
            top.id,
            "default",
            top.encode_payload(None),
            session_id="the session",
            user_id="the user",
            deployment_id="the deployment",
        )
    )
    engine.finish("facts")
    by_id = {found["execution_id"]: found for found in seen}
    assert [found["workflow_id"] for found in by_id.values()] == [top.id, child.id, grandchild.id]
    for id_, found in by_id.items():
        assert found == stored(engine.store, id_)
    first, second, third = by_id.values()
    assert first["created_at"].tzinfo is UTC
    assert abs((first["created_at"] - datetime.now(UTC)).total_seconds()) < 3600
    labels = ("session_id", "user_id", "deployment_id")
    for found in (first, second, third):
        assert [found[name] for name in labels] == ["the session", "the user", "the deployment"]
    relatives = ("parent_execution_id", "root_execution_id", "root_workflow_id")
    assert [first[name] for name in relatives] == [None, None, None]
    assert [second[name] for name in relatives] == ["facts", "facts", top.id]
    assert [third[name] for name in relatives] == [second["execution_id"], "facts", top.id]
