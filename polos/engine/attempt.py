"""One attempt: the workflow's function, run once, with everything that it awaits.

User code asks for steps, waits and children through ``Effects``. What suspends is resolved in one
place, ``_advance``, one completion at a time and only when the loop is idle: first what is
recorded, in its order; then what happens now. So a replay meets the same order as the first pass.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from polos.codec import decode, encode
from polos.engine.blocked import foreign_lines
from polos.engine.clock import StoreClock
from polos.engine.journal import Journal
from polos.engine.loop import ThreadLoop
from polos.engine.signals import AttemptAborted, AttemptEnded, ParkSignal
from polos.errors import StepExecutionError
from polos.model.outcome import Parked
from polos.model.records import Checkpoint, Kind, Micros, Wait, as_datetime
from polos.model.settings import Settings

T = TypeVar("T")

log = logging.getLogger("polos.engine")


@dataclass(slots=True)
class Timer:
    """A time that a branch waits for; a durable one of the kind ``STEP`` is a back-off."""

    wait: Wait
    due: Micros
    future: asyncio.Future[Any]


@dataclass(slots=True)
class SyncCall:
    """A plain function that runs on the worker's thread while no loop runs in it."""

    function: Callable[[], Any]
    context: contextvars.Context
    future: asyncio.Future[Any]


