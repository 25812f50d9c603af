"""What a replay sees is what the first pass saw."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.workflow import workflow
from polos.errors import StepExecutionError, WorkflowFailedError
from polos.model.records import Kind, Micros, Wait
from polos.model.states import Status
from polos.store import schema, waits
from tests.engine.conftest import Engine, is_parked
from tests.support.statements import statements

FALSY: list[Any] = [0, False, "", [], {}, None, 0.0, (), set(), b""]


def test_derived_values_and_falsy_results_are_equal_on_replay(engine: Engine) -> None:
    calls: list[str] = []

    @workflow(id="values")
    async def values(ctx: WorkflowContext) -> list[Any]:
        found: list[Any] = [
            await ctx.step.uuid("uuid"),
            await ctx.step.now("now"),
            await ctx.step.random("random"),
        ]
        for number, value in enumerate(FALSY):
            got = await ctx.step.run(f"falsy_{number}", calls.append, number)
            assert got is None
            found.append(await ctx.step.run(f"value_{number}", lambda value=value: value))
        return found

    id_ = engine.start(values)
    first = engine.result(id_)
    assert first[3:] == FALSY
    assert [type(value) for value in first[3:]] == [type(value) for value in FALSY]
    engine.forget(id_)
    assert engine.result(id_) == first
    assert calls == list(range(len(FALSY)))


def test_effects_that_ran_before_a_crash_had_the_recorded_values(engine: Engine) -> None:
    """The step's effect ran with the values, its checkpoint is lost: the next try has the same."""
    effects: list[tuple[Any, ...]] = []

    @workflow(id="effects")
    async def effects_flow(ctx: WorkflowContext) -> None:
        stamp, id_, luck = (
            await ctx.step.now("now"),
            await ctx.step.uuid("uuid"),
            await ctx.step.random("random"),
        )
        await ctx.step.run("effect", lambda: effects.append((stamp, id_, luck)))

    id_ = engine.start(effects_flow)
    engine.finish(id_)
    engine.forget(id_, "effect", "uuid", "random")
    engine.finish(id_)
    assert len(effects) == 2
    assert effects[0] == effects[1]


def test_finished_steps_run_once_over_many_parks(engine: Engine) -> None:
    calls: list[int] = []

    @workflow(id="many")
    async def many(ctx: WorkflowContext) -> int:
        for n in range(3):
            await ctx.step.run(f"step_{n}", calls.append, n)
            await ctx.step.wait_for(f"wait_{n}", seconds=0.55)
        return len(calls)

    assert engine.run(many) == 3
    assert calls == [0, 1, 2]


def test_a_sync_workflow_waits_and_replays_too(engine: Engine) -> None:
    calls: list[str] = []

    @workflow(id="sync_child")
    def sync_child(ctx: SyncWorkflowContext, payload: dict[str, Any]) -> dict[str, Any]:
        ctx.step.wait_for("pause", seconds=0.6)
        return {"got": payload["n"]}

    @workflow(id="sync_flow")
    def sync_flow(ctx: SyncWorkflowContext) -> list[Any]:
        first = ctx.step.run("first", lambda: calls.append("first") or "one")
        try:
            ctx.step.wait_for("pause", seconds=0.6)
            child = ctx.step.invoke_and_wait("child", sync_child, {"n": 5})
        finally:
            ctx.step.run("release", calls.append, "release")
        nap = ctx.step.run("async", asyncio.sleep, 0.01, "slept")
        return [first, child, nap, ctx.step.uuid("id") == ctx.step.uuid("id2")]

    engine.add(sync_child)
    assert engine.run(sync_flow) == ["one", {"got": 5}, "slept", False]
    assert calls == ["first", "release"]


def test_cleanup_around_a_wait_runs_once_at_the_real_end(engine: Engine) -> None:
    calls: list[str] = []

    @workflow(id="cleanup")
    async def cleanup(ctx: WorkflowContext) -> str:
        try:
            await ctx.step.run("take", calls.append, "take")
            await ctx.step.wait_for("hold", seconds=0.7)
        finally:
            await ctx.step.run("release", calls.append, "release")
        return "done"

    id_ = engine.start(cleanup)
    assert is_parked(engine.deliver(id_))
    assert calls == ["take"]
    assert engine.result(id_) == "done"
    assert calls == ["take", "release"]


