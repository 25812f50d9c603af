"""The examples, run as a reader runs them: as programs, with nothing else there."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.examples.commands import commands
from tests.support.processes import ROOT, Program, until
from tests.support.servers import free_port

EXAMPLE = ROOT / "examples" / "workflow_basics"
SHOWN = [
    "Hello, Ada!",
    "status               completed",
    "quote                42.5, after",
    "StepExecutionError   step 'charge_card' failed after 3 attempts",
    "the bank refused 12.50 EUR",
    "step_key, attempts   charge_card, 3",
    "after a second       waiting",
    "waited               2.",
    "same after the wait  True",
    "valid                2 of 3",
    "MOUSE-7: the quantity is 0",
    "best region          south",
    "total                690.80 USD",
]

Start = Callable[..., Program]
pytestmark = pytest.mark.acceptance


@pytest.fixture
def example(program: Start, tmp_path: Path) -> Start:
    """Start one of the example's programs, all of whose files go to ``tmp_path``."""
    folders = {"HOME": tmp_path, "TMPDIR": tmp_path, "POLOS_HOME": tmp_path / "polos"}
    env = {name: str(folder) for name, folder in folders.items()}
    return lambda *args: program(sys.executable, *args, cwd=EXAMPLE, env=env, name=args[0])


def test_the_steps_of_the_readme(program: Start, tmp_path: Path) -> None:
    """Word for word, but for the port, and for pip's own options: nothing is downloaded."""
    folder = tmp_path / "example"
    shutil.copytree(
        EXAMPLE, folder, ignore=shutil.ignore_patterns(".polos", ".venv", "__pycache__")
    )
    python, port = _python_beside(tmp_path / "venv"), free_port()

    def terminal(command: str, *more: str, **env: str) -> Program:
        home = {"HOME": str(tmp_path)}
        return program(*steps[command], *more, cwd=folder, env=home | env, name=command.split()[-1])

    def run(command: str, *more: str, **env: str) -> str:
        ran = terminal(command, *more, **env)
        assert ran.wait(150) == 0, ran.tail()
        return ran.text()

    steps = commands(EXAMPLE / "README.md")
    steps["pip install -e ."][0] = str(python.with_name("pip"))
    steps["cp .env.example .env"][0] = "cp"
    for name in ("python worker.py", "python main.py"):
        steps[name][0] = str(python)
    assert list(steps)[:5] == STEPS
    try:
        run("polos server start", "--port", str(port))
        run("pip install -e .", "--no-build-isolation", "--no-index")
        run("cp .env.example .env")
        settings = (folder / ".env").read_text().replace("8080", str(port))
        # Not the project of the server: one server has them all.
        (folder / ".env").write_text(settings.replace("=default", "=basics"))
        worker = terminal("python worker.py")
        worker.wait_for("worker ready", deadline=60)
        # It has neither the worker's broker nor its database: only the server knows them.
        _assert_all_shown(run("python main.py", POLOS_HOME=str(tmp_path / "elsewhere")))
        assert f"http://127.0.0.1:{port}" in run("polos server status")
        assert worker.stop(60, signal.SIGINT) == 0
    finally:
        run("polos server stop")


STEPS = [
    "polos server start",
    "pip install -e .",
    "cp .env.example .env",
    "python worker.py",
    "python main.py",
]


def _python_beside(folder: Path) -> Path:
    """The Python of a new environment, in which all is installed that is in this one."""
    venv.create(folder, with_pip=False, symlinks=True)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "these.pth").write_text(sysconfig.get_path("purelib"))
    pip = folder / "bin" / "pip"
    pip.write_text(f"#!{folder}/bin/python\nfrom pip._internal.cli.main import main\nmain()\n")
    pip.chmod(0o755)
    return folder / "bin" / "python"


