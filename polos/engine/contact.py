"""A database that is out of reach: waited for with growing delays, and spoken of once."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import TypeVar

from polos.errors import StoreError, StoreUnavailable

T = TypeVar("T")

log = logging.getLogger("polos.store")

_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class Contact:
    """What one process knows of whether its database can be reached."""

    def __init__(self) -> None:
        self._away = False

    def insist(self, ask: Callable[[], T], give_up: Callable[[], bool], grace: float = 0.0) -> T:
        """Ask, again and again while the database is away.

        Args:
            ask: asks.
            give_up: whether asking again is in vain.
            grace: seconds that it goes on all the same.

        Raises:
            StoreUnavailable: it is away, and ``give_up`` says that asking again is in vain.
        """
        pause, last = _SHORTEST_PAUSE, math.inf
        while True:
            try:
                answer = ask()
            except StoreUnavailable as error:
                self.lost(error)
                if give_up():
                    last = min(last, time.monotonic() + grace)
                if time.monotonic() >= last:
                    raise
            else:
                self.made()
                return answer
            time.sleep(min(pause, max(0.0, last - time.monotonic())))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def lost(self, error: StoreError) -> None:
        """The database did not answer."""
        if not self._away:
            log.warning("%s. This process waits for it, and goes on when it is back", error)
        self._away = True

    def made(self) -> None:
        """The database answered."""
        if self._away:
            log.warning("the database is back")
        self._away = False
