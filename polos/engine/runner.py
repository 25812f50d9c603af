"""The outer half of an attempt: claims, keeps the lease, commits, wakes others."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import assert_never
from uuid import uuid4

from polos.codec import failure_of
from polos.definition.registry import Registry
from polos.engine.clock import StoreClock
from polos.engine.company import Company, Solitude
from polos.engine.ending import judged
from polos.engine.inner import AnyWorkflow, Inner
from polos.engine.journal import Journal
from polos.engine.keeper import Keeper, Lease
from polos.engine.signals import AttemptAborted, WorkerStopping
from polos.engine.suspicion import Suspicion
from polos.engine.tasks import NoTasks
from polos.errors import CodecError, LeaseLost, PolosError, StoreError
from polos.model.outcome import Cancelled, Completed, Failed, Outcome, Parked, TriedAgain
from polos.model.ports import Dispatcher, TaskSender
from polos.model.records import Claimed, Execution, Failure, Hint, Micros
from polos.model.settings import Settings
from polos.model.workers import Owner
from polos.store.sql_store import SqlStore

log = logging.getLogger("polos.execution")

_OF_POLOS = f"{PolosError.__module__}."


@dataclass(frozen=True, slots=True)
class Hop:
    """What one delivery came to.

    Attributes:
        outcome: how the attempt ended; None where there was nothing to do, or the lease was lost.
        execution: what was claimed; None where nothing was.
        refused: whether the process ends and took nothing; another one should get the message.
    """

    outcome: Outcome | None = None
    execution: Execution | None = None
    refused: bool = False


class Runner:
    """Runs executions, one attempt for each delivery.

    Args:
        store: where they are.
        dispatcher: sends the hints for what an outcome wakes.
        registry: the workflows whose code is here.
        settings: lease, thresholds and limits.
        keeper: keeps the leases of this process.
        company: what else runs in it; nothing where left out.
        check: raises CodecError for an execution with options that can't be read.
        sender: sends the tasks that are steps; without one there are none.
    """

    def __init__(
        self,
        store: SqlStore,
        dispatcher: Dispatcher,
        registry: Registry,
        settings: Settings,
        keeper: Keeper,
        company: Company | None = None,
        check: Callable[[Execution], None] = lambda execution: None,
        sender: TaskSender | None = None,
    ) -> None:
        self._check = check
        self._store = store
        self._dispatcher = dispatcher
        self._registry = registry
        self._settings = settings
        self._keeper = keeper
        self._contact = keeper.contact
        self._company = company or Company()
        # Microseconds by which the clock of its attempts runs ahead: waits that were skipped.
        self.ahead = 0
        self._inner = Inner(
            store, dispatcher, registry, settings, self._company.stopping, sender or NoTasks()
        )

    def run(self, execution_id: str, workflow_id: str, owner: Owner) -> Hop:
        """Claim an execution and run it to its next outcome; nothing where it can't be claimed.

        A database that is away is waited for.
        """
        workflow = self._registry.require(workflow_id)
        try:
            with self._company.member() as place, self._store.one_connection():
                found = self._claim(execution_id, workflow_id, owner, place)
                if found is None:
                    log.info("execution=%s workflow=%s: nothing to do", execution_id, workflow_id)
                    return Hop()
                claimed, clock = found
                with self._keeper.holding(claimed) as lease:
                    return self._run_claimed(workflow, claimed, clock, lease, place)
        except WorkerStopping:
            return Hop(refused=True)

    def _claim(
        self, execution_id: str, workflow_id: str, owner: Owner, place: Solitude
    ) -> tuple[Claimed, StoreClock] | None:
        token, tries = uuid4().hex, itertools.count()

        def ask() -> tuple[Claimed, StoreClock] | None:
            if self._company.stopping():
                raise WorkerStopping
            asked = time.monotonic()
            claimed = self._store.claim(
                execution_id,
                workflow_id,
                owner,
                self._settings.lease_seconds,
                accountable=place.alone,
                token=token,
                again=next(tries) > 0,
            )
            if claimed is None:
                return None
            now = Micros(claimed.now + self.ahead)
            return claimed, StoreClock(now, asked, time.monotonic(), self._store.resolution)

        return self._contact.insist(ask, lambda: False)

    def _run_claimed(
        self,
        workflow: AnyWorkflow,
        claimed: Claimed,
        clock: StoreClock,
        lease: Lease,
        place: Solitude,
    ) -> Hop:
        execution = claimed.execution
        try:
            self._check(execution)
            outcome, hints = self._to_an_end(workflow, claimed, clock, lease, place)
        except LeaseLost as error:
            log.warning("%s; this attempt is dropped", error)
            return Hop(execution=execution)
        except AttemptAborted as aborted:
            return self._aborted(claimed, aborted.cause)
        except WorkerStopping as stopping:
            return self._aborted(claimed, stopping)
        except CodecError as error:
            # What is stored of it can't be read, and no other attempt could.
            log.error("execution %s can't go on: %s", execution.id, error)
            return self._fail(claimed, failure_of(error))
        except StoreError:
            # Nobody works under this lease any more.
            with suppress(StoreError):
                self._store.release(execution.id, claimed.token)
            raise
        self._report(execution, outcome)
        self._dispatcher.dispatch([*self._ahead(execution, outcome, clock), *hints])
        return Hop(outcome, execution)

    def _to_an_end(
        self,
        workflow: AnyWorkflow,
        claimed: Claimed,
        clock: StoreClock,
        lease: Lease,
        place: Solitude,
    ) -> tuple[Outcome, Sequence[Hint]]:
        """Run until an end is committed; what it was, and whom it wakes."""
        while True:
            claimed = self._loaded(claimed, lease)
            journal = Journal(self._store, claimed, lambda: lease.lost, self._contact)
            suspicion = Suspicion(claimed, journal, place)
            ended = self._inner.run(workflow, journal, clock, lease, suspicion)
            outcome = judged(ended, workflow, journal, clock)
            hints = journal.end(outcome)
            if hints is not None:
                return outcome, hints
            # Something ended while the attempt was parking: it goes on at once.
            wakeups, cancelled = journal.seen()
            fresh = replace(
                claimed.execution,
                wakeups=wakeups,
                cancel_requested_at=cancelled,
                claims=claimed.execution.claims + 1,
            )
            claimed = replace(claimed, execution=fresh)

    def _loaded(self, claimed: Claimed, lease: Lease) -> Claimed:
        # At the first claim nothing is stored, so nothing is loaded.
        if claimed.execution.is_fresh:
            return claimed
        checkpoints, waits = self._contact.insist(
            lambda: self._store.load(claimed.execution.id), lambda: lease.lost
        )
        return replace(claimed, checkpoints=checkpoints, waits=waits)

    def _ahead(self, execution: Execution, outcome: Outcome, clock: StoreClock) -> tuple[Hint, ...]:
        """The hint with a countdown for a wait that ends soon."""
        if not isinstance(outcome, Parked | TriedAgain) or outcome.wake_at is None:
            return ()
        countdown = clock.until(outcome.wake_at)
        if countdown > self._settings.countdown_horizon:
            return ()
        return (Hint.of(execution, outcome.reason, countdown, outcome.wake_at),)

    def _aborted(self, claimed: Claimed, cause: BaseException) -> Hop:
        execution = claimed.execution
        if isinstance(cause, LeaseLost):
            log.warning("%s; this attempt is dropped", cause)
            return Hop(execution=execution)
        if isinstance(cause, Exception):
            # The engine itself could not go on: it would fail in the same way again and again.
            log.error("execution %s can't go on", execution.id, exc_info=cause)
            return self._fail(claimed, failure_of(cause))
        # The worker ends: another one goes on at once.
        with suppress(StoreError):
            self._store.release(execution.id, claimed.token)
        if not isinstance(cause, WorkerStopping):
            # A process that is terminated has a tenth of a second: the sweep sends its hint.
            raise cause
        self._dispatcher.dispatch([Hint.of(execution, "handed on")])
        log.info("execution=%s workflow=%s handed on", execution.id, execution.workflow_id)
        return Hop(execution=execution)

    def _fail(self, claimed: Claimed, failure: Failure) -> Hop:
        outcome = Failed(failure)
        try:
            hints = self._contact.insist(
                lambda: self._store.commit(claimed.execution, claimed.token, outcome),
                self._company.stopping,
            )
        except LeaseLost as error:
            log.warning("%s; this attempt is dropped", error)
            return Hop(execution=claimed.execution)
        self._dispatcher.dispatch(hints or ())
        return Hop(outcome, claimed.execution)

    def _report(self, execution: Execution, outcome: Outcome) -> None:
        level, trace = logging.INFO, ""
        match outcome:
            case Completed():
                text = "completed"
            case Failed(failure):
                # As Celery does it for a task: nobody else may hear of it.
                level, trace = logging.ERROR, _trace(failure)
                text = f"failed: {failure.error_type}: {failure.reason}"
            case Cancelled():
                text = "cancelled"
            case TriedAgain(failure, reason=reason):
                level, trace = logging.WARNING, _trace(failure)
                text = f"{reason}: {_first_line(failure.reason)}"
            case Parked(reason=reason):
                text = reason
            case _:
                assert_never(outcome)
        log.log(
            level,
            "execution=%s workflow=%s attempt=%d %s%s",
            execution.id,
            execution.workflow_id,
            execution.claims,
            text,
            trace,
            extra={
                "execution_id": execution.id,
                "workflow_id": execution.workflow_id,
                "attempt": execution.claims,
            },
        )


def _trace(failure: Failure) -> str:
    """Where the workflow's own code raised; of a step that was said, and Polos says what to do."""
    if failure.step_key or failure.error_type.startswith(_OF_POLOS) or not failure.traceback:
        return ""
    return f"\n{failure.traceback.rstrip()}"


def _first_line(text: str) -> str:
    return text.partition("\n")[0][:200]
