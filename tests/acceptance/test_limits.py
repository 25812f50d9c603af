"""Celery's own options of a workflow's task: its hard time limit, a countdown."""

from __future__ import annotations

import time

import pytest

from polos import PolosClient, StepExecutionError, WorkflowFailedError
from tests.acceptance import flows
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Workers


def test_a_hard_time_limit_ends_the_execution(
    worker: Workers, client: PolosClient, ledger: Ledger
) -> None:
    worker("prefork")
    handle = flows.limited.start(client)
    ledger.wait_for(handle.id, "endless")
    with pytest.raises((WorkflowFailedError, StepExecutionError), match="hard time limit of 2 s"):
        handle.result_sync(60)
    assert flows.quick.run_sync(client, timeout=60) == "done"
    # It is not tried again, neither by the message nor by the sweep.
    assert len(ledger.wait_for(handle.id, "endless")) == 1


def test_a_countdown_is_kept_in_the_store(worker: Workers, client: PolosClient) -> None:
    worker("threads")
    task = client.bound.app.tasks[f"polos.{flows.quick.id}"]
    began = time.monotonic()
    result = task.apply_async(countdown=2)
    assert client.get(result.id).status == "waiting"
    assert client.wait(result.id, 60).status == "completed"
    assert time.monotonic() - began >= 2
