"""What was seen during a run: calls of step functions, and what the database held at each look."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from polos.model.records import Checkpoint, Execution, Wait
from polos.store.clock import now_micros
from polos.store.rows import checkpoint_of, execution_of, wait_of
from polos.store.schema import checkpoints, executions, waits
from polos.store.sql_store import SqlStore


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
        joined = checkpoints.join(executions, checkpoints.c.execution_id == executions.c.id)
        rows = self.store.database.run(
            select(checkpoints)
            .select_from(joined)
            .where(executions.c.project_id == self.store.project_id)
            .order_by(checkpoints.c.turn, checkpoints.c.position)
        )
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
        query = select(waits).where(waits.c.execution_id == execution_id)
        return [wait_of(row) for row in self.store.database.run(query)]

    def executions(self) -> dict[str, Execution]:
        """All executions, oldest first."""
        query = (
            select(executions)
            .where(executions.c.project_id == self.store.project_id)
            .order_by(executions.c.created_at)
        )
        rows = self.store.database.run(query)
        return {row.id: execution_of(row) for row in rows}

    def leases(self) -> list[str]:
        """The executions that somebody holds."""
        query = select(executions.c.id).where(
            executions.c.project_id == self.store.project_id,
            executions.c.lease_token.is_not(None),
        )
        return [row.id for row in self.store.database.run(query)]

    def now(self) -> int:
        """The database's time."""
        return int(self.store.database.run(select(now_micros().label("now")))[0].now)
