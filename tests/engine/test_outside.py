"""Completions from outside that come at awkward moments."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select, update

from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.workflow import workflow
from polos.errors import StepExecutionError
from polos.model.states import Status
from polos.store.schema import executions
from tests.engine.conftest import Engine


@workflow(id="outside_child")
async def child(ctx: WorkflowContext) -> int:
    await ctx.step.wait_for("long", days=30)
    return 7


def end_children(engine: Engine, parent: str) -> None:
    """End the children at once, as their cancelling before the first claim does."""
    rows = engine.store.database.run(
        select(executions.c.id).where(executions.c.parent_execution_id == parent)
    )
    assert rows
    for row in rows:
        engine.store.cancel(row.id)


async def outcome_of(waiting: Any) -> str:
    try:
        return str(await waiting)
    except StepExecutionError as error:
        return error.error_type


def test_a_child_that_ends_before_its_branch_asks_is_seen(engine: Engine) -> None:
    attempts: Counter[str] = Counter()

    @workflow(id="asks_late")
    async def asks_late(ctx: WorkflowContext) -> list[Any]:
        attempts["n"] += 1
        if attempts["n"] == 2:
            end_children(engine, ctx.execution_id)
            engine.keeper.heartbeat()
            await asyncio.sleep(0.1)
        ended = outcome_of(ctx.step.invoke_and_wait("child", child))
        return list(await asyncio.gather(ended, ctx.step.wait_for("timer", seconds=0.8)))

    engine.add(child)
    id_ = engine.start(asks_late)
    engine.deliver(id_)
    engine.hints.sent = [pair for pair in engine.hints.sent if pair[1].execution_id == id_]
    assert engine.result(id_) == ["ExecutionCancelledError", None]


def test_a_child_that_ends_while_its_branch_is_held_back_is_seen(engine: Engine) -> None:
    attempts: Counter[str] = Counter()

    @workflow(id="held_back")
    async def held_back(ctx: WorkflowContext) -> str:
        attempts["n"] += 1
        second = attempts["n"] == 2

        async def recorded_but_late() -> None:
            if second:
                await asyncio.sleep(0.4)
            await ctx.step.run("late", lambda: 1)

        async def timer() -> None:
            await ctx.step.run("early", lambda: 1)
            await ctx.step.wait_for("timer", seconds=0.7)

        async def ender() -> None:
            if second:
                await asyncio.sleep(0.2)
                end_children(engine, ctx.execution_id)
                engine.keeper.heartbeat()

        ended = outcome_of(ctx.step.invoke_and_wait("child", child))
        found = await asyncio.gather(recorded_but_late(), timer(), ended, ender())
        return str(found[2])

    engine.add(child)
    id_ = engine.start(held_back)
    engine.deliver(id_)
    engine.hints.sent = [pair for pair in engine.hints.sent if pair[1].execution_id == id_]
    assert engine.result(id_) == "ExecutionCancelledError"


def test_a_wait_that_was_not_reached_again_is_kept(engine: Engine) -> None:
    """The second attempt parks, by the grace, before it has asked for the child again."""
    attempts: Counter[str] = Counter()

    @workflow(id="not_reached")
    async def not_reached(ctx: WorkflowContext) -> str:
        attempts["n"] += 1

        async def branch() -> str:
            if attempts["n"] == 2:
                await asyncio.sleep(3)
            return await outcome_of(ctx.step.invoke_and_wait("child", child))

        found = await asyncio.gather(
            branch(),
            ctx.step.wait_for("first", seconds=0.7),
            ctx.step.wait_for("second", seconds=4),
        )
        return str(found[0])

    engine.add(child)
    id_ = engine.start(not_reached)
    engine.deliver(id_)
    engine.hints.sent = [pair for pair in engine.hints.sent if pair[1].execution_id == id_]
    while attempts["n"] < 2:
        engine.deliver_next()
    assert "child" in {wait.step_key for wait in engine.store.load(id_)[1]}
    end_children(engine, id_)
    assert engine.result(id_) == "ExecutionCancelledError"


def test_a_child_that_ends_between_two_looks_keeps_its_place(engine: Engine) -> None:
    @workflow(id="between")
    async def between(ctx: WorkflowContext) -> list[str]:
        order: list[str] = []

        async def slow() -> None:
            load = engine.store.load
            # Children are started when the loop is idle; a timer lets it be idle once.
            await asyncio.sleep(0.01)

            def ending(id_: str) -> Any:
                engine.store.load = load
                end_children(engine, id_)
                return load(id_)

            engine.store.load = ending
            for lease in engine.keeper._leases.values():
                assert lease.attempt is not None
                lease.attempt.look_outside()
            await asyncio.sleep(0.2)

        async def branch(key: str, waiting: Any) -> None:
            await outcome_of(waiting)
            order.append(key)

        await asyncio.gather(
            branch("child", ctx.step.invoke_and_wait("child", child)),
            branch("slow", ctx.step.run("slow", slow)),
        )
        return order

    engine.add(child)
    id_ = engine.start(between)
    assert engine.result(id_) == ["child", "slow"]
    engine.forget(id_)
    assert engine.result(id_) == ["child", "slow"]


@pytest.mark.parametrize("many", ["derived", "timers"])
def test_hundreds_of_rows_go_into_one_commit(engine: Engine, many: str) -> None:
    @workflow(id="hundreds")
    async def hundreds(ctx: WorkflowContext) -> int:
        if many == "derived":
            for number in range(600):
                await ctx.step.uuid(f"u{number}")
        else:
            waits = (ctx.step.wait_for(f"w{number}", seconds=0.2) for number in range(600))
            await asyncio.gather(*waits)
        return await ctx.step.run("last", lambda: 1)

    id_ = engine.start(hundreds)
    assert engine.result(id_) == 1
    assert len(engine.checkpoints(id_)) == 601


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_step_that_exits_fails(engine: Engine, kind: str) -> None:
    async def leave() -> None:
        sys.exit(3)

    @workflow(id="exits")
    async def exits(ctx: WorkflowContext) -> None:
        function: Any = leave if kind == "async" else lambda: sys.exit(3)
        await ctx.step.run("exit", function, max_retries=0)

    with pytest.raises(StepExecutionError, match="'exit' failed: SystemExit: 3"):
        engine.run(exits)


def steal(engine: Engine, id_: str) -> None:
    """Another worker takes the lease."""
    engine.store.database.run(
        update(executions).where(executions.c.id == id_).values(lease_token="another")
    )


def test_after_a_lost_lease_no_step_runs_even_if_the_error_is_caught(engine: Engine) -> None:
    ran: list[str] = []

    @workflow(id="catches")
    async def catches(ctx: WorkflowContext) -> None:
        for number in range(4):
            try:
                await ctx.step.run(f"s{number}", lambda: steal(engine, ctx.execution_id))
            except Exception as error:
                ran.append(type(error).__name__)

    hop = engine.deliver(engine.start(catches))
    assert hop.outcome is None
    assert len(ran) <= 1


def test_a_plain_workflow_that_swallows_a_lost_lease_completes_nothing(engine: Engine) -> None:
    @workflow(id="swallows")
    def swallows(ctx: SyncWorkflowContext) -> int:
        try:
            ctx.step.run("s", lambda: steal(engine, ctx.execution_id))
        except BaseException:
            return 5
        return 6

    id_ = engine.start(swallows)
    assert engine.deliver(id_).outcome is None
    assert engine.get(id_).status is Status.RUNNING


def test_a_cancelled_loser_does_not_delay_a_replay(engine: Engine) -> None:
    @workflow(id="loser")
    async def loser(ctx: WorkflowContext) -> int:
        async def one() -> int:
            return 1

        background = asyncio.create_task(asyncio.Event().wait())
        tasks = [asyncio.create_task(ctx.step.run(key, one)) for key in ("x", "y")]
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for number in range(6):
            await ctx.step.run(f"s{number}", lambda: None)
        background.cancel()
        return 1

    id_ = engine.start(loser)
    assert engine.result(id_) == 1
    engine.forget(id_, "s5")
    began = time.monotonic()
    assert engine.result(id_) == 1
    # The grace of this engine is 1 s; one for each of the replayed steps would be 5 s.
    assert time.monotonic() - began < 4.5


def test_a_worker_that_stops_hands_its_attempts_back(engine: Engine) -> None:
    began = threading.Event()

    @workflow(id="handed")
    async def handed(ctx: WorkflowContext) -> None:
        async def long() -> None:
            began.set()
            await asyncio.sleep(60)

        await ctx.step.run("long", long)

    def stop() -> None:
        began.wait(60)
        engine.keeper.hand_back()

    id_ = engine.start(handed)
    helper = threading.Thread(target=stop)
    helper.start()
    assert engine.deliver(id_).outcome is None
    helper.join()
    found = engine.get(id_)
    assert (found.status, found.recoveries) == (Status.QUEUED, 0)
