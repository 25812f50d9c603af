"""What branches wait for in memory, and how that is told to people."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from polos.model.records import Kind, Micros, Wait, as_datetime

# So many waits that others end are named.
_MOST_NAMED = 2


@dataclass(slots=True)
class Timer:
    """A time that a branch waits for; a durable one of the kind ``STEP`` is a back-off."""

    wait: Wait
    due: Micros
    future: asyncio.Future[Any]


@dataclass(slots=True)
class SyncCall:
    """A plain function that runs on the worker's thread while no loop runs in it."""

    function: Callable[[], Any]
    context: contextvars.Context
    future: asyncio.Future[Any]


def reason(timers: Iterable[Timer], outside: Iterable[Wait]) -> str:
    """Why an attempt is parked, such as ``waiting for task 'charge' and 2 more``."""
    by_time = sorted(timers, key=lambda timer: timer.due)
    others = list(outside)
    texts = [
        f"{timer.wait.step_key!r} until {as_datetime(timer.due):%Y-%m-%d %H:%M:%S} UTC"
        for timer in by_time[:1]
    ]
    texts += [
        f"{'task' if wait.kind is Kind.TASK else 'child'} {wait.step_key!r}"
        for wait in others[:_MOST_NAMED]
    ]
    more = len(by_time) + len(others) - len(texts)
    return "waiting for " + ", ".join(texts) + (f" and {more} more" if more else "")
