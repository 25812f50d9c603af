"""The mistakes of ``tests/typing/wrong.py`` are found by both type checkers, each on its line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WRONG = ROOT / "tests" / "typing" / "wrong.py"


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    silencer, *rest = WRONG.read_text().splitlines()
    assert silencer == "# type: ignore"
    path = tmp_path / "wrong.py"
    path.write_text("\n".join(["#", *rest, ""]))
    return path


def marked_lines() -> set[int]:
    lines = enumerate(WRONG.read_text().splitlines(), start=1)
    return {number for number, line in lines if line.endswith("# wrong")}


def run(*command: str) -> str:
    made = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode in (0, 1), made.stdout + made.stderr
    return made.stdout


def test_mypy_finds_each_mistake(wrong: Path, tmp_path: Path) -> None:
    said = run("mypy", "--strict", "--no-error-summary", f"--cache-dir={tmp_path}", str(wrong))
    found = {int(line) for line in re.findall(r"wrong\.py:(\d+): error:", said)}
    assert found == marked_lines(), said


def test_pyright_finds_each_mistake(wrong: Path) -> None:
    said = json.loads(run("pyright", "--outputjson", str(wrong)))
    errors = [item for item in said["generalDiagnostics"] if item["severity"] == "error"]
    found = {item["range"]["start"]["line"] + 1 for item in errors}
    assert found == marked_lines(), errors
