"""Ends executions whose time is over, whatever state they are in.

One that never ran fails at once. Any other is told as if it were cancelled, so that its cleanup
code can run, and fails when that is done. What does not end within a grace, because a plain
function can't be interrupted or no worker has the workflow, is failed from outside.
"""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select

from polos.errors import StoreError
from polos.model.outcome import timed_out
from polos.model.records import Checkpoint, Execution, Hint, Kind, micros
from polos.model.states import TIME_OUT, Status
from polos.store import cancelling
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.executions import change
from polos.store.outcomes import end_outside
from polos.store.rows import execution_of, failure_bytes
from polos.store.schema import executions as table
from polos.store.unindexed import of_project

log = logging.getLogger("polos.sweep")

_time_out = change(TIME_OUT, failure=bindparam("the_failure"), cancel_descends=True).returning(
    table.c.id
)
_time_out_unclaimed = _time_out.where(table.c.status == Status.QUEUED.value, table.c.claims == 0)
_now = select(now_micros()).scalar_subquery()
_over = (
    select(table, (table.c.deadline_at <= now_micros() - bindparam("grace")).label("at_once"))
    .where(
        of_project(),
        table.c.deadline_at <= _now,
        table.c.finished_at.is_(None),
        # Those that are told, and may clean up for a while, are left alone for that long.
        or_(
            table.c.cancel_requested_at.is_(None),
            table.c.deadline_at <= _now - bindparam("grace"),
        ),
    )
    .order_by(table.c.deadline_at)
    .limit(bindparam("most"))
)


def expire(database: Database, project_id: str, most: int, grace: float) -> tuple[Hint, ...]:
    """End those whose time is over; the hints for those that hear of it.

    Args:
        most: how many are looked at.
        grace: the seconds that one may take to clean up.
    """
    named = {"project": project_id, "most": most, "grace": micros(grace)}
    hints: tuple[Hint, ...] = ()
    for row in database.run(_over, named):
        try:
            hints += _expire_one(database, project_id, execution_of(row), bool(row.at_once))
        except StoreError:
            raise
        except Exception:
            log.exception("execution %s, whose time is over, can't be ended", row.id)
    return hints


def _expire_one(
    database: Database, project_id: str, execution: Execution, at_once: bool
) -> tuple[Hint, ...]:
    def work(connection: Connection) -> tuple[Hint, ...]:
        if at_once:
            return _fail(connection, execution, _time_out) or ()
        if execution.status is Status.QUEUED and not execution.claims:
            hints = _fail(connection, execution, _time_out_unclaimed)
            if hints is not None:
                return hints
        return cancelling.tell(connection, execution.id)[1]

    hints = database.transaction(work)
    return hints + cancelling.descend(database, project_id, execution.id)


def _fail(connection: Connection, execution: Execution, statement: Any) -> tuple[Hint, ...] | None:
    failure = timed_out(execution.run_timeout)
    values = {"the_id": execution.id, "the_failure": failure_bytes(failure)}
    ending = Checkpoint("", Kind.CHILD, failure=failure)
    return end_outside(connection, execution, statement, values, ending)
