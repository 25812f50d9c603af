"""A worker without the code of a workflow leaves its executions to those that have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from polos import PolosClient, WorkflowContext, workflow
from polos.definition.registry import registry
from polos.definition.workflow_class import Workflow
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import until

CODE = """
from polos import WorkflowContext, workflow
from tests.acceptance.ledger import effect

@workflow(id="accept-elsewhere")
async def elsewhere(ctx: WorkflowContext, payload: dict) -> int:
    await ctx.step.run("double", effect, ctx.execution_id, "double")
    return payload["n"] * 2
"""


@pytest.fixture
def elsewhere() -> Iterator[Workflow]:
    """The workflow as a client declares it whose workers have the code."""
    with registry.scoped():

        @workflow(id="accept-elsewhere")
        async def declared(ctx: WorkflowContext, payload: dict) -> int:
            raise AssertionError("only a worker runs it")

        yield declared


def test_its_executions_wait_for_a_worker_that_has_it(
    worker: Workers,
    stack: Stack,
    client: PolosClient,
    ledger: Ledger,
    elsewhere: Workflow,
    tmp_path: Path,
) -> None:
    without = worker("prefork", name="without")
    handle = elsewhere.start(client, {"n": 21})
    without.wait_for(f"no workflow 'accept-elsewhere'; execution {handle.id} is left")
    without.wait_for(
        "no worker has the workflow 'accept-elsewhere'; executions that wait for one: 1"
    )
    assert handle.status() == "queued"
    assert stack.queued_messages() == 0
    assert ledger.entries(handle.id) == []
    file = tmp_path / "elsewhere.py"
    file.write_text(CODE)
    worker("prefork", name="with", flows=file)
    assert handle.result_sync(60) == 42
    assert client.get(handle.id).claims == 1
    assert "Traceback" not in without.text()


def test_a_plain_message_is_kept_by_a_worker_that_cannot_run_it(
    worker: Workers, stack: Stack, client: PolosClient, elsewhere: Workflow, tmp_path: Path
) -> None:
    file = tmp_path / "elsewhere.py"
    file.write_text(CODE)
    # Some worker has had it, so it is no typing error.
    known = worker("prefork", name="with", flows=file)
    until(lambda: "accept-elsewhere" in client.bound.store.known_workflows())
    known.stop(30)
    without = worker("prefork", name="without")
    app = client.bound.app
    sent = app.send_task("polos.accept-elsewhere", [{"n": 4}], queue="polos")
    without.wait_for(f"execution {sent.id} is left")
    assert client.get(sent.id).status == "queued"
    worker("prefork", name="with", flows=file)
    found = client.wait(sent.id, 60)
    assert found.status == "completed", found
    app.send_task("polos.accept-typo", [{}], task_id="typo", queue="polos")
    without.stop(30)
    assert client.bound.store.get("typo") is None
