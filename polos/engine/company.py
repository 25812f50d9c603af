"""Who runs beside whom in this process, so that a suspect can be run alone.

Without locks, whose kind differs between native threads and greenlets: single operations on a set
and a dict are atomic. Who comes in says so first and looks then; who wants to be alone as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from polos.engine.signals import WorkerStopping

# A suspect keeps others from beginning for so long while those that run go on, in seconds.
_PATIENCE = 10.0
_LOOK_AGAIN = 0.05


class Company:
    """Lets executions in side by side, or one alone.

    Args:
        slots: how many executions this process may run at once.
        patience: seconds that a suspect waits for others to end before it runs beside them.
        stopping: whether this process has been told to end.
    """

    def __init__(
        self,
        slots: int = 1,
        patience: float = _PATIENCE,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.slots = slots
        self._patience = patience
        self.stopping = stopping
        self._inside: set[Solitude] = set()
        self._alone: dict[str, Solitude] = {}

    @contextmanager
    def member(self) -> Iterator[Solitude]:
        """Be one of those that run, as soon as nobody has to be alone.

        Raises:
            WorkerStopping: the process was told to end before that.
        """
        place = Solitude(self, alone=self.slots == 1)
        try:
            self._inside.add(place)
            while self._alone and not place.alone:
                self._inside.discard(place)
                self._pause()
                self._inside.add(place)
            yield place
        finally:
            self.release(place)
            self._inside.discard(place)

    def isolate(self, place: Solitude) -> bool:
        """Let nobody in until ``release``; whether all others have left within the patience."""
        self._inside.discard(place)
        while self._alone.setdefault("who", place) is not place:
            self._pause()
        deadline = time.monotonic() + self._patience
        while self._inside and time.monotonic() < deadline:
            self._pause()
        left = not self._inside
        self._inside.add(place)
        if not left:
            self.release(place)
        return left

    def release(self, place: Solitude) -> None:
        """Let others in again."""
        if self._alone.get("who") is place:
            del self._alone["who"]

    def _pause(self) -> None:
        if self.stopping():
            raise WorkerStopping
        time.sleep(_LOOK_AGAIN)


class Solitude:
    """One execution's place among the others of its process.

    Attributes:
        alone: whether nothing else runs there.
    """

    def __init__(self, company: Company, *, alone: bool) -> None:
        self._company = company
        self.alone = alone

    def seek(self) -> None:
        """Wait to be alone; after a while, go on beside those that don't end."""
        self.alone = self.alone or self._company.isolate(self)

    def end(self) -> None:
        """Let others in again."""
        self._company.release(self)
