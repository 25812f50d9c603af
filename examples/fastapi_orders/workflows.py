"""What happens to an order."""

from __future__ import annotations

from pydantic import BaseModel, Field

from polos import WorkflowContext, workflow


class Order(BaseModel):
    item: str
    quantity: int = Field(gt=0)


class Shipped(BaseModel):
    item: str
    parcel: str


@workflow
async def fulfil_order(ctx: WorkflowContext, order: Order) -> Shipped:
    await ctx.step.run("reserve", reserve, order)
    await ctx.step.run("charge", charge, order)
    await ctx.step.wait_for("packing", seconds=1)  # or days=1: it holds no worker
    parcel = await ctx.step.uuid("parcel")
    return Shipped(item=order.item, parcel=parcel)


def reserve(order: Order) -> str:
    if order.item == "unicorn":
        raise ValueError("there are no unicorns")
    return f"{order.quantity} x {order.item}"


async def charge(order: Order) -> float:
    return order.quantity * 9.5
