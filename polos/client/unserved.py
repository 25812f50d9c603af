"""Whether an execution waits for a worker that there isn't."""

from __future__ import annotations

from polos.model.records import Execution, Micros
from polos.model.states import Status
from polos.model.unclaimed import unclaimed
from polos.store.overview import seen_workers
from polos.store.sql_store import SqlStore


def unserved(store: SqlStore, execution: Execution, now: Micros, queue: str = "") -> str:
    """Why no worker takes it, and what to do; empty where it can't run yet, or one should.

    Args:
        store: where it and the workers are.
        execution: its row.
        now: the database's time.
        queue: where Celery routes its workflow; empty where that isn't known.
    """
    if not _could_run(execution, now):
        return ""
    alive = [
        seen.report for seen in seen_workers(store.database, store.project_id) if seen.is_alive
    ]
    return unclaimed(execution.workflow_id, execution.queue or queue, alive)


def _could_run(execution: Execution, now: Micros) -> bool:
    match execution.status:
        case Status.QUEUED:
            return execution.wake_at is None or execution.wake_at <= now
        case Status.WAITING:
            return execution.wake_at is not None and execution.wake_at <= now
    return False