class Attempt:
    """The state of one attempt, and the loop's idle moments in which it advances.

    Args:
        journal: what is recorded.
        clock: the database's time.
        thread: the loop to run on.
        settings: thresholds, graces and limits.
    """

    def __init__(
        self, journal: Journal, clock: StoreClock, thread: ThreadLoop, settings: Settings
    ) -> None:
        self.journal = journal
        self.clock = clock
        self.settings = settings
        self.thread = thread
        self.loop = thread.loop
        self.working = 0
        self.current_step = ""
        self.parked: Parked | None = None
        self.cancelling = False
        self._cancel_wanted = journal.execution.cancel_requested
        self._main: asyncio.Task[Any] | None = None
        self._aborted: BaseException | None = None
        self._replayed: dict[str, asyncio.Future[Any]] = {}
        self._ready: deque[tuple[asyncio.Future[Any], Checkpoint]] = deque()
        self._held: list[asyncio.Future[None]] = []
        self._timers: dict[str, Timer] = {}
        self._outside: dict[str, tuple[Wait, asyncio.Future[Any]]] = {}
        self._sync_calls: deque[SyncCall] = deque()
        self._progress = time.monotonic()

    # -- driving ---------------------------------------------------------------------------

    def drive(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end.

        Raises:
            ParkSignal: everything in it waits; ``parked`` says for what.
            AttemptAborted: the lease is lost, or the worker ends.
        """
        if self.journal.closed:
            coroutine.close()
            raise AttemptEnded
        main = self.loop.create_task(coroutine)
        main.add_done_callback(lambda _: self.loop.stop())
        self._main = main
        while not (main.done() or self.parked or self._aborted):
            self.thread.run(self._on_idle)
            self._run_sync_calls()
        if self._aborted is not None:
            raise AttemptAborted(self._aborted) from self._aborted
        if not main.done():
            raise ParkSignal
        return main.result()

    def leave(self) -> bool:
        """End every task of the attempt; whether all of them ended in time."""
        self._sync_calls.clear()
        for task in self.thread.tasks():
            task.cancel()
        deadline = time.monotonic() + self.settings.unwind_seconds
        alarm = self.loop.call_later(self.settings.unwind_seconds, self.loop.stop)
        while self.thread.tasks() and time.monotonic() < deadline:
            self.thread.run(self._on_idle_leaving)
            self._run_sync_calls()
        alarm.cancel()
        return not self.thread.tasks()

    def abort(self, cause: BaseException) -> None:
        """Stop without an outcome; safe from any thread."""
        self.loop.call_soon_threadsafe(self._abort, cause)

    def request_cancel(self) -> None:
        """Cancel the workflow's function; safe from any thread."""
        self.loop.call_soon_threadsafe(self._want_cancel)

    def look_outside(self) -> None:
        """Take in what was completed outside; safe from any thread."""
        self.loop.call_soon_threadsafe(self._adopt)

    def _abort(self, cause: BaseException) -> None:
        self._aborted = cause
        self.journal.closed = True
        if self._main is not None:
            self._main.cancel()
        self.loop.stop()

    def _want_cancel(self) -> None:
        self._cancel_wanted = True

    # -- what branches ask for -------------------------------------------------------------

    def ask(self, key: str, kind: Kind) -> Checkpoint | None:
        """The checkpoint of a key, if it has one."""
        if self.journal.closed:
            raise AttemptEnded
        self._progress = time.monotonic()
        return self.journal.ask(key, kind)

    async def replayed(self, key: str) -> Checkpoint:
        """Wait for the turn of a recorded completion."""
        future: asyncio.Future[Checkpoint] = self.loop.create_future()
        self._replayed[key] = future
        try:
            return await future
        finally:
            self._replayed.pop(key, None)

    async def live(self) -> None:
        """Wait until nothing recorded is left to resolve: from here on things happen."""
        if self.journal.next_in_order() is None and not self._cancel_wanted:
            return
        future: asyncio.Future[None] = self.loop.create_future()
        self._held.append(future)
        await future

    async def deliver(self, row: Checkpoint) -> Checkpoint:
        """Wait for the turn of a completion that was committed just now."""
        self._progress = time.monotonic()
        future: asyncio.Future[Checkpoint] = self.loop.create_future()
        self._ready.append((future, row))
        return await future

    async def call(self, function: Callable[[], Any]) -> Any:
        """Run a plain function on the worker's thread with no event loop running in it."""
        future: asyncio.Future[Any] = self.loop.create_future()
        self._sync_calls.append(SyncCall(function, contextvars.copy_context(), future))
        returned, error = await future
        if error is not None:
            raise error
        return returned

    async def timer(self, wait: Wait, due: Micros) -> None:
        """Wait durably for a time."""
        future: asyncio.Future[Any] = self.loop.create_future()
        self._timers[wait.step_key] = Timer(wait, due, future)
        try:
            await future
        finally:
            self._timers.pop(wait.step_key, None)

    async def outside(self, wait: Wait) -> Checkpoint:
        """Wait durably for a completion from outside."""
        future: asyncio.Future[Checkpoint] = self.loop.create_future()
        self._outside[wait.step_key] = (wait, future)
        try:
            return await future
        finally:
            self._outside.pop(wait.step_key, None)

    def waits_to_store(self) -> list[Wait]:
        """The durable waits that the store doesn't know yet."""
        waits = [timer.wait for timer in self._timers.values()]
        return [wait for wait in waits if wait.step_key not in self.journal.stored_waits]

    # -- the idle loop ---------------------------------------------------------------------

    def _on_idle(self, timeout: float | None) -> float | None:
        try:
            if self._advance():
                return 0
            return self._rest(timeout)
        except BaseException as error:
            self._abort(error)
            return 0

    def _on_idle_leaving(self, timeout: float | None) -> float | None:
        if not self.thread.tasks():
            self.loop.stop()
            return 0
        try:
            if self._advance():
                return 0
        except BaseException as error:
            self._abort(error)
            return 0
        return min(self._bounds(timeout), default=None)

    def _advance(self) -> bool:
        """Resolve the next completion, or begin what was held back; False where nothing is."""
        if self._ready:
            future, row = self._ready.popleft()
            _resolve(future, row)
            return True
        if self._replay_next():
            return True
        if self._cancel_wanted and not self.cancelling and self._main is not None:
            self.cancelling = True
            self._main.cancel()
            return True
        if self._held and not self._replay_pending():
            held, self._held = self._held, []
            for future in held:
                _resolve(future, None)
            return True
        if self._sync_calls:
            self.loop.stop()
            return True
        return self._complete_due()

    def _replay_next(self) -> bool:
        key = self.journal.next_in_order()
        if key is not None and key not in self._replayed:
            if self._replay_pending() and self._foreign() and self._grace_left() > 0:
                # Its branch may be on its way, past something outside of steps.
                return False
            key = self.journal.first_of(self._replayed)
        if key is None:
            return False
        _resolve(self._replayed[key], self.journal.settled(key))
        return True

    def _replay_pending(self) -> bool:
        return bool(self._replayed)

    def _complete_due(self) -> bool:
        now = self.clock.at_least()
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
        kept = {row.step_key: row for row in self.journal.commit(rows)} if rows else {}
        for timer in due:
            row = kept.get(timer.wait.step_key, Checkpoint(timer.wait.step_key, timer.wait.kind))
            self._ready.append((timer.future, row))
        return True

    def _rest(self, timeout: float | None) -> float | None:
        """How long the loop may sleep; decides to park where everything waits."""
        bounds = self._bounds(timeout)
        dues = [timer.due for timer in self._timers.values()]
        if self.working or not (self._timers or self._outside):
            return min(bounds, default=None)
        if self.cancelling:
            return self._rest_cancelling(bounds)
        if dues and self.clock.until(Micros(min(dues))) <= self.settings.wait_threshold_seconds:
            return min(bounds)
        foreign = self._foreign()
        grace = self._grace_left()
        if foreign and grace > 0:
            return min([*bounds, grace])
        if self._outside and self.journal.changed_outside():
            self._adopt()
            return 0
        if foreign:
            log.warning(
                "execution %s parks although it awaits something outside of steps at %s; put that "
                "into a step",
                self.journal.execution.id,
                "; ".join(foreign),
            )
        self._park()
        return 0

    def _bounds(self, timeout: float | None) -> list[float]:
        bounds = [] if timeout is None else [timeout]
        if self._timers:
            due = min(timer.due for timer in self._timers.values())
            bounds.append(self.clock.until(Micros(due)))
        if self._replayed:
            bounds.append(max(0.0, self._grace_left()))
        return bounds

    def _rest_cancelling(self, bounds: list[float]) -> float:
        # Clean-up does not park: its waits are sat out, and children looked for once a second.
        if self._outside and self.journal.changed_outside():
            self._adopt()
            return 0
        return min([*bounds, 1.0])

    def _adopt(self) -> None:
        try:
            rows, cancelled = self.journal.reload()
            for row in rows:
                waiting = self._outside.get(row.step_key)
                if waiting is not None:
                    self._ready.append((waiting[1], row))
            self._cancel_wanted = self._cancel_wanted or cancelled
        except BaseException as error:
            self._abort(error)

    def _foreign(self) -> list[str]:
        durable = [
            *(timer.future for timer in self._timers.values()),
            *(future for _, future in self._outside.values()),
            *self._replayed.values(),
            *self._held,
        ]
        return foreign_lines(self.thread.tasks(), durable)

    def _grace_left(self) -> float:
        return self._progress + self.settings.foreign_grace - time.monotonic()

    def _park(self) -> None:
        outstanding = {*self._timers, *self._outside}
        stored = self.journal.stored_waits
        dues = [timer.due for timer in self._timers.values()]
        self.parked = Parked(
            waits=tuple(self.waits_to_store()),
            settled=tuple(key for key in stored if key not in outstanding),
            wake_at=Micros(min(dues)) if dues else None,
            wakeups=self.journal.turn,
            reason=self._park_reason(),
        )
        self.journal.closed = True
        self.loop.stop()

    def _park_reason(self) -> str:
        timers = sorted(self._timers.values(), key=lambda timer: timer.due)
        texts = [
            f"{timer.wait.step_key!r} until {as_datetime(timer.due):%Y-%m-%d %H:%M:%S} UTC"
            for timer in timers[:1]
        ]
        texts += [f"child {key!r}" for key in list(self._outside)[:2]]
        more = len(self._timers) + len(self._outside) - len(texts)
        return "waiting for " + ", ".join(texts) + (f" and {more} more" if more else "")

    def _run_sync_calls(self) -> None:
        while self._sync_calls and self._aborted is None:
            call = self._sync_calls.popleft()
            if call.future.cancelled():
                continue
            try:
                outcome = call.context.run(call.function), None
            except Exception as error:
                outcome = None, error
            except BaseException as error:
                self._aborted = error
                self.journal.closed = True
                return
            call.future.set_result(outcome)
            return


def value_of(row: Checkpoint, hint: Any = Any) -> Any:
    """What a checkpoint holds.

    Raises:
        StepExecutionError: it holds an error.
    """
    if row.failure is not None:
        failure = row.failure
        raise StepExecutionError(
            failure.reason, row.step_key, failure.attempts or row.attempts, failure.error_type
        )
    return None if row.value is None else decode(row.value, hint)


def _resolve(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)
