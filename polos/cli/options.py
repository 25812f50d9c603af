"""Options that several commands have, and the kinds of values they take."""

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

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
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


class Length(click.ParamType):
    """A length of time: ``90``, ``90s``, ``15m``, ``2h``, ``30d``, ``6w``; in seconds.

    Args:
        unit: what a bare number counts.
    """

    name = "time"

    def __init__(self, unit: str = "s") -> None:
        self._unit = unit

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The seconds."""
        if isinstance(value, int | float):
            return float(value)
        found = _LENGTH.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no length of time; write 90s, 15m, 2h or 30d", param, ctx)
        return float(found[1]) * _UNITS[found[2] or self._unit]


class Moment(click.ParamType):
    """A moment: ISO 8601 (without a zone, this machine's time), or how long ago, as ``2h``."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """The aware datetime."""
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        if _LENGTH.fullmatch(text):
            return datetime.now(UTC) - timedelta(seconds=Length().convert(text, param, ctx))
        try:
            return datetime.fromisoformat(text).astimezone()
        except ValueError:
            self.fail(
                f"{value!r} is no moment; write 2030-01-31, 2030-01-31T08:00Z, or 2h for two "
                "hours ago",
                param,
                ctx,
            )


class Payload(click.ParamType):
    """JSON as it is, of a file (``@order.json``), or of the standard input (``-``)."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """What the JSON says: an object or null."""
        if not isinstance(value, str):
            return value
        try:
            found = json.loads(self._text(value))
        except OSError as error:
            self.fail(f"{error.filename!r} can't be read: {error.strerror}", param, ctx)
        except ValueError as error:
            self.fail(f"it is no JSON: {error}", param, ctx)
        if found is not None and not isinstance(found, dict):
            self.fail("it must be a JSON object, such as '{\"id\": 7}'", param, ctx)
        return found

    def _text(self, value: str) -> str:
        if value == "-":
            return sys.stdin.read()
        return Path(value[1:]).read_text("utf-8") if value.startswith("@") else value


def payload_option(help_text: str) -> Callable[[F], F]:
    """The option ``--payload``."""
    return click.option(
        "-p", "--payload", type=Payload(), metavar="JSON|@FILE|-", default=None, help=help_text
    )
