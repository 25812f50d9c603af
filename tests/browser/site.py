"""A site as people have it: Redis, PostgreSQL, a worker, and Flower with the tab."""

from __future__ import annotations

import base64
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery import Celery

from polos import Polos
from polos.client.direct import DirectClient
from polos.codec import encode_payload
from polos.model.listing import ExecutionQuery
from polos.model.ports import StartRequest
from polos.model.records import Execution
from tests.browser import flows
from tests.support.processes import Program, until
from tests.support.servers import HOST, PostgresServer, RedisServer, free_port

PROJECT = "tests.browser.proj"
_SECONDS = 60.0


@dataclass
class Flower:
    """A running ``celery flower``.

    Attributes:
        url: of its first page, without a slash at the end, with its prefix.
    """

    url: str
    program: Program

    def answers(self, password: str = "") -> bool:
        """Whether a page comes."""
        request = urllib.request.Request(f"{self.url}/workflows")
        if password:
            coded = base64.b64encode(password.encode()).decode()
            request.add_header("Authorization", f"Basic {coded}")
        try:
            with urllib.request.urlopen(request, timeout=10):
                return True
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{self.url}: {error}\n{self.program.tail()}") from None
        except OSError:
            return False


@dataclass
class Site:
    """A broker, a database, and what runs between them.

    Attributes:
        folder: for the logs, and the gates that steps wait at.
    """

    folder: Path
    broker: str
    database: str
    client: DirectClient
    programs: list[Program] = field(default_factory=list)
    _opened: ExitStack = field(default_factory=ExitStack)

    @property
    def env(self) -> dict[str, str | None]:
        """What a program needs in its environment."""
        return {
            "HOME": str(self.folder),
            "PROJ_BROKER": self.broker,
            "PROJ_DATABASE": self.database,
            flows.FOLDER: str(self.folder),
        }

    def worker(self) -> Program:
        """Start a worker that has the workflows, and wait until it takes work."""
        args = ["worker", "--pool=threads", "-c", "8", "-n", "w@localhost", "--without-mingle"]
        started = self._start("worker", PROJECT, *args, "-l", "INFO")
        started.wait_for(" ready.", _SECONDS)
        return started

    def flower(self, *options: str, prefix: str = "", app: str = "", password: str = "") -> Flower:
        """Start Flower, and wait until it answers.

        Args:
            options: of ``celery flower``.
            app: another one than the project's own.
            password: ``user:password``, where one is asked for.
        """
        port = free_port()
        args = ["flower", f"--address={HOST}", f"--port={port}", "--loglevel=warning", *options]
        if prefix:
            args.append(f"--url_prefix={prefix}")
        started = self._start("flower", app or PROJECT, *args)
        flower = Flower(f"http://{HOST}:{port}{prefix and f'/{prefix}'}", started)
        started.wait_for(lambda: flower.answers(password), _SECONDS)
        return flower

    def start(
        self, workflow_id: str, payload: dict[str, Any] | None = None, **given: Any
    ) -> Execution:
        """Start an execution."""
        return self.client.start(StartRequest(workflow_id, encode_payload(payload), **given))

    def open(self, gate: str) -> None:
        """Let a step of ``stages`` go on, or ``payer`` succeed (``<order>-paid``)."""
        (self.folder / gate).touch()

    def until(self, execution_id: str, status: str) -> Execution:
        """Wait until an execution has that status."""
        return until(
            lambda: found if (found := self.client.get(execution_id)).status == status else None,
            _SECONDS,
            message=lambda: f"it is {self.client.get(execution_id).status}, not {status}",
        )

    def ended(self, workflow_id: str, payload: dict[str, Any] | None = None) -> Execution:
        """Start an execution and wait for its end."""
        started = self.start(workflow_id, payload)
        return until(
            lambda: found if (found := self.client.get(started.id)).status.ended else None, _SECONDS
        )

    def ids(self, **query: Any) -> list[str]:
        """The ids of executions, newest first: ``ids(tag="eu")``."""
        found = self.client.list_executions(ExecutionQuery(limit=1000, **query))
        return [item.id for item in found.items]

    def close(self) -> None:
        """End all programs."""
        self._opened.close()

    def _start(self, name: str, app: str, *args: str) -> Program:
        program = Program(
            [sys.executable, "-m", "celery", "-A", app, *args],
            log=self.folder / f"{name}-{len(self.programs)}.log",
            name=name,
            cwd=self.folder,
            env=self.env,
        )
        self.programs.append(program)
        self._opened.callback(program.close, 1.0)
        return program.start()


@contextmanager
def opened(folder: Path, redis: RedisServer, databases: PostgresServer) -> Iterator[Site]:
    """A site whose servers are there, and nothing else yet."""
    redis.start().flush()
    with databases.start().fresh_database() as url:
        app = Celery("tester", broker=redis.url, set_as_current=False)
        app.conf.polos_database_url = url
        app.conf.polos_auto_migrate = True
        polos = Polos(app)
        site = Site(folder, redis.url, url, polos.bound.client)
        try:
            yield site
        finally:
            site.close()
            polos.close()
