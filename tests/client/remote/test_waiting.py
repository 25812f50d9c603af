"""Waiting for many ends on few connections, from threads, loops and processes."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from polos import AccessDenied, RequestRefused, ServerError, ServerUnavailable, WorkflowTimeoutError
from polos.client.remote import Address, RemoteClient, waiting
from polos.model.states import Status
from tests.client.remote.server import Asked, Cut, FakeServer, Told, served
from tests.client.remote.test_line import execution, shown
from tests.support.processes import until


class Ends:
    """A server that answers as soon as one of those that are asked for has ended."""

    def __init__(self) -> None:
        self.ended: set[str] = set()
        self.trouble: Callable[[Asked], Told] | None = None
        self.poll_seconds = 30.0
        self._changed = threading.Condition()

    def end(self, *ids: str) -> None:
        with self._changed:
            self.ended |= set(ids)
            self._changed.notify_all()

    def __call__(self, asked: Asked) -> Told:
        if self.trouble is not None:
            return self.trouble(asked)
        assert asked.path == "/api/polos/executions/wait"
        ids = asked.body["ids"]
        assert 0 < len(ids) <= 500
        assert len(set(ids)) == len(ids)
        with self._changed:
            seconds = min(self.poll_seconds, asked.body["timeout"])
            self._changed.wait_for(lambda: self.ended & set(ids), seconds)
            found = sorted(self.ended & set(ids))
        return Told(200, {"items": [shown(execution(id_, Status.COMPLETED)) for id_ in found]})


@pytest.fixture
def ends() -> Ends:
    return Ends()


@pytest.fixture
def server(ends: Ends) -> Iterator[FakeServer]:
    with served(ends) as server:
        yield server
        ends.end(*(f"e{number}" for number in range(10)))


@pytest.fixture
def client(server: FakeServer) -> Iterator[RemoteClient]:
    made = RemoteClient(Address.of(server.url))
    yield made
    made.close()


def asked_ids(server: FakeServer) -> set[str]:
    return {id_ for asked in server.asked for id_ in asked.body["ids"]}


def test_an_end_is_told_from_a_thread_and_from_a_loop(client: RemoteClient, ends: Ends) -> None:
    ends.end("e1", "e2")
    assert client.wait("e1", 10).id == "e1"
    assert asyncio.run(client.wait_async("e2", None)).status is Status.COMPLETED


def test_who_waits_too_long_is_told_so(client: RemoteClient, server: FakeServer) -> None:
    with pytest.raises(WorkflowTimeoutError) as caught:
        client.wait("e1", 0.05)
    assert str(caught.value) == str(WorkflowTimeoutError("e1", 0.05))
    with pytest.raises(WorkflowTimeoutError):
        asyncio.run(client.wait_async("e2", 0.05))
    # Nobody waits any more, so nothing is asked.
    until(lambda: server.held == 0, 30)


def test_no_connection_is_left_behind_by_those_who_give_up_soon(
    client: RemoteClient, server: FakeServer
) -> None:
    for number in range(100):
        with pytest.raises(WorkflowTimeoutError):
            client.wait("e1", 0.0001 * number)
    until(lambda: server.held == 0, 30)


def test_two_who_wait_for_one_are_both_told(client: RemoteClient, ends: Ends) -> None:
    with ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(client.wait, "e1", 30) for _ in range(2)]
        ends.end("e1")
        assert [it.result().id for it in futures] == ["e1", "e1"]


def test_thousands_wait_on_few_connections(
    client: RemoteClient, server: FakeServer, ends: Ends
) -> None:
    ids = [f"m{number}" for number in range(3000)]

    async def wait_for_all() -> list[str]:
        waits = [asyncio.ensure_future(client.wait_async(id_, 60)) for id_ in ids]
        await asyncio.to_thread(until, lambda: asked_ids(server) == set(ids), 30)
        # Six questions at the least, and three more.
        await asyncio.to_thread(until, lambda: server.held <= 9, 30)
        for begin in range(0, 3000, 300):
            ends.end(*ids[begin : begin + 300])
            await asyncio.sleep(0)
        return [it.id for it in await asyncio.gather(*waits)]

    assert asyncio.run(wait_for_all()) == ids
    assert len(server.asked) < 500


def test_who_comes_later_is_asked_for_at_once_and_not_on_one_more_connection(
    client: RemoteClient, server: FakeServer, ends: Ends
) -> None:
    async def come_one_by_one() -> list[str]:
        waits = []
        for number in range(60):
            waits.append(asyncio.ensure_future(client.wait_async(f"e{number}", 60)))
            wanted = {f"e{it}" for it in range(number + 1)}
            await asyncio.to_thread(until, lambda it=wanted: asked_ids(server) == it, 30, 0.001)
        ends.end("e59")
        assert (await waits[59]).id == "e59"
        await asyncio.to_thread(until, lambda: server.held <= 6, 30)
        ends.end(*(f"e{number}" for number in range(60)))
        return [it.id for it in await asyncio.gather(*waits)]

    assert len(asyncio.run(come_one_by_one())) == 60
    # Together, small questions are asked again a few times each, not each time.
    assert sum(len(asked.body["ids"]) for asked in server.asked) < 60 * 12


def test_a_poll_without_an_end_is_followed_by_another(
    client: RemoteClient, server: FakeServer, ends: Ends
) -> None:
    ends.poll_seconds = 0.01
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(client.wait, "e1", 30)
        until(lambda: len(server.asked) > 3, 30)
        ends.end("e1")
        assert future.result().id == "e1"


def test_a_server_that_answers_at_once_is_not_asked_all_the_time(
    client: RemoteClient, server: FakeServer, ends: Ends
) -> None:
    ends.poll_seconds = 0
    with pytest.raises(WorkflowTimeoutError):
        client.wait("e1", 1.0)
    assert len(server.asked) < 12


def test_an_error_that_nobody_thought_of_is_told(
    client: RemoteClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def confused(_: Any) -> Any:
        raise ZeroDivisionError("confused")

    monkeypatch.setattr(waiting.wire, "executions_in", confused)
    monkeypatch.setattr(waiting, "_POLL", 0.0)
    with pytest.raises(ZeroDivisionError):
        client.wait("e1", 30)


@pytest.mark.parametrize("trouble", [Cut, 502, 503, 500])
def test_a_server_that_is_away_for_a_while_is_asked_again(
    trouble: Any, client: RemoteClient, server: FakeServer, ends: Ends
) -> None:
    def troubled(_: Asked) -> Told:
        if trouble is Cut:
            raise Cut
        return Told(trouble, {"code": "Trouble", "detail": "restarting"})

    ends.trouble = troubled
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(client.wait, "e1", 60)
        until(lambda: len(server.asked) > 2, 30)
        with pytest.raises(WorkflowTimeoutError, match=r"\(the (Polos )?server http://127"):
            client.wait("e2", 0.5)
        ends.trouble = None
        ends.end("e1")
        assert future.result().id == "e1"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AccessDenied), (403, AccessDenied), (404, RequestRefused), (422, RequestRefused)],
)
def test_what_will_not_change_is_told_at_once(
    status: int, kind: type[Exception], client: RemoteClient, server: FakeServer, ends: Ends
) -> None:
    ends.trouble = lambda _: Told(status, {"code": "No", "detail": "because"})
    with pytest.raises(kind, match="because"):
        client.wait("e1", 30)
    assert len(server.asked) == 1


def test_an_error_of_the_server_that_does_not_pass_is_told(
    client: RemoteClient, server: FakeServer, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_SHORTEST_PAUSE", 0.001)
    ends.trouble = lambda _: Told(500, {"code": "InternalError", "detail": "broken"})
    with pytest.raises(ServerError, match="broken"):
        client.wait("e1", None)
    assert len(server.asked) == waiting._MOST_ERRORS


def test_who_waits_when_the_client_is_closed_is_told_so(
    client: RemoteClient, server: FakeServer, ends: Ends
) -> None:
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(client.wait, "e1", 30)
        until(lambda: server.asked, 30)
        client.close()
        with pytest.raises(ServerUnavailable, match="the client was closed"):
            future.result()
    ends.end("e1")
    assert client.wait("e1", 10).id == "e1"


def test_several_loops_and_threads_use_one_client(client: RemoteClient, ends: Ends) -> None:
    ids = [f"t{number}" for number in range(40)]

    def in_a_loop(id_: str) -> str:
        return asyncio.run(client.wait_async(id_, 30)).id

    with ThreadPoolExecutor(40) as threads:
        futures = [
            threads.submit(in_a_loop if number % 2 else lambda it: client.wait(it, 30).id, id_)
            for number, id_ in enumerate(ids)
        ]
        ends.end(*ids)
        assert [it.result() for it in futures] == ids


def test_a_forked_process_asks_on_connections_of_its_own(
    client: RemoteClient, server: FakeServer, ends: Ends
) -> None:
    ends.end("e1")
    client.wait("e1", 10)
    with ThreadPoolExecutor(1) as threads:
        parent = threads.submit(client.wait, "e2", 30)
        until(lambda: "e2" in asked_ids(server), 30)
        child = os.fork()
        if child == 0:
            code = 1
            with suppress(BaseException):
                code = 0 if client.wait("e1", 20).id == "e1" else 2
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        ends.end("e2")
        assert parent.result().id == "e2"
