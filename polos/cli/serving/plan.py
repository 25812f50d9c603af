"""What a server is started with."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import click

from polos.cli.choice import choice_of
from polos.cli.exits import Code, Stopped
from polos.cli.serving import process
from polos.cli.serving.address import Address
from polos.cli.target import target_of
from polos.errors import StoreUnavailable
from polos.model.settings import Settings, find_home
from polos.store.sql_store import SqlStore

# The app of those who have none.
OWN_APP = "polos.celery_app"


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for on the command line.

    Attributes:
        prefix: of all paths; empty for none.
        users: ``user:password`` of each who may come in.
        more: options of Flower.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    prefix: str = ""
    users: tuple[str, ...] = ()
    read_only: bool = False
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """How a server is started.

    Attributes:
        app: the Celery app, as ``-A`` names it.
        address: where it will listen.
        words: options of Flower that everybody may read.
        secrets: those that nobody may.
        home: the folder that keeps its state.
    """

    app: str
    address: Address
    words: tuple[str, ...]
    secrets: tuple[str, ...]
    home: Path

    def command(self, *more: str) -> list[str]:
        """The command line, with more of Flower's options."""
        return celery_command(self.app, "flower", *self.words, *more)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of that command."""
        return environment(self.home) | {process.WORDS: json.dumps(self.secrets)}


def celery_command(app: str, *words: str) -> list[str]:
    """A command of Celery, in a process of this Python."""
    return [sys.executable, "-m", process.MODULE, "-A", app, *words]


def environment(home: Path) -> dict[str, str]:
    """This process's, with the folder of the embedded broker and database said."""
    return {**os.environ, "POLOS_HOME": str(home.resolve())}


def plan_of(context: click.Context, wish: Wish) -> Plan:
    """The server that a command asks for.

    Raises:
        ConfigurationError: an option is wrong, or it would let anybody in.
        Stopped: Flower is not installed.
    """
    if find_spec("flower") is None:
        raise Stopped(
            'the server needs Flower, which is not installed: pip install "polos[server]"',
            Code.USAGE,
        )
    # Only here: Flower and Tornado may be missing.
    from polos.flower.chosen import chosen_by
    from polos.server.addresses import refuse_open_address

    words, secrets = _words(wish)
    chosen = chosen_by([*words, *secrets])
    refuse_open_address(chosen.address, chosen.options)
    return Plan(
        app=app_name(context),
        address=Address(chosen.address, chosen.port, chosen.prefix, chosen.secure),
        words=words,
        secrets=secrets,
        home=find_home(),
    )


def _words(wish: Wish) -> tuple[tuple[str, ...], tuple[str, ...]]:
    shown = [f"--address={wish.host}", f"--port={wish.port}"]
    shown += [f"--url_prefix={wish.prefix.strip('/')}"] if wish.prefix.strip("/") else []
    shown += ["--read_only=true"] if wish.read_only else []
    hidden = [f"--basic_auth={','.join(wish.users)}"] if wish.users else []
    return tuple(shown), (*wish.more, *hidden)


def app_name(context: click.Context) -> str:
    """The Celery app's name, as another process can import it."""
    choice = choice_of(context)
    name = choice.app_name or context.find_root().params.get("app")
    if isinstance(name, str):
        return name
    if choice.app is None:
        return OWN_APP
    raise Stopped("name the app that the server is for: celery -A proj polos server …", Code.USAGE)


def check_store(context: click.Context) -> None:
    """See that the database has the schema, and make that of the embedded one.

    One that is away is no reason not to start: the server waits for it as the workers do.

    Raises:
        SchemaError: it is older than this code, or there is none.
    """
    settings = _settings(context)
    try:
        SqlStore.open(settings, connections=1).database.close()
    except StoreUnavailable as error:
        click.echo(f"polos: {error}; the server waits for it", err=True)


def _settings(context: click.Context) -> Settings:
    # Not by way of a client: that may be told to speak to the very server that is to start.
    chosen = choice_of(context)
    named = chosen.app is not None or chosen.app_name is not None
    return target_of(context).settings if named else Settings.load()
