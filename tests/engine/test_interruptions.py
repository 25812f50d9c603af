"""An exception that a signal handler raises, such as a soft time limit, reaches user code only."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from polos import StepExecutionError, SyncWorkflowContext, WorkflowContext, workflow
from polos.definition.workflow import Workflow
from polos.engine.interrupting import forget, interrupt
from polos.model.outcome import Parked
from polos.model.states import Status
from tests.engine.conftest import Engine


class LimitError(Exception):
    """Stands for Celery's."""


NAME = f"{__name__}.LimitError"


@pytest.fixture
def _limits() -> Iterator[None]:
    """Signals interrupt this process, as those of Celery's pool do."""
    before = signal.signal(signal.SIGALRM, lambda _, frame: interrupt(LimitError("late"), frame))
    left = signal.getitimer(signal.ITIMER_REAL)
    yield
    signal.setitimer(signal.ITIMER_REAL, *left)
    signal.signal(signal.SIGALRM, before)
    forget()


def limit() -> None:
    """Interrupt what calls this a moment later, however long it took to get there."""
    signal.setitimer(signal.ITIMER_REAL, 0.1)


LIMITED = pytest.mark.usefixtures("_limits")


def blocking(calls: list[str], *, handles: bool) -> str:
    calls.append("begun")
    try:
        limit()
        time.sleep(20)
    except LimitError:
        if not handles:
            raise
        return "cut short"
    return "all of it"


async def awaiting(calls: list[str], *, handles: bool) -> str:
    calls.append("begun")
    try:
        limit()
        await asyncio.sleep(20)
    except LimitError:
        await asyncio.sleep(0)  # the function goes on as any other
        if not handles:
            raise
        return "cut short"
    return "all of it"


FUNCTIONS = pytest.mark.parametrize("function", [blocking, awaiting])


@LIMITED
@FUNCTIONS
def test_a_step_handles_it(engine: Engine, function: Callable[..., Any]) -> None:
    calls: list[str] = []

    @workflow
    async def careful(ctx: WorkflowContext) -> str:
        return await ctx.step.run("work", function, calls, handles=True)

    id_ = engine.start(careful)
    assert engine.result(id_) == "cut short"
    assert calls == ["begun"]


@LIMITED
@FUNCTIONS
def test_a_step_does_not_and_is_not_tried_again(
    engine: Engine, function: Callable[..., Any]
) -> None:
    calls: list[str] = []

    @workflow
    async def careless(ctx: WorkflowContext) -> str:
        return await ctx.step.run("work", function, calls, handles=False, max_retries=5)

    id_ = engine.start(careless)
    with pytest.raises(StepExecutionError, match="late") as caught:
        engine.result(id_)
    assert caught.value.error_type == NAME
    assert calls == ["begun"]


@LIMITED
def test_a_step_is_tried_again_where_it_says_so(engine: Engine) -> None:
    calls: list[str] = []

    def once_too_long() -> str:
        calls.append("begun")
        if len(calls) == 1:
            limit()
            time.sleep(20)
        return "in time"

    @workflow
    async def patient(ctx: WorkflowContext) -> str:
        return await ctx.step.run("work", once_too_long, retry_on=LimitError, base_delay=0.1)

    id_ = engine.start(patient)
    assert engine.result(id_) == "in time"


@LIMITED
def test_the_failure_of_a_step_is_the_same_on_replay(engine: Engine) -> None:
    calls: list[str] = []

    @workflow
    async def caught(ctx: WorkflowContext) -> str:
        try:
            await ctx.step.run("work", blocking, calls, handles=False)
        except StepExecutionError as error:
            await ctx.step.wait_for("pause", seconds=0.7)
            return f"{error.error_type}: {error.reason}"
        return "not reached"

    id_ = engine.start(caught)
    assert engine.result(id_) == f"{NAME}: late"
    assert calls == ["begun"]


@LIMITED
@pytest.mark.parametrize("where", ["outside of steps", "wait in place", "beside a branch"])
def test_the_function_itself_handles_it(engine: Engine, where: str) -> None:
    @workflow
    async def handling(ctx: WorkflowContext) -> str:
        try:
            limit()
            if where == "outside of steps":
                await asyncio.sleep(20)
            elif where == "wait in place":
                await ctx.step.wait_for("pause", seconds=0.25)
            else:
                waits = ctx.step.wait_for("pause", seconds=0.25)
                await asyncio.gather(waits, asyncio.sleep(20))
        except LimitError:
            return await ctx.step.run("clean up", lambda: "cut short")
        return "all of it"

    id_ = engine.start(handling)
    assert engine.result(id_) == "cut short"


@LIMITED
def test_unhandled_it_fails_the_workflow(engine: Engine) -> None:
    @workflow
    async def failing(ctx: WorkflowContext) -> None:
        limit()
        await asyncio.sleep(20)

    id_ = engine.start(failing)
    failure = engine.finish(id_).failure
    assert failure is not None
    assert (failure.error_type, failure.reason) == (NAME, "late")


