"""Workers as they report themselves, the workflows they have, and who sweeps."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from polos.model.records import micros
from polos.model.workers import SweepCounts, WorkerReport
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.schema import leaders, workers, workflows
from polos.store.upserts import insert_missing

log = logging.getLogger("polos.store")

_seen = (
    update(workers)
    .where(workers.c.project_id == bindparam("project"), workers.c.name == bindparam("the_name"))
    .values(
        owner=bindparam("the_owner"),
        slots=bindparam("the_slots"),
        idle=bindparam("the_idle"),
        queues=bindparam("the_queues"),
        workflows=bindparam("the_workflows"),
        broker=bindparam("the_broker"),
        counts=bindparam("the_counts"),
        seen_at=now_micros(),
    )
    .returning(workers.c.name)
)
_first_seen = insert(workers).values(
    project_id=bindparam("project"),
    name=bindparam("the_name"),
    owner=bindparam("the_owner"),
    slots=bindparam("the_slots"),
    idle=bindparam("the_idle"),
    queues=bindparam("the_queues"),
    workflows=bindparam("the_workflows"),
    broker=bindparam("the_broker"),
    counts=bindparam("the_counts"),
    seen_at=now_micros(),
)
_gone = delete(workers).where(
    workers.c.project_id == bindparam("project"), workers.c.name == bindparam("the_name")
)
_alive = select(workers).where(
    workers.c.project_id == bindparam("project"),
    workers.c.seen_at > now_micros() - bindparam("within"),
)
_lead = (
    update(leaders)
    .where(
        leaders.c.project_id == bindparam("project"),
        leaders.c.duty == bindparam("the_duty"),
        or_(leaders.c.holder == bindparam("the_holder"), leaders.c.expires_at < now_micros()),
    )
    .values(holder=bindparam("the_holder"), expires_at=now_micros() + bindparam("seconds"))
    .returning(leaders.c.duty)
)
_first_lead = insert(leaders).values(
    project_id=bindparam("project"),
    duty=bindparam("the_duty"),
    holder=bindparam("the_holder"),
    expires_at=now_micros() + bindparam("seconds"),
)
_step_down = delete(leaders).where(
    leaders.c.project_id == bindparam("project"), leaders.c.holder == bindparam("the_holder")
)
_known = select(workflows.c.id).where(workflows.c.project_id == bindparam("project"))
_row = {"project_id": bindparam("project"), "id": bindparam("the_id"), "seen_at": now_micros()}


def report(database: Database, project_id: str, worker: WorkerReport) -> None:
    """Say that this worker lives, and what it could take."""
    named = {
        "project": project_id,
        "the_name": worker.name,
        "the_owner": worker.owner,
        "the_slots": worker.slots,
        "the_idle": worker.idle,
        "the_queues": json.dumps(worker.queues),
        "the_workflows": json.dumps(worker.workflows),
        "the_broker": worker.broker,
        "the_counts": json.dumps(asdict(worker.counts)),
    }
    if database.run(_seen, named):
        return
    try:
        database.run(_first_seen, named)
    except IntegrityError:
        database.run(_seen, named)


def sign_off(database: Database, project_id: str, name: str, holder: str) -> None:
    """Say that this worker stops: it is no longer listed and no longer sweeps."""
    database.run(_gone, {"project": project_id, "the_name": name})
    database.run(_step_down, {"project": project_id, "the_holder": holder})


def alive(database: Database, project_id: str, within: float) -> tuple[WorkerReport, ...]:
    """The workers that reported within so many seconds."""
    rows = database.run(_alive, {"project": project_id, "within": micros(within)})
    return tuple(filter(None, map(report_of, rows)))


def report_of(row: Row[Any]) -> WorkerReport | None:
    """A worker's report; None where it can't be read: the others must still be seen."""
    try:
        queues, workflow_ids = (tuple(json.loads(text)) for text in (row.queues, row.workflows))
        counts = _counts(row.counts)
    except (TypeError, ValueError) as error:
        log.error("what worker %s reported can't be read: %s", row.name, error)
        return None
    return WorkerReport(
        name=row.name,
        owner=row.owner,
        slots=row.slots,
        idle=row.idle,
        queues=queues,
        workflows=workflow_ids,
        broker=row.broker,
        counts=counts,
    )


def _counts(text: str | None) -> SweepCounts:
    """What a worker counts: of an older release none, of a newer one those that are known here."""
    found = dict(json.loads(text or "{}"))
    known = {field.name for field in fields(SweepCounts)}
    return SweepCounts(**{name: found[name] for name in known & found.keys()})


def lead(database: Database, project_id: str, duty: str, holder: str, seconds: float) -> bool:
    """Take, or keep, a duty for so many seconds; False while another holder has it."""
    named = {
        "project": project_id,
        "the_duty": duty,
        "the_holder": holder,
        "seconds": micros(seconds),
    }
    if database.run(_lead, named):
        return True
    try:
        database.run(_first_lead, named)
    except IntegrityError:
        return False
    return True


def register_workflows(database: Database, project_id: str, ids: Iterable[str]) -> None:
    """Remember that a worker has these workflows."""
    # In one order everywhere: workers that start together must not wait for one another.
    wanted = sorted(set(ids))

    def work(connection: Connection) -> None:
        known = set(connection.execute(_known, {"project": project_id}).scalars())
        rows = [{"project": project_id, "the_id": id_} for id_ in wanted if id_ not in known]
        if rows:
            register = insert_missing(connection.dialect.name, workflows).values(_row)
            connection.execute(register, rows)

    database.transaction(work)


def known_workflows(database: Database, project_id: str) -> frozenset[str]:
    """The ids of all workflows that some worker has had."""
    return frozenset(row.id for row in database.run(_known, {"project": project_id}))
