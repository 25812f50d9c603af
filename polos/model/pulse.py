"""How an execution stands, in as little as tells whether anything has changed."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

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
        executing: the steps whose functions were noted to run; they may have ended since.
    """

    status: Status
    wakeups: int
    claims: int
    retried: int
    done: int
    waits: int
    tried: int
    cancel_requested: bool
    executing: tuple[str, ...] = ()

    @property
    def token(self) -> str:
        """A text that is another one when anything has changed."""
        numbers = (self.wakeups, self.claims, self.retried, self.done, self.waits, self.tried)
        noted = crc32("\0".join(self.executing).encode("utf-8", "surrogatepass"))
        parts = (self.status.value, *numbers, int(self.cancel_requested), noted)
        return "-".join(map(str, parts))


@dataclass(frozen=True, slots=True)
class Current:
    """A step that an execution is at: its function runs, or it is waited for.

    Attributes:
        kind: None of one whose function runs.
        attempts: how many have failed.
        due_at: when the wait ends by itself.
    """

    step_key: str
    kind: Kind | None = None
    due_at: Micros | None = None
    attempts: int = 0
