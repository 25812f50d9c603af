"""``manage.py migrate`` makes Polos's tables, where they belong and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from polos.store.migrate import VERSION_TABLE, found_schema, upgrade
from polos.store.schema import SCHEMA, metadata
from tests.contrib.sites import Site, entry, opened, polos_tables
from tests.support.processes import Program

TABLES = sorted([*metadata.tables, VERSION_TABLE])
Start = Callable[..., Program]


def test_migrate_makes_the_tables_and_zero_drops_them(
    program: Start, database_url: str, tmp_path: Path
) -> None:
    site = Site(program, tmp_path, database_url)
    assert "polos.0001_schema_0005... OK" in site.manage("migrate", "polos")
    with opened(database_url) as database:
        assert found_schema(database) == SCHEMA
    assert polos_tables(database_url) == TABLES
    site.manage("migrate", "polos", "zero")
    assert polos_tables(database_url) == []
    site.manage("migrate", "polos")
    assert polos_tables(database_url) == TABLES


def test_the_plan_says_it_and_no_migration_is_missing(
    program: Start, sqlite_url: str, tmp_path: Path
) -> None:
    site = Site(program, tmp_path, sqlite_url)
    assert "Polos's schema 0005" in site.manage("migrate", "--plan")
    assert "No changes detected" in site.manage("makemigrations", "--check", "--dry-run")
    assert polos_tables(sqlite_url) == []


def test_there_is_a_migration_for_each_schema() -> None:
    folder = Path(__file__).parents[2] / "polos" / "contrib" / "django" / "migrations"
    names = [path.stem for path in sorted(folder.glob("0*.py"))]
    assert names[-1].endswith(f"schema_{SCHEMA}"), (
        f"add polos/contrib/django/migrations/{len(names) + 1:04}_schema_{SCHEMA}.py"
    )


def test_tables_that_polos_made_are_left_as_they_are(
    program: Start, sqlite_url: str, tmp_path: Path
) -> None:
    with opened(sqlite_url) as database:
        upgrade(database)
    site = Site(program, tmp_path, sqlite_url)
    assert "polos.0001_schema_0005... OK" in site.manage("migrate", "polos")
    assert polos_tables(sqlite_url) == TABLES


def test_only_the_chosen_alias_gets_them(program: Start, tmp_path: Path) -> None:
    urls = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("default", "flows")}
    databases = {name: entry(url) for name, url in urls.items()}
    site = Site(program, tmp_path, databases, SITE_ALIAS="flows")
    site.manage("migrate", "polos")
    assert polos_tables(urls["default"]) == []
    site.manage("migrate", "--database", "flows", "polos")
    assert polos_tables(urls["flows"]) == TABLES
    assert polos_tables(urls["default"]) == []
    site.manage("migrate", "polos", "zero")
    assert polos_tables(urls["flows"]) == TABLES


def test_a_router_that_says_no_is_heard(program: Start, sqlite_url: str, tmp_path: Path) -> None:
    routers = '["tests.contrib.site.routers.NowherePolos"]'
    Site(program, tmp_path, sqlite_url, SITE_ROUTERS=routers).manage("migrate", "polos")
    assert polos_tables(sqlite_url) == []


def test_with_an_url_of_its_own_polos_leaves_djangos_database_alone(
    program: Start, sqlite_url: str, tmp_path: Path
) -> None:
    elsewhere = f"sqlite:///{tmp_path}/elsewhere.db"
    site = Site(program, tmp_path, sqlite_url, SITE_POLOS_URL=elsewhere)
    assert "'polos migrate' makes them there" in site.manage("migrate", "polos")
    assert polos_tables(sqlite_url) == []


def test_an_alias_that_is_not_there_is_named(
    program: Start, sqlite_url: str, tmp_path: Path
) -> None:
    site = Site(program, tmp_path, sqlite_url, SITE_ALIAS="flows")
    assert "POLOS_DJANGO_DATABASE" in site.ask("refusal")


@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory&cache=shared", ""])
def test_a_database_in_memory_is_refused_with_what_to_do(
    program: Start, tmp_path: Path, name: str
) -> None:
    databases = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": name}}
    told = Site(program, tmp_path, databases).ask("refusal")
    assert '["TEST"] = {"NAME": BASE_DIR / "test.sqlite3"}' in told
