"""The programs of the introduction: a file of workflows, a worker and a client."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.stacks import Stack
from tests.support.polos_server import PolosServer
from tests.support.processes import Program

pytestmark = pytest.mark.timeout(180)

PROGRAMS = Path(__file__).with_name("basics")


@contextmanager
def _api_url(stack: Stack, way: str) -> Iterator[str | None]:
    """The address of a server, where the programs go by way of one."""
    if way == "direct":
        yield None
        return
    with PolosServer(stack.database, stack.broker, env=stack.env) as server:
        yield server.url


def _run(stack: Stack, program: str, api_url: str | None) -> Program:
    log = stack.folder / f"{program}-{'http' if api_url else 'direct'}.log"
    env = stack.env | {"POLOS_API_URL": api_url}
    return Program([sys.executable, PROGRAMS / program], log=log, cwd=stack.folder, env=env)


@pytest.mark.parametrize("way", ["direct", "http"])
def test_worker_and_main(stack: Stack, way: str) -> None:
    with _api_url(stack, way) as api_url, _run(stack, "worker.py", api_url) as worker:
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
        assert worker.stop(15) == 0
