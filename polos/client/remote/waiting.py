"""Learns of ends over HTTP for everybody in this process who waits for one, on few connections.

One question asks for hundreds of executions, and its answer comes as soon as one of them has ended.
Who comes later is asked for by a question of its own, at once; where there are too many questions,
the smallest are put together, as an LSM tree does with its levels. All of it happens on the one
loop of the background, so nothing needs a lock.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from polos.client import wire
from polos.client.remote.background import Background
from polos.client.remote.line import Line, post
from polos.errors import (
    AccessDenied,
    CodecError,
    PolosError,
    RequestRefused,
    ServerError,
    ServerUnavailable,
    StoreUnavailable,
    WorkflowTimeoutError,
)
from polos.model.records import Execution

log = logging.getLogger("polos.client")

# So many executions the server takes in one question.
_MOST_IDS = 500
# Questions beyond those that it takes for all executions at the least.
_SPARE = 3
# Seconds in which those are gathered that come after others.
_GATHERED = 0.005
# Seconds after which the server answers though none has ended; proxies often allow 60.
_POLL = 25.0
# Seconds that an answer may come later than that.
_LATE = 15.0
# An answer without an end that comes sooner is no long poll's.
_HASTY = 0.5
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
# An error of the server's own that comes so often is no passing one.
_MOST_ERRORS = 8
_FINAL = (AccessDenied, RequestRefused, CodecError)


class _Question:
    """One long poll, and those that it asks for."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = set(ids)
        self.task: asyncio.Task[None] | None = None


