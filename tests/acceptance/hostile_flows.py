"""Workflows that messages and rows of ill will are aimed at."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from polos import WorkflowContext, workflow
from tests.acceptance.ledger import effect, gate_is_open


class Count(BaseModel):
    number: int


@workflow(id="hostile-double")
async def double(ctx: WorkflowContext, payload: Count) -> int:
    return await ctx.step.run("double", lambda: payload.number * 2)


@workflow(id="hostile-triple")
async def triple(ctx: WorkflowContext, payload: Count) -> int:
    return await ctx.step.run("triple", lambda: payload.number * 3)


@workflow(id="hostile-lasting")
async def lasting(ctx: WorkflowContext) -> str:
    """Runs for as long as the test likes, however slow the machine is."""

    async def last() -> str:
        while not gate_is_open(ctx.execution_id):
            await asyncio.sleep(0.05)
        return "lasted"

    await ctx.step.run("begun", effect, ctx.execution_id, "begun")
    return await ctx.step.run("last", last)
