"""One attempt: the workflow's function, run once on the loop of its thread."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from polos.codec import decode
from polos.engine.branches import Branches
from polos.engine.clock import StoreClock
from polos.engine.interrupting import Interruptible
from polos.engine.journal import Journal
from polos.engine.loop import ThreadLoop
from polos.engine.pace import Pace
from polos.engine.signals import (
    AttemptAborted,
    AttemptEnded,
    ParkSignal,
    WorkerStopping,
    is_own_exit,
)
from polos.engine.suspicion import Suspicion
from polos.errors import CodecError, LeaseLost, StepExecutionError
from polos.model.outcome import Parked
from polos.model.records import Checkpoint
from polos.model.settings import Settings

T = TypeVar("T")

log = logging.getLogger("polos.engine")


class Attempt:
    """Drives the tasks of one attempt, and decides in the loop's idle moments how it goes on.

    Args:
        journal: what is recorded.
        clock: the database's time.
        thread: the loop to run on.
        settings: thresholds, graces and limits.
        suspicion: takes note of what executes, where processes died of it.
        stopping: whether the process was told to end; the attempt then stops between steps.
    """

    def __init__(
        self,
        journal: Journal,
        clock: StoreClock,
        thread: ThreadLoop,
        settings: Settings,
        suspicion: Suspicion,
        stopping: Callable[[], bool],
    ) -> None:
        self.journal = journal
        self.clock = clock
        self.settings = settings
        self.branches = Branches(journal, clock, thread, settings.foreign_grace, stopping)
        # Steps that have been asked for, and those of them whose function runs.
        self.working = 0
        # The steps whose functions are called, and when that was.
        self._executing: dict[str, float] = {}
        self._suspicion = suspicion
        self.parked: Parked | None = None
        self.cancelling = False
        self._thread = thread
        self._loop = thread.loop
        self.cancel_wanted = self.branches.hold = journal.execution.cancel_requested
        self._main: asyncio.Task[Any] | None = None
        self.aborted: BaseException | None = None
        # What is to be raised in user code; and whether that is not yet done.
        self.interruption: Exception | None = None
        self.raised_in_function = False
        self._main_code: Interruptible[Any] | None = None
        self._step_code: dict[int, Interruptible[Any]] = {}
        self._pace = Pace(clock.asked, settings.countdown_horizon)
        # Writes the children that branches have asked for.
        self.start_children: Callable[[], None] = lambda: None
        # Sees to the tasks that branches wait for; whether there was anything to do.
        self.see_to_tasks: Callable[[], bool] = lambda: False

    def drive(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end.

        Raises:
            ParkSignal: everything in it waits; ``parked`` says for what.
            AttemptAborted: the lease is lost, or the worker ends.
        """
        if self.journal.closed:
            coroutine.close()
            raise AttemptEnded
        self._main_code = code = Interruptible(coroutine)
        main: asyncio.Task[T] = self._loop.create_task(code)
        main.add_done_callback(lambda _: self._loop.stop())
        self._main = main
        while not (main.done() or self.parked or self.aborted):
            self._thread.run(self._on_idle)
            if not main.done():
                self._run_sync_calls()
        if self.aborted is not None:
            raise AttemptAborted(self.aborted) from self.aborted
        if not main.done():
            raise ParkSignal
        return main.result()

    async def interruptible(self, awaited: Awaitable[T]) -> T:
        """What a step's function gives, awaited so that it can be interrupted."""
        code = Interruptible(awaited)
        self._step_code[id(code)] = code
        try:
            return await code
        finally:
            del self._step_code[id(code)]

    def interrupt(self, error: Exception, *, raised: bool = False) -> None:
        """Raise an error in user code as soon as that is safe; safe in a signal handler.

        Args:
            error: what to raise.
            raised: whether the handler raises it itself.
        """
        self.interruption, self.raised_in_function = error, False
        if not raised:
            self.branches.interrupted = True
            self._loop.call_soon_threadsafe(lambda: None)  # the loop may sleep

    def is_interruption(self, error: BaseException) -> bool:
        """Whether this is what was raised from outside."""
        return error is self.interruption

    def begin(self, key: str) -> None:
        """A step's function is called now."""
        self._executing[key] = time.monotonic()
        self._suspicion.note(tuple(self._executing))

    def finish(self, key: str) -> None:
        """A step's function has ended, if it was called."""
        self._executing.pop(key, None)

    def executing(self, seconds: float) -> tuple[str, ...]:
        """The steps that have been executing for so long; asked from another thread."""
        # What is noted of a suspect must be whole.
        before = time.monotonic() - (0.0 if self._suspicion.notes else seconds)
        return tuple(key for key, since in list(self._executing.items()) if since <= before)

    def leave(self) -> bool:
        """End every task of the attempt; whether all of them ended in time."""
        # What cleans up after a cancellation may still begin.
        self.branches.stopping = lambda: False
        self.branches.interrupted = False
        self.branches.sync_calls.clear()
        for task in self._thread.tasks():
            task.cancel()
        deadline = time.monotonic() + self.settings.unwind_seconds
        alarm = self._loop.call_later(self.settings.unwind_seconds, self._loop.stop)
        while self._thread.tasks() and time.monotonic() < deadline:
            self._thread.run(self._on_idle_leaving)
            self._run_sync_calls()
        alarm.cancel()
        return not self._thread.tasks()

    def abort(self, cause: BaseException) -> None:
        """Stop without an outcome; safe from any thread."""
        self._loop.call_soon_threadsafe(self._abort, cause)

    def request_cancel(self) -> None:
        """Cancel the workflow's function; safe from any thread."""
        self._loop.call_soon_threadsafe(self._want_cancel)

    def look_outside(self) -> None:
        """Take in what was completed outside; safe from any thread."""
        self._loop.call_soon_threadsafe(self._adopt)

    def _abort(self, cause: BaseException) -> None:
        self.aborted = cause
        self.journal.closed = True
        if self._main is not None:
            self._main.cancel()
        self._loop.stop()

    def _want_cancel(self) -> None:
        if not self.cancelling:
            self.cancel_wanted = self.branches.hold = True

    def _on_idle(self, timeout: float | None) -> float | None:
        self.branches.busy = timeout == 0
        try:
            if self.journal.closed and self.parked is None:
                # A write was refused: no branch may begin anything more.
                raise LeaseLost(self.journal.execution.id)
            if self._advance():
                return 0
            if self._must_hand_on():
                self._abort(WorkerStopping())
                return 0
            return self._rest(timeout)
        except BaseException as error:
            self._abort(error)
            return 0

    def _on_idle_leaving(self, timeout: float | None) -> float | None:
        self.branches.busy = timeout == 0
        if not self._thread.tasks():
            self._loop.stop()
            return 0
        try:
            if self._advance():
                return 0
        except BaseException as error:
            self._abort(error)
            return 0
        return min(self.branches.bounds(timeout), default=None)

    def _advance(self) -> bool:
        """Start children, resolve a completion, or begin what was held back; False without any."""
        if self.branches.has_new_children and not self.journal.closed:
            self.start_children()
            return True
        cancel = self.cancel_wanted and not self.cancelling and self._main is not None
        if not (cancel and self.branches.next_is_after_cancel()) and self.branches.deliver_next():
            return True
        if cancel and self._main is not None:
            self.cancelling, self.branches.hold = True, False
            self._main.cancel()
            return True
        if self.branches.interrupted:
            self._interrupt_user_code()
            return True
        if self.branches.begin_held():
            return True
        if self.branches.sync_calls and not self.branches.stopping():
            self._loop.stop()
            return True
        return self.branches.complete_due() or self._see_to_tasks()

    def _see_to_tasks(self) -> bool:
        if not self.branches.dues:
            return False
        may_send = not self.branches.hold and not self.branches.stopping()
        return may_send and not self.journal.closed and self.see_to_tasks()

    def _interrupt_user_code(self) -> None:
        self.branches.interrupted = False
        error = self.interruption
        assert error is not None
        steps = list(self._step_code.values())
        self.raised_in_function = not steps
        for code in steps or filter(None, [self._main_code]):
            code.interrupt(error)

    def _must_hand_on(self) -> bool:
        """Whether another worker should go on from here; a park leads there as well."""
        if self._executing or not self.branches.stopping():
            return False
        return not self.branches.durable or self.branches.wants_to_begin

    def _rest(self, timeout: float | None) -> float | None:
        """How long the loop may sleep; decides to park where everything waits."""
        branches, bounds = self.branches, self.branches.bounds(timeout)
        if self.working or not branches.durable:
            return min(bounds, default=None)
        if self.cancelling:
            return self._rest_cancelling(bounds)
        due = branches.next_due()
        if due is not None and due <= self.settings.wait_threshold_seconds:
            return min(bounds)
        foreign, grace = branches.foreign(), branches.grace_left()
        if (foreign or branches.busy) and grace > 0:
            return min([*bounds, grace])
        pace = self._pace.seconds(branches.children_out)
        look = branches.awaits_outside and not self._pace.is_early(pace)
        if look and self.journal.changed_outside():
            self._adopt()
            return 0
        if foreign:
            log.warning(
                "execution %s parks although it awaits something outside of steps at %s; put that "
                "into a step",
                self.journal.execution.id,
                "; ".join(foreign),
            )
        self.parked = branches.parked(pace)
        self.journal.closed = True
        self._loop.stop()
        return 0

    def _rest_cancelling(self, bounds: list[float]) -> float:
        # Clean-up does not park: its waits are sat out, and children looked for once a second.
        if self.branches.awaits_outside and self.journal.changed_outside():
            self._adopt()
            return 0
        return min([*bounds, 1.0])

    def _adopt(self) -> None:
        try:
            rows, cancelled = self.journal.reload()
        except BaseException as error:
            self._abort(error)
            return
        self.branches.take_in(rows)
        self._pace.looked()
        if cancelled:
            self._want_cancel()

    def _run_sync_calls(self) -> None:
        while self.branches.sync_calls and self.aborted is None and not self.journal.closed:
            call = self.branches.sync_calls.popleft()
            if call.future.cancelled():
                continue
            outcome: tuple[Any, BaseException | None]
            try:
                outcome = call.context.run(call.function), None
            except Exception as error:
                outcome = None, error
            except BaseException as error:
                # A step's own sys.exit() is its failure; a worker that ends raises subclasses.
                if is_own_exit(error):
                    call.future.set_result((None, error))
                    return
                self.aborted = error
                self.journal.closed = True
                return
            call.future.set_result(outcome)
            return


def value_of(row: Checkpoint, hint: Any = Any) -> Any:
    """What a checkpoint holds.

    Raises:
        StepExecutionError: it holds an error.
        CodecError: it holds what this code can't read.
    """
    if row.failure is not None:
        failure = row.failure
        raise StepExecutionError(
            failure.reason, row.step_key, failure.attempts or row.attempts, failure.error_type
        )
    try:
        return None if row.value is None else decode(row.value, hint)
    except CodecError as error:
        raise CodecError(f"what is kept of step {row.step_key!r} can't be read: {error}") from error
