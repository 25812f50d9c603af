"""What pages show of everything there is: worked out in the background, and kept for a while."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")

log = logging.getLogger("polos.flower")


class Kept(Generic[V]):
    """Values by keys, each worked out once at a time whoever asks for it.

    Args:
        fresh: seconds; what is older is worked out anew, and given as it was meanwhile.
        stale: seconds; what is older is no longer given.
        most: how many are kept; those that were asked for last.
        clock: gives seconds that only go forward.
    """

    def __init__(
        self,
        fresh: float,
        stale: float,
        most: int = 100,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fresh = fresh
        self._stale = stale
        self._most = most
        self._clock = clock
        # Each with the moment from which on it was worked out.
        self._values: OrderedDict[Hashable, tuple[V, float]] = OrderedDict()
        self._making: dict[Hashable, asyncio.Task[V]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[V]]) -> V:
        """The value of a key; raises what ``make`` does where there is none."""
        found = self._values.get(key)
        if found is not None:
            self._values.move_to_end(key)
            value, since = found
            age = self._clock() - since
            if age > self._fresh:
                self._begin(key, make)
            if age <= self._stale:
                return value
        # Whoever gives up waiting must not end it for the others.
        return await asyncio.shield(self._begin(key, make))

    async def within(
        self, seconds: float, key: Hashable, make: Callable[[], Awaitable[V]]
    ) -> V | None:
        """The same; None where it takes longer, and goes on meanwhile."""
        try:
            return await asyncio.wait_for(self.get(key, make), seconds)
        except TimeoutError:
            return None

    def _begin(self, key: Hashable, make: Callable[[], Awaitable[V]]) -> asyncio.Task[V]:
        task = self._making.get(key)
        # One of a loop that was closed never ends.
        if task is None or task.get_loop().is_closed():
            task = self._making[key] = asyncio.ensure_future(self._make(key, make))
            task.add_done_callback(lambda done: self._end(key, done))
        return task

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[V]]) -> V:
        since = self._clock()
        made = await make()
        self._values[key] = made, since
        while len(self._values) > self._most:
            self._values.popitem(last=False)
        return made

    def _end(self, key: Hashable, task: asyncio.Task[V]) -> None:
        if self._making.get(key) is task:
            del self._making[key]
        if not task.cancelled() and task.exception() is not None:
            log.debug("figures of a page can't be worked out: %s", task.exception())
