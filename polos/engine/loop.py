"""One event loop per worker thread, which tells when it has nothing left to do.

asyncio gives no event for "everything is blocked". It does ask its selector to wait, and with a
timeout other than 0 only when no callback is ready: ``IdleSelector`` is that moment, made public.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, TypeVar, TypeVarTuple

from polos.engine.resting import is_wanted, rest, resting

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
OnIdle = Callable[[float | None], float | None]

# A step that spins with sleep(0) never lets the loop be idle; others must not starve.
_BUSY_TURNS = 64


class IdleSelector(selectors.BaseSelector):
    """The platform's selector, asking ``on_idle`` before it blocks how long it may."""

    def __init__(self) -> None:
        self._inner = selectors.DefaultSelector()
        self._busy_turns = 0
        self.on_idle: OnIdle | None = None

    def ask(self, on_idle: OnIdle | None) -> None:
        """Ask this one before blocking, from now on."""
        self.on_idle, self._busy_turns = on_idle, 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for files, unless ``on_idle`` has found something to do."""
        if self.on_idle is not None and self._is_idle(timeout):
            self._busy_turns = 0
            timeout = self.on_idle(timeout)
        return self._inner.select(timeout)

    def _is_idle(self, timeout: float | None) -> bool:
        self._busy_turns += 1
        return timeout is None or timeout > 0 or self._busy_turns > _BUSY_TURNS

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a file."""
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Watch a file no longer."""
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a file for other events."""
        return self._inner.modify(fileobj, events, data)

    def close(self) -> None:
        """Let go of all files."""
        self._inner.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """All watched files."""
        return self._inner.get_map()


class StepLoop(asyncio.SelectorEventLoop):
    """A loop that has the threads tidied to which an attempt's functions were given."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        super().__init__(selector)
        self._others: set[Executor] = set()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Call a function in a thread; in one of the loop's own, tidy that thread afterwards."""
        if not is_wanted():
            return super().run_in_executor(executor, func, *args)
        if executor is None:
            return super().run_in_executor(None, resting(func), *args)
        # Such as Django's thread for async code: many short calls, for which it keeps things.
        self._others.add(executor)
        return super().run_in_executor(executor, func, *args)

    def rest(self) -> None:
        """Tidy this thread, and one of each other executor that was used; the attempt is over."""
        rest()
        while self._others:
            # One that is closed has no thread any more.
            with suppress(RuntimeError):
                self._others.pop().submit(rest)


class ThreadLoop:
    """The event loop of one worker thread; attempts use it one after another."""

    def __init__(self) -> None:
        self._selector = IdleSelector()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.loop = StepLoop(self._selector)
        self.loop.set_task_factory(self._new_task)

    def run(self, on_idle: OnIdle) -> None:
        """Run until somebody calls ``loop.stop()``."""
        self._selector.ask(on_idle)
        try:
            self.loop.run_forever()
        finally:
            self._selector.ask(None)

    def tasks(self) -> set[asyncio.Task[Any]]:
        """All tasks that have not ended."""
        return {task for task in self._tasks if not task.done()}

    def has_one_task(self) -> bool:
        """Whether only one task is left, so that nothing can come between its steps."""
        return len(self._tasks) == 1

    def _new_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, **given: Any
    ) -> asyncio.Task[Any]:
        # asyncio knows its tasks too, but goes through those of all loops to name one loop's.
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **given)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


_here = threading.local()


def thread_loop() -> ThreadLoop:
    """This thread's loop, made at its first use."""
    found: ThreadLoop | None = getattr(_here, "loop", None)
    if found is None:
        found = _here.loop = ThreadLoop()
    return found


def abandon_thread_loop() -> None:
    """Leave this thread's loop, with the tasks in it that would not end, for a new one."""
    _here.loop = None
