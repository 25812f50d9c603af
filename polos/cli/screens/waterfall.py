"""The steps of an execution as a tree, each with its bar on one scale of time.

What an execution is, is plain data as ``client.get_execution`` gives it; under a step that started
a child, ``child`` may hold the child's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from polos.model.inert import one_line
from polos.model.spans import (
    Span,
    error_text,
    first_attempt,
    of_execution,
    of_step,
    times,
    waits_for,
)
from polos.model.words import lasting, moment

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
        spans=tuple(of_execution(execution)),
        has_children=bool(execution.get("steps")),
    )


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
        took="" if kind in _INSTANT else _took(*times(step), now),
        spans=tuple(of_step(step)),
        notes=tuple(_notes(step, now)),
        has_children=bool(child and child.get("steps")),
    )


def _took(started: Any, finished: Any, now: datetime) -> str:
    began, ended = moment(started), moment(finished)
    if began is None:
        return ""
    return lasting(((ended or now) - began).total_seconds())


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
