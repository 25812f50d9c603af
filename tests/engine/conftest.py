"""An engine without Celery: the real store, and hints in a list that the test delivers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest

from polos.definition.handle import value_of
from polos.definition.registry import Registry, registry
from polos.definition.workflow_class import Workflow
from polos.engine.company import Company
from polos.engine.keeper import Keeper
from polos.engine.owner import this_process
from polos.engine.runner import Hop, Runner
from polos.model.outcome import Parked
from polos.model.records import Checkpoint, Execution, ExecutionId, Hint, NewExecution
from polos.model.settings import Settings
from polos.store.sql_store import SqlStore
from tests.support.sending import FakeSender


class Hints:
    """Stands in for the broker: keeps hints until they are due and the test delivers them."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, Hint]] = []

    def dispatch(self, hints: Sequence[Hint]) -> int:
        self.sent += [(time.monotonic() + hint.countdown, hint) for hint in hints]
        return len(hints)

    def is_away(self) -> bool:
        return False

    def take(self) -> Hint | None:
        """The next hint that is due."""
        for number, (due, hint) in enumerate(self.sent):
            if due <= time.monotonic():
                del self.sent[number]
                return hint
        return None


class Engine:
    """Runs executions in this thread, one delivery after another.

    Waits of half a second and more park, however long this process is kept from looking at them;
    those of a quarter are slept in place.
    """

    def __init__(self, url: str, **settings: Any) -> None:
        given = {"wait_threshold_seconds": 0.3, **settings}
        self.settings = Settings.load(database_url=url, auto_migrate=True, **given)
        self.store = SqlStore.open(self.settings)
        self.hints = Hints()
        self.sender = FakeSender()
        self.registry = Registry()
        self.keeper = Keeper(self.store, self.settings.lease_seconds)
        self.told_to_stop = False
        self.company = Company(stopping=lambda: self.told_to_stop)
        self.runner = Runner(
            self.store,
            self.hints,
            self.registry,
            self.settings,
            self.keeper,
            self.company,
            sender=self.sender,
        )

    def add(self, *workflows: Workflow[Any, Any]) -> None:
        for workflow in workflows:
            self.registry.add(workflow)

    def start(self, workflow: Workflow[Any, Any], payload: Any = None) -> str:
        self.registry.add(workflow)
        id_ = ExecutionId(str(uuid4()))
        data = workflow.encode_payload(payload, self.settings.max_value_bytes)
        self.store.start(NewExecution(id_, workflow.id, "default", data))
        return id_

    def deliver(self, id_: str) -> Hop:
        execution = self.get(id_)
        return self.runner.run(id_, execution.workflow_id, this_process())

    def get(self, id_: str) -> Execution:
        found = self.store.get(id_)
        assert found is not None
        return found

    def checkpoints(self, id_: str) -> dict[str, Checkpoint]:
        return {row.step_key: row for row in self.store.load(id_)[0]}

    def finish(self, id_: str, deadline: float = 20.0) -> Execution:
        """Deliver hints, waiting for what is due, until the execution has ended."""
        end = time.monotonic() + deadline
        self.deliver(id_)
        while not (found := self.get(id_)).status.ended:
            assert time.monotonic() < end, found
            self.hints.dispatch(self.store.wake_due(10))
            if not self.deliver_next():
                time.sleep(0.005)
        return found

    def deliver_next(self) -> bool:
        hint = self.hints.take()
        if hint is not None:
            self.runner.run(hint.execution_id, hint.workflow_id, this_process())
        return hint is not None

    def result(self, id_: str) -> Any:
        execution = self.finish(id_)
        return value_of(execution, self.registry.require(execution.workflow_id).result_type)

    def run(self, workflow: Workflow[Any, Any], payload: Any = None) -> Any:
        return self.result(self.start(workflow, payload))

    def forget(self, id_: str, *keys: str) -> None:
        """Forget an end and some checkpoints, as if the worker had died before writing them."""
        from sqlalchemy import delete, update

        from polos.store.schema import checkpoints, executions

        database = self.store.database
        database.run(
            delete(checkpoints).where(
                checkpoints.c.execution_id == id_, checkpoints.c.step_key.in_(keys)
            )
        )
        database.run(
            update(executions)
            .where(executions.c.id == id_)
            .values(status="queued", result=None, failure=None, finished_at=None)
        )


class Effects(Counter[str]):
    """Counts what was done, and fails so many times."""

    def do(self, key: str, fails: int = 0) -> str:
        self[key] += 1
        if self[key] <= fails:
            raise ConnectionError(f"{key} is away")
        return f"{key} {self[key]}"


def is_parked(hop: Hop) -> bool:
    return isinstance(hop.outcome, Parked)


@pytest.fixture(autouse=True)
def _own_workflows() -> Iterator[None]:
    """What a test defines is forgotten after it: ids are unique in a process."""
    with registry.scoped():
        yield


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    made = Engine(sqlite_url, foreign_grace=1.0)
    yield made
    made.keeper.stop()
    made.store.close()


@pytest.fixture
def done() -> Effects:
    """What steps did."""
    return Effects()
