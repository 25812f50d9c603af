"""The parameters of ``@workflow``, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from polos.definition.names import check_priority, check_seconds, check_text, check_workflow_id

Hooks = Callable[..., Any] | list[Callable[..., Any]] | None
Schedule = bool | str | Mapping[str, str] | None

# Polos sets these on each Celery task of its own.
_TAKEN = frozenset(
    {
        "acks_late",
        "acks_on_failure",
        "acks_on_failure_or_timeout",
        "acks_on_timeout",
        "autoretry_for",
        "base",
        "bind",
        "name",
        "reject_on_worker_lost",
        "track_started",
    }
)
# Kept, and looked at by nobody so far.
_WITHOUT_EFFECT = ("trigger_on_event", "schedule", "on_start", "on_end")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowOptions:
    """What ``@workflow`` was given; see there."""

    id: str | None = None
    description: str | None = None
    queue: str | None = None
    trigger_on_event: str | None = None
    batch_size: int = 1
    batch_timeout_seconds: float | None = None
    schedule: Schedule = None
    on_start: Hooks = None
    on_end: Hooks = None
    state_schema: type[BaseModel] | None = None
    retries: int = 0
    timeout_seconds: float | None = None
    celery: Mapping[str, Any] | None = field(default=None, hash=False)
    version: str | None = None

    def __post_init__(self) -> None:
        if self.id is not None:
            check_workflow_id(self.id)
        check_text("queue", self.queue, empty=False)
        check_text("trigger_on_event", self.trigger_on_event, empty=False)
        check_text("version", self.version, empty=False)
        check_seconds("timeout_seconds", self.timeout_seconds)
        check_seconds("batch_timeout_seconds", self.batch_timeout_seconds)
        _check_count("retries", self.retries, 0)
        _check_count("batch_size", self.batch_size, 1)
        self._check_schedule()
        self._check_celery()
        hooks_of("on_start", self.on_start)
        hooks_of("on_end", self.on_end)
        _check_schema(self.state_schema)

    def _check_schedule(self) -> None:
        if not self.schedule:
            return
        if self.trigger_on_event is not None:
            raise ValueError(
                "a workflow can't have both a schedule and trigger_on_event; leave one of them "
                "out, or define two workflows"
            )
        if self.queue is not None:
            raise ValueError(
                "a workflow with a schedule can't have a queue of its own; leave queue or "
                "schedule out"
            )

    def _check_celery(self) -> None:
        if self.celery is None:
            return
        if not isinstance(self.celery, Mapping):
            raise TypeError(
                f"celery is of type {type(self.celery).__name__}; pass a dict of Celery task "
                'options, such as celery={"rate_limit": "10/m"}'
            )
        taken = sorted(_TAKEN & self.celery.keys())
        if taken:
            raise ValueError(
                f"the Celery options {', '.join(taken)} are set by Polos; take them out of celery="
            )
        other = check_text("the Celery option queue", self.celery.get("queue"), empty=False)
        check_priority("the Celery option priority", self.celery.get("priority"))
        if self.queue is not None and other is not None and other != self.queue:
            raise ValueError(
                f"queue is {self.queue!r} but celery names the queue {other!r}; leave one out"
            )

    @property
    def without_effect(self) -> tuple[str, ...]:
        """The names of what was given and has no effect yet."""
        return tuple(name for name in _WITHOUT_EFFECT if getattr(self, name))

    @property
    def celery_options(self) -> Mapping[str, Any]:
        """A read-only copy of the options for the workflow's own Celery task."""
        return MappingProxyType(dict(self.celery or {}))


def hooks_of(name: str, given: Hooks) -> tuple[Callable[..., Any], ...]:
    """One hook, a list of them or None, as a tuple.

    Raises:
        TypeError: one of them can't be called.
    """
    hooks = () if given is None else tuple(given) if isinstance(given, list | tuple) else (given,)
    for hook in hooks:
        if not callable(hook):
            raise TypeError(f"{name} holds {hook!r}; pass a function, or a list of functions")
    return hooks


def _check_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}; pass a whole number from {least} on")


def _check_schema(schema: Any) -> None:
    if schema is not None and not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        raise TypeError(f"state_schema is {schema!r}; pass a Pydantic model's class")
