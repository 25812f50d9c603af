"""pytest-celery's nodes: processes of this machine, and containers where there are any."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import pools
from pytest_celery import (
    CeleryBackendCluster,
    CeleryBrokerCluster,
    CeleryTestBackend,
    CeleryTestBroker,
    CeleryTestSetup,
    CeleryTestWorker,
)
from pytest_docker_tools.wrappers import container as wrappers

from polos import Polos
from tests.pytest_celery import containers
from tests.pytest_celery.containers import (  # noqa: F401
    default_rabbitmq_broker_image,
    default_redis_backend_image,
    default_redis_broker_image,
    suite_context,
    suite_postgres,
    suite_worker,
    suite_worker_image,
)
from tests.pytest_celery.local import LocalContainer, LocalWorker
from tests.support.processes import Program
from tests.support.rabbit import RabbitServer
from tests.support.servers import RedisServer

PROJECT = "tests.pytest_celery.project"
HOSTNAME = "suite@localhost"
LEASE_SECONDS = 3


@pytest.fixture(autouse=True)
def _no_old_connections() -> None:
    """Those that kombu keeps by address may be to a broker that an earlier test has stopped."""
    pools.reset()


@pytest.fixture(params=["processes", "containers"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the nodes are."""
    if request.param == "containers":
        if reason := containers.why_not():
            pytest.skip(reason)
        # Their ports are at this machine's address, though it may be a container itself.
        monkeypatch.setattr(wrappers, "tests_inside_container", lambda: False)
    return str(request.param)


@pytest.fixture(params=["redis", "rabbitmq"])
def celery_broker(request: pytest.FixtureRequest, place: str) -> Iterator[CeleryTestBroker]:
    """The broker."""
    if place == "containers":
        yield request.getfixturevalue(f"celery_{request.param}_broker")
    elif request.param == "redis":
        redis: RedisServer = request.getfixturevalue("redis_server")
        yield CeleryTestBroker(_server(redis, redis.url))
    else:
        rabbit: RabbitServer = request.getfixturevalue("_rabbit").start()
        yield CeleryTestBroker(_server(rabbit, rabbit.url))
        rabbit.start().delete("celery")


@pytest.fixture
def celery_backend(request: pytest.FixtureRequest, place: str) -> CeleryTestBackend:
    """Where results are kept; apart from the broker, which is started again."""
    if place == "containers":
        return request.getfixturevalue("celery_redis_backend")
    redis: RedisServer = request.getfixturevalue("results")
    return CeleryTestBackend(_server(redis, redis.url))


@pytest.fixture(scope="session")
def results() -> Iterator[RedisServer]:
    """A Redis for results only."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def database(request: pytest.FixtureRequest, place: str) -> dict[str, str]:
    """The database: ``url`` as workers have it, and ``host_url`` as the test has it."""
    if place == "containers":
        return dict(request.getfixturevalue("suite_postgres").celeryconfig)
    url = request.getfixturevalue("postgres_url")
    return {"url": url, "host_url": url}


@pytest.fixture
def worker_env(
    celery_broker_cluster: CeleryBrokerCluster,
    celery_backend_cluster: CeleryBackendCluster,
    database: dict[str, str],
) -> dict[str, str]:
    """What a worker is told."""
    return {
        "CELERY_BROKER_URL": celery_broker_cluster.config()["urls"][0],
        "CELERY_RESULT_BACKEND": celery_backend_cluster.config()["urls"][0],
        "POLOS_DATABASE_URL": database["url"],
        "POLOS_AUTO_MIGRATE": "1",
        "POLOS_LEASE_SECONDS": str(LEASE_SECONDS),
    }


@pytest.fixture
def celery_worker(
    request: pytest.FixtureRequest,
    place: str,
    program: Callable[..., Program],
    worker_env: dict[str, str],
    celery_setup_app: Celery,
) -> Iterator[CeleryTestWorker]:
    """A worker of the project."""
    if place == "containers":
        made = CeleryTestWorker(request.getfixturevalue("suite_worker"), celery_setup_app)
    else:
        command = [sys.executable, "-m", "celery", "-A", PROJECT, "worker", "-c", "2"]
        command += ["-l", "INFO", "-n", HOSTNAME]
        started = program(*command, name="worker", env=worker_env)
        container = LocalContainer(started, ready_prompt=" ready.")
        made = LocalWorker(container, celery_setup_app, HOSTNAME)
    assert made.ready()
    yield made
    made.teardown()


@pytest.fixture
def polos(celery_setup: CeleryTestSetup, database: dict[str, str]) -> Iterator[Polos]:
    """Polos bound to the app of the test."""
    made = Polos(celery_setup.app, database["host_url"])
    celery_setup.app.finalize()
    yield made
    made.close()


def _server(process: Any, url: str) -> LocalContainer:
    return LocalContainer(process, {"url": url, "host_url": url})
