"""What a command was told before its own name: which app, and whether colours are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

_KEY = "polos.choice"
_MACHINE = "polos.machine"


@dataclass(frozen=True, slots=True)
class Choice:
    """The options in front of a command's name.

    Attributes:
        app: a Celery app, as ``celery -A`` has found it.
        app_name: the name of one that is still to be imported, from ``polos -A``; without both,
            the environment says where broker and database are.
        no_color: whether colours are unwanted.
    """

    app: Any = None
    app_name: str | None = None
    no_color: bool = False


def choose(context: click.Context, choice: Choice) -> None:
    """Remember a choice for the commands below."""
    context.meta[_KEY] = choice


def choice_of(context: click.Context) -> Choice:
    """The choice that was made, also where only completions are asked for."""
    found = context.meta.get(_KEY)
    return found if isinstance(found, Choice) else _unmade(context)


def _unmade(context: click.Context) -> Choice:
    """What the parameters and Celery's own object say: a completion runs no callbacks."""
    root = context.find_root()
    app = getattr(root.obj, "app", None)
    name = root.params.get("app")
    return Choice(app=app, app_name=name if isinstance(name, str) else None)


def want_json(context: click.Context) -> None:
    """Note that a program reads what is printed."""
    context.meta[_MACHINE] = True


def wants_json(context: click.Context) -> bool:
    """Whether a program reads what is printed."""
    return bool(context.meta.get(_MACHINE))
