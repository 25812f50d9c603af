"""What an attempt remembers: recorded checkpoints, their order, and what is not written yet."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, TypeVar

from polos.engine.contact import Contact
from polos.errors import DuplicateStepKey, LeaseLost, StepMismatch, StoreUnavailable
from polos.model.outcome import Outcome
from polos.model.records import (
    Checkpoint,
    Claimed,
    Execution,
    Failure,
    Hint,
    Kind,
    Micros,
    NewExecution,
    Wait,
)
from polos.store.sql_store import SqlStore

T = TypeVar("T")

# These return without suspending, on the first pass as on a replay: order says nothing about them.
_IMMEDIATE = frozenset({Kind.UUID, Kind.NOW, Kind.RANDOM, Kind.INVOKE})
# So many derived values are written without waiting for the next checkpoint.
_MOST_UNSAVED = 50


class Journal:
    """The memory of one attempt.

    Args:
        store: where it is kept.
        claimed: the claim, with all that was recorded before.
        lost: tells whether the lease is known to be lost, so that writing again is in vain.
        contact: waits for a database that is away.
    """

    def __init__(
        self, store: SqlStore, claimed: Claimed, lost: Callable[[], bool], contact: Contact
    ) -> None:
        self._store = store
        self._claimed = claimed
        self._lost = lost
        self._contact = contact
        self._asked: set[str] = set()
        self._unsaved: list[Checkpoint] = []
        self._position = 0
        self.closed = False
        self.has_grown = False
        self._cancelled_at = claimed.execution.cancel_requested_at
        self.turn = claimed.execution.wakeups
        self.stored_waits = {wait.step_key: wait for wait in claimed.waits}
        # Also of waits that are over: a death may have kept them from being deleted.
        self.has_waits = not claimed.execution.is_fresh
        self._recorded: dict[str, Checkpoint] = {}
        # Of a plain dict the first key is found the later, the more were deleted before it.
        self._order: OrderedDict[str, None] = OrderedDict()
        self._remember(claimed.checkpoints)

    @property
    def execution(self) -> Execution:
        """The execution as it was claimed."""
        return self._claimed.execution

    def ask(self, key: str, kind: Kind) -> Checkpoint | None:
        """The checkpoint of a key, which may be asked for once in an attempt.

        Raises:
            DuplicateStepKey: it was asked for before.
            StepMismatch: what is recorded is of another kind.
        """
        if key in self._asked:
            raise DuplicateStepKey(key)
        self._asked.add(key)
        found = self._recorded.get(key) or self.stored_waits.get(key)
        if found is not None and found.kind is not kind:
            raise StepMismatch(key, found.kind.value, kind.value)
        return self._recorded.get(key)

    def next_in_order(self) -> str | None:
        """The key whose recorded completion comes next."""
        return next(iter(self._order), None)

    def is_after_cancel(self, row: Checkpoint) -> bool:
        """Whether it was completed from outside, and only after cancelling was asked for.

        Often because of that: a child is cancelled with its parent.
        """
        if row.position or row.created_at is None or self._cancelled_at is None:
            return False
        return row.created_at >= self._cancelled_at

    def recorded(self, key: str) -> Checkpoint:
        """The checkpoint of a key that has one."""
        return self._recorded[key]

    def first_of(self, asked: Container[str]) -> str | None:
        """The first recorded key, in order, that is among those asked for."""
        return next((key for key in self._order if key in asked), None)

    def take(self, key: str) -> Checkpoint | None:
        """Take a completion out of the order, if it is still in it."""
        return self.settled(key) if key in self._order else None

    def over(self, outstanding: Container[str]) -> list[str]:
        """The stored waits that a branch of this attempt has asked for and left behind."""
        return [key for key in self.stored_waits if key in self._asked and key not in outstanding]

    def settled(self, key: str) -> Checkpoint:
        """Take a recorded completion out of the order, as it is being resolved."""
        del self._order[key]
        return self._recorded[key]

    def defer(self, key: str, kind: Kind, value: bytes) -> None:
        """Record a value that can be derived again; it is written with the next checkpoint."""
        self._unsaved.append(self._row(Checkpoint(key, kind, value=value)))
        if len(self._unsaved) >= _MOST_UNSAVED:
            self.commit([])

    def commit(self, rows: Sequence[Checkpoint], waits: Sequence[Wait] = ()) -> list[Checkpoint]:
        """Write checkpoints, with what was deferred; what is now recorded for their keys.

        Raises:
            LeaseLost: nothing was written.
        """
        numbered = [self._row(row) for row in rows]
        written = [*self._unsaved, *numbered]
        id_, token = self.execution.id, self._claimed.token
        adopted = self.persist(lambda: self._store.checkpoint(id_, token, written, waits))
        self._unsaved.clear()
        self.has_grown = True
        for wait in waits:
            self.stored_waits[wait.step_key] = wait
        self.has_waits = self.has_waits or bool(waits)
        kept = [adopted.get(row.step_key, row) for row in numbered]
        for row in kept:
            self._recorded[row.step_key] = row
        return kept

    def transact(self, key: str, make: Callable[[Any], Checkpoint]) -> Checkpoint:
        """Write a checkpoint in the transaction in which it is made; what is now recorded.

        Raises:
            LeaseLost: nothing was written.
            FunctionRaised: what ``make`` raised; nothing was written.
            TransactionEnded: ``make`` has ended the transaction itself.
        """
        id_, token, tries = self.execution.id, self._claimed.token, itertools.count()
        made: list[Checkpoint] = []

        def rows(connection: Any) -> Sequence[Checkpoint]:
            made[:] = [self._row(make(connection))]
            return [*self._unsaved, *made]

        def once() -> Checkpoint:
            # Where an answer was lost, the first try may have taken effect.
            found = self._store.recorded(id_, key) if next(tries) else None
            if found is None and self._store.transact(id_, token, rows):
                return made[0]
            found = found or self._store.recorded(id_, key)
            assert found is not None, "a checkpoint that was there is gone"
            return found

        kept = self.persist(once)
        self._unsaved.clear()
        self.has_grown = True
        self._recorded[key] = kept
        return kept

    def has(self, row: Checkpoint) -> bool:
        """Whether this very checkpoint is recorded."""
        return self._recorded.get(row.step_key) is row

    def keep_wait(self, wait: Wait) -> None:
        """Write a wait in the place of the one of its key."""
        id_, token = self.execution.id, self._claimed.token
        self.persist(lambda: self._store.keep_wait(id_, token, wait))
        self.stored_waits[wait.step_key] = wait
        self.has_waits = True

    def keep_waits(self, waits: Sequence[Wait]) -> None:
        """Write waits that the store doesn't have."""
        id_, token = self.execution.id, self._claimed.token
        self.persist(lambda: self._store.keep_waits(id_, token, waits))
        for wait in waits:
            self.stored_waits[wait.step_key] = wait
        self.has_waits = self.has_waits or bool(waits)

    def sent(self, waits: Sequence[Wait]) -> None:
        """Note that the tasks of stored waits were sent."""
        id_, token = self.execution.id, self._claimed.token
        self.persist(lambda: self._store.sent(id_, token, waits))
        for wait in waits:
            self.stored_waits[wait.step_key] = wait

    def complete_task(self, wait: Wait, failure: Failure) -> None:
        """End a task's wait, unless the task has ended; ``reload`` then finds what it came to."""
        id_ = self.execution.id
        key, task_id = wait.step_key, wait.target_id or ""
        self.persist(lambda: self._store.complete_task(id_, key, task_id, failure))

    def start_child(self, child: NewExecution, row: Checkpoint) -> Execution:
        """Write a child together with its parent's checkpoint of it."""
        id_, token = self.execution.id, self._claimed.token
        kept = self._row(row)
        return self.persist(lambda: self._store.start_child(id_, token, child, kept))

    def start_children(
        self, children: Sequence[tuple[NewExecution, Wait]]
    ) -> Mapping[str, Execution]:
        """Write children together with their parent's waits for them; by id, those it has now."""
        id_, token = self.execution.id, self._claimed.token
        started = self.persist(lambda: self._store.start_children(id_, token, children))
        for child, wait in children:
            if child.id in started:
                self.stored_waits[wait.step_key] = wait
                self.has_waits = True
        return started

    def mark(self, keys: Sequence[str], *, alone: bool) -> None:
        """Note which steps are executing, for the case that the process dies in them."""
        id_, token = self.execution.id, self._claimed.token
        self.persist(lambda: self._store.mark(id_, token, keys, alone=alone))

    def changed_outside(self) -> bool:
        """Whether something was completed, or cancellation asked for, that was not loaded yet."""
        return self.seen()[0] > self.turn

    def seen(self) -> tuple[int, Micros | None]:
        """The execution's wakeups now, and when its cancellation was asked for."""
        return self.persist(lambda: self._store.seen(self.execution.id, self._claimed.token))

    def reload(self) -> tuple[list[Checkpoint], bool]:
        """What was completed outside since the last look, and whether to cancel."""
        wakeups, self._cancelled_at = self.seen()
        rows, _ = self.persist(lambda: self._store.load(self.execution.id))
        fresh = [row for row in rows if row.step_key not in self._recorded]
        for row in fresh:
            self._recorded[row.step_key] = row
            if row.kind not in _IMMEDIATE:
                self._order[row.step_key] = None
        turn = max([wakeups, *(row.turn for row in fresh)])
        if turn > self.turn:
            self.turn, self._position = turn, 0
        return fresh, self._cancelled_at is not None

    def end(self, outcome: Outcome) -> tuple[Hint, ...] | None:
        """Commit how the attempt ended; None for a park that is stale."""
        rows = tuple(self._unsaved)
        return self.persist(
            lambda: self._store.commit(
                self.execution,
                self._claimed.token,
                outcome,
                rows=rows,
                has_waits=self.has_waits,
            )
        )

    def persist(self, write: Callable[[], T]) -> T:
        """Write, again and again while the database is away and the lease may still stand."""
        try:
            return self._contact.insist(write, self._lost)
        except LeaseLost:
            # User code may catch it; nothing after it may run all the same.
            self.closed = True
            raise
        except StoreUnavailable as error:
            self.closed = True
            raise LeaseLost(self.execution.id) from error

    def _remember(self, rows: Sequence[Checkpoint]) -> None:
        for row in rows:
            self._recorded[row.step_key] = row
            if row.kind not in _IMMEDIATE:
                self._order[row.step_key] = None
            if row.turn > self.turn:
                self.turn = row.turn
        self._position = max((row.position for row in rows if row.turn == self.turn), default=0)

    def _row(self, row: Checkpoint) -> Checkpoint:
        self._position += 1
        return Checkpoint(
            row.step_key,
            row.kind,
            self.turn,
            self._position,
            row.value,
            row.failure,
            row.attempts,
            row.started_at,
            history=row.history,
            input=row.input,
        )