@LIMITED
def test_a_plain_workflow(engine: Engine) -> None:
    @workflow
    def plain(ctx: SyncWorkflowContext) -> list[str]:
        heard = []
        try:
            limit()
            time.sleep(20)
        except LimitError:
            heard.append("body")
        try:
            limit()
            ctx.step.wait_for("pause", seconds=0.25)
        except LimitError:
            heard.append("wait")
        return heard

    id_ = engine.start(plain)
    assert engine.result(id_) == ["body", "wait"]


@LIMITED
def test_many_short_steps(engine: Engine) -> None:
    """Between them the loop is never idle by itself."""

    @workflow
    async def busy(ctx: WorkflowContext) -> int:
        number = 0
        try:
            for number in range(100_000):
                await ctx.step.run(f"step{number}", int)
                if not number:
                    limit()
        except (LimitError, StepExecutionError):
            return number
        return -1

    id_ = engine.start(busy)
    assert 0 < engine.result(id_) < 100_000


def test_before_there_is_an_attempt_and_after_it(engine: Engine) -> None:
    @workflow
    async def late(ctx: WorkflowContext) -> str:
        await asyncio.sleep(20)
        return "all of it"

    @workflow
    async def next_one(ctx: WorkflowContext) -> str:
        return await ctx.step.run("step", lambda: "untouched")

    id_ = engine.start(late)
    interrupt(LimitError("early"), sys._getframe())
    assert engine.finish(id_).status is Status.FAILED
    forget()
    assert engine.run(next_one) == "untouched"


# -- at every line ---------------------------------------------------------------------------------


def scene() -> tuple[Workflow[Any, Any], list[str]]:
    """Each kind of step, a branch, waits in place, and a park."""
    effects: list[str] = []

    async def native(number: int) -> int:
        effects.append(f"native{number}")
        await asyncio.sleep(0)
        return number

    def plain(number: int) -> int:
        effects.append(f"plain{number}")
        return number

    @workflow(id="lines")
    async def flow(ctx: WorkflowContext) -> list[Any]:
        found: list[Any] = [await ctx.step.run("plain", plain, 1)]
        await ctx.step.now("now")
        found += await asyncio.gather(
            ctx.step.run("left", native, 2), ctx.step.run("right", plain, 3)
        )
        await ctx.step.uuid("uuid")
        await ctx.step.wait_for("short", seconds=0.001)
        await ctx.step.wait_for("long", seconds=0.02)
        found.append(await ctx.step.run("last", native, 4))
        return found

    return flow, effects


@contextmanager
def interrupted_at(line: int) -> Iterator[list[int]]:
    """Interrupt this thread at the line of that number that it comes to; counts the lines."""
    count = [0]

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if "polos" not in frame.f_code.co_filename and "asyncio" not in frame.f_code.co_filename:
            return trace if frame.f_code.co_filename == __file__ else None
        count[0] += event == "line"
        if count[0] == line:
            count[0] += 1
            interrupt(LimitError("at this line"), frame)
        return trace

    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(None)
        forget()


# What is about to be awaited by gather is not, where its own call is interrupted.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_at_any_line_nothing_is_half_done(sqlite_url: str) -> None:
    engine = Engine(sqlite_url, foreign_grace=1.0, wait_threshold_seconds=0.005)
    flow, _ = scene()
    id_ = engine.start(flow)
    with interrupted_at(-1) as lines:
        engine.deliver(id_)
    assert lines[0] > 1000
    engine.finish(id_)
    ends = {_end_of(engine, line) for line in range(1, lines[0], max(1, lines[0] // 150))}
    # It comes to both ends, and to each of the ways there.
    assert {"completed", "failed"} <= ends
    engine.store.close()


def _end_of(engine: Engine, line: int) -> str:
    flow, effects = scene()
    engine.registry = engine.runner._registry = type(engine.registry)()
    engine.registry.add(flow)
    engine.runner._inner._registry = engine.registry
    id_ = engine.start(flow)
    with interrupted_at(line):
        hop = engine.deliver(id_)
    found = engine.get(id_)
    kept = engine.checkpoints(id_)
    assert found.status in {Status.WAITING, Status.FAILED, Status.COMPLETED}, line
    if isinstance(hop.outcome, Parked):
        # Parked whole: what is recorded was done, and the wait is there.
        assert {"plain", "now", "left", "right", "uuid"} <= set(kept)
        # On a slow machine the short wait is no shorter than the threshold.
        [wait] = engine.store.load(id_)[1]
        assert wait.step_key == ("long" if "short" in kept else "short")
    ended = engine.finish(id_)
    if ended.status is Status.COMPLETED:
        assert sorted(effects) == ["native2", "native4", "plain1", "plain3"], line
    else:
        assert ended.failure is not None
        assert ended.failure.error_type == NAME, line
        assert len(effects) == len(set(effects)), line
    return ended.status.value
