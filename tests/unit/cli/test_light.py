"""Every start of celery imports the command: that must cost next to nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import polos
from polos import Polos
from tests.support.processes import ROOT

HEAVY = ("sqlalchemy", "alembic", "pydantic", "rich", "polos.public", "polos.binding.bound")
_CELERY = """
import sys
from celery.bin.celery import celery
celery.main(args=["--help"], standalone_mode=False)
print("LOADED", *sorted(sys.modules))
"""
_POLOS = """
import sys
from polos.cli.commands import main
main.main(args=["--help"], standalone_mode=False, prog_name="polos")
print("LOADED", *sorted(sys.modules))
"""


def loaded(program: str) -> set[str]:
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert "Usage:" in said.stdout
    return set(said.stdout.rpartition("LOADED")[2].split())


def test_the_help_of_celery_lists_polos_and_loads_nothing_heavy() -> None:
    found = loaded(_CELERY)
    assert "polos.cli.commands" in found, "the entry point is not installed: make install"
    assert found.isdisjoint(HEAVY)


def test_the_help_of_polos_loads_not_even_celery() -> None:
    assert loaded(_POLOS).isdisjoint({*HEAVY, "celery", "kombu"})


def test_public_names_are_there_all_the_same() -> None:
    program = "import polos; from polos import *; print('Usage:', 'LOADED', *dir())"
    assert set(polos.__all__) <= loaded(program)
    assert set(polos.__all__) <= set(dir(polos))
    assert polos.Polos is Polos
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        polos.nonsense  # noqa: B018
