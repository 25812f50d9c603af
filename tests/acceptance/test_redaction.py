"""What ``polos_redact`` names is seen nowhere, and its owners get it whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from polos import PolosClient, PolosError
from tests.acceptance.conftest import opened
from tests.acceptance.secret_flows import SECRET, Account, login, outside
from tests.acceptance.stacks import Stack, Workers
from tests.acceptance.test_observability import Events
from tests.support.processes import Program, until

REDACT = {"POLOS_REDACT": "PassWord,pin"}
KNOWN = {"user": "ann", "password": SECRET}
UNKNOWN = {"user": "nobody", "password": SECRET}


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Only the one whose broker carries events."""
    with opened(request, "servers") as made:
        yield made


@pytest.fixture(scope="module")
def running(workers: Workers) -> Program:
    return workers("prefork", args=("-E",), flows="tests.acceptance.secret_flows", env=REDACT)


@pytest.fixture(scope="module")
def events(running: Program, client: PolosClient) -> Iterator[Events]:
    made = Events(client)
    made.start()
    assert made.listening.wait(30)
    yield made
    made.stop()


def command(stack: Stack, *args: str) -> str:
    """What ``polos …`` prints."""
    words = [sys.executable, "-m", "polos.cli", *args]
    program = Program(words, log=stack.folder / "unused", env=stack.env | REDACT)
    done = subprocess.run(
        words,
        cwd=stack.folder,
        env=program.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done
    return done.stdout


def test_logs_events_and_commands_show_masks(
    stack: Stack, running: Program, events: Events, client: PolosClient
) -> None:
    known = login.start(client, Account(**KNOWN))
    assert known.result_sync(60) == Account(**KNOWN)
    failed = [flow.start(client, Account(**UNKNOWN)) for flow in (login, outside)]
    for handle in failed:
        # Whoever started it owns the error, too.
        with pytest.raises(PolosError, match=SECRET):
            handle.result_sync(60)
    foreign = Celery("foreign", set_as_current=False, broker=stack.broker)
    sent = foreign.send_task("polos.accept-log-in", [KNOWN], queue="polos").id
    until(lambda: events.of(sent, "task-succeeded"), 60)
    for handle in failed:
        until(lambda id_=handle.id: events.of(id_, "task-failed"), 60)
    [received] = events.of(sent, "task-received")
    assert received["args"] == "[{'user': 'ann', 'password': '***'}]"
    [done] = events.of(known.id, "task-succeeded")
    assert done["result"] == "{'user': 'ann', 'password': '***'}"
    assert "password='***'" in events.of(failed[0].id, "task-failed")[0]["exception"]
    assert SECRET not in repr(events.seen)
    for handle in (known, *failed):
        running.wait_for(f"{handle.workflow_id}[{handle.id}] ", 30)
    for words in (("show", known.id), ("show", known.id, "--json"), ("logs", known.id)):
        assert SECRET not in command(stack, *words)
    for words in (("show", failed[0].id), ("logs", failed[0].id, "--json")):
        assert "password='***'" in command(stack, *words)
        assert SECRET not in command(stack, *words)
    assert "'password': '***'" in running.text()
    assert SECRET not in running.text()
    assert _result(stack, known.id) == KNOWN


def test_what_a_worker_tells_of_its_messages_is_masked(
    stack: Stack, running: Program, client: PolosClient
) -> None:
    gate = stack.folder / "gate"
    payload = {"user": str(gate), "password": SECRET}
    foreign = Celery("foreign", set_as_current=False, broker=stack.broker)
    sent = foreign.send_task("polos.accept-log-in", [payload], queue="polos").id
    asked = client.bound.app.control.inspect(timeout=5)

    def told() -> list[dict[str, Any]]:
        found = asked.active() or {}
        return [it for tasks in found.values() for it in tasks if it["id"] == sent]

    [message] = until(told, 60)
    assert message["args"] == [{"user": str(gate), "password": "***"}]
    gate.touch()
    assert client.wait(sent, 60).status == "completed"


def _result(stack: Stack, execution_id: str) -> Any:
    """A command by which a program gets what it owns."""
    return json.loads(command(stack, "result", execution_id))