class Waiting:
    """Waits for ends on behalf of one client.

    Args:
        background: the loop.
        line: the way to the server.
    """

    def __init__(self, background: Background, line: Line) -> None:
        self._background = background
        self._line = line
        self._trouble = ""
        self._closed = False
        self._awaited: dict[str, list[Future[Execution]]] = {}
        self._new: set[str] = set()
        self._asked: dict[str, _Question] = {}
        self._questions: set[_Question] = set()
        self._gathering = False

    def wait(self, execution_id: str, timeout: float | None) -> Execution:
        """Block until the execution has ended.

        Raises:
            WorkflowTimeoutError: it has not within ``timeout`` seconds.
        """
        future = self._begin(execution_id)
        try:
            return future.result(timeout)
        except FutureTimeout:
            raise WorkflowTimeoutError(execution_id, timeout or 0.0, self._trouble) from None
        finally:
            self._background.tell(self._forget, execution_id, future)

    async def wait_async(self, execution_id: str, timeout: float | None) -> Execution:
        """The same without blocking the running loop."""
        future = self._begin(execution_id)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout)
        except TimeoutError:
            raise WorkflowTimeoutError(execution_id, timeout or 0.0, self._trouble) from None
        finally:
            self._background.tell(self._forget, execution_id, future)

    def close(self) -> None:
        """Give up on all that is waited for."""
        self._background.tell(self._close)

    def _begin(self, execution_id: str) -> Future[Execution]:
        future: Future[Execution] = Future()
        self._background.soon(self._add, execution_id, future)
        return future

    def _add(self, execution_id: str, future: Future[Execution]) -> None:
        if self._closed:
            _fail(future, self._as_closed())
            return
        futures = self._awaited.setdefault(execution_id, [])
        futures.append(future)
        if len(futures) > 1:
            return
        self._new.add(execution_id)
        if not self._gathering:
            self._gathering = True
            # Alone, it is asked for at once.
            pause = _GATHERED if self._questions else 0.0
            asyncio.get_running_loop().call_later(pause, self._gathered)

    def _gathered(self) -> None:
        self._gathering = False
        ids, self._new = self._new & self._awaited.keys(), set()
        self._ask_for(ids)
        while len(self._questions) > _SPARE + -(-len(self._asked) // _MOST_IDS):
            smallest = sorted(self._questions, key=lambda it: len(it.ids))[:2]
            for question in smallest:
                self._withdraw(question)
            self._ask_for({id_ for question in smallest for id_ in question.ids})

    def _ask_for(self, ids: set[str]) -> None:
        listed = sorted(ids)
        for begin in range(0, len(listed), _MOST_IDS):
            question = _Question(listed[begin : begin + _MOST_IDS])
            self._questions.add(question)
            self._asked |= dict.fromkeys(question.ids, question)
            question.task = asyncio.ensure_future(self._pursue(question))

    def _withdraw(self, question: _Question) -> None:
        """Ask it no longer; what it asks for is not forgotten."""
        self._questions.discard(question)
        for id_ in question.ids:
            if self._asked.get(id_) is question:
                del self._asked[id_]
        if question.task is not None:
            question.task.cancel()

    async def _pursue(self, question: _Question) -> None:
        """Ask until nobody waits any more for what is asked for."""
        failures = 0
        while question.ids:
            began = time.monotonic()
            try:
                ended = await self._poll(sorted(question.ids))
            except Exception as error:  # nobody may wait for ever because of it
                failures += 1
                if _is_final(error, failures):
                    self._give_up(question, error)
                    break
                self._note(error)
                await asyncio.sleep(_pause(failures))
                continue
            self._trouble = ""
            for execution in ended:
                self._settle(execution)
            # One that answers at once though nothing has ended is about to stop, or overloaded.
            is_hasty = not ended and time.monotonic() - began < _HASTY
            failures = failures + 1 if is_hasty else 0
            if is_hasty:
                await asyncio.sleep(_pause(failures))
        self._questions.discard(question)

    async def _poll(self, ids: list[str]) -> list[Execution]:
        body = {"ids": ids, "timeout": _POLL}
        asked = post(("executions", "wait"), body, patience=0.0, answer=_POLL + _LATE)
        answer = await self._line.ask(asked)
        return wire.executions_in(answer.data)

    def _settle(self, execution: Execution) -> None:
        for future in self._let_go(execution.id):
            if future.set_running_or_notify_cancel():
                future.set_result(execution)

    def _give_up(self, question: _Question, error: Exception) -> None:
        for id_ in list(question.ids):
            for future in self._let_go(id_):
                _fail(future, error)

    def _forget(self, execution_id: str, future: Future[Execution]) -> None:
        futures = self._awaited.get(execution_id, [])
        if future in futures:
            futures.remove(future)
        if execution_id in self._awaited and not futures:
            question = self._asked.get(execution_id)
            self._let_go(execution_id)
            if question is not None and not question.ids:
                self._withdraw(question)

    def _let_go(self, execution_id: str) -> list[Future[Execution]]:
        self._new.discard(execution_id)
        question = self._asked.pop(execution_id, None)
        if question is not None:
            question.ids.discard(execution_id)
        return self._awaited.pop(execution_id, [])

    def _note(self, error: Exception) -> None:
        if not self._trouble:
            log.warning("waiting for results: %s", error)
        self._trouble = str(error)

    def _close(self) -> None:
        self._closed = True
        for question in list(self._questions):
            self._withdraw(question)
        awaited, self._awaited = self._awaited, {}
        for futures in awaited.values():
            for future in futures:
                _fail(future, self._as_closed())

    def _as_closed(self) -> PolosError:
        url = self._line.address.url
        return ServerUnavailable(url, "the client was closed while somebody waited")


def _is_final(error: Exception, failures: int) -> bool:
    """Whether asking again will not help."""
    if isinstance(error, StoreUnavailable):
        return False
    is_own = isinstance(error, ServerError) and not isinstance(error, _FINAL)
    return not is_own or failures >= _MOST_ERRORS


def _fail(future: Future[Execution], error: Exception) -> None:
    if future.set_running_or_notify_cancel():
        future.set_exception(error)


def _pause(failures: int) -> float:
    full = min(_SHORTEST_PAUSE * 2.0 ** min(failures - 1, 16), _LONGEST_PAUSE)
    return full * (0.5 + random.random() / 2)
