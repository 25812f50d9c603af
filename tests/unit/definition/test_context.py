"""``ctx`` and the steps of plain ``def`` workflows."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.workflow import workflow
from polos.errors import StepExecutionError

from .fakes import FakeEffects

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Receipt(BaseModel):
    number: int


async def fetch(url: str) -> str:
    return url


@workflow(id="context.child")
def child(ctx: Any) -> Receipt: ...


def test_what_a_context_holds() -> None:
    steps = FakeEffects().steps_for()
    ctx = WorkflowContext(workflow_id="w", execution_id="e1", created_at=NOW, step=steps)
    assert (ctx.workflow_id, ctx.execution_id, ctx.created_at) == ("w", "e1", NOW)
    assert ctx.step is steps
    assert (ctx.session_id, ctx.user_id, ctx.parent_execution_id, ctx.state) == (None,) * 4
    assert (ctx.retry_count, ctx.workflow_type) == (0, "workflow")
    assert "step" not in repr(ctx)


@pytest.mark.parametrize("kind", [WorkflowContext, SyncWorkflowContext])
def test_a_context_can_not_be_changed(kind: Any) -> None:
    ctx = kind(workflow_id="w", execution_id="e1", created_at=NOW, step=None)
    for field in dataclasses.fields(ctx):
        with pytest.raises(AttributeError):
            setattr(ctx, field.name, "other")
    with pytest.raises(AttributeError):
        ctx.something_new = 1


def test_sync_steps_give_values() -> None:
    effects = FakeEffects()
    step = effects.sync_steps_for()
    assert step.run("a", len, "abc", max_retries=5) == 3
    assert step.run("b", fetch, "u", timeout=5) == "u"
    assert effects.steps[0].policy.max_retries == 5
    assert step.wait_for("c", minutes=1, seconds=1) is None
    assert effects.waits["c"] - effects.clock == 61_000_000
    step.wait_until("d", NOW)
    assert effects.waits["d"] == 1_893_456_000_000_000
    assert step.now("e") == effects.clock // 1000
    assert 0 <= step.random("f") < 1
    assert len(step.uuid("g")) == 36


def test_sync_steps_start_children() -> None:
    effects = FakeEffects()
    effects.child_result = Receipt(number=7)
    step = effects.sync_steps_for()
    assert step.invoke("a", child, queue="slow").id == "child-a"
    assert Receipt(**step.invoke_and_wait("b", child, run_timeout_seconds=5)) == Receipt(number=7)
    first, second = effects.children
    assert (first.queue, second.run_timeout_seconds) == ("slow", 5)


def test_sync_and_async_steps_draw_the_same() -> None:
    effects = FakeEffects()
    drawn = effects.sync_steps_for("e1").uuid("k")
    assert FakeEffects().sync_steps_for("e1").uuid("k") == drawn


def test_sync_steps_raise_what_the_others_raise() -> None:
    step = FakeEffects().sync_steps_for()
    with pytest.raises(StepExecutionError):
        step.wait_for("a", seconds=0)
    with pytest.raises(ValueError, match="a step's key"):
        step.uuid("")
    with pytest.raises(TypeError, match="can't be called"):
        step.run("a", 5)
