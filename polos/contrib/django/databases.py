"""Which of ``DATABASES`` is Polos's, and its URL."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connections, transaction

from polos.errors import ConfigurationError
from polos.model.settings import Settings
from polos.store.connecting import url_text

APP = "polos.contrib.django"
ALIAS = "POLOS_DJANGO_DATABASE"
# What Django itself makes of OPTIONS; the rest is for the driver.
_DJANGOS_OWN = frozenset(
    {"assume_role", "cursor_factory", "isolation_level", "pool", "server_side_binding", "sql_mode"}
)
# The names that mysqlclient has for what PyMySQL calls otherwise.
_MYSQL_NAMES = {"db": "", "passwd": "", "ssl_mode": ""}


def is_installed() -> bool:
    """Whether this process has a Django project, with Polos among its apps."""
    if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return False
    return any(name == APP or name.startswith(f"{APP}.") for name in settings.INSTALLED_APPS)


def chosen_alias() -> str:
    """The alias of Polos's database: ``POLOS_DJANGO_DATABASE``, or ``default``."""
    for name in (ALIAS, f"CELERY_{ALIAS}"):
        if alias := getattr(settings, name, ""):
            return str(alias)
    return "default"


def given_settings() -> Settings:
    """Polos's settings among Django's (``CELERY_POLOS_…``), or in the environment."""
    return Settings.load(_CelerySettings())


def find_url() -> str:
    """The URL of Polos's database among ``DATABASES``; empty where Polos is no app of a project.

    Raises:
        ConfigurationError: there is no such alias, or no database that Polos can use.
    """
    return database_url(chosen_alias()) if is_installed() else ""


def database_url(alias: str) -> str:
    """The URL of one of ``DATABASES``, as its connection has it now: in a test, the test's.

    Args:
        alias: its key.

    Raises:
        ConfigurationError: there is no such alias, or no database that Polos can use.
    """
    if alias not in connections:
        raise ConfigurationError(
            f"DATABASES has no {alias!r}: set {ALIAS} to the alias of the database that is to keep "
            "Polos's executions"
        )
    connection = connections[alias]
    match connection.vendor:
        case "sqlite":
            return _sqlite(alias, connection.settings_dict)
        case "postgresql":
            return _server("postgresql", connection.settings_dict, _postgres_options)
        case "mysql":
            return _server("mysql", connection.settings_dict, _mysql_options)
    raise ConfigurationError(
        f"DATABASES[{alias!r}] is no database that Polos can use (its ENGINE is "
        f"{connection.settings_dict['ENGINE']!r}): take PostgreSQL, MariaDB, MySQL or SQLite, and "
        f"name its alias in {ALIAS}; or set CELERY_POLOS_DATABASE_URL"
    )


@contextmanager
def begun() -> Iterator[Any]:
    """A transaction of Polos's database in Django's hands; gives Django's connection."""
    alias = chosen_alias()
    connection = connections[alias]
    connection.close_if_unusable_or_obsolete()
    with transaction.atomic(using=alias):
        yield connection


class _CelerySettings(Mapping[str, Any]):
    """Django's settings by the names that they have in a Celery configuration."""

    def __getitem__(self, key: str) -> Any:
        try:
            return getattr(settings, f"CELERY_{key.upper()}")
        except AttributeError:
            raise KeyError(key) from None

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _sqlite(alias: str, found: Mapping[str, Any]) -> str:
    name = str(found["NAME"])
    if not name or ":memory:" in name or "mode=memory" in name:
        raise ConfigurationError(
            f"DATABASES[{alias!r}] is an SQLite database in memory, which no other connection "
            "sees: name a file. Django's tests make theirs in memory unless told otherwise: "
            f'DATABASES[{alias!r}]["TEST"] = {{"NAME": BASE_DIR / "test.sqlite3"}}'
        )
    if name.startswith("file:"):
        return url_text("sqlite", name.partition("?")[0], query={"uri": "true", **_asked(name)})
    return url_text("sqlite", str(Path(name).absolute()))


def _asked(name: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in name.partition("?")[2].split("&") if part)
    return {key: value for key, _, value in pairs}


def _server(backend: str, found: Mapping[str, Any], options: Any) -> str:
    host, port = str(found["HOST"] or ""), found["PORT"]
    query: dict[str, str] = options(found["OPTIONS"], host)
    return url_text(
        backend,
        str(found["NAME"] or ""),
        user=str(found["USER"] or ""),
        password=str(found["PASSWORD"] or ""),
        host="" if host.startswith("/") else host,
        port=int(port) if port and not host.startswith("/") else None,
        query=query | ({"port": str(port)} if port and host.startswith("/") else {}),
    )


def _postgres_options(options: Mapping[str, Any], host: str) -> dict[str, str]:
    query = _texts(options)
    if host.startswith("/"):
        query["host"] = host
    if role := options.get("assume_role"):
        query["options"] = f"{query.get('options', '')} -c role={role}".strip()
    return query


def _mysql_options(options: Mapping[str, Any], host: str) -> dict[str, str]:
    given = {_MYSQL_NAMES.get(name, name): value for name, value in options.items()}
    ssl = given.pop("ssl", None) or {}
    query = _texts({"charset": "utf8mb4", **given})
    query |= {f"ssl_{name}": str(value) for name, value in ssl.items()}
    query.pop("", None)
    if host.startswith("/"):
        query["unix_socket"] = host
    return query


def _texts(options: Mapping[str, Any]) -> dict[str, str]:
    """What can stand in a URL: no objects, and nothing that only Django knows."""
    return {
        name: str(value)
        for name, value in options.items()
        if name not in _DJANGOS_OWN and isinstance(value, str | int | float | Path)
    }
