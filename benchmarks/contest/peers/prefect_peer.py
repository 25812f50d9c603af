"""Prefect: a flow of tasks run in the client's process, its server on its own SQLite.

Prefect's tables in PostgreSQL need the extension pg_trgm, which the bundled server lacks.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from urllib.request import urlopen

from protocol import LEDGER, noop, serve

HOST = "127.0.0.1"
ADDRESS = Path(f"{LEDGER}.address")
PREFECT = str(Path(sys.executable).with_name("prefect"))

os.environ |= {
    "PREFECT_HOME": f"{LEDGER}.prefect",
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


def wait_for_server(address: str) -> None:
    """Its banner comes before it answers."""
    end = time.monotonic() + 60
    while True:
        try:
            urlopen(f"{address}/health", timeout=5).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


class PrefectDriver:
    def __init__(self) -> None:
        address = ADDRESS.read_text()
        wait_for_server(address)
        os.environ["PREFECT_API_URL"] = address
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
        case "worker":
            start_server()
        case "driver":
            serve(PrefectDriver())
