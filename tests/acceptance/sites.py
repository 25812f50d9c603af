"""A folder from which servers are started, as somebody at a terminal does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from polos.engine.owner import lives
from polos.model.workers import Owner
from tests.support.guard import guard
from tests.support.processes import Program, until
from tests.support.servers import HOST, free_port

POLOS = (sys.executable, "-m", "polos.cli")


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The JSON that it printed."""
        return json.loads(self.out)


@dataclass
class Site:
    """A folder, with a port for its server.

    Attributes:
        env: what all commands have in their environment.
    """

    folder: Path
    env: dict[str, str | None] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Where its server is."""
        return f"http://{HOST}:{self.port}"

    @property
    def state(self) -> dict[str, Any]:
        """What is kept of its server; empty where there is nothing."""
        with suppress(OSError):
            found: dict[str, Any] = json.loads((self.folder / ".polos/server.json").read_text())
            return found
        return {}

    @property
    def lives(self) -> bool:
        """Whether that server still runs; one that nobody has reaped does not."""
        return lives(self.state.get("owner", ""))

    def program(self, *args: str, command: Sequence[str] = POLOS, **options: Any) -> Program:
        """A command as a program of its own, to be started."""
        given = {"cwd": self.folder, "log": self.folder / "output"} | options
        env = {"HOME": str(self.folder), **self.env, **given.pop("env", {})}
        return Program([*command, *args], env=env, **given)

    def __call__(
        self,
        *args: str,
        code: int | None = 0,
        command: Sequence[str] = POLOS,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
    ) -> Said:
        """Run one, which must end with that exit code (None: any), and let go of the terminal."""
        program = self.program(*args, command=command, env=env or {})
        done = subprocess.run(
            program.args,
            cwd=cwd or self.folder,
            env=program.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        # Tests that are killed leave no server behind.
        if self.lives:
            guard().watch(Owner.parse(self.state["owner"]).pid, signal.SIGTERM)
        said = Said(done.returncode, done.stdout, done.stderr)
        assert code is None or said.code == code, said
        assert "internal error" not in said.err, said
        return said

    def start(self, *args: str, **options: Any) -> Said:
        """Start its server in the background."""
        return self("server", "start", "--port", str(self.port), *args, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Ask its server."""
        return httpx.get(f"{self.url}{path}", trust_env=False, timeout=30, **options)

    def answers(self) -> bool:
        """Whether its server does."""
        with suppress(httpx.HTTPError):
            return self.get("/api/polos/health").status_code == 200
        return False

    def close(self) -> None:
        """Kill what still runs."""
        if self.lives:
            os.kill(Owner.parse(self.state["owner"]).pid, signal.SIGKILL)
            until(lambda: not self.lives)
