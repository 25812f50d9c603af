"""What goes wrong during one run, as data that hypothesis draws and shrinks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# die: the worker's process ends here, and nothing that it held in memory lives on.
# zombie: it loses its lease here, another worker goes on, and then it does too, not knowing.
# others: other workers work here on what they have messages for.
# beat: a heartbeat comes here.
# away: the database does not answer here, whether it has done what it was asked or not.
# cancel: somebody cancels what this worker runs here.
What = Literal["die", "zombie", "others", "beat", "away", "cancel"]


@dataclass(frozen=True)
class Trouble:
    """Something that happens ``after`` so many points (store calls, steps) since the last.

    ``at`` lets only points of one name count, such as ``after checkpoint`` or ``end of a step``.
    """

    after: int
    what: What = "die"
    at: str = ""


@dataclass(frozen=True)
class Fate:
    """All that happens in one run.

    Attributes:
        troubles: one after the other.
        picks: which of the messages that are due is delivered next.
        messages: what becomes of each message: 0 delivered, 1 doubled, 2 lost.
    """

    troubles: tuple[Trouble, ...] = ()
    picks: tuple[int, ...] = ()
    messages: tuple[int, ...] = ()


CALM = Fate()
