"""Workflows whose steps use the ORM, found by their module's name."""

from __future__ import annotations

import asyncio
from typing import Any

from django.db import transaction

from polos import WorkflowContext, workflow
from tests.contrib.site.guests.models import Guest


def sign_in(name: str) -> int:
    with transaction.atomic():
        return int(Guest.objects.create(name=name).pk)


async def sign_in_async(name: str) -> int:
    guest = await Guest.objects.acreate(name=name)
    return int(guest.pk)


def leave_a_transaction_open(name: str) -> None:
    """What a step must not do, and some do."""
    transaction.set_autocommit(False)
    Guest.objects.create(name=name)
    transaction.commit()
    Guest.objects.filter(name=name).count()


@workflow(id="guests")
async def guests(ctx: WorkflowContext, payload: dict[str, Any]) -> dict[str, Any]:
    name = payload["name"]
    plain = await ctx.step.run("plain", sign_in, f"{name} plain")
    thread = await ctx.step.run("thread", asyncio.to_thread, sign_in, f"{name} thread")
    if payload["async"]:
        await ctx.step.run("async", sign_in_async, f"{name} async")
    await ctx.step.run("open", leave_a_transaction_open, f"{name} open")
    await ctx.step.run("open in a thread", asyncio.to_thread, leave_a_transaction_open, f"{name} 2")
    return {"ids": [plain, thread]}


def fail(reason: str) -> None:
    raise ValueError(reason)


seen: set[str] = set()


def second_time(text: str) -> None:
    if text not in seen:
        seen.add(text)
        raise ValueError(f"not yet: {text}")


@workflow(id="child")
async def child(ctx: WorkflowContext, payload: dict[str, Any]) -> dict[str, Any]:
    return {"seen": payload["text"]}


@workflow(id="shown")
async def shown(ctx: WorkflowContext, payload: dict[str, Any]) -> dict[str, Any]:
    """Something of everything that the admin shows."""
    await ctx.step.run("said", str, payload["text"])
    await ctx.step.run("again", second_time, f"{ctx.execution_id} <b>", base_delay=0.01)
    await ctx.step.invoke_and_wait("asked", child, payload)
    if payload.get("fails"):
        await ctx.step.run("refused", fail, payload["text"], max_retries=0)
    if payload.get("waits"):
        await ctx.step.wait_for("for ever", days=30)
    return {"text": payload["text"]}


def forget(account: dict[str, Any]) -> None:
    if str(account) not in seen:
        seen.add(str(account))
        raise ValueError(f"not yet: {account}")
    raise ValueError(f"nobody has {account}")


@workflow(id="hidden")
async def hidden(ctx: WorkflowContext, payload: dict[str, Any]) -> None:
    """What it is given is in all that is kept of it: inputs, values, errors, failed attempts."""
    account = await ctx.step.run("looked up", dict, payload)
    await ctx.step.run("forgotten", forget, account, max_retries=1, base_delay=0.01)
