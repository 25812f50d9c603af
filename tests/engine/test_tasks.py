"""Celery tasks as steps: when they are sent, and what ends their waits."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from polos.codec import encode
from polos.definition.context import SyncWorkflowContext, WorkflowContext
from polos.definition.workflow import workflow
from polos.engine import tasks
from polos.errors import StepExecutionError
from polos.model.ports import TaskSending
from polos.model.records import Failure
from polos.model.states import Status
from polos.store.schema import executions, waits
from tests.engine.conftest import Engine, is_parked


class Dies(BaseException):
    """Stands in for the end of the process."""


@workflow(id="task_one")
async def one(ctx: WorkflowContext) -> Any:
    return await ctx.step.task("charge", "charge_card")


@workflow(id="task_limited")
async def limited(ctx: WorkflowContext, payload: dict) -> Any:
    return await ctx.step.task("charge", "charge_card", **payload)


@workflow(id="task_group")
async def grouped(ctx: WorkflowContext) -> Any:
    return await ctx.step.task("all", ["a", "b", "c"])


def complete(engine: Engine, sending: TaskSending, value: Any) -> Any:
    outcome = value if isinstance(value, Failure) else encode(value)
    return engine.store.complete_task(
        sending.execution_id, sending.step_key, sending.task_id, outcome
    )


def waits_of(engine: Engine, id_: str) -> dict[str, Any]:
    rows = engine.store.database.run(select(waits).where(waits.c.execution_id == id_))
    return {row.step_key: row for row in rows}


def lose_worker(engine: Engine, id_: str) -> None:
    """As if the process that runs it had died, and the sweep had seen that."""
    rows = engine.store.lost([], trust_expiry=False)
    assert not rows
    database = engine.store.database
    database.run(update(executions).where(executions.c.id == id_).values(lease_expires_at=1))
    [(execution, token)] = engine.store.lost([], trust_expiry=True)
    engine.store.reclaim(execution, token, 10)


def let_time_pass(engine: Engine, id_: str) -> None:
    """What the execution waits for is due now."""
    database = engine.store.database
    row = database.run(select(executions).where(executions.c.id == id_))[0]
    passed = row.wake_at - engine.store.now()
    assert passed > 0
    at = {"started_at": waits.c.started_at - passed, "due_at": waits.c.due_at - passed}
    database.run(update(waits).where(waits.c.execution_id == id_).values(at))
    soon = {"wake_at": 1, "dispatch_at": 1}
    database.run(update(executions).where(executions.c.id == id_).values(soon))


def test_it_is_sent_once_and_its_value_is_the_steps(engine: Engine) -> None:
    id_ = engine.start(one)
    hop = engine.deliver(id_)
    assert is_parked(hop)
    assert hop.outcome.reason == "waiting for task 'charge'"
    assert engine.get(id_).wake_at is None
    [sending] = engine.sender.sent
    assert (sending.step_key, sending.signature) == ("charge", "charge_card")
    [hint] = complete(engine, sending, {"paid": True})
    assert (hint.execution_id, hint.reason) == (id_, "task 'charge' ended")
    assert engine.result(id_) == {"paid": True}
    assert len(engine.sender.sent) == 1
    assert waits_of(engine, id_) == {}


def test_its_failure_is_the_steps(engine: Engine) -> None:
    id_ = engine.start(one)
    engine.deliver(id_)
    complete(engine, engine.sender.sent[0], Failure("no money", "bank.Refused", attempts=3))
    ended = engine.finish(id_)
    assert ended.status is Status.FAILED
    assert ended.failure is not None
    found = (ended.failure.reason, ended.failure.error_type, ended.failure.attempts)
    assert found == ("no money", "bank.Refused", 3)
    assert ended.failure.step_key == "charge"


def test_a_wake_for_something_else_sends_nothing_again(engine: Engine) -> None:
    @workflow(id="task_beside_timer")
    async def beside(ctx: WorkflowContext) -> Any:
        timer = ctx.step.wait_for("timer", seconds=60)
        return await asyncio.gather(ctx.step.task("charge", "charge_card"), timer)

    id_ = engine.start(beside)
    engine.deliver(id_)
    let_time_pass(engine, id_)
    assert is_parked(engine.deliver(id_))
    assert set(engine.checkpoints(id_)) == {"timer"}
    [sending] = engine.sender.sent
    complete(engine, sending, 1)
    assert engine.result(id_) == [1, None]


@pytest.mark.parametrize(
    ("dies_in", "sent"),
    [("keep_waits", 1), ("send", 1), ("sent", 2), ("commit", 1)],
    ids=["before its wait", "before it is sent", "before that is noted", "before the park"],
)
def test_a_death_loses_no_task(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, dies_in: str, sent: int
) -> None:
    """It is sent again, under the same id, only where it is not known to have been sent."""

    def die(*_: Any, **__: Any) -> None:
        raise Dies

    id_ = engine.start(one)
    with monkeypatch.context() as patch:
        patch.setattr(engine.sender if dies_in == "send" else engine.store, dies_in, die)
        # Else the dying process would give its lease back.
        patch.setattr(engine.store, "release", lambda *_: None)
        with pytest.raises(Dies):
            engine.deliver(id_)
    lose_worker(engine, id_)
    assert is_parked(engine.deliver(id_))
    assert len(engine.sender.sent) == sent
    assert len({sending.task_id for sending in engine.sender.sent}) == 1
    complete(engine, engine.sender.sent[-1], "paid")
    assert engine.result(id_) == "paid"


def test_an_end_before_it_is_noted_that_it_was_sent(engine: Engine) -> None:
    """A quick task ends while its execution still runs."""
    engine.sender.on_send = lambda sending: complete(engine, sending, "quick")
    assert engine.run(one) == "quick"
    assert len(engine.sender.sent) == 1


def test_a_timeout_fails_the_step_and_a_late_end_is_ignored(engine: Engine) -> None:
    id_ = engine.start(limited, {"timeout": 3600})
    engine.deliver(id_)
    [sending] = engine.sender.sent
    let_time_pass(engine, id_)
    ended = engine.finish(id_)
    assert ended.failure is not None
    assert ended.failure.error_type == "TimeoutError"
    assert ended.failure.reason == "it had not ended within its timeout of 3600 s"
    assert complete(engine, sending, "late") == ()
    assert engine.checkpoints(id_)["charge"].value is None


def test_a_late_end_does_not_disturb_an_execution_that_goes_on(engine: Engine) -> None:
    @workflow(id="task_gone_on")
    async def gone_on(ctx: WorkflowContext) -> Any:
        try:
            await ctx.step.task("charge", "charge_card", timeout=3600)
        except StepExecutionError as error:
            await ctx.step.wait_for("pause", seconds=0.6)
            return str(error)

    id_ = engine.start(gone_on)
    engine.deliver(id_)
    let_time_pass(engine, id_)
    assert is_parked(engine.deliver(id_))
    assert complete(engine, engine.sender.sent[0], "late") == ()
    text = "step 'charge' failed: TimeoutError: it had not ended within its timeout of 3600 s"
    assert engine.result(id_) == text


def test_an_end_in_time_wins_over_the_timeout_that_is_noticed_later(engine: Engine) -> None:
    id_ = engine.start(limited, {"timeout": 3600})
    engine.deliver(id_)
    [sending] = engine.sender.sent
    let_time_pass(engine, id_)
    complete(engine, sending, "just in time")
    assert engine.result(id_) == "just in time"


def test_a_lost_task_is_sent_again_under_the_same_id(engine: Engine) -> None:
    id_ = engine.start(limited, {"timeout": 3600, "resend_after": 600})
    engine.deliver(id_)
    for times in (2, 3):
        let_time_pass(engine, id_)
        assert is_parked(engine.deliver(id_))
        assert len(engine.sender.sent) == times
        assert waits_of(engine, id_)["charge"].attempts == times
    assert len({sending.task_id for sending in engine.sender.sent}) == 1
    complete(engine, engine.sender.sent[0], "found")
    assert engine.result(id_) == "found"


def test_a_wake_in_between_does_not_send_it_again(engine: Engine) -> None:
    @workflow(id="task_resent_beside_timer")
    async def beside(ctx: WorkflowContext) -> Any:
        timer = ctx.step.wait_for("timer", seconds=60)
        task = ctx.step.task("charge", "charge_card", resend_after=600)
        return await asyncio.gather(task, timer)

    id_ = engine.start(beside)
    engine.deliver(id_)
    let_time_pass(engine, id_)
    assert is_parked(engine.deliver(id_))
    assert len(engine.sender.sent) == 1


def test_a_broker_that_is_away_delays_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_BROKER_PAUSE", 60.0)
    id_ = engine.start(one)
    engine.sender.away = True
    hop = engine.deliver(id_)
    assert is_parked(hop)
    assert engine.get(id_).wake_at is not None
    assert waits_of(engine, id_)["charge"].attempts == 0
    engine.sender.away = False
    let_time_pass(engine, id_)
    engine.deliver(id_)
    complete(engine, engine.sender.sent[0], "paid")
    assert engine.result(id_) == "paid"


def test_what_can_not_be_sent_fails_the_step(engine: Engine) -> None:
    def refuse(sending: TaskSending) -> None:
        raise ValueError("it can't be serialized")

    engine.sender.on_send = refuse
    ended = engine.finish(engine.start(one))
    assert ended.failure is not None
    assert (ended.failure.error_type, ended.failure.step_key) == ("ValueError", "charge")
    assert ended.failure.reason == "it can't be serialized"


def test_no_signature_is_an_error_at_the_call(engine: Engine) -> None:
    @workflow(id="task_none")
    async def none(ctx: WorkflowContext) -> Any:
        await ctx.step.task("charge", None)

    ended = engine.finish(engine.start(none))
    assert ended.failure is not None
    assert ended.failure.error_type == "TypeError"


def test_a_groups_values_come_in_its_order(engine: Engine) -> None:
    id_ = engine.start(grouped)
    engine.deliver(id_)
    assert [it.step_key for it in engine.sender.sent] == ["all[0]", "all[1]", "all[2]"]
    assert len({it.task_id for it in engine.sender.sent}) == 3
    for sending in reversed(engine.sender.sent):
        complete(engine, sending, sending.signature.upper())
        engine.deliver(id_)
    assert engine.result(id_) == ["A", "B", "C"]
    assert len(engine.sender.sent) == 3


def test_an_empty_group_gives_an_empty_list(engine: Engine) -> None:
    @workflow(id="task_empty_group")
    async def empty(ctx: WorkflowContext) -> Any:
        return await ctx.step.task("all", [])

    assert engine.run(empty) == []


def test_the_first_failure_of_a_group_is_the_steps(engine: Engine) -> None:
    @workflow(id="task_failing_group")
    def failing(ctx: SyncWorkflowContext) -> Any:
        try:
            ctx.step.task("all", ["a", "b", "c"])
        except StepExecutionError as error:
            ctx.step.wait_for("pause", seconds=0.6)
            return [error.step_key, error.reason]

    id_ = engine.start(failing)
    engine.deliver(id_)
    complete(engine, engine.sender.sent[1], Failure("no", "ValueError"))
    assert is_parked(engine.deliver(id_))
    assert list(waits_of(engine, id_)) == ["pause"]
    assert complete(engine, engine.sender.sent[0], "late") == ()
    assert engine.result(id_) == ["all[1]", "no"]


def test_many_tasks_wake_their_execution_at_a_pace(engine: Engine) -> None:
    attempts: Counter[str] = Counter()

    @workflow(id="task_many")
    async def many(ctx: WorkflowContext) -> int:
        attempts["n"] += 1
        return sum(await ctx.step.task("all", list(range(40))))

    id_ = engine.start(many)
    engine.deliver(id_)
    for sending in engine.sender.sent:
        engine.hints.dispatch(complete(engine, sending, sending.signature))
    while engine.deliver_next():
        pass
    assert engine.result(id_) == sum(range(40))
    assert attempts["n"] < 10


def test_cancelling_revokes_what_is_waited_for(engine: Engine) -> None:
    id_ = engine.start(grouped)
    engine.deliver(id_)
    complete(engine, engine.sender.sent[0], "done")
    engine.deliver(id_)
    engine.store.cancel(id_)
    assert engine.finish(id_).status is Status.CANCELLED
    assert sorted(engine.sender.revoked) == sorted(it.task_id for it in engine.sender.sent[1:])


def test_a_park_revokes_nothing(engine: Engine) -> None:
    engine.deliver(engine.start(grouped))
    assert engine.sender.revoked == []


def test_a_process_that_was_told_to_end_sends_nothing(engine: Engine) -> None:
    def work() -> None:
        engine.told_to_stop = True

    @workflow(id="task_stopped")
    async def stopped(ctx: WorkflowContext) -> Any:
        await ctx.step.run("work", work)
        return await ctx.step.task("charge", "charge_card")

    id_ = engine.start(stopped)
    assert engine.deliver(id_).outcome is None
    assert engine.sender.sent == []
    engine.told_to_stop = False
    engine.deliver(id_)
    complete(engine, engine.sender.sent[0], "paid")
    assert engine.result(id_) == "paid"


def test_first_one_wins_leaves_the_task_alone(engine: Engine) -> None:
    @workflow(id="task_contest")
    async def contest(ctx: WorkflowContext) -> Any:
        task = asyncio.create_task(ctx.step.task("charge", "charge_card"))
        limit = asyncio.create_task(ctx.step.wait_for("limit", seconds=60))
        done, _ = await asyncio.wait({task, limit}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        await ctx.step.wait_for("pause", seconds=0.6)
        return task in done

    id_ = engine.start(contest)
    engine.deliver(id_)
    let_time_pass(engine, id_)
    assert is_parked(engine.deliver(id_))
    assert complete(engine, engine.sender.sent[0], "late") == ()
    assert engine.result(id_) is False
    assert engine.sender.revoked == []


def test_what_was_about_to_be_sent_is_left_to_another_process(engine: Engine) -> None:
    async def stop() -> None:
        engine.told_to_stop = True

    @workflow(id="task_about_to_be_sent")
    async def about(ctx: WorkflowContext) -> Any:
        task = ctx.step.task("charge", "charge_card")
        return await asyncio.gather(task, ctx.step.run("stop", stop))

    id_ = engine.start(about)
    assert engine.deliver(id_).outcome is None
    assert engine.sender.sent == []
    engine.told_to_stop = False
    engine.deliver(id_)
    complete(engine, engine.sender.sent[0], "paid")
    assert engine.result(id_) == ["paid", None]


def test_its_id_is_that_of_the_step_but_for_a_retry_of_the_whole(engine: Engine) -> None:
    execution = engine.get(engine.start(one))
    again = replace(execution, retried=1)
    ids = [tasks.task_id(execution, "a"), tasks.task_id(execution, "b"), tasks.task_id(again, "a")]
    assert len(set(ids)) == 3
    assert tasks.task_id(execution, "a") == ids[0]


def test_an_error_after_sending_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would park with tasks that nobody knows to be sent, and send them at each wake."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the store can't")

    monkeypatch.setattr(engine.store, "sent", refuse)
    ended = engine.finish(engine.start(grouped))
    assert ended.failure is not None
    assert (ended.status, ended.failure.reason) == (Status.FAILED, "the store can't")


def test_a_task_that_exits_where_it_is_sent_fails_the_step(engine: Engine) -> None:
    """An eager one runs there."""

    def leave(sending: TaskSending) -> None:
        raise SystemExit(3)

    engine.sender.on_send = leave
    ended = engine.finish(engine.start(one))
    assert ended.failure is not None
    assert (ended.failure.error_type, ended.failure.step_key) == ("SystemExit", "charge")
