"""The steps of an execution as a tree, each with its bar on one scale of time.

What an execution is, is plain data as ``client.get_execution`` gives it; under a step that started
a child, ``child`` may hold the child's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from polos.cli.inert import one_line
from polos.cli.screens.timeline import Part, Span
from polos.cli.words import lasting, moment

_KINDS = {"invoke": "child", "invoke_and_wait": "child", "transaction": "trans."}
_OPEN = {"queued", "running", "waiting", "retrying"}
# What takes no time of its own.
_INSTANT = {"uuid", "now", "random"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the tree.

    Attributes:
        depth: for each level above, whether more follows there; the last is its own.
        name: the step's key, or the workflow's id for an execution.
        took: how long, in words.
        notes: what is said below it: errors of attempts, what it waits for.
        has_children: whether rows of the next level follow.
    """

    depth: tuple[bool, ...]
    name: str
    kind: str
    status: str
    attempts: int
    took: str
    spans: tuple[Span, ...] = ()
    notes: tuple[tuple[str, str], ...] = field(default=())
    has_children: bool = False


def rows_of(execution: dict[str, Any], now: datetime) -> list[Row]:
    """The execution, and below it its steps and its children's."""
    return [_of_execution(execution, now), *_of_steps(execution, (), now)]


def _of_execution(execution: dict[str, Any], now: datetime) -> Row:
    return Row(
        depth=(),
        name=one_line(execution["workflow_id"]),
        kind="",
        status=execution["status"],
        attempts=execution.get("attempts") or 0,
        took=_took(execution.get("started_at"), execution.get("finished_at"), now),
        spans=tuple(_whole(execution)),
        has_children=bool(execution.get("steps")),
    )


def _whole(execution: dict[str, Any]) -> Iterator[Span]:
    """The bar of an execution: queued, at work, and waiting for what its steps wait for."""
    created, started = moment(execution["created_at"]), moment(execution.get("started_at"))
    finished = moment(execution.get("finished_at"))
    assert created is not None
    yield Span(Part.QUEUED, created, started or finished)
    if started is None:
        return
    # After a retry by hand it had ended meanwhile, for a time that is not recorded.
    yield Span(Part.QUEUED if execution.get("retried") else Part.WORKING, started, finished)
    steps = execution.get("steps", ())
    spans = [span for step in steps for span in _spans({**step, "child": None})]
    # Where branches wait and work at once, it works.
    yield from (span for span in spans if span.part is Part.WAITING)
    yield from (span for span in spans if span.part is not Part.WAITING)


def _of_steps(execution: dict[str, Any], above: tuple[bool, ...], now: datetime) -> Iterator[Row]:
    steps = execution.get("steps", ())
    for number, step in enumerate(steps):
        depth = (*above, number + 1 < len(steps))
        child = step.get("child")
        yield _of_step(step, depth, now)
        if child is not None:
            yield from _of_steps(child, depth, now)


def _of_step(step: dict[str, Any], depth: tuple[bool, ...], now: datetime) -> Row:
    child = step.get("child")
    name, kind = one_line(step["key"]), str(step["kind"])
    if child is not None:
        name = f"{name} ({one_line(child['workflow_id'])})"
    attempts = step.get("attempts") or 0
    return Row(
        depth=depth,
        name=name,
        kind=_KINDS.get(kind, kind),
        status=step["status"],
        attempts=attempts if kind in {"step", "task", "transaction"} else 0,
        took="" if kind in _INSTANT else _took(*_times(step), now),
        spans=tuple(_spans(step)),
        notes=tuple(_notes(step, now)),
        has_children=bool(child and child.get("steps")),
    )


def _times(step: dict[str, Any]) -> tuple[Any, Any]:
    child = step.get("child")
    # A step that only starts a child is over long before the child is.
    source = child if child is not None and step["kind"] == "invoke" else step
    return source.get("started_at"), source.get("finished_at")


def _took(started: Any, finished: Any, now: datetime) -> str:
    began, ended = moment(started), moment(finished)
    if began is None:
        return ""
    return lasting(((ended or now) - began).total_seconds())


def _spans(step: dict[str, Any]) -> Iterator[Span]:
    if _is_wait(step):
        span = _wait(step)
        child = step.get("child")
        if child is not None:
            yield from _whole(child)
        elif span is not None:
            yield span
        return
    started, finished = (moment(value) for value in _times(step))
    if finished is not None and started is None:
        started = finished
    if started is None:
        return
    yield from _attempts(step, started, finished)


def _attempts(step: dict[str, Any], started: datetime, finished: datetime | None) -> Iterator[Span]:
    """One span for each attempt, and one for each pause between two."""
    failed = [end for tried in step.get("history") or () if (end := moment(tried.get("at")))]
    last = Part.FAILING if step["status"] == "failed" else Part.WORKING
    if not failed:
        yield Span(Part.WAITING if step["status"] == "retrying" else last, started, finished)
        return
    yield Span(Part.WAITING, failed[0], finished)
    yield Span(Part.FAILING, started, failed[0])
    # When a later attempt began is not recorded.
    for end in failed[1:]:
        yield Span(Part.FAILING, end, end)
    if finished is not None:
        yield Span(last, finished, finished)


def _is_wait(step: dict[str, Any]) -> bool:
    return step["kind"] in {"wait", "invoke_and_wait", "task"} or step["status"] == "waiting"


def _wait(step: dict[str, Any]) -> Span | None:
    started = moment(step.get("started_at"))
    if started is None:
        return None
    return Span(Part.WAITING, started, moment(step.get("finished_at")))


def _notes(step: dict[str, Any], now: datetime) -> Iterator[tuple[str, str]]:
    """What is said below a step, each with what it is: an error, or a wait."""
    history = step.get("history") or ()
    attempts = step.get("attempts") or 0
    ended = step["status"] != "retrying"
    for number, tried in enumerate(history, first_attempt(step)):
        yield "error", f"attempt {number}: {error_text(tried)}"
    if step.get("error"):
        before = f"attempt {attempts}: " if attempts > 1 and ended else ""
        if ended or not history:
            yield "error", f"{before}{error_text(step)}"
    if step["status"] in _OPEN:
        yield "wait", waits_for(step, now)


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
