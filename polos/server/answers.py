"""What the API answers, as models, from which its document is made."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from polos.model.states import Status


class FaultAnswer(BaseModel):
    """What is wrong at one place of a request."""

    loc: list[str | int] = Field(description="Where, such as `payload`, `items`, 0, `count`.")
    msg: str = Field(description="What is wrong there.")


class ProblemAnswer(BaseModel):
    """What is wrong with a request (RFC 9457)."""

    type: str
    title: str = Field(description="The name of the HTTP status.")
    status: int
    detail: str = Field(description="What is wrong, and what to do.")
    code: str = Field(description="The class of the error, or a short name.")
    arguments: dict[str, Any] | None = Field(
        None, description="What the error was made of, such as the `execution_id`."
    )
    errors: list[FaultAnswer] | None = Field(
        None, description="Each place where a payload or a body doesn't fit."
    )


class ExecutionAnswer(BaseModel):
    """An execution. Times are ISO 8601, in UTC."""

    id: str
    workflow_id: str
    status: Status
    payload: Any = Field(description="What it was started with.")
    result: Any = Field(description="What its function returned; null until then.")
    error: str | None = Field(description="Why it failed.")
    error_type: str | None = Field(description="The class of what it failed with.")
    created_at: datetime
    started_at: datetime | None = Field(description="When a worker first took it.")
    finished_at: datetime | None = Field(description="When it ended.")
    wake_at: datetime | None = Field(description="When it goes on by itself.")
    deadline_at: datetime | None = Field(description="When its run timeout is over.")
    cancel_requested_at: datetime | None
    parent_execution_id: str | None
    root_workflow_id: str | None
    root_execution_id: str | None
    session_id: str | None
    user_id: str | None
    step_key: str | None = Field(description="The step of its parent that started it.")
    queue: str | None
    priority: int | None
    deployment_id: str | None
    attempts: int = Field(description="How often a worker took it.")
    retried: int = Field(description="How often the whole of it was tried again.")
    forked_from: str | None
    encoded: dict[str, Any] | None = Field(
        None, description="All of it as it is stored; with the header `Polos-Encoding: codec`."
    )


class Tried(BaseModel):
    """An attempt of a step that failed."""

    at: datetime | None
    error_type: str
    error: str


class StepAnswer(BaseModel):
    """A step that has ended, or that is waited for."""

    key: str
    kind: str
    status: Literal["completed", "failed", "waiting", "retrying"]
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    due_at: datetime | None = Field(description="When its wait ends by itself.")
    error: str | None
    error_type: str | None
    input: Any = Field(description="What its function was given, shortened.")
    value: Any
    history: list[Tried] = Field(description="The last attempts that failed before.")
    child_execution_id: str | None


class ChildAnswer(BaseModel):
    """An execution that a step has started."""

    id: str
    workflow_id: str
    status: Status
    step_key: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class DetailsAnswer(ExecutionAnswer):
    """An execution with its steps."""

    tags: list[str]
    worker: str | None = Field(description="Who runs it.")
    executing: list[str] = Field(description="The steps whose functions run, after some seconds.")
    steps: list[StepAnswer]
    children: list[ChildAnswer]
    encoded_progress: dict[str, Any] | None = Field(
        None, description="Its steps as they are stored; with `Polos-Encoding: codec`."
    )


class SummaryAnswer(BaseModel):
    """An execution in a list."""

    id: str
    workflow_id: str
    status: Status
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    wake_at: datetime | None
    cancel_requested_at: datetime | None
    session_id: str | None
    user_id: str | None
    deployment_id: str | None
    queue: str | None
    parent_execution_id: str | None
    root_execution_id: str | None
    forked_from: str | None
    attempts: int
    retried: int
    tags: list[str]


class PageAnswer(BaseModel):
    """Some executions of a list, newest first."""

    items: list[SummaryAnswer]
    next_cursor: str | None = Field(description="What to pass as `cursor` for those that follow.")


class ExecutionsAnswer(BaseModel):
    """Several executions."""

    items: list[ExecutionAnswer]


class CancelledAnswer(BaseModel):
    """What cancelling came to."""

    cancelled: bool = Field(description="False where it had ended before.")


class DeletedAnswer(BaseModel):
    """What pruning came to."""

    deleted: int = Field(description="How many executions were deleted.")


class WorkflowAnswer(BaseModel):
    """A workflow that is known."""

    id: str
    description: str | None
    payload_schema: dict[str, Any] | None = Field(
        description="JSON Schema of its payload; null where its code isn't here."
    )
    defined_here: bool = Field(description="Whether the server has its code.")
    has_worker: bool = Field(description="Whether a worker that is alive has it.")


class WorkflowsAnswer(BaseModel):
    """The workflows that are known."""

    items: list[WorkflowAnswer]


class HealthAnswer(BaseModel):
    """That the server answers."""

    status: Literal["ok"]
    version: str


class ChecksAnswer(BaseModel):
    """What the server needs, and whether it has it."""

    store: Literal["ok", "failed"] = Field(description="The database answers.")
    broker: Literal["ok", "failed"] = Field(description="The broker answers.")
    schema_: Literal["ok", "failed"] = Field(alias="schema", description="The schema will do.")


class ReadyAnswer(BaseModel):
    """Whether the server can do its work."""

    status: Literal["ok", "failed"]
    checks: ChecksAnswer


class CurrentAnswer(BaseModel):
    """A step that an execution is at."""

    key: str
    status: Literal["executing", "waiting", "retrying"]
    kind: str | None
    attempts: int = Field(description="How many have failed.")
    due_at: datetime | None = Field(description="When its wait ends by itself.")


class ProgressAnswer(BaseModel):
    """How an execution stands: the data of an event."""

    id: str
    status: Status | None = Field(description="Null where it was deleted.")
    steps_done: int = Field(0, description="How many of its steps have ended.")
    attempts: int = Field(0, description="How often a worker took it.")
    retried: int = Field(0, description="How often the whole of it was tried again.")
    cancel_requested: bool = False
    waiting_for: int = Field(0, description="How many things it waits for.")
    current: list[CurrentAnswer] = Field([], description="The steps that it is at; 40 at most.")


class EventAnswer(BaseModel):
    """One event of a stream."""

    id: str = Field(description="What `Last-Event-ID` is to say.")
    event: Literal["progress", "end"]
    data: str = Field(
        description="How the execution stands, as JSON.",
        json_schema_extra={
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/ProgressAnswer"},
        },
    )


class DocumentAnswer(BaseModel):
    """An OpenAPI document."""

    openapi: str
    paths: dict[str, Any]
