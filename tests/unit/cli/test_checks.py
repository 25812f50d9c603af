"""The doctor's checks, each for itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from polos.binding.app_factory import make_app
from polos.binding.bound import Bound
from polos.cli.doctor import asking, checks
from polos.cli.doctor.checks import Examination
from polos.cli.doctor.facts import BrokerFacts
from polos.cli.doctor.finding import Finding, Level
from polos.cli.target import Target
from polos.definition.registry import Registry
from polos.model.settings import Settings
from polos.store import overview, probes
from polos.store.database import Database
from polos.store.migrate import upgrade
from polos.worker.client import PolosClient
from tests.support.servers import HOST, free_port


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """An embedded stack with a schema, and nobody who answers for workers."""
    monkeypatch.setenv("POLOS_HOME", str(tmp_path))
    monkeypatch.setattr(asking, "ask_workers", lambda app, seconds: [])
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'polos.db'}")
    database = Database(settings.database_url)
    upgrade(database)
    database.close()
    bound = Bound(make_app(settings), settings, Registry())
    yield Target(PolosClient(settings=settings, bound=bound), chosen=True)
    bound.close()


def examined(target: Target) -> list[Finding]:
    return list(Examination(target, lambda: None).findings())


def of(findings: list[Finding], check: str) -> list[Finding]:
    return [it for it in findings if it.check == check]


def test_an_ordinary_deployment(target: Target) -> None:
    found = examined(target)
    assert [(it.check, it.text) for it in found if it.level is not Level.OK] == [
        ("workers", "no worker of the project 'default' has reported within 10 s")
    ]
    assert {it.check for it in found} >= {
        "broker",
        "settings",
        "version",
        "clock",
        "schema",
        "file",
    }


@pytest.mark.parametrize(
    ("module", "name", "silenced"),
    [
        (asking, "broker_of", {"broker", "versions"}),
        (asking, "celery_of", {"broker", "celery", "settings"}),
        (probes, "server", {"version"}),
        (probes, "clock", {"clock"}),
        (probes, "file", {"file"}),
        (checks, "found_schema", {"schema"}),
        (overview, "overview", {"workers", "file"}),
    ],
)
def test_a_check_that_fails_hides_no_other(
    target: Target, monkeypatch: pytest.MonkeyPatch, module: object, name: str, silenced: set[str]
) -> None:
    before = {it.check for it in examined(target)}

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("may not ask")

    monkeypatch.setattr(module, name, fail)
    found = examined(target)
    failed = [it for it in found if "could not be checked: RuntimeError: may not ask" in it.text]
    assert failed
    assert all(it.level is Level.WARNING and it.advice for it in failed)
    assert {it.check for it in found if it not in failed} == before - silenced


def test_a_broker_and_a_database_that_are_away(target: Target) -> None:
    url = f"postgresql://postgres@{HOST}:{free_port()}/nothing"
    away = Target(
        PolosClient(
            settings=Settings(database_url=url),
            bound=Bound(
                make_app(Settings(broker_url=f"redis://{HOST}:{free_port()}/0")), Settings()
            ),
        ),
        chosen=True,
    )
    found = examined(away)
    errors = {it.check: it.text for it in found if it.level is Level.ERROR}
    assert set(errors) == {"broker", "database"}
    assert url.replace("postgresql:", "postgresql+psycopg:") in errors["database"]
    assert not of(found, "schema")


def test_workers_are_not_asked_through_a_broker_that_is_away(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: object) -> None:
        raise AssertionError("it would try for long")

    monkeypatch.setattr(asking, "ask_workers", ask)
    dead = Settings(broker_url=f"redis://{HOST}:{free_port()}/0")
    bound = Bound(make_app(dead), target.settings, Registry())
    found = examined(Target(PolosClient(settings=target.settings, bound=bound), chosen=True))
    assert [it.check for it in found if it.level is Level.ERROR] == ["broker"]
    assert of(found, "workers")
    assert not of(found, "versions")


def test_code_that_can_not_be_imported_is_a_finding(target: Target) -> None:
    def load() -> None:
        raise ValueError("two workflows have the id 'order'")

    [found] = of(list(Examination(target, load).findings()), "code")
    assert found.level is Level.ERROR
    assert "ValueError: two workflows have the id 'order'" in found.text


def test_a_password_is_never_shown(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    url = f"postgresql://me:geheim@{HOST}:{port}/x"
    broker = f"redis://:geheim@{HOST}:{port}/0"
    settings = Settings(database_url=url, broker_url=broker)
    client = PolosClient(settings=settings, bound=Bound(make_app(settings), settings))
    found = examined(Target(client, chosen=True))
    assert "geheim" not in repr(found)
    assert isinstance(asking.broker_of(client.bound.app), BrokerFacts)
