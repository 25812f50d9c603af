"""Durable workflows on the Celery, broker and database that you have.

Example::

    from pydantic import BaseModel

    from polos import PolosClient, WorkflowContext, workflow


    class Greeting(BaseModel):
        text: str


    @workflow
    async def greet(ctx: WorkflowContext, payload: dict) -> Greeting:
        name = await ctx.step.run("look_up", find_name, payload["id"])
        await ctx.step.wait_for("pause", hours=1)
        return Greeting(text=f"Hello, {name}!")


    greeting = await greet.run(PolosClient(), {"id": 7})
"""

from polos.definition.batch import BatchWorkflowInput
from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.handle import ExecutionHandle
from polos.definition.workflow import Workflow, workflow
from polos.errors import (
    CodecError,
    ConfigurationError,
    DuplicateStepKey,
    ExecutionCancelledError,
    ExecutionExists,
    ExecutionNotFound,
    ExecutionTimedOut,
    IllegalTransition,
    InvalidPayload,
    PolosError,
    SchemaError,
    StepExecutionError,
    StepMismatch,
    StepNotFound,
    StoreError,
    StoreUnavailable,
    UnsupportedType,
    ValueTooLarge,
    WorkflowFailedError,
    WorkflowNotFound,
    WorkflowTimeoutError,
)
from polos.model.listing import ExecutionPage, ExecutionSummary
from polos.worker.client import PolosClient
from polos.worker.embedded import Polos
from polos.worker.worker import Worker

__version__ = "0.1.0"

__all__ = [
    "BatchWorkflowInput",
    "CodecError",
    "ConfigurationError",
    "DuplicateStepKey",
    "ExecutionCancelledError",
    "ExecutionExists",
    "ExecutionHandle",
    "ExecutionNotFound",
    "ExecutionPage",
    "ExecutionSummary",
    "ExecutionTimedOut",
    "IllegalTransition",
    "InvalidPayload",
    "Polos",
    "PolosClient",
    "PolosError",
    "SchemaError",
    "StepExecutionError",
    "StepMismatch",
    "StepNotFound",
    "StoreError",
    "StoreUnavailable",
    "SyncWorkflowContext",
    "UnsupportedType",
    "ValueTooLarge",
    "Worker",
    "Workflow",
    "WorkflowContext",
    "WorkflowFailedError",
    "WorkflowNotFound",
    "WorkflowTimeoutError",
    "workflow",
]
