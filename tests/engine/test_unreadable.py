"""What is stored of an execution and can't be read ends it, at once and with a clear text."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from polos import WorkflowContext, workflow
from polos.engine.runner import Runner
from polos.errors import CodecError
from polos.model.records import Execution
from polos.model.states import Status
from polos.store.schema import checkpoints, executions, waits
from tests.engine.conftest import Engine, is_parked

UNKNOWN = b'{"$":"model","t":"shop.gone:Invoice","f":{}}'


@workflow(id="unreadable")
async def two_steps(ctx: WorkflowContext, payload: dict) -> Any:
    paid = await ctx.step.run("paid", lambda: payload["euros"])
    await ctx.step.wait_for("pause", days=1)
    return paid


def parked(engine: Engine) -> str:
    """An execution that has paid and waits."""
    id_ = engine.start(two_steps, {"euros": 3})
    assert is_parked(engine.deliver(id_))
    return id_


def wake(engine: Engine) -> None:
    engine.store.database.run(update(executions).values(wake_at=1, dispatch_at=1))
    engine.store.database.run(update(waits).values(due_at=1))


def reason(engine: Engine, id_: str) -> str:
    found = engine.finish(id_)
    assert found.status is Status.FAILED
    assert found.failure is not None
    # The attempt that found it ended it.
    assert (found.claims, found.recoveries) == (2, 0)
    return found.failure.reason


@pytest.mark.parametrize(
    ("table", "values", "text"),
    [
        (executions, {"payload": b"\xff"}, "the payload can't be read: the kept value is damaged"),
        (checkpoints, {"value": UNKNOWN}, "step 'paid' can't be read: the type shop.gone:Invoice"),
        (checkpoints, {"value": b"{"}, "step 'paid' can't be read: the kept value is damaged"),
        (checkpoints, {"kind": "sorcery"}, "step 'paid' is kept as one of the unknown kind"),
        (waits, {"kind": "sorcery"}, "step 'pause' is kept as one of the unknown kind 'sorcery'"),
    ],
)
def test_what_cannot_be_read_ends_its_execution(
    engine: Engine, table: Any, values: dict[str, Any], text: str
) -> None:
    id_ = parked(engine)
    engine.store.database.run(update(table).values(values))
    wake(engine)
    assert text in reason(engine, id_)


def test_options_that_somebody_else_cannot_read(engine: Engine) -> None:
    def check(execution: Execution) -> None:
        if execution.celery_options is not None:
            raise CodecError("the options can't be read")

    engine.runner = Runner(
        engine.store, engine.hints, engine.registry, engine.settings, engine.keeper, check=check
    )
    id_ = parked(engine)
    engine.store.database.run(update(executions).values(celery_options=b"\x80"))
    wake(engine)
    assert reason(engine, id_) == "the options can't be read"
