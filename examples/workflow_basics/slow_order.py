"""An order whose steps take their time and keep a ledger; ``demo.py`` kills its worker.

The ledger is an ordinary file. The functions themselves write to it, so it tells what really ran,
whatever Polos says.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from pydantic import BaseModel

from polos import WorkflowContext, workflow

STEPS = ("reserve_stock", "charge_card", "pack_parcel", "book_courier", "send_receipt")


class SlowOrder(BaseModel):
    order_id: str
    ledger: str
    step_seconds: float = 1.2


class SlowOrderResult(BaseModel):
    order_id: str
    confirmation: str
    done: list[str]


@workflow(id="slow_order")
async def slow_order(ctx: WorkflowContext, payload: SlowOrder) -> SlowOrderResult:
    """Five steps, one after another."""
    confirmation = await ctx.step.uuid("confirmation")
    done = [
        await ctx.step.run(name, work, name, payload.ledger, payload.step_seconds) for name in STEPS
    ]
    return SlowOrderResult(order_id=payload.order_id, confirmation=confirmation, done=done)


def work(name: str, ledger: str, seconds: float) -> str:
    """What a step does here: a line when it begins, some seconds, a line when it ends."""
    note(ledger, name, "begin")
    time.sleep(seconds)
    note(ledger, name, "end")
    return name


def note(ledger: str, step: str, event: str) -> None:
    line = {"step": step, "event": event, "pid": os.getpid(), "time": time.time()}
    with Path(ledger).open("a") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())