def test_swallowing_the_park_changes_nothing(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    @workflow(id="swallow")
    async def swallow(ctx: WorkflowContext) -> str:
        try:
            await ctx.step.wait_for("hold", seconds=0.7)
        except BaseException:
            return "swallowed"
        return "waited"

    id_ = engine.start(swallow)
    assert is_parked(engine.deliver(id_))
    assert engine.result(id_) == "waited"


def test_a_key_used_twice_fails_naming_it(engine: Engine) -> None:
    @workflow(id="twice")
    async def twice(ctx: WorkflowContext) -> None:
        await ctx.step.run("same", lambda: 1)
        await ctx.step.uuid("same")

    with pytest.raises(WorkflowFailedError, match="'same' is used twice"):
        engine.run(twice)


def test_a_changed_workflow_fails_naming_the_step(engine: Engine) -> None:
    changed = False

    @workflow(id="changing")
    async def changing(ctx: WorkflowContext) -> str:
        if changed:
            return await ctx.step.uuid("first")
        await ctx.step.run("first", lambda: 1)
        await ctx.step.wait_for("hold", seconds=0.7)
        return "unchanged"

    id_ = engine.start(changing)
    assert is_parked(engine.deliver(id_))
    changed = True
    with pytest.raises(WorkflowFailedError, match="'first' is recorded as 'step'"):
        engine.result(id_)


def test_errors_are_the_same_on_first_pass_and_replay(engine: Engine) -> None:
    texts: list[tuple[Any, ...]] = []

    def broken() -> None:
        raise LookupError("nothing there")

    @workflow(id="errors")
    async def errors(ctx: WorkflowContext) -> None:
        try:
            await ctx.step.run("broken", broken, max_retries=1, base_delay=0.01)
        except StepExecutionError as error:
            texts.append((str(error), error.reason, error.step_key, error.attempts))
            texts[-1] += (error.error_type,)
        await ctx.step.wait_for("hold", seconds=0.7)
        raise RuntimeError("the end")

    id_ = engine.start(errors)
    with pytest.raises(WorkflowFailedError, match="RuntimeError: the end"):
        engine.result(id_)
    assert len(texts) == 2
    assert texts[0] == texts[1]
    assert texts[0][1:] == ("nothing there", "broken", 2, "LookupError")


def test_a_lost_end_is_reached_again_from_the_checkpoints(engine: Engine) -> None:
    """An outcome that was never committed is reached again from the checkpoints alone."""

    @workflow(id="again")
    async def again(ctx: WorkflowContext) -> int:
        total = 0
        for n in range(50):
            total += await ctx.step.run(f"s{n}", lambda n=n: n)
        return total

    id_ = engine.start(again)
    assert engine.result(id_) == 1225
    engine.forget(id_)
    assert engine.result(id_) == 1225
    assert engine.get(id_).claims == 2


def test_a_fresh_execution_costs_n_plus_three_commits(engine: Engine) -> None:

    @workflow(id="cost")
    async def cost(ctx: WorkflowContext) -> None:
        await ctx.step.uuid("derived")
        for n in range(10):
            await ctx.step.run(f"s{n}", lambda: None)
        await ctx.step.now("now")

    with statements(engine.store.database) as sent:
        engine.run(cost)
    writes = [text for text, _ in sent if text.startswith(("INSERT", "UPDATE", "WITH"))]
    assert len(writes) == 11 + 3


def test_a_payload_that_no_longer_fits_fails_that_execution(engine: Engine) -> None:
    from pydantic import BaseModel

    class Payload(BaseModel):
        n: int

    @workflow(id="fits")
    async def fits(ctx: WorkflowContext, payload: Payload) -> int:
        return payload.n

    from polos.codec import encode
    from polos.model.records import ExecutionId, NewExecution

    engine.add(fits)
    engine.store.start(NewExecution(ExecutionId("odd"), "fits", "default", encode({"n": "many"})))
    engine.deliver("odd")
    found = engine.get("odd")
    assert found.status is Status.FAILED
    assert found.failure is not None
    assert "n" in found.failure.reason


def test_a_wait_that_a_death_left_behind_goes_with_the_end(engine: Engine) -> None:
    """Its checkpoint is there, so that no attempt sees the wait any more."""

    @workflow(id="waited")
    async def waited(ctx: WorkflowContext) -> None:
        await ctx.step.wait_for("long", seconds=0.6)
        await ctx.step.run("after", lambda: None)

    id_ = engine.start(waited)
    engine.result(id_)
    engine.forget(id_, "after")
    database = engine.store.database
    left = Wait("long", Kind.TIMER, Micros(1))
    database.transaction(lambda connection: waits.add(connection, id_, [left]))
    engine.result(id_)
    assert not database.run(select(schema.waits))
