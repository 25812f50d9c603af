"""What a command works on: the Polos of a Celery app, or that of the environment."""

from __future__ import annotations

import importlib
import traceback
from dataclasses import dataclass
from typing import Any

import click
from celery import Celery
from celery.app.utils import find_app

from polos.binding.bound import Bound
from polos.binding.of_app import bound_of
from polos.cli.choice import choice_of
from polos.cli.exits import Code, Stopped
from polos.errors import PolosError
from polos.model.settings import Settings
from polos.store.sql_store import SqlStore
from polos.worker.client import PolosClient

_UNBOUND = """\
the Celery app {name!r} has no Polos. Bind one where the app is made:

    from polos import Polos
    app.conf.polos_database_url = "postgresql+psycopg://user:password@host/name"
    polos = Polos(app)

With another app in mind, name it: celery -A proj polos ..., or polos -A proj ..."""


@dataclass(frozen=True, slots=True)
class Target:
    """A client, with the app and the settings that it uses.

    Attributes:
        chosen: whether somebody named an app; else the environment says where all is.
    """

    client: PolosClient
    chosen: bool

    @property
    def bound(self) -> Bound:
        """The app and the store."""
        return self.client.bound

    @property
    def app(self) -> Celery:
        """The Celery app."""
        return self.bound.app

    @property
    def settings(self) -> Settings:
        """Those of Polos."""
        return self.client.settings

    @property
    def store(self) -> SqlStore:
        """The store, opened now."""
        return self.bound.store


def target_of(context: click.Context, *, code: bool = False) -> Target:
    """The target that was chosen in front of the command's name.

    Args:
        context: of the command.
        code: whether the code of the workflows is needed, and so is to be imported.

    Raises:
        Stopped: the app can't be imported, or Polos is not bound to it.
    """
    choice = choice_of(context)
    app = choice.app if choice.app is not None else _found(choice.app_name)
    if app is None:
        return _of_environment(code)
    # Some bind Polos in a module that only a worker imports.
    if code or bound_of(app) is None:
        try:
            app.loader.import_default_modules()
        except Exception as error:  # of the user's modules; any error is possible
            name = app.main or "default"
            raise _broken(f"what the Celery app {name!r} imports", error) from error
    bound = bound_of(app)
    if not isinstance(bound, Bound):
        raise Stopped(_UNBOUND.format(name=app.main or "default"), Code.USAGE)
    return Target(PolosClient(settings=bound.settings, bound=bound), chosen=True)


def _of_environment(code: bool) -> Target:
    if code:
        # The app that 'celery -A polos.celery_app' means, with the code that POLOS_WORKFLOWS names.
        try:
            root: Any = importlib.import_module("polos.celery_app")
        except PolosError:
            raise
        except Exception as error:  # of the user's modules; any error is possible
            raise _broken("what POLOS_WORKFLOWS names", error) from error
        return Target(PolosClient(settings=root.settings, bound=root.polos), chosen=False)
    # Commands need the store itself, also where programs go by way of a server.
    return Target(PolosClient(api_url=""), chosen=False)


def _found(name: str | None) -> Celery | None:
    if name is None:
        return None
    try:
        found: Any = find_app(name)
        return found
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name.partition(".")[0]):
            raise _broken(f"-A {name}", error) from error
        raise Stopped(
            f"{name!r}, which -A names, can't be found from here; start in the folder that holds "
            "the module, or set PYTHONPATH, and check the name behind the colon, if there is one",
            Code.USAGE,
        ) from error
    except AttributeError as error:
        raise Stopped(f"-A {name}: no Celery app is there ({error})", Code.USAGE) from error
    except Exception as error:  # of the user's module; any error is possible
        raise _broken(f"-A {name}", error) from error


def _broken(what: str, error: Exception) -> Stopped:
    said = f"{what} can't be imported: {type(error).__name__}: {error}"
    # A SyntaxError names its place by itself.
    if not isinstance(error, SyntaxError):
        place = traceback.extract_tb(error.__traceback__)[-1]
        said += f" ({place.filename}, line {place.lineno})"
    return Stopped(said, Code.USAGE)
