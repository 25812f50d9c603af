"""What happens to an order. Found by its module's name, as ``tasks.py`` is."""

from __future__ import annotations

from typing import Any

from django.db.models import F
from pydantic import BaseModel

from orders.models import Item, Order
from orders.tasks import send_receipt
from polos import WorkflowContext, workflow


class PlacedOrder(BaseModel):
    number: int


class Fulfilled(BaseModel):
    number: int
    parcel: str
    receipt: str


class SoldOut(Exception):
    """There is not enough of it."""


@workflow
async def fulfil_order(ctx: WorkflowContext, placed: PlacedOrder) -> Fulfilled:
    """Takes an order from the click to the door, whatever is restarted meanwhile."""
    await ctx.step.transaction("reserve", reserve, placed.number, no_retry_on=SoldOut)
    await ctx.step.run("charge", set_status, placed.number, "paid")
    await ctx.step.wait_for("packing", seconds=2)  # or days=2: it holds no worker
    parcel = await ctx.step.uuid("parcel")
    await ctx.step.run("ship", set_status, placed.number, "shipped")
    receipt = await ctx.step.task("receipt", send_receipt.s(placed.number))
    return Fulfilled(number=placed.number, parcel=parcel, receipt=receipt)


def reserve(_connection: Any, number: int) -> int:
    """Take the order's items out of the stock: once, as the step is recorded with it."""
    order = Order.objects.get(pk=number)
    enough = Item.objects.filter(pk=order.item_id, in_stock__gte=order.quantity)
    if not enough.update(in_stock=F("in_stock") - order.quantity):
        raise SoldOut(f"fewer than {order.quantity} in stock")
    return int(order.quantity)


def set_status(number: int, status: str) -> None:
    """Stands for the calls of the bank and of the courier."""
    Order.objects.filter(pk=number).update(status=status)
