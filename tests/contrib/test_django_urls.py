"""What becomes of an entry of ``DATABASES``, without any server."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db.utils import ConnectionHandler
from sqlalchemy.engine import make_url

from polos.contrib.django import databases
from polos.errors import ConfigurationError
from polos.store.connecting import framework_url
from polos.store.database import Database

SECRET = "p@ss/w:rd?%"
ENGINES = {"postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite3", "oracle": "oracle"}


def translated(monkeypatch: pytest.MonkeyPatch, vendor: str, **given: Any) -> str:
    """The URL of an entry whose backend is not needed."""
    engine = f"django.db.backends.{ENGINES[vendor]}"
    handler = ConnectionHandler({"default": {"ENGINE": engine, **given}})
    connection = SimpleNamespace(vendor=vendor, settings_dict=handler.settings["default"])
    monkeypatch.setattr(databases, "connections", {"default": connection})
    return databases.database_url("default")


def connected_with(url: str) -> dict[str, Any]:
    """What the driver is given."""
    given = Database(url).engine.dialect.create_connect_args(make_url(url))[1]
    return {name: value for name, value in given.items() if name != "context"}


def test_a_server_with_all_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    url = translated(
        monkeypatch,
        "postgresql",
        NAME="shop",
        USER="me@work",
        PASSWORD=SECRET,
        HOST="db.example",
        PORT="6432",
    )
    found = make_url(url)
    assert (found.host, found.port, found.database) == ("db.example", 6432, "shop")
    assert (found.username, found.password) == ("me@work", SECRET)
    assert Database(url).engine.dialect.driver == "psycopg"
    assert SECRET not in Database(url).url


def test_options_for_the_driver_stay_and_djangos_own_go(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {
        "sslmode": "verify-full",
        "sslrootcert": Path("/etc/ca.pem"),
        "connect_timeout": 3,
        "options": "-c statement_timeout=5000",
        "isolation_level": 4,
        "assume_role": "writer",
        "server_side_binding": True,
        "pool": {"max_size": 4},
        "cursor_factory": object,
    }
    url = translated(monkeypatch, "postgresql", NAME="shop", HOST="h", OPTIONS=options)
    assert dict(make_url(url).query) == {
        "sslmode": "verify-full",
        "sslrootcert": "/etc/ca.pem",
        "connect_timeout": "3",
        "options": "-c statement_timeout=5000 -c role=writer",
    }


def test_a_unix_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    url = translated(monkeypatch, "postgresql", NAME="shop", HOST="/run/pg", PORT="5433")
    assert connected_with(url) == {"dbname": "shop", "host": "/run/pg", "port": "5433"}


def test_a_service_that_names_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    url = translated(monkeypatch, "postgresql", NAME="", OPTIONS={"service": "shop"})
    assert connected_with(url) == {"service": "shop"}


def test_mysql(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"ssl": {"ca": "/ca.pem"}, "isolation_level": "read committed", "init_command": "x"}
    url = translated(
        monkeypatch, "mysql", NAME="shop", USER="me", PASSWORD=SECRET, HOST="h", OPTIONS=options
    )
    found = make_url(url)
    assert (found.host, found.password, found.database) == ("h", SECRET, "shop")
    assert dict(found.query) == {"charset": "utf8mb4", "ssl_ca": "/ca.pem", "init_command": "x"}
    assert Database(url).engine.dialect.driver == "pymysql"


def test_a_socket_of_mysql(monkeypatch: pytest.MonkeyPatch) -> None:
    url = translated(monkeypatch, "mysql", NAME="shop", HOST="/run/mysqld.sock")
    assert make_url(url).query["unix_socket"] == "/run/mysqld.sock"


def test_sqlite_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert translated(monkeypatch, "sqlite", NAME=tmp_path / "a.db") == f"sqlite:///{tmp_path}/a.db"
    assert translated(monkeypatch, "sqlite", NAME="b.db") == f"sqlite:///{tmp_path}/b.db"


def test_a_database_that_polos_cannot_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="oracle.*CELERY_POLOS_DATABASE_URL"):
        translated(monkeypatch, "oracle", NAME="shop")


def test_without_a_django_project_its_database_is_not_asked_for() -> None:
    assert framework_url() == ""
