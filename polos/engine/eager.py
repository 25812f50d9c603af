"""Runs executions to their ends where they are asked for: no worker, and no waiting.

It is a simulation of time: what can run runs; when everything waits, the clock jumps to the
earliest moment that something waits for. So waits end in the order in which they would.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence

from polos.engine.owner import this_process
from polos.engine.runner import Runner
from polos.errors import WorkflowNotFound
from polos.model.outcome import Parked, TriedAgain
from polos.model.ports import Dispatcher
from polos.model.records import Hint, Micros
from polos.store.sql_store import SqlStore

log = logging.getLogger("polos.engine")


class EagerSession:
    """All that follows from some hints, until nothing of it can go on.

    It is the dispatcher of its own runner: what an execution starts or wakes runs here too.

    Args:
        store: where executions are.
        make_runner: makes a runner that sends its hints to the given dispatcher.
    """

    def __init__(self, store: SqlStore, make_runner: Callable[[Dispatcher], Runner]) -> None:
        self._store = store
        self._runner = make_runner(self)
        self._ready: deque[Hint] = deque()
        self._parked: dict[str, Micros] = {}

    def dispatch(self, hints: Sequence[Hint]) -> int:
        """Take hints; those that are due later wait for their time."""
        for hint in hints:
            if hint.countdown and hint.due_at is not None:
                self._park(hint.execution_id, hint.due_at)
            else:
                self._ready.append(hint)
        return len(hints)

    def is_away(self) -> bool:
        """Never."""
        return False

    def run(self) -> None:
        """Go on until everything has ended, or waits for somebody else."""
        while self._ready or self._parked:
            if self._ready:
                self._deliver(self._ready.popleft())
            else:
                self._skip()

    def _deliver(self, hint: Hint) -> None:
        self._parked.pop(hint.execution_id, None)
        try:
            hop = self._runner.run(hint.execution_id, hint.workflow_id, this_process())
        except WorkflowNotFound as error:
            log.warning("execution %s is left to a worker: %s", hint.execution_id, error)
            return
        if isinstance(hop.outcome, Parked | TriedAgain) and hop.outcome.wake_at is not None:
            self._park(hint.execution_id, hop.outcome.wake_at)

    def _park(self, execution_id: str, due: Micros) -> None:
        self._parked[execution_id] = min(due, self._parked.get(execution_id, due))

    def _skip(self) -> None:
        """Let the time of the earliest wait be now."""
        execution_id = min(self._parked, key=lambda id_: self._parked[id_])
        due = self._parked.pop(execution_id)
        self._runner.ahead = max(self._runner.ahead, due - self._store.now())
        self.dispatch(self._store.wake(execution_id))
