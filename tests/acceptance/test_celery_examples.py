"""The examples that Celery ships, three lines added: all that is theirs is as before.

They are taken out of the source of the Celery that is installed, and each runs twice, beside
itself: as it is, and with three lines behind ``app = Celery(…)`` and a new ``workflows.py``.
Nothing else in their files is changed. Outside of them two things are said:

- ``CELERY_BROKER_URL``, which Celery heeds before what is in the files (``amqp://`` on this
  machine), names the test's own RabbitMQ. Result backends are theirs: none, ``rpc://``, SQLite.
- ``-I``: where an app names the modules of its tasks itself, the worker is told of one more. The
  Django project finds its own.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import sys
import urllib.request
from ast import literal_eval
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.celery_examples import drive
from tests.acceptance.celery_examples.shapes import SHAPES, Shape
from tests.support.celery_source import NoExamples, celery_examples
from tests.support.processes import Program, until
from tests.support.rabbit import RabbitServer
from tests.support.servers import free_port

_START_SECONDS = 90.0
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_END = re.compile(r"Task (\S+)\[(\S+)\] (?:(succeeded) in \S+s(: .*)|((?:retry|raised).*))")
_TROUBLE = re.compile(r"\[[\d\-, :]+(WARNING|ERROR|CRITICAL)/\w+(?:-\d+)?\] (.*)")


class Running:
    """A project with its worker, beat and Flower."""

    def __init__(
        self, shape: Shape, folder: Path, broker: str, bound: bool, program: Callable[..., Program]
    ) -> None:
        self._shape = shape
        self._program = program
        self._workflows = [shape.workflows] if bound else []
        self.folder = folder
        self._env = {
            "HOME": str(folder),
            "CELERY_BROKER_URL": broker,
            "FLOWER_UNAUTHENTICATED_API": "1",
            "PYTHONHASHSEED": "0",  # texts of sets are compared
        }
        self.port = free_port()
        told = [f"-I{shape.workflows}"] if bound and not shape.found else []
        told += [f"-c{shape.processes}", "-nworker@localhost"]
        self.worker = self._celery("worker", "-E", "-lINFO", *told)
        self.beat = self._celery("beat", "-lINFO")
        self.flower = self._celery("flower", f"--port={self.port}", "--address=127.0.0.1")

    def drive(self) -> Program:
        """Call their tasks, and the workflow if it is there."""
        self.worker.wait_for(" ready.", _START_SECONDS)
        self.flower.wait_for("Visit me at", _START_SECONDS)
        # Of tasks that end before it listens Flower hears nothing.
        until(self._is_heard_in_flower, 60)
        calls = [(it.task, it.args, it.retries, it.succeeds) for it in self._shape.calls]
        args = [self._shape.app, json.dumps(calls), *self._workflows]
        return self._run(drive.__file__, *args, name="drive")

    def end(self) -> None:
        """Ask all of it to end, so that it does so at one time."""
        for part in (self.worker, self.beat, self.flower):
            part.kill(signal.SIGTERM)

    def ended(self, ids: list[str]) -> list[str] | None:
        """What the worker first says of the end of each, once it has of all."""
        said: dict[str, str] = {}
        for _, task_id, succeeded, result, other in _END.findall(self.worker.text()):
            said.setdefault(task_id, succeeded + result + other)
        return [said[task_id] for task_id in ids] if said.keys() >= set(ids) else None

    def troubles(self) -> set[str]:
        """Its worker's warnings and errors, without what differs from task to task."""
        found = {
            f"{level} {_ID.sub('…', text).partition('Request: ')[0]}"
            for level, text in _TROUBLE.findall(self.worker.text())
        }
        return {re.sub(r"\d{4,}", "…", text).replace(str(self.folder), "") for text in found}

    def banner(self) -> list[str]:
        """What the worker says before it begins, without what differs from start to start."""
        text = self.worker.text().partition("Connected to")[0].partition("[config]")[2]
        text = re.sub(r"0x[0-9a-f]+|:\d+/\w+|\[\d{4}-.*", "", text)
        return [line.strip() for line in text.splitlines() if line.strip()]

    def in_flower(self, path: str) -> Any:
        """What Flower answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def states_in_flower(self, ids: list[str]) -> list[bool] | None:
        """Whether each has succeeded, once Flower knows of all and of the ends of those that do."""
        known = json.loads(self.in_flower("/api/tasks"))
        found = [known.get(task_id, {}).get("state") for task_id in ids]
        succeeded = [state == "SUCCESS" for state in found]
        wanted = [call.succeeds for call in self._shape.calls]
        return succeeded if all(found) and succeeded == wanted else None

    def _is_heard_in_flower(self) -> bool:
        listed = json.loads(self.in_flower("/workers?json=1"))["data"]
        return any(it["hostname"] == "worker@localhost" and it["status"] for it in listed)

    def _celery(self, command: str, *args: str) -> Program:
        return self._run("-m", "celery", "-A", self._shape.app, command, *args, name=command)

    def _run(self, *args: str, name: str) -> Program:
        return self._program(sys.executable, *args, name=name, cwd=self.folder, env=self._env)


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of Celery's examples; without them these tests fail."""
    try:
        return celery_examples()
    except NoExamples as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture
