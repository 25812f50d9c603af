"""Workflows over all primitives, each the same on every run but for what the clock says.

Effects go to the ledger under their step's key. Waits of 10 ms are slept in place and those of
100 ms park, by the thresholds that the world sets; those of an hour are never seen to end.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, MetaData, String, Table, insert

from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.workflow import workflow
from polos.definition.workflow_class import Workflow
from polos.errors import StepExecutionError
from tests.acceptance.ledger import VARIABLE, Ledger, async_effect, effect

# What transaction steps write.
writings = Table(
    "boundary_writings",
    MetaData(),
    Column("execution_id", String(255), nullable=False),
    Column("step", String(255), nullable=False),
)
SHORT = 0.01
PARKS = 0.1
HOUR = 3600.0

# Set by the world that runs them: one heartbeat of its keeper.
heartbeat: Callable[[], None] = lambda: None  # noqa: E731


@dataclass(frozen=True, slots=True)
class Subject:
    """One workflow, and how it is run.

    Attributes:
        ordered: whether its completions always come in the same order.
        horizon: with 0, waits are ended by the sweep alone; else by hints with a countdown.
        cancelled: whether somebody cancels it as soon as it waits.
        times_out: whether its time is over as soon as it waits.
        retried: whether somebody retries it when it has failed.
        forked_at: the step from which somebody forks it when it has ended.
        pruned: whether it is deleted when it has ended.
        racing: keys whose checkpoint may come before or after the end of the execution.
        idempotency_key: what its client starts it with.
        dies_before: whether its process dies half-way each time, and what is tried are the
            boundaries of the recovery: of the sweep that takes it back, and of the replay.
        celery: whether it runs as a Celery task, its messages on the embedded broker.
    """

    workflow: Workflow[Any, Any]
    ordered: bool = True
    horizon: float = 30.0
    cancelled: bool = False
    times_out: bool = False
    retried: bool = False
    forked_at: str | None = None
    pruned: bool = False
    racing: frozenset[str] = frozenset()
    idempotency_key: str | None = None
    dies_before: bool = False
    celery: bool = False

    @property
    def tries_again(self) -> bool:
        """Whether what has failed need not stay as it is."""
        return self.retried or self.workflow.retries > 0

    @property
    def name(self) -> str:
        """The workflow's id, and the way it runs."""
        ways = ("_celery" if self.celery else "", "_recovery" if self.dies_before else "")
        return self.workflow.id + "".join(ways)


def failing(execution: str, step: str, times: int) -> str:
    """An effect that fails so many times, then gives a value."""
    effect(execution, step)
    if Ledger(Path(os.environ[VARIABLE])).runs(execution)[step] <= times:
        raise ConnectionError("not yet")
    return "at last"


def always_failing(execution: str, step: str) -> None:
    effect(execution, step)
    raise ValueError("never")


async def too_slow(execution: str, step: str) -> None:
    await async_effect(execution, step)
    await asyncio.sleep(HOUR)


def failing_at_first(execution: str, step: str, retry: int) -> str:
    """An effect that fails until the whole execution is tried again."""
    effect(execution, step)
    if retry == 0:
        raise ConnectionError("not yet")
    return "at last"


@workflow(id="b_plain_steps")
async def plain_steps(ctx: WorkflowContext) -> list[int]:
    id_ = ctx.execution_id
    first = await ctx.step.run("sync", effect, id_, "sync", 1)
    second = await ctx.step.run("async", async_effect, id_, "async", first + 1)
    third = await ctx.step.run("lambda", lambda: effect(id_, "lambda", second + 1))
    return [first, second, third]


@workflow(id="b_derived")
async def derived(ctx: WorkflowContext) -> list[Any]:
    uuid = await ctx.step.uuid("uuid")
    moment = await ctx.step.now("now")
    random = await ctx.step.random("random")
    same = partial(effect, ctx.execution_id, "use", True, f"{uuid} {moment} {random}")
    await ctx.step.run("use", same)
    return [uuid, random, await ctx.step.uuid("last")]


