"""What has happened in an execution, one event after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.text import Text

from polos.cli.screens.colours import STATUS_STYLES
from polos.model.inert import one_line
from polos.model.spans import error_text, first_attempt
from polos.model.words import at, lasting, moment, short

_STYLES = {
    **STATUS_STYLES,
    "finished": "green",
    "retried": "yellow",
    "waits": "magenta",
    "started": "blue",
    "created": "cyan",
    "taken": "blue",
}
# What may happen to a step more than once.
_AGAIN = {"retried", "waits"}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened.

    Attributes:
        at: when, ISO 8601.
        event: ``created``, ``taken``, ``started`` (a child), ``waits``, ``retried``, ``finished``,
            ``failed`` (a step), and ``completed``, ``failed``, ``cancelled`` for the whole.
        step_key: the step that it happened to; empty for the execution itself.
        text: more about it.
    """

    at: str
    event: str
    step_key: str = ""
    text: str = ""

    @property
    def identity(self) -> tuple[str, ...]:
        """What a later look knows the event by; its text and its time may then be other ones."""
        return (self.event, self.step_key, self.at if self.event in _AGAIN else "")

    def to_dict(self, execution_id: str) -> dict[str, Any]:
        """The event as plain data."""
        return {
            "at": self.at,
            "execution_id": execution_id,
            "event": self.event,
            "step_key": self.step_key or None,
            "text": self.text or None,
        }


def events_of(execution: dict[str, Any]) -> list[Event]:
    """All that is recorded, in its order; a later look gives these again, and more."""
    steps = [event for step in execution.get("steps", ()) for event in _of_step(step)]
    whole = [*_of_beginning(execution), *sorted(steps, key=lambda it: it.at)]
    return [*whole, *_of_end(execution)]


def _of_beginning(execution: dict[str, Any]) -> Iterator[Event]:
    yield Event(execution["created_at"], "created", text=execution["workflow_id"])
    if execution.get("started_at"):
        yield Event(execution["started_at"], "taken", text="by a worker")


def _of_step(step: dict[str, Any]) -> Iterator[Event]:
    key, started = step["key"], step.get("started_at") or ""
    history = step.get("history") or ()
    for number, tried in enumerate(history, first_attempt(step)):
        text = f"attempt {number}: {error_text(tried)}"
        yield Event(tried.get("at") or started, "retried", key, text)
    if child := step.get("child_execution_id"):
        yield Event(started or step.get("finished_at") or "", "started", key, f"execution {child}")
    elif step["kind"] == "wait" or step["status"] in {"waiting", "retrying"}:
        yield from _waiting(step, key, history, started)
    if step.get("finished_at"):
        failed = step["status"] == "failed"
        text = error_text(step) if failed else _took(step)
        yield Event(step["finished_at"], "failed" if failed else "finished", key, text)


def _waiting(step: dict[str, Any], key: str, history: Any, started: str) -> Iterator[Event]:
    due = moment(step.get("due_at"))
    last = history[-1].get("at") if history else None
    text = f"until {at(due)}" if due else ""
    if step["status"] == "retrying":
        yield Event(last or started, "waits", key, f"{text} for another attempt".strip())
    elif started:
        yield Event(started, "waits", key, text)


def _took(step: dict[str, Any]) -> str:
    started, finished = moment(step.get("started_at")), moment(step["finished_at"])
    if started is None or finished is None:
        return ""
    return f"in {lasting((finished - started).total_seconds())}"


def _of_end(execution: dict[str, Any]) -> Iterator[Event]:
    if not execution.get("finished_at"):
        return
    text = ""
    if execution["status"] == "completed":
        text = f"with {short(execution.get('result'))}"
    elif execution.get("error"):
        text = error_text(execution)
    yield Event(execution["finished_at"], execution["status"], text=text)


def line(event: Event) -> Text:
    """An event on one line."""
    then = moment(event.at) if event.at else None
    shown = f"{_clock(then)}  "
    text = Text(shown, style="dim", no_wrap=True)
    text.append(f"{event.event:<10}", style=f"not dim {_STYLES.get(event.event, '')}")
    if event.step_key:
        text.append(f"{one_line(event.step_key)}  ", style="not dim bold default")
    text.append(one_line(event.text), style="not dim default")
    text.rstrip()
    return text


def _clock(then: datetime | None) -> str:
    return f"{then:%H:%M:%S}.{then.microsecond // 1000:03d}" if then else " " * 12
