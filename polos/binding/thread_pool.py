"""Celery's threads pool for an app that is not this process's default one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery.concurrency.thread import TaskPool


class AppThreadPool(TaskPool):
    """Celery looks a task up in the app that is current in the thread that runs it."""

    def __init__(self, *args: Any, app: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, app=app, **kwargs)
        self.executor = ThreadPoolExecutor(
            max_workers=self.limit, thread_name_prefix="polos", initializer=app.set_current
        )
