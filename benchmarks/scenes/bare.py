"""Celery alone, on the broker that Polos uses, in a queue of its own."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery

from polos.binding.app_factory import make_app
from polos.model.settings import Settings

QUEUE = "bare"
# Named so that no program of Polos takes it for its own.
BACKEND = "BENCH_RESULT_BACKEND"


def bare_app(settings: Settings, backend: str | None) -> Celery:
    """An app with one task that does nothing and tells when.

    Args:
        settings: say which broker.
        backend: where results go; nowhere when None.
    """
    app = make_app(settings, name="bare")
    # Celery's own default: what is measured is Celery.
    app.conf.update(task_default_queue=QUEUE, worker_prefetch_multiplier=4)
    app.conf.update(result_backend=backend, task_ignore_result=backend is None)
    app.task(moment, name="bare.moment")
    return app


def moment() -> float:
    return time.time()


def task(app: Celery) -> Any:
    """The task that does nothing."""
    return app.tasks["bare.moment"]


def from_environment() -> Celery:
    """For a worker."""
    return bare_app(Settings.load(), os.environ.get(BACKEND))
