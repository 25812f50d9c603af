"""Executions whose processes died: noted, run alone, and cleared by a new checkpoint."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from sqlalchemy import select

from polos.definition.context import WorkflowContext
from polos.definition.workflow import workflow
from polos.engine.company import Company
from polos.engine.owner import this_process
from polos.engine.signals import WorkerStopping
from polos.model.records import SUSPECT
from polos.model.states import Status
from polos.store.schema import executions
from tests.engine.conftest import Engine
from tests.support.processes import until


def lease_of(engine: Engine, id_: str) -> tuple[bool, Any]:
    columns = (executions.c.lease_accountable, executions.c.lease_steps)
    [found] = engine.store.database.run(select(*columns).where(executions.c.id == id_))
    return found.lease_accountable, found.lease_steps and json.loads(found.lease_steps)


def die(engine: Engine, id_: str, *, alone: bool = True) -> None:
    """A process claims the execution and dies before any checkpoint."""
    owner = this_process()
    assert engine.store.claim(id_, engine.get(id_).workflow_id, owner, 60, accountable=alone)
    for execution, token in engine.store.lost([str(owner)], trust_expiry=False):
        engine.store.reclaim(execution, token, 5)


def test_its_steps_are_noted_until_it_has_a_new_checkpoint(engine: Engine) -> None:
    seen: list[Any] = []

    @workflow(id="noted")
    async def noted(ctx: WorkflowContext) -> None:
        for name in ("first", "second"):
            await ctx.step.run(name, lambda: seen.append(lease_of(engine, ctx.execution_id)))

    id_ = engine.start(noted)
    die(engine, id_)
    engine.finish(id_)
    # The second writes nothing more: what was noted last stays until the lease ends.
    assert seen == [(True, ["first"]), (True, ["first"])]
    assert lease_of(engine, id_)[1] is None


def test_one_that_nothing_is_known_against_is_not_noted(engine: Engine) -> None:
    seen: list[Any] = []

    @workflow(id="innocent")
    async def innocent(ctx: WorkflowContext) -> None:
        await ctx.step.run("only", lambda: seen.append(lease_of(engine, ctx.execution_id)))

    engine.run(innocent)
    assert seen == [(True, None)]


def test_all_branches_in_flight_are_named(engine: Engine) -> None:
    @workflow(id="wide")
    async def wide(ctx: WorkflowContext) -> None:
        return None

    id_ = engine.start(wide)
    for _ in range(5):
        die(engine, id_)
    claimed = engine.store.claim(id_, "wide", this_process(), 60)
    assert claimed is not None
    engine.store.mark(id_, claimed.token, ["left", "right"], alone=True)
    engine.store.reclaim(claimed.execution, claimed.token, 5)
    failure = engine.get(id_).failure
    assert failure is not None
    assert "died 6 times in a row" in failure.reason
    assert "in step 'left', 'right'" in failure.reason


def test_deaths_in_company_make_a_suspect_and_never_fail_it(engine: Engine) -> None:
    @workflow(id="beside")
    async def beside(ctx: WorkflowContext) -> str:
        return "done"

    id_ = engine.start(beside)
    for _ in range(12):
        die(engine, id_, alone=False)
    assert engine.get(id_).recoveries == SUSPECT
    assert engine.result(id_) == "done"


def test_an_excused_death_does_not_count(engine: Engine) -> None:
    @workflow(id="excused")
    async def excused(ctx: WorkflowContext) -> str:
        return "done"

    id_ = engine.start(excused)
    for _ in range(12):
        claimed = engine.store.claim(id_, "excused", this_process(), 60)
        assert claimed is not None
        engine.store.excuse(str(this_process()), [id_])
        engine.store.reclaim(claimed.execution, claimed.token, 1)
    assert engine.get(id_).status is Status.QUEUED
    assert engine.result(id_) == "done"


def test_what_is_handed_on_can_be_claimed_at_once_and_its_worker_writes_nothing(
    engine: Engine,
) -> None:
    @workflow(id="handed")
    async def handed(ctx: WorkflowContext) -> str:
        id_ = ctx.execution_id
        engine.store.hand_on(str(this_process()), [id_])
        return "dropped"

    id_ = engine.start(handed)
    hop = engine.deliver(id_)
    assert hop.outcome is None
    assert (engine.get(id_).status, engine.get(id_).recoveries) == (Status.QUEUED, 0)


# -- company -------------------------------------------------------------------------------


class Member(threading.Thread):
    """Runs in a company until it is told to leave."""

    def __init__(self, company: Company, *, suspect: bool = False) -> None:
        super().__init__(daemon=True)
        self.company, self.suspect = company, suspect
        self.inside, self.leaving = threading.Event(), threading.Event()
        self.alone: bool | None = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            with self.company.member() as place:
                if self.suspect:
                    place.seek()
                self.alone = place.alone
                self.inside.set()
                self.leaving.wait(20)
        except WorkerStopping as error:
            self.error = error

    def leave(self) -> None:
        self.leaving.set()
        self.join(20)


def test_a_suspect_waits_for_others_and_lets_none_in() -> None:
    company = Company(slots=4, patience=20)
    first = Member(company)
    assert first.inside.wait(20)
    suspect = Member(company, suspect=True)
    assert not suspect.inside.wait(0.3)
    first.leave()
    assert suspect.inside.wait(20)
    assert suspect.alone is True
    kept_out = Member(company)
    assert not kept_out.inside.wait(0.3)
    suspect.leave()
    assert kept_out.inside.wait(20)
    kept_out.leave()


def test_two_suspects_run_one_after_the_other() -> None:
    company = Company(slots=4, patience=20)
    pair = [Member(company, suspect=True) for _ in range(2)]
    until(lambda: any(each.inside.is_set() for each in pair))
    inside = next(each for each in pair if each.inside.is_set())
    [other] = [each for each in pair if each is not inside]
    assert not other.inside.wait(0.3)
    inside.leave()
    assert other.inside.wait(20)
    assert (inside.alone, other.alone) == (True, True)
    other.leave()


def test_a_suspect_goes_on_beside_those_that_do_not_end() -> None:
    company = Company(slots=4, patience=0.2)
    lasting = Member(company)
    assert lasting.inside.wait(20)
    suspect = Member(company, suspect=True)
    assert suspect.inside.wait(20)
    assert suspect.alone is False
    third = Member(company)
    assert third.inside.wait(20)
    for each in (lasting, suspect, third):
        each.leave()


def test_nobody_waits_in_a_process_that_ends() -> None:
    stopping = threading.Event()
    company = Company(slots=4, patience=20, stopping=stopping.is_set)
    lasting = Member(company)
    assert lasting.inside.wait(20)
    suspect = Member(company, suspect=True)
    assert not suspect.inside.wait(0.2)
    stopping.set()
    suspect.join(20)
    assert isinstance(suspect.error, WorkerStopping)
    lasting.leave()
    stopping.clear()
    assert Member(company, suspect=True).inside.wait(20)


@pytest.mark.parametrize("suspect", [True, False])
def test_where_one_runs_at_a_time_it_is_alone(suspect: bool) -> None:
    member = Member(Company(slots=1), suspect=suspect)
    assert member.inside.wait(20)
    assert member.alone is True
    member.leave()
