"""The sweep's thread in the main process of a worker."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from celery import bootsteps, signals
from celery.concurrency import prefork, solo
from celery.worker import state

from polos.binding.idle_slots import SAMPLE_EVERY, IdleSlots
from polos.binding.of_app import bound_of
from polos.binding.pool_watch import watch
from polos.engine.clock import StoreClock
from polos.engine.owner import is_stopped, process, this_process
from polos.engine.sweeper import Sweeper
from polos.errors import ConfigurationError, PolosError, SchemaError, StoreError, StoreUnavailable
from polos.model.records import Hint
from polos.model.workers import WorkerReport
from polos.store.sql_store import SqlStore

log = logging.getLogger("polos.sweep")

Change: TypeAlias = Callable[[SqlStore], tuple[Hint, ...]]

# Two clocks drift apart by a few microseconds in that many seconds.
_CLOCK_IS_GOOD_FOR = 60.0


class SweepThread:
    """Ticks once a second, or at once when asked to, for as long as the worker runs.

    Args:
        bound: the binding whose store is swept.
        worker: the Celery worker (``WorkController``).
    """

    def __init__(self, bound: Any, worker: Any) -> None:
        self._bound = bound
        self._worker = worker
        self._owner = str(this_process(worker.hostname))
        self._idle = IdleSlots(worker)
        self._introduced: set[str] = set()
        self._asked: deque[tuple[str, Change]] = deque()
        self._soon: deque[Callable[[], None]] = deque()
        self._stop = threading.Event()
        self._closing = threading.Lock()
        self._wake = threading.Event()
        self._signed_off = threading.Event()
        self._sweeper = Sweeper(
            lambda: bound.store,
            bound.dispatcher,
            bound.settings,
            self._report,
            # They are asked for when a process is killed: that is not to be taken for a crash.
            before_reclaim=self._do_asked,
        )
        self._thread = threading.Thread(target=self._run, name="polos-sweep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def nudge(self) -> None:
        """Sweep now."""
        self._wake.set()

    def do_soon(self, work: Callable[[], None]) -> None:
        """Call something that asks the database; the reading of messages must not wait for it."""
        with self._closing:
            if not self._stop.is_set():
                self._soon.append(work)
                self.nudge()
                return
        # No more are read, and the process may end before this thread comes to it.
        _carry_out(work)

    def change_soon(self, what: str, change: Change) -> None:
        """Have a change made in the store, again and again until the store has answered.

        Args:
            what: what it does, for the log.
            change: makes it; gives the hints for what it wakes.
        """
        # Not here: Celery calls this where it reads its messages, which must not block.
        self._asked.append((what, change))
        self.nudge()

    def stop(self) -> None:
        """Leave the sweep to others; what still runs is handed on in time."""
        with self._closing:
            self._stop.set()
        self._wake.set()
        self._signed_off.wait(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._introduce()
                self._read_clock()
                self._do_soon()
                self._do_asked()
                self._sweeper.tick()
                self._speak_for_children()
                self._excuse()
            except StoreError as error:
                self._sweeper.lose_contact(error)
            except Exception:
                log.exception("a sweep failed; the next one is due in a second")
            self._rest()
        self._do_soon()
        try:
            self._sweeper.sign_off()
            self._signed_off.set()
            self._hand_on_in_time()
        except StoreError as error:
            log.warning("this worker could not sign off: %s", error)

    def _hand_on_in_time(self) -> None:
        """Give what runs some time to end, then let other workers have it."""
        deadline = time.monotonic() + self._bound.soft_shutdown
        while self._running() and time.monotonic() < deadline:
            self._do_asked()
            self._excuse()
            self._speak_for_children()
            self._wake.wait(_LOOK_AGAIN)
            self._wake.clear()
        # A process that was killed for its hard limit no longer runs.
        self._do_asked()
        if self._running():
            log.warning(
                "steps still run %g s after this worker was told to end; other workers get their "
                "executions. Their functions may go on here, and what they return is dropped",
                self._bound.soft_shutdown,
            )
            self._bound.hand_on(self._running())

    def _excuse(self) -> None:
        """Once this worker is told to end, its death is held against no execution."""
        if self._bound.stopping():
            for owner, ids in self._running().items():
                self._bound.store.excuse(owner, ids)

    def _running(self) -> dict[str, list[str]]:
        """What runs in the processes of this worker, by owner."""
        found = {str(process(pid)): ids for pid, ids in self._in_pool().items()}
        own = self._bound.held()
        return found | ({str(this_process()): own} if own else {})

    def _read_clock(self) -> None:
        clock = self._bound.clock
        if clock is None or time.monotonic() - clock.answered > _CLOCK_IS_GOOD_FOR:
            self._bound.clock = StoreClock.of(self._bound.store)

    def _rest(self) -> None:
        end = time.monotonic() + self._sweeper.pause
        while time.monotonic() < end and not self._wake.wait(SAMPLE_EVERY):
            self._idle.sample()
        self._wake.clear()

    def _do_soon(self) -> None:
        while self._soon:
            _carry_out(self._soon.popleft())

    def _do_asked(self) -> None:
        while self._asked:
            what, change = self._asked[0]
            try:
                hints = change(self._bound.store)
            except StoreError:
                raise  # it is tried again with the next sweep
            except Exception:
                log.exception("this could not be done: %s", what)
                hints = ()
            self._asked.popleft()
            self._bound.dispatcher.dispatch(hints)

    def _introduce(self) -> None:
        known = set(self._bound.workflow_ids())
        if known - self._introduced:
            self._bound.store.register_workflows(known - self._introduced)
            self._introduced = known

    def _speak_for_children(self) -> None:
        """Renew for pool processes that live but may be held by one long C call."""
        for pid, ids in self._in_pool().items():
            if not is_stopped(pid):
                lease = self._bound.settings.lease_seconds
                self._bound.store.renew_owner(str(process(pid)), ids, lease)

    def _in_pool(self) -> dict[int, list[str]]:
        """What each pool process runs now; a task's id is its execution's."""
        found: dict[int, list[str]] = {}
        own = this_process().pid
        for request in list(state.active_requests):
            pid = getattr(request, "worker_pid", None)
            if pid and pid != own:
                found.setdefault(pid, []).append(request.id)
        return found

    def _report(self) -> WorkerReport:
        queues = tuple(sorted(self._worker.app.amqp.queues.consume_from))
        return WorkerReport(
            name=self._worker.hostname,
            owner=self._owner,
            slots=self._idle.slots,
            idle=self._idle.lately,
            queues=queues,
            workflows=tuple(sorted(self._bound.workflow_ids())),
            broker=_private_broker(self._worker.app),
            counts=self._sweeper.counts,
        )


def _carry_out(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:
        log.exception("the end of a task could neither be recorded nor sent on")


def _private_broker(app: Any) -> str:
    """What names a broker that lives within one process; empty for all others."""
    if "memory" not in str(app.conf.broker_url):
        return ""
    return str(app.conf.task_default_queue)


# While steps end, in seconds.
_LOOK_AGAIN = 0.2


class SweepStep(bootsteps.StartStopStep):
    """Starts the sweep with a worker and stops it with that worker, in every pool."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._thread: SweepThread | None = None
        bound = bound_of(worker.app)
        self._shutting_down = lambda **_: bound.stopping.raise_()
        bound.slots = int(worker.concurrency or 1)
        # Before the pool forks.
        alone = issubclass(worker.pool_cls, prefork.TaskPool | solo.TaskPool)
        bound.company.slots = 1 if alone else bound.slots

    def create(self, parent: Any) -> None:
        """Open the store before the pool forks, else each of its processes has to."""
        bound_of(parent.app).step_ends.consume(parent.app)
        try:
            bound_of(parent.app).store.known_workflows()
        except PolosError as error:
            log.debug("the store can't be opened yet: %s", error)

    def start(self, parent: Any) -> None:
        """Begin sweeping."""
        bound = bound_of(parent.app)
        signals.worker_shutting_down.connect(self._shutting_down, weak=False)
        try:
            bound.store.known_workflows()
        except (SchemaError, ConfigurationError) as error:
            sys.stderr.write(f"polos: {error}\n")
            raise SystemExit(1) from error
        except StoreUnavailable as error:
            log.error("%s; this worker goes on trying", error)
        self._thread = bound.sweep_thread = SweepThread(bound, parent)
        if issubclass(parent.pool_cls, prefork.TaskPool):
            bound.step_ends.set_main(self._thread.do_soon)
        self._thread.start()

    def register_with_event_loop(self, parent: Any, hub: Any) -> None:
        """Sweep at once when a pool process dies."""
        watch(parent.pool, hub, bound_of(parent.app).process_may_be_gone)

    def stop(self, parent: Any) -> None:
        """Stop sweeping."""
        if self._thread is not None:
            signals.worker_shutting_down.disconnect(self._shutting_down)
            self._thread.stop()
            self._thread = bound_of(parent.app).sweep_thread = None

    def terminate(self, parent: Any) -> None:
        """Stop sweeping."""
        self.stop(parent)
