"""What was seen during a run: calls of step functions, and what the database held at each look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Executable, Row, bindparam, or_, select

from polos.model.records import Checkpoint, Execution, Wait, micros
from polos.model.states import Status
from polos.store.clock import now_micros
from polos.store.rows import checkpoint_of, execution_of, wait_of
from polos.store.schema import checkpoints, executions, waits
from polos.store.sql_store import SqlStore

_HOUR = micros(3600)
_of_project = executions.c.project_id == bindparam("project")
_checkpoints = (
    select(checkpoints)
    .select_from(checkpoints.join(executions, checkpoints.c.execution_id == executions.c.id))
    .where(_of_project)
    .order_by(checkpoints.c.turn, checkpoints.c.position)
)
_waits = select(waits).where(waits.c.execution_id == bindparam("the_id"))
_executions = select(executions).where(_of_project).order_by(executions.c.created_at)
_held = select(executions.c.id).where(_of_project, executions.c.lease_token.is_not(None))
_busy = select(executions.c.id).where(
    _of_project,
    or_(
        executions.c.status.in_([Status.QUEUED.value, Status.RUNNING.value]),
        executions.c.wake_at < now_micros() + _HOUR,
    ),
)


@dataclass
class Call:
    """One call of a step's function.

    Attributes:
        hop: in which delivery.
        recorded: whether what it came to was committed.
    """

    execution_id: str
    key: str
    given: str
    hop: Any
    recorded: bool = False


@dataclass
class Ledger:
    """Looks at one project, after each hop, and keeps all that it saw.

    Attributes:
        calls: all calls of steps' functions.
        seen: the checkpoints of each execution, in their order, as last seen.
        unsettled: what changed that must never change, told as text.
    """

    store: SqlStore
    calls: list[Call] = field(default_factory=list)
    seen: dict[str, list[Checkpoint]] = field(default_factory=dict)
    unsettled: list[str] = field(default_factory=list)

    def called(self, execution_id: str, key: str, given: Any, hop: Any) -> Call:
        """Write down that a step's function begins."""
        call = Call(execution_id, key, repr(given), hop)
        self.calls.append(call)
        return call

    def committed(self, calls: list[Call], name: str, args: tuple[Any, ...]) -> None:
        """Write down which calls of a hop a write to the store has recorded."""
        rows: list[Any] = []
        if name == "checkpoint":
            rows = list(args[2])
        elif name == "keep_wait":
            rows = [args[2]]
        keys = {row.step_key for row in rows}
        for call in calls:
            if call.key in keys:
                call.recorded = True

    def attempts_recorded(self, execution_id: str, key: str) -> int:
        """How many failed attempts of a step in back-off are recorded."""
        return next((wait.attempts for wait in self.waits(execution_id) if wait.step_key == key), 0)

    def look(self) -> None:
        """Compare what is recorded now with what was recorded before."""
        fresh: dict[str, list[Checkpoint]] = {}
        rows = self._run(_checkpoints)
        for row in rows:
            fresh.setdefault(row.execution_id, []).append(checkpoint_of(row))
        for execution_id, before in self.seen.items():
            now = {row.step_key: row for row in fresh.get(execution_id, [])}
            self.unsettled += [
                f"{execution_id}: {row} became {now.get(row.step_key)}"
                for row in before
                if now.get(row.step_key) != row
            ]
        self.seen = fresh

    def recorded(self, execution_id: str) -> dict[str, Checkpoint]:
        """The checkpoints of an execution, in their order."""
        return {row.step_key: row for row in self.seen.get(execution_id, [])}

    def waits(self, execution_id: str) -> list[Wait]:
        """What an execution waits for."""
        rows = self.store.database.run(_waits, {"the_id": execution_id})
        return [wait_of(row) for row in rows]

    def executions(self) -> dict[str, Execution]:
        """All executions, oldest first."""
        return {row.id: execution_of(row) for row in self._run(_executions)}

    def held(self) -> list[str]:
        """The executions that somebody has a lease of."""
        return [row.id for row in self._run(_held)]

    def busy(self) -> bool:
        """Whether something runs, is to run, or ends its wait within the hour."""
        return bool(self._run(_busy))

    def _run(self, query: Executable) -> Sequence[Row[Any]]:
        return self.store.database.run(query, {"project": self.store.project_id})
