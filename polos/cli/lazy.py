"""A click group whose commands are imported when they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
from click.shell_completion import CompletionItem

from polos.cli.exits import Code, Stopped, code_of, complain
from polos.errors import PolosError

# By the module that a broker or a database needs: the extra of Polos that brings it.
_EXTRAS = {"packaging": "redis", "redis": "redis", "psycopg": "postgres", "pymysql": "mysql"}


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a command is.

    Attributes:
        place: ``module:name``.
        help: its line in the list of commands; nothing is imported for the list.
    """

    place: str
    help: str


class LazyGroup(click.Group):
    """A group that knows its commands by their places, and words every error in one way.

    Args:
        lazy: the commands by their names, in the order of the list.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy] | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in their order."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported."""
        found = self._lazy.get(cmd_name)
        if found is None:
            return None
        module, _, name = found.place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, it.help) for name, it in self._lazy.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names that begin so, and this group's own options."""
        names = [
            CompletionItem(name, help=it.help)
            for name, it in self._lazy.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command; what it raises on purpose becomes one line and an exit code."""
        machine = "--json" in ctx.args
        try:
            return super().invoke(ctx)
        except (PolosError, Stopped, click.UsageError) as error:
            stopped = _stopped(error)
            complain(stopped, machine=machine)
            raise click.exceptions.Exit(int(stopped.code)) from error
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in _EXTRAS:
                raise
            stopped = Stopped(_driver_text(package), Code.USAGE)
            complain(stopped, machine=machine)
            raise click.exceptions.Exit(int(stopped.code)) from error


def _driver_text(package: str) -> str:
    return (
        f"the broker or the database needs the package {package!r}, which is not installed here: "
        f'pip install "polos[{_EXTRAS[package]}]"'
    )


def _stopped(error: Exception) -> Stopped:
    if isinstance(error, Stopped):
        return error
    if isinstance(error, PolosError):
        return Stopped(str(error), code_of(error))
    assert isinstance(error, click.UsageError)
    return Stopped(_usage_text(error), Code.USAGE)


def _usage_text(error: click.UsageError) -> str:
    hint = f"; see '{error.ctx.command_path} --help'" if error.ctx is not None else ""
    return f"{error.format_message().rstrip('.')}{hint}"
