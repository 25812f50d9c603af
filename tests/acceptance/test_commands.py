"""Each command as a program of its own, as ``celery -A … polos …`` and as ``polos …``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from polos import PolosClient
from tests.acceptance.stacks import Stack, Workers
from tests.support.processes import Program, until
from tests.support.servers import HOST, free_port

FLOWS = "tests.acceptance.command_flows"
# Without servers there is no project: the environment says where all is.
APPS = {"embedded": "polos.celery_app", "servers": "tests.acceptance.command_proj"}


def only(stack: str) -> pytest.MarkDecorator:
    """A program each time: what is the same on both stacks is tried on one of them."""
    return pytest.mark.parametrize("stack", [stack], indirect=True)


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The JSON that it printed."""
        return json.loads(self.out)


class Commands:
    """Runs commands in one of the two ways."""

    def __init__(self, stack: Stack, way: str, app: str = "") -> None:
        self._folder = stack.folder
        self._env = environment(stack)
        app = app or APPS[stack.name]
        if way == "celery":
            self._prefix = [sys.executable, "-m", "celery", "-A", app, "polos"]
        elif stack.name == "servers":
            self._prefix = [sys.executable, "-m", "polos.cli", "-A", app]
        else:
            self._prefix = [sys.executable, "-m", "polos.cli"]

    def command(self, *args: str) -> list[str]:
        """The words of one."""
        return [*self._prefix, *args]

    def __call__(self, *args: str, code: int = 0, stdin: str = "", **env: str) -> Said:
        """Run one, which must end with that exit code."""
        program = Program(self.command(*args), log=self._folder / "unused", env=self._env | env)
        done = subprocess.run(
            program.args,
            cwd=self._folder,
            env=program.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=90,
        )
        said = Said(done.returncode, done.stdout, done.stderr)
        assert said.code == code, said
        assert "Traceback" not in said.err, said
        return said


def environment(stack: Stack) -> dict[str, str | None]:
    if stack.name == "embedded":
        return stack.env | {"POLOS_WORKFLOWS": FLOWS}
    others = {"POLOS_BROKER_URL": None, "POLOS_DATABASE_URL": None, "CELERY_RESULT_BACKEND": None}
    servers = {"PROJ_BROKER": stack.broker, "PROJ_DATABASE": stack.database}
    return stack.env | others | servers


@pytest.fixture(scope="module")
def served(stack: Stack, workers: Workers) -> Program:
    """A worker of the project."""
    return workers("prefork", slots=2, app=APPS[stack.name], flows=FLOWS, env=environment(stack))


@pytest.fixture
def run(stack: Stack, served: Program) -> Commands:
    """Each stack in one of the two ways; the other one has a test of its own."""
    return Commands(stack, "polos" if stack.name == "embedded" else "celery")


def test_the_life_of_an_execution(run: Commands) -> None:
    started = run("start", "cmd-order", "--payload", "-", "--user", "ada", "--tag", "eu",
                  "--idempotency-key", "one", stdin='{"item": "lamp"}')  # fmt: skip
    id_ = started.out.strip()
    followed = run("logs", "-f", id_).out.splitlines()
    assert "completed with" in followed[-1]
    lines = [json.loads(line) for line in run("logs", id_, "--json").out.splitlines()]
    assert [it["event"] for it in lines][:2] == ["created", "taken"]
    assert {it["step_key"] for it in lines} == {None, "number", "charge", "ship", "cooling_off"}
    assert len(followed) == len(lines)
    assert run("result", id_).data["label"] == "LAMP"
    shown = run("show", id_, COLUMNS="80").out
    assert max(map(len, shown.splitlines())) <= 80
    for words in ("cmd-order", "completed", "user ada", "tags eu", "ship (cmd-parcel)", "courier"):
        assert words in shown
    assert "\x1b" not in shown
    data = run("show", id_, "--json").data
    [ship] = [step for step in data["steps"] if step["key"] == "ship"]
    assert [step["key"] for step in ship["child"]["steps"]] == ["courier", "label"]
    assert data["payload"] == {"item": "lamp", "price": 9.5}
    listed = run("list", "--tag", "eu", "--user", "ada", "--status", "completed", "--json").data
    assert [item["id"] for item in listed["items"]] == [id_]
    assert listed["next_cursor"] is None


