"""Under gevent attempts run on the native threads of gevent's own pool.

Greenlets share one thread and so one running event loop, which asyncio does not allow.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar, cast

from polos.engine.loop import thread_loop

T = TypeVar("T")

_THREADS = min(32, (os.cpu_count() or 1) + 4)


class _Greenlets:
    """The hub of the thread that the worker's greenlets share; None before the first attempt."""

    hub: Any = None


_greenlets = _Greenlets()


def is_patched() -> bool:
    """Whether gevent has replaced the standard library's threads in this process."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def in_native_thread(work: Callable[[], T], slots: int) -> T:
    """Run ``work`` where an event loop may run: on a native thread under gevent, else here.

    Args:
        work: what to run.
        slots: how many greenlets may ask for it at once.
    """
    if not is_patched():
        return work()
    from gevent import get_hub

    _greenlets.hub = get_hub()
    pool = _greenlets.hub.threadpool
    pool.maxsize = max(pool.maxsize, slots)
    result: Any = pool.apply(_with_native_executor, (work,))
    return cast(T, result)


def in_greenlet(work: Callable[[], T]) -> T:
    """Run ``work`` where connections to the broker are used: on the greenlets' thread, else here.

    A native thread waits for it. Sockets and locks of one thread's greenlets are of no use on
    another thread.
    """
    hub = _greenlets.hub if is_patched() else None
    if hub is None:
        return work()
    from gevent import get_hub, monkey, spawn

    if get_hub() is hub:
        return work()
    # One of the standard library's own: those of gevent serve the greenlets of one thread.
    done = monkey.get_original("_thread", "allocate_lock")()
    done.acquire()
    returned: list[T] = []
    raised: list[BaseException] = []

    def carry_out() -> None:
        try:
            returned.append(work())
        except BaseException as error:
            raised.append(error)
        finally:
            done.release()

    hub.loop.run_callback_threadsafe(spawn, carry_out)
    done.acquire()
    if raised:
        raise raised[0]
    return returned[0]


class NativeExecutor(ThreadPoolExecutor):
    """Native threads for ``asyncio.to_thread`` and name resolution on a loop.

    Each lives for as long as there is work. The standard executor's threads are greenlets here.
    They belong to the native thread that made them, which doesn't run them once its attempt is
    over: at its exit the worker would wait for them for ever.
    """

    def __init__(self, threads: int = _THREADS) -> None:
        from gevent import monkey

        super().__init__(threads)
        self._most = threads
        self._start_thread = monkey.get_original("_thread", "start_new_thread")
        self._alone = monkey.get_original("_thread", "allocate_lock")()
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._running = 0

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call a function on a native thread."""
        future: Future[T] = Future()
        with self._alone:
            self._calls.append((future, partial(fn, *args, **kwargs)))
            if self._running == self._most:
                return future
            self._running += 1
        self._start_thread(self._work, ())
        return future

    def _work(self) -> None:
        from gevent import get_hub

        while (call := self._next()) is not None:
            _carry_out(*call)
        get_hub().destroy()

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._alone:
            if self._calls:
                return self._calls.popleft()
            self._running -= 1
            return None


def _carry_out(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


def _with_native_executor(work: Callable[[], T]) -> T:
    thread_loop().loop.set_default_executor(_native_executor())
    return work()


@cache
def _native_executor() -> NativeExecutor:
    return NativeExecutor()


def start_native_thread(work: Callable[[], None]) -> None:
    """Begin a thread that runs whatever the greenlets of this process do."""
    if not is_patched():
        threading.Thread(target=work, daemon=True).start()
        return
    from gevent.monkey import get_original

    get_original("_thread", "start_new_thread")(work, ())
