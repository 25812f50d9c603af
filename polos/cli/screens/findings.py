"""What the doctor says, for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from polos.cli.doctor.finding import Finding, Level
from polos.model.inert import inert

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "bold red"}


def drawn(findings: Sequence[Finding]) -> RenderableType:
    """The findings in the order given, with what to change below each, and a last line."""
    table = Table.grid(padding=(0, 2), expand=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for found in findings:
        said = Text(inert(found.text))
        if found.advice:
            said.append(f"\n-> {inert(found.advice)}", style="cyan")
        table.add_row(Text(found.level, style=_STYLES[found.level]), Text(inert(found.check)), said)
    return Group(table, Text(""), Text(summary(findings)))


def summary(findings: Sequence[Finding]) -> str:
    """How many of each level there are."""
    errors, warnings = (
        sum(found.level is level for found in findings) for level in (Level.ERROR, Level.WARNING)
    )
    if not errors and not warnings:
        return "All is well."
    return f"{errors} {_plural(errors, 'error')}, {warnings} {_plural(warnings, 'warning')}"


def _plural(number: int, word: str) -> str:
    return word if number == 1 else f"{word}s"