@only("servers")
def test_what_fails_is_retried_and_forked(run: Commands, stack: Stack) -> None:
    failed = run("start", "cmd-doomed", "--wait", "--timeout", "60s", "--json", code=1)
    id_ = failed.data["id"]
    assert failed.data["status"] == "failed"
    assert failed.err.startswith("polos: step 'pay' failed after 2 attempts: ValueError: no such")
    shown = run("show", id_).out
    assert "attempt 2: ValueError: no such card: \\x1b[31m4242" in shown
    assert "in is_paid" in shown
    assert "\x1b" not in shown + failed.err + run("logs", "-f", id_, code=1).out
    (stack.folder / "paid").touch()
    assert run("retry", id_).out.strip() == id_
    assert run("result", id_, "--timeout", "60").data == "paid"
    refused = run("retry", id_, "--json", code=1)
    assert "retry is not possible" in refused.data["error"]
    forked = run("fork", id_, "--from", "pay", "--json").data["id"]
    assert forked != id_
    done = run("result", forked, "--timeout", "60", "--json").data
    assert (done["status"], done["result"]) == ("completed", "paid")


@only("servers")
def test_what_nobody_takes_says_why(run: Commands) -> None:
    id_ = run("start", "cmd-patient", "--queue", "nowhere").out.strip()
    wanted = "consumes the queue 'nowhere': start one with -Q nowhere"
    said: list[str] = []

    def is_said() -> bool:
        # In lines as long as the terminal has them.
        said.append(" ".join(run("show", id_).out.split()))
        return wanted in said[-1]

    try:
        # On a busy machine a worker may have been silent for a while.
        until(is_said, 60, message=lambda: "\n".join(said))
        why = run("show", id_, "--json").data["unclaimed"]
        assert why.startswith("no worker that has its code")
    finally:
        run("cancel", id_)
    assert run("show", id_, "--json").data["unclaimed"] is None


@only("embedded")
def test_what_waits_is_cancelled_and_pruned(run: Commands, client: PolosClient) -> None:
    id_ = run("start", "cmd-patient").out.strip()
    late = run("result", id_, "--timeout", "0.5s", "--json", code=4)
    assert late.data["exit_code"] == 4
    until(lambda: client.get(id_).wake_at, 60)
    shown = run("show", id_, PYTHONIOENCODING="ascii").out
    assert shown.isascii()
    assert "waits until " in shown
    cancelled = run("cancel", id_, "nobody", "--json", code=3)
    assert [item["cancelled"] for item in cancelled.data["items"]] == [True, False]
    until(lambda: client.get(id_).status.ended, 60)
    assert "nobody can be asked" in run("prune", "--older-than", "1d", code=2).err
    assert run("prune", "--older-than", "0s", "--yes", "--json").data["pruned"] >= 1
    run("show", id_, code=3)


def test_a_deployment_as_a_whole(run: Commands) -> None:
    status = run("status", "--json").data
    [worker] = [it for it in status["workers"] if it["alive"]]
    assert worker["slots"] == 2
    assert "cmd-order" in worker["workflows"]
    assert worker["name"] in run("status").out
    described = run("workflow", "describe", "cmd-order", "--json").data
    assert described["payload"]["properties"].keys() == {"item", "price"}
    assert described["workers"] == [worker["name"]]
    said: dict[str, str] = {}

    def is_heard() -> bool:
        doctor = run("doctor", "--json").data
        assert doctor["counts"]["error"] == 0, doctor
        said.update((found["check"], found["text"]) for found in doctor["findings"])
        return said["versions"] == "1 worker answered Celery's remote control"

    # It waits a second for answers, which a busy machine may need as well.
    until(is_heard, 60, message=lambda: str(said))
    assert {"broker", "database", "version", "clock", "schema", "workers"} <= said.keys()
    migrated = run("migrate", "--json").data
    assert migrated["before"] == migrated["after"]


