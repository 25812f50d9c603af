"""The broker of the tasks that are steps: it forgets nothing when a process dies, as real ones."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polos.engine import tasks
from polos.model.ports import TaskSending
from tests.boundaries.traps import PUBLISH, Boundaries, BrokerAway

# In place of seconds.
_PAUSE = 0.1


class TaskBroker:
    """What tasks are sent by, in files.

    Args:
        boundaries: counts what is published.
    """

    def __init__(self, boundaries: Boundaries) -> None:
        self._boundaries = boundaries
        home = Path(os.environ["POLOS_HOME"])
        home.mkdir(parents=True, exist_ok=True)
        self._sent, self._ended = home / "sent", home / "ended"
        tasks._BROKER_PAUSE = _PAUSE

    def split(self, key: str, signature: Any) -> Sequence[Any] | None:
        return signature if isinstance(signature, list) else None

    def send(self, sending: TaskSending) -> bool:
        try:
            self._boundaries.cross(PUBLISH, lambda: _append(self._sent, sending), _away)
        except BrokerAway:
            return False
        return True

    def revoke(self, task_ids: Sequence[str]) -> None:
        pass

    def take(self) -> TaskSending | None:
        """The next task that has not been acknowledged."""
        sent = [TaskSending(*it) for it in _lines(self._sent)]
        left = sent[len(_lines(self._ended)) :]
        if left and self._is_lost(left[0], sent):
            self.acknowledge(left[0])
            return self.take()
        return left[0] if left else None

    def acknowledge(self, task: TaskSending) -> None:
        _append(self._ended, task)

    def _is_lost(self, task: TaskSending, sent: list[TaskSending]) -> bool:
        return task.signature == "lost" or (task.signature == "lost twice" and len(sent) < 3)


def _append(path: Path, task: TaskSending) -> None:
    line = [task.execution_id, task.step_key, task.task_id, task.signature]
    with path.open("a") as file:
        file.write(f"{json.dumps(line)}\n")


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _away() -> None:
    raise BrokerAway
