"""Prefect: a flow of tasks run in the client's process, its server on PostgreSQL."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from protocol import DATABASE, LEDGER, noop, serve

HOST = "127.0.0.1"
ADDRESS = Path(f"{LEDGER}.address")
PREFECT = str(Path(sys.executable).with_name("prefect"))

os.environ |= {
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": DATABASE.replace(
        "postgresql://", "postgresql+asyncpg://"
    ),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "ERROR",
}


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def start_server() -> None:
    port = str(free_port())
    ADDRESS.write_text(f"http://{HOST}:{port}/api")
    os.execv(PREFECT, [PREFECT, "server", "start", "--host", HOST, "--port", port])


class PrefectDriver:
    def __init__(self) -> None:
        os.environ["PREFECT_API_URL"] = ADDRESS.read_text()
        from prefect import flow, task  # once it is known where the server is

        @task
        def step(number: int) -> int:
            return noop()

        @flow
        def steps(count: int) -> int:
            for number in range(count):
                step(number)
            return count

        self._steps = steps

    def run(self, count: int) -> None:
        assert self._steps(count) == count

    def queue(self, count: int, workflows: int) -> None:
        raise NotImplementedError

    def sleep(self, seconds: int, count: int) -> None:
        raise NotImplementedError

    def ended(self) -> int:
        raise NotImplementedError


if __name__ == "__main__":
    match sys.argv[1]:
        case "prepare":
            subprocess.run([PREFECT, "server", "database", "upgrade", "-y"], check=True)
        case "worker":
            start_server()
        case "driver":
            serve(PrefectDriver())
