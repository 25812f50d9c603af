"""Transaction steps: what they write and their checkpoint are one."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import InvalidRequestError, OperationalError
from sqlalchemy.orm import Session

from polos.client.direct import DirectClient
from polos.codec import encode
from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.default_client import process_slot
from polos.definition.progress import details
from polos.definition.workflow import workflow
from polos.engine.interrupting import interrupt
from polos.errors import StepExecutionError, StepMismatch, WorkflowFailedError
from polos.model.records import Checkpoint, Kind
from polos.model.states import Status
from tests.engine.conftest import Engine
from tests.unit.definition.fakes import FakeClient


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = Engine(database_url, lease_seconds=3.0)
    made.store.database.transaction(
        lambda it: it.execute(text("CREATE TABLE accounts (who VARCHAR(50))"))
    )
    yield made
    made.keeper.stop()
    made.store.close()


def accounts(engine: Engine) -> list[str]:
    rows = engine.store.database.run(text("SELECT who FROM accounts ORDER BY who"))
    return [row.who for row in rows]


def lease_token(engine: Engine, id_: str) -> str:
    query = text("SELECT lease_token FROM polos_executions WHERE id = :id")
    return engine.store.database.run(query, {"id": id_})[0].lease_token


def put(connection: Connection, who: str, value: Any = None) -> Any:
    connection.execute(text("INSERT INTO accounts VALUES (:who)"), {"who": who})
    return value


def test_it_is_written_once_and_replayed(engine: Engine) -> None:
    @workflow
    async def debit(ctx: WorkflowContext) -> list[Any]:
        unsaved = await ctx.step.uuid("unsaved")
        first = await ctx.step.transaction("debit", put, "a", value={"n": (1, 2)})
        await ctx.step.wait_for("pause", seconds=0.6)
        return [unsaved, first, await ctx.step.transaction("credit", put, "b")]

    id_ = engine.start(debit)
    result = engine.result(id_)
    assert result[1:] == [{"n": (1, 2)}, None]
    assert accounts(engine) == ["a", "b"]
    rows = engine.checkpoints(id_)
    assert rows["debit"].kind is Kind.TRANSACTION
    assert rows["debit"].started_at is not None
    assert set(rows) == {"unsaved", "debit", "pause", "credit"}
    engine.forget(id_)
    assert engine.result(id_) == result
    assert accounts(engine) == ["a", "b"]


def test_a_plain_workflow_and_the_orm(engine: Engine) -> None:
    def with_session(connection: Connection) -> int:
        with Session(connection) as session:
            session.execute(text("INSERT INTO accounts VALUES ('orm')"))
            session.commit()
        with connection.begin_nested() as inner:
            put(connection, "lost")
            inner.rollback()
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return 1

    @workflow
    def plain(ctx: SyncWorkflowContext) -> int:
        return ctx.step.transaction("orm", with_session)

    assert engine.run(plain) == 1
    assert accounts(engine) == ["orm"]


def test_an_error_rolls_it_back_and_it_is_tried_again(engine: Engine) -> None:
    seen: list[list[str]] = []

    def failing(connection: Connection) -> str:
        seen.append([row.who for row in connection.execute(text("SELECT who FROM accounts"))])
        put(connection, "try")
        if len(seen) < 3:
            raise ConnectionError("not yet")
        return "at last"

    @workflow
    async def tries(ctx: WorkflowContext) -> str:
        return await ctx.step.transaction("try", failing, base_delay=0.01)

    id_ = engine.start(tries)
    assert engine.result(id_) == "at last"
    assert seen == [[], [], []]
    assert accounts(engine) == ["try"]
    assert engine.checkpoints(id_)["try"].attempts == 3


def test_a_back_off_that_parks(engine: Engine) -> None:
    calls: list[int] = []

    def failing(connection: Connection) -> None:
        calls.append(1)
        put(connection, "try")
        if len(calls) == 1:
            raise ConnectionError("not yet")

    @workflow
    async def tries(ctx: WorkflowContext) -> None:
        await ctx.step.transaction("try", failing, base_delay=0.8)

    id_ = engine.start(tries)
    engine.deliver(id_)
    [step] = details(engine.get(id_), engine.store.progress(id_))["steps"]
    assert (step["kind"], step["status"], step["attempts"]) == ("transaction", "retrying", 1)
    engine.finish(id_)
    assert (len(calls), accounts(engine)) == (2, ["try"])
    [step] = details(engine.get(id_), engine.store.progress(id_))["steps"]
    assert (step["status"], step["attempts"]) == ("completed", 2)
    assert [tried["error"] for tried in step["history"]] == ["not yet"]


def test_the_last_error(engine: Engine) -> None:
    def failing(connection: Connection) -> None:
        put(connection, "x")
        raise ValueError("no money")

    @workflow
    async def fails(ctx: WorkflowContext) -> str:
        try:
            await ctx.step.transaction("try", failing, max_retries=1, base_delay=0.01)
        except StepExecutionError as error:
            return f"{error.step_key} {error.attempts} {error.error_type} {error.reason}"
        return "not reached"

    id_ = engine.start(fails)
    assert engine.result(id_) == "try 2 ValueError no money"
    assert accounts(engine) == []
    assert engine.checkpoints(id_)["try"].kind is Kind.TRANSACTION


def refused(engine: Engine, func: Callable[..., Any]) -> StepExecutionError:
    """What a step that is tried once, though it may be retried, fails with."""
    calls: list[int] = []

    def counted(connection: Connection) -> Any:
        calls.append(1)
        return func(connection)

    @workflow
    async def fails(ctx: WorkflowContext) -> None:
        await ctx.step.transaction("try", counted, base_delay=0.01)

    with pytest.raises(StepExecutionError) as caught:
        engine.run(fails)
    assert len(calls) == 1
    return caught.value


def test_a_value_that_can_t_be_kept_rolls_it_back(engine: Engine) -> None:
    assert "can't be kept" in refused(engine, lambda it: put(it, "x", object())).reason
    assert accounts(engine) == []


def test_what_turns_out_to_be_async(engine: Engine) -> None:
    async def later() -> None: ...

    def starts(connection: Connection) -> Any:
        put(connection, "x")
        return later()

    assert "it must be a plain function" in refused(engine, starts).reason
    assert accounts(engine) == []


ENDINGS: dict[str, Callable[[Connection], Any]] = {
    "commit": lambda it: it.commit(),
    "rollback": lambda it: it.rollback(),
    "commit in words": lambda it: it.exec_driver_sql("COMMIT"),
    "commit of the driver": lambda it: it.connection.dbapi_connection.commit(),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_function_that_ends_the_transaction(engine: Engine, ending: str) -> None:
    def ends(connection: Connection) -> None:
        put(connection, "x")
        ENDINGS[ending](connection)

    error = refused(engine, ends)
    assert "committed or rolled back the transaction itself" in error.reason
    assert error.error_type.endswith("StepExecutionError")


def test_a_function_that_goes_on_after_its_commit(engine: Engine) -> None:
    def ends(connection: Connection) -> None:
        put(connection, "x")
        connection.commit()
        put(connection, "y")

    @workflow
    async def fails(ctx: WorkflowContext) -> None:
        await ctx.step.transaction("try", ends, max_retries=0)

    with pytest.raises(StepExecutionError, match="closed transaction") as caught:
        engine.run(fails)
    assert caught.value.error_type.endswith(InvalidRequestError.__name__)


def test_a_function_that_swallows_the_database_s_error(engine: Engine) -> None:
    """PostgreSQL takes nothing more in such a transaction, the others do."""

    def swallows(connection: Connection) -> int:
        put(connection, "x")
        with pytest.raises(Exception, match="nowhere"):
            connection.execute(text("SELECT * FROM nowhere"))
        return 1

    @workflow
    async def flow(ctx: WorkflowContext) -> int:
        return await ctx.step.transaction("try", swallows, max_retries=0)

    if engine.store.database.dialect != "postgresql":
        assert engine.run(flow) == 1
        return
    with pytest.raises(StepExecutionError, match="transaction is aborted"):
        engine.run(flow)
    assert accounts(engine) == []


def test_a_wrong_statement_is_the_step_s_failure(engine: Engine) -> None:
    """Also on SQLite, where its error looks like one of a database that is away."""

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step.transaction(
            "try", lambda it: it.execute(text("SELECT * FROM nowhere")), max_retries=0
        )

    with pytest.raises(StepExecutionError, match="nowhere"):
        engine.run(flow)


def test_an_async_function_is_refused(engine: Engine) -> None:
    async def debit(connection: Connection) -> None: ...

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step.transaction("pay", debit)

    with pytest.raises(
        WorkflowFailedError, match="transaction step 'pay' was given the 'async def'"
    ):
        engine.run(flow)


def test_a_key_that_is_recorded_as_another_kind(engine: Engine) -> None:
    changed = False

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        if changed:
            await ctx.step.run("pay", lambda: 1)
        else:
            await ctx.step.transaction("pay", put, "a")

    id_ = engine.start(flow)
    engine.finish(id_)
    engine.forget(id_)
    changed = True
    with pytest.raises(WorkflowFailedError, match="recorded as 'transaction'") as caught:
        engine.result(id_)
    assert caught.value.error_type.endswith(StepMismatch.__name__)


def test_without_the_lease_nothing_is_written(engine: Engine) -> None:
    """A worker that stood still for too long: another one has the execution now."""
    calls: list[int] = []

    def frozen(connection: Connection) -> int:
        put(connection, f"try {len(calls)}")
        calls.append(1)
        return len(calls)

    @workflow
    async def flow(ctx: WorkflowContext) -> int:
        return await ctx.step.transaction("pay", frozen)

    id_ = engine.start(flow)
    begun = engine.store.transactor

    @contextmanager
    def stolen() -> Iterator[Any]:
        engine.store.database.run(
            text("UPDATE polos_executions SET lease_token = 'another' WHERE id = :id"), {"id": id_}
        )
        with begun() as connection:
            yield connection

    engine.store.transactor = stolen
    assert engine.deliver(id_).outcome is None
    assert (len(calls), accounts(engine)) == (1, [])
    engine.store.transactor = begun
    engine.store.release(id_, "another")
    assert engine.result(id_) == 2
    assert accounts(engine) == ["try 1"]


def test_what_others_wrote_is_adopted_and_the_own_rolled_back(engine: Engine) -> None:
    """A commit that was still on its way when its answer was given up."""

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        return await ctx.step.transaction("pay", put, "mine", value="mine")

    id_ = engine.start(flow)
    begun = engine.store.transactor

    @contextmanager
    def second() -> Iterator[Any]:
        engine.store.transactor = begun
        token = lease_token(engine, id_)
        row = Checkpoint("pay", Kind.TRANSACTION, value=encode("other"))
        assert engine.store.transact(id_, token, lambda it: [put(it, "other", row)])
        with begun() as connection:
            yield connection

    engine.store.transactor = second
    assert engine.result(id_) == "other"
    assert accounts(engine) == ["other"]


def test_it_may_take_longer_than_the_lease(engine: Engine) -> None:
    """The keeper renews while the function runs; on SQLite it has to wait for the write lock."""
    seconds = 2.0 if engine.store.database.dialect == "sqlite" else 4.0

    def slow(connection: Connection) -> int:
        put(connection, "slow")
        time.sleep(seconds)
        return 1

    @workflow
    async def flow(ctx: WorkflowContext) -> int:
        return await ctx.step.transaction("slow", slow)

    id_ = engine.start(flow)
    hop = engine.deliver(id_)
    assert hop.outcome is not None
    assert engine.get(id_).status is Status.COMPLETED
    assert accounts(engine) == ["slow"]


def conflict(engine: Engine) -> OperationalError:
    if engine.store.database.dialect == "sqlite":
        return OperationalError("", {}, sqlite3.OperationalError("database is locked"))
    return OperationalError("", {}, psycopg.errors.SerializationFailure("could not serialize"))


@pytest.mark.parametrize(("times", "attempts"), [(3, 1), (8, 2)])
def test_a_deadlock_begins_anew_without_being_counted(
    engine: Engine, times: int, attempts: int
) -> None:
    calls: list[int] = []

    def unlucky(connection: Connection) -> None:
        calls.append(1)
        put(connection, "x")
        if len(calls) <= times:
            raise conflict(engine)

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step.transaction("pay", unlucky, base_delay=0.01)

    id_ = engine.start(flow)
    engine.result(id_)
    assert (len(calls), accounts(engine)) == (times + 1, ["x"])
    assert engine.checkpoints(id_)["pay"].attempts == attempts


def test_a_soft_time_limit_rolls_it_back(engine: Engine) -> None:
    class SoftLimit(Exception):
        pass

    def limited(connection: Connection) -> None:
        put(connection, "x")
        interrupt(SoftLimit("soft"), sys._getframe())

    assert refused(engine, limited).error_type.endswith("SoftLimit")
    assert accounts(engine) == []


def test_other_branches_go_on_beside_it(engine: Engine) -> None:
    @workflow
    async def flow(ctx: WorkflowContext) -> list[Any]:
        return list(
            await asyncio.gather(
                ctx.step.wait_for("timer", seconds=0.6),
                ctx.step.transaction("a", put, "a", value=1),
                ctx.step.run("plain", lambda: 2),
                ctx.step.transaction("b", put, "b", value=3),
            )
        )

    assert engine.run(flow) == [None, 1, 2, 3]
    assert accounts(engine) == ["a", "b"]


def use_client_of(engine: Engine) -> None:
    class Client(FakeClient):
        direct = DirectClient("default", lambda: engine.store, engine.hints)

        def start(self, request: Any) -> Any:
            return self.direct.start(request)

    process_slot.set(Client())


def test_a_start_inside_it_without_the_connection_is_no_part_of_it(engine: Engine) -> None:
    if engine.store.database.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    use_client_of(engine)

    @workflow
    async def other(ctx: WorkflowContext) -> None: ...

    started: list[str] = []

    def starts(connection: Connection) -> None:
        put(connection, "x")
        started.append(other.start().id)
        raise ValueError

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step.transaction("start", starts, max_retries=0)

    with pytest.raises(StepExecutionError):
        engine.run(flow)
    assert engine.store.get(started[0]) is not None
    assert accounts(engine) == []


def test_a_start_inside_it_is_part_of_it(engine: Engine) -> None:
    use_client_of(engine)

    @workflow
    async def other(ctx: WorkflowContext) -> str:
        return "run"

    calls: list[str] = []

    def starts(connection: Connection) -> str:
        calls.append(other.start(connection=connection).id)
        if len(calls) == 1:
            raise ConnectionError("not yet")
        assert not [hint for _, hint in engine.hints.sent if hint.execution_id in calls]
        return calls[-1]

    @workflow
    async def flow(ctx: WorkflowContext) -> str:
        return await ctx.step.transaction("start", starts, base_delay=0.01)

    id_ = engine.start(flow)
    started = engine.result(id_)
    assert engine.store.get(calls[0]) is None
    assert [hint.execution_id for _, hint in engine.hints.sent] == [started]
    engine.add(other)
    assert engine.result(started) == "run"
