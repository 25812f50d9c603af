"""All of Polos in one process: a client, a worker with its keeper, and the sweep.

The broker is a list that dies with the process: the harshest one, which forgets everything and
redelivers nothing. So what goes on after a death goes on from the store alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from polos.client.direct import DirectClient
from polos.codec import encode, encode_payload
from polos.definition.registry import registry
from polos.engine import ending
from polos.engine.keeper import Keeper
from polos.engine.owner import this_process
from polos.engine.runner import Runner
from polos.engine.sweeper import Sweeper
from polos.errors import StoreUnavailable
from polos.model.ports import StartRequest, TaskSending
from polos.model.records import SECOND, Hint
from polos.model.retry import RetryPolicy
from polos.model.settings import Settings
from polos.model.states import Status
from polos.model.workers import WorkerReport
from polos.store.database import Database
from polos.store.forking import Fork
from polos.store.sql_store import SqlStore
from tests.acceptance.ledger import VARIABLE, Ledger, effect
from tests.boundaries import corpus
from tests.boundaries.corpus import Subject
from tests.boundaries.outside import Outside, is_busy, is_quiet
from tests.boundaries.task_broker import TaskBroker
from tests.boundaries.traps import PUBLISH, Boundaries, BrokerAway

ROOT = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
THRESHOLD = 0.03
_DEADLINE = 60.0
_MANY = 4 * 1024 * 1024


class ListBroker:
    """Keeps hints until they are due, and dies with its process."""

    def __init__(self, boundaries: Boundaries) -> None:
        self._boundaries = boundaries
        self._hints: list[tuple[float, Hint]] = []

    def dispatch(self, hints: Sequence[Hint]) -> int:
        return sum(self._publish(hint) for hint in hints)

    def is_away(self) -> bool:
        return False

    def take(self) -> Hint | None:
        """The next hint that is due."""
        for number, (due, hint) in enumerate(self._hints):
            if due <= time.monotonic():
                del self._hints[number]
                return hint
        return None

    def dues(self) -> dict[str, float]:
        """The executions of which there are hints, each with the first moment."""
        return {
            hint.execution_id: due
            for due, hint in sorted(self._hints, key=lambda pair: pair[0], reverse=True)
        }

    def _publish(self, hint: Hint) -> bool:
        due = time.monotonic() + hint.countdown
        try:
            self._boundaries.cross(PUBLISH, lambda: self._hints.append((due, hint)), _away)
        except BrokerAway:
            return False
        return True


def _away() -> None:
    raise BrokerAway


class Stuck(Exception):
    """Nothing goes on any more."""


class World:
    """Runs one subject to its end.

    Args:
        database: where its store is.
        outside: looks at it without being counted.
        subject: what is run.
        boundaries: counts, and springs the trap.
    """

    def __init__(
        self, database: Database, outside: Outside, subject: Subject, boundaries: Boundaries
    ) -> None:
        self.subject = subject
        self.settings = Settings(
            wait_threshold_seconds=THRESHOLD, countdown_horizon=subject.horizon, foreign_grace=1.0
        )
        self.store = SqlStore(database, early=THRESHOLD, horizon=subject.horizon)
        self.keeper = Keeper(self.store, self.settings.lease_seconds, spawn=lambda _: None)
        self.repairs = 0
        self._tasks: TaskBroker | None = None
        self._outside = outside
        self._boundaries = boundaries
        self._owner = this_process("w1")
        corpus.heartbeat = self._heartbeat
        ending.PAUSES = RetryPolicy(base_delay=corpus.PARKS)
        self._connect()
        self.sweeper = Sweeper(lambda: self.store, self.dispatcher, self.settings, self._report)

    def _connect(self) -> None:
        self.broker: Any = ListBroker(self._boundaries)
        self.dispatcher: Any = self.broker
        self.client = DirectClient("default", lambda: self.store, self.broker)
        self._tasks = TaskBroker(self._boundaries)
        self._runner = Runner(
            self.store, self.broker, registry, self.settings, self.keeper, sender=self._tasks
        )

    def start(self) -> None:
        """Start the subject as its client does, again too where it can't know that it has."""
        key = self.subject.idempotency_key
        known = [row.id for row in self._outside.executions()]
        if (ROOT in known and key is None) or self._was_pruned(known):
            return
        request = StartRequest(
            self.subject.workflow.id,
            encode_payload(None, _MANY),
            execution_id=OTHER if ROOT in known else ROOT,
            idempotency_key=key,
        )
        started = self.client.start(request)
        assert started.id == ROOT, "an idempotency key started two executions"

    def _was_pruned(self, known: list[str]) -> bool:
        ran = bool(Ledger(Path(os.environ[VARIABLE])).runs(ROOT))
        return self.subject.pruned and ran and not known

    def finish(self) -> None:
        """Go on until all is quiet."""
        deadline = time.monotonic() + _DEADLINE
        while self._is_to_go_on(rows := self._outside.executions()):
            if time.monotonic() > deadline:
                raise Stuck([(row.id, row.status) for row in rows])
            self._go_on(rows)

    def _is_to_go_on(self, rows: list[Any]) -> bool:
        return bool(rows) and (not is_quiet(rows, ROOT) or self._has_epilogue(rows))

    def _has_epilogue(self, rows: list[Any]) -> bool:
        """Whether somebody does something yet with what has ended."""
        [root] = [row for row in rows if row.id == ROOT]
        if self.subject.retried:
            return bool(root.status == Status.FAILED.value)
        return self.subject.pruned or self._is_to_be_forked(rows)

    def _is_to_be_forked(self, rows: list[Any]) -> bool:
        return self.subject.forked_at is not None and all(row.forked_from is None for row in rows)

    def _epilogue(self) -> None:
        if self.subject.retried:
            self._act(lambda: self.client.retry(ROOT))
        elif self.subject.pruned:
            self._act(lambda: self.store.prune(0, 10))
        else:
            self._act(self._fork)

    def _act(self, act: Callable[[], Any]) -> None:
        with suppress(StoreUnavailable):
            act()

    def _fork(self) -> None:
        forked = self.store.fork(Fork(ROOT, OTHER, self.subject.forked_at))
        self.dispatcher.dispatch([Hint(forked.id, forked.workflow_id)])

    def _go_on(self, rows: list[Any]) -> None:
        if is_quiet(rows, ROOT):
            self._epilogue()
            return
        task = self._tasks.take() if self._tasks else None
        if task is not None:
            self._run_task(task)
            return
        hint = self.broker.take()
        if hint is not None:
            self._deliver(hint)
            return
        if self.subject.cancelled and self._is_to_be_cancelled(rows):
            self._act(lambda: self.client.cancel(ROOT))
            return
        if self.subject.times_out and self._is_to_be_cancelled(rows):
            self._outside.let_deadline_pass(ROOT)
            self._sweep()
            return
        hinted = self.broker.dues()
        lost = [row for row in rows if is_busy(row) and row.id not in hinted]
        if any(row.status != Status.WAITING.value and not row.cancel_descends for row in lost):
            self.repairs += 1
            self._sweep()
        else:
            self._wait(lost)

    def _wait(self, unhinted: list[Any]) -> None:
        """Until the next hint is due, or the sweep has something to do."""
        moment = time.monotonic()
        hints = [due - moment for due in self.broker.dues().values()]
        waits = [
            max(0.0, row.wake_at - row.now) / SECOND if row.wake_at else 0.0 for row in unhinted
        ]
        if not hints and not waits:
            raise Stuck("neither a hint nor a wait is left")
        time.sleep(max(0.0, min(hints + waits)))
        if waits and min(waits) <= min(hints, default=min(waits)):
            self._sweep()

    def _sweep(self) -> None:
        self._outside.let_time_pass(str(self._owner))
        self.sweeper._contact_since = float("-inf")
        # As the sweep's thread does.
        try:
            self.sweeper.tick()
        except StoreUnavailable as error:
            self.sweeper.lose_contact(error)

    def _deliver(self, hint: Any) -> None:
        # As the task's door does: the hint is dropped, and the sweep sends another.
        with suppress(StoreUnavailable):
            self._runner.run(hint.execution_id, hint.workflow_id, self._owner)

    def _run_task(self, task: TaskSending) -> None:
        """As a worker does: the task, its end, and only then the acknowledgement."""
        effect(task.execution_id, f"task {task.step_key}")
        ended = (task.execution_id, task.step_key, task.task_id, encode(f"{task.signature} ran"))
        hints = self.keeper.contact.insist(lambda: self.store.complete_task(*ended), lambda: False)
        self.broker.dispatch(hints or ())
        self._tasks.acknowledge(task)

    def _is_to_be_cancelled(self, rows: list[Any]) -> bool:
        [root] = [row for row in rows if row.id == ROOT]
        busy = any(row.status in {Status.QUEUED.value, Status.RUNNING.value} for row in rows)
        return root.status == Status.WAITING.value and not busy and not root.cancel_requested_at

    def _heartbeat(self) -> None:
        with suppress(StoreUnavailable):
            self.keeper.heartbeat()

    def _report(self) -> WorkerReport:
        workflows = tuple(workflow.id for workflow in registry.all())
        return WorkerReport("w1", str(self._owner), 8, 8, workflows=workflows)
