"""The workflows that the commands are tried on."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from polos import WorkflowContext, workflow
from tests.acceptance import ledger


class Order(BaseModel):
    item: str
    price: float = 9.5


def is_paid() -> bool:
    """Fails until the test has paid."""
    if not Path(os.environ[ledger.VARIABLE]).with_name("paid").exists():
        raise ValueError("no such card: \x1b[31m4242")
    return True


@workflow(id="cmd-parcel")
async def parcel(ctx: WorkflowContext, payload: dict) -> str:
    """Packs a parcel."""
    await ctx.step.wait_for("courier", seconds=1)
    return await ctx.step.run("label", str.upper, payload["item"])


@workflow(id="cmd-order")
async def order(ctx: WorkflowContext, payload: Order) -> dict[str, Any]:
    """Sells something."""
    number = await ctx.step.uuid("number")
    await ctx.step.run("charge", round, payload.price)
    label, _ = await asyncio.gather(
        ctx.step.invoke_and_wait("ship", parcel, {"item": payload.item}),
        ctx.step.wait_for("cooling_off", seconds=1),
    )
    return {"number": number, "label": label}


@workflow(id="cmd-doomed")
async def doomed(ctx: WorkflowContext) -> str:
    """Fails at its second step."""
    await ctx.step.run("before", str, "done")
    await ctx.step.run("pay", is_paid, max_retries=1, base_delay=0.1)
    return "paid"


@workflow(id="cmd-patient")
async def patient(ctx: WorkflowContext) -> None:
    """Waits for longer than any test."""
    await ctx.step.wait_for("month", days=30)
