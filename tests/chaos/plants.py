"""Bugs that workers are given on purpose, so that the invariants are seen to fail.

A worker that imports this module has the one that the environment names.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from sqlalchemy import bindparam, select

from polos.binding import bound
from polos.codec import encode
from polos.engine.effects import AttemptEffects
from polos.engine.keeper import Keeper
from polos.model.records import Checkpoint, ExecutionId, Kind, Micros, NewExecution, Wait, micros
from polos.model.states import Status
from polos.store import checkpoints, outcomes
from polos.store.executions import insert_execution
from polos.store.schema import executions
from polos.store.sql_store import SqlStore
from tests.chaos import ledger

VARIABLE = "CHAOS_PLANT"
# By so much that a wait is short although a slow machine ends it late.
_HURRY = 5.0


def die_once(where: str) -> None:
    """SIGKILL to this process, the first time that any comes here."""
    marker = Path(os.environ[ledger.VARIABLE]).with_name(f"died-{where}")
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def wake_is_lost() -> None:
    """A completion is counted, but what waits for it is not queued."""
    right = outcomes.lock

    def lock(connection: Any, execution_id: str) -> Any:
        locked = right(connection, execution_id)
        running = locked._asdict() | {"status": Status.RUNNING.value}
        return SimpleNamespace(**running)

    outcomes.lock = lock


def steps_are_forgotten() -> None:
    """An attempt does not get to see the checkpoints of steps."""
    whole = checkpoints.load
    checkpoints.load = lambda database, execution_id: tuple(
        row for row in whole(database, execution_id) if row.kind is not Kind.STEP
    )


def waits_are_short() -> None:
    """A wait is due before its time."""
    right = AttemptEffects.wait_until

    async def wait_until(self: AttemptEffects, key: str, due: Callable[[], Micros]) -> None:
        await right(self, key, lambda: Micros(due() - micros(_HURRY)))

    AttemptEffects.wait_until = wait_until


def child_apart() -> None:
    """A child is written before what its parent keeps of it, under an id of its own."""

    def start_child(
        self: SqlStore, parent_id: str, token: str, child: NewExecution, row: Checkpoint | Wait
    ) -> Any:
        apart = replace(child, id=ExecutionId(str(uuid4())))
        self.database.transaction(lambda it: insert_execution(it, apart))
        die_once("between")
        assert isinstance(row, Checkpoint)
        self.checkpoint(parent_id, token, [replace(row, value=encode(apart.id))])
        return self.get(apart.id)

    SqlStore.start_child = start_child


def hints_make_rows() -> None:
    """A hint whose execution is not there is taken for a start."""
    bound.HINT_HEADER = "not_looked_at"


def ends_are_not_announced() -> None:
    """An end counts as told to Celery as soon as it is committed, and then the process dies."""
    right = bound.Bound.deliver

    def deliver(self: bound.Bound, request: Any, *rest: Any) -> Any:
        delivery = right(self, request, *rest)
        if delivery.result is not None:
            self.store.announced(request.id)
            die_once("before Celery knew")
        return delivery

    bound.Bound.deliver = deliver


def waits_are_left() -> None:
    """An end leaves the waits of its execution."""
    right = outcomes.end_in
    outcomes.end_in = lambda *given, **named: right(*given, **(named | {"has_waits": False}))


def writes_are_apart() -> None:
    """What a transaction step writes is committed before its checkpoint."""

    def transact(self: SqlStore, execution_id: str, token: str, make: Any) -> bool:
        with self.transactor() as connection:
            rows = make(connection)
        die_once("between")
        self.checkpoint(execution_id, token, rows)
        return True

    SqlStore.transact = transact


def zombies_go_on() -> None:
    """Whoever has lost a lease does not hear of it, and its checkpoints are not refused."""
    anybody = select(executions.c.id).where(
        executions.c.id == bindparam("the_id"), bindparam("the_token").is_not(None)
    )
    checkpoints.fence = checkpoints.holds_lease = anybody
    Keeper.heartbeat = lambda self: None


PLANTS = {
    plant.__name__: plant
    for plant in (
        wake_is_lost,
        steps_are_forgotten,
        waits_are_short,
        child_apart,
        hints_make_rows,
        ends_are_not_announced,
        waits_are_left,
        writes_are_apart,
        zombies_go_on,
    )
}

if os.environ.get(VARIABLE):
    PLANTS[os.environ[VARIABLE]]()
