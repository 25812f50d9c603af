"""Restate: its own server with its own log, and services that it calls over HTTP/2."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import restate
from hypercorn.config import Config
from hypercorn.run import run
from protocol import LEDGER, mark, noop, serve

HOST = "127.0.0.1"
# Not npm's wrapper: the binary itself, so that it can be made to die with its parent.
[SERVER] = Path(os.environ["CONTEST_NODE_MODULES"]).glob("@restatedev/*/bin/restate-server")
PORTS = Path(f"{LEDGER}.ports")
_DIES_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG

service = restate.Service("contest")


async def step() -> int:
    return noop()


@service.handler()
async def steps(ctx: restate.Context, count: int) -> int:
    name = ctx.request().id
    mark("begin", name)
    for number in range(count):
        await ctx.run_typed(f"s{number}", step)
    mark("end", name)
    return count


@service.handler()
async def sleep(ctx: restate.Context, seconds: int) -> None:
    name = ctx.request().id
    mark("sleep", name)
    await ctx.sleep(timedelta(seconds=seconds))
    mark("woke", name)


app = restate.app([service])


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)


def start_server(ingress: int, admin: int, node: int) -> None:
    """In a process group of its own: it goes on while the services stand still."""
    subprocess.Popen(
        [SERVER, "--no-logo", "--listen-mode=tcp", "--bind-ip", HOST, "--bind-port", str(node)],
        env={
            **os.environ,
            "RESTATE_BASE_DIR": f"{LEDGER}.restate",
            "RESTATE_NODE_NAME": "contest",
            "RESTATE_ADVERTISED_HOST": HOST,
            "RESTATE_INGRESS__BIND_PORT": str(ingress),
            "RESTATE_ADMIN__BIND_PORT": str(admin),
            "RESTATE_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "1",
        },
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )


def post(port: int, path: str, body: Any) -> Any:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    headers = {"content-type": "application/json", "accept": "application/json"}
    try:
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status < 300, said[:300]
        return json.loads(said) if said else None
    finally:
        connection.close()


def register(admin: int, services: int) -> None:
    """Tell the server where the services are, as soon as both answer."""
    end = time.monotonic() + 50
    while True:
        try:
            post(admin, "/deployments", {"uri": f"http://{HOST}:{services}"})
            break
        except (OSError, AssertionError, http.client.HTTPException):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def work(processes: int) -> None:
    ingress, admin, node, services = free_ports(4)
    start_server(ingress, admin, node)
    if os.fork() == 0:
        register(admin, services)
        PORTS.write_text(json.dumps([ingress, admin]))
        print("worker is ready.", flush=True)
        os._exit(0)
    config = Config()
    config.application_path = "restate_peer:app"
    config.bind = [f"{HOST}:{services}"]
    config.workers = processes
    run(config)


class RestateDriver:
    def __init__(self) -> None:
        self._queued: list[str] = []

    @cached_property
    def _ports(self) -> tuple[int, int]:
        ingress, admin = json.loads(PORTS.read_text())
        return ingress, admin

    @cached_property
    def _ingress(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(HOST, self._ports[0])

    def run(self, count: int) -> None:
        assert self._call("steps", count) == count

    def queue(self, count: int, workflows: int) -> None:
        sent = [self._call("steps/send", count) for _ in range(workflows)]
        self._queued = [one["invocationId"] for one in sent]

    def sleep(self, seconds: int, count: int) -> None:
        for _ in range(count):
            self._call("sleep/send", seconds)

    def ended(self) -> int:
        ids = ", ".join(f"'{id_}'" for id_ in self._queued)
        query = (
            "SELECT count(*) AS n FROM sys_invocation WHERE status = 'completed'"
            f" AND completion_result = 'success' AND id IN ({ids})"
        )
        return int(post(self._ports[1], "/query", {"query": query})["rows"][0]["n"])

    def _call(self, path: str, body: int) -> Any:
        headers = {"content-type": "application/json"}
        self._ingress.request("POST", f"/contest/{path}", json.dumps(body), headers)
        answer = self._ingress.getresponse()
        said = answer.read()
        assert answer.status < 300, said[:300]
        return json.loads(said) if said else None


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        work(int(sys.argv[2]))
    else:
        serve(RestateDriver())