def test_the_other_way_round(stack: Stack, served: Program) -> None:
    run = Commands(stack, "celery" if stack.name == "embedded" else "polos")
    paid = run("start", "cmd-parcel", "-p", '{"item": "x"}', "--wait", "--timeout", "60s")
    assert paid.data == "X"
    assert "cmd-parcel" in run("list", "--workflow", "cmd-parcel").out
    assert (
        "no workflow 'nothing'; known:" in run("start", "nothing", "--json", code=3).data["error"]
    )
    assert "item: Field required" in run("start", "cmd-order", "-p", "{}", code=2).err
    assert "is no cursor" in run("list", "--cursor", "x", code=2).err
    unknown = run("list", "--nope", "--json", code=2)
    assert unknown.data["exit_code"] == 2
    assert unknown.err.startswith("polos: No such option")


@only("servers")
def test_an_app_without_polos_hears_which_lines_to_add(stack: Stack, served: Program) -> None:
    bare = Commands(stack, "celery", app=f"{APPS['servers']}:bare")
    assert "polos = Polos(app)" in bare("list", code=2).err
    run = Commands(stack, "polos")
    late = run("start", "cmd-patient", PROJ_BROKER=f"redis://{HOST}:{free_port()}/0")
    assert late.out.strip()
    assert "polos: the broker is out of reach; it is delivered when" in late.err
    away = f"postgresql+psycopg://postgres@{HOST}:{free_port()}/x"
    refused = run("list", "--json", code=5, PROJ_DATABASE=away)
    assert refused.data["exit_code"] == 5
    doctor = run("doctor", "--json", code=1, PROJ_DATABASE=away)
    errors = [it["check"] for it in doctor.data["findings"] if it["level"] == "error"]
    assert errors == ["database"]


@only("embedded")
def test_a_shell_completes_ids_and_keys(stack: Stack, served: Program) -> None:
    run = Commands(stack, "polos")
    id_ = run("start", "cmd-order", "-p", '{"item": "x"}', "--wait", "--json").data["id"]

    def completed(line: str) -> set[str]:
        words = ["polos", *line.split(" ")]
        place = str(len(words) - 1)
        asked = {"COMP_WORDS": " ".join(words), "COMP_CWORD": place}
        said = run(**asked, _POLOS_COMPLETE="bash_complete").out
        return {it.partition(",")[2] for it in said.splitlines()}

    assert id_ in completed("show ")
    assert completed("start cmd-o") == {"cmd-order"}
    assert completed(f"fork {id_} --from c") == {"charge", "cooling_off"}
    assert "_POLOS_COMPLETE" in run("completion", "zsh").out


@only("embedded")
def test_following_ends_with_ctrl_c(stack: Stack, served: Program) -> None:
    run = Commands(stack, "polos")
    id_ = run("start", "cmd-patient").out.strip()
    with Program(run.command("logs", "-f", id_), log=stack.folder / "follower.log",
                 env=environment(stack), cwd=stack.folder) as follower:  # fmt: skip
        follower.wait_for("waits     month  until", 60)
        assert follower.stop(sig=signal.SIGINT) == 130
        assert "Traceback" not in follower.text()


def test_a_tab_makes_no_database(tmp_path: Path) -> None:
    program = Program(
        [sys.executable, "-m", "polos.cli"],
        log=tmp_path / "log",
        env={"COMP_WORDS": "polos show ", "COMP_CWORD": "2", "_POLOS_COMPLETE": "bash_complete"},
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run(
        program.args, cwd=empty, env=program.environment, capture_output=True, timeout=90
    )
    assert (done.returncode, done.stdout.strip()) == (0, b"")
    assert not list(empty.iterdir())
