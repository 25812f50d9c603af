"""What passes between a task and what it is bound to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one delivery came to, in Celery's terms.

    Attributes:
        waiting: why the execution waits; the task then ends as a retry.
        dropped: whether there was nothing to do; the message then ends without a trace.
        refused: whether another worker should get the message, as this one ends.
        error: what the task raises.
        result: what the task returns.
    """

    waiting: str | None = None
    dropped: bool = False
    refused: bool = False
    error: BaseException | None = None
    result: Any = None


class Receiver(Protocol):
    """What a task needs of the binding behind it."""

    def start(
        self,
        workflow_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        task_id: str | None,
        options: Mapping[str, Any],
    ) -> str:
        """Write the execution of a task that Celery is asked to send, then send its hint."""
        ...

    def deliver(
        self, request: Any, workflow_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Delivery:
        """Run one attempt for a message."""
        ...

    def announced(self, execution_id: str) -> None:
        """Celery has stored the end and sent what follows it."""
        ...

    def process_may_be_gone(self) -> None:
        """A pool process may have died."""
        ...

    def hard_limit_hit(self, execution_id: str, seconds: float) -> None:
        """Celery is about to kill the process that runs this execution."""
        ...
