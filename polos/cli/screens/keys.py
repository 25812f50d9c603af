"""Keys of the HTTP API, for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from polos.model.inert import one_line
from polos.model.words import ago, moment


def list_of(items: Sequence[dict[str, Any]], now: datetime) -> RenderableType:
    """Keys, one a line."""
    if not items:
        return Text("no keys; 'polos keys create NAME' makes one")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for column in ("id", "project", "name"):
        table.add_column(column, overflow="fold")
    for column in ("created", "used", ""):
        table.add_column(column, no_wrap=True)
    for item in items:
        table.add_row(*_cells(item, now), style="dim" if item["revoked_at"] else "")
    return table


def _cells(item: dict[str, Any], now: datetime) -> list[Text]:
    texts = [
        item["id"],
        one_line(item["project_id"]),
        one_line(item["name"]),
        ago(moment(item["created_at"]), now),
        ago(moment(item["used_at"]), now) or "never",
        f"revoked {ago(moment(item['revoked_at']), now)}" if item["revoked_at"] else "",
    ]
    return [Text(text) for text in texts]
