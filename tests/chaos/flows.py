"""The workflows of the stream: every kind of step, wait, child and branch that there is.

What each must come to can be told from its payload alone, or from the ledger: ``expected.py``.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from celery import group, shared_task
from sqlalchemy import Connection, text

from polos import SyncWorkflowContext, WorkflowContext, workflow
from tests.chaos.ledger import Scribe


@workflow(id="chaos-steps")
async def steps(ctx: WorkflowContext, payload: dict) -> int:
    """Plain and async steps, one after another."""
    scribe, total = Scribe.of(ctx), 0
    for number in range(payload["count"]):
        key = f"step{number}"
        work = scribe.async_work if number % 2 else scribe.work
        total += await ctx.step.run(key, work, key, number, payload["seconds"])
    return total


@workflow(id="chaos-plain")
def plain(ctx: SyncWorkflowContext, payload: dict) -> int:
    """A workflow that is no coroutine."""
    scribe = Scribe.of(ctx)
    one = ctx.step.run("one", scribe.work, "one", 1, payload["seconds"])
    scribe.ask("pause", payload["wait"])
    ctx.step.wait_for("pause", seconds=payload["wait"])
    scribe.passed("pause")
    return one + ctx.step.run("two", scribe.async_work, "two", payload["add"], payload["seconds"])


@workflow(id="chaos-retries")
async def retries(ctx: WorkflowContext, payload: dict) -> str:
    """A step that succeeds in the end; its delays are slept in place, or parked."""
    scribe = Scribe.of(ctx)
    return await ctx.step.run(
        "unsure",
        scribe.unsure,
        "unsure",
        payload["failures"],
        "in the end",
        max_retries=payload["failures"] + 1,
        base_delay=payload["delay"],
    )


@workflow(id="chaos-hopeless")
async def hopeless(ctx: WorkflowContext) -> None:
    """A step that never succeeds."""
    scribe = Scribe.of(ctx)
    await ctx.step.run("before", scribe.work, "before")
    await ctx.step.run("hopeless", scribe.hopeless, "hopeless", max_retries=1, base_delay=0.1)


@workflow(id="chaos-waits")
async def waits(ctx: WorkflowContext, payload: dict) -> int:
    """Waits for a time and until a time, with a step behind each."""
    scribe = Scribe.of(ctx)
    for number, seconds in enumerate(payload["waits"]):
        key = f"wait{number}"
        if number % 2:
            # The moment is a value like any other that must not change: a step's.
            until = await ctx.step.run(f"until{number}", _later, seconds)
            scribe.ask(key, until.timestamp())
            await ctx.step.wait_until(key, until)
        else:
            scribe.ask(key, seconds)
            await ctx.step.wait_for(key, seconds=seconds)
        scribe.passed(key)
        await ctx.step.run(f"after{number}", scribe.work, f"after{number}")
    return len(payload["waits"])


def _later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@workflow(id="chaos-deep")
async def deep(ctx: WorkflowContext, payload: dict) -> int:
    """Children below one another; the last one waits."""
    scribe, depth = Scribe.of(ctx), payload["depth"]
    await ctx.step.run("down", scribe.work, "down", None, payload["seconds"])
    if depth == 0:
        scribe.ask("bottom", payload["wait"])
        await ctx.step.wait_for("bottom", seconds=payload["wait"])
        scribe.passed("bottom")
        return 1
    below: int = await ctx.step.invoke_and_wait("child", deep, payload | {"depth": depth - 1})
    return below + await ctx.step.run("up", scribe.async_work, "up", 1, payload["seconds"])


@workflow(id="chaos-fan")
async def fan(ctx: WorkflowContext, payload: dict) -> list[int]:
    """Branches that are all waited for: steps, waits and children."""
    scribe = Scribe.of(ctx)

    async def branch(number: int) -> int:
        key = f"branch{number}"
        if number % 3 == 2:
            child: int = await ctx.step.invoke_and_wait(
                key, steps, {"count": number, "seconds": payload["seconds"]}
            )
            return child
        work = scribe.async_work if number % 2 else scribe.work
        value: int = await ctx.step.run(key, work, key, number, payload["seconds"])
        if number % 3 == 1:
            scribe.ask(f"pause{number}", payload["wait"])
            await ctx.step.wait_for(f"pause{number}", seconds=payload["wait"])
            scribe.passed(f"pause{number}")
        return value

    return await asyncio.gather(*(branch(number) for number in range(payload["branches"])))


@workflow(id="chaos-first")
async def first(ctx: WorkflowContext, payload: dict) -> str:
    """Whoever comes first wins, and does so in every replay."""
    scribe = Scribe.of(ctx)
    racers = {
        "timer": asyncio.create_task(ctx.step.wait_for("timer", seconds=payload["wait"])),
        "child": asyncio.create_task(
            ctx.step.invoke_and_wait("child", steps, {"count": 2, "seconds": payload["seconds"]})
        ),
        "late": asyncio.create_task(ctx.step.wait_for("late", seconds=payload["wait"] + 30)),
    }
    done, _ = await asyncio.wait(racers.values(), return_when=asyncio.FIRST_COMPLETED)
    winner = next(name for name, task in racers.items() if task in done)
    await ctx.step.run(f"won {winner}", scribe.work, f"won {winner}", None, payload["seconds"])
    scribe.ask("rest", payload["wait"])
    await ctx.step.wait_for("rest", seconds=payload["wait"])
    scribe.passed("rest")
    await ctx.step.run(f"still {winner}", scribe.work, f"still {winner}")
    return winner


@workflow(id="chaos-order")
async def order(ctx: WorkflowContext, payload: dict) -> list[str]:
    """Completions are met in one order, in every replay."""
    scribe, met = Scribe.of(ctx), []

    async def wait(number: int) -> str:
        key = f"wait{number}"
        await ctx.step.wait_for(key, seconds=payload["wait"] + number % 2 * 0.01)
        return key

    async def child(number: int) -> str:
        key = f"child{number}"
        await ctx.step.invoke_and_wait(key, steps, {"count": 1, "seconds": payload["seconds"]})
        return key

    branches = [*(wait(number) for number in range(3)), *(child(number) for number in range(2))]
    for place, branch in enumerate(asyncio.as_completed(branches)):
        met.append(await branch)
        key = f"place {place} {met[-1]}"
        await ctx.step.run(key, scribe.work, key)
    return met


@workflow(id="chaos-writes")
async def writes(ctx: WorkflowContext, payload: dict) -> int:
    """Transaction steps: what they write is there once, as their checkpoints are."""
    scribe, total = Scribe.of(ctx), 0
    for number in range(payload["count"]):
        key = f"write{number}"
        total += await ctx.step.transaction(key, _write, ctx.execution_id, key, number)
        await ctx.step.run(
            f"after{number}", scribe.work, f"after{number}", None, payload["seconds"]
        )
    return total


def _write(connection: Connection, execution: str, step: str, value: int) -> int:
    values = {"execution": execution, "step": step}
    connection.execute(text("INSERT INTO chaos_writings VALUES (:execution, :step)"), values)
    return value


@shared_task(name="chaos.add", acks_late=True, reject_on_worker_lost=True)
def add(number: int, seconds: float) -> int:
    """A task as a step; it may run again, and its execution must not."""
    time.sleep(seconds)
    return number + 1


@workflow(id="chaos-tasks")
async def tasks(ctx: WorkflowContext, payload: dict) -> list[int]:
    """Celery tasks as steps: one by itself, and a group; what a fault has lost is sent again."""
    scribe, seconds = Scribe.of(ctx), payload["seconds"]
    one = await ctx.step.task("one", add.s(0, seconds), resend_after=8)
    await ctx.step.run("between", scribe.work, "between")
    members = group(add.s(number, seconds) for number in range(payload["members"]))
    return [one, *await ctx.step.task("all", members, resend_after=8)]


@workflow(id="chaos-derived")
async def derived(ctx: WorkflowContext, payload: dict) -> dict:
    """Effects whose argument is what was drawn or read before."""
    scribe = Scribe.of(ctx)
    drawn = [await ctx.step.uuid("ticket"), await ctx.step.random("dice")]
    read = await ctx.step.now("clock")
    text = repr([*drawn, read])
    await ctx.step.run("use", scribe.work, "use", None, payload["seconds"], text)
    scribe.ask("pause", payload["wait"])
    await ctx.step.wait_for("pause", seconds=payload["wait"])
    scribe.passed("pause")
    again = await ctx.step.now("later")
    await ctx.step.run("reuse", scribe.async_work, "reuse", None, 0, repr([*drawn, read, again]))
    return {"drawn": drawn, "read": read, "again": again}


@workflow(id="chaos-starter")
async def starter(ctx: WorkflowContext, payload: dict) -> list[str]:
    """Children that are started and not waited for."""
    scribe, ids = Scribe.of(ctx), []
    for number in range(payload["children"]):
        below = {"count": number + 1, "seconds": payload["seconds"]}
        ids.append((await ctx.step.invoke(f"child{number}", steps, below)).id)
        await ctx.step.run(f"after{number}", scribe.work, f"after{number}", None, 0.02)
    return ids


@workflow(id="chaos-sleeper")
async def sleeper(ctx: WorkflowContext, payload: dict) -> None:
    """Sleeps, with a child that sleeps, until somebody cancels it."""
    scribe = Scribe.of(ctx)
    try:
        if payload["child"]:
            await ctx.step.invoke_and_wait("child", sleeper, {"child": False})
        await ctx.step.wait_for("month", days=30)
    finally:
        await ctx.step.run("clean up", scribe.work, "clean up")


@workflow(id="chaos-whole-retries", retries=3)
async def whole_retries(ctx: WorkflowContext, payload: dict) -> int:
    """Fails as a whole, and its child with it, until both were tried again often enough."""
    scribe, tries = Scribe.of(ctx), payload["tries"]
    await ctx.step.run("before", scribe.work, "before", None, payload["seconds"])
    if payload["child"]:
        await ctx.step.invoke_and_wait("child", once_more, {"tries": tries})
    if ctx.retry_count < tries:
        raise ConnectionError("not yet")
    return tries


@workflow(id="chaos-once-more")
async def once_more(ctx: WorkflowContext, payload: dict) -> None:
    """The child: it fails until its parent was tried again."""
    scribe = Scribe.of(ctx)
    await ctx.step.run("only", scribe.work, "only")
    if ctx.retry_count == 0:
        raise ConnectionError("not yet")


@workflow(id="chaos-late", timeout_seconds=2)
async def late(ctx: WorkflowContext) -> None:
    """Takes longer than it may."""
    scribe = Scribe.of(ctx)
    await ctx.step.run("before", scribe.work, "before")
    await ctx.step.wait_for("month", days=30)


@workflow(id="chaos-link")
async def link(ctx: WorkflowContext, payload: dict) -> dict:
    """A link of a chain, or a part of a chord: passes on what it was given."""
    scribe = Scribe.of(ctx)
    wait = payload.get("wait")
    if wait:
        scribe.ask("pause", wait)
        await ctx.step.wait_for("pause", seconds=wait)
        scribe.passed("pause")
    text = await ctx.step.run("say", scribe.work, "say", f"{payload['text']}+", 0.05)
    return {"text": text, "wait": wait}


@workflow(id="chaos-knot")
async def knot(ctx: WorkflowContext, payload: dict) -> str:
    """The body of a chord."""
    scribe = Scribe.of(ctx)
    return await ctx.step.run("tie", scribe.work, "tie", payload["text"], 0.05)
