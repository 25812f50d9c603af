"""Whoever forgets ``-A`` is told which database the command was about."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from polos.cli.commands import main


def run(command: str) -> Result:
    # As wide as the longest path of a temporary folder.
    done = CliRunner(env={"COLUMNS": "300"}).invoke(main, [command])
    assert done.exit_code == 0, done.output
    return done


def test_the_embedded_database_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLOS_HOME", str(tmp_path))
    monkeypatch.delenv("POLOS_DATABASE_URL", raising=False)
    monkeypatch.delenv("POLOS_PROJECT_ID", raising=False)
    assert "for that of a Celery app: polos -A proj migrate" in run("migrate").stderr
    said = run("list").stdout
    assert said.rstrip() == f"no executions of project default in sqlite:///{tmp_path}/polos.db"
    monkeypatch.setenv("POLOS_DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    assert run("migrate").stderr == ""