def test_worker_and_main_without_a_server(example: Start) -> None:
    worker = example("worker.py")
    worker.wait_for("worker ready", deadline=60)
    main = example("main.py")
    assert main.wait(150) == 0, main.tail()
    _assert_all_shown(main.text())
    assert worker.stop(60, signal.SIGINT) == 0


def test_main_with_a_worker_of_its_own(example: Start) -> None:
    main = example("main.py", "--embedded")
    assert main.wait(150) == 0, main.tail()
    _assert_all_shown(main.text())


def test_the_demo_shows_that_no_finished_step_runs_twice(example: Start, tmp_path: Path) -> None:
    demo = example("demo.py")
    assert demo.wait(240) == 0, demo.tail()
    text = demo.text()
    _assert_all_shown(text)
    rows = re.findall(r"^ +(\w+) +(\d+) +(\d+)   \d", text, re.MULTILINE)
    runs = {step: (begun, finished) for step, begun, finished in rows}
    assert runs["pack_parcel"] == ("2", "1")
    for step in ("reserve_stock", "charge_card", "book_courier", "send_receipt"):
        assert runs[step] == ("1", "1"), step
    assert "No finished step ran twice, and the order was completed." in text
    _assert_nothing_left(tmp_path)


def test_the_demo_cleans_up_when_it_is_ended(example: Start, tmp_path: Path) -> None:
    demo = example("demo.py")
    demo.wait_for("worker examples is ready", deadline=60)
    assert demo.stop(60) == 1
    _assert_nothing_left(tmp_path)


def test_the_demo_would_notice_a_step_that_ran_twice(example: Start, tmp_path: Path) -> None:
    assert _verdict(example, tmp_path, []) == []
    again = [("charge_card", "begin", 6.0), ("charge_card", "end", 7.0)]
    assert _verdict(example, tmp_path, again) == [
        "charge_card finished 2 times",
        "charge_card was finished before the kill and ran again",
    ]
    begun = [("charge_card", "begin", 6.0)]
    assert _verdict(example, tmp_path, begun) == [
        "charge_card was finished before the kill and ran again"
    ]


def test_main_says_what_to_do_where_no_worker_runs(example: Start) -> None:
    main = example("-c", "import main; main.SECONDS = 1; raise SystemExit(main.run())")
    assert main.wait(120) == 1
    assert "Does a worker run? Start one: python worker.py" in main.text()


def _verdict(example: Start, tmp_path: Path, more: list[tuple[str, str, float]]) -> list[str]:
    """What the demo thinks of an order that was killed at 2.5 s, with more events than it had."""
    steps = ["reserve_stock", "charge_card", "pack_parcel", "book_courier", "send_receipt"]
    events = [("pack_parcel", "begin", 2.0)]
    for at, step in zip((0, 1, 5, 6, 7), steps, strict=True):
        events += [(step, "begin", at), (step, "end", at + 1)]
    lines = [dict(step=s, event=e, time=t, pid=1) for s, e, t in [*events, *more]]
    answer = tmp_path / "verdict.json"
    code = (
        "import json, demo; lines = [demo.Line(**line) for line in json.loads("
        f"{json.dumps(lines)!r})]; open({str(answer)!r}, 'w').write("
        "json.dumps(demo.verdict(lines, killed=2.5)))"
    )
    asked = example("-c", code)
    assert asked.wait(120) == 0, asked.tail()
    found: list[str] = json.loads(answer.read_text())
    return found


def _assert_all_shown(text: str) -> None:
    assert [expected for expected in SHOWN if expected not in text] == []


def _assert_nothing_left(tmp_path: Path) -> None:
    assert list(tmp_path.glob("polos-demo-*")) == []
    # A child that was killed may take a moment to go.
    until(lambda: not _workers_in(tmp_path))


def _workers_in(folder: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            home = process.environ().get("POLOS_HOME", "")
        except psutil.Error:
            continue
        if home.startswith(f"{folder}/polos-demo-"):
            found.append(process.pid)
    return found
