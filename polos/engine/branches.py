"""The branches of an attempt: what each of them is blocked on, and what is resolved next.

User code asks for steps, waits and children. What suspends is resolved in one place, ``advance``,
one completion at a time and only when the loop is idle: first what is recorded, in its order; then
what happens now. So a replay meets the same order as the first pass.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from polos.codec import encode
from polos.engine.blocked import foreign_lines
from polos.engine.clock import StoreClock
from polos.engine.journal import Journal
from polos.engine.loop import ThreadLoop
from polos.engine.signals import AttemptEnded
from polos.engine.waiting import SyncCall, Timer, reason
from polos.model.outcome import Parked
from polos.model.records import Checkpoint, Kind, Micros, NewExecution, Wait

# Of what is to be sent.
AT_ONCE = Micros(0)


class Branches:
    """Everything that the tasks of one attempt are blocked on.

    Args:
        journal: what is recorded.
        clock: the database's time.
        thread: the loop that the tasks run on.
        grace: seconds that awaiting something foreign counts as work.
        stopping: whether the process was told to end, so that nothing new begins.
    """

    def __init__(
        self,
        journal: Journal,
        clock: StoreClock,
        thread: ThreadLoop,
        grace: float,
        stopping: Callable[[], bool],
    ) -> None:
        self.sync_calls: deque[SyncCall] = deque()
        # Nothing new begins between the request to cancel and the cancellation.
        self.hold = False
        # An error is to be raised in user code at the next idle moment.
        self.interrupted = False
        # Callbacks are ready to run: a branch that looks blocked may be about to go on.
        self.busy = False
        self._journal = journal
        self._clock = clock
        self._thread = thread
        self._loop = thread.loop
        self._grace = grace
        self.stopping = stopping
        self._replayed: dict[str, asyncio.Future[Any]] = {}
        self._ready: deque[tuple[asyncio.Future[Any], Checkpoint]] = deque()
        self._held: list[asyncio.Future[None]] = []
        self._timers: dict[str, Timer] = {}
        self._outside: dict[str, tuple[Wait, asyncio.Future[Any]]] = {}
        self._new_children: dict[str, tuple[NewExecution, Wait]] = {}
        # When tasks that are waited for have to be seen to, by their keys; AT_ONCE to be sent.
        self.dues: dict[str, Micros] = {}
        self._progress = time.monotonic()

    # -- what branches ask for -------------------------------------------------------------

    def ask(self, key: str, kind: Kind) -> Checkpoint | None:
        """The checkpoint of a key, if it has one."""
        if self._journal.closed:
            raise AttemptEnded
        self._progress = time.monotonic()
        return self._journal.ask(key, kind)

    async def replayed(self, key: str) -> Checkpoint:
        """Wait for the turn of a recorded completion."""
        future: asyncio.Future[Checkpoint] = self._loop.create_future()
        self._replayed[key] = future
        try:
            return await future
        finally:
            self._replayed.pop(key, None)
            if future.cancelled():
                self._journal.take(key)  # cancelled before its turn: nobody will ask again

    async def live(self) -> None:
        """Wait until nothing recorded is left to resolve: from here on things happen."""
        if self._journal.next_in_order() is None and not self.hold and not self.stopping():
            return
        future: asyncio.Future[None] = self._loop.create_future()
        self._held.append(future)
        await future

    async def deliver(self, row: Checkpoint, *, paused: bool = False) -> Checkpoint:
        """Wait for the turn of a completion that was committed just now.

        Args:
            paused: whether its branch has let the loop run since the last one.
        """
        self._progress = time.monotonic()
        if paused and self._undisturbed():
            return row
        future: asyncio.Future[Checkpoint] = self._loop.create_future()
        self._ready.append((future, row))
        return await future

    async def call(self, function: Callable[[], Any]) -> Any:
        """Run a plain function on the worker's thread with no event loop running in it."""
        future = self.call_soon(function)
        if self._undisturbed():
            self._loop.stop()  # what the loop's idle moment would come to
        returned, error = await future
        if error is not None:
            raise error
        return returned

    def call_soon(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Have a plain function run in the same way; what it returned, and what it raised."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self.sync_calls.append(SyncCall(function, contextvars.copy_context(), future))
        return future

    def _undisturbed(self) -> bool:
        """Whether there is one branch only, which has nothing to wait for but itself."""
        return (
            self._thread.has_one_task()
            and not self._ready
            and not self.hold
            and not self.interrupted
            and self._journal.next_in_order() is None
            and not self.stopping()
        )

    async def timer(self, wait: Wait, due: Micros) -> None:
        """Wait durably for a time."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._timers[wait.step_key] = Timer(wait, due, future)
        try:
            await future
        finally:
            self._timers.pop(wait.step_key, None)

    async def outside(self, wait: Wait) -> Checkpoint:
        """Wait durably for a completion from outside."""
        found = self._journal.take(wait.step_key)
        if found is not None:  # it ended while this branch was held back
            return await self.deliver(found)
        future: asyncio.Future[Checkpoint] = self._loop.create_future()
        self._outside[wait.step_key] = (wait, future)
        try:
            return await future
        finally:
            self._outside.pop(wait.step_key, None)

    async def new_child(self, child: NewExecution, wait: Wait) -> Checkpoint:
        """Have a child started when the loop is idle next, and wait durably for its end."""
        self._new_children[wait.step_key] = (child, wait)
        try:
            return await self.outside(wait)
        finally:
            self._new_children.pop(wait.step_key, None)

    def waits_to_store(self) -> list[Wait]:
        """The durable waits that the store doesn't know yet."""
        waits = [timer.wait for timer in self._timers.values()]
        return [wait for wait in waits if wait.step_key not in self._journal.stored_waits]

    # -- what is resolved ------------------------------------------------------------------

    @property
    def durable(self) -> bool:
        """Whether anything durable is outstanding."""
        return bool(self._timers or self._outside)

    @property
    def awaits_outside(self) -> bool:
        """Whether a completion from outside is outstanding."""
        return bool(self._outside)

    @property
    def children_out(self) -> int:
        """How many completions from outside are outstanding."""
        return len(self._outside)

    @property
    def wants_to_begin(self) -> bool:
        """Whether something is held back, waits for this thread, or is to be sent."""
        unsent = AT_ONCE in self.dues.values()
        return bool(self._held or self.sync_calls or self._new_children) or unsent

    @property
    def has_new_children(self) -> bool:
        """Whether there are children to start, and nothing forbids to begin."""
        return bool(self._new_children) and not self.hold and not self.stopping()

    def take_new_children(self) -> list[tuple[NewExecution, Wait]]:
        """The children to start now."""
        found = list(self._new_children.values())
        self._new_children.clear()
        return found

    def refuse(self, key: str, error: Exception) -> None:
        """Raise an error in the branch that waits for a child."""
        _, future = self._outside[key]
        if not future.done():
            future.set_exception(error)

    def deliver_next(self) -> bool:
        """Resolve the next completion; False where there is none."""
        if self._ready:
            _resolve(*self._ready.popleft())
            return True
        return self._replay_next()

    def next_is_after_cancel(self) -> bool:
        """Whether the next completion came only after cancelling was asked for."""
        if self._ready:
            return self._journal.is_after_cancel(self._ready[0][1])
        key = self._journal.next_in_order()
        return key is not None and self._journal.is_after_cancel(self._journal.recorded(key))

    def begin_held(self) -> bool:
        """Let live what was held back until all that is recorded is resolved."""
        if not self._held or self._replayed or self.stopping():
            return False
        held, self._held = self._held, []
        for future in held:
            _resolve(future, None)
        return True

    def _replay_next(self) -> bool:
        key = self._journal.next_in_order()
        if key is not None and key not in self._replayed:
            if self._replayed and (self.busy or self.foreign()) and self.grace_left() > 0:
                # Its branch may be on its way, past something outside of steps.
                return False
            key = self._journal.first_of(self._replayed)
        if key is None:
            return False
        _resolve(self._replayed[key], self._journal.settled(key))
        return True

    def complete_due(self) -> bool:
        """Commit the timers that are due; False where none is."""
        if not self._timers:
            return False
        now = self._clock.at_least()
        due = sorted(
            (
                timer
                for timer in self._timers.values()
                if timer.due <= now and not timer.future.done()
            ),
            key=lambda timer: timer.due,
        )
        if not due:
            return False
        nothing = encode(None)
        rows = [
            Checkpoint(
                timer.wait.step_key, Kind.TIMER, value=nothing, started_at=timer.wait.started_at
            )
            for timer in due
            if timer.wait.kind is Kind.TIMER
        ]
        kept = {row.step_key: row for row in self._journal.commit(rows)} if rows else {}
        for timer in due:
            row = kept.get(timer.wait.step_key, Checkpoint(timer.wait.step_key, timer.wait.kind))
            self._ready.append((timer.future, row))
        return True

    def take_in(self, rows: list[Checkpoint]) -> None:
        """Resolve what was completed outside, in its order."""
        for row in rows:
            waiting = self._outside.get(row.step_key)
            if waiting is not None:
                self._journal.take(row.step_key)
                self._ready.append((waiting[1], row))

    # -- resting and parking ---------------------------------------------------------------

    def next_due(self) -> float | None:
        """Seconds until the next timer, or until a task is to be seen to; None without one."""
        if not self._timers and not self.dues:
            return None
        can_send = not self.hold and not self.stopping()
        first = self._first_due(self.dues.values() if can_send else ())
        return None if first is None else self._clock.until(first)

    def bounds(self, timeout: float | None) -> list[float]:
        """The seconds that the loop may sleep, each for a reason."""
        bounds = [] if timeout is None else [timeout]
        due = self.next_due()
        if due is not None:
            bounds.append(due)
        if self._replayed:
            bounds.append(max(0.0, self.grace_left()))
        return bounds

    def foreign(self) -> list[str]:
        """The lines at which branches await something outside of steps."""
        durable = [
            *(timer.future for timer in self._timers.values()),
            *(future for _, future in self._outside.values()),
            *self._replayed.values(),
            *self._held,
        ]
        return foreign_lines(self._thread.tasks(), durable)

    def grace_left(self) -> float:
        """Seconds that awaiting something foreign still counts as work."""
        return self._progress + self._grace - time.monotonic()

    def parked(self, pace: float) -> Parked:
        """What the attempt is to be parked with, ``pace`` in seconds."""
        outstanding = {*self._timers, *self._outside}
        return Parked(
            waits=tuple(self.waits_to_store()),
            settled=tuple(key for key in self._journal.over(outstanding)),
            wake_at=self._first_due(self.dues.values()),
            wakeups=self._journal.turn,
            reason=reason(self._timers.values(), (wait for wait, _ in self._outside.values())),
            pace=pace,
        )

    def _first_due(self, others: Iterable[Micros]) -> Micros | None:
        return min([*(timer.due for timer in self._timers.values()), *others], default=None)


def _resolve(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)
