"""What is found out about Celery: its settings, its broker, its workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """The broker as this host reaches it.

    Attributes:
        url: its URL, without the password.
        kind: ``redis``, ``amqp``, ``filesystem``, ``memory`` …
        refusal: why it can't be reached; empty where it can.
        visibility: seconds after which a message that nobody has acknowledged comes again; None
            where that never happens.
        version: of RabbitMQ.
    """

    url: str
    kind: str
    refusal: str = ""
    visibility: float | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class CeleryFacts:
    """Settings of the Celery app that matter to workflows.

    Attributes:
        result_backend: its URL's scheme; empty where there is none.
        result_expires: seconds; None means never.
        longest_limit: the largest hard time limit of any task, in seconds; None where there is
            one without.
        soft_shutdown: Celery's ``worker_soft_shutdown_timeout``, in seconds.
    """

    always_eager: bool = False
    acks_late: bool = False
    ignore_result: bool = False
    prefetch_multiplier: int = 4
    eta_task_limit: int | None = None
    result_backend: str = ""
    result_expires: float | None = 86_400.0
    longest_limit: float | None = None
    soft_shutdown: float = 0.0


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """What a worker says of itself.

    Attributes:
        ahead: seconds by which its clock seems to be ahead of this host's.
        uncertainty: seconds by which that may be wrong.
        settings: those of Polos that must be the same everywhere.
    """

    name: str
    polos: str
    celery: str
    ahead: float
    uncertainty: float
    settings: Mapping[str, Any] = field(default_factory=dict)
