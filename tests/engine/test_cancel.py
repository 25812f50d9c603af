"""Cancelling what runs, waits or has not begun; and losing a lease."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from polos.definition.context import WorkflowContext
from polos.definition.workflow import workflow
from polos.errors import ExecutionCancelledError
from polos.model.states import Status
from tests.engine.conftest import Engine, is_parked


def test_a_waiting_execution_cleans_up(engine: Engine) -> None:
    calls: list[str] = []

    @workflow(id="waits")
    async def waits(ctx: WorkflowContext) -> None:
        try:
            await ctx.step.wait_for("month", days=30)
        finally:
            await ctx.step.run("release", calls.append, "release")

    id_ = engine.start(waits)
    assert is_parked(engine.deliver(id_))
    found, hints = engine.store.cancel(id_)
    assert found
    engine.hints.dispatch(hints)
    with pytest.raises(ExecutionCancelledError):
        engine.result(id_)
    assert calls == ["release"]
    assert engine.store.cancel(id_) == (False, ())


def test_a_running_async_step_hears_of_it(engine: Engine) -> None:
    began, cancelled = threading.Event(), threading.Event()

    @workflow(id="runs")
    async def runs(ctx: WorkflowContext) -> None:
        async def long() -> None:
            began.set()
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                cancelled.set()
                raise

        await ctx.step.run("long", long)

    id_ = engine.start(runs)

    def cancel() -> None:
        began.wait(60)
        engine.store.cancel(id_)
        engine.keeper.heartbeat()

    helper = threading.Thread(target=cancel)
    helper.start()
    engine.deliver(id_)
    helper.join()
    assert cancelled.is_set()
    assert engine.get(id_).status is Status.CANCELLED


def test_it_goes_down_to_children_and_not_up(engine: Engine) -> None:
    @workflow(id="leaf")
    async def leaf(ctx: WorkflowContext) -> None:
        await ctx.step.wait_for("month", days=30)

    @workflow(id="middle")
    async def middle(ctx: WorkflowContext) -> None:
        await ctx.step.invoke_and_wait("leaf", leaf)

    @workflow(id="top")
    async def top(ctx: WorkflowContext) -> str:
        try:
            await ctx.step.invoke_and_wait("middle", middle)
        except Exception as error:
            return str(error)
        return "no error"

    engine.add(leaf, middle)
    id_ = engine.start(top)
    engine.deliver(id_)
    middle_id = engine.hints.sent[0][1].execution_id
    engine.deliver_next()
    leaf_id = engine.hints.sent[0][1].execution_id
    engine.deliver_next()
    assert engine.get(leaf_id).status is Status.WAITING
    _, hints = engine.store.cancel(middle_id)
    engine.hints.dispatch(hints)
    assert "was cancelled" in engine.result(id_)
    assert engine.finish(leaf_id).status is Status.CANCELLED
    assert engine.get(middle_id).status is Status.CANCELLED


def test_a_lost_lease_stops_the_attempt_and_writes_nothing(engine: Engine) -> None:
    began = threading.Event()
    tokens: list[str] = []

    @workflow(id="zombie")
    async def zombie(ctx: WorkflowContext) -> None:
        async def long() -> None:
            began.set()
            await asyncio.sleep(30)

        try:
            await ctx.step.run("long", long)
        finally:
            await ctx.step.run("never", tokens.append, "ran")

    id_ = engine.start(zombie)

    def take() -> None:
        began.wait(60)
        [(execution, token)] = engine.store.lost([*engine.store.owners()], trust_expiry=False)
        engine.store.reclaim(execution, token, 10)
        engine.keeper.heartbeat()

    helper = threading.Thread(target=take)
    helper.start()
    start = time.monotonic()
    hop = engine.deliver(id_)
    helper.join()
    assert hop.outcome is None
    assert time.monotonic() - start < 20
    assert engine.get(id_).status is Status.QUEUED
    assert tokens == []
    assert engine.checkpoints(id_) == {}


def test_the_end_of_a_cancelled_child_does_not_fail_its_cancelled_parent(engine: Engine) -> None:
    @workflow(id="never_begun")
    async def never_begun(ctx: WorkflowContext) -> None:
        await ctx.step.run("never", lambda: None)

    @workflow(id="waits_for_it")
    async def waits_for_it(ctx: WorkflowContext) -> None:
        await ctx.step.invoke_and_wait("child", never_begun)

    engine.add(never_begun)
    id_ = engine.start(waits_for_it)
    engine.deliver(id_)
    engine.hints.sent.clear()
    _, hints = engine.store.cancel(id_)
    engine.hints.dispatch(hints)
    with pytest.raises(ExecutionCancelledError):
        engine.result(id_)


def test_after_the_request_nothing_new_begins(engine: Engine) -> None:
    ran: list[str] = []

    @workflow(id="nothing_new")
    async def nothing_new(ctx: WorkflowContext) -> None:
        async def step() -> None:
            ran.append("async")

        await ctx.step.wait_for("pause", seconds=0.6)
        await asyncio.gather(ctx.step.run("async", step), ctx.step.run("sync", ran.append, "sync"))

    id_ = engine.start(nothing_new)
    assert is_parked(engine.deliver(id_))
    engine.store.cancel(id_)
    with pytest.raises(ExecutionCancelledError):
        engine.result(id_)
    assert ran == []


@pytest.mark.parametrize("crash", [False, True])
def test_a_cancelled_parent_cleans_up_although_its_child_ended_first(
    engine: Engine, crash: bool
) -> None:
    """The child hears of it, too, and may have ended before its parent gets a slot."""
    calls: list[str] = []

    @workflow(id="waiting_child")
    async def waiting_child(ctx: WorkflowContext) -> None:
        await ctx.step.wait_for("month", days=30)

    @workflow(id="waiting_parent")
    async def waiting_parent(ctx: WorkflowContext) -> None:
        try:
            await ctx.step.invoke_and_wait("child", waiting_child)
        except asyncio.CancelledError:
            await ctx.step.run("first", calls.append, "first")
            await ctx.step.run("second", calls.append, "second")
            raise

    engine.add(waiting_child)
    id_ = engine.start(waiting_parent)
    assert is_parked(engine.deliver(id_))
    assert engine.deliver_next()
    _, hints = engine.store.cancel(id_)
    [child] = [hint for hint in hints if hint.execution_id != id_]
    engine.deliver(child.execution_id)
    assert engine.get(child.execution_id).status is Status.CANCELLED
    with pytest.raises(ExecutionCancelledError):
        engine.result(id_)
    assert calls == ["first", "second"]
    if crash:
        engine.forget(id_, "second")
        with pytest.raises(ExecutionCancelledError):
            engine.result(id_)
        assert calls == ["first", "second", "second"]
