"""A Celery app with Polos bound to it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from celery import Celery

from polos.binding import inspection
from polos.binding.announcing import Ends
from polos.binding.app_link import AppLink
from polos.binding.completions import Completions
from polos.binding.delivery import Delivery
from polos.binding.dispatcher import CeleryDispatcher
from polos.binding.eager import Eager
from polos.binding.gevent_pool import in_native_thread, start_native_thread
from polos.binding.kept_options import check_execution
from polos.binding.masking import mask_logs
from polos.binding.names import HINT_HEADER, REVOKED_HEADER, task_name
from polos.binding.shared_flag import SharedFlag
from polos.binding.starts import Starts
from polos.binding.step_ends import StepEnds
from polos.binding.sweep_thread import Change, SweepThread
from polos.binding.task_sender import CeleryTaskSender
from polos.client.direct import DirectClient
from polos.definition.registry import Registry, registry
from polos.engine.clock import StoreClock
from polos.engine.company import Company
from polos.engine.contact import Contact
from polos.engine.eager import EagerSession
from polos.engine.keeper import Keeper
from polos.engine.owner import this_process
from polos.engine.runner import Runner
from polos.errors import ConfigurationError, StoreUnavailable
from polos.model.ports import Dispatcher
from polos.model.records import Failure, Hint
from polos.model.settings import Settings
from polos.store.sql_store import SqlStore

T = TypeVar("T")

log = logging.getLogger("polos.worker")


class Bound:
    """Joins a Celery app and a store: tasks for the workflows, a sweep for its workers.

    Args:
        app: the Celery app; nothing of it is changed but for the tasks that are added.
        settings: of Polos, or what reads them; an app's are read when they are first needed.
        known: the workflows; those that are defined later get their tasks then.
    """

    def __init__(
        self,
        app: Celery,
        settings: Settings | Callable[[], Settings],
        known: Registry = registry,
    ) -> None:
        self.app = app
        self._settings = settings
        if isinstance(settings, Settings):
            mask_logs(settings.redact)
        self.dispatcher = CeleryDispatcher(app, self._undelivered)
        self.eager = Eager(app, self.dispatcher, self._eager_session)
        self._client: DirectClient | None = None
        self._starts: Starts | None = None
        self.sweep_thread: SweepThread | None = None
        self._registry = known
        self._runner: Runner | None = None
        self._keeper: Keeper | None = None
        # What is made under it may need other parts that are.
        self._lock = threading.RLock()
        self._ends = Ends(app, lambda: self.store, known)
        self.stopping = SharedFlag()
        self.company = Company(stopping=self.stopping)
        self._contact = Contact()
        self.slots = 0
        # Whoever binds the app; it is to live as long.
        self.used_by: object = None
        self._completions = Completions(
            lambda: self.store,
            self.eager,
            self._contact,
            lambda: self.settings.max_value_bytes,
            lambda: self.slots,
        )
        self.step_ends = StepEnds(
            app, self._completions, lambda: self.settings.project_id, self.stopping
        )
        # The database's time, as the sweep has read it last.
        self.clock: StoreClock | None = None
        # Imported: workers answer what the doctor asks.
        assert inspection.COMMAND
        self._link = AppLink(app, self, known, self.step_ends.register)

    @property
    def settings(self) -> Settings:
        """The settings, read at their first use."""
        if not isinstance(self._settings, Settings):
            self._settings = self._settings()
            mask_logs(self._settings.redact)
        return self._settings

    @property
    def client(self) -> DirectClient:
        """Who starts executions and reads them, made at its first use."""
        if self._client is None:
            settings = self.settings
            with self._lock:
                if self._client is None:
                    self._client = DirectClient(
                        settings.project_id,
                        self._open_store,
                        self.eager,
                        settings.deployment_id or None,
                    )
        return self._client

    @property
    def starts(self) -> Starts:
        """Who writes the executions that are asked for in Celery's way."""
        if self._starts is None:
            self._starts = Starts(
                self.app, self.settings, self.client, self.dispatcher, self._registry
            )
        return self._starts

    @property
    def store(self) -> SqlStore:
        """The store, opened at its first use."""
        return self.client.store

    @property
    def keeper(self) -> Keeper:
        """Who keeps the leases of this process."""
        with self._lock:
            if self._keeper is None:
                self._keeper = Keeper(
                    self.store,
                    self.settings.lease_seconds,
                    spawn=start_native_thread,
                    contact=self._contact,
                )
        return self._keeper

    @property
    def runner(self) -> Runner:
        """Who runs executions."""
        with self._lock:
            if self._runner is None:
                self._runner = self._make_runner(self.dispatcher, self.settings, self.company)
        return self._runner

    @property
    def soft_shutdown(self) -> float:
        """Seconds that a step may go on after this worker was told to end."""
        celerys_own = self.app.conf.worker_soft_shutdown_timeout
        return float(celerys_own or self.settings.soft_shutdown_seconds)

    def workflow_ids(self) -> list[str]:
        """The ids of the workflows whose code is here."""
        return [workflow.id for workflow in self._registry.all()]

    def start(
        self,
        workflow_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        task_id: str,
        options: Mapping[str, Any],
    ) -> str:
        """Write the execution of a task that Celery is asked to send, then send its hint.

        Raises:
            StoreUnavailable: it is away; what follows an end waits for it as long as a step may.
        """
        return self._ends.follow(
            lambda: self.starts.start(workflow_id, args, kwargs, task_id, options),
            lambda ask: self._contact.insist(ask, self.stopping, self.soft_shutdown),
        )

    def deliver(
        self, request: Any, workflow_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Delivery:
        """Run one attempt for a message; tells what the task is to end as.

        Whatever this raises, there is no execution of the message.
        """
        try:
            if not request.get(HINT_HEADER):
                self._insist(lambda: self.starts.adopt(request, workflow_id, args, kwargs))
            return self._attempt(request, workflow_id)
        except StoreUnavailable:
            # It is away, and this worker ends.
            return Delivery(refused=True)

    def _attempt(self, request: Any, workflow_id: str) -> Delivery:
        try:
            if request.get(REVOKED_HEADER):
                self._insist(lambda: self.cancel(request.id))
            owner = this_process(request.hostname or "")
            runner = self._insist(lambda: self.runner)
            hop = in_native_thread(
                lambda: runner.run(request.id, workflow_id, owner),
                self.slots,
            )
            if hop.refused:
                return Delivery(refused=True)
            return self._insist(lambda: self._ends.delivery(request.id, workflow_id, hop))
        except StoreUnavailable:
            raise
        except Exception:
            # A failure would end the chain and the chord that it is in, and it is taken up again.
            log.exception("execution %s: this attempt is dropped, for Polos failed", request.id)
            return Delivery(dropped=True)

    def deliver_eagerly(
        self, request: Any, workflow_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Delivery:
        """Run an execution to its end, here and now; tells what the task is to end as."""
        execution = self.starts.start_here(request.id, workflow_id, args, kwargs)
        self.eager.run([Hint.of(execution)])
        stored = self.client.get(execution.id)
        if not stored.status.ended:
            return Delivery(waiting=f"execution {stored.id} waits for something else than time")
        return self._ends.told(stored)

    def task_of(self, workflow_id: str) -> Any:
        """The Celery task of a workflow.

        Raises:
            ConfigurationError: it is none of those that the app was given.
        """
        found = self.app.tasks.get(task_name(workflow_id))
        if found is None:
            raise ConfigurationError(
                f"workflow {workflow_id!r} is no task of the Celery app {self.app.main!r}; name it "
                "in workflows=[…], or leave that out"
            )
        return found

    def cancel(self, execution_id: str) -> None:
        """Cancel an execution and its children, if there is one of that id."""
        self.eager.dispatch(self.store.cancel(execution_id)[1])

    def cancel_soon(self, execution_id: str) -> None:
        """The same, where this thread must not wait for the database."""
        what = f"cancel execution {execution_id}"
        self.change_soon(what, lambda store: store.cancel(execution_id)[1])

    def change_soon(self, what: str, change: Change) -> None:
        """Have the sweep make a change in the store, before it looks for what died."""
        if self.sweep_thread is not None:
            self.sweep_thread.change_soon(what, change)

    def terminated(self, execution_id: str) -> None:
        """End an execution whose process is going to be killed because its task was revoked."""
        what = f"end execution {execution_id} as revoked"
        self.change_soon(what, lambda store: store.revoke(execution_id))

    def held(self) -> list[str]:
        """The ids of the executions that run in this process."""
        return [] if self._keeper is None else self._keeper.held

    def hand_on(self, running: Mapping[str, Sequence[str]] | None = None) -> None:
        """Queue what runs here, though its functions may not have ended, and tell them.

        Args:
            running: the execution ids by their process; those of this one where left out.
        """
        if running is None:
            running = {str(this_process()): self.held()}
        for owner, ids in running.items():
            if ids:
                self.dispatcher.dispatch(self.store.hand_on(owner, ids))
        if self._keeper is not None:
            self._keeper.hand_back()

    def is_telling(self, execution_id: str) -> bool:
        """Whether Celery is being told of this end, and sends what follows it."""
        return self._ends.is_telling(execution_id)

    def is_completed(self, execution_id: str) -> bool:
        """Whether Celery is being told that this execution has completed."""
        return self._ends.is_completed(execution_id)

    def announced(self, execution_id: str, state: str) -> None:
        """Celery has stored an end as this state, and sent what follows it."""
        self._ends.announced(execution_id, state)

    def tell_again(self, execution_id: str) -> None:
        """What follows an end may not have been sent: it is to be announced again."""
        self._ends.tell_again(execution_id)

    def process_may_be_gone(self) -> None:
        """Look now for leases that a dead pool process left behind."""
        if self.sweep_thread is not None:
            self.sweep_thread.nudge()

    def hard_limit_hit(self, execution_id: str, seconds: float) -> None:
        """Fail the execution whose process Celery is about to kill."""
        reason = f"it ran longer than its task's hard time limit of {seconds:g} s"
        failure = Failure(reason, "TimeLimitExceeded")
        what = f"fail execution {execution_id}: {reason}"
        self.change_soon(what, lambda store: store.give_up(execution_id, failure))

    def close(self) -> None:
        """Let go of the app, and close the store."""
        self._link.detach()
        self.step_ends.close()
        if self._keeper is not None:
            self._keeper.stop()
        if self._client is not None:
            self._client.close()
        self.dispatcher.close()

    def _undelivered(self, execution_ids: Sequence[str]) -> None:
        try:
            self.store.undelivered(execution_ids)
        except StoreUnavailable as error:
            log.debug("%s; the sweep sends these hints later", error)

    def _insist(self, ask: Callable[[], T]) -> T:
        """Wait for a database that is away, unless this worker ends."""
        return self._contact.insist(ask, self.stopping)

    def _make_runner(self, hints: Dispatcher, settings: Settings, company: Company) -> Runner:
        return Runner(
            self.store,
            hints,
            self._registry,
            settings,
            self.keeper,
            company,
            check_execution,
            CeleryTaskSender(self.app, settings.project_id),
        )

    def _eager_session(self) -> EagerSession:
        # No wait is slept in place.
        settings = replace(self.settings, wait_threshold_seconds=0.0)
        return EagerSession(self.store, lambda own: self._make_runner(own, settings, Company()))

    def _open_store(self) -> SqlStore:
        return SqlStore.open(self.settings)

    def runs(self, workflow_id: str) -> bool:
        """Whether this app has a workflow."""
        return self._registry.get(workflow_id) is not None
