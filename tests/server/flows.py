"""What the tests of the API start."""

from __future__ import annotations

from pydantic import BaseModel, Field

from polos import WorkflowContext, workflow


class Order(BaseModel):
    """What ``order`` is started with."""

    id: str
    price: float = Field(default=1.0, ge=0)


class Label(BaseModel):
    """What ``order`` comes to."""

    text: str


@workflow(id="api_order", queue="orders", timeout_seconds=900, celery={"priority": 3})
async def order(ctx: WorkflowContext, payload: Order) -> Label:
    """Charges and ships an order."""
    await ctx.step.run("charge", lambda: payload.price)
    await ctx.step.wait_for("pause", seconds=0.01)
    return Label(text=await ctx.step.run("label", lambda: f"for {payload.id}"))


@workflow(id="api_anything")
async def anything(ctx: WorkflowContext, payload: dict) -> dict:
    """Gives back what it was given."""
    return payload


@workflow(id="api_fails")
async def fails(ctx: WorkflowContext) -> None:
    """Fails at its second step."""
    await ctx.step.run("fine", lambda: 1)
    await ctx.step.run("broken", _broken, max_retries=0)


@workflow(id="api_waits")
async def waits(ctx: WorkflowContext) -> None:
    """Waits for an hour."""
    await ctx.step.run("first", lambda: 1)
    await ctx.step.wait_for("long", hours=1)


@workflow(id="api_stumbles")
async def stumbles(ctx: WorkflowContext) -> None:
    """Tries its only step again and again."""
    await ctx.step.run("stumble", _broken, max_retries=100, base_delay=60, max_delay=60)


def _broken() -> None:
    raise ValueError("it is broken")


ALL = [order, anything, fails, waits, stumbles]
