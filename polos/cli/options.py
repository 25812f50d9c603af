"""Options that several commands have, and the kinds of values that they take."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from polos.cli.choice import want_json

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")


def _asked_for_json(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    if value:
        want_json(context)
    return value


json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_asked_for_json,
    help="Print JSON, for programs.",
)


def length(value: str) -> float:
    """Seconds, from ``90``, ``90s``, ``15m``, ``2h``, ``30d`` or ``6w``.

    Raises:
        BadParameter: it is none of these.
    """
    found = _LENGTH.fullmatch(value.strip())
    if found is None:
        raise click.BadParameter(f"{value!r} is no length of time; write 90s, 15m, 2h or 30d")
    return float(found[1]) * _UNITS[found[2]]


def moment(value: str) -> datetime:
    """A moment: ISO 8601, by this machine's zone where it names none, or how long ago.

    Raises:
        BadParameter: it is neither.
    """
    text = value.strip()
    if _LENGTH.fullmatch(text) and not text.isdigit():
        return datetime.now(UTC) - timedelta(seconds=length(text))
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is no moment; write 2030-01-31, 2030-01-31T08:00Z, or 2h for two hours ago"
        ) from None


def payload(value: str) -> dict[str, Any] | None:
    """A payload: JSON as it is, of a file (``@order.json``), or of the standard input (``-``).

    Raises:
        BadParameter: it can't be read, or is no JSON object.
    """
    try:
        found = json.loads(_text_of(value))
    except OSError as error:
        raise click.BadParameter(f"{value!r} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise click.BadParameter(f"it is no JSON: {error}") from None
    if found is not None and not isinstance(found, dict):
        raise click.BadParameter("it must be a JSON object, such as '{\"id\": 7}'")
    return found


def _text_of(value: str) -> str:
    if value == "-":
        return sys.stdin.read()
    return Path(value[1:]).read_text("utf-8") if value.startswith("@") else value


def payload_option(help_text: str) -> Callable[[F], F]:
    """The option ``--payload``."""
    return click.option(
        "-p", "--payload", "given", type=payload, metavar="JSON|@FILE|-", help=help_text
    )
