"""A sender of tasks without Celery: signatures are plain values, and a list of them is a group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from polos.model.ports import TaskSending


class FakeSender:
    """Keeps what it was asked for.

    Attributes:
        sent: all that was published, in order.
        away: whether the broker takes nothing.
        on_send: called before each is published; may raise.
    """

    def __init__(self) -> None:
        self.sent: list[TaskSending] = []
        self.revoked: list[str] = []
        self.away = False
        self.on_send: Callable[[TaskSending], None] = lambda sending: None

    def split(self, key: str, signature: Any) -> Sequence[Any] | None:
        """A list is a group."""
        if signature is None:
            raise TypeError(f"step {key!r} was given None")
        return signature if isinstance(signature, list) else None

    def send(self, sending: TaskSending) -> bool:
        """Keep it, unless the broker is away."""
        self.on_send(sending)
        if not self.away:
            self.sent.append(sending)
        return not self.away

    def revoke(self, task_ids: Sequence[str]) -> None:
        """Keep the ids."""
        self.revoked += task_ids
