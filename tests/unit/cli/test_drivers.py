"""A broker or a database whose Python package is missing: one line that says what to install."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from polos.cli.commands import main


def run_without(module: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Result:
    monkeypatch.setenv("POLOS_DATABASE_URL", f"sqlite:///{folder / 'polos.db'}")
    monkeypatch.setenv("POLOS_BROKER_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "kombu.transport.redis", raising=False)
    monkeypatch.setattr("kombu.transport._transport_cache", {})
    assert CliRunner().invoke(main, ["migrate"]).exit_code == 0
    return CliRunner().invoke(main, ["health"])


def test_a_missing_package_of_the_broker_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = run_without("packaging.version", monkeypatch, tmp_path)
    assert done.exit_code == 2
    assert done.stderr == (
        "polos: the broker or the database needs the package 'packaging', which is not installed "
        'here: pip install "polos[redis]"\n'
    )


def test_another_missing_module_is_an_error_of_the_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = run_without("kombu.utils.compat", monkeypatch, tmp_path)
    assert isinstance(done.exception, ModuleNotFoundError)
