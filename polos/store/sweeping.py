"""What the keeper and the sweep ask of the store; each function is one duty or one heartbeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Row,
    Select,
    bindparam,
    func,
    or_,
    select,
    update,
)

from polos.model.records import SECOND, Execution, Hint, micros
from polos.model.states import ENDED, WAKE, Status
from polos.model.workers import ANYTHING, Reach, Renewal
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.executions import REDISPATCH_AFTER, change, one_of
from polos.store.rows import execution_of, hint_of, steps_text
from polos.store.schema import executions as table
from polos.store.unindexed import of_project

_workflows: Any = bindparam("workflows", expanding=True)


def _some(*conditions: ColumnElement[bool]) -> Select[Any]:
    chosen = (
        select(table.c.id)
        .where(
            of_project(),
            or_(bindparam("any_workflow", type_=Boolean), table.c.workflow_id.in_(_workflows)),
            *conditions,
        )
        .order_by(table.c.dispatch_at)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True, key_share=True)
    )
    # A plain subquery may be run again for each row, and then takes more than its limit.
    return select(chosen.cte("chosen").c.id)


# All that a hint and the order of hints need; payloads and results may be large.
_hinted = (
    table.c.id,
    table.c.workflow_id,
    table.c.queue,
    table.c.priority,
    table.c.celery_options,
    table.c.created_at,
)
# A subquery is evaluated once, and before the index is searched. PostgreSQL evaluates its clock for
# each row else, and so visits them all.
_to_send = table.c.dispatch_at <= select(now_micros()).scalar_subquery()
_waiting = table.c.status == Status.WAITING.value
_queued = table.c.status == Status.QUEUED.value
_near = table.c.wake_at <= now_micros() + bindparam("early")

_wake_due = change(WAKE, which=table.c.id.in_(_some(_to_send, _waiting, _near))).returning(*_hinted)
_wake_one = change(WAKE).returning(*_hinted)
_send_ahead = (
    update(table)
    .where(table.c.id.in_(_some(_to_send, _waiting, ~_near)))
    .values(dispatch_at=table.c.wake_at + SECOND)
    .returning(*_hinted, table.c.wake_at, (table.c.wake_at - now_micros()).label("ahead"))
)
_in_queues = or_(
    bindparam("any_queue", type_=Boolean),
    table.c.queue.is_(None),
    table.c.queue.in_(bindparam("queues", expanding=True)),
)
_redispatch = (
    update(table)
    .where(table.c.id.in_(_some(_to_send, _in_queues, or_(_queued, table.c.unannounced))))
    .values(
        dispatches=table.c.dispatches + 1,
        dispatch_at=now_micros() + REDISPATCH_AFTER,
    )
    .returning(*_hinted)
)
_unclaimed = select(table.c.id).where(
    table.c.id.in_(bindparam("ids", expanding=True)),
    table.c.dispatch_at.is_not(None),
    table.c.dispatches > 0,
)
_unlocked = update(table).where(
    table.c.id.in_(
        select(table.c.id)
        .where(table.c.lease_token.in_(bindparam("tokens", expanding=True)))
        .where(table.c.id.in_(bindparam("ids", expanding=True)))
        .with_for_update(skip_locked=True, key_share=True)
    )
)
_renew = _unlocked.values(lease_expires_at=now_micros() + bindparam("lease"))
_note = _unlocked.values(lease_steps=bindparam("steps")).returning(table.c.id)
_held = select(table.c.lease_token, table.c.cancel_requested_at, table.c.wakeups).where(
    table.c.id.in_(bindparam("ids", expanding=True)),
    table.c.lease_token.in_(bindparam("tokens", expanding=True)),
)
_renew_owner = (
    update(table)
    .where(
        table.c.id.in_(
            select(table.c.id)
            .where(
                table.c.lease_owner == bindparam("owner"),
                table.c.id.in_(bindparam("ids", expanding=True)),
            )
            .with_for_update(skip_locked=True, key_share=True)
        )
    )
    .values(lease_expires_at=now_micros() + bindparam("lease"))
)
_owners = (
    select(table.c.lease_owner)
    .where(
        of_project(),
        table.c.lease_expires_at.is_not(None),
        table.c.lease_owner.is_not(None),
    )
    .distinct()
)
_lost = select(table).where(
    of_project(),
    table.c.lease_expires_at.is_not(None),
    or_(
        table.c.lease_expires_at < now_micros() - bindparam("grace"),
        table.c.lease_owner.in_(bindparam("dead", expanding=True)),
    ),
)
_undelivered = (
    update(table)
    .where(table.c.id.in_(bindparam("ids", expanding=True)), _queued)
    .values(dispatch_at=now_micros())
)
_unserved = (
    select(table.c.workflow_id, func.count().label("number"), func.min(table.c.id).label("example"))
    .where(
        of_project(),
        _to_send,
        _queued,
        table.c.workflow_id.not_in(_workflows),
    )
    .group_by(table.c.workflow_id)
    .order_by(table.c.workflow_id)
    .limit(bindparam("most"))
)
_announced = (
    update(table)
    .where(table.c.id == bindparam("the_id"), table.c.unannounced, one_of(ENDED))
    .values(unannounced=False, dispatch_at=None)
)
# A lease that this process must not judge by its expiry: a century.
_NEVER = micros(3_200_000_000)


def _reached(reach: Reach) -> dict[str, Any]:
    return {
        "any_workflow": reach.workflows is None,
        "workflows": list(reach.workflows or ()),
        "any_queue": reach.queues is None,
        "queues": list(reach.queues or ()),
    }


def wake_due(
    database: Database, project_id: str, early: float, most: int, reach: Reach = ANYTHING
) -> tuple[Hint, ...]:
    """Queue the waiting executions whose time has come; their hints."""
    named = {"project": project_id, "early": micros(early), "most": most, **_reached(reach)}
    return tuple(hint_of(row, "wait ended") for row in database.run(_wake_due, named))


def wake_one(database: Database, execution_id: str) -> tuple[Hint, ...]:
    """Queue a waiting execution, whatever it waits for; its hint."""
    rows = database.run(_wake_one, {"the_id": execution_id})
    return tuple(hint_of(row, "wait skipped") for row in rows)


def send_ahead(
    database: Database, project_id: str, early: float, most: int, reach: Reach = ANYTHING
) -> tuple[Hint, ...]:
    """Hints with a countdown for the waits that end soon."""
    named = {"project": project_id, "early": micros(early), "most": most, **_reached(reach)}
    rows = database.run(_send_ahead, named)
    return tuple(
        hint_of(row, "wait ends", max(0.0, row.ahead / SECOND), row.wake_at) for row in rows
    )


def redispatch(
    database: Database, project_id: str, most: int, reach: Reach = ANYTHING
) -> tuple[Hint, ...]:
    """Hints, oldest first, each again after a while; how many are sent, ``Demand`` decides.

    For executions that nobody claimed, and for ends that Celery has not stored: a chain or a
    result waits for those.
    """
    named = {"project": project_id, "most": most, **_reached(reach)}
    rows = database.run(_redispatch, named)
    return tuple(hint_of(row, "sent again") for row in sorted(rows, key=_age))


def unclaimed(database: Database, ids: Sequence[str]) -> frozenset[str]:
    """Those for which a hint was sent again, and which nobody has claimed since."""
    return frozenset(row.id for row in database.run(_unclaimed, {"ids": list(ids)}))


def renew(
    database: Database, leases: Sequence[tuple[str, str]], lease: float
) -> tuple[Renewal, ...]:
    """Prolong leases, given as (execution id, token), by ``lease`` seconds from now.

    A row that somebody has locked is skipped: the next heartbeat comes in time.
    """
    named = {"ids": [pair[0] for pair in leases], "tokens": [pair[1] for pair in leases]}
    database.run(_renew, named | {"lease": micros(lease)})
    held = {row.lease_token: row for row in database.run(_held, named)}
    return tuple(
        Renewal(token, True, held[token].cancel_requested_at is not None, held[token].wakeups)
        if token in held
        else Renewal(token, False)
        for _, token in leases
    )


def note(database: Database, execution_id: str, token: str, keys: Sequence[str]) -> bool:
    """Note for people which steps are executing; False where the row is locked, or not held."""
    named = {"ids": [execution_id], "tokens": [token], "steps": steps_text(keys)}
    return bool(database.run(_note, named))


def renew_owner(database: Database, owner: str, ids: Sequence[str], lease: float) -> None:
    """Prolong leases of a process that lives but can't speak for itself."""
    database.run(_renew_owner, {"owner": owner, "ids": list(ids), "lease": micros(lease)})


