"""A loop that is never idle: what is about to run is not taken for blocked."""

from __future__ import annotations

import asyncio

import pytest

from polos.definition.context import WorkflowContext
from polos.definition.workflow import workflow
from polos.model.outcome import Completed
from tests.engine.conftest import Engine


@pytest.mark.parametrize("turns", range(55, 75))
def test_it_does_not_park_while_it_has_something_to_run(engine: Engine, turns: int) -> None:
    @workflow(id="busy")
    async def busy(ctx: WorkflowContext) -> str:
        async def spins() -> str:
            for _ in range(turns):
                await asyncio.sleep(0)
            return await ctx.step.uuid("winner")

        month = asyncio.create_task(ctx.step.wait_for("month", days=30))
        first = asyncio.create_task(spins())
        await asyncio.wait({month, first}, return_when=asyncio.FIRST_COMPLETED)
        month.cancel()
        return "done"

    assert isinstance(engine.deliver(engine.start(busy)).outcome, Completed)
