"""Workers that go away at awkward moments."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from polos.definition.context import WorkflowContext
from polos.definition.workflow import workflow
from polos.engine.owner import this_process
from polos.store.schema import waits
from tests.engine.conftest import Engine, is_parked


class WorkerExit(SystemExit):
    """As Celery's own exits are."""


def test_a_wait_that_ended_before_its_worker_did_is_not_left_behind(engine: Engine) -> None:
    lost: list[int] = []

    def loses_its_worker() -> None:
        if not lost:
            lost.append(1)
            raise WorkerExit

    @workflow(id="left_behind")
    async def left_behind(ctx: WorkflowContext) -> None:
        await ctx.step.wait_for("pause", seconds=0.6)
        await ctx.step.run("step", loses_its_worker)

    id_ = engine.start(left_behind)
    assert is_parked(engine.deliver(id_))
    with pytest.raises(WorkerExit):
        engine.finish(id_)
    engine.finish(id_)
    assert engine.store.database.run(select(waits)) == []


def test_once_the_lease_is_lost_no_other_branch_begins(engine: Engine) -> None:
    calls: list[int] = []

    def loses_the_lease(id_: str, number: int) -> int:
        if not calls:
            engine.store.hand_on(str(this_process()), [id_])
        calls.append(number)
        return number

    @workflow(id="branches_of_a_zombie")
    async def branches(ctx: WorkflowContext) -> list[int]:
        return await asyncio.gather(
            *(ctx.step.run(f"s{n}", loses_the_lease, ctx.execution_id, n) for n in range(3))
        )

    id_ = engine.start(branches)
    assert engine.deliver(id_).outcome is None
    assert calls == [0]
    assert engine.result(id_) == [0, 1, 2]
    assert calls == [0, 0, 1, 2]