@workflow(id="b_many_derived")
async def many_derived(ctx: WorkflowContext) -> list[Any]:
    ids = [await ctx.step.uuid(f"u{number}") for number in range(60)]
    return [ids, await ctx.step.run("step", effect, ctx.execution_id, "step", 1)]


@workflow(id="b_retries_in_place")
async def retries_in_place(ctx: WorkflowContext) -> str:
    return await ctx.step.run("try", failing, ctx.execution_id, "try", 2, base_delay=SHORT)


@workflow(id="b_retries_parked")
async def retries_parked(ctx: WorkflowContext) -> str:
    await ctx.step.run("before", effect, ctx.execution_id, "before")
    return await ctx.step.run("try", failing, ctx.execution_id, "try", 2, base_delay=PARKS)


@workflow(id="b_retries_exhausted")
async def retries_exhausted(ctx: WorkflowContext) -> str:
    id_ = ctx.execution_id
    try:
        await ctx.step.run("try", always_failing, id_, "try", max_retries=1, base_delay=SHORT)
    except StepExecutionError as error:
        return await ctx.step.run("instead", effect, id_, "instead", str(error))
    return "not reached"


@workflow(id="b_step_too_slow")
async def step_too_slow(ctx: WorkflowContext) -> str:
    id_, limits = ctx.execution_id, {"timeout": PARKS, "max_retries": 1, "base_delay": SHORT}
    try:
        await ctx.step.run("slow", too_slow, id_, "slow", **limits)
    except StepExecutionError as error:
        return await ctx.step.run("instead", effect, id_, "instead", str(error))
    return "not reached"


@workflow(id="b_wait_in_place")
async def wait_in_place(ctx: WorkflowContext) -> int:
    await ctx.step.run("before", effect, ctx.execution_id, "before")
    await ctx.step.wait_for("short", seconds=SHORT)
    return await ctx.step.run("after", effect, ctx.execution_id, "after", 2)


@workflow(id="b_wait_parked")
async def wait_parked(ctx: WorkflowContext) -> int:
    await ctx.step.uuid("unsaved")
    await ctx.step.run("before", effect, ctx.execution_id, "before")
    await ctx.step.random("unsaved too")
    await ctx.step.wait_for("long", seconds=PARKS)
    return await ctx.step.run("after", effect, ctx.execution_id, "after", 2)


@workflow(id="b_wait_swept")
async def wait_swept(ctx: WorkflowContext) -> int:
    await ctx.step.wait_for("long", seconds=PARKS)
    return await ctx.step.run("after", effect, ctx.execution_id, "after", 2)


@workflow(id="b_wait_until")
async def wait_until(ctx: WorkflowContext) -> int:
    now = datetime.fromtimestamp(await ctx.step.now("now") / 1000, UTC)
    await ctx.step.wait_until("due", now + timedelta(seconds=PARKS))
    await ctx.step.wait_until("past", now)
    return await ctx.step.run("after", effect, ctx.execution_id, "after", 2)


@workflow(id="b_child")
async def child(ctx: WorkflowContext) -> str:
    await ctx.step.run("before", effect, ctx.execution_id, "before")
    await ctx.step.wait_for("long", seconds=PARKS)
    return await ctx.step.run("after", effect, ctx.execution_id, "after", "child")


@workflow(id="b_quick_child")
async def quick_child(ctx: WorkflowContext) -> str:
    return await ctx.step.run("only", effect, ctx.execution_id, "only", "quick")


@workflow(id="b_failing_child")
async def failing_child(ctx: WorkflowContext) -> None:
    await ctx.step.run("only", effect, ctx.execution_id, "only")
    raise ValueError("the child fails")


@workflow(id="b_endless_child")
async def endless_child(ctx: WorkflowContext) -> None:
    try:
        await ctx.step.wait_for("endless", seconds=HOUR)
    finally:
        await ctx.step.run("clean", effect, ctx.execution_id, "clean")


