"""What an execution does, or waits for, in a few words."""

from __future__ import annotations

from polos.model.finding import Awaited, Listed
from polos.model.inert import one_line
from polos.model.records import Kind, as_datetime
from polos.model.states import Status
from polos.model.words import at

_WHAT = {Kind.CHILD: " (execution)", Kind.TASK: " (task)"}


def doing(item: Listed) -> str:
    """What it is at; empty where that isn't known, or it has ended."""
    summary = item.summary
    if summary.status.ended:
        return ""
    if summary.cancel_requested_at is not None:
        return "Is being cancelled"
    if summary.status is Status.RUNNING:
        return ", ".join(map(one_line, item.steps))
    if summary.status is Status.QUEUED:
        queue = f" of queue {one_line(summary.queue)}" if summary.queue else ""
        return f"Waits for a worker{queue}"
    if not item.awaited:
        return "" if summary.wake_at is None else f"Waits until {at(summary.wake_at)}"
    return ", ".join(map(_awaited, item.awaited)) + (" and more" if item.more else "")


def _awaited(wait: Awaited) -> str:
    until = "" if wait.due_at is None else f" until {at(as_datetime(wait.due_at))}"
    return f"{one_line(wait.step_key)}{_WHAT.get(wait.kind, '')}{until}"
