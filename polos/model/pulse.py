"""How an execution stands, in as little as tells whether anything has changed."""

from __future__ import annotations

from dataclasses import dataclass

from polos.model.records import Kind, Micros
from polos.model.states import Status


@dataclass(frozen=True, slots=True)
class Pulse:
    """One look at an execution.

    Attributes:
        wakeups: how often something outside of it was completed.
        claims: how often a worker took it.
        retried: how often the whole of it was tried again.
        done: how many of its steps have ended.
        waits: how many things it waits for.
        tried: how many attempts have failed of the steps that are tried again.
    """

    status: Status
    wakeups: int
    claims: int
    retried: int
    done: int
    waits: int
    tried: int
    cancel_requested: bool

    @property
    def token(self) -> str:
        """A text that is another one when anything has changed."""
        numbers = (self.wakeups, self.claims, self.retried, self.done, self.waits, self.tried)
        return "-".join(map(str, (self.status.value, *numbers, int(self.cancel_requested))))


@dataclass(frozen=True, slots=True)
class Awaited:
    """Something that an execution waits for."""

    step_key: str
    kind: Kind
    due_at: Micros | None
    attempts: int
