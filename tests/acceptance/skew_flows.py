"""Each kind of wait, and what the clock of the process says meanwhile."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from polos import WorkflowContext, workflow
from tests.acceptance.ledger import VARIABLE, Ledger, effect, write

IN_PLACE = 0.3
COUNTDOWN = 2.0
SWEPT = 5.0
BACK_OFF = 1.0
CHILD = 1.5


def wall_clock() -> float:
    """What this process takes for the time."""
    return time.time()


def unsure(execution: str) -> str:
    """Fails the first time, in whatever process."""
    before = Ledger(Path(os.environ[VARIABLE])).entries(execution, "unsure")
    write(execution, "unsure", "begin")
    if not before:
        raise ConnectionError("not yet")
    return "up"


@workflow(id="skewed-trip")
async def trip(ctx: WorkflowContext) -> list[Any]:
    me = ctx.execution_id
    seen = [await ctx.step.run("clock", wall_clock), await ctx.step.now("now")]
    await ctx.step.run("a", effect, me, "a")
    await ctx.step.wait_for("in place", seconds=IN_PLACE)
    await ctx.step.run("b", effect, me, "b")
    await ctx.step.wait_for("countdown", seconds=COUNTDOWN)
    await ctx.step.run("c", effect, me, "c")
    await ctx.step.wait_for("swept", seconds=SWEPT)
    await ctx.step.run("d", effect, me, "d")
    await ctx.step.run("unsure", unsure, me, base_delay=BACK_OFF)
    await ctx.step.run("e", effect, me, "e")
    await ctx.step.invoke_and_wait("kid", child)
    await ctx.step.run("f", effect, me, "f")
    return [*seen, await ctx.step.run("clock again", wall_clock), await ctx.step.now("later")]


@workflow(id="skewed-child")
async def child(ctx: WorkflowContext) -> None:
    await ctx.step.wait_for("rest", seconds=CHILD)


@workflow(id="skewed-at")
async def at(ctx: WorkflowContext) -> str:
    return "begun"
