"""Results as markdown and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def number(value: float | None) -> str:
    """Three digits that count, at most; a dash for what was not measured."""
    if value is None or math.isnan(value):
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{min(digits, 4)}f}"


def cell(value: object) -> str:
    """A value as a table shows it."""
    if value is None or isinstance(value, float):
        return number(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A markdown table; the first column is text, numbers stand to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *[[cell(x) for x in row] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def named(values: Mapping[str, object], head: tuple[str, str] = ("", "")) -> str:
    """A table of names and what they are."""
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    lines += [f"| {name} | {cell(value)} |" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def write(folder: Path, name: str, markdown: str, raw: Mapping[str, Any]) -> None:
    """Write ``<name>.md`` and ``<name>.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(markdown)
    (folder / f"{name}.json").write_text(json.dumps(raw, indent=1, sort_keys=True) + "\n")
