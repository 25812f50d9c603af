"""When what went on in an execution: its steps' attempts, pauses and waits, as spans of time.

What an execution or a step is, is plain data as ``client.get_execution`` gives it; under a step
that started a child, ``child`` may hold the child's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from polos.model.inert import one_line
from polos.model.words import lasting, moment


class Part(Enum):
    """What went on."""

    QUEUED = "queued"
    WORKING = "working"
    FAILING = "failing"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Span:
    """Something that went on from one moment to another; ``end`` is None where it still does."""

    part: Part
    start: datetime
    end: datetime | None


def of_execution(execution: dict[str, Any]) -> Iterator[Span]:
    """The bar of an execution: queued, at work, and waiting for what its steps wait for."""
    created, started = moment(execution["created_at"]), moment(execution.get("started_at"))
    finished = moment(execution.get("finished_at"))
    assert created is not None
    yield Span(Part.QUEUED, created, started or finished)
    if started is None:
        return
    yield Span(_whole(execution), started, finished)
    steps = execution.get("steps", ())
    spans = [span for step in steps for span in of_step({**step, "child": None})]
    # Where branches wait and work at once, it works.
    yield from (span for span in spans if span.part is Part.WAITING)
    yield from (span for span in spans if span.part is not Part.WAITING)


def _whole(execution: dict[str, Any]) -> Part:
    # After a retry by hand it had ended meanwhile, for a time that is not recorded.
    if execution.get("retried"):
        return Part.QUEUED
    # Of a child whose steps are not known, how it stands is all that is.
    waits = execution["status"] == "waiting" and "steps" not in execution
    return Part.WAITING if waits else Part.WORKING


def of_step(step: dict[str, Any]) -> Iterator[Span]:
    """The bar of a step: its attempts and the pauses between them, its wait, or its child."""
    if _is_wait(step):
        span = _wait(step)
        child = step.get("child")
        if child is not None:
            yield from of_execution(child)
        elif span is not None:
            yield span
        return
    started, finished = (moment(value) for value in times(step))
    if finished is not None and started is None:
        started = finished
    if started is not None:
        yield from _attempts(step, started, finished)


def times(step: dict[str, Any]) -> tuple[Any, Any]:
    """When a step, or the child that it only started, began and ended."""
    child = step.get("child")
    # A step that only starts a child is over long before the child is.
    source = child if child is not None and step["kind"] == "invoke" else step
    return source.get("started_at"), source.get("finished_at")


def _attempts(step: dict[str, Any], started: datetime, finished: datetime | None) -> Iterator[Span]:
    """One span for each attempt, and one for each pause between two."""
    history = [tried for tried in step.get("history") or () if tried.get("at")]
    last = Part.FAILING if step["status"] == "failed" else Part.WORKING
    if not history:
        yield Span(Part.WAITING if step["status"] == "retrying" else last, started, finished)
        return
    # Of many attempts the first are not recorded.
    begun: datetime | None = started if first_attempt(step) == 1 else None
    yield Span(Part.WAITING, begun or moment(history[0]["at"]) or started, finished)
    for tried in history:
        end = moment(tried["at"])
        assert end is not None
        # Where it isn't known when an attempt began, only its end is shown.
        yield Span(Part.FAILING, begun or end, end)
        begun = moment(tried.get("again_at"))
    if finished is not None:
        yield Span(last, min(begun or finished, finished), finished)


def _is_wait(step: dict[str, Any]) -> bool:
    return step["kind"] in {"wait", "invoke_and_wait", "task"} or step["status"] == "waiting"


def _wait(step: dict[str, Any]) -> Span | None:
    started = moment(step.get("started_at"))
    if started is None:
        return None
    return Span(Part.WAITING, started, moment(step.get("finished_at")))


def first_attempt(step: dict[str, Any]) -> int:
    """The number of the first attempt in the history; only the last ones are kept."""
    failed = len(step.get("history") or ())
    ended = step["status"] != "retrying"
    return max(1, (step.get("attempts") or 0) - failed + (0 if ended else 1))


def error_text(failed: dict[str, Any]) -> str:
    """An error on one line: the exception's name without its module, and its text."""
    kind = str(failed.get("error_type") or "").rpartition(".")[2]
    text = one_line(str(failed.get("error") or ""))
    return f"{one_line(kind)}: {text}" if kind else text


def waits_for(step: dict[str, Any], now: datetime) -> str:
    """What an open step waits for, and until when."""
    due = moment(step.get("due_at"))
    until = ""
    if due is not None:
        left = (due - now).total_seconds()
        when = f"in {lasting(left)}" if left > 0 else f"due for {lasting(-left)}"
        until = f" until {due:%Y-%m-%d %H:%M:%S} UTC ({when})"
    child = step.get("child_execution_id")
    if step["status"] == "retrying":
        return f"waits{until} for attempt {(step.get('attempts') or 0) + 1}"
    if child:
        status = (step.get("child") or {}).get("status")
        return f"waits for execution {one_line(child)}" + (f", which is {status}" if status else "")
    if step["kind"] == "task":
        return f"waits for a Celery task{until}"
    return f"waits{until}"
