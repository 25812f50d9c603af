"""The statements on executions: start, read, claim, and the one that changes a state."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Update,
    bindparam,
    case,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from polos.errors import ExecutionExists, StoreUnavailable
from polos.model.records import (
    SECOND,
    Claimed,
    Execution,
    ExecutionId,
    Micros,
    NewExecution,
    micros,
)
from polos.model.states import CLAIM, ENDED, Status, Transition
from polos.model.workers import Bid
from polos.store import tags
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.listening import told
from polos.store.prebuilt import Prebuilt, run_in
from polos.store.rows import begun, execution_of, new_values
from polos.store.schema import executions as table

# The sweep sends a hint again when it was not claimed this long after it was sent.
REDISPATCH_AFTER = micros(5)

# NULL in the text: a parameter costs more than all that is done with it.
_NO_LEASE: dict[str, Any] = dict.fromkeys(
    ("lease_token", "lease_owner", "lease_worker", "lease_expires_at", "lease_steps"), null()
)
# Of an execution that had ended and is tried again.
_REOPENED: dict[str, Any] = {
    "finished_at": null(),
    "failure": null(),
    "cancel_requested_at": null(),
    "cancel_descends": False,
    # Of its old end nobody is to hear any more; who still tells it leaves this row alone.
    "unannounced": False,
    "recoveries": 0,
    "wake_after": null(),
    "retried": table.c.retried + 1,
    "retries_used": 0,
    "deadline_at": now_micros() + table.c.run_timeout,
}


def one_of(statuses: Collection[Status]) -> ColumnElement[bool]:
    """Whether an execution is in one of these states; they are part of the statement's text."""
    return table.c.status.in_([literal_column(f"'{status.value}'") for status in sorted(statuses)])


def change(
    transition: Transition, *, which: ColumnElement[bool] | None = None, **values: Any
) -> Update:
    """The only way a status is written: from the states, and with the lease, that the table allows.

    Parameters of the statement: ``the_id`` (unless ``which`` says which rows), and ``the_token``
    for a fenced transition.
    """
    conditions = [
        table.c.id == bindparam("the_id") if which is None else which,
        one_of(transition.sources),
    ]
    if transition.fenced:
        conditions.append(table.c.lease_token == bindparam("the_token"))
    target = transition.target
    fixed: dict[str, Any] = {"status": target.value}
    if Status.RUNNING in transition.sources:
        fixed |= _NO_LEASE
    if ENDED & transition.sources:
        fixed |= _REOPENED
    if target in ENDED:
        # Celery has to store the end too; the sweep sends it again where that fails.
        again = case((table.c.known_to_celery, now_micros() + REDISPATCH_AFTER), else_=null())
        fixed |= {"finished_at": now_micros(), "dispatch_at": again, "wake_at": null()}
        fixed |= {"unannounced": table.c.known_to_celery, "dispatches": 0, "start_by": null()}
        # In a SET: so no statement that ends an execution can forget it.
        fixed["listener"] = told(table.c.listener, table.c.id)
    if target is Status.QUEUED:
        fixed |= {
            "dispatch_at": now_micros() + REDISPATCH_AFTER,
            "wake_at": null(),
            "dispatches": 0,
        }
    return update(table).where(*conditions).values(fixed | values)


def wake_time() -> dict[str, ColumnElement[Any]]:
    """The columns of one that waits until ``wake``, whose hint is sent ``horizon`` before that."""
    wake: Any = bindparam("wake", type_=BigInteger)
    near = wake <= now_micros() + bindparam("horizon", type_=BigInteger)
    return {
        "wake_at": wake,
        # The hint for what is near is sent at once; the sweep does it where that is lost.
        "dispatch_at": case((near, wake + SECOND), else_=wake - bindparam("horizon")),
    }


def moments(delay: Any, until_deadline: Any, start_within: Any) -> dict[str, ColumnElement[Any]]:
    """The columns of a new execution that the database's clock gives."""
    return {
        "created_at": now_micros(),
        # A delayed one waits; its hint is sent by the sweep, as that of any long wait.
        "wake_at": now_micros() + delay,
        "dispatch_at": now_micros() + func.coalesce(delay, REDISPATCH_AFTER),
        "deadline_at": now_micros() + until_deadline,
        "start_by": now_micros() + start_within,
    }


