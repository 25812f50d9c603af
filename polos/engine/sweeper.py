"""The sweep: named duties that repair whatever a crash, a lost message or a broken wait left.

Each duty is one function that returns the hints for the executions it touched. Whichever worker
holds the sweep's row runs them, once a second; beat is not needed.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from polos.engine.demand import Demand
from polos.engine.owner import is_dead
from polos.errors import StoreError
from polos.model.ports import Dispatcher
from polos.model.records import Hint
from polos.model.settings import Settings
from polos.model.workers import Reach, SweepCounts, WorkerReport
from polos.store.recovery import WORKER_LOST
from polos.store.sql_store import SqlStore

log = logging.getLogger("polos.sweep")

INTERVAL = 1.0
# While the database is away, the pause between two looks grows to this.
_LONGEST_PAUSE = 5.0
# The sweep's row is free again this long after its holder was last heard of, in seconds.
_LEADERSHIP = 5.0
# A worker counts as alive this long after its last report, in seconds.
_WORKER_ALIVE = 10.0
_BATCH = 500
# Workflows without a worker are looked for so often, in seconds, and so many are named.
_NAMING_INTERVAL = 10.0
_MOST_NAMED = 20
# Hints that are sent again in one sweep: publishing more would hold up the other duties.
_MOST_SENT_AGAIN = 1000
# An execution whose time is over may clean up for so many leases.
_CLEANUP_LEASES = 2
# Where nothing was old enough to be deleted, it is looked again after so many seconds.
_PRUNING_PAUSE = 60.0
_DAY = 86_400.0


class Sweeper:
    """Runs the duties for one worker.

    Args:
        open_store: gives what is repaired; it may be out of reach at first.
        dispatcher: sends the hints.
        settings: lease and recovery limits.
        report: gives what this worker tells the others; its ``owner`` is who holds the sweep.
        before_reclaim: called when processes are known to be dead, before their work is queued.
    """

    def __init__(
        self,
        open_store: Callable[[], SqlStore],
        dispatcher: Dispatcher,
        settings: Settings,
        report: Callable[[], WorkerReport],
        before_reclaim: Callable[[], None] = lambda: None,
    ) -> None:
        self._open_store = open_store
        self._dispatcher = dispatcher
        self._settings = settings
        self._report = report
        self._before_reclaim = before_reclaim
        self._contact_since: float | None = None
        self._alive: list[WorkerReport] = []
        self._named: set[str] = set()
        self._name_at = 0.0
        self._prune_at = 0.0
        self.pause = INTERVAL
        self._demands: dict[Reach, Demand] = {}
        self.counts = SweepCounts()

    @property
    def _store(self) -> SqlStore:
        return self._open_store()

    def tick(self) -> int:
        """Report, and sweep if it is this worker's turn; how many hints were sent.

        Raises:
            StoreError: the database is out of reach; ``lose_contact`` should hear of it.
        """
        sent = self._tick()
        if self._contact_since is None:
            self._contact_since = time.monotonic()
        self.pause = INTERVAL
        return sent

    def lose_contact(self, error: StoreError) -> None:
        """The database is out of reach: no lease is judged by its expiry for a while."""
        if self.pause == INTERVAL:
            log.warning("the sweep pauses: %s", error)
        self._contact_since = None
        self.pause = min(self.pause * 2, _LONGEST_PAUSE)

    def sign_off(self) -> None:
        """Leave the sweep to others."""
        report = self._report()
        self._store.sign_off(report.name, report.owner)

    def _tick(self) -> int:
        began = time.monotonic()
        report = self._report()
        self._store.report(report)
        sent = self._send(self._alone(self.reclaim_dead))
        # Each broker has a sweep of its own: hints of one don't reach the workers of another.
        if not self._store.lead(f"sweep {report.broker}".strip(), report.owner, _LEADERSHIP):
            return sent
        self._alive = [
            worker for worker in self._store.alive(_WORKER_ALIVE) if worker.broker == report.broker
        ]
        duties = (
            self.wake_due,
            self.send_ahead,
            self.reclaim_expired,
            self.finish_cancelling,
            self.expire_unstarted,
            self.expire_deadlines,
            self.redispatch,
            self.name_unserved,
            self.prune,
        )
        sent += sum(self._send(self._alone(duty)) for duty in duties)
        self._count(sweeps=1, seconds=time.monotonic() - began)
        return sent

    def _count(self, **more: float) -> None:
        added = {name: getattr(self.counts, name) + number for name, number in more.items()}
        self.counts = replace(self.counts, **added)

    def _alone(self, duty: Callable[[], tuple[Hint, ...]]) -> tuple[Hint, ...]:
        """Do one duty; what is wrong with it does not keep the others from being done."""
        try:
            return duty()
        except StoreError:
            raise
        except Exception:
            log.exception("the sweep's duty %s failed", duty.__name__)
            return ()

    def wake_due(self) -> tuple[Hint, ...]:
        """Queue the waiting executions whose time has come, of workflows that a worker has."""
        return self._all_of(self._store.wake_due)

    def send_ahead(self) -> tuple[Hint, ...]:
        """Send hints with a countdown for the waits that end soon."""
        return () if self._dispatcher.is_away() else self._all_of(self._store.send_ahead)

    def reclaim_dead(self) -> tuple[Hint, ...]:
        """Queue what processes of this host held that are known to be dead."""
        dead = [owner for owner in self._store.owners() if is_dead(owner)]
        if not dead:
            return ()
        self._before_reclaim()
        return self._reclaim(dead, trust_expiry=False)

    def reclaim_expired(self) -> tuple[Hint, ...]:
        """Queue what was held by leases that ran out.

        Only after one whole lease of unbroken contact with the database: before that, the
        holders may have been cut off as this worker was.
        """
        since = self._contact_since
        if since is None or time.monotonic() - since < self._settings.lease_seconds:
            return ()
        return self._reclaim([], trust_expiry=True)

    def finish_cancelling(self) -> tuple[Hint, ...]:
        """Go on where cancelling downwards was broken off."""
        return self._store.finish_descents(_BATCH)

    def expire_unstarted(self) -> tuple[Hint, ...]:
        """End what nobody has begun before it expired."""
        return self._store.expire_unstarted(_BATCH)

    def expire_deadlines(self) -> tuple[Hint, ...]:
        """End the executions whose time is over."""
        return self._store.expire(_BATCH, _CLEANUP_LEASES * self._settings.lease_seconds)

    def prune(self) -> tuple[Hint, ...]:
        """Delete some of what ended long ago, as ``polos_retention_days`` says."""
        days = self._settings.retention_days
        if not days or time.monotonic() < self._prune_at:
            return ()
        pruned = self._store.prune(days * _DAY, _BATCH)
        if pruned:
            log.info("%d executions that ended over %g days ago were deleted", pruned, days)
        # There may be more; but what is old and has to be kept is not looked through all the time.
        pause = 0 if pruned else min(_PRUNING_PAUSE, days * _DAY / 10)
        self._prune_at = time.monotonic() + pause
        return ()

    def redispatch(self) -> tuple[Hint, ...]:
        """Send hints again for executions that nobody claimed, as many as workers can take."""
        wanted = self._wanted()
        hints: tuple[Hint, ...] = ()
        # Begun with another one each time, for none is to take all that one sweep may send.
        for reach in random.sample(list(wanted), len(wanted)):
            left = _MOST_SENT_AGAIN - len(hints)
            if wanted[reach] and left:
                found = self._store.redispatch(min(wanted[reach], left), reach)
                self._demands[reach].sent((hint.execution_id for hint in found), time.monotonic())
                hints += found
        self._count(sent_again=len(hints))
        return hints

    def _wanted(self) -> dict[Reach, int]:
        """How many hints those workers can take that reach the same executions."""
        idle: Counter[Reach] = Counter()
        for worker in self._alive:
            idle[Reach(worker.workflows, worker.queues)] += worker.idle
        self._demands = {reach: self._demands.get(reach, Demand()) for reach in idle}
        if self._dispatcher.is_away():
            # One hint asks for the broker; the others stay due.
            return {reach: min(1, slots) for reach, slots in idle.items()}
        under_way = [id_ for demand in self._demands.values() for id_ in demand.under_way]
        unclaimed = self._store.unclaimed(under_way) if under_way else frozenset[str]()
        now = time.monotonic()
        return {
            reach: demand.wanted(idle[reach], unclaimed, now)
            for reach, demand in self._demands.items()
        }

    def name_unserved(self) -> tuple[Hint, ...]:
        """Say, once, which workflows have executions and no worker."""
        if time.monotonic() < self._name_at:
            return ()
        self._name_at = time.monotonic() + _NAMING_INTERVAL
        served = sorted({name for worker in self._alive for name in worker.workflows})
        found = self._store.unserved(served, _MOST_NAMED)
        for workflow_id, number, example in found:
            if workflow_id not in self._named:
                log.warning(
                    "no worker has the workflow %r; executions that wait for one: %d, such as %s. "
                    "Start a worker that imports it",
                    workflow_id,
                    number,
                    example,
                )
        self._named = {workflow_id for workflow_id, _, _ in found}
        return ()

    def _reclaim(self, dead: list[str], *, trust_expiry: bool) -> tuple[Hint, ...]:
        hints: tuple[Hint, ...] = ()
        for execution, token in self._store.lost(dead, trust_expiry=trust_expiry):
            try:
                reclaimed = self._store.reclaim(execution, token, self._settings.max_recoveries)
            except StoreError:
                raise
            except Exception:
                log.exception("execution %s can't be taken from its lost worker", execution.id)
                continue
            self._count(leases_lost=1)
            if any(hint.reason == WORKER_LOST for hint in reclaimed):
                log.warning(
                    "execution=%s workflow=%s: its worker is gone; another one takes it",
                    execution.id,
                    execution.workflow_id,
                )
            hints += reclaimed
        return hints

    def _all_of(self, duty: Callable[[int, Reach], tuple[Hint, ...]]) -> tuple[Hint, ...]:
        reach = Reach(tuple({name for worker in self._alive for name in worker.workflows}))
        found = batch = duty(_BATCH, reach)
        while len(batch) == _BATCH:
            batch = duty(_BATCH, reach)
            found += batch
        return found

    def _send(self, hints: tuple[Hint, ...]) -> int:
        return self._dispatcher.dispatch(hints) if hints else 0
