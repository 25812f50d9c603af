"""Clients of a server that is killed and started again, behind a path, and under gevent."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select

from polos import PolosClient
from polos.client.remote import line
from polos.store.schema import executions
from tests.acceptance import flows
from tests.acceptance.conftest import opened
from tests.acceptance.stacks import Stack, Workers
from tests.support.polos_server import PolosServer
from tests.support.processes import Program, until

WAITERS = 200
PROGRAMS = Path(__file__).parent


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Redis and PostgreSQL: what the server is to them does not differ from stack to stack."""
    with opened(request, "servers") as made:
        yield made


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[PolosServer]:
    with PolosServer(stack.database, stack.broker, env=stack.env) as server:
        yield server


@pytest.fixture(scope="module")
def _worker(stack: Stack, workers: Workers) -> None:
    workers("threads", 8)


@pytest.fixture
def client(server: PolosServer, stack: Stack) -> Iterator[PolosClient]:
    made = PolosClient(api_url=server.start().url)
    yield made
    made.close()


class Starter:
    """Starts one execution after the other, whatever becomes of the server."""

    def __init__(self, client: PolosClient) -> None:
        self.label = str(uuid4())
        self.ids: list[str] = []
        self._client = client
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.error: Exception | None = None

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                handle = flows.quick.start(self._client, session_id=self.label)
            except Exception as error:
                self.error = error
                return
            self.ids.append(handle.id)

    def begin(self) -> None:
        self._thread.start()

    def goes_on(self) -> bool:
        """Whether more is started than now."""
        before = len(self.ids)
        return bool(until(lambda: self.error or len(self.ids) > before + 5, 60))

    def end(self) -> None:
        self._stopping.set()
        self._thread.join(60)
        if self.error is not None:
            raise self.error


@pytest.mark.usefixtures("_worker")
def test_a_server_that_is_killed_costs_no_result_and_starts_nothing_twice(
    stack: Stack, server: PolosServer, client: PolosClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long this machine takes to start it again.
    monkeypatch.setattr(line, "PATIENCE", 100.0)
    starter = Starter(client)

    async def wait_for_all() -> list[str]:
        rests = [
            flows.rest.run(
                client, flows.Rest(seconds=0.05 * (number + 1)), session_id=starter.label
            )
            for number in range(WAITERS)
        ]
        waits = [asyncio.ensure_future(it) for it in rests]
        starter.begin()
        for _ in range(3):
            await asyncio.to_thread(starter.goes_on)
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(server.start)
        await asyncio.to_thread(starter.goes_on)
        found = await asyncio.wait_for(asyncio.gather(*waits), 120)
        await asyncio.to_thread(starter.end)
        return found

    assert asyncio.run(wait_for_all()) == ["rested"] * WAITERS
    assert len(starter.ids) > 20
    direct = stack.client()
    for id_ in starter.ids:
        direct.wait(id_, 60)
    mine = executions.c.session_id == starter.label
    rows = direct.bound.store.database.run(select(executions.c.id).where(mine))
    assert len(rows) == WAITERS + len(starter.ids)
    assert {row.id for row in rows} > set(starter.ids)
    assert all(stack.ledger.runs(id_) == {"only": 1} for id_ in starter.ids)
    direct.close()


@pytest.mark.usefixtures("_worker")
def test_who_waits_while_the_server_is_away_is_told_soon_after_it_is_back(
    stack: Stack, server: PolosServer, client: PolosClient
) -> None:
    handle = flows.rest.start(client, flows.Rest(seconds=1))
    found: list[str] = []
    waiting = threading.Thread(target=lambda: found.append(handle.result_sync(90)))
    waiting.start()
    server.stop()
    direct = stack.client()
    direct.wait(handle.id, 60)
    direct.close()
    server.start()
    began = time.monotonic()
    waiting.join(60)
    assert found == ["rested"]
    assert time.monotonic() - began < 30


@pytest.mark.usefixtures("_worker")
def test_greenlets_go_by_way_of_a_server_and_do_not_hold_up_each_other(
    stack: Stack, server: PolosServer
) -> None:
    args = [sys.executable, PROGRAMS / "remote_greenlets.py", server.start().url]
    log = stack.folder / "greenlets.log"
    with Program(args, log=log, cwd=stack.folder, env=stack.env) as greenlets:
        assert greenlets.wait(90) == 0, greenlets.tail()
        values, listed, ticks, _ = json.loads(greenlets.text().splitlines()[-1])
    assert values == ["rested"] * 20
    assert listed == 20
    assert ticks > 10


@pytest.mark.usefixtures("_worker")
def test_a_server_behind_a_path(stack: Stack) -> None:
    options = ("--url_prefix=flows",)
    with PolosServer(stack.database, stack.broker, env=stack.env, options=options) as server:
        assert server.url.endswith("/flows")
        client = PolosClient(api_url=server.url + "/")
        assert flows.quick.run_sync(client, timeout=60) == "done"
        client.close()