@workflow(id="b_invoke")
async def invoke(ctx: WorkflowContext) -> list[str]:
    await ctx.step.uuid("unsaved")
    handle = await ctx.step.invoke("start", quick_child)
    after = await ctx.step.run("after", effect, ctx.execution_id, "after", "parent")
    return [handle.id, after]


@workflow(id="b_invoke_and_wait")
async def invoke_and_wait(ctx: WorkflowContext) -> list[str]:
    found = await ctx.step.invoke_and_wait("child", child)
    return [found, await ctx.step.run("after", effect, ctx.execution_id, "after", "parent")]


@workflow(id="b_middle")
async def middle(ctx: WorkflowContext) -> str:
    found = await ctx.step.invoke_and_wait("lowest", quick_child)
    return await ctx.step.run("after", effect, ctx.execution_id, "after", f"middle {found}")


@workflow(id="b_three_deep")
async def three_deep(ctx: WorkflowContext) -> str:
    found = await ctx.step.invoke_and_wait("middle", middle)
    return f"top {found}"


@workflow(id="b_gathered_steps")
async def gathered_steps(ctx: WorkflowContext) -> list[int]:
    id_ = ctx.execution_id
    steps = (ctx.step.run(f"s{n}", async_effect, id_, f"s{n}", n) for n in range(3))
    return list(await asyncio.gather(*steps))


@workflow(id="b_gathered_mixture")
async def gathered_mixture(ctx: WorkflowContext) -> list[Any]:
    id_ = ctx.execution_id

    async def branch() -> int:
        await ctx.step.wait_for("inner", seconds=2 * PARKS)
        return await ctx.step.run("late", effect, id_, "late", 2)

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(ctx.step.run("step", effect, id_, "step", 1)),
            group.create_task(ctx.step.wait_for("timer", seconds=PARKS)),
            group.create_task(ctx.step.invoke_and_wait("child", quick_child)),
            group.create_task(branch()),
        ]
    return [task.result() for task in tasks]


@workflow(id="b_many_children")
async def many_children(ctx: WorkflowContext) -> list[str]:
    """More than are heard of one by one."""
    children = (ctx.step.invoke_and_wait(f"child {n}", quick_child) for n in range(12))
    return list(await asyncio.gather(*children))


