"""``make bench ARGS=--smoke``: every scene still runs, in tiny sizes and without peers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Program


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_all_scenes_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--results", tmp_path / "results"]
    with Program(command, log=tmp_path / "log", name="bench", cwd=ROOT) as bench:
        assert bench.wait(360) == 0, bench.tail()
    page = (tmp_path / "results" / "contest.md").read_text()
    assert "| polos |" in page
    assert "## Left out" not in page, page
