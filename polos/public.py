"""The names that programs import from ``polos``; a new one is added here."""

from polos.definition.batch import BatchWorkflowInput
from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.handle import ExecutionHandle
from polos.definition.workflow import Workflow, workflow
from polos.errors import (
    AccessDenied,
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
    RequestRefused,
    SchemaError,
    ServerError,
    ServerUnavailable,
    StepExecutionError,
    StepMismatch,
    StepNotFound,
    StoreDenied,
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

__all__ = [
    "AccessDenied",
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
    "RequestRefused",
    "SchemaError",
    "ServerError",
    "ServerUnavailable",
    "StepExecutionError",
    "StepMismatch",
    "StepNotFound",
    "StoreDenied",
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
