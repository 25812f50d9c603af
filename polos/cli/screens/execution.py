"""One execution, for people: what it is, its steps with their bars, what it came to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from polos.cli.screens.colours import STATUS_STYLES
from polos.cli.screens.glyphs import Glyphs
from polos.cli.screens.timeline import Scale, bar, ruler
from polos.cli.screens.waterfall import Row, rows_of
from polos.model.inert import inert, one_line
from polos.model.words import at, counted, lasting, moment, short

_KIND, _STATUS, _TRIES, _TOOK = 6, 9, 5, 11
_LEAST_NAME, _LEAST_BAR = 14, 16
_MOST_ROWS = 400
_STYLES = {**STATUS_STYLES, "retrying": "magenta"}
_NOTES = {"error": "red", "wait": "magenta"}
_LABELS = (
    ("session", "session_id"),
    ("user", "user_id"),
    ("queue", "queue"),
    ("deployment", "deployment_id"),
    ("parent", "parent_execution_id"),
    ("forked from", "forked_from"),
)


def drawn(execution: dict[str, Any], now: datetime, width: int, glyphs: Glyphs) -> RenderableType:
    """An execution as ``client.get_execution`` gives it, drawn on so many cells.

    Args:
        execution: the plain data, with children below their steps.
        now: the present, by the database's clock where it is known.
        width: of the screen, in cells.
        glyphs: what bars are drawn with.
    """
    parts = [*_head(execution, now, glyphs), Text("")]
    parts += _steps(execution, now, width, glyphs)
    parts += _end(execution)
    return Group(*parts)


def _head(execution: dict[str, Any], now: datetime, glyphs: Glyphs) -> Iterator[Text]:
    yield Text(one_line(execution["workflow_id"]), style="bold").append(
        f"  {one_line(execution['id'])}", style="not bold"
    )
    status = execution["status"]
    line = Text(status, style=STATUS_STYLES.get(status, ""))
    for said in _said(execution, now):
        line.append(f"{glyphs.dot}{said}", style="not bold default")
    yield line
    labels = [
        f"{name} {one_line(str(execution[key]))}" for name, key in _LABELS if execution.get(key)
    ]
    if execution.get("tags"):
        labels.append("tags " + ", ".join(map(one_line, execution["tags"])))
    if labels:
        yield Text(glyphs.dot.join(labels), style="dim")
    if "payload" in execution:
        yield Text(f"payload {short(execution['payload'])}", style="dim")
    if execution["status"] == "running":
        yield from _at_work(execution)
    if execution.get("unclaimed"):
        yield Text(one_line(execution["unclaimed"]), style="yellow")


def _at_work(execution: dict[str, Any]) -> Iterator[Text]:
    steps = ", ".join(map(one_line, execution.get("executing") or ()))
    worker = f" on {one_line(execution['worker'])}" if execution.get("worker") else ""
    if steps or worker:
        yield Text(f"at work{worker}{f' in {steps}' if steps else ''}", style="dim")


def _said(execution: dict[str, Any], now: datetime) -> Iterator[str]:
    created = moment(execution["created_at"])
    yield f"created {at(created)}"
    started, finished = (moment(execution.get(key)) for key in ("started_at", "finished_at"))
    if started is not None:
        word = "took" if finished else "for"
        yield f"{word} {lasting(((finished or now) - started).total_seconds())}"
    if (attempts := execution.get("attempts") or 0) > 1:
        yield f"taken {counted(attempts, 'time')}"
    if execution.get("retried"):
        yield f"retried {counted(execution['retried'], 'time')}"
    if execution.get("cancel_requested_at") and not finished:
        yield "to be cancelled"


def _steps(execution: dict[str, Any], now: datetime, width: int, glyphs: Glyphs) -> Iterator[Text]:
    rows = rows_of(execution, now)
    names = max(cell_len(row.name) + 3 * len(row.depth) for row in rows)
    fixed = _KIND + _STATUS + _TRIES + _TOOK + 5
    name = max(_LEAST_NAME, min(names, (width - fixed) // 2)) + 1
    created, finished = moment(execution["created_at"]), moment(execution.get("finished_at"))
    assert created is not None
    scale = Scale(created, _end_of(rows, finished or now), max(_LEAST_BAR, width - name - fixed))
    header = f"{'step':<{name}}{'kind':<{_KIND}} {'status':<{_STATUS}} {'tries':>{_TRIES}} "
    yield Text(f"{header}{'took':>{_TOOK}}  {ruler(scale)}", style="dim", no_wrap=True)
    for row in rows[:_MOST_ROWS]:
        yield _line(row, name, scale, glyphs)
        yield from _below(row, width, glyphs)
    if len(rows) > _MOST_ROWS:
        yield Text(f"and {len(rows) - _MOST_ROWS:,} more; --json has them all", style="dim")


def _end_of(rows: list[Row], end: datetime) -> datetime:
    """Children that were only started may go on after their parent."""
    ends = [span.end for row in rows for span in row.spans if span.end is not None]
    return max([end, *ends])


def _line(row: Row, name: int, scale: Scale, glyphs: Glyphs) -> Text:
    style = _STYLES.get(row.status, "")
    line = Text(no_wrap=True, end="\n")
    line.append(glyphs.fit(_branch(row, glyphs) + row.name, name - 1) + " ")
    line.append(f"{row.kind:<{_KIND}} ", style="dim")
    line.append(f"{row.status:<{_STATUS}} ", style=style)
    line.append(f"{row.attempts or '':>{_TRIES}} ")
    line.append(f"{row.took:>{_TOOK}}  ")
    line.append(bar(row.spans, scale, glyphs), style=style.replace("bold ", ""))
    line.rstrip()
    return line


def _branch(row: Row, glyphs: Glyphs) -> str:
    if not row.depth:
        return ""
    above = "".join(glyphs.pipe if more else glyphs.none for more in row.depth[:-1])
    return above + (glyphs.fork if row.depth[-1] else glyphs.last)


def _below(row: Row, width: int, glyphs: Glyphs) -> Iterator[Text]:
    """The notes of a row, folded, with the tree's lines going on at their left."""
    left = "".join(glyphs.pipe if more else glyphs.none for more in row.depth)
    left += glyphs.pipe if row.has_children else "  "
    for kind, note in row.notes:
        for piece in _folded(note, max(20, width - cell_len(left))):
            yield Text(left, no_wrap=True).append(piece, style=_NOTES[kind])


def _folded(text: str, cells: int) -> list[str]:
    lines, rest = [], text
    while cell_len(rest) > cells:
        cut = rest.rfind(" ", 0, cells)
        cut = cut if cut > cells // 2 else cells
        lines.append(rest[:cut])
        rest = rest[cut:].lstrip()
    return [*lines, rest]


def _end(execution: dict[str, Any]) -> Iterator[Text]:
    if execution.get("error"):
        yield Text("")
        kind = one_line(str(execution.get("error_type") or "error"))
        yield Text(f"{kind}: ", style="bold red").append(
            inert(str(execution["error"])), style="not bold default"
        )
        # What it ends with has just been said.
        said = f"{execution.get('error_type')}: {execution['error']}"
        frames = (execution.get("traceback") or "").rstrip().removesuffix(said).rstrip()
        if frames:
            yield Text(inert(frames), style="dim")
    elif execution["status"] == "completed":
        yield Text("")
        yield Text("result ", style="dim").append(short(execution.get("result"), 2000))
