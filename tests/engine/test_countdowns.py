"""No message is held for longer than the horizon: brokers would send it again, workers keep it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polos.definition.context import WorkflowContext
from polos.definition.workflow import workflow
from polos.model.states import Status
from tests.engine.conftest import Engine

HORIZON = 30.0
Steps = Callable[[WorkflowContext, float], Coroutine[Any, Any, Any]]


def refused() -> None:
    raise ConnectionError("the road is closed")


async def waits(ctx: WorkflowContext, seconds: float) -> None:
    await ctx.step.wait_for("wait", seconds=seconds)


async def waits_until(ctx: WorkflowContext, seconds: float) -> None:
    # The test's clock is the database's: both are this machine's.
    await ctx.step.wait_until("moment", datetime.now(UTC) + timedelta(seconds=seconds))


async def backs_off(ctx: WorkflowContext, seconds: float) -> None:
    await ctx.step.run("try", refused, base_delay=seconds, max_delay=seconds)


async def waits_twice(ctx: WorkflowContext, seconds: float) -> None:
    await asyncio.gather(
        ctx.step.wait_for("long", days=30), ctx.step.wait_for("short", seconds=seconds)
    )


@pytest.mark.parametrize("steps", [waits, waits_until, backs_off, waits_twice])
@pytest.mark.parametrize(("seconds", "is_sent"), [(20, True), (40, False), (86_400, False)])
def test_a_park_sends_a_message_for_what_is_near_only(
    engine: Engine, steps: Steps, seconds: float, is_sent: bool
) -> None:
    assert engine.settings.countdown_horizon == HORIZON

    @workflow(id="parks")
    async def parks(ctx: WorkflowContext) -> None:
        await steps(ctx, seconds)

    id_ = engine.start(parks)
    engine.deliver(id_)
    assert engine.get(id_).status is Status.WAITING
    assert len(engine.hints.sent) == is_sent
    for _, hint in engine.hints.sent:
        assert hint.execution_id == id_
        # The two clocks are read one after the other.
        assert seconds - 15 < hint.countdown <= seconds + 1
    # What the sweep looks at is due for a message when its time is near, and not before.
    assert engine.store.send_ahead(10) == ()


def test_a_retry_of_the_whole_sends_none_where_its_pause_is_beyond_the_horizon(
    sqlite_url: str,
) -> None:
    engine = Engine(sqlite_url, countdown_horizon=0.5)

    @workflow(id="tries", retries=2)
    async def tries(ctx: WorkflowContext) -> None:
        refused()

    id_ = engine.start(tries)
    engine.deliver(id_)
    assert engine.get(id_).status is Status.WAITING
    assert engine.hints.sent == []
    engine.keeper.stop()
    engine.store.close()
