"""What people look for in a list of executions, and what was found; plain records."""

from __future__ import annotations

from dataclasses import dataclass, replace

from polos.model.listing import ExecutionSummary, Place
from polos.model.records import Kind, Micros
from polos.model.states import Status


@dataclass(frozen=True, slots=True)
class Sought:
    """Which executions are looked for; None means any, and conditions add up.

    Attributes:
        statuses: one of these; empty means any.
        id_prefix: how its id begins; what is found is in the order of the ids then.
        created_after: not before this moment.
        created_before: before this moment.
        place: where the page begins that is looked for; None for the newest.
        newer: whether that page is the one before the place, not the one behind it.
        limit: how many at most.
    """

    workflow_id: str | None = None
    statuses: tuple[Status, ...] = ()
    session_id: str | None = None
    user_id: str | None = None
    tag: str | None = None
    id_prefix: str | None = None
    created_after: Micros | None = None
    created_before: Micros | None = None
    place: Place | None = None
    newer: bool = False
    limit: int = 50

    @property
    def is_narrow(self) -> bool:
        """Whether anything is left out."""
        return self != Sought(place=self.place, newer=self.newer, limit=self.limit)

    def at(self, place: Place | None, *, newer: bool = False) -> Sought:
        """The same on another page."""
        return replace(self, place=place, newer=newer)


@dataclass(frozen=True, slots=True)
class Awaited:
    """Something that an execution waits for.

    Attributes:
        due_at: when that is over by itself; None where only others can end it.
        target_id: the execution or task that it waits for.
    """

    step_key: str
    kind: Kind
    due_at: Micros | None = None
    target_id: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list.

    Attributes:
        summary: the execution.
        steps: the keys of the steps that run now, as far as that is known.
        awaited: what it waits for, some of it where that is much.
        more: whether it waits for more than that.
    """

    summary: ExecutionSummary
    steps: tuple[str, ...] = ()
    awaited: tuple[Awaited, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what was looked for.

    Attributes:
        items: newest first; by their ids where an id was looked for.
        newer: the place before which there may be more; None where there is none.
        older: the place behind which there may be more; None where there is none.
        partly: whether the search ended at ``older`` before the page was full, as much had to be
            looked at.
    """

    items: tuple[Listed, ...]
    newer: Place | None = None
    older: Place | None = None
    partly: bool = False


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are.

    Attributes:
        number: as far as it was counted.
        more: whether there are more.
    """

    number: int
    more: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.more else ''}"
