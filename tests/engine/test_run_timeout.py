"""Executions that take longer than they may."""

from __future__ import annotations

import asyncio
import threading
import time
from uuid import uuid4

import pytest

from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.workflow import workflow
from polos.definition.workflow_class import Workflow
from polos.errors import ExecutionTimedOut, StepExecutionError
from polos.model.outcome import Failed
from polos.model.records import ExecutionId, NewExecution
from polos.model.states import Status
from tests.engine.conftest import Engine, is_parked
from tests.store.scenes import edit
from tests.support.processes import until


def start(engine: Engine, flow: Workflow, seconds: float = 60) -> str:
    engine.add(flow)
    id_ = ExecutionId(str(uuid4()))
    data = flow.encode_payload(None)
    engine.store.start(NewExecution(id_, flow.id, "default", data, run_timeout_seconds=seconds))
    return id_


def let_time_pass(engine: Engine, id_: str, seconds: float = 0.001) -> None:
    """Let its time be over since so many seconds, and have that noticed."""
    edit(engine.store.database, id_, deadline_at=engine.store.now() - round(seconds * 1_000_000))
    engine.hints.dispatch(engine.store.expire(10, 30))


def test_a_waiting_one_cleans_up_and_has_failed(engine: Engine) -> None:
    calls: list[str] = []

    @workflow(id="waits", retries=3)
    async def waits(ctx: WorkflowContext) -> None:
        try:
            await ctx.step.wait_for("month", days=30)
        finally:
            await ctx.step.run("release", calls.append, "release")

    id_ = start(engine, waits, 60)
    assert is_parked(engine.deliver(id_))
    let_time_pass(engine, id_)
    with pytest.raises(ExecutionTimedOut, match="did not end within its run timeout of 60 s"):
        engine.result(id_)
    assert calls == ["release"]
    # It is not tried again: its time is over.
    assert engine.get(id_).retried == 0


def test_a_running_async_step_hears_of_it(engine: Engine) -> None:
    began, cleaned = threading.Event(), threading.Event()

    @workflow(id="runs")
    async def runs(ctx: WorkflowContext) -> None:
        async def long() -> None:
            began.set()
            await asyncio.sleep(30)

        try:
            await ctx.step.run("long", long)
        finally:
            await ctx.step.run("clean", cleaned.set)

    id_ = start(engine, runs, 2)

    def expire() -> None:
        began.wait(60)
        until(lambda: engine.store.now() > (engine.get(id_).deadline_at or 0), deadline=20)
        engine.store.expire(10, 30)
        engine.keeper.heartbeat()

    helper = threading.Thread(target=expire)
    helper.start()
    hop = engine.deliver(id_)
    helper.join()
    assert isinstance(hop.outcome, Failed)
    assert cleaned.is_set()
    with pytest.raises(ExecutionTimedOut):
        engine.result(id_)


def test_a_plain_step_can_not_be_interrupted_and_what_it_returns_is_dropped(
    engine: Engine,
) -> None:
    began, over = threading.Event(), threading.Event()
    after: list[str] = []

    def block() -> None:
        began.set()
        over.wait(20)

    @workflow(id="blocks")
    def blocks(ctx: SyncWorkflowContext) -> None:
        ctx.step.run("long", block)
        ctx.step.run("after", after.append, "after")

    id_ = start(engine, blocks)

    def expire() -> None:
        began.wait(60)
        let_time_pass(engine, id_)
        engine.keeper.heartbeat()
        assert engine.get(id_).status is Status.RUNNING
        let_time_pass(engine, id_, 31)
        assert engine.get(id_).status is Status.FAILED
        engine.keeper.heartbeat()
        over.set()

    helper = threading.Thread(target=expire)
    helper.start()
    hop = engine.deliver(id_)
    helper.join()
    assert hop.outcome is None
    assert after == []
    assert engine.checkpoints(id_) == {}


def test_one_that_was_cancelled_before_is_cancelled_though_its_time_ends(engine: Engine) -> None:
    @workflow(id="cancelled_first")
    async def cancelled_first(ctx: WorkflowContext) -> None:
        await ctx.step.wait_for("month", days=30)

    id_ = start(engine, cancelled_first)
    engine.deliver(id_)
    _, hints = engine.store.cancel(id_)
    edit(engine.store.database, id_, deadline_at=engine.store.now() + 1000)
    time.sleep(0.01)
    engine.hints.dispatch(hints)
    assert engine.finish(id_).status is Status.CANCELLED


def test_its_child_is_cancelled_and_a_child_of_its_own_time_fails_its_parents_step(
    engine: Engine,
) -> None:
    @workflow(id="low")
    async def low(ctx: WorkflowContext) -> None:
        await ctx.step.wait_for("month", days=30)

    @workflow(id="middle", timeout_seconds=50)
    async def middle(ctx: WorkflowContext) -> None:
        await ctx.step.invoke_and_wait("low", low)

    @workflow(id="top")
    async def top(ctx: WorkflowContext) -> str:
        try:
            await ctx.step.invoke_and_wait("middle", middle)
        except StepExecutionError as error:
            return f"{error.error_type}: {error.reason}"
        return "no error"

    engine.add(low, middle)
    id_ = engine.start(top)
    engine.deliver(id_)
    middle_id = engine.hints.sent[0][1].execution_id
    engine.deliver_next()
    low_id = engine.hints.sent[0][1].execution_id
    engine.deliver_next()
    found = engine.get(middle_id)
    assert found.deadline_at == found.created_at + 50_000_000
    let_time_pass(engine, middle_id)
    assert engine.result(id_) == (
        "ExecutionTimedOut: it did not end within its run timeout of 50 s"
    )
    assert engine.finish(low_id).status is Status.CANCELLED


def test_a_retry_begins_its_time_anew_and_goes_on(engine: Engine) -> None:
    calls: list[int] = []

    @workflow(id="retried_later")
    async def retried_later(ctx: WorkflowContext) -> int:
        await ctx.step.run("first", calls.append, 1)
        if ctx.retry_count == 0:
            await ctx.step.wait_for("month", days=30)
        return ctx.retry_count

    id_ = start(engine, retried_later)
    engine.deliver(id_)
    let_time_pass(engine, id_)
    with pytest.raises(ExecutionTimedOut):
        engine.result(id_)
    engine.store.retry(id_)
    assert (engine.get(id_).deadline_at or 0) > engine.store.now() + 50_000_000
    assert engine.result(id_) == 1
    assert calls == [1]


def test_the_timeout_of_a_step_is_a_failed_attempt(engine: Engine) -> None:
    calls: list[str] = []

    @workflow(id="step_timeout")
    async def step_timeout(ctx: WorkflowContext) -> str:
        async def slow_once() -> str:
            calls.append("begun")
            if len(calls) == 1:
                try:
                    await asyncio.sleep(30)
                finally:
                    calls.append("interrupted")
            return "in time"

        return await ctx.step.run("slow", slow_once, timeout=0.05, base_delay=0.01)

    id_ = engine.start(step_timeout)
    assert engine.result(id_) == "in time"
    assert calls == ["begun", "interrupted", "begun"]
    row = engine.checkpoints(id_)["slow"]
    assert row.attempts == 2
    assert b"longer than its timeout of 0.05 s" in (row.history or b"")
