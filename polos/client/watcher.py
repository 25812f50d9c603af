"""Learns of ends for everybody in this process who waits for one, with few queries.

One thread asks for all awaited executions at once. It asks often right after somebody began to
wait and after each end that it found, and more and more rarely while nothing happens.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from polos.errors import StoreUnavailable, WorkflowTimeoutError
from polos.model.records import Execution
from polos.store.sql_store import SqlStore

log = logging.getLogger("polos.client")

_SHORTEST = 0.004
_LONGEST = 0.25
_GROWTH = 1.3
_BATCH = 500


class Watcher:
    """Waits for ends on behalf of one client."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._waiting: dict[str, list[Future[Execution]]] = {}
        self._lock = threading.Lock()
        self._nudge = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._trouble = ""

    def wait(self, execution_id: str, timeout: float | None) -> Execution:
        """Block until the execution has ended.

        Raises:
            WorkflowTimeoutError: it has not within ``timeout`` seconds.
        """
        future = self._watch(execution_id)
        try:
            return future.result(timeout)
        except FutureTimeout:
            raise WorkflowTimeoutError(execution_id, timeout or 0.0, self._trouble) from None
        finally:
            self._forget(execution_id, future)

    async def wait_async(self, execution_id: str, timeout: float | None) -> Execution:
        """The same without blocking the running loop."""
        future = self._watch(execution_id)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout)
        except TimeoutError:
            raise WorkflowTimeoutError(execution_id, timeout or 0.0, self._trouble) from None
        finally:
            self._forget(execution_id, future)

    def close(self) -> None:
        """End the thread; whoever still waits then waits to its own timeout."""
        self._closed = True
        self._nudge.set()
        self._give_up(StoreUnavailable("", "the client was closed while somebody waited"))
        if self._thread is not None:
            self._thread.join(timeout=5)

    def nudge(self) -> None:
        """Look now: something has probably ended."""
        self._nudge.set()

    def _watch(self, execution_id: str) -> Future[Execution]:
        future: Future[Execution] = Future()
        with self._lock:
            self._waiting.setdefault(execution_id, []).append(future)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="polos-watcher", daemon=True)
                self._thread.start()
        self._nudge.set()
        return future

    def _forget(self, execution_id: str, future: Future[Execution]) -> None:
        with self._lock:
            futures = self._waiting.get(execution_id, [])
            if future in futures:
                futures.remove(future)
            if not futures:
                self._waiting.pop(execution_id, None)

    def _run(self) -> None:
        pause = _SHORTEST
        while not self._closed:
            with self._lock:
                wanted = list(self._waiting)
            if wanted and self._look(wanted):
                pause = _SHORTEST
                continue
            if self._nudge.wait(pause if wanted else None):
                self._nudge.clear()
                pause = _SHORTEST
            else:
                pause = min(pause * _GROWTH, _LONGEST)

    def _give_up(self, error: Exception) -> None:
        with self._lock:
            futures = [future for waiting in self._waiting.values() for future in waiting]
            self._waiting.clear()
        for future in futures:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)

    def _look(self, wanted: list[str]) -> bool:
        found: dict[str, Execution] = {}
        try:
            for start in range(0, len(wanted), _BATCH):
                found |= self._store.ended(wanted[start : start + _BATCH])
        except StoreUnavailable as error:
            if not self._trouble:
                log.warning("waiting for results: %s", error)
            self._trouble = str(error)
            return False
        except Exception as error:
            self._give_up(error)
            return False
        self._trouble = ""
        for execution_id, execution in found.items():
            with self._lock:
                futures = self._waiting.pop(execution_id, [])
            for future in futures:
                if future.set_running_or_notify_cancel():
                    future.set_result(execution)
        return bool(found)
