"""Which actions a page offers on an execution, and why not the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polos.model.states import RETRY, Status

READ_ONLY = "This Flower runs with --read_only: nothing can be changed through it."
ACTIONS = ("cancel", "retry", "fork")


@dataclass(frozen=True, slots=True)
class Offer:
    """A button.

    Attributes:
        action: ``cancel``, ``retry`` or ``fork``.
        label: what it says.
        reason: why it can't be pressed; empty where it can.
    """

    action: str
    label: str
    reason: str = ""


def offers(
    status: Status,
    *,
    may_change: bool,
    cancel_requested: bool = False,
    actions: Sequence[str] = ACTIONS,
) -> list[Offer]:
    """The buttons for an execution in that state.

    Args:
        status: the execution's.
        may_change: whether who looks may change anything.
        cancel_requested: whether it is being cancelled already.
        actions: those that are wanted.
    """
    reasons = {
        "cancel": _why_not_cancelled(status, cancel_requested),
        "retry": "" if status in RETRY.sources else f"Only what has failed: it is {status}.",
        "fork": "",
    }
    return [
        Offer(name, name.capitalize(), reasons[name] if may_change else READ_ONLY)
        for name in actions
    ]


def _why_not_cancelled(status: Status, requested: bool) -> str:
    if status.ended:
        return f"It has ended: it is {status}."
    return "It is being cancelled already." if requested else ""
