"""What a database URL becomes, without any server."""

from __future__ import annotations

from pathlib import Path

import pytest

from polos.errors import ConfigurationError, StoreUnavailable
from polos.store.database import Database, embedded_url

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "dialect", "driver"),
    [
        ("postgresql://user@host/name", "postgresql", "psycopg"),
        ("postgresql+psycopg://user@host/name", "postgresql", "psycopg"),
        ("postgres://user@host/name", "postgresql", "psycopg"),
        ("mysql://user@host/name", "mysql", "pymysql"),
        ("mariadb://user@host/name", "mariadb", "pymysql"),
        ("sqlite:///{folder}/polos.db", "sqlite", "pysqlite"),
    ],
)
def test_a_url_gets_the_driver_that_polos_brings(
    url: str, dialect: str, driver: str, tmp_path: Path
) -> None:
    database = Database(url.format(folder=tmp_path))
    assert (database.dialect, database.engine.dialect.driver) == (dialect, driver)
    assert not database.embedded


def test_without_a_url_the_database_is_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLOS_HOME", str(tmp_path / "home"))
    assert embedded_url() == f"sqlite:///{tmp_path}/home/polos.db"
    database = Database()
    assert database.embedded
    assert database.url == embedded_url()


def test_the_folder_of_a_file_is_made(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path}/a/b/polos.db")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_cannot_be_made_is_a_store_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="polos.db"):
        Database(f"sqlite:///{tmp_path}/file/polos.db")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://me:{SECRET}@host/name", "postgresql+psycopg://me:***@host/name"),
        (
            f"postgresql://host/name?password={SECRET}&sslmode=require",
            "postgresql+psycopg://host/name?password=***&sslmode=require",
        ),
        (
            f"postgresql://host/name?sslpassword={SECRET}",
            "postgresql+psycopg://host/name?sslpassword=***",
        ),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert Database(url).url.replace("%2A", "*") == shown


@pytest.mark.parametrize(
    ("url", "what"),
    [
        (f"not a url {SECRET}", "no database URL"),
        ("oracle://h/name", "no driver.*in PostgreSQL, MariaDB, MySQL or SQLite"),
        ("postgresql+pg8000://h/name", "no driver.*write postgresql://.*polos.postgres"),
        ("postgresql+asyncpg://h/name", "asyncio only; write postgresql://.*polos.postgres"),
        ("sqlite+aiosqlite:///name", "asyncio only; write sqlite:///file"),
        (f"postgresql://u:p@{SECRET}@h/name", "write it as %40"),
        ("nonsense://h/name", "no driver"),
        ("sqlite://", "a file"),
        ("sqlite:///:memory:", "a file"),
    ],
)
def test_a_url_that_cannot_work_is_a_configuration_error(url: str, what: str) -> None:
    with pytest.raises(ConfigurationError, match=what) as caught:
        Database(url)
    assert SECRET not in str(caught.value)
