"""Databases that are away, empty or old, and workflows that changed while they ran."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from polos import SchemaError, StoreUnavailable, WorkflowFailedError, workflow
from polos.definition.registry import registry
from tests.acceptance import flows
from tests.acceptance.conftest import opened
from tests.acceptance.ledger import Ledger
from tests.acceptance.stacks import Stack, Workers, wait_for_status
from tests.support.processes import Program
from tests.support.servers import HOST, PostgresServer, free_port


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one with servers: an embedded database is always there and up to date."""
    with opened(request, "servers") as made:
        yield made


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections, and never says anything."""
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def test_a_database_that_refuses(stack: Stack) -> None:
    _assert_unavailable(stack, free_port())


def test_a_database_that_does_not_answer(stack: Stack, silent_port: int) -> None:
    _assert_unavailable(stack, silent_port)


def _assert_unavailable(stack: Stack, port: int) -> None:
    client = stack.client(database_url=f"postgresql://ada:hidden@{HOST}:{port}/polos")
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="POLOS_DATABASE_URL") as caught:
        flows.quick.start(client)
    assert time.monotonic() - began < 10
    assert f"{HOST}:{port}" in str(caught.value)
    assert "hidden" not in str(caught.value) + repr(caught.value)
    assert stack.queued_messages() == 0
    client.close()


def test_a_database_without_schema_until_it_is_migrated(
    worker: Workers, stack: Stack, tmp_path: Path
) -> None:
    client = stack.client(auto_migrate=False)
    with pytest.raises(SchemaError, match="no schema of Polos.*polos migrate"):
        flows.quick.start(client)
    with pytest.raises(DBAPIError, match="polos_executions"):
        _execute(stack, "SELECT count(*) FROM polos_executions")
    refused = worker("prefork", env={"POLOS_AUTO_MIGRATE": None}, ready=False)
    _assert_refuses_to_start(refused, "no schema of Polos")
    assert _migrate(stack, tmp_path).count("none -> ") == 1
    worker("prefork", env={"POLOS_AUTO_MIGRATE": None})
    assert flows.quick.run_sync(client, timeout=60) == "done"
    assert "none" not in _migrate(stack, tmp_path)
    client.close()


def test_a_database_with_an_older_schema(worker: Workers, stack: Stack) -> None:
    version = _execute(stack, "SELECT version_num FROM polos_schema")
    _execute(stack, "UPDATE polos_schema SET version_num = '0000'")
    client = stack.client(auto_migrate=False)
    with pytest.raises(SchemaError, match="has schema 0000.*polos migrate"):
        flows.quick.start(client)
    refused = worker("prefork", env={"POLOS_AUTO_MIGRATE": None}, ready=False)
    _assert_refuses_to_start(refused, "has schema 0000")
    _execute(stack, f"UPDATE polos_schema SET version_num = '{version}'")
    client.close()


def test_a_database_that_comes_after_the_worker(
    worker: Workers, stack: Stack, _postgres: PostgresServer
) -> None:
    with closing(stack.client()) as client:
        client.bound.store.known_workflows()
    _postgres.stop()
    try:
        worker("prefork").wait_for("this worker goes on trying")
    finally:
        _postgres.start()
    with closing(stack.client()) as client:
        assert flows.quick.run_sync(client, timeout=60) == "done"


def _assert_refuses_to_start(refused: Program, said: str) -> None:
    assert refused.wait(60) not in (0, None), refused.tail()
    assert said in refused.text()
    assert "polos migrate" in refused.text()
    assert " ready." not in refused.text()


def _migrate(stack: Stack, tmp_path: Path) -> str:
    command = [sys.executable, "-m", "polos.cli", "migrate"]
    log = tmp_path / f"migrate-{time.monotonic_ns()}.log"
    with Program(command, log=log, name="migrate", env=stack.env) as migrate:
        assert migrate.wait(60) == 0, migrate.tail()
        return migrate.text()


def _execute(stack: Stack, statement: str) -> str:
    engine = create_engine(stack.database)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return str(result.scalar()) if result.returns_rows else ""
    finally:
        engine.dispose()


BEFORE = """
from polos import WorkflowContext, workflow
from tests.acceptance.ledger import effect

@workflow(id="accept-changing")
async def changing(ctx: WorkflowContext) -> str:
    await ctx.step.run("number", effect, ctx.execution_id, "number")
    await ctx.step.wait_for("deploy", seconds=5)
    return "as before"
"""
AFTER = BEFORE.replace(
    'run("number", effect, ctx.execution_id, "number")', 'random("number")'
).replace("as before", "changed")


def test_a_workflow_whose_step_became_another_kind(
    worker: Workers, stack: Stack, ledger: Ledger, tmp_path: Path
) -> None:
    file = tmp_path / "changing.py"
    file.write_text(BEFORE)
    old = worker("prefork", flows=file, name="old")
    with registry.scoped():
        handle = workflow(id="accept-changing")(_of_that_name).start(stack.client())
        wait_for_status(handle, "waiting")
        assert old.stop(30) == 0
        file.write_text(AFTER)
        worker("prefork", flows=file, name="new")
        with pytest.raises(WorkflowFailedError, match="'number' is recorded as 'step'.*'random'"):
            handle.result_sync(60)
    assert ledger.runs(handle.id) == {"number": 1}


async def _of_that_name(ctx: object) -> str:
    return "never called here"
