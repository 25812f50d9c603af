"""The inputs of a batch: many workflows, started at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class BatchWorkflowInput:
    """One workflow to be started, and what it gets.

    Example::

        inputs = [BatchWorkflowInput("ship", Parcel(id=order.id)) for order in orders]
        handles = await client.batch_invoke(inputs)

    Attributes:
        id: the workflow's id.
        payload: a model or a dict that fits its annotation, or None.
        idempotency_key: a second start with the same key gives the first execution.
        tags: at most 32 labels to list it by.
    """

    id: str
    payload: Any = None
    idempotency_key: str | None = None
    tags: Sequence[str] = ()
