"""The part of the storage contract that the sweep, the keeper and the workers use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from polos.model.records import Execution, Failure, Hint
from polos.model.workers import ANYTHING, Reach, Renewal, WorkerReport
from polos.store import executions, recovery, sweeping, workers
from polos.store.database import Database


class SweepStore:
    """What is done for executions by those that watch over them.

    Attributes:
        database: where they are.
        project_id: only executions of this project are seen.
    """

    database: Database
    project_id: str
    _early: float

    def wake_due(self, most: int, reach: Reach = ANYTHING) -> tuple[Hint, ...]:
        """Queue the waiting executions whose time has come."""
        return sweeping.wake_due(self.database, self.project_id, self._early, most, reach)

    def wake(self, execution_id: str) -> tuple[Hint, ...]:
        """Queue a waiting execution before its time has come."""
        return sweeping.wake_one(self.database, execution_id)

    def send_ahead(self, most: int, reach: Reach = ANYTHING) -> tuple[Hint, ...]:
        """Hints with a countdown for the waits that end soon."""
        return sweeping.send_ahead(self.database, self.project_id, self._early, most, reach)

    def redispatch(self, most: int, reach: Reach = ANYTHING) -> tuple[Hint, ...]:
        """Hints, oldest first, for executions that nobody claimed."""
        return sweeping.redispatch(self.database, self.project_id, most, reach)

    def unclaimed(self, ids: Sequence[str]) -> frozenset[str]:
        """Those for which a hint was sent again, and which nobody has claimed since."""
        return sweeping.unclaimed(self.database, ids)

    def renew(self, leases: Sequence[tuple[str, str]], lease: float) -> tuple[Renewal, ...]:
        """Prolong leases, given as (execution id, token)."""
        return sweeping.renew(self.database, leases, lease)

    def note(self, execution_id: str, token: str, keys: Sequence[str]) -> bool:
        """Note for people which steps are executing; False where the row is locked, or not held."""
        return sweeping.note(self.database, execution_id, token, keys)

    def renew_owner(self, owner: str, execution_ids: Sequence[str], lease: float) -> None:
        """Prolong the leases that a process has on these executions."""
        sweeping.renew_owner(self.database, owner, execution_ids, lease)

    def owners(self) -> tuple[str, ...]:
        """Who holds leases."""
        return sweeping.owners(self.database, self.project_id)

    def lost(self, dead: Sequence[str], *, trust_expiry: bool) -> tuple[tuple[Execution, str], ...]:
        """Running executions whose worker is gone, with their lost tokens."""
        return sweeping.lost(self.database, self.project_id, dead, trust_expiry=trust_expiry)

    def reclaim(self, execution: Execution, token: str, max_recoveries: int) -> tuple[Hint, ...]:
        """Queue an execution whose worker is gone, or fail it after too many recoveries."""
        return recovery.reclaim(self.database, execution, token, max_recoveries)

    def hand_on(self, owner: str, execution_ids: Sequence[str]) -> tuple[Hint, ...]:
        """Queue what a process still runs that has to end."""
        return recovery.hand_on(self.database, owner, execution_ids)

    def excuse(self, owner: str, execution_ids: Sequence[str]) -> None:
        """Hold the death of a process that was told to end against nothing that it runs."""
        recovery.excuse(self.database, owner, execution_ids)

    def mark(self, execution_id: str, token: str, keys: Sequence[str], *, alone: bool) -> None:
        """Note which steps a suspect is in, and whether it runs alone.

        Raises:
            LeaseLost: the token no longer holds the lease.
        """
        recovery.mark(self.database, execution_id, token, keys, alone=alone)

    def undelivered(self, execution_ids: Sequence[str]) -> None:
        """The broker did not take the hints of these."""
        sweeping.undelivered(self.database, execution_ids)

    def unserved(self, workflows: Sequence[str], most: int) -> tuple[tuple[str, int, str], ...]:
        """Workflows with due executions that are not among those given."""
        return sweeping.unserved(self.database, self.project_id, workflows, most)

    def announced(self, execution_id: str) -> None:
        """Celery has stored the end, and sent what follows it."""
        sweeping.announced(self.database, execution_id)

    def give_up(self, execution_id: str, failure: Failure) -> tuple[Hint, ...]:
        """Fail a running execution from outside; the hints for those that it wakes."""
        execution = executions.get(self.database, self.project_id, execution_id)
        if execution is None:
            return ()
        return recovery.give_up(self.database, execution, failure)

    def report(self, worker: WorkerReport) -> None:
        """Say that a worker lives, and what it could take."""
        workers.report(self.database, self.project_id, worker)

    def sign_off(self, name: str, holder: str) -> None:
        """Say that a worker stops."""
        workers.sign_off(self.database, self.project_id, name, holder)

    def alive(self, within: float) -> tuple[WorkerReport, ...]:
        """The workers that reported within so many seconds."""
        return workers.alive(self.database, self.project_id, within)

    def lead(self, duty: str, holder: str, seconds: float) -> bool:
        """Take, or keep, a duty for so many seconds."""
        return workers.lead(self.database, self.project_id, duty, holder, seconds)

    def register_workflows(self, ids: Iterable[str]) -> None:
        """Remember that a worker has these workflows."""
        workers.register_workflows(self.database, self.project_id, ids)

    def known_workflows(self) -> frozenset[str]:
        """The ids of all workflows that some worker has had."""
        return workers.known_workflows(self.database, self.project_id)
