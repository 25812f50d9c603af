"""The same nodes as containers, where a Docker engine answers.

The images are the public ones, pulled where the engine has none of that name. Others are named in
the environment: POLOS_TEST_IMAGE_BASE (has Python's venv, of the version that runs the tests),
POLOS_TEST_IMAGE_REDIS, POLOS_TEST_IMAGE_RABBITMQ and POLOS_TEST_IMAGE_POSTGRES. Without a
registry, `debian_images` makes all four from Debian's packages.

The worker's image is made of wheels of this tree and of what it needs, which pip makes outside: a
build asks no network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pytest_celery import CeleryTestContainer, CeleryWorkerContainer
from pytest_docker_tools import container, fxtr, wrappers

import docker
from tests.support.processes import ROOT

COMMAND = "celery -A tests.pytest_celery.project worker -c 2 -l INFO -n suite@%h"
_HERE = Path(__file__).parent
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_SECONDS = 120


def image(name: str, default: str) -> str:
    """The image that the environment names, or the public one."""
    return os.environ.get(f"POLOS_TEST_IMAGE_{name}", default)


class PostgresContainer(CeleryTestContainer):
    """The database: ``url`` is for workers, ``host_url`` for the test."""

    @property
    def celeryconfig(self) -> dict[str, Any]:
        host, port = self.attrs["Config"]["Hostname"], self._wait_port("5432/tcp")
        user = "postgresql+psycopg://postgres:postgres@"
        return {"url": f"{user}{host}/postgres", "host_url": f"{user}127.0.0.1:{port}/postgres"}

    def ready(self) -> bool:
        """Asked, as its log speaks of the server that only sets it up, too."""
        return super().ready() and self._answers()

    def _answers(self) -> bool:
        url = self.celeryconfig["host_url"].replace("+psycopg", "")
        with suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=5):
            return True
        return False


class WorkerContainer(CeleryWorkerContainer):
    """A worker with Polos in it."""

    @classmethod
    def worker_name(cls) -> str:
        return "suite"

    @classmethod
    def worker_queue(cls) -> str:
        return "celery"

    def ready(self) -> bool:
        """Not the plugin's: that waits for minutes for a worker that has ended."""
        return wrappers.Container.ready(self) and " ready." in self.logs()


@cache
def why_not() -> str:
    """Why there are no containers; empty where a Docker engine answers."""
    if sys.platform != "linux":
        return "containers take the wheels of this machine, which are not Linux's"
    try:
        docker.from_env(timeout=5).ping()
    except docker.errors.DockerException as error:
        return f"no Docker engine answers: {str(error).splitlines()[0][:120]}"
    return ""


@pytest.fixture(scope="session")
def suite_context(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder that the worker's image is built from."""
    folder = tmp_path_factory.mktemp("image")
    code = folder / "project" / "tests" / "pytest_celery"
    code.mkdir(parents=True)
    for name in ("project.py", "flows.py"):
        shutil.copy(_HERE / name, code)
    shutil.copy(_HERE / "Dockerfile", folder)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation"]
    pins = ["-c", str(ROOT / "constraints.txt"), f"{ROOT}[redis,postgres]"]
    # Redis's client needs it before Python 3.11.3, such as Debian's.
    pins += ["async-timeout"] if sys.version_info < (3, 12) else []
    subprocess.run([*pip, "-w", str(folder / "wheels"), *pins], check=True)
    return str(folder)


@pytest.fixture(scope="session")
def suite_worker_image(docker_client: docker.DockerClient, suite_context: str) -> Any:
    """The worker's image; a build that fails shows what it said."""
    base = image("BASE", f"python:{_PYTHON}-slim")
    try:
        return docker_client.images.build(
            path=suite_context,
            tag="polos/suite:test",
            rm=True,
            forcerm=True,
            buildargs={"BASE": base},
        )[0]
    except docker.errors.BuildError as error:
        pytest.fail("".join(line.get("stream", "") for line in error.build_log) + str(error))


suite_worker = container(
    image="{suite_worker_image.id}",
    environment=fxtr("worker_env"),
    network="{default_pytest_celery_network.name}",
    wrapper_class=WorkerContainer,
    timeout=_SECONDS,
    command=COMMAND,
)
suite_postgres = container(
    image=image("POSTGRES", "postgres:17-alpine"),
    ports={"5432/tcp": None},
    environment={"POSTGRES_PASSWORD": "postgres"},
    network="{default_pytest_celery_network.name}",
    wrapper_class=PostgresContainer,
    timeout=_SECONDS,
)


@pytest.fixture
def default_redis_broker_image() -> str:
    """Redis as the broker."""
    return image("REDIS", "redis:7-alpine")


@pytest.fixture
def default_redis_backend_image() -> str:
    """Redis for results."""
    return image("REDIS", "redis:7-alpine")


@pytest.fixture
def default_rabbitmq_broker_image() -> str:
    """RabbitMQ."""
    return image("RABBITMQ", "rabbitmq:4")
