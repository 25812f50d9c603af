"""What a worker answers when Celery's remote control asks it about Polos."""

from __future__ import annotations

import time
from importlib import metadata
from typing import Any

import celery
from celery import Celery
from celery.worker.control import inspect_command

from polos.binding.of_app import bound_of

COMMAND = "polos_about"
# What clients and workers must agree on.
SHARED = ("project_id", "countdown_horizon", "wait_threshold_seconds", "lease_seconds")


@inspect_command(name=COMMAND)
def about(state: Any) -> dict[str, Any]:
    """The release that this worker runs, its clock, and the settings that all must share."""
    bound = bound_of(state.app)
    settings = getattr(bound, "settings", None)
    return {
        "polos": release(),
        "celery": celery.__version__,
        "time": time.time(),
        "settings": {name: getattr(settings, name, None) for name in SHARED},
    }


def release() -> str:
    """The release of Polos that is installed here."""
    return metadata.version("polos")


def ask_workers(app: Celery, seconds: float) -> list[tuple[str, dict[str, Any], float]]:
    """Ask all workers of an app; their names, their answers, and the time when they were asked.

    Args:
        app: the Celery app; workers without Polos don't answer.
        seconds: how long answers are collected.
    """
    asked = time.time()
    replies = app.control.broadcast(COMMAND, reply=True, timeout=seconds) or []
    return [
        (str(name), answer, asked)
        for reply in replies
        for name, answer in reply.items()
        if isinstance(answer, dict) and "polos" in answer
    ]
