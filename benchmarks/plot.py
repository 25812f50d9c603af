"""Bar plots as SVG, drawn by Matplotlib in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.environments import CannotInstall, Environment

MATPLOTLIB = Environment("plot", ("matplotlib==3.11.2",))
_DRAWING = Path(__file__).with_name("drawing.py")
_SECONDS = 120


@dataclass(frozen=True)
class Panel:
    """Bars beside one another, all of one unit; each shows its ratio to the first.

    Attributes:
        title: what was measured, and which end is better.
        bars: names and values, the one that others are compared with first.
        floors: the names of those that are limits, not contestants.
    """

    title: str
    unit: str
    bars: tuple[tuple[str, float], ...]
    floors: tuple[str, ...] = ()


def draw(target: Path, title: str, caption: str, panels: Sequence[Panel]) -> None:
    """Write a plot; the kind of picture is that of the file's suffix, svg or png.

    Raises:
        CannotInstall: Matplotlib can't be had, or fails.
    """
    MATPLOTLIB.make()
    wanted = {"title": title, "caption": caption, "panels": [asdict(panel) for panel in panels]}
    done = subprocess.run(
        [MATPLOTLIB.python, _DRAWING, target],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        raise CannotInstall(f"Matplotlib: {done.stderr.strip().splitlines()[-1:]}")
