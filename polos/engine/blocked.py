"""Which tasks wait for something that Polos doesn't know.

A task is blocked for good when, directly or through asyncio's own ways of waiting for tasks, it
waits for nothing but durable futures. Anything else (a socket, a sleep, a lock) is foreign.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterator
from types import FrameType
from typing import Any

_ASYNCIO = os.path.dirname(asyncio.__file__)
_POLOS = os.path.dirname(os.path.dirname(__file__))

# asyncio's functions that wait for other tasks, and the local variable that holds those.
_WAITS_FOR = {
    "_wait": "fs",
    "_wait_for_one": "todo",
    "wait_for": "fut",
}


def foreign_lines(
    tasks: Collection[asyncio.Task[Any]], durable: Collection[asyncio.Future[Any]]
) -> list[str]:
    """The lines at which tasks await something foreign; empty when all are blocked for good."""
    known = set(durable)
    return [_line(task) for task in tasks if not _is_durable(task, known)]


def _is_durable(task: asyncio.Task[Any], durable: set[asyncio.Future[Any]]) -> bool:
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is None:
        return False
    if _known(waiter, durable):
        return True
    for frame in _frames(task):
        if frame.f_code.co_filename.startswith(_ASYNCIO):
            awaited = _awaited_by(frame)
            if awaited is not None:
                return all(_known(future, durable) for future in awaited if not future.done())
    return False


def _known(future: Any, durable: set[asyncio.Future[Any]]) -> bool:
    # Another task is judged by itself; what gather gives is as its children are.
    if future in durable or isinstance(future, asyncio.Task):
        return True
    children = getattr(future, "_children", None)
    return children is not None and all(
        child.done() or _known(child, durable) for child in children
    )


def _awaited_by(frame: FrameType) -> Collection[asyncio.Future[Any]] | None:
    name = frame.f_code.co_name
    owner = frame.f_locals.get("self")
    if name in {"_aexit", "__aexit__"} and isinstance(owner, asyncio.TaskGroup):
        return list(getattr(owner, "_tasks", ()))
    if name not in _WAITS_FOR:
        return None
    found = frame.f_locals.get(_WAITS_FOR[name], getattr(owner, "_todo", None))
    if isinstance(found, asyncio.Future):
        return [found]
    return None if found is None else list(found)


def _frames(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            yield frame
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)


def _line(task: asyncio.Task[Any]) -> str:
    own = [
        frame
        for frame in _frames(task)
        if not frame.f_code.co_filename.startswith((_ASYNCIO, _POLOS))
    ]
    if not own:
        return repr(task.get_name())
    frame = own[-1]
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
