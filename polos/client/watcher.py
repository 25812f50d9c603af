"""Learns of ends for everybody in this process who waits for one, with few queries.

One thread asks for all awaited executions at once. It asks often right after somebody began to
wait and after each end that it found, and more and more rarely while nothing happens. Where the
database tells of ends, it waits to be told of those that were started to be waited for, and asks
for them once a second all the same: what is told may be lost.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from polos.client.listener import Listener
from polos.client.unserved import unserved
from polos.errors import StoreUnavailable, WorkflowTimeoutError
from polos.model.records import Execution
from polos.store.sql_store import SqlStore

log = logging.getLogger("polos.client")

_SHORTEST = 0.004
_LONGEST = 0.25
_GROWTH = 1.3
_BATCH = 500
# How often those are asked for that the database is to tell of.
_TOLD = 1.0
# After so many seconds, and again and again, it is looked whether there is a worker at all.
_LATE = 2.0
# A thread that nobody has needed for so many seconds ends: a server has a watcher per project.
_IDLE = 30.0
# Commits that tell somebody wait for one another. One query for many costs less.
_FEW = 16


class Watcher:
    """Waits for ends on behalf of one client."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._closed = False
        self._begin()
        _watchers.add(self)

    def _begin(self) -> None:
        self._waiting: dict[str, list[Future[Execution]]] = {}
        # Those that the database is going to tell of, and has not yet.
        self._untold: set[str] = set()
        self._lock = threading.Lock()
        self._nudge = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble = ""
        self._late = ("", "")
        self._listener = Listener(self._store, self._told, self._ask_for_all)

    def expect(self, execution_id: str) -> str | None:
        """Say that somebody is going to wait for an execution that is about to be written.

        Returns:
            the channel that is to be told of its end; None where asking does better.
        """
        if len(self._waiting) >= _FEW or not self._listener.begin():
            return None
        with self._lock:
            # Written by now: told before anybody could wait for it, or after.
            if self._listener.healthy and len(self._untold) < _BATCH:
                self._untold.add(execution_id)
        return self._listener.channel

    def wait(self, execution_id: str, timeout: float | None) -> Execution:
        """Block until the execution has ended.

        Raises:
            WorkflowTimeoutError: it has not within ``timeout`` seconds.
        """
        future = self._watch([execution_id])
        try:
            return future.result(timeout)
        except FutureTimeout:
            raise WorkflowTimeoutError(
                execution_id, timeout or 0.0, self._why(execution_id)
            ) from None
        finally:
            self._forget([execution_id], future)

    async def wait_async(self, execution_id: str, timeout: float | None) -> Execution:
        """The same without blocking the running loop."""
        found = await self.first_ended([execution_id], timeout)
        if found is None:
            raise WorkflowTimeoutError(execution_id, timeout or 0.0, self._why(execution_id))
        return found

    async def first_ended(
        self, execution_ids: Sequence[str], timeout: float | None
    ) -> Execution | None:
        """The first of several executions that has ended; None where none has in time."""
        future = self._watch(execution_ids)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout)
        except TimeoutError:
            return None
        finally:
            self._forget(execution_ids, future)

    def close(self) -> None:
        """End the thread; whoever still waits then waits to its own timeout."""
        self._closed = True
        self._nudge.set()
        self._listener.close()
        self._give_up(StoreUnavailable("", "the client was closed while somebody waited"))
        thread = self._thread
        if thread is not None:
            thread.join(timeout=5)

    def nudge(self) -> None:
        """Look now: something has probably ended."""
        self._nudge.set()

    def _watch(self, execution_ids: Sequence[str]) -> Future[Execution]:
        future: Future[Execution] = Future()
        with self._lock:
            for execution_id in execution_ids:
                self._waiting.setdefault(execution_id, []).append(future)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="polos-watcher", daemon=True)
                self._thread.start()
        self._nudge.set()
        return future

    def _forget(self, execution_ids: Sequence[str], future: Future[Execution]) -> None:
        with self._lock:
            for execution_id in execution_ids:
                futures = self._waiting.get(execution_id, [])
                if future in futures:
                    futures.remove(future)
                if not futures:
                    self._waiting.pop(execution_id, None)
                    self._untold.discard(execution_id)

    def _told(self, execution_id: str) -> None:
        """The database told of an end."""
        with self._lock:
            self._untold.discard(execution_id)
            awaited = execution_id in self._waiting
        if awaited:
            self._nudge.set()

    def _ask_for_all(self) -> None:
        """What was to be told may have been lost."""
        with self._lock:
            self._untold.clear()
        self._nudge.set()

    def _run(self) -> None:
        pause, all_at = _SHORTEST, math.inf
        late_at = time.monotonic() + _LATE
        while not self._closed:
            now = time.monotonic()
            with self._lock:
                wanted = [it for it in self._waiting if it not in self._untold]
                untold = [it for it in self._waiting if it in self._untold]
            all_at = min(all_at, now + _TOLD) if untold else math.inf
            if untold and now >= all_at:
                self._listener.begin()
                wanted, all_at = wanted + untold, now + _TOLD
            if wanted and self._look(wanted):
                pause = _SHORTEST
                continue
            if now >= late_at:
                self._remark()
                late_at = now + _LATE
            longest = min(pause if wanted else _IDLE, all_at - now)
            if self._nudge.wait(longest):
                self._nudge.clear()
                pause = _SHORTEST
            elif not (wanted or untold) and self._retires():
                return
            else:
                pause = min(pause * _GROWTH, _LONGEST)

    def _why(self, execution_id: str) -> str:
        """Why an end is late, where that is known; asks nobody."""
        first, why = self._late
        return self._trouble or (why if first == execution_id else "")

    def _remark(self) -> None:
        """Say why nobody takes what is waited for: else that looks like slow work."""
        with self._lock:
            first = next(iter(self._waiting), "")
        try:
            found = self._store.get(first) if first else None
            why = unserved(self._store, found, self._store.now()) if found else ""
        except Exception as error:
            # It is for people only, and what can't be read is told by those who need it.
            log.debug("nothing can be said of %s: %s", first, error)
            return
        if why and why != self._late[1]:
            log.warning("execution %s waits for a worker: %s", first, why)
        self._late = (first, why)

    def _retires(self) -> bool:
        """Whether nobody needs the thread; who comes next begins another one."""
        with self._lock:
            if not self._waiting:
                self._thread = None
            return self._thread is None

    def _give_up(self, error: Exception) -> None:
        with self._lock:
            futures = [future for waiting in self._waiting.values() for future in waiting]
            self._waiting.clear()
        for future in futures:
            if _is_awaited(future):
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
                self._untold.discard(execution_id)
            for future in futures:
                if _is_awaited(future):
                    future.set_result(execution)
        return bool(found)


def _is_awaited(future: Future[Execution]) -> bool:
    """Whether somebody still waits; one that stands for several executions may be done."""
    return not future.done() and future.set_running_or_notify_cancel()


_watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()


def _begin_after_fork() -> None:
    """A child process waits for nothing that its parent waits for, and on lines of its own."""
    for watcher in list(_watchers):
        watcher._begin()


os.register_at_fork(after_in_child=_begin_after_fork)
