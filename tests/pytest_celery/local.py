"""What pytest-celery takes for containers, and is processes of this machine."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, Protocol

from celery import Celery
from pytest_celery import CeleryTestContainer, CeleryTestWorker

from tests.support.processes import Program, until

_STOP_SECONDS = 60.0


class Process(Protocol):
    """A program or a server of ``tests.support``."""

    name: str
    log: Path

    @property
    def running(self) -> bool: ...

    @property
    def pid(self) -> int: ...

    def start(self) -> Any: ...


class LocalContainer(CeleryTestContainer):
    """A process in a container's place.

    Args:
        process: a server, or the program of a worker.
        celeryconfig: what clients are told of it.
        ready_prompt: what its log says as soon as it can be used; nothing for servers.
    """

    def __init__(
        self,
        process: Process,
        celeryconfig: dict[str, Any] | None = None,
        ready_prompt: str | None = None,
    ) -> None:
        # Not the base's: that asks Docker.
        self._process = process
        self._config = celeryconfig or {}
        self._prompt = ready_prompt
        self._read_from = 0

    @property
    def id(self) -> str:
        return f"{self._process.name}-{self._process.pid}"

    @property
    def name(self) -> str:
        return self._process.name

    @property
    def attrs(self) -> dict[str, Any]:
        return {"Config": {"Hostname": "127.0.0.1"}, "NetworkSettings": {"Networks": {}}}

    @property
    def status(self) -> str:
        return "running" if self._process.running else "exited"

    @property
    def celeryconfig(self) -> dict[str, Any]:
        return dict(self._config)

    @property
    def ready_prompt(self) -> str | None:
        return self._prompt

    def reload(self) -> None:
        """There is nothing that is only known of it."""

    def logs(self) -> str:
        log = self._process.log
        return log.read_text(errors="replace")[self._read_from :] if log.exists() else ""

    def ready(self) -> bool:
        if self._prompt is not None:
            until(lambda: self._prompt in self.logs(), _STOP_SECONDS, message=self.logs)
        return self._process.running

    def kill(self, signal: str | int | None = None) -> None:
        self._send(_number(signal or "SIGKILL"), group=True)
        self._gone()

    def stop(self, timeout: float = _STOP_SECONDS) -> None:
        self._send(signal.SIGTERM)
        self._gone()

    def restart(self, timeout: float = _STOP_SECONDS) -> None:
        if isinstance(self._process, Program):
            if self._process.running:
                self.stop(timeout)
            self._read_from = len(self._process.log.read_text(errors="replace"))
            self._process.start()
        elif self._process.running:
            restart: Any = self._process
            restart.restart()
        else:
            self._process.start()
        assert self.ready()

    def teardown(self) -> None:
        """Servers are ended by whoever started them."""
        if isinstance(self._process, Program):
            self._send(signal.SIGKILL, group=True)
            self._process.close()

    def _send(self, number: int, *, group: bool = False) -> None:
        process: Any = self._process
        if isinstance(process, Program):
            process.kill(number, group=group)
        elif number == signal.SIGKILL:
            process.kill()
        else:
            process.stop()

    def _gone(self) -> None:
        until(lambda: not self._process.running, _STOP_SECONDS, message=self.name)


class LocalWorker(CeleryTestWorker):
    """A worker that is a process; ``hostname`` is what it was told."""

    def __init__(self, container: LocalContainer, app: Celery, hostname: str) -> None:
        super().__init__(container, app)
        self._hostname = hostname

    @property
    def worker_name(self) -> str:
        return self._hostname.partition("@")[0]

    @property
    def worker_queue(self) -> str:
        return "celery"

    def hostname(self) -> str:
        return self._hostname


def _number(given: str | int) -> int:
    return int(given) if isinstance(given, int) else int(signal.Signals[given])
