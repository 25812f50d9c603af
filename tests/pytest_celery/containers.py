"""The same nodes as containers, where a Docker engine answers."""

from __future__ import annotations

from functools import cache
from typing import Any

import docker
from pytest_celery import CeleryTestContainer, CeleryWorkerContainer
from pytest_docker_tools import build, container, fetch, fxtr

from tests.support.processes import ROOT

HOSTNAME = "suite@container"
COMMAND = f"celery -A tests.pytest_celery.project worker -c 2 -l INFO -n {HOSTNAME}"
_SECONDS = 120


class PostgresContainer(CeleryTestContainer):
    """The database: ``url`` is for workers, ``host_url`` for the test."""

    @property
    def ready_prompt(self) -> str | None:
        return "database system is ready to accept connections"

    @property
    def celeryconfig(self) -> dict[str, Any]:
        host, port = self.attrs["Config"]["Hostname"], self._wait_port("5432/tcp")
        user = "postgresql+psycopg://postgres:postgres@"
        return {"url": f"{user}{host}/postgres", "host_url": f"{user}localhost:{port}/postgres"}


class WorkerContainer(CeleryWorkerContainer):
    """A worker with Polos in it."""

    @property
    def ready_prompt(self) -> str | None:
        return " ready."


@cache
def why_not() -> str:
    """Why there are no containers; empty where a Docker engine answers."""
    try:
        docker.from_env(timeout=5).ping()
    except docker.errors.DockerException as error:
        return f"no Docker engine answers: {str(error).splitlines()[0][:120]}"
    return ""


suite_postgres_image = fetch(repository="postgres:17-alpine")
suite_postgres = container(
    image="{suite_postgres_image.id}",
    ports={"5432/tcp": None},
    environment={"POSTGRES_PASSWORD": "postgres"},
    network="{default_pytest_celery_network.name}",
    wrapper_class=PostgresContainer,
    timeout=_SECONDS,
)
suite_worker_image = build(
    path=str(ROOT), dockerfile="tests/pytest_celery/Dockerfile", tag="polos/suite:test"
)
suite_worker = container(
    image="{suite_worker_image.id}",
    environment=fxtr("worker_env"),
    network="{default_pytest_celery_network.name}",
    wrapper_class=WorkerContainer,
    timeout=_SECONDS,
    command=COMMAND,
)
