"""Workflows that are given a secret, return it, and tell of it in their errors."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel

from polos import WorkflowContext, workflow

SECRET = "hunter2-of-the-tests"


class Account(BaseModel):
    user: str
    password: str


def log_in(account: Account) -> Account:
    if account.user == "nobody":
        raise ValueError(f"{account!r} is unknown, password={account.password}")
    while account.user.startswith("/") and not Path(account.user).exists():
        time.sleep(0.05)
    return account


@workflow(id="accept-log-in")
async def login(ctx: WorkflowContext, payload: Account) -> Account:
    return await ctx.step.run("log_in", log_in, payload, max_retries=1, base_delay=0.05)


@workflow(id="accept-log-in-outside")
async def outside(ctx: WorkflowContext, payload: Account) -> Account:
    return log_in(payload)
