"""Polos, as its README shows it: a client program, and ``celery -A polos.celery_app worker``."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from celery.signals import worker_ready

from benchmarks.contest.peers.protocol import mark, noop, serve
from polos import ExecutionHandle, PolosClient, WorkflowContext, workflow
from polos.model.settings import Settings
from polos.store.sql_store import SqlStore


@workflow(id="contest_steps")
async def steps(ctx: WorkflowContext, payload: dict[str, Any]) -> int:
    mark("begin", ctx.execution_id)
    for number in range(payload["steps"]):
        await ctx.step.run(f"s{number}", noop)
    mark("end", ctx.execution_id)
    return payload["steps"]


@workflow(id="contest_sleep")
async def sleep(ctx: WorkflowContext, payload: dict[str, Any]) -> None:
    mark("sleep", ctx.execution_id)
    await ctx.step.wait_for("wait", seconds=payload["seconds"])
    mark("woke", ctx.execution_id)


@worker_ready.connect
def say_ready(**_: Any) -> None:
    print("worker is ready.", flush=True)


class PolosDriver:
    def __init__(self) -> None:
        self._client = PolosClient()
        self._loop = asyncio.Runner()
        self._queued: list[ExecutionHandle[int]] = []

    def run(self, steps_: int) -> None:
        result = self._loop.run(steps.run(self._client, {"steps": steps_}))
        assert result == steps_

    def queue(self, steps_: int, count: int) -> None:
        payload = {"steps": steps_}
        self._queued = [steps.start(self._client, payload) for _ in range(count)]

    def sleep(self, seconds: int, count: int) -> None:
        for _ in range(count):
            sleep.start(self._client, {"seconds": seconds})

    def ended(self) -> int:
        return sum(handle.status() == "completed" for handle in self._queued)


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        SqlStore.open(Settings.load(auto_migrate=True)).close()
    else:
        serve(PolosDriver())
