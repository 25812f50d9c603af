"""Run by ``plot.draw`` where Matplotlib is installed: a plot as JSON on stdin, a file's name."""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

OURS, PEER, FLOOR = "#1f6f8b", "#b8b8b8", "#e3d5a8"
COLUMNS = 2


def shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def colour(name: str, panel: dict[str, Any]) -> str:
    if name == panel["bars"][0][0]:
        return OURS
    return FLOOR if name in panel["floors"] else PEER


def fill(axes: Any, panel: dict[str, Any]) -> None:
    """One panel: horizontal bars from the top, on a logarithmic scale."""
    names = [name for name, _ in panel["bars"]]
    values = [value for _, value in panel["bars"]]
    axes.barh(names, values, color=[colour(name, panel) for name in names], height=0.7)
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 3, max(values) * 6)
    axes.invert_yaxis()
    axes.set_title(f"{panel['title']} ({panel['unit']})", fontsize=10, loc="left")
    for place, value in enumerate(values):
        times = "" if place == 0 else f"  ×{shown(value / values[0])}"
        axes.annotate(
            f"{shown(value)}{times}",
            (value, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    wanted = json.load(sys.stdin)
    panels = wanted["panels"]
    rows = -(-len(panels) // COLUMNS)
    pyplot.rcParams["svg.hashsalt"] = "polos"
    most = max(len(panel["bars"]) for panel in panels)
    figure, axes = pyplot.subplots(
        rows, COLUMNS, figsize=(11, 0.9 + rows * (0.9 + 0.27 * most)), layout="constrained"
    )
    for place, panel in zip(axes.flat, panels, strict=False):
        fill(place, panel)
    for place in list(axes.flat)[len(panels) :]:
        place.set_visible(False)
    figure.suptitle(wanted["title"], fontsize=12)
    figure.supxlabel(wanted["caption"], fontsize=7, wrap=True)
    figure.savefig(sys.argv[1], metadata={"Date": None} if sys.argv[1].endswith("svg") else None)


if __name__ == "__main__":
    main()
