"""The workflows and tasks of the suite."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from celery import shared_task

from polos import WorkflowContext, workflow


@shared_task(name="suite.add")
def add(one: int, two: int) -> int:
    return one + two


@shared_task(name="suite.say")
def say(found: Any) -> str:
    return f"said {found}"


def drawn() -> str:
    """Never twice the same."""
    return uuid4().hex


@workflow(id="suite-steps")
async def steps(ctx: WorkflowContext, payload: dict) -> list[Any]:
    """Steps and a wait."""
    first = await ctx.step.run("first", add, payload["one"], 2)
    await ctx.step.wait_for("pause", seconds=1)
    return [first, await ctx.step.task("sent", add.s(first, 1))]


@workflow(id="suite-slow")
async def slow(ctx: WorkflowContext) -> list[str]:
    """Lasts long enough to have its worker killed, or its broker started again."""
    first = await ctx.step.run("first", drawn)
    await ctx.step.run("slow", time.sleep, 4)
    return [first, await ctx.step.run("last", drawn)]


@workflow(id="suite-parked")
async def parked(ctx: WorkflowContext) -> list[str]:
    """The same while it waits."""
    first = await ctx.step.run("first", drawn)
    await ctx.step.wait_for("pause", seconds=5)
    return [first, await ctx.step.run("last", drawn)]
