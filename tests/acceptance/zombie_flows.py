"""Workflows whose step lasts, in each process, until the test lets that process go on."""

from __future__ import annotations

import os

from polos import WorkflowContext, workflow
from tests.acceptance.ledger import async_gated, effect, gated, write


def gate_of(execution: str, pid: int) -> str:
    """What the ledger calls the gate of one process; its entries have that name, too."""
    return f"{execution}-{pid}"


def held_plain(execution: str) -> int:
    """A plain step that gives the process that ran it."""
    write(execution, "slow", "begin")
    gated(gate_of(execution, os.getpid()), "slow")
    write(execution, "slow", "end")
    return os.getpid()


async def held_async(execution: str) -> int:
    """The same without blocking the loop."""
    write(execution, "slow", "begin")
    await async_gated(gate_of(execution, os.getpid()), "slow")
    write(execution, "slow", "end")
    return os.getpid()


@workflow(id="zombie-plain")
async def plain(ctx: WorkflowContext) -> list[int]:
    me = ctx.execution_id
    values = [await ctx.step.run(f"step{n}", effect, me, f"step{n}", n) for n in range(2)]
    values.append(await ctx.step.run("slow", held_plain, me))
    values.append(await ctx.step.run("last", effect, me, "last", 3))
    return values


@workflow(id="zombie-async")
async def native(ctx: WorkflowContext) -> list[int]:
    me = ctx.execution_id
    values = [await ctx.step.run(f"step{n}", effect, me, f"step{n}", n) for n in range(2)]
    values.append(await ctx.step.run("slow", held_async, me))
    values.append(await ctx.step.run("last", effect, me, "last", 3))
    return values
