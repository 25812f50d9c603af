"""Where a command prints: a terminal with colours and a width, or a program that reads JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console, RenderableType

from polos.cli.choice import choice_of, wants_json

# Where nobody looks, lines may be longer than a terminal's 80 characters.
_UNSEEN_WIDTH = 120


def console_of(context: click.Context) -> Console:
    """The console for what people read.

    Colours only on a terminal, and neither with ``NO_COLOR`` nor with ``-C``; as wide as the
    terminal, or ``COLUMNS``; drawn with ASCII where the encoding has no more.
    """
    _never_fail_on_characters()
    seen = sys.stdout.isatty()
    return Console(
        no_color=True if choice_of(context).no_color or "NO_COLOR" in os.environ else None,
        force_terminal=None if seen else False,
        width=None if seen or os.environ.get("COLUMNS") else _UNSEEN_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
    )


def show(context: click.Context, data: Any, drawn: Callable[[Console], RenderableType]) -> None:
    """Print data for whoever reads: as JSON for a program, else drawn."""
    if wants_json(context):
        print_json(data)
        return
    console = console_of(context)
    console.print(drawn(console))


def print_json(data: Any, *, lines: bool = False) -> None:
    """Print one JSON document; on one line where there are several."""
    # ASCII only: what a terminal would take for a command stays escaped, too.
    click.echo(json.dumps(data, indent=None if lines else 2))


def say(context: click.Context, text: str) -> None:
    """Print a line for people; to a program's reader it goes nowhere."""
    if not wants_json(context):
        _never_fail_on_characters()
        click.echo(text)


def _never_fail_on_characters() -> None:
    """Let characters that the encoding lacks be spelled out instead of ending the command."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
