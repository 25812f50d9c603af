"""Starts and transaction steps through Django's connection."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import Program


@pytest.fixture
def seen(database_url: str, program: Callable[..., Program], tmp_path: Path) -> dict[str, object]:
    made = program(sys.executable, "-m", "tests.callers.django_callers", database_url, cwd=tmp_path)
    assert made.wait(120) == 0, made.tail()
    return json.loads(made.text().splitlines()[-1])


def test_django_s_connection(seen: dict[str, object]) -> None:
    assert seen == {
        # Sent before the commit; after it; found by the sweep; the bytes are what they were.
        "committed": [[], True, True, True],
        "rolled_back": [False, False],
        "savepoints": [True, False, [True, False]],
        "without_a_transaction": [True, True],
        "taken": [True, True, 1],
        "without_tables": True,
        # What was rolled back with the first attempt, and with the commit, is not counted.
        "steps": [["Grace", "django.db.transaction.TransactionManagementError"], 2, 1],
        "lost lease": [True, 1],
    }
