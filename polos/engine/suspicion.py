"""An execution whose processes keep dying: run alone, and its steps noted before they begin."""

from __future__ import annotations

from collections.abc import Sequence

from polos.engine.company import Solitude
from polos.engine.journal import Journal
from polos.model.records import SUSPECT, Claimed


class Suspicion:
    """What is done about it until the execution has a new checkpoint.

    Args:
        claimed: the claim, with what is recorded.
        journal: writes what the execution is in.
        place: its place among the others of this process.
    """

    def __init__(self, claimed: Claimed, journal: Journal, place: Solitude) -> None:
        execution = claimed.execution
        self._journal = journal
        self._place = place
        # The count is of the last death; what was recorded since then clears it.
        stuck = len(claimed.checkpoints) <= execution.recovered_checkpoints
        self._deaths = execution.recoveries if stuck else 0

    @property
    def notes(self) -> bool:
        """Whether each step is noted before it begins."""
        return bool(self._deaths)

    def begin(self) -> None:
        """Before the execution's code runs: be alone, if it has to be."""
        if self._deaths >= SUSPECT:
            self._place.seek()
        self.note(())

    def note(self, executing: Sequence[str]) -> None:
        """These steps are executing now."""
        if not self._deaths:
            return
        if self._journal.has_grown:
            self._deaths = 0
            self._place.end()
            return
        self._journal.mark(executing, alone=self._place.alone)
