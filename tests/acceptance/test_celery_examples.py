"""Projects as Celery's examples are, three lines added: all that is theirs is as before.

The projects are written here in the shapes that Celery's own examples have: one file, a package
with ``celery.py`` and ``tasks.py``, and a Django project.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from ast import literal_eval
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.celery_examples import drive
from tests.acceptance.celery_examples.shapes import SHAPES, Shape
from tests.support.processes import Program, until
from tests.support.servers import RedisServer, free_port

pytestmark = pytest.mark.timeout(180)

_START_SECONDS = 90.0


class Running:
    """A project with its worker, beat and Flower."""

    def __init__(
        self, shape: Shape, folder: Path, broker: str, program: Callable[..., Program]
    ) -> None:
        self._shape = shape
        self._program = program
        self._folder = folder
        self._env = {
            "HOME": str(folder),
            "CELERY_BROKER_URL": broker,
            "CELERY_RESULT_BACKEND": broker,
            "FLOWER_UNAUTHENTICATED_API": "1",
            "PYTHONHASHSEED": "0",  # texts of sets are compared
        }
        if shape.prepare:
            with self._run(*shape.prepare, name="prepare") as prepare:
                assert prepare.wait(60) == 0, prepare.tail()
        queues = ["-Q", shape.queues] if shape.queues else []
        self.port = free_port()
        self.worker = self._celery("worker", "-c1", "-E", "-lINFO", "-nworker@localhost", *queues)
        self.beat = self._celery("beat", "-lINFO")
        self.flower = self._celery("flower", f"--port={self.port}", "--address=127.0.0.1")

    def driven(self) -> dict[str, Any]:
        """What their tasks give, and what the worker says of itself."""
        self.worker.wait_for(" ready.", _START_SECONDS)
        calls = json.dumps(self._shape.calls)
        with self._run(drive.__file__, self._shape.app, calls, name="drive") as program:
            assert program.wait(90) == 0, program.tail()
            found: dict[str, Any] = json.loads(program.text().splitlines()[-1])
        return found

    def banner(self) -> list[str]:
        """What the worker says before it begins, without what differs from start to start."""
        text = self.worker.text().partition("Connected to")[0].partition("[config]")[2]
        text = re.sub(r"0x[0-9a-f]+|:\d+/\d|\[\d{4}-.*", "", text)
        return [line.strip() for line in text.splitlines() if line.strip()]

    def in_flower(self, path: str) -> Any:
        """What Flower answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def _celery(self, command: str, *args: str) -> Program:
        return self._run("-m", "celery", "-A", self._shape.app, command, *args, name=command)

    def _run(self, *args: str, name: str) -> Program:
        return self._program(sys.executable, *args, name=name, cwd=self._folder, env=self._env)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_all_that_is_theirs_is_as_before(
    shape: Shape, tmp_path: Path, redis_server: RedisServer, program: Callable[..., Program]
) -> None:
    before, after = [
        Running(
            shape,
            shape.copy(tmp_path / name, bound=bool(number)),
            redis_server.url.removesuffix("0") + str(number),
            program,
        )
        for number, name in enumerate(("before", "after"))
    ]
    was, is_ = before.driven(), after.driven()
    assert is_["results"] == was["results"]
    assert len(was["results"]) == len(shape.calls)
    assert set(was["registered"]) <= set(is_["registered"])
    ours = set(is_["registered"]) - set(was["registered"])
    assert ours
    assert all(line.startswith("polos.") for line in ours)
    assert _theirs(is_["conf"]) == _theirs(was["conf"])
    assert is_["workflow"]["called"] == 3

    lines = after.banner()
    ours = {line for line in lines if line.startswith((". polos.", ".> polos."))}
    assert [line for line in lines if line not in ours] == before.banner()
    assert ". polos.example" in lines
    for running in (before, after):
        running.beat.wait_for("beat: Starting...", _START_SECONDS)
        running.flower.wait_for("Visit me at", _START_SECONDS)
        assert "Flower" in running.in_flower("/tasks")
        seen = until(lambda running=running: _seen_by(running, shape), 60)
        assert seen == dict.fromkeys(shape.calls, "SUCCESS")
    for part in (after.beat, after.flower, after.worker):
        assert part.running, part.tail()
        assert "Traceback" not in part.text(), part.tail()
    assert after.beat.text().count("\n") == before.beat.text().count("\n")


def _theirs(conf: dict[str, Any]) -> dict[str, Any]:
    found = {
        name: value
        for name, value in conf.items()
        # Each has a broker of its own.
        if not name.startswith("polos_") and "redis://" not in value
    }
    # A worker puts the modules of all tasks there.
    modules = literal_eval(found["include"])
    ours = ("polos.", "demoapp.workflows")
    found["include"] = sorted(it for it in modules if not it.startswith(ours))
    return found


def _seen_by(running: Running, shape: Shape) -> dict[str, str]:
    tasks = json.loads(running.in_flower("/api/tasks")).values()
    found = {task["name"]: task["state"] for task in tasks if task["name"] in shape.calls}
    return found if set(found.values()) == {"SUCCESS"} and len(found) == len(shape.calls) else {}
