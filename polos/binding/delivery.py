"""What passes between a task and what it is bound to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from celery import states

from polos.model.settings import Settings


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one delivery came to, in Celery's terms.

    Attributes:
        waiting: why the execution waits; the task then ends as a retry.
        dropped: whether there was nothing to do; the message then ends without a trace.
        refused: whether another worker should get the message, as this one ends.
        revoked: why the execution was cancelled; the task then ends as a revoked one.
        error: what the task raises.
        result: what the task returns.
        args: what it was started with, where the result backend is to have that.
    """

    waiting: str | None = None
    dropped: bool = False
    refused: bool = False
    revoked: str | None = None
    error: BaseException | None = None
    result: Any = None
    args: tuple[Any, ...] | None = None

    @property
    def state(self) -> str:
        """The state of Celery's that an end is stored as."""
        if self.revoked is not None:
            return str(states.REVOKED)
        return str(states.SUCCESS if self.error is None else states.FAILURE)


class Receiver(Protocol):
    """What a task needs of the binding behind it."""

    @property
    def settings(self) -> Settings:
        """Those of Polos."""
        ...

    def start(
        self,
        workflow_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        task_id: str,
        options: Mapping[str, Any],
    ) -> str:
        """Write the execution of a task that Celery is asked to send, then send its hint."""
        ...

    def deliver(
        self, request: Any, workflow_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Delivery:
        """Run one attempt for a message."""
        ...

    def deliver_eagerly(
        self, request: Any, workflow_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Delivery:
        """Run an execution to its end, here and now."""
        ...

    def cancel(self, execution_id: str) -> None:
        """Cancel an execution, if there is one of that id."""
        ...

    def announced(self, execution_id: str, state: str) -> None:
        """Celery has stored an end as this state, and sent what follows it."""
        ...

    def tell_again(self, execution_id: str) -> None:
        """What follows an end may not have been sent: it is to be announced again."""
        ...

    def is_telling(self, execution_id: str) -> bool:
        """Whether Celery is being told of this end, and sends what follows it."""
        ...

    def is_completed(self, execution_id: str) -> bool:
        """Whether Celery is being told that this execution has completed."""
        ...

    def terminated(self, execution_id: str) -> None:
        """The process that runs this execution is going to be killed for a revocation."""
        ...

    def process_may_be_gone(self) -> None:
        """A pool process may have died."""
        ...

    def hard_limit_hit(self, execution_id: str, seconds: float) -> None:
        """Celery is about to kill the process that runs this execution."""
        ...
