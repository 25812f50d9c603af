"""``make bench ARGS=--smoke``: every scene still runs, in tiny sizes and without peers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import SCENES
from tests.support.processes import ROOT, Program

CONTEST = "contest"
OTHERS = [scene.name for scene in SCENES if scene.name != CONTEST and not scene.on_request]


def smoke(scene: str, folder: Path) -> str:
    """Play a scene; its page."""
    command = [sys.executable, "-m", "benchmarks", scene, "--smoke", "--results", folder]
    with Program(command, log=folder / "log", name=scene, cwd=ROOT) as bench:
        assert bench.wait(360) == 0, bench.tail()
    return (folder / f"{scene}.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_contest_runs(tmp_path: Path) -> None:
    page = smoke(CONTEST, tmp_path)
    assert "| polos |" in page
    assert "## Left out" not in page, page


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("scene", OTHERS)
def test_our_own_scenes_run(scene: str, tmp_path: Path) -> None:
    assert "| unit | ours |" in smoke(scene, tmp_path)
