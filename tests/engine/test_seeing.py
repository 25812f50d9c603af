"""What people can see of a step: what it was given, and that it runs."""

from __future__ import annotations

import json
import threading
from typing import Any

from sqlalchemy import select

from polos.definition.context import WorkflowContext
from polos.definition.progress import details
from polos.definition.workflow import workflow
from polos.engine import keeper
from polos.store.rows import steps_of
from polos.store.schema import executions
from tests.engine.conftest import Engine
from tests.support.processes import until


def steps(engine: Engine, id_: str) -> dict[str, Any]:
    found = details(engine.get(id_), engine.store.progress(id_))
    return {step["key"]: step for step in found["steps"]}


def noted(engine: Engine, id_: str) -> tuple[str, ...]:
    query = select(executions.c.lease_steps).where(executions.c.id == id_)
    return steps_of(engine.store.database.run(query)[0][0])


def add(basket: list[str], item: str, *, times: int = 1) -> int:
    basket.append(item)
    return len(basket) * times


def test_inputs_are_kept_as_they_were_before_the_call(engine: Engine) -> None:
    @workflow(id="given")
    async def given(ctx: WorkflowContext) -> None:
        await ctx.step.run("add", add, ["a"], "b", times=2)
        await ctx.step.run("nothing", lambda: 1)
        await ctx.step.wait_for("pause", seconds=0.01)

    id_ = engine.start(given)
    engine.finish(id_)
    found = steps(engine, id_)
    assert found["add"]["input"] == {"args": [["a"], "b"], "kwargs": {"times": 2}}
    assert found["nothing"]["input"] is None
    assert found["pause"]["input"] is None


def test_a_retried_step_keeps_what_it_was_given_first(engine: Engine) -> None:
    calls: list[int] = []

    def fail_once(basket: list[int]) -> int:
        calls.append(len(basket))
        basket.append(1)
        if len(calls) == 1:
            raise ConnectionError("not yet")
        return len(calls)

    @workflow(id="retried")
    async def retried(ctx: WorkflowContext) -> int:
        return await ctx.step.run("shaky", fail_once, [7], base_delay=0.8, jitter=0.0)

    id_ = engine.start(retried)
    engine.deliver(id_)
    assert steps(engine, id_)["shaky"]["status"] == "retrying"
    assert steps(engine, id_)["shaky"]["input"] == {"args": [[7]]}
    engine.finish(id_)
    assert steps(engine, id_)["shaky"]["input"] == {"args": [[7]]}


def pay(amount: int, card_number: str, *pins: str) -> int:
    return amount + len(card_number) + len(pins)


def test_what_is_given_by_position_is_masked_by_the_parameter_s_name(sqlite_url: str) -> None:
    engine = Engine(sqlite_url, redact=("CARD_number", "pins"))

    @workflow(id="secretive")
    async def secretive(ctx: WorkflowContext) -> int:
        await ctx.step.run("nameless", max, 1, 2)
        return await ctx.step.run("pay", pay, 7, "4111", "12", "34")

    id_ = engine.start(secretive)
    engine.finish(id_)
    assert engine.store.progress(id_).checkpoints[1].input == b'{"args":[7,"***","***","***"]}'
    assert steps(engine, id_)["nameless"]["input"] == {"args": [1, 2]}
    assert steps(engine, id_)["pay"]["value"] == 13


def test_inputs_can_be_left_out(sqlite_url: str) -> None:
    engine = Engine(sqlite_url, record_inputs=False)

    @workflow(id="private")
    async def private(ctx: WorkflowContext) -> int:
        return await ctx.step.run("add", add, ["a"], "b")

    id_ = engine.start(private)
    engine.finish(id_)
    assert steps(engine, id_)["add"]["input"] is None
    engine.keeper.stop()
    engine.store.close()


def test_a_task_shows_its_name_and_arguments_while_it_is_waited_for_and_after(
    engine: Engine,
) -> None:
    signature = {"task": "charge", "args": [42], "kwargs": {}, "options": {"queue": "x"}}

    @workflow(id="tasked")
    async def tasked(ctx: WorkflowContext) -> Any:
        return await ctx.step.task("charge", signature)

    id_ = engine.start(tasked)
    engine.deliver(id_)
    wanted = {"kwargs": {"task": "charge", "args": [42]}}
    assert steps(engine, id_)["charge"]["input"] == wanted
    [sending] = engine.sender.sent
    engine.store.complete_task(id_, "charge", sending.task_id, b"1")
    assert steps(engine, id_)["charge"]["input"] == wanted
    engine.finish(id_)
    assert json.loads(engine.checkpoints(id_)["charge"].input or b"") == wanted


def test_a_step_that_takes_long_is_seen_while_it_runs(engine: Engine, monkeypatch: Any) -> None:
    monkeypatch.setattr(keeper, "_LONG", 0.05)
    began, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        began.set()
        assert go_on.wait(20)

    @workflow(id="slow")
    async def slow_one(ctx: WorkflowContext) -> None:
        await ctx.step.run("slow", slow)
        await ctx.step.run("after", look)

    def look() -> None:
        engine.keeper.heartbeat()
        assert noted(engine, id_) == ()

    id_ = engine.start(slow_one)
    running = threading.Thread(target=engine.finish, args=(id_,))
    running.start()
    assert began.wait(20)

    def is_seen() -> bool:
        engine.keeper.heartbeat()
        return noted(engine, id_) == ("slow",)

    until(is_seen)
    found = details(engine.get(id_), engine.store.progress(id_))
    assert found["executing"] == ["slow"]
    go_on.set()
    running.join(20)
    assert engine.get(id_).status == "completed"
