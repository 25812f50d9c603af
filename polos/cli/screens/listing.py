"""A page of executions, for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from polos.cli.screens.colours import STATUS_STYLES
from polos.cli.screens.glyphs import Glyphs
from polos.model.inert import one_line
from polos.model.words import ago, lasting, moment

# Below this many cells there is no room for more than what everybody needs.
_WIDE = 110


def drawn(
    items: Sequence[dict[str, Any]],
    now: datetime,
    width: int,
    glyphs: Glyphs,
    after: str = "",
    place: str = "",
) -> RenderableType:
    """Executions as ``ExecutionSummary.to_dict`` gives them, one a line.

    Args:
        items: the executions.
        now: the present.
        width: of the screen, in cells.
        glyphs: what cut texts end with.
        after: what is said below them.
        place: where they were looked for; said where there are none.
    """
    if not items:
        return Text(f"no executions {place}".rstrip())
    wide = width >= _WIDE
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("id", overflow="fold")
    table.add_column("workflow", no_wrap=True, overflow="crop")
    table.add_column("status", no_wrap=True)
    table.add_column("created", no_wrap=True, justify="right")
    if wide:
        table.add_column("took", no_wrap=True, justify="right")
        table.add_column("labels", no_wrap=True, overflow="crop")
    room = _room(items, width, wide)
    for item in items:
        cells = [
            Text(one_line(item["id"])),
            Text(glyphs.fit(one_line(item["workflow_id"]), room).rstrip()),
            Text(item["status"], style=STATUS_STYLES.get(item["status"], "")),
            Text(ago(moment(item["created_at"]), now)),
        ]
        if wide:
            cells += [Text(_took(item, now)), Text(_labels(item))]
        table.add_row(*cells)
    return Group(table, Text(after, style="dim")) if after else table


def _room(items: Sequence[dict[str, Any]], width: int, wide: bool) -> int:
    """The cells that are left for the workflow's id."""
    ids = min(36, max(len(item["id"]) for item in items))
    left = width - ids - 2 - 11 - 12 - (34 if wide else 0)
    return max(8, min(left, max(len(item["workflow_id"]) for item in items)))


def _took(item: dict[str, Any], now: datetime) -> str:
    started = moment(item.get("started_at"))
    if started is None:
        return ""
    return lasting(((moment(item.get("finished_at")) or now) - started).total_seconds())


def _labels(item: dict[str, Any]) -> str:
    named = [("user", "user_id"), ("session", "session_id")]
    found = [f"{name} {item[key]}" for name, key in named if item.get(key)]
    return one_line("  ".join([*found, *(item.get("tags") or ())]))