def both(
    shape: Shape,
    examples: Path,
    tmp_path: Path,
    _rabbit: RabbitServer,
    program: Callable[..., Program],
) -> Iterator[list[Running]]:
    """The project as it is, and with the three lines."""
    untouched = shape.copy(examples, tmp_path / "untouched")
    if shape.prepare:
        with program(sys.executable, *shape.prepare, name="prepare", cwd=untouched) as prepare:
            assert prepare.wait(60) == 0, prepare.tail()
    _rabbit.start()
    pair = []
    for name in ("before", "after"):
        folder = tmp_path / name
        shutil.copytree(untouched, folder)
        if name == "after":
            shape.bind(folder)
        broker = _rabbit.virtual_host(f"{shape.folder}_{name}".replace("-", "_"))
        pair.append(Running(shape, folder, broker, name == "after", program))
    yield pair
    for running in pair:
        running.end()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_all_that_is_theirs_is_as_before(shape: Shape, both: list[Running]) -> None:
    before, after = both
    was, is_ = _driven(both)
    _same_results(shape, was, is_)
    _same_registered(shape, was["registered"], is_["registered"])
    assert _theirs(is_["conf"]) == _theirs(was["conf"])
    assert is_["workflow"] == shape.returned

    lines = after.banner()
    ours = {line for line in lines if line.startswith((". polos.", ".> polos."))}
    assert [line for line in lines if line not in ours] == before.banner()
    assert ". polos.example" in lines
    for running, found in zip(both, (was, is_), strict=True):
        ended = until(lambda running=running, found=found: running.ended(found["ids"]), 60)
        assert ended == [call.said for call in shape.calls]
        running.beat.wait_for("beat: Starting...", _START_SECONDS)
        running.flower.wait_for("Visit me at", _START_SECONDS)
        assert "Flower" in running.in_flower("/tasks")
        until(lambda running=running, found=found: running.states_in_flower(found["ids"]), 60)
        assert _widgets(running.folder) == ([("cog",)] if shape.folder == "django" else [])
    for part in (after.worker, after.beat, after.flower):
        assert part.running, part.tail()
    for part in (after.beat, after.flower):
        assert "Traceback" not in part.text(), part.tail()
    assert after.troubles() <= before.troubles()
    assert after.beat.text().count("\n") == before.beat.text().count("\n")


def _driven(both: list[Running]) -> list[dict[str, Any]]:
    """What their tasks give, and what the workers say of themselves; both at a time."""
    found = []
    for program in [running.drive() for running in both]:
        assert program.wait(120) == 0, program.tail()
        found.append(json.loads(program.text().splitlines()[-1]))
    return found


def _same_results(shape: Shape, was: dict[str, Any], is_: dict[str, Any]) -> None:
    assert is_["results"] == was["results"]
    # The plain app keeps no results.
    assert was["results"] in ([call.result for call in shape.calls], None)
    assert (was["results"] is None) == (shape.folder == "app")


def _same_registered(shape: Shape, was: list[str], is_: list[str]) -> None:
    assert {line.split()[0] for line in was} == {call.task for call in shape.calls}
    assert set(was) <= set(is_)
    ours = set(is_) - set(was)
    assert ours
    assert all(line.startswith("polos.") for line in ours)


def _theirs(conf: dict[str, Any]) -> dict[str, Any]:
    found = {
        name: value
        for name, value in conf.items()
        # Each has a virtual host of its own.
        if not name.startswith("polos_") and "amqp://guest:********@127.0.0.1" not in value
    }
    # A worker puts the modules of all tasks there.
    modules = literal_eval(found["include"])
    found["include"] = sorted(
        it for it in modules if not it.startswith("polos.") and it.split(".")[-1] != "workflows"
    )
    return found


def _widgets(folder: Path) -> list[tuple[str]]:
    if not (folder / "db.sqlite3").exists():
        return []
    with closing(sqlite3.connect(folder / "db.sqlite3")) as database:
        return database.execute("SELECT name FROM demoapp_widget").fetchall()
