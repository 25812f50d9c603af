"""An exception from outside, such as Celery's soft time limit, raised where user code runs.

A signal handler runs at whatever line its process has come to. Raised there, in the middle of a
commit or of the event loop, an exception would break what is not the user's. So the stack tells:
in user code it is raised at once, as in the body of any task. Anywhere else it waits until the loop
is idle and all that has happened is recorded, and is then raised at the ``await`` of the async step
that runs, or of the workflow's function.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol, TypeVar, cast

T = TypeVar("T")

_OWN = "polos."


class Interrupted(Protocol):
    """An attempt, as far as a signal handler speaks to it."""

    def interrupt(self, error: Exception, *, raised: bool = False) -> None:
        """Raise an error in user code as soon as that is safe; or note that it is raised."""
        ...


class _Here(threading.local):
    attempt: Interrupted | None = None
    pending: Exception | None = None


_here = _Here()


@contextmanager
def receiving(attempt: Interrupted) -> Iterator[None]:
    """Have what interrupts this thread reach an attempt."""
    _here.attempt = attempt
    if _here.pending is not None:
        attempt.interrupt(_here.pending)
    try:
        yield
    finally:
        _here.attempt = None


def interrupt(error: Exception, frame: FrameType | None) -> None:
    """Raise an error in the user's code; from a signal handler.

    Args:
        error: what to raise.
        frame: where the signal came.
    """
    attempt, in_user_code = _here.attempt, _runs_user_code(frame)
    if attempt is None:
        _here.pending = error
        return
    attempt.interrupt(error, raised=in_user_code)
    if in_user_code:
        raise error


def forget() -> None:
    """Drop what came while no attempt was there to hear of it."""
    _here.pending = None


def call_user(function: Callable[..., T], *args: Any) -> T:
    """Call a function of the user's; below this frame on the stack is user code."""
    return function(*args)


def _runs_user_code(frame: FrameType | None) -> bool:
    inner = frame
    while frame is not None:
        if frame.f_code is call_user.__code__:
            return frame is not inner
        if str(frame.f_globals.get("__name__", "")).startswith(_OWN):
            return False
        frame = frame.f_back
    return False


class Interruptible(Coroutine[Any, Any, T]):
    """Something of the user's that is awaited, into which an error can be thrown.

    Args:
        awaited: usually a coroutine.
    """

    def __init__(self, awaited: Awaitable[T]) -> None:
        # By this name whoever follows a task's coroutines goes on to the inner one.
        self.cr_await = awaited
        self._steps: Any = awaited.__await__()
        self._task: asyncio.Task[Any] | None = None
        self._error: Exception | None = None

    def interrupt(self, error: Exception) -> None:
        """Raise an error at the ``await`` that is being waited at."""
        if self._task is not None:
            self._error = error
            self._task.cancel()

    def send(self, value: Any) -> Any:
        """Go on with a value; Python's part of the protocol."""
        if self._task is None:
            self._task = asyncio.current_task()
        return call_user(self._steps.send, value)

    def throw(self, *args: Any) -> Any:
        """Go on with an error; in the place of a cancellation that meant one, with that one."""
        error: Any = next(it for it in (*args[1:2], *args) if it is not None)
        if self._error is not None and _is_cancellation(error):
            error, self._error = self._error, None
            if self._task is not None:
                self._task.uncancel()
        return call_user(self._steps.throw, error)

    def close(self) -> None:
        """End it."""
        self._steps.close()

    def __await__(self) -> Generator[Any, Any, T]:
        going_on: Any = self  # it has what a generator has
        return cast(Generator[Any, Any, T], going_on)

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)


def _is_cancellation(error: Any) -> bool:
    kind = error if isinstance(error, type) else type(error)
    return issubclass(kind, asyncio.CancelledError)
