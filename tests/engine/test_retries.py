"""Retries: delays, what is tried again, attempts that survive."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from polos.definition.context import WorkflowContext
from polos.definition.workflow import workflow
from polos.errors import StepExecutionError
from polos.model.states import Status
from tests.engine.conftest import Engine, is_parked


def flaky(calls: list[float], failures: int) -> Any:
    def function() -> str:
        calls.append(time.monotonic())
        if len(calls) <= failures:
            raise OSError(f"failure {len(calls)}")
        return "fine"

    return function


def test_defaults_are_three_attempts_with_growing_delays(engine: Engine) -> None:
    calls: list[float] = []

    @workflow(id="defaults")
    async def defaults(ctx: WorkflowContext) -> None:
        await ctx.step.run("step", flaky(calls, 9))

    with pytest.raises(StepExecutionError) as caught:
        engine.run(defaults)
    assert len(calls) == 3
    assert calls[1] - calls[0] >= 1.0
    assert calls[2] - calls[1] >= 2.0
    assert (caught.value.reason, caught.value.attempts) == ("failure 3", 3)
    assert (caught.value.step_key, caught.value.error_type) == ("step", "OSError")


def test_a_long_back_off_parks_and_the_count_survives(engine: Engine) -> None:
    calls: list[float] = []

    @workflow(id="parks")
    async def parks(ctx: WorkflowContext) -> str:
        return await ctx.step.run("step", flaky(calls, 2), max_retries=2, base_delay=0.6)

    id_ = engine.start(parks)
    assert is_parked(engine.deliver(id_))
    assert len(calls) == 1
    assert engine.get(id_).status is Status.WAITING
    assert engine.result(id_) == "fine"
    assert engine.checkpoints(id_)["step"].attempts == 3
    assert calls[2] - calls[1] >= 1.2


def test_a_short_back_off_stays(engine: Engine) -> None:
    calls: list[float] = []

    @workflow(id="stays")
    async def stays(ctx: WorkflowContext) -> str:
        return await ctx.step.run("step", flaky(calls, 2), base_delay=0.01)

    id_ = engine.start(stays)
    assert engine.deliver(id_).outcome is not None
    assert engine.get(id_).status is Status.COMPLETED
    assert engine.checkpoints(id_)["step"].attempts == 3


@pytest.mark.parametrize(
    ("options", "attempts"),
    [
        ({"retry_on": (OSError,)}, 3),
        ({"retry_on": ValueError}, 1),
        ({"no_retry_on": (OSError,)}, 1),
        ({"retry_on": (OSError,), "no_retry_on": OSError}, 1),
        ({"max_retries": 0}, 1),
    ],
)
def test_what_is_tried_again(engine: Engine, options: dict[str, Any], attempts: int) -> None:
    calls: list[float] = []

    @workflow(id="which")
    async def which(ctx: WorkflowContext) -> None:
        await ctx.step.run("step", flaky(calls, 9), base_delay=0.001, **options)

    with pytest.raises(StepExecutionError):
        engine.run(which)
    assert len(calls) == attempts


def test_a_step_that_takes_too_long_fails(engine: Engine) -> None:
    @workflow(id="slow")
    async def slow(ctx: WorkflowContext) -> None:
        await ctx.step.run("step", asyncio.sleep, 10, timeout=0.05, max_retries=0)

    with pytest.raises(StepExecutionError, match=r"timeout of 0\.05 s"):
        engine.run(slow)


@pytest.mark.parametrize("value", [object(), {1: 2}, iter(()), lambda: 1])
def test_a_value_that_cant_be_kept_fails_at_once(engine: Engine, value: Any) -> None:
    calls: list[int] = []

    def function() -> Any:
        calls.append(1)
        return value

    @workflow(id="unkept")
    async def unkept(ctx: WorkflowContext) -> None:
        await ctx.step.run("odd_step", function)

    with pytest.raises(StepExecutionError, match="'odd_step'.*can't be kept|'odd_step'.*keys"):
        engine.run(unkept)
    assert calls == [1]


def test_a_value_that_is_too_large_fails_at_once(engine: Engine) -> None:
    @workflow(id="huge")
    async def huge(ctx: WorkflowContext) -> None:
        await ctx.step.run("huge_step", lambda: "x" * 5_000_000)

    with pytest.raises(StepExecutionError, match="'huge_step'.*limit"):
        engine.run(huge)
