"""The database's time inside an attempt, carried on by the monotonic clock of this process."""

from __future__ import annotations

import time
from dataclasses import dataclass

from polos.model.records import SECOND, Micros
from polos.store.sql_store import SqlStore


@dataclass(frozen=True, slots=True)
class StoreClock:
    """Two bounds of the database's present time, so that nothing ever comes early.

    Attributes:
        read: what the database said.
        asked: ``time.monotonic()`` before the question.
        answered: ``time.monotonic()`` after the answer.
        resolution: microseconds by which the database's clock may lag.
    """

    read: Micros
    asked: float
    answered: float
    resolution: int

    @classmethod
    def of(cls, store: SqlStore) -> StoreClock:
        """The clock of a store, read now."""
        asked = time.monotonic()
        read = store.now()
        return cls(read, asked, time.monotonic(), store.resolution)

    def at_least(self) -> Micros:
        """The time is this, or a little later: has something come due?"""
        return Micros(self.read + int((time.monotonic() - self.answered) * SECOND))

    def at_most(self) -> Micros:
        """The time is this, or a little earlier: when is a wait that begins now due?"""
        passed = int((time.monotonic() - self.asked) * SECOND)
        return Micros(self.read + passed + self.resolution)

    def until(self, due: Micros) -> float:
        """Seconds until ``due``, not below 0."""
        return max(0.0, (due - self.at_least()) / SECOND)
