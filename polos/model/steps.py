"""What a person sees of an execution: a page of its steps, the beginnings of their values."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import NAMESPACE_OID, uuid5

from polos.model.listing import ExecutionPage, ExecutionSummary, of_cursor, to_cursor
from polos.model.records import Child, Execution, Micros

# Of a value that is longer, so many bytes are read for a page.
MOST_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Cut:
    """The beginning of stored bytes.

    Attributes:
        data: at most ``MOST_BYTES`` of them.
        size: how many there are.
    """

    data: bytes
    size: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return len(self.data) >= self.size


@dataclass(frozen=True, slots=True)
class StepPlace:
    """Where a checkpoint stands among those of its execution."""

    turn: int
    position: int
    key: str

    def to_cursor(self) -> str:
        """As text that can stand in a URL."""
        return to_cursor(f"{self.turn}.{self.position}.{self.key}")

    @classmethod
    def of_cursor(cls, cursor: str) -> StepPlace:
        """The place that ``to_cursor`` gave; raises ValueError on anything else."""
        try:
            turn, position, key = of_cursor(cursor).split(".", 2)
            place = cls(int(turn), int(position), key)
        except (TypeError, ValueError):
            place = None
        if place is None or not (0 <= place.turn < 2**31 and 0 <= place.position < 2**31):
            raise ValueError(f"{cursor!r} is no place among steps") from None
        return place


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step on a page: what it came to, or what it waits for.

    Attributes:
        status: ``completed``, ``failed``, ``waiting`` or ``retrying``.
        place: None for what still waits.
        ended_at: when its checkpoint was written.
        target_id: the child's execution id, or the Celery task's.
        history: the attempts that failed before, encoded.
        input: what it was given.
        value: what it came to.
        failure: the encoded error, or the last one of a step in back-off.
        payload: what its child was given.
    """

    key: str
    kind: str
    status: str
    attempts: int
    place: StepPlace | None = None
    started_at: Micros | None = None
    ended_at: Micros | None = None
    due_at: Micros | None = None
    target_id: str | None = None
    history: bytes | None = None
    input: Cut | None = None
    value: Cut | None = None
    failure: Cut | None = None
    child: Child | None = None
    payload: Cut | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """What ended in one of the equal parts of an execution's time.

    Attributes:
        number: which part, from 0; -1 is before its beginning, as what a fork took over.
        steps: how many steps ended in it.
        failed: how many of those failed.
        begins: when the first of them ended.
    """

    number: int
    steps: int
    failed: int
    begins: Micros


@dataclass(frozen=True, slots=True)
class Asked:
    """Which steps of an execution are asked for; at most one of them is given.

    Attributes:
        after: those that follow this place.
        before: the last ones before this place.
        since: from the first one on that ended at this moment or later.
        failed: from the first one on that failed, after this place if ``after`` is given too.
        key: from the one of this key on.
        last: the last ones.
        limit: how many at most.
    """

    after: StepPlace | None = None
    before: StepPlace | None = None
    since: Micros | None = None
    failed: bool = False
    key: str | None = None
    last: bool = False
    limit: int = 30


@dataclass(frozen=True, slots=True)
class StepPage:
    """Some steps of an execution, in their order.

    Attributes:
        rows: what is recorded.
        waits: what it waits for, the first to end first; not all of them where there are many.
        before: how many recorded steps come before these.
        total: how many steps are recorded.
        failed: how many of those failed.
        waiting: how many waits there are.
        density: where in its time the steps ended.
        found: whether there was such a place or key as was asked for.
        running: the steps that are at work, where that is known.
    """

    rows: tuple[StepRow, ...] = ()
    waits: tuple[StepRow, ...] = ()
    before: int = 0
    total: int = 0
    failed: int = 0
    waiting: int = 0
    density: tuple[Stretch, ...] = ()
    found: bool = True
    running: tuple[str, ...] = ()

    @property
    def is_last(self) -> bool:
        """Whether no recorded step follows."""
        return self.before + len(self.rows) >= self.total


@dataclass(frozen=True, slots=True)
class Head:
    """An execution without the whole of its values, and what only the store knows of it.

    Attributes:
        execution: its payload, result, failure and initial state are left out.
        now: the database's time.
        worker: the Celery node that has it now.
        running: the steps that it is in, as was noted some seconds ago.
        renewed_until: when its lease ends if nobody renews it.
    """

    execution: Execution
    now: Micros
    payload: Cut
    result: Cut | None = None
    failure: Cut | None = None
    initial_state: Cut | None = None
    concurrency_key: str | None = None
    idempotency_key: str | None = None
    start_by: Micros | None = None
    worker: str | None = None
    running: tuple[str, ...] = ()
    renewed_until: Micros | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """The executions around one.

    Attributes:
        ancestors: those above it, the nearest first.
        root: the one at the top, where it is not among the ancestors that were found.
        siblings: of its parent's other children the last ones.
        siblings_by_status: how many children its parent has, itself too.
        children: a page of its own.
        by_status: how many of them stand how.
    """

    ancestors: tuple[Child, ...] = ()
    root: Child | None = None
    siblings: tuple[ExecutionSummary, ...] = ()
    siblings_by_status: dict[str, int] = field(default_factory=dict)
    children: ExecutionPage = ExecutionPage(())
    by_status: dict[str, int] = field(default_factory=dict)


def child_id(parent_id: str, key: str, retried: int) -> str:
    """The id of the child of a step: a second start of the same step can't make a second child.

    Args:
        retried: how often the parent was tried again before.
    """
    # An earlier one that was cancelled is not started again, though its parent is tried again.
    again = f"\0{retried}" if retried else ""
    return str(uuid5(NAMESPACE_OID, f"{parent_id}\0{key}{again}"))
