"""Task steps on the databases of servers, where a statement for several tasks is another one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from polos.definition.context import WorkflowContext
from polos.definition.workflow import workflow
from tests.engine.conftest import Engine, is_parked
from tests.engine.test_tasks import complete, waits_of


@pytest.fixture(params=["mariadb", "postgres"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made = Engine(request.getfixturevalue(f"{request.param}_url"))
    yield made
    made.keeper.stop()
    made.store.close()


def test_a_single_task(engine: Engine) -> None:
    @workflow(id="server_task")
    async def one(ctx: WorkflowContext) -> Any:
        return await ctx.step.task("charge", "charge_card", resend_after=600)

    id_ = engine.start(one)
    assert is_parked(engine.deliver(id_))
    assert waits_of(engine, id_)["charge"].attempts == 1
    complete(engine, engine.sender.sent[0], "paid")
    assert engine.result(id_) == "paid"
    assert len(engine.sender.sent) == 1


@pytest.mark.parametrize("resend", [None, 600])
def test_a_group_is_sent_once_however_often_it_wakes(engine: Engine, resend: int | None) -> None:
    @workflow(id="server_group")
    async def grouped(ctx: WorkflowContext) -> Any:
        return await ctx.step.task("all", ["a", "b", "c"], resend_after=resend)

    id_ = engine.start(grouped)
    assert is_parked(engine.deliver(id_))
    assert {it.attempts for it in waits_of(engine, id_).values()} == {1}
    for sending in list(engine.sender.sent):
        complete(engine, sending, sending.signature.upper())
        engine.deliver(id_)
        assert len(engine.sender.sent) == 3
    assert engine.result(id_) == ["A", "B", "C"]