@workflow(id="b_first_one_wins")
async def first_one_wins(ctx: WorkflowContext) -> list[str]:
    contest = {
        asyncio.create_task(ctx.step.wait_for("short", seconds=PARKS), name="short"),
        asyncio.create_task(ctx.step.wait_for("endless", seconds=HOUR), name="endless"),
        asyncio.create_task(ctx.step.invoke_and_wait("child", endless_child), name="child"),
    }
    done, pending = await asyncio.wait(contest, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    winners = sorted(task.get_name() for task in done)
    await ctx.step.run("after", effect, ctx.execution_id, "after", None, str(winners))
    await ctx.step.wait_for("again", seconds=PARKS)
    return winners


@workflow(id="b_as_completed")
async def as_completed(ctx: WorkflowContext) -> list[str]:
    id_, order = ctx.execution_id, []

    async def branch(key: str, seconds: float) -> str:
        await ctx.step.wait_for(f"wait {key}", seconds=seconds)
        return await ctx.step.run(key, effect, id_, key, key)

    waits = [branch("b", 2 * PARKS), branch("a", PARKS), branch("z", SHORT)]
    for number, following in enumerate(asyncio.as_completed(waits)):
        order.append(await following)
        await ctx.step.run(f"seen {number}", effect, id_, f"seen {number}", None, str(order))
    return sorted(order)


@workflow(id="b_finally")
async def finally_(ctx: WorkflowContext) -> int:
    try:
        await ctx.step.wait_for("long", seconds=PARKS)
    finally:
        await ctx.step.run("clean", effect, ctx.execution_id, "clean")
    return 1


@workflow(id="b_fails")
async def fails(ctx: WorkflowContext) -> None:
    await ctx.step.run("before", effect, ctx.execution_id, "before")
    await ctx.step.uuid("unsaved")
    raise ValueError("as it should")


@workflow(id="b_child_fails")
async def child_fails(ctx: WorkflowContext) -> str:
    try:
        await ctx.step.invoke_and_wait("child", failing_child)
    except StepExecutionError as error:
        return await ctx.step.run("caught", effect, ctx.execution_id, "caught", str(error))
    return "not reached"


@workflow(id="b_plain_function")
def plain_function(ctx: SyncWorkflowContext) -> list[str]:
    ctx.step.run("before", effect, ctx.execution_id, "before")
    ctx.step.wait_for("long", seconds=PARKS)
    found = ctx.step.invoke_and_wait("child", quick_child)
    return [found, ctx.step.run("after", effect, ctx.execution_id, "after", "parent")]


@workflow(id="b_cancelled")
async def cancelled(ctx: WorkflowContext) -> None:
    try:
        await ctx.step.wait_for("endless", seconds=HOUR)
    finally:
        await ctx.step.run("clean", effect, ctx.execution_id, "clean")
        await ctx.step.wait_for("settle", seconds=SHORT)
        await ctx.step.run("report", async_effect, ctx.execution_id, "report")


@workflow(id="b_family_cancelled")
async def family_cancelled(ctx: WorkflowContext) -> None:
    try:
        await ctx.step.invoke_and_wait("child", endless_child)
    finally:
        await ctx.step.run("clean", effect, ctx.execution_id, "clean")


@workflow(id="b_heartbeat")
async def with_heartbeat(ctx: WorkflowContext) -> str:
    await ctx.step.run("alive", lambda: heartbeat())
    await ctx.step.wait_for("long", seconds=PARKS)
    return await ctx.step.run("after", effect, ctx.execution_id, "after", "kept")


@workflow(id="b_task")
async def task(ctx: WorkflowContext) -> list[str]:
    charged = await ctx.step.task("charge", "task")
    return [charged, await ctx.step.run("after", effect, ctx.execution_id, "after", "done")]


@workflow(id="b_task_group")
async def task_group(ctx: WorkflowContext) -> list[str]:
    return await ctx.step.task("all", ["one", "two"])


@workflow(id="b_task_lost")
async def task_lost(ctx: WorkflowContext) -> str:
    """Its first message is lost. A cut connection must not take as long as the pause."""
    return await ctx.step.task("charge", "lost once", resend_after=4 * PARKS)


@workflow(id="b_task_too_late")
async def task_too_late(ctx: WorkflowContext) -> str:
    try:
        return await ctx.step.task("charge", "lost", timeout=PARKS)
    except StepExecutionError as error:
        return await ctx.step.run("instead", effect, ctx.execution_id, "instead", str(error))


def written(connection: Connection, execution: str, step: str, value: Any) -> Any:
    """An effect in the database of the checkpoints: exactly one row, whatever happens."""
    connection.execute(insert(writings).values(execution_id=execution, step=step))
    return value


@workflow(id="b_transaction")
async def transaction(ctx: WorkflowContext) -> list[Any]:
    id_ = ctx.execution_id
    uuid = await ctx.step.uuid("unsaved")
    first = await ctx.step.transaction("first", written, id_, "first", 1)
    await ctx.step.wait_for("long", seconds=PARKS)
    second = await ctx.step.transaction("second", written, id_, "second", uuid)
    return [first, second, await ctx.step.run("after", effect, id_, "after", 2)]


@workflow(id="b_whole_retries", retries=1)
async def whole_retries(ctx: WorkflowContext) -> list[Any]:
    id_, retry = ctx.execution_id, ctx.retry_count
    await ctx.step.run("before", effect, id_, "before")
    await ctx.step.uuid("unsaved")
    found = await asyncio.gather(
        ctx.step.invoke_and_wait("child", child),
        ctx.step.run("try", failing_at_first, id_, "try", retry, max_retries=0),
    )
    return [*found, await ctx.step.run("after", effect, id_, "after", "parent")]


@workflow(id="b_unsure_child")
async def unsure_child(ctx: WorkflowContext) -> str:
    id_ = ctx.execution_id
    await ctx.step.run("before", effect, id_, "before")
    return await ctx.step.run("try", failing_at_first, id_, "try", ctx.retry_count, max_retries=0)


@workflow(id="b_retried_with_child", retries=1)
async def retried_with_child(ctx: WorkflowContext) -> str:
    return await ctx.step.invoke_and_wait("child", unsure_child)


@workflow(id="b_retried")
async def retried(ctx: WorkflowContext) -> list[str]:
    id_ = ctx.execution_id
    await ctx.step.run("before", effect, id_, "before")
    try:
        await ctx.step.run("caught", always_failing, id_, "caught", max_retries=0)
    except StepExecutionError:
        await ctx.step.run("instead", effect, id_, "instead")
    found = await ctx.step.invoke_and_wait("child", unsure_child)
    return [found, await ctx.step.run("after", effect, id_, "after", "parent")]


@workflow(id="b_forked")
async def forked(ctx: WorkflowContext) -> list[str]:
    id_ = ctx.execution_id
    await ctx.step.run("before", effect, id_, "before")
    found = await ctx.step.invoke_and_wait("child", quick_child)
    await ctx.step.wait_for("long", seconds=PARKS)
    return [found, await ctx.step.run("after", effect, id_, "after", "parent")]


@workflow(id="b_times_out")
async def times_out(ctx: WorkflowContext) -> None:
    try:
        await ctx.step.invoke_and_wait("child", endless_child)
    finally:
        await ctx.step.run("clean", effect, ctx.execution_id, "clean")


@workflow(id="b_pruned")
async def pruned(ctx: WorkflowContext) -> str:
    found = await ctx.step.invoke_and_wait("child", quick_child)
    await ctx.step.invoke("start", quick_child)
    return await ctx.step.run("after", effect, ctx.execution_id, "after", found)


_CHILD = frozenset({"child"})
SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject(plain_steps, idempotency_key="once"),
        Subject(derived),
        Subject(many_derived),
        Subject(retries_in_place),
        Subject(retries_parked),
        Subject(retries_exhausted),
        Subject(step_too_slow),
        Subject(wait_in_place),
        Subject(wait_parked),
        Subject(wait_swept, horizon=0),
        Subject(wait_until),
        Subject(invoke),
        Subject(invoke_and_wait),
        Subject(three_deep),
        Subject(gathered_steps, ordered=False),
        Subject(gathered_mixture, ordered=False, horizon=0),
        Subject(many_children, ordered=False),
        Subject(first_one_wins, ordered=False),
        Subject(as_completed, ordered=False),
        Subject(finally_),
        Subject(fails),
        Subject(child_fails),
        Subject(plain_function),
        Subject(cancelled, cancelled=True),
        Subject(family_cancelled, cancelled=True, ordered=False, racing=_CHILD),
        Subject(with_heartbeat),
        Subject(task),
        Subject(task_group, ordered=False),
        Subject(task_lost),
        Subject(task_too_late),
        Subject(transaction),
        Subject(invoke_and_wait, dies_before=True),
        Subject(family_cancelled, cancelled=True, ordered=False, racing=_CHILD, dies_before=True),
        Subject(whole_retries, ordered=False),
        Subject(retried_with_child),
        Subject(retried, retried=True),
        Subject(forked, forked_at="long"),
        Subject(times_out, times_out=True, ordered=False, racing=_CHILD),
        Subject(pruned, pruned=True),
        Subject(whole_retries, ordered=False, celery=True),
        Subject(wait_parked, celery=True),
        Subject(invoke_and_wait, celery=True, horizon=0),
        Subject(fails, celery=True),
        Subject(cancelled, celery=True, cancelled=True),
    )
}
