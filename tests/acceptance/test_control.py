"""Run timeouts, retries of whole executions, retries and forks by people, and retention."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from polos import ExecutionNotFound, ExecutionTimedOut, PolosClient, StepExecutionError
from polos.model.records import Hint
from tests.acceptance import control_flows as flows
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers, received, wait_for_status
from tests.support.processes import Program, until

FLOWS = "tests.acceptance.control_flows"
LEASE = 3.0


@pytest.fixture(scope="module")
def workers(stack: Stack) -> Any:
    made = Workers(stack)
    yield made
    made.close()


@pytest.fixture(scope="module")
def running(workers: Workers) -> Program:
    return workers(
        "threads",
        slots=4,
        flows=FLOWS,
        env={"POLOS_LEASE_SECONDS": str(LEASE), "POLOS_RETENTION_DAYS": str(4 / 86_400)},
    )


def states(stack: Stack, client: PolosClient, execution_id: str) -> list[str]:
    """The states that Celery's result backend shows, until the end."""
    client.bound.app.conf.result_backend = stack.broker
    found: list[str] = []

    def ended() -> bool:
        state = client.bound.app.AsyncResult(execution_id).state
        if not found or found[-1] != state:
            found.append(state)
        return state in ("SUCCESS", "FAILURE")

    until(ended, 60, every=0.02, message=lambda: f"{execution_id} went {found}")
    return found


def test_an_async_step_is_interrupted_when_its_time_is_over(
    running: Program, client: PolosClient, ledger: Ledger
) -> None:
    began = time.monotonic()
    handle = flows.async_step.start(client, run_timeout_seconds=3)
    with pytest.raises(ExecutionTimedOut, match="did not end within its run timeout of 3 s"):
        handle.result_sync(60)
    assert time.monotonic() - began >= 3
    phases = [(entry.step, entry.phase) for entry in ledger.entries(handle.id)]
    assert phases == [
        ("long", "begin"),
        ("long", "cancelled"),
        ("clean up", "begin"),
        ("clean up", "end"),
    ]


def test_a_plain_step_is_given_up_when_its_time_is_over(
    running: Program, client: PolosClient, ledger: Ledger
) -> None:
    handle = flows.plain_step.start(client)
    ledger.wait_for(handle.id, "blocks")
    with pytest.raises(ExecutionTimedOut, match="its run timeout of 4 s"):
        handle.result_sync(60)
    ledger.open_gate(handle.id)
    until(lambda: "end" in [entry.phase for entry in ledger.entries(handle.id)], 30)
    until(lambda: f"the lease of execution {handle.id} is gone" in running.text(), 30)
    assert "after" not in ledger.runs(handle.id)


def test_one_that_waits_cleans_up_and_its_child_too(
    running: Program, client: PolosClient, ledger: Ledger
) -> None:
    handle = flows.waits.start(client, run_timeout_seconds=3)
    wait_for_status(handle, "waiting")
    with pytest.raises(ExecutionTimedOut):
        handle.result_sync(60)
    assert ledger.runs(handle.id) == {"clean up": 1}
    [child] = asyncio.run(client.list_executions(parent_execution_id=handle.id)).items
    assert client.wait(child.id, 60).status == "cancelled"


def test_one_that_no_worker_takes_fails_as_well(running: Program, client: PolosClient) -> None:
    handle = flows.fails.start(client, queue="nobody's", run_timeout_seconds=1)
    with pytest.raises(ExecutionTimedOut):
        handle.result_sync(60)


def test_a_failed_execution_is_tried_again_and_celery_calls_it_a_retry(
    running: Program, client: PolosClient, ledger: Ledger, stack: Stack
) -> None:
    began = time.monotonic()
    handle = flows.retries.start(client)
    seen = states(stack, client, handle.id) if stack.redis else ["RETRY", "SUCCESS"]
    assert handle.result_sync(60) == "paid"
    # Pauses of one and of two seconds.
    assert time.monotonic() - began >= 3
    assert ledger.runs(handle.id) == {"before": 1, "pay": 3}
    assert [state for state in seen if state != "PENDING"] == ["RETRY", "SUCCESS"]
    assert received(running, handle) == 3
    assert "tried again (1 of 2) at " in running.text()


def test_somebody_retries_it_and_somebody_forks_it(
    running: Program, client: PolosClient, ledger: Ledger, stack: Stack
) -> None:
    handle = flows.fails.start(client, tags=["invoice"])
    with pytest.raises(StepExecutionError, match="the bank is closed"):
        handle.result_sync(60)
    again = asyncio.run(client.retry(handle.id))
    assert (again.id, again.result_sync(60)) == (handle.id, "paid")
    assert ledger.runs(handle.id) == {"before": 1, "pay": 2}
    if stack.redis:
        # Celery keeps the failure of the first time until it hears of the second end.
        until(lambda: states(stack, client, handle.id)[-1] == "SUCCESS", 60)
    fork = asyncio.run(client.fork(handle.id, from_step="pay"))
    with pytest.raises(StepExecutionError, match="the bank is closed"):
        fork.result_sync(60)
    assert ledger.runs(fork.id) == {"pay": 1}
    listed = asyncio.run(client.list_executions(tag="invoice")).items
    assert {item.id for item in listed} == {handle.id, fork.id}


def test_what_ended_long_ago_is_deleted_and_does_not_come_back(
    running: Program, client: PolosClient, ledger: Ledger
) -> None:
    handle = flows.retries.start(client)
    handle.result_sync(60)

    def gone() -> bool:
        try:
            return not client.get(handle.id)
        except ExecutionNotFound:
            return True

    until(gone, 60)
    before = received(running, handle)
    client.bound.dispatcher.dispatch([Hint(handle.id, handle.workflow_id)])  # type: ignore[arg-type]
    until(lambda: received(running, handle) > before, 60)
    until(lambda: f"execution {handle.id}, which is not stored" in running.text(), 60)
    assert gone()
    assert ledger.runs(handle.id) == {"before": 1, "pay": 3}
