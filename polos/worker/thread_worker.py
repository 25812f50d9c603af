"""A Celery worker in a thread of this process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from celery import Celery
from celery.worker import WorkController, state

from polos.binding.embedded_broker import STOP
from polos.binding.thread_pool import AppThreadPool

log = logging.getLogger("polos.worker")


class ThreadWorker:
    """Runs a real Celery worker, with the threads pool, beside the caller's own code.

    Args:
        app: the Celery app, with Polos bound to it.
        concurrency: how many executions run at once.
        hostname: its node name.
        hand_on: queues what runs, so that other workers can go on with it.
        queues: the queues that it consumes; the app's own where empty.
        on_exit: called when it has ended, by whatever reason.
    """

    def __init__(
        self,
        app: Celery,
        concurrency: int,
        hostname: str,
        hand_on: Callable[[], None],
        queues: Sequence[str] = (),
        on_exit: Callable[[], None] | None = None,
    ) -> None:
        self._hand_on = hand_on
        self._ready = threading.Event()
        self._on_exit = on_exit
        self._app = app
        self._options: dict[str, Any] = {
            "concurrency": concurrency,
            "pool": AppThreadPool,
            "hostname": hostname,
            "queues": list(queues) or None,
            "without_gossip": True,
            "without_mingle": True,
            "ready_callback": lambda _consumer: self._ready.set(),
        }
        self._worker: Any = None
        self._thread = threading.Thread(target=self._run, name="polos-worker", daemon=True)

    def start(self, timeout: float) -> None:
        """Start, and return when it takes work, or has failed, or after ``timeout`` seconds."""
        self._app.finalize()
        self._worker = WorkController(app=self._app, **self._options)
        self._thread.start()
        if not self._ready.wait(timeout):
            log.warning("the worker has not reached its broker within %g s; it goes on", timeout)

    def stop(self, timeout: float) -> None:
        """Take no more work and end; what still runs after ``timeout`` seconds is handed back."""
        if not self._thread.is_alive():
            return
        stop = self._app.conf.broker_transport_options.get(STOP)
        if stop is not None:
            stop.set()
        else:
            # Celery's flag is the process's: other workers in it stop as well.
            state.should_stop = 0
        self._thread.join(timeout)
        if self._thread.is_alive():
            log.warning("executions still run after %g s; other workers go on with them", timeout)
            self._hand_on()
            self._thread.join(timeout)
        if stop is None:
            state.should_stop = None

    def _run(self) -> None:
        try:
            self._worker.start()
        finally:
            self._ready.set()
            if self._on_exit is not None:
                self._on_exit()