_insert = insert(table).values(
    **moments(
        bindparam("delay", type_=BigInteger),
        bindparam("until_deadline"),
        bindparam("start_within", type_=BigInteger),
    )
)
# The columns that ``new_values`` gives.
GIVEN = [name for name in new_values(NewExecution(ExecutionId(""), "", "", b"")) if name in table.c]
_insert_returning = Prebuilt(
    _insert.returning(table.c.created_at, table.c.wake_at, table.c.deadline_at), columns=GIVEN
)
_by_id = Prebuilt(
    select(table).where(
        table.c.id == bindparam("the_id"), table.c.project_id == bindparam("project")
    )
)
_by_idempotency = select(table).where(
    table.c.project_id == bindparam("project"),
    table.c.workflow_id == bindparam("workflow"),
    table.c.idempotency_key == bindparam("key"),
)
_known = select(table.c.id).where(
    table.c.id.in_(bindparam("ids", expanding=True)), table.c.project_id == bindparam("project")
)
_is_over = (table.c.project_id == bindparam("project"), one_of(ENDED))
_ended = select(table).where(table.c.id.in_(bindparam("ids", expanding=True)), *_is_over)
_one_ended = Prebuilt(select(table).where(table.c.id == bindparam("the_id"), *_is_over))
_claim = Prebuilt(
    change(
        CLAIM,
        lease_token=bindparam("token"),
        lease_owner=bindparam("owner"),
        lease_worker=bindparam("worker"),
        lease_expires_at=now_micros() + bindparam("lease"),
        lease_accountable=bindparam("accountable"),
        lease_steps=null(),
        claims=table.c.claims + 1,
        started_at=func.coalesce(table.c.started_at, now_micros()),
        dispatch_at=null(),
        dispatches=0,
        wake_at=null(),
        # It has begun: from here on it may take its time.
        start_by=null(),
    )
    .where(
        table.c.project_id == bindparam("project"),
        table.c.workflow_id == bindparam("workflow"),
        or_(
            table.c.status == Status.QUEUED.value,
            table.c.wake_at <= now_micros() + bindparam("early"),
        ),
        or_(table.c.start_by.is_(None), table.c.start_by > now_micros()),
    )
    .returning(table, now_micros().label("claimed_at"))
)
_claimed_as = select(table, now_micros().label("claimed_at")).where(
    table.c.id == bindparam("the_id"), table.c.lease_token == bindparam("token")
)


def insert_execution(
    connection: Connection, new: NewExecution, *, parent_waits: bool = False
) -> None:
    """Write the row of a new execution, and its tags, in the caller's transaction."""
    insert_executions(connection, [new_values(new, parent_waits=parent_waits)])
    tags.write(connection, [new])


def insert_executions(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of new executions, as ``new_values`` gives them."""
    if rows:
        connection.execute(_insert, rows)


def start(database: Database, new: NewExecution) -> tuple[Execution, bool]:
    """Write a new execution, or find the one with its idempotency key.

    One whose answer was lost is written again; its id tells whether the first try took effect.
    """
    try:
        return _start(database, new)
    except StoreUnavailable as error:
        if not error.uncertain:
            raise
    try:
        found, fresh = _start(database, new)
        return found, fresh or found.id == new.id
    except ExecutionExists:
        written = get(database, new.project_id, new.id)
        if written is None or not _is_written(written, new):
            raise
        return written, True


def get(database: Database, project_id: str, execution_id: str) -> Execution | None:
    """The execution, if this project has it."""
    rows = database.run(_by_id, {"the_id": execution_id, "project": project_id})
    return execution_of(rows[0]) if rows else None


def known(database: Database, project_id: str, ids: Sequence[str]) -> frozenset[str]:
    """Those of the given ids that are executions."""
    rows = database.run(_known, {"ids": list(ids), "project": project_id})
    return frozenset(row.id for row in rows)


def ended(database: Database, project_id: str, ids: Sequence[str]) -> dict[str, Execution]:
    """Those of the given executions that have ended."""
    if len(ids) == 1:
        rows = database.run(_one_ended, {"the_id": ids[0], "project": project_id})
    else:
        rows = database.run(_ended, {"ids": list(ids), "project": project_id})
    return {row.id: execution_of(row) for row in rows}


def claim(database: Database, project_id: str, bid: Bid, early: float) -> Claimed | None:
    """Take the lease of an execution that is queued or due; one statement, one round trip."""
    named = {"the_id": bid.execution_id, "token": bid.token}
    rows = database.run(_claimed_as, named) if bid.again else ()
    rows = rows or database.run(
        _claim,
        named
        | {
            "project": project_id,
            "workflow": bid.workflow_id,
            "owner": str(bid.owner),
            "worker": bid.owner.worker,
            "lease": micros(bid.lease),
            "early": micros(early),
            "accountable": bid.accountable,
        },
    )
    if not rows:
        return None
    return Claimed(execution_of(rows[0]), bid.token, Micros(rows[0].claimed_at))


def _start(database: Database, new: NewExecution) -> tuple[Execution, bool]:
    try:
        rows = _insert_one(database, new)
    except IntegrityError:
        existing = _same_idempotency_key(database, new)
        if existing is None:
            raise ExecutionExists(new.id) from None
        return existing, False
    [row] = rows
    return begun(new, row.created_at, row.wake_at, row.deadline_at), True


def _insert_one(database: Database, new: NewExecution) -> Sequence[Any]:
    if not new.tags:
        return database.run(_insert_returning, new_values(new))

    def work(connection: Connection) -> Sequence[Any]:
        rows = run_in(connection, _insert_returning, new_values(new))
        tags.write(connection, [new])
        return rows

    return database.transaction(work)


def _is_written(found: Execution, new: NewExecution) -> bool:
    return (found.workflow_id, found.payload) == (new.workflow_id, new.payload)


def _same_idempotency_key(database: Database, new: NewExecution) -> Execution | None:
    if new.idempotency_key is None:
        return None
    key = {"project": new.project_id, "workflow": new.workflow_id, "key": new.idempotency_key}
    rows = database.run(_by_idempotency, key)
    return execution_of(rows[0]) if rows else None
