"""A Celery project with settings of its own, and workflows in it."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery import Celery

from polos import Polos, StepExecutionError, WorkflowContext, workflow
from tests.acceptance.ledger import effect, write


def by_name(name: str, *_: Any, **__: Any) -> dict[str, Any] | None:
    """A router that is a function."""
    return {"queue": "site-limited"} if name == "polos.site-limited" else None


COMMON: dict[str, Any] = {
    "task_default_queue": "site",
    "polos_auto_migrate": True,
    "task_routes": [{"polos.site-journey": {"queue": "site-journeys"}}, by_name],
    "task_annotations": {"polos.site-limited": {"rate_limit": "30/m"}},
}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "old": {
        "task_protocol": 1,
        "task_compression": "gzip",
        "task_serializer": "yaml",
        "result_serializer": "yaml",
        "accept_content": ["yaml"],
        "worker_prefetch_multiplier": 4,
        "task_acks_late": False,
        "task_remote_tracebacks": True,
    },
    "restless": {
        "task_serializer": "msgpack",
        "accept_content": ["msgpack", "json"],
        "worker_max_tasks_per_child": 1,
        "task_default_priority": 3,
        "task_queue_max_priority": 10,
        "task_reject_on_worker_lost": False,
        "task_ignore_result": True,
    },
    "lean": {
        "task_serializer": "pickle",
        "accept_content": ["pickle", "json"],
        # Kilobytes: each process has more than that after its first task.
        "worker_max_memory_per_child": 1,
        "worker_disable_rate_limits": True,
        "task_acks_on_failure_or_timeout": False,
    },
}
QUEUES = "site,site-journeys,site-limited"


def make_app(kind: str, broker: str, database: str) -> Celery:
    """The project; Polos is bound to it in one line more."""
    app = Celery("site", set_as_current=False, broker=broker, backend=broker)
    app.conf.update(COMMON | CONFIGURATIONS[kind], polos_database_url=database)

    @app.task(name="site.add", shared=False)
    def add(one: int, two: int) -> int:
        return one + two

    @app.task(name="site.told", shared=False)
    def told(found: Any, ledger_id: str) -> None:
        effect(ledger_id, "told", None, repr(found))

    return app


@workflow(id="site-journey")
async def journey(ctx: WorkflowContext) -> list[int]:
    """Steps, a wait and a child; the processes that its attempts ran in."""
    me = ctx.execution_id
    first = await ctx.step.run("first", effect, me, "first", os.getpid())
    await ctx.step.wait_for("pause", seconds=1)
    child = await ctx.step.invoke_and_wait("child", resting)
    return [first, child, await ctx.step.run("last", effect, me, "last", os.getpid())]


@workflow(id="site-resting", queue="site")
async def resting(ctx: WorkflowContext) -> int:
    await ctx.step.wait_for("pause", seconds=0.7)
    return await ctx.step.run("pid", os.getpid)


@workflow(id="site-limited")
async def limited(ctx: WorkflowContext) -> None:
    await ctx.step.run("only", effect, ctx.execution_id, "only")


def too_long(execution: str, *, handles: bool) -> str:
    write(execution, "slow", "begin")
    try:
        time.sleep(60)
    except SoftTimeLimitExceeded:
        if not handles:
            raise
        return "cut short"
    return "all of it"


@workflow(id="site-soft", celery={"soft_time_limit": 2})
async def soft(ctx: WorkflowContext, payload: dict) -> str:
    """Takes longer than its soft time limit at the place that it is told."""
    me, where = ctx.execution_id, payload["where"]
    if where == "step":
        return await ctx.step.run("slow", too_long, me, handles=True)
    if where == "nowhere":
        await ctx.step.run("slow", too_long, me, handles=False)
    if where == "caught":
        try:
            await ctx.step.run("slow", too_long, me, handles=False)
        except StepExecutionError as error:
            await ctx.step.wait_for("pause", seconds=1)
            return str(error.error_type).rpartition(".")[2]
    try:
        await asyncio.sleep(60)
    except SoftTimeLimitExceeded:
        return await ctx.step.run("clean up", effect, me, "clean up", "cleaned up")
    return "all of it"


@workflow(id="site-patient", celery={"soft_time_limit": 2})
async def patient(ctx: WorkflowContext) -> str:
    """Each of its attempts is short, all of it is not."""
    for number in range(3):
        await ctx.step.wait_for(f"pause{number}", seconds=1)
    return "in time"


if "SITE_KIND" in os.environ:
    app = make_app(*(os.environ[f"SITE_{name}"] for name in ("KIND", "BROKER", "DATABASE")))
    polos = Polos(app)
