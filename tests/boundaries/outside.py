"""The tables as somebody sees and moves them who is not part of what is tried."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, literal, or_, select, update

from polos.model.states import Status
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.schema import checkpoints, executions, leaders, metadata, waits
from tests.boundaries.corpus import writings

_SOON = 60_000_000
_LONG_AGO = 1


@dataclass(frozen=True, slots=True)
class Tables:
    """All rows that matter, by their keys, each as a plain dict."""

    executions: dict[str, dict[str, Any]]
    checkpoints: dict[tuple[str, str], dict[str, Any]]
    waits: dict[tuple[str, str], dict[str, Any]]
    writings: Counter[tuple[str, str]]


class Outside:
    """Reads the tables, and lets time pass in them.

    Args:
        url: the database.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, synchronous="OFF")

    def executions(self) -> list[Row[Any]]:
        """All executions, with the database's time as ``now``."""
        rows = self._database.run(select(executions, now_micros().label("now")))
        return list(rows)

    def tables(self) -> Tables:
        """Everything, as it is now."""
        run = self._database.run
        return Tables(
            {row.id: dict(row._mapping) for row in run(select(executions))},
            {
                (row.execution_id, row.step_key): dict(row._mapping)
                for row in run(select(checkpoints))
            },
            {(row.execution_id, row.step_key): dict(row._mapping) for row in run(select(waits))},
            Counter((row.execution_id, row.step) for row in run(select(writings))),
        )

    def prepare(self) -> None:
        """Make the table that transaction steps write to."""
        self._database.transaction(lambda it: writings.create(it, checkfirst=True))

    def let_time_pass(self, owner: str) -> None:
        """As if those seconds had gone by after which a hint is sent again and a lease runs out.

        Of leases only those of ``owner``: what a dead process held must be known without that.
        """
        unsent = or_(executions.c.status == Status.QUEUED.value, executions.c.unannounced)
        due = executions.c.wake_at <= now_micros()
        run = self._database.run
        run(update(executions).where(unsent).values(dispatch_at=literal(_LONG_AGO)))
        run(update(executions).where(due).values(dispatch_at=executions.c.wake_at))
        held = executions.c.lease_owner == owner
        run(update(executions).where(held).values(lease_expires_at=literal(_LONG_AGO)))
        run(update(leaders).values(expires_at=literal(_LONG_AGO)))

    def let_deadline_pass(self, execution_id: str) -> None:
        """As if its time were over."""
        late = update(executions).where(executions.c.id == execution_id)
        self._database.run(late.values(deadline_at=now_micros()))

    def empty(self) -> None:
        """Delete everything."""
        for table in [writings, *reversed(metadata.sorted_tables)]:
            self._database.run(delete(table))

    def close(self) -> None:
        """Close all connections, as before a fork."""
        self._database.close()


def is_quiet(rows: list[Row[Any]], root: str) -> bool:
    """Whether the root has ended and nothing else will happen soon."""
    ended = any(row.id == root and Status(row.status).ended for row in rows)
    return ended and not any(is_busy(row) for row in rows)


def is_busy(row: Row[Any]) -> bool:
    """Whether something is to happen with an execution soon."""
    if row.cancel_descends or row.unannounced:
        return True
    if row.status == Status.WAITING.value:
        return row.wake_at is not None and row.wake_at < row.now + _SOON
    return row.status in {Status.QUEUED.value, Status.RUNNING.value}
