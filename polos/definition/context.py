"""``ctx``: what a workflow's function knows of the execution that it runs for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from polos.definition.steps import Steps
from polos.definition.sync_steps import SyncSteps


@dataclass(frozen=True, kw_only=True)
class ExecutionFacts:
    """The facts of an execution; they can't be assigned to.

    Attributes:
        workflow_id: the workflow's id.
        execution_id: the execution's id, also that of its Celery task.
        created_at: when the execution was started, an aware datetime in UTC.
        session_id: as given at the start.
        user_id: as given at the start.
        parent_execution_id: the execution whose step started this one; None if no step did.
        root_execution_id: the execution at the top of the tree; None if this one is.
        root_workflow_id: the workflow at the top of the tree; None if this one is.
        retry_count: how often the whole of it was tried again, by its workflow's ``retries`` or
            because somebody retried it; waits and crashes don't count.
        deployment_id: the label of the client that started it.
        state: the execution's state; None so far.
        workflow_type: ``"workflow"``.
    """

    workflow_id: str
    execution_id: str
    created_at: datetime
    session_id: str | None = None
    user_id: str | None = None
    parent_execution_id: str | None = None
    root_execution_id: str | None = None
    root_workflow_id: str | None = None
    retry_count: int = 0
    deployment_id: str | None = None
    state: Any = None
    workflow_type: str = "workflow"


@dataclass(frozen=True, kw_only=True)
class WorkflowContext(ExecutionFacts):
    """The first parameter of an ``async def`` workflow.

    Example::

        @workflow
        async def greet(ctx: WorkflowContext, payload: dict) -> str:
            name = await ctx.step.run("look_up", find_name, payload["id"])
            return f"Hello, {name}, from {ctx.execution_id}"

    Attributes:
        step: the durable operations, to be awaited.
    """

    step: Steps = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class SyncWorkflowContext(ExecutionFacts):
    """The first parameter of a plain ``def`` workflow.

    Example::

        @workflow
        def greet(ctx: SyncWorkflowContext, payload: dict) -> str:
            return ctx.step.run("look_up", find_name, payload["id"])

    Attributes:
        step: the durable operations; they give their values without ``await``.
    """

    step: SyncSteps = field(repr=False)
