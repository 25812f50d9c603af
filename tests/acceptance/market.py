"""A Celery project whose canvases have workflows in them, and which dies where a test says so."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from pydantic import BaseModel

from polos import Polos, WorkflowContext, workflow
from tests.acceptance import ledger
from tests.acceptance.ledger import async_gated, effect, gated

app = Celery("market", set_as_current=False)
app.conf.update(
    broker_url=os.environ.get("MARKET_BROKER", "memory://"),
    result_backend=os.environ.get("MARKET_BACKEND"),
    polos_database_url=os.environ.get("MARKET_DATABASE"),
    polos_auto_migrate=True,
    polos_lease_seconds=6,
    task_default_queue="market",
    # Theirs; on tasks of workflows it stays off.
    task_track_started=True,
    result_extended=True,
    beat_schedule={
        "tick": {"task": "polos.market-tick", "schedule": 0.3, "args": [{"by": "beat"}]},
    },
)


class Order(BaseModel):
    name: str
    seconds: float = 0.5
    gate: bool = False


class Receipt(BaseModel):
    name: str
    number: int


@workflow(id="market-order")
async def order(ctx: WorkflowContext, payload: Order) -> Receipt:
    """Waits twice."""
    me = ctx.execution_id
    try:
        await ctx.step.run("reserve", gated if payload.gate else effect, me, "reserve")
        await ctx.step.wait_for("first", seconds=payload.seconds)
        await ctx.step.run("pay", effect, me, "pay")
        await ctx.step.wait_for("second", seconds=payload.seconds)
        number = await ctx.step.run("ship", effect, me, "ship", 7)
    except BaseException:
        await ctx.step.run("clean up", effect, me, "clean up")
        raise
    return Receipt(name=payload.name, number=number)


@workflow(id="market-long")
async def long(ctx: WorkflowContext, payload: dict) -> None:
    """Runs until it is told to end, and cleans up then."""
    try:
        await ctx.step.run("long", async_gated, ctx.execution_id, "long")
    finally:
        await ctx.step.run("clean up", effect, ctx.execution_id, "clean up")


@workflow(id="market-refused")
async def refused(ctx: WorkflowContext, payload: dict) -> None:
    """Waits, and fails then."""

    def pay() -> None:
        raise ConnectionError("the bank is closed")

    await ctx.step.wait_for("first", seconds=payload["seconds"])
    await ctx.step.run("pay", pay, max_retries=0)


@workflow(id="market-tick")
async def tick(ctx: WorkflowContext, payload: dict) -> None:
    await ctx.step.run("tick", effect, payload["by"], "tick", None, ctx.execution_id)


@app.task(name="market.prepare")
def prepare(name: str, seconds: float = 0.5, gate: bool = False) -> dict[str, Any]:
    return {"name": name, "seconds": seconds, "gate": gate}


@app.task(name="market.finish")
def finish(found: Any, me: str) -> Any:
    effect(me, "finished", None, repr(found))
    return found


@app.task(name="market.gather")
def gather(found: list[Any], me: str) -> list[Any]:
    effect(me, "gathered", None, repr(found))
    return found


@app.task(name="market.complain")
def complain(request: Any, error: Any, traceback: Any, me: str) -> None:
    effect(me, "complained", None, f"{type(error).__name__}: {error}")


@app.task(name="market.complain_by_id", bind=True)
def complain_by_id(self: Any, failed: str, me: str) -> None:
    effect(me, "complained by id", None, f"{self.request.id} {failed}")


def switch(execution: str, point: str) -> Path:
    """Whoever comes to that point of an execution first dies of it, or stands still."""
    return Path(os.environ[ledger.VARIABLE]).with_name(f"{execution}.{point}")


def _pass(execution: str, point: str, sig: signal.Signals = signal.SIGKILL) -> None:
    try:
        switch(execution, point).unlink()
    except FileNotFoundError:
        return
    ledger.write(execution, point, "struck")
    if sig is signal.SIGKILL:
        os.killpg(0, sig)
    os.kill(os.getpid(), sig)


if "MARKET_BROKER" in os.environ:
    polos = Polos(app)
    _deliver = polos.bound.deliver

    def _mortal(request: Any, *args: Any) -> Any:
        _pass(request.id, "before-claim")
        if switch(request.id, "no-broker").exists():
            app.amqp._retry_publish = _unsent(request.id, app.amqp._retry_publish)
        if switch(request.id, "before-body").exists():
            app.amqp._retry_publish = _fatal(request.id, app.amqp._retry_publish)
        found = _deliver(request, *args)
        if found.waiting is not None:
            _pass(request.id, "parked", signal.SIGSTOP)
        elif not found.dropped:
            # The end is committed; Celery has not been told.
            _pass(request.id, "after-end")
        return found

    def _unsent(execution: str, publish: Any) -> Any:
        """What sends a chain on, failing as it does while the broker is away."""

        def fail(*args: Any, **options: Any) -> Any:
            if options.get("parent_id") == execution and switch(execution, "no-broker").exists():
                switch(execution, "no-broker").unlink()
                raise OperationalError("the broker is away")
            return publish(*args, **options)

        return fail

    def _fatal(execution: str, publish: Any) -> Any:
        """What sends the body of a chord, whose last part this execution is."""

        def die(*args: Any, **options: Any) -> Any:
            _pass(execution, "before-body")
            return publish(*args, **options)

        return die

    polos.bound.deliver = _mortal
