"""Workflows of an app with ``task_always_eager``: no worker, no broker, and no waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.result import EagerResult
from pydantic import BaseModel

from polos import (
    ExecutionCancelledError,
    InvalidPayload,
    Polos,
    StepExecutionError,
    SyncWorkflowContext,
    WorkflowContext,
    workflow,
)
from polos.definition.registry import registry

NOBODY = "redis://127.0.0.1:1/0"


class Visit(BaseModel):
    name: str
    days: float = 3


class Note(BaseModel):
    text: str


@pytest.fixture(autouse=True)
def _own_workflows() -> Iterator[None]:
    with registry.scoped():
        yield
    registry.set_default_client(None)


@pytest.fixture
def app(sqlite_url: str) -> Iterator[Celery]:
    """Its broker is out of reach: nothing may ask for it."""
    made = Celery("eager", set_as_current=False, broker=NOBODY, backend="cache+memory://")
    made.conf.update(task_always_eager=True, broker_connection_retry=False)
    # No hint is sent ahead of a wait.
    made.conf.polos_countdown_horizon = 0.001
    polos = Polos(made, sqlite_url)
    yield made
    polos.close()


@pytest.fixture
def log() -> list[str]:
    return []


def declare(log: list[str]) -> Any:
    @workflow(id="eager-visit")
    async def visit(ctx: WorkflowContext, payload: Visit) -> Note:
        await ctx.step.run("greet", log.append, f"greet {payload.name}")
        await ctx.step.wait_for("stay", days=payload.days)
        await ctx.step.run("leave", log.append, f"leave {payload.name}")
        return Note(text=f"from {payload.name}")

    return visit


def test_it_runs_to_its_end_at_the_call(app: Celery, log: list[str]) -> None:
    visit = declare(log)
    began = time.monotonic()
    result = visit.apply_async((Visit(name="Ada"),), task_id="mine", countdown=3600)
    assert time.monotonic() - began < 5
    assert isinstance(result, EagerResult)
    assert (result.id, result.state, result.get()) == ("mine", "SUCCESS", {"text": "from Ada"})
    assert log == ["greet Ada", "leave Ada"]
    stored = app.polos.client.get("mine")
    assert (stored.status, stored.unannounced) == ("completed", False)
    with pytest.raises(InvalidPayload):
        visit.delay({"nobody": 1}).get()


def test_run_and_the_others_of_polos_too(app: Celery, log: list[str]) -> None:
    visit = declare(log)
    assert visit.run_sync(payload={"name": "Ada"}, timeout=5) == Note(text="from Ada")
    assert asyncio.run(visit.run(payload=Visit(name="Bo"), timeout=5)) == Note(text="from Bo")
    assert visit.start(payload={"name": "Cy"}).status() == "completed"
    assert log[-2:] == ["greet Cy", "leave Cy"]


@pytest.mark.parametrize("propagates", [False, True])
def test_a_failure(app: Celery, propagates: bool) -> None:
    app.conf.task_eager_propagates = propagates

    @workflow(id="eager-broken")
    async def broken(ctx: WorkflowContext) -> None:
        def pay() -> None:
            raise ConnectionError("the bank is closed")

        await ctx.step.run("pay", pay, base_delay=3600, max_delay=7200)

    if propagates:
        with pytest.raises(StepExecutionError, match="after 3 attempts.*the bank is closed"):
            broken.delay()
        return
    result = broken.delay()
    assert result.state == "FAILURE"
    with pytest.raises(StepExecutionError, match="the bank is closed"):
        result.get()


def test_one_that_is_tried_again_as_a_whole(app: Celery, log: list[str]) -> None:
    @workflow(id="eager-again", retries=2)
    async def again(ctx: WorkflowContext) -> int:
        await ctx.step.run(f"note {len(log)}", log.append, "tried")
        if len(log) < 3:
            raise ConnectionError("not yet")
        return len(log)

    assert again.delay().get() == 3


def test_waits_end_in_the_order_of_their_times(app: Celery, log: list[str]) -> None:
    visit = declare(log)

    @workflow(id="eager-many")
    async def many(ctx: WorkflowContext) -> list[str]:
        async def nap(days: int) -> None:
            await ctx.step.wait_for(f"nap {days}", days=days)
            log.append(f"nap {days}")

        children = [
            ctx.step.invoke_and_wait(f"visit {days}", visit, Visit(name=str(days), days=days))
            for days in (4, 2)
        ]
        found = await asyncio.gather(*children, nap(3), nap(1), nap(5))
        return [note.text for note in found[:2]]

    assert many.delay().get() == ["from 4", "from 2"]
    kept = [line for line in log if "greet" not in line]
    first = list(dict.fromkeys(kept))
    assert first == ["nap 1", "leave 2", "nap 3", "leave 4", "nap 5"]


def test_children_that_nobody_waits_for_and_plain_functions(app: Celery, log: list[str]) -> None:
    visit = declare(log)

    @workflow(id="eager-plain")
    def plain(ctx: SyncWorkflowContext) -> str:
        handle = ctx.step.invoke("child", visit, Visit(name="child"))
        ctx.step.wait_for("nap", weeks=1)
        return handle.id

    child = plain.delay().get()
    assert app.polos.client.get(child).status == "completed"
    assert log == ["greet child", "leave child"]


def test_more_than_a_parent_hears_of_one_by_one(app: Celery, log: list[str]) -> None:
    visit = declare(log)

    @workflow(id="eager-crowd")
    async def crowd(ctx: WorkflowContext) -> int:
        visits = [Visit(name=str(n), days=n + 1) for n in range(25)]
        calls = (ctx.step.invoke_and_wait(it.name, visit, it) for it in visits)
        return len(await asyncio.gather(*calls))

    assert crowd.delay().get() == 25


def test_canvases(app: Celery, log: list[str]) -> None:
    visit = declare(log)

    @app.task(shared=False)
    def load(name: str) -> dict[str, Any]:
        return {"name": name}

    @app.task(shared=False)
    def note(found: Any) -> Any:
        log.append(f"noted {found}")
        return found

    through = chain(load.s("Ada"), visit.s(), note.s()).apply_async()
    assert through.get() == {"text": "from Ada"}
    assert log[-1] == "noted {'text': 'from Ada'}"
    many = group(visit.s({"name": str(n)}) for n in range(3)).apply_async()
    assert [found["text"] for found in many.get()] == ["from 0", "from 1", "from 2"]
    joined = chord([visit.si(Visit(name="a")), load.s("b")])(note.s())
    assert joined.get() == [{"text": "from a"}, {"name": "b"}]
    visit.apply_async(({"name": "Bo"},), link=note.s())
    assert log[-1] == "noted {'text': 'from Bo'}"


def test_tasks_as_steps(app: Celery, log: list[str]) -> None:
    @app.task(shared=False)
    def load(name: str) -> dict[str, Any]:
        log.append(f"load {name}")
        return {"name": name}

    @workflow(id="eager-tasks")
    async def tasks(ctx: WorkflowContext) -> list[Any]:
        one = await ctx.step.task("one", load.s("Ada"))
        await ctx.step.wait_for("nap", days=1)
        several = await ctx.step.task("several", group(load.s(name) for name in "ab"))
        return [one, several]

    assert tasks.delay().get() == [{"name": "Ada"}, [{"name": "a"}, {"name": "b"}]]
    assert log == ["load Ada", "load a", "load b"]


def test_a_step_that_starts_another_one(app: Celery, log: list[str]) -> None:
    visit = declare(log)

    async def native() -> str:
        return str((await visit.run(payload={"name": "native"})).text)

    @workflow(id="eager-outer")
    async def outer(ctx: WorkflowContext) -> list[str]:
        plain = await ctx.step.run("plain", lambda: visit.delay(name="plain").result["text"])
        return [plain, await ctx.step.run("native", native)]

    assert outer.delay().get() == ["from plain", "from native"]


def test_one_that_is_cancelled_while_it_runs(app: Celery, log: list[str]) -> None:
    @workflow(id="eager-cancelled")
    async def cancelled(ctx: WorkflowContext) -> None:
        await ctx.step.run("cancel", lambda: app.polos.client.cancel(ctx.execution_id) and None)
        try:
            await ctx.step.wait_for("never", days=1)
        finally:
            await ctx.step.run("clean up", log.append, "clean up")

    result = cancelled.delay()
    assert result.state == "FAILURE"
    assert isinstance(result.result, ExecutionCancelledError)
    assert log == ["clean up"]


def test_apply_runs_one_here_in_any_app(app: Celery, log: list[str]) -> None:
    app.conf.task_always_eager = False
    visit = declare(log)
    result = app.tasks["polos.eager-visit"].apply(({"name": "Ada"},))
    assert (result.state, result.get()) == ("SUCCESS", {"text": "from Ada"})
    late = visit.s({"name": "Bo"}).apply()
    assert late.get() == {"text": "from Bo"}
