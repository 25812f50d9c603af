"""Which app a command works on, and what it says of one that it can't use."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from polos.cli.commands import main
from tests.support.processes import Program

_LAZY = """
from celery import Celery
app = Celery("lazy", set_as_current=False, broker="memory://")
app.conf.imports = ["lazy_binding"]
"""
_BINDING = """
from lazy_proj import app
from polos import Polos
polos = Polos(app)
"""


@pytest.fixture(autouse=True)
def _no_app_stays() -> Iterator[None]:
    """What these commands import is no app of other tests, which call without naming one."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.endswith("_proj") and (bound := getattr(sys.modules.pop(name), "polos", None)):
            bound.close()
    gc.collect()  # what failed while it was made is part of circles


def refused(*args: str) -> str:
    """What is said on stderr by a call that is wrong."""
    said = CliRunner().invoke(main, args)
    assert said.exit_code == 2, said.output
    assert said.stderr.startswith("polos: ")
    return said.stderr


def test_polos_may_be_bound_where_only_workers_import_it(tmp_path: Path) -> None:
    (tmp_path / "lazy_proj.py").write_text(_LAZY)
    (tmp_path / "lazy_binding.py").write_text(_BINDING)
    program = Program(
        [sys.executable, "-m", "polos.cli", "-A", "lazy_proj", "list", "--json"],
        log=tmp_path / "log",
        env={"POLOS_HOME": str(tmp_path / "home")},
    )
    done = subprocess.run(
        program.args, cwd=tmp_path, env=program.environment, capture_output=True, timeout=60
    )
    assert json.loads(done.stdout) == {"items": [], "next_cursor": None}, done.stderr


def test_an_app_that_is_not_there() -> None:
    for name in ("no_such_module", "no_such.module", "json:nothing"):
        assert f"'{name}', which -A names, can't be found" in refused("-A", name, "list")
    assert "no attribute 'celery'" in refused("-A", "json", "list")


def test_an_app_whose_module_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing_proj.py").write_text("import no_such_module_either")
    monkeypatch.syspath_prepend(tmp_path)
    assert refused("-A", "failing_proj", "list") == (
        "polos: -A failing_proj can't be imported: ModuleNotFoundError: No module named "
        f"'no_such_module_either' ({tmp_path}/failing_proj.py, line 1)\n"
    )


def test_an_app_whose_workflows_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_proj.py").write_text(
        "from celery import Celery\nfrom polos import Polos\n"
        "app = Celery('half', set_as_current=False, include=['half_flows'])\npolos = Polos(app)"
    )
    (tmp_path / "half_flows.py").write_text("def x(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert refused("-A", "half_proj", "start", "x") == (
        "polos: what the Celery app 'half' imports can't be imported: SyntaxError: invalid syntax "
        "(half_flows.py, line 1)\n"
    )


def test_code_of_the_environment_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flawed.py").write_text("import polos\nimport no_such_module_either\n")
    monkeypatch.setenv("POLOS_HOME", str(tmp_path))
    monkeypatch.setenv("POLOS_WORKFLOWS", str(tmp_path / "flawed.py"))
    monkeypatch.delitem(sys.modules, "polos.celery_app", raising=False)
    assert refused("start", "x") == (
        "polos: what POLOS_WORKFLOWS names can't be imported: ModuleNotFoundError: No module named "
        f"'no_such_module_either' ({tmp_path}/flawed.py, line 2)\n"
    )


def test_an_app_without_polos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bare_proj.py").write_text(
        "from celery import Celery\napp = Celery('bare', set_as_current=False)"
    )
    monkeypatch.syspath_prepend(tmp_path)
    said = refused("-A", "bare_proj", "list")
    assert "the Celery app 'bare' has no Polos. Bind one where the app is made:" in said
    assert "    polos = Polos(app)\n" in said


def test_settings_that_can_not_be_are_a_wrong_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLOS_LEASE_SECONDS", "soon")
    assert "POLOS_LEASE_SECONDS (polos_lease_seconds) is 'soon'" in refused("list")
