"""Children that are asked for together are started together, and heard of at a pace."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import pytest

from polos.definition.context import WorkflowContext
from polos.definition.workflow import workflow
from polos.engine.pace import Pace
from polos.errors import ExecutionExists
from polos.model.records import ExecutionId, NewExecution
from polos.model.settings import Settings
from polos.model.states import Status
from tests.engine.conftest import Engine, is_parked
from tests.store.scenes import edit
from tests.support.statements import statements


@workflow(id="one_of_many")
async def one_of_many(ctx: WorkflowContext, payload: dict[str, Any]) -> int:
    return payload["n"]


@workflow(id="gathers")
async def gathers(ctx: WorkflowContext, payload: dict[str, Any]) -> list[int]:
    children = (
        ctx.step.invoke_and_wait(f"c{n}", one_of_many, {"n": n}) for n in range(payload["count"])
    )
    return list(await asyncio.gather(*children))


def first_hop(engine: Engine, count: int) -> tuple[str, int, int]:
    """The first attempt of a parent: its id, its statements and its calls of the dispatcher."""
    calls: list[int] = []
    send = engine.hints.dispatch

    def dispatch(hints: Any) -> int:
        calls.append(len(hints))
        return send(hints)

    id_ = engine.start(gathers, {"count": count})
    with pytest.MonkeyPatch.context() as patch, statements(engine.store.database) as sent:
        patch.setattr(engine.hints, "dispatch", dispatch)
        assert is_parked(engine.deliver(id_))
    return id_, len(sent), sum(size > 0 for size in calls)


def finish_first(engine: Engine, id_: str) -> None:
    """Deliver all hints, those of one execution before the others."""
    while not engine.get(id_).status.ended:
        own = [pair for pair in engine.hints.sent if pair[1].execution_id == id_]
        others = [pair for pair in engine.hints.sent if pair[1].execution_id != id_]
        engine.hints.sent = own + others
        assert engine.deliver_next()


def test_a_hundred_children_cost_as_many_statements_and_messages_calls_as_two(
    engine: Engine,
) -> None:
    engine.add(one_of_many)
    _, statements_of_two, calls_of_two = first_hop(engine, 2)
    id_, statements_of_hundred, calls_of_hundred = first_hop(engine, 100)
    # A park at a pace is a transaction, as it may have to look again.
    assert statements_of_hundred <= statements_of_two + 1
    assert calls_of_hundred == calls_of_two == 1
    assert engine.result(id_) == list(range(100))


@pytest.mark.parametrize("pause", [30.0, 0.0], ids=["paced", "not paced"])
def test_a_parent_of_many_is_not_woken_for_each(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    """The last one wakes it at once, however long the pause."""
    monkeypatch.setattr(Pace, "seconds", lambda self, children: pause if children > 10 else 0.0)
    engine.add(one_of_many)
    id_, _, _ = first_hop(engine, 40)
    finish_first(engine, id_)
    assert engine.get(id_).claims == (2 if pause else 41)
    assert engine.result(id_) == list(range(40))


def test_a_parent_of_a_few_hears_of_each_at_once(engine: Engine) -> None:
    engine.add(one_of_many)
    id_, _, _ = first_hop(engine, 4)
    assert [hint.countdown for _, hint in engine.hints.sent] == [0] * 4
    finish_first(engine, id_)
    assert engine.get(id_).claims == 5


def test_what_ended_during_a_paced_attempt_is_taken_in_later(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It parks although completions came, and wakes by itself."""
    monkeypatch.setattr(Pace, "seconds", lambda self, children: 30.0 if children > 10 else 0.0)
    engine.add(one_of_many)

    @workflow(id="gathers_slowly")
    async def gathers_slowly(ctx: WorkflowContext) -> int:
        async def ends_some() -> None:
            await asyncio.sleep(0.01)
            for _ in range(3):
                hint = engine.hints.sent.pop(0)[1]
                engine.store.cancel(hint.execution_id)

        async def child(number: int) -> int:
            try:
                await ctx.step.invoke_and_wait(f"c{number}", one_of_many, {"n": number})
            except Exception:
                return 0
            return 1

        counted = asyncio.gather(*(child(number) for number in range(20)))
        await ctx.step.run("ends some", ends_some)
        return sum(await counted)

    id_ = engine.start(gathers_slowly)
    assert is_parked(engine.deliver(id_))
    stored = engine.get(id_)
    assert (stored.status, stored.wakeups, len(engine.checkpoints(id_))) == (Status.WAITING, 3, 4)
    [hint] = [hint for _, hint in engine.hints.sent if hint.execution_id == id_]
    assert 0 < hint.countdown <= 30
    edit(engine.store.database, id_, wake_at=1)
    assert engine.result(id_) == 17


def test_a_child_whose_id_is_taken_fails_its_own_branch_only(engine: Engine) -> None:
    engine.add(one_of_many)

    @workflow(id="takes")
    async def takes(ctx: WorkflowContext) -> list[Any]:
        taken = ExecutionId(str(uuid5(NAMESPACE_OID, f"{ctx.execution_id}\0c1")))
        if engine.store.get(taken) is None:
            engine.store.start(NewExecution(taken, "one_of_many", "default", b"{}"))
        children = (ctx.step.invoke_and_wait(f"c{n}", one_of_many, {"n": n}) for n in range(3))
        found = await asyncio.gather(*children, return_exceptions=True)
        return [type(it).__name__ if isinstance(it, Exception) else it for it in found]

    assert engine.result(engine.start(takes)) == [0, ExecutionExists.__name__, 2]


def test_a_branch_that_is_cancelled_at_once_starts_no_child(engine: Engine) -> None:
    engine.add(one_of_many)

    @workflow(id="regrets")
    async def regrets(ctx: WorkflowContext) -> str:
        async def fails() -> None:
            raise ValueError("no")

        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(ctx.step.invoke_and_wait("kid", one_of_many, {"n": 1}))
                group.create_task(fails())
        return await ctx.step.run("after", lambda: "regretted")

    id_ = engine.start(regrets)
    assert engine.result(id_) == "regretted"
    assert engine.hints.sent == []
    assert engine.store.load(id_)[1] == ()


def test_no_child_is_started_while_the_process_ends(engine: Engine) -> None:
    engine.add(one_of_many)
    attempts: Counter[str] = Counter()

    @workflow(id="stopped")
    async def stopped(ctx: WorkflowContext) -> int:
        attempts["n"] += 1
        waiting = asyncio.create_task(ctx.step.invoke_and_wait("kid", one_of_many, {"n": 5}))
        await asyncio.sleep(0)
        engine.told_to_stop = attempts["n"] == 1
        return await waiting

    id_ = engine.start(stopped)
    engine.deliver(id_)
    assert engine.get(id_).status is Status.QUEUED
    assert [hint.execution_id for _, hint in engine.hints.sent] == [id_]
    engine.told_to_stop = False
    assert engine.result(id_) == 5


def test_a_pause_follows_the_cost_of_a_look_within_bounds() -> None:
    settings = Settings()
    pace = Pace(0.0, settings.countdown_horizon)
    assert pace.seconds(10) == 0.0
    before = pace.seconds(11)
    assert 0.0 <= before < settings.countdown_horizon
    sum(range(300_000))
    assert before < pace.seconds(11) <= settings.countdown_horizon
    assert pace.is_early(30.0)
    assert not pace.is_early(0.0)