def owners(database: Database, project_id: str) -> tuple[str, ...]:
    """Who holds leases."""
    return tuple(row.lease_owner for row in database.run(_owners, {"project": project_id}))


def lost(
    database: Database, project_id: str, dead: Sequence[str], *, trust_expiry: bool
) -> tuple[tuple[Execution, str], ...]:
    """Running executions whose worker is gone, each with the token of its lost lease.

    Args:
        dead: owners known to be dead.
        trust_expiry: whether leases that ran out count; not so shortly after an outage.
    """
    named = {"project": project_id, "dead": list(dead), "grace": 0 if trust_expiry else _NEVER}
    rows = database.run(_lost, named)
    return tuple((execution_of(row), row.lease_token) for row in rows)


def undelivered(database: Database, execution_ids: Sequence[str]) -> None:
    """The broker did not take these hints: they are due as soon as it is back."""
    database.run(_undelivered, {"ids": list(execution_ids)})


def unserved(
    database: Database, project_id: str, workflows: Sequence[str], most: int
) -> tuple[tuple[str, int, str], ...]:
    """Workflows with due executions that are not among ``workflows``: id, how many, one of them."""
    named = {"project": project_id, "workflows": list(workflows), "most": most}
    rows = database.run(_unserved, named)
    return tuple((row.workflow_id, row.number, row.example) for row in rows)


def announced(database: Database, execution_id: str) -> None:
    """Celery has stored the end, and sent what follows it."""
    database.run(_announced, {"the_id": execution_id})


def _age(row: Row[Any]) -> int:
    return int(row.created_at)
