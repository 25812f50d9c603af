"""What may be sent to the API, as models: what they don't have is refused."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from polos.definition.names import MAX_ID, MAX_TAGS, MAX_TEXT
from polos.model.listing import MOST_ON_A_PAGE
from polos.model.settings import LONGEST_RETENTION, LONGEST_SECONDS
from polos.model.states import Status

MOST_IDS = 500
MOST_IN_A_BATCH = 5000
LONGEST_POLL = 60.0
_NO_NUL = r"^[^\x00]*$"


def _iso(value: Any) -> Any:
    """Pydantic takes numbers for times as well."""
    if isinstance(value, str) and not value[:4].isdigit() or "-" not in str(value):
        raise ValueError("pass a time as ISO 8601 has it, such as 2030-01-31T12:00:00Z")
    return value


def _dated(value: datetime) -> datetime:
    # Other zones can move it out of what a datetime holds.
    if not 1 < value.year < 9999:
        raise ValueError("the year is out of range")
    return value


def _each_once(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


Label = Annotated[str, Field(max_length=MAX_TEXT, pattern=_NO_NUL)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_TEXT, pattern=_NO_NUL)]
WorkflowName = Annotated[str, Field(min_length=1, max_length=MAX_ID, pattern=r"^[A-Za-z0-9_.-]+$")]
Moment = Annotated[datetime, BeforeValidator(_iso), AfterValidator(_dated)]
Seconds = Annotated[float, Field(gt=0, le=LONGEST_SECONDS, allow_inf_nan=False)]


class Input(BaseModel):
    """What all requests have in common."""

    model_config = ConfigDict(extra="forbid")


class Nothing(Input):
    """Nothing has to be sent."""


class StartBody(Input):
    """How a workflow is started. What is left out is as the workflow declares it."""

    payload: dict[str, Any] | None = Field(None, description="What the workflow gets.")
    encoded_payload: str | None = Field(
        None, description="The same as Polos keeps it, with the types that JSON doesn't have."
    )
    queue: Name | None = Field(None, description="The Celery queue.")
    priority: int | None = Field(None, ge=0, le=255, description="The Celery message's priority.")
    session_id: Label | None = Field(None, description="A label, `ctx.session_id`.")
    user_id: Label | None = Field(None, description="A label, `ctx.user_id`.")
    concurrency_key: Name | None = Field(None, description="A label; nothing is limited by it yet.")
    idempotency_key: Name | None = Field(
        None, description="A second start with the same key gives the first execution."
    )
    execution_id: Name | None = Field(None, description="An id of your own.")
    run_timeout_seconds: Seconds | None = Field(
        None, description="How long it may take from its start to its end."
    )
    tags: Annotated[list[Name], AfterValidator(_each_once)] = Field(
        [], max_length=MAX_TAGS, description="Labels to list it by."
    )
    initial_state: Any = Field(None, description="Kept with it; its code is not given it yet.")
    encoded_initial_state: str | None = Field(None, description="The same as Polos keeps it.")
    deployment_id: Name | None = Field(None, description="A label of who starts it.")
    delay_seconds: float = Field(
        0, ge=0, le=LONGEST_SECONDS, allow_inf_nan=False, description="When it is due, from now on."
    )
    declared: bool = Field(
        False, description="Whether it is started also where no worker was seen that has it."
    )
    awaited: bool = Field(False, description="Whether its end is going to be waited for.")


class OneStart(StartBody):
    """The start of the workflow that the address names."""

    workflow_id: WorkflowName | None = Field(None, description="The same as in the address.")


class BatchStart(StartBody):
    """One start of several."""

    workflow_id: WorkflowName = Field(description="The workflow.")
    delay_seconds: float = Field(0, ge=0, le=0, description="All are due at once.")


class BatchBody(Input):
    """Starts that are made together, all of them or none."""

    items: list[BatchStart] = Field(max_length=MOST_IN_A_BATCH)


class ListQuery(Input):
    """Which executions are listed; conditions add up."""

    workflow_id: Label | None = Field(None, description="Those of this workflow.")
    status: list[Status] = Field([], max_length=6, description="Those in one of these states.")
    session_id: Label | None = Field(None, description="Those with this label.")
    user_id: Label | None = Field(None, description="Those with this label.")
    tag: Label | None = Field(None, description="Those with this tag.")
    created_after: Moment | None = Field(None, description="Written then or later.")
    created_before: Moment | None = Field(None, description="Written before then.")
    parent_execution_id: Label | None = Field(
        None, description="Those that a step of this execution has started."
    )
    limit: int = Field(50, ge=1, le=MOST_ON_A_PAGE, description="How many on a page.")
    cursor: str | None = Field(
        None, max_length=1000, description="`next_cursor` of the page before."
    )


class PollQuery(Input):
    """How long an answer may take."""

    timeout: float = Field(
        30, ge=0, le=LONGEST_POLL, allow_inf_nan=False, description="Seconds to wait at most."
    )


class WaitBody(Input):
    """Executions one of whose ends is waited for."""

    ids: list[Name] = Field(min_length=1, max_length=MOST_IDS)
    timeout: float = Field(
        30, ge=0, le=LONGEST_POLL, allow_inf_nan=False, description="Seconds to wait at most."
    )


class ForkBody(Input):
    """How an execution is forked."""

    execution_id: Name | None = Field(None, description="An id of your own for the copy.")
    from_step: Name | None = Field(
        None, description="The first step that runs again; without it all of them do."
    )
    payload: dict[str, Any] | None = Field(None, description="Another payload.")
    encoded_payload: str | None = Field(None, description="The same as Polos keeps it.")


class PruneBody(Input):
    """What is deleted."""

    older_than_days: float = Field(
        ge=0, le=LONGEST_RETENTION, allow_inf_nan=False, description="What ended so long ago."
    )
