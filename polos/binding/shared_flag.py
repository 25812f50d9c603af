"""A flag that a worker's main process raises and its pool processes see at once."""

from __future__ import annotations

import mmap


class SharedFlag:
    """One byte that processes forked later share; raising it is safe in a signal handler.

    A pool that is not forked (spawn) does not see it, and finishes what it runs.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def raise_(self) -> None:
        """Raise it."""
        self._memory[0] = 1

    def lower(self) -> None:
        """Lower it."""
        self._memory[0] = 0

    def __call__(self) -> bool:
        """Whether it is raised."""
        return self._memory[0] == 1
