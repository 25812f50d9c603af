"""What the doctor thinks of facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from polos.cli.doctor import of_broker, of_database, of_workers
from polos.cli.doctor.facts import BrokerFacts, CeleryFacts, WorkerAnswer
from polos.cli.doctor.finding import Finding, Level
from polos.model.facts import (
    ClockFacts,
    ConnectionFacts,
    DueWork,
    FileFacts,
    Overview,
    PoolerFacts,
    SeenWorker,
    ServerFacts,
)
from polos.model.records import Micros
from polos.model.settings import Settings
from polos.model.unclaimed import unclaimed
from polos.model.workers import WorkerReport

REDIS = BrokerFacts("redis://host", "redis", visibility=3600.0)
RABBIT = BrokerFacts("amqp://host", "amqp", version="4.1.0")
CELERY = CeleryFacts()
POSTGRES = ServerFacts("postgresql", (15, 4), "15.4", "read committed")
FILE = FileFacts("/srv/polos.db", "ext4", "wal", 2)


def bad(findings: Iterable[Finding | None]) -> list[tuple[str, Level]]:
    """What is not well, as (check, level); each of it says what to change."""
    found = [it for it in findings if it is not None and it.level is not Level.OK]
    assert all(it.advice and it.text for it in found)
    return [(it.check, it.level) for it in found]


def one(finding: Finding | None) -> tuple[Level, str]:
    assert finding is not None
    assert bool(finding.advice) == (finding.level is not Level.OK)
    return finding.level, finding.text


def error(check: str) -> list[tuple[str, Level]]:
    return [(check, Level.ERROR)]


def warning(check: str) -> list[tuple[str, Level]]:
    return [(check, Level.WARNING)]


def test_nothing_is_wrong_with_the_defaults() -> None:
    settings = Settings()
    assert not bad(of_broker.of_broker(REDIS, CELERY, settings))
    assert not bad(of_broker.of_broker(RABBIT, CELERY, settings))
    assert not bad(of_broker.of_celery(CELERY))
    assert not bad(of_broker.of_settings(settings, CELERY))
    assert not bad(of_database.of_server(POSTGRES))
    assert not bad(of_database.of_file(FILE, 1))


@pytest.mark.parametrize(
    ("facts", "celery", "settings", "expected"),
    [
        (replace(REDIS, refusal="refused"), {}, {}, error("broker")),
        (BrokerFacts("memory://", "memory"), {}, {}, warning("broker")),
        (replace(REDIS, visibility=30.0), {}, {}, error("visibility")),
        (replace(REDIS, visibility=50.0), {}, {}, warning("visibility")),
        (replace(REDIS, visibility=50.0), {}, {"countdown_horizon": 20.0}, []),
        (REDIS, {"acks_late": True}, {}, warning("visibility")),
        (REDIS, {"acks_late": True, "longest_limit": 7200.0}, {}, warning("visibility")),
        (REDIS, {"acks_late": True, "longest_limit": 600.0}, {}, []),
        (RABBIT, {"longest_limit": 7200.0}, {}, warning("rabbitmq")),
        (RABBIT, {"acks_late": True}, {}, []),
    ],
)
def test_brokers(
    facts: BrokerFacts, celery: dict[str, Any], settings: dict[str, Any], expected: Any
) -> None:
    found = of_broker.of_broker(facts, CeleryFacts(**celery), Settings(**settings))
    assert bad(found) == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"always_eager": True}, error("celery")),
        ({"prefetch_multiplier": 0}, warning("celery")),
        ({"prefetch_multiplier": 5}, warning("celery")),
        ({"eta_task_limit": 10}, warning("celery")),
        ({"eta_task_limit": 1000}, []),
        ({"ignore_result": True}, []),
        ({"ignore_result": True, "result_backend": "redis"}, warning("results")),
        ({"result_expires": 60.0, "result_backend": "redis"}, warning("results")),
        ({"result_expires": 60.0}, []),
        ({"result_expires": None, "result_backend": "redis"}, []),
        ({"result_expires": 0.0, "result_backend": "redis"}, []),
    ],
)
def test_celerys_settings(changed: dict[str, Any], expected: Any) -> None:
    assert bad(of_broker.of_celery(CeleryFacts(**changed))) == expected


@pytest.mark.parametrize(
    ("changed", "celery", "expected"),
    [
        ({"lease_seconds": 3.0, "unwind_seconds": 1.0}, {}, warning("settings")),
        ({"lease_seconds": 900.0}, {}, warning("settings")),
        ({"unwind_seconds": 15.0}, {}, warning("settings")),
        ({"unwind_seconds": 10.0}, {"soft_shutdown": 8.0}, warning("settings")),
        ({"wait_threshold_seconds": 30.0}, {}, error("settings")),
        ({"wait_threshold_seconds": 6.0}, {}, warning("settings")),
        ({"soft_shutdown_seconds": 60.0}, {"soft_shutdown": 10.0}, warning("settings")),
        ({"soft_shutdown_seconds": 60.0}, {}, []),
        ({}, {"soft_shutdown": 10.0}, []),
    ],
)
def test_settings_that_fight(
    changed: dict[str, Any], celery: dict[str, Any], expected: Any
) -> None:
    found = of_broker.of_settings(Settings(**changed), CeleryFacts(**celery))
    assert bad(found) == expected


@pytest.mark.parametrize(
    ("days", "level", "said"),
    [
        (0.0, Level.OK, "for ever"),
        (30.0, Level.OK, "for 30 d"),
        (0.5, Level.WARNING, "12 h later"),
    ],
)
def test_retention(days: float, level: Level, said: str) -> None:
    found, text = one(of_broker.of_retention(Settings(retention_days=days)))
    assert found is level
    assert said in text


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"version": (11, 9)}, error("version")),
        ({"version": (12,)}, []),
        ({"dialect": "mysql", "version": (5, 7, 44)}, error("version")),
        ({"dialect": "mysql", "version": (8, 0, 36)}, []),
        ({"dialect": "mariadb", "version": (10, 5, 23)}, error("version")),
        ({"dialect": "mariadb", "version": (10, 6)}, []),
        ({"dialect": "oracle", "version": (23,)}, error("version")),
        ({"isolation": "repeatable read"}, error("isolation")),
        ({"isolation": ""}, error("isolation")),
        ({"read_only": True}, error("database")),
        ({"careless": {"fsync": "off"}}, warning("durability")),
        ({"dialect": "sqlite", "version": (3, 34), "isolation": "x"}, error("version")),
        ({"dialect": "sqlite", "version": (3, 40, 1), "isolation": "x"}, []),
    ],
)
def test_servers(changed: dict[str, Any], expected: Any) -> None:
    assert bad(of_database.of_server(replace(POSTGRES, **changed))) == expected


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (None, Level.ERROR),
        ("0004", Level.ERROR),
        ("0005", Level.OK),
        ("0006", Level.OK),
    ],
)
def test_schemas(found: str | None, level: Level) -> None:
    assert one(of_database.of_schema(found, "0005"))[0] is level


@pytest.mark.parametrize(
    ("ahead", "uncertainty", "said"),
    [
        (0.01, 0.001, "agree to 0.010 s"),
        (-1.9, 0.0, "agree to 1.900 s"),
        (4.0, 2.5, "agree"),
        (65.0, 0.1, "65.0 s ahead of this host's"),
        (-65.0, 0.1, "65.0 s behind this host's"),
    ],
)
def test_clocks(ahead: float, uncertainty: float, said: str) -> None:
    level, text = one(of_database.of_clock(ClockFacts(ahead, uncertainty)))
    assert said in text
    assert level is (Level.OK if "agree" in said else Level.WARNING)


def report(name: str = "one", slots: int = 4, **more: Any) -> WorkerReport:
    return WorkerReport(name, "owner", slots, slots, **more)


@pytest.mark.parametrize(
    ("limit", "used", "workers", "level"),
    [
        (97, 20, 2, Level.OK),
        (18, 5, 2, Level.WARNING),
        (17, 5, 2, Level.ERROR),
        (97, 90, 0, Level.WARNING),
    ],
)
def test_connections(limit: int, used: int, workers: int, level: Level) -> None:
    seen = [report(str(n)) for n in range(workers)]
    facts = ConnectionFacts(limit, used)
    found, text = one(of_database.of_connections(facts, seen, pooled=False))
    assert found is level
    assert f"need {workers * 9}" in text
    assert one(of_database.of_connections(facts, seen, pooled=True))[0] is Level.OK


def test_poolers() -> None:
    assert of_database.of_pooler(None) is None
    for facts, said in (
        (PoolerFacts(False, False), "no pooler"),
        (PoolerFacts(True, False), "by session"),
        (PoolerFacts(True, True), "by transaction"),
    ):
        assert said in one(of_database.of_pooler(facts))[1]


def test_collations() -> None:
    assert of_database.of_collations(()) is None
    columns = [("polos_executions", "id", "utf8mb4_general_ci"), ("polos_tags", "tag", "x_ci")]
    level, text = one(of_database.of_collations(columns))
    assert level is Level.ERROR
    assert "polos_executions.id is compared by utf8mb4_general_ci and 1 more columns" in text


@pytest.mark.parametrize(
    ("changed", "workers", "expected"),
    [
        ({"file_system": "nfs4"}, 1, error("file")),
        ({"file_system": "cifs"}, 1, error("file")),
        ({"file_system": ""}, 1, []),
        ({"journal": "delete"}, 1, error("file")),
        ({"synchronous": 1}, 1, warning("durability")),
        ({}, 3, warning("file")),
    ],
)
def test_files(changed: dict[str, Any], workers: int, expected: Any) -> None:
    assert bad(of_database.of_file(replace(FILE, **changed), workers)) == expected


def seen(*workers: tuple[WorkerReport, float], due: tuple[DueWork, ...] = ()) -> Overview:
    return Overview(
        now=Micros(0),
        workers=tuple(SeenWorker(worker, silent) for worker, silent in workers),
        counts={},
        due=due,
        workflows=frozenset({"a", "b"}),
    )


A = report(workflows=("a",), queues=("celery",))


@pytest.mark.parametrize(
    ("overview", "projects", "expected"),
    [
        (seen((A, 0.5)), ["shop"], []),
        (seen(), [], warning("workers")),
        (seen(), ["shop"], warning("workers")),
        (seen(), ["other"], error("workers")),
        (seen((A, 0.5), (report("two"), 60)), ["shop"], warning("workers")),
        (seen((A, 0.5), due=(DueWork("a", None, 3, Micros(0)),)), ["shop"], []),
        (seen((A, 0.5), due=(DueWork("b", None, 3, Micros(0)),)), ["shop"], error("workflows")),
    ],
)
def test_workers(overview: Overview, projects: list[str], expected: Any) -> None:
    assert bad(of_workers.of_workers(overview, "shop", projects)) == expected


@pytest.mark.parametrize(
    ("routes", "due", "workers", "expected"),
    [
        ({"a": "celery"}, (), [A], []),
        ({"a": "other"}, (), [A], warning("queues")),
        ({"a": "other"}, (DueWork("a", None, 3, Micros(0)),), [A], error("queues")),
        ({"a": "celery"}, (DueWork("a", "slow", 3, Micros(0)),), [A], error("queues")),
        ({"a": "celery"}, (DueWork("a", "celery", 3, Micros(0)),), [A], []),
        ({"a": "other"}, (), [replace(A, queues=())], []),
        ({"a": "other"}, (), [], []),
        ({"b": "other"}, (), [A], []),
    ],
)
def test_queues(
    routes: dict[str, str], due: tuple[DueWork, ...], workers: list[WorkerReport], expected: Any
) -> None:
    assert bad(of_workers.of_queues(routes, seen(due=due), workers)) == expected


ANSWER = WorkerAnswer("one", "0.1.0", "5.7.0", 0.2, 0.5, {"project_id": "shop"})


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"polos": "0.0.9"}, warning("versions")),
        ({"ahead": 3600.0}, warning("clock")),
        ({"ahead": -3600.0}, warning("clock")),
        ({"ahead": 2.4}, []),
        ({"settings": {"project_id": "other"}}, error("settings")),
        ({"settings": {}}, []),
    ],
)
def test_answers(changed: dict[str, Any], expected: Any) -> None:
    answers = [replace(ANSWER, **changed)]
    assert bad(of_workers.of_answers(answers, "0.1.0", {"project_id": "shop"})) == expected


def test_what_is_due_in_several_queues_is_one_finding() -> None:
    due = tuple(DueWork("b", queue, number, Micros(0)) for queue, number in ((None, 2), ("q", 3)))
    found = list(of_workers.of_workers(seen((A, 0.0), due=due), "default", ()))
    [text] = [it.text for it in found if it.level is Level.ERROR]
    assert text.startswith("5 executions of 'b' due")


@pytest.mark.parametrize(
    ("workflow", "queue", "alive", "said"),
    [
        ("a", "celery", [A], ""),
        ("a", "", [A], ""),
        ("a", "celery", [], "no worker is alive"),
        ("b", "celery", [A], "no living worker has the workflow 'b'"),
        ("a", "slow", [A], "consumes the queue 'slow': start one with -Q slow"),
    ],
)
def test_why_nobody_takes_what_is_due(
    workflow: str, queue: str, alive: list[WorkerReport], said: str
) -> None:
    text = unclaimed(workflow, queue, alive)
    assert said in text
    assert bool(text) is bool(said)
