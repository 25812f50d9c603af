"""The programs of the introduction: a file of workflows, a worker and a client."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import opened
from tests.acceptance.stacks import Stack
from tests.support.polos_server import PolosServer
from tests.support.processes import Program

PROGRAMS = Path(__file__).with_name("basics")


def _run(stack: Stack, program: str, api_url: str | None) -> Program:
    log = stack.folder / f"{program}-{'http' if api_url else 'direct'}.log"
    env = stack.env | {"POLOS_API_URL": api_url}
    return Program([sys.executable, PROGRAMS / program], log=log, cwd=stack.folder, env=env)


def _shown(stack: Stack, api_url: str | None) -> None:
    """The worker runs, and main shows all."""
    with _run(stack, "worker.py", api_url) as worker:
        stack.workers.append(worker)
        worker.wait_for("worker ready", 60)
        if api_url is not None:
            worker.wait_for(f"the server {api_url} sees this worker", 60)
        with _run(stack, "main.py", api_url) as main:
            stack.workers.append(main)
            assert main.wait(90) == 0, main.tail()
            said = main.text()
        assert "Hello, Alice!\n" in said
        assert (
            "step 'my_step' failed after 3 attempts: ConnectionError: nobody answers"
            " | my_step 3 nobody answers\n"
        ) in said
        assert said.endswith("all shown\n")
        assert worker.text().count("my_function is called") == 3
        assert worker.stop(30) == 0
        assert "the worker ends, as soon as what it runs has finished" in worker.text()


def test_worker_and_main(stack: Stack) -> None:
    _shown(stack, None)


def test_worker_and_main_by_way_of_a_server(request: pytest.FixtureRequest) -> None:
    with (
        opened(request, "embedded") as stack,
        PolosServer(stack.database, stack.broker, env=stack.env) as server,
    ):
        _shown(stack, server.url)
