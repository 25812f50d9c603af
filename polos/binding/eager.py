"""Workflows with ``task_always_eager``: they run to their ends in the caller's process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from polos.engine.eager import EagerSession
from polos.model.ports import Dispatcher
from polos.model.records import Hint

_here = threading.local()


class Eager:
    """Runs hints at once where the app is eager, and else gives them to the broker.

    Args:
        app: the Celery app.
        broker: sends hints.
        make_session: makes what runs them.
    """

    def __init__(
        self, app: Any, broker: Dispatcher, make_session: Callable[[], EagerSession]
    ) -> None:
        self._app = app
        self._broker = broker
        self._make_session = make_session

    def dispatch(self, hints: Sequence[Hint]) -> int:
        """Run the executions, or publish their hints; how many were taken."""
        if not self._app.conf.task_always_eager:
            return self._broker.dispatch(hints)
        self.run(hints)
        return len(hints)

    def is_away(self) -> bool:
        """Whether the broker was out of reach when it was last asked."""
        return not self._app.conf.task_always_eager and self._broker.is_away()

    def run(self, hints: Sequence[Hint]) -> None:
        """Run executions, and all that they start, until nothing can go on."""
        if not hints:
            return
        if not _is_busy():
            self._run(hints)
            return
        # A step of an execution starts another one: the loop of this thread is in use.
        with ThreadPoolExecutor(1, "polos-eager") as other:
            other.submit(self._run, hints).result()

    def _run(self, hints: Sequence[Hint]) -> None:
        session = self._make_session()
        session.dispatch(hints)
        _here.busy = True
        try:
            session.run()
        finally:
            _here.busy = False


def _is_busy() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return bool(getattr(_here, "busy", False))
    return True
