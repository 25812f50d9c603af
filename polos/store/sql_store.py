"""The storage contract, kept by a SQL database, for one project."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, bindparam, select

from polos.errors import ExecutionExists, LeaseLost
from polos.model.outcome import Outcome
from polos.model.ports import Transactor
from polos.model.records import (
    Checkpoint,
    Claimed,
    Execution,
    Failure,
    Hint,
    Micros,
    NewExecution,
    Wait,
)
from polos.model.settings import Settings
from polos.model.workers import Bid, Owner
from polos.store import (
    batches,
    checkpoints,
    children,
    executions,
    listening,
    outcomes,
    tasks,
    transacting,
    waits,
)
from polos.store.clock import now_micros
from polos.store.connecting import framework_transactor
from polos.store.control import ControlStore
from polos.store.database import Database
from polos.store.listening import Line
from polos.store.migrate import ensure_schema
from polos.store.schema import executions as table
from polos.store.sweep_store import SweepStore

_wakeups = select(table.c.wakeups, table.c.cancel_requested_at).where(
    table.c.id == bindparam("the_id"), table.c.lease_token == bindparam("the_token")
)


class SqlStore(ControlStore, SweepStore):
    """Executions, checkpoints and waits of one project in one database.

    Args:
        database: where they are.
        project_id: only executions of this project are seen.
        early: seconds before its time at which a wait may already be claimed.
        horizon: seconds before its time at which a parked execution's hint is sent.
    """

    def __init__(
        self,
        database: Database,
        project_id: str = "default",
        *,
        early: float = 0.5,
        horizon: float = 30.0,
    ) -> None:
        self.database = database
        self.project_id = project_id
        # In whose transactions the functions of transaction steps are called.
        self.transactor: Transactor = database.begun
        self._early = early
        self._horizon = horizon

    @classmethod
    def open(cls, settings: Settings, *, connections: int = 4) -> SqlStore:
        """The store of these settings, its schema checked, and made where that is wished.

        Raises:
            StoreUnavailable: the database can't be reached.
            SchemaError: it has an older schema, or none.
        """
        database = Database(
            settings.database_url,
            synchronous=settings.sqlite_synchronous,
            connections=connections,
        )
        own = database.dialect == "sqlite"
        ensure_schema(database, migrate=own or settings.auto_migrate)
        store = cls(
            database,
            settings.project_id,
            early=settings.wait_threshold_seconds,
            horizon=settings.countdown_horizon,
        )
        if not settings.database_url:
            store.transactor = framework_transactor() or store.transactor
        return store

    @property
    def resolution(self) -> int:
        """The microseconds by which the database's clock may lag behind."""
        return 1000 if self.database.dialect == "sqlite" else 1

    def now(self) -> Micros:
        """The database's time."""
        return Micros(self.database.run(select(now_micros()))[0][0])

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    def one_connection(self) -> AbstractContextManager[None]:
        """Keep one connection for all that this thread asks for while the block lasts."""
        return self.database.keeping()

    def start(self, execution: NewExecution) -> tuple[Execution, bool]:
        """Write an execution; with a taken idempotency key, give the one that has it and False."""
        return executions.start(self.database, execution)

    def start_many(self, news: Sequence[NewExecution]) -> list[tuple[Execution, bool]]:
        """Write executions that are due at once, all or none; for each as ``start`` gives it."""
        return batches.start_many(self.database, news)

    def get(self, execution_id: str) -> Execution | None:
        """The execution, if this project has it."""
        return executions.get(self.database, self.project_id, execution_id)

    def known(self, ids: Sequence[str]) -> frozenset[str]:
        """Those of the given ids that are executions of this project."""
        return executions.known(self.database, self.project_id, ids)

    def ended(self, execution_ids: Sequence[str]) -> dict[str, Execution]:
        """Those of the given that have ended."""
        return executions.ended(self.database, self.project_id, execution_ids)

    @property
    def can_tell(self) -> bool:
        """Whether the database can notify somebody of an end."""
        return self.database.dialect == "postgresql"

    def listen(self, channel: str) -> AbstractContextManager[Line]:
        """A line to a channel, on a connection of its own."""
        return listening.listen(self.database, channel)

    def notify(self, channel: str, text: str) -> None:
        """Send a text to a channel."""
        listening.notify(self.database, channel, text)

    def claim(
        self,
        execution_id: str,
        workflow_id: str,
        owner: Owner,
        lease: float,
        *,
        accountable: bool = True,
        token: str = "",
        again: bool = False,
    ) -> Claimed | None:
        """Take the lease (seconds) of an execution that is queued or due; None where it is not.

        Args:
            accountable: whether it alone runs in that process, whose death then counts against it.
            token: what holds the lease from then on; a new one where left out.
            again: whether the answer to an earlier try under this token was lost.
        """
        bid = Bid(execution_id, workflow_id, owner, token or uuid4().hex, lease, accountable, again)
        return executions.claim(self.database, self.project_id, bid, self._early)

    def load(self, execution_id: str) -> tuple[tuple[Checkpoint, ...], tuple[Wait, ...]]:
        """All checkpoints in their order, and the waits that have none yet."""
        # In this order: a wait that ends between the two is then seen as a checkpoint next time.
        pending = waits.load(self.database, execution_id)
        return checkpoints.load(self.database, execution_id), pending

    def seen(self, execution_id: str, token: str) -> tuple[int, Micros | None]:
        """The execution's wakeups, and when its cancellation was asked for.

        Raises:
            LeaseLost: the token no longer holds the lease.
        """
        rows = self.database.run(_wakeups, {"the_id": execution_id, "the_token": token})
        if not rows:
            raise LeaseLost(execution_id)
        return rows[0].wakeups, rows[0].cancel_requested_at

    def checkpoint(
        self,
        execution_id: str,
        token: str,
        rows: Sequence[Checkpoint],
        pending: Sequence[Wait] = (),
    ) -> Mapping[str, Checkpoint]:
        """Commit checkpoints; those that are there already are not written but given back.

        Raises:
            LeaseLost: the token no longer holds the lease; nothing was written.
        """
        if not pending:
            return checkpoints.commit(self.database, execution_id, token, rows)

        def work(connection: Connection) -> Mapping[str, Checkpoint]:
            adopted = checkpoints.write(connection, execution_id, token, rows)
            waits.add(connection, execution_id, pending)
            return adopted

        return self.database.transaction(work)

    def recorded(self, execution_id: str, step_key: str) -> Checkpoint | None:
        """The checkpoint of one key, if it is there."""
        return checkpoints.recorded(self.database, execution_id, step_key)

    def transact(
        self, execution_id: str, token: str, make: Callable[[Any], Sequence[Checkpoint]]
    ) -> bool:
        """Commit what ``make`` writes through its connection together with what it gives.

        The function of a transaction step is called in it, again after a deadlock. False where
        the last checkpoint was there already; nothing was written then.

        Raises:
            LeaseLost: the token no longer holds the lease; nothing was written.
            FunctionRaised: what ``make`` raised; nothing was written.
            TransactionEnded: ``make`` has ended the transaction itself.
        """
        return transacting.transact(self.transactor, self.database.url, execution_id, token, make)

    def keep_wait(self, execution_id: str, token: str, wait: Wait) -> None:
        """Commit a wait in the place of the one of its key.

        Raises:
            LeaseLost: the token no longer holds the lease; nothing was written.
        """

        def work(connection: Connection) -> None:
            self._check_lease(connection, execution_id, token)
            waits.keep(connection, execution_id, wait)

        self.database.transaction(work)

    def keep_waits(self, execution_id: str, token: str, pending: Sequence[Wait]) -> None:
        """Commit waits that are not there yet.

        Raises:
            LeaseLost: the token no longer holds the lease; nothing was written.
        """

        def work(connection: Connection) -> None:
            self._check_lease(connection, execution_id, token)
            waits.add(connection, execution_id, pending)

        self.database.transaction(work)

    def sent(self, execution_id: str, token: str, pending: Sequence[Wait]) -> None:
        """Note how often the tasks of these waits were sent, and when they are due again."""
        tasks.sent(self.database, execution_id, token, pending)

    def complete_task(
        self,
        execution_id: str,
        step_key: str,
        task_id: str,
        outcome: bytes | Failure,
        attempts: int = 1,
    ) -> tuple[Hint, ...] | None:
        """Record a task's encoded value, or its failure, if its execution still waits for it.

        The hints for the execution, where it was woken; None where this project has no such one.
        """
        return tasks.complete(
            self.database, self.project_id, execution_id, step_key, task_id, outcome, attempts
        )

    def start_child(
        self, parent_id: str, token: str, child: NewExecution, row: Checkpoint | Wait
    ) -> Execution:
        """Write a child with its parent's checkpoint or wait, in one transaction.

        Raises:
            LeaseLost: the token no longer holds the parent's lease; nothing was written.
            ExecutionExists: the child's id is taken by another execution.
        """
        started = self.start_children(parent_id, token, [(child, row)])
        if child.id not in started:
            raise ExecutionExists(child.id)
        return started[child.id]

    def start_children(
        self, parent_id: str, token: str, given: Sequence[tuple[NewExecution, Checkpoint | Wait]]
    ) -> Mapping[str, Execution]:
        """Write children, each with its parent's checkpoint or wait, in one transaction.

        Gives them by their ids, also those that were there already; those whose ids are taken by
        other executions are left out.

        Raises:
            LeaseLost: the token no longer holds the parent's lease; nothing was written.
        """
        return children.start(self.database, parent_id, token, given)

    def commit(
        self,
        execution: Execution,
        token: str,
        outcome: Outcome,
        *,
        rows: Sequence[Checkpoint] = (),
        has_waits: bool = True,
    ) -> tuple[Hint, ...] | None:
        """Commit how an attempt ended, with ``rows`` that have no checkpoint of their own yet.

        Gives the hints for those it woke, or None for a park that is stale.

        Raises:
            LeaseLost: the token no longer holds the lease; nothing was written.
        """
        return outcomes.commit(
            self.database,
            execution,
            token,
            outcome,
            rows=rows,
            has_waits=has_waits,
            horizon=self._horizon,
        )

    def release(self, execution_id: str, token: str) -> None:
        """Give the lease back, the execution being claimable at once by others."""
        outcomes.release(self.database, execution_id, token)

    def _check_lease(self, connection: Connection, execution_id: str, token: str) -> None:
        named = {"the_id": execution_id, "the_token": token}
        if connection.execute(checkpoints.fence, named).one_or_none() is None:
            raise LeaseLost(execution_id)
