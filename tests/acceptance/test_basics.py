"""The programs of the introduction: a file of workflows, a worker and a client."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.acceptance.stacks import Stack
from tests.support.processes import Program

pytestmark = pytest.mark.timeout(180)

PROGRAMS = Path(__file__).with_name("basics")


def _run(stack: Stack, program: str) -> Program:
    log = stack.folder / f"{program}.log"
    return Program([sys.executable, PROGRAMS / program], log=log, cwd=stack.folder, env=stack.env)


def test_worker_and_main(stack: Stack) -> None:
    with _run(stack, "worker.py") as worker:
        stack.workers.append(worker)
        worker.wait_for("worker ready", 60)
        with _run(stack, "main.py") as main:
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
