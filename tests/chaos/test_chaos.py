"""A slice of what ``make chaos`` does for longer: a minute of faults on each of two set-ups."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.drive import run

_SEED = int(os.environ.get("CHAOS_SEED", "11"))
_SECONDS = 60.0
_EXECUTIONS = 500


@pytest.mark.timeout(900)
@pytest.mark.slow
@pytest.mark.parametrize("setup", ["servers", "embedded"])
def test_chaos(setup: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    report = run(setup, _SEED, _SECONDS, tmp_path, least=_EXECUTIONS)
    record_property("chaos", report.table())
    again = f"\nlogs and ledger in {tmp_path}; again with: {report.replay}"
    assert not report.violations, report.table() + again
    assert report.executions >= _EXECUTIONS
    assert not report.fault_kinds_below(1), report.table() + again
