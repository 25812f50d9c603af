"""An acceptance suite in pytest-celery's terms, over Redis and RabbitMQ."""

from __future__ import annotations

from celery import chain
from pytest_celery import CeleryTestSetup

from polos import ExecutionHandle, Polos
from polos.codec import decode
from tests.pytest_celery import flows
from tests.support.processes import until


def test_workflows_and_tasks(celery_setup: CeleryTestSetup, polos: Polos) -> None:
    assert celery_setup.ready(control=True)
    handle = flows.steps.start(polos, {"one": 40})
    app = celery_setup.app
    link = chain(
        app.signature("suite.add", (1, 2)),
        app.tasks["polos.suite-steps"].si({"one": 1}),
        app.signature("suite.say"),
    )
    assert app.signature("suite.add", (2, 2)).apply_async().get(timeout=60) == 4
    assert link.apply_async().get(timeout=60) == "said [3, 4]"
    assert handle.result_sync(60) == [42, 43]
    celery_setup.worker.assert_log_exists(f"execution={handle.id} workflow=suite-steps")


def test_a_worker_is_killed(celery_setup: CeleryTestSetup, polos: Polos) -> None:
    handle = flows.slow.start(polos)
    first = _first(polos, handle)
    celery_setup.worker.kill()
    celery_setup.worker.restart()
    assert handle.result_sync(90)[0] == first
    found = polos.get(handle.id)
    assert (found.status, found.claims) == ("completed", 2)


def test_a_broker_is_started_again(celery_setup: CeleryTestSetup, polos: Polos) -> None:
    busy, waiting = flows.slow.start(polos), flows.parked.start(polos)
    firsts = [_first(polos, handle) for handle in (busy, waiting)]
    celery_setup.broker.restart()
    found = [handle.result_sync(90) for handle in (busy, waiting)]
    assert [first for first, _ in found] == firsts


def _first(polos: Polos, handle: ExecutionHandle[list[str]]) -> str:
    """What its first step gave, as soon as it is recorded."""
    store = polos.bound.store

    def recorded() -> str | None:
        rows = {row.step_key: row for row in store.load(handle.id)[0]}
        return decode(rows["first"].value or b"") if "first" in rows else None

    return until(recorded, 60)
