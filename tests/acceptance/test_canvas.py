"""Workflows as what they are to Celery, tasks: in chains and chords, and with results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery, chain, chord

from polos import Polos, StepExecutionError
from polos.definition.registry import registry
from polos.model.records import ExecutionId, Hint
from polos.model.settings import Settings
from tests.acceptance import flows, proj
from tests.acceptance.conftest import opened
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import Program, until


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one with a result backend."""
    with opened(request, "servers") as made:
        yield made


@pytest.fixture(scope="module")
def project(stack: Stack) -> Iterator[Celery]:
    """The project as the program has it that sends its tasks."""
    app = Celery("proj", set_as_current=False, broker=stack.broker, backend=stack.broker)
    app.conf.task_default_queue = "proj"
    app.conf.polos_auto_migrate = True
    polos = Polos(app, stack.database)
    yield app
    polos.close()
    registry.set_default_client(None)


@pytest.fixture(scope="module")
def pair(workers: Workers, stack: Stack) -> list[Program]:
    """Two workers of the project."""
    env = {
        "PROJ_BROKER": stack.broker,
        "PROJ_BACKEND": stack.broker,
        "PROJ_DATABASE": stack.database,
        "CELERY_RESULT_BACKEND": None,
        "POLOS_BROKER_URL": None,
        "POLOS_DATABASE_URL": None,
    }
    start: dict[str, Any] = {"app": "tests.acceptance.proj", "env": env, "ready": False}
    made = [workers("prefork", name=name, **start) for name in ("one", "two")]
    for each in made:
        each.wait_for(" ready.", 60)
    return made


def _relay(app: Celery, payload: dict[str, Any], **options: Any) -> Any:
    return app.tasks["polos.accept-relay"].s(payload).set(**options)


def _pass_on(app: Celery, ledger_id: str) -> Any:
    return app.signature("proj.pass_on", (ledger_id,))


def test_a_chain_goes_on_once_after_a_wait(
    pair: list[Program], project: Celery, ledger: Ledger
) -> None:
    me = str(uuid4())
    payload = {"name": "Ada", "seconds": 1.5}
    result = chain(_relay(project, payload), _pass_on(project, me)).apply_async()
    assert result.get(timeout=60) == "passed on: from Ada"
    assert result.parent.get(timeout=60) == "from Ada"
    assert result.parent.state == "SUCCESS"
    assert ledger.runs(me) == {"passed on": 1}
    assert ledger.runs(result.parent.id) == {"say": 1}


def test_a_chain_goes_on_once_where_two_workers_get_the_message(
    pair: list[Program], project: Celery, ledger: Ledger
) -> None:
    me, id_ = str(uuid4()), str(uuid4())
    relay = _relay(project, {"name": "Ada", "gate": True}, task_id=id_)
    result = chain(relay, _pass_on(project, me)).apply_async()
    assert result.parent.id == id_
    ledger.wait_for(id_, "slow")
    kept = project.polos.client.get(id_).celery_options
    again = Hint(ExecutionId(id_), "accept-relay", celery_options=kept)
    assert project.polos.dispatcher.dispatch([again]) == 1
    nothing = f"execution={id_} workflow=accept-relay: nothing to do"
    until(lambda: any(nothing in each.text() for each in pair), 60, message=nothing)
    ledger.open_gate(id_)
    assert result.get(timeout=60) == "passed on: from Ada"
    assert ledger.runs(me) == {"passed on": 1}
    assert ledger.runs(id_) == {"slow": 1, "say": 1}


def test_a_chord_of_workflows_that_wait(
    pair: list[Program], project: Celery, ledger: Ledger
) -> None:
    me = str(uuid4())
    header = [_relay(project, {"name": str(n), "seconds": n}) for n in range(3)]
    result = chord(header)(project.signature("proj.gather", (me,)))
    assert sorted(result.get(timeout=60)) == ["from 0", "from 1", "from 2"]
    assert ledger.runs(me) == {"gathered": 1}


def test_a_failure_reaches_the_errback_and_the_result(
    pair: list[Program], project: Celery, ledger: Ledger
) -> None:
    me = str(uuid4())
    task = project.tasks["polos.accept-broken"]
    result = task.apply_async(link_error=project.signature("proj.complain", (me,)))
    with pytest.raises(StepExecutionError, match="the bank is closed"):
        result.get(timeout=60)
    assert result.state == "FAILURE"
    [told] = ledger.wait_for(me, "complained", "end")
    assert "the bank is closed" in told.text


def test_a_program_that_knows_only_the_name_may_send_it(
    pair: list[Program], stack: Stack, ledger: Ledger
) -> None:
    plain = Celery("stranger", set_as_current=False, broker=stack.broker, backend=stack.broker)
    me = str(uuid4())
    sent = plain.send_task(
        "polos.accept-relay",
        ({"name": "a stranger", "seconds": 1},),
        queue="proj",
        link=plain.signature("proj.pass_on", (me,), queue="proj"),
    )
    assert sent.get(timeout=60) == "from a stranger"
    [told] = ledger.wait_for(me, "passed on", "end")
    assert told.text == "'from a stranger'"
    assert ledger.runs(sent.id) == {"say": 1}


def test_the_settings_come_from_the_projects_configuration() -> None:
    assert Settings.load(proj.app.conf).auto_migrate is True
    assert flows.relay.id not in proj.app.tasks
