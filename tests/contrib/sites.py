"""Runs programs in the test's Django project."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.engine import make_url

from polos.store.database import Database
from tests.support.processes import Program

SETTINGS = "tests.contrib.site.settings"


def entry(url: str, **more: Any) -> dict[str, Any]:
    """What ``DATABASES`` has for a database that SQLAlchemy's URL names."""
    found = make_url(url)
    if found.get_backend_name() == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": found.database, **more}
    kind = {"mariadb": "mysql"}.get(found.get_backend_name(), found.get_backend_name())
    return {
        "ENGINE": f"django.db.backends.{kind}",
        "NAME": found.database,
        "USER": found.username or "",
        "PASSWORD": found.password or "",
        "HOST": found.host or "",
        "PORT": str(found.port or ""),
        **more,
    }


class Site:
    """The project over some databases.

    Args:
        program: the fixture of that name.
        folder: for what else the programs write.
        databases: ``DATABASES``, or the URL of the default one.
        env: more of the environment.
    """

    def __init__(
        self,
        program: Callable[..., Program],
        folder: Path,
        databases: dict[str, Any] | str,
        **env: str,
    ) -> None:
        if isinstance(databases, str):
            databases = {"default": entry(databases)}
        self._program = program
        self._folder = folder
        self.env = {
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "SITE_DATABASES": json.dumps(databases),
            "POLOS_HOME": str(folder / "polos"),
            "HOME": str(folder),
            **env,
        }

    def start(self, *args: str, **options: Any) -> Program:
        """Start a Python module in it."""
        name = options.pop("name", args[0])
        command = [sys.executable, "-m", *args]
        return self._program(*command, cwd=self._folder, env=self.env, name=name, **options)

    def manage(self, *args: str, status: int = 0) -> str:
        """What ``manage.py`` says."""
        ran = self.start("django", *args, name="-".join(["manage", *args[:1]]))
        assert ran.wait(120) == status, ran.tail()
        return ran.text()

    def ask(self, question: str, *args: str) -> Any:
        """What a function of ``probes`` finds out in a process of the project."""
        ran = self.start("tests.contrib.probes", question, *args, name=question)
        assert ran.wait(120) == 0, ran.tail()
        return json.loads(ran.text().splitlines()[-1])


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """A database, seen by Polos."""
    database = Database(url)
    yield database
    database.close()


def polos_tables(url: str) -> list[str]:
    """The names of Polos's tables in a database."""
    with opened(url) as database:
        names = database.transaction(lambda it: inspect(it).get_table_names())
    return sorted(name for name in names if name.startswith("polos_"))
