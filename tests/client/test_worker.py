"""``Worker``: what it is given, what it runs, and how it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from polos import ConfigurationError, Polos, PolosClient, Worker, WorkflowContext, workflow
from polos.binding.app_factory import make_app
from polos.definition.registry import registry
from polos.definition.workflow import Workflow
from polos.worker import worker as working


class Meeting:
    """A step's function that tells how many were in it at once."""

    def __init__(self) -> None:
        self.most = self.inside = 0
        self.changed = threading.Condition()

    def __call__(self, expected: int) -> int:
        with self.changed:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.most >= expected, 30)
            # That no more of them come is known after a moment only.
            self.changed.wait_for(lambda: self.most > expected, 0.2)
            self.inside -= 1
        return self.most


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PolosClient]:
    """A client of a broker and a database in files, as a worker of the same process has."""
    monkeypatch.setenv("POLOS_HOME", str(tmp_path / "polos"))
    made = PolosClient()
    yield made
    made.close()


@pytest.fixture
def meeting() -> Meeting:
    return Meeting()


@pytest.fixture
def meet(meeting: Meeting) -> Iterator[Workflow[Any, Any]]:
    with registry.scoped():

        @workflow(id="meet")
        def meet(ctx: Any, payload: dict) -> int:
            return ctx.step.run("meet", meeting, payload["expected"])

        yield meet


@pytest.fixture
def other() -> Iterator[Workflow[Any, Any]]:
    with registry.scoped():

        @workflow(id="other")
        async def other(ctx: WorkflowContext) -> int:
            return 7

        yield other


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
    run = asyncio.create_task(worker.run())
    try:
        yield run
    finally:
        await worker.shutdown()
        await asyncio.wait_for(run, 60)


def test_it_runs_until_it_is_shut_down_and_may_run_again(
    client: PolosClient, meet: Workflow[Any, Any]
) -> None:
    async def twice() -> list[int]:
        worker = Worker(client, workflows=[meet])
        found = []
        for _ in range(2):
            async with running(worker) as run:
                found.append(await meet.run(client, {"expected": 1}, timeout=60))
                assert not run.done()
                with pytest.raises(ConfigurationError, match="runs already"):
                    await worker.run()
        return found

    assert asyncio.run(twice()) == [1, 1]


def test_it_takes_no_other_workflows(
    client: PolosClient, meet: Workflow[Any, Any], other: Workflow[Any, Any]
) -> None:
    async def start() -> Any:
        left = await other.invoke(client)
        worker = Worker(client, workflows=[meet])
        assert worker.workflows == (meet,)
        async with running(worker):
            await meet.run(client, {"expected": 1}, timeout=60)
        before = left.status()
        async with running(Worker(client, workflows=[meet, other])):
            return before, await left.result(60)

    assert asyncio.run(start()) == ("queued", 7)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("kind", ["Worker", "Polos"])
def test_it_runs_so_many_executions_at_once(
    client: PolosClient, meet: Workflow[Any, Any], meeting: Meeting, slots: int, kind: str
) -> None:
    async def start_all(asked: PolosClient) -> None:
        handles = [await meet.invoke(asked, {"expected": slots}) for _ in range(slots + 2)]
        for handle in handles:
            await handle.result(60)

    async def with_worker() -> None:
        async with running(Worker(client, workflows=[meet], max_concurrent_workflows=slots)):
            await start_all(client)

    async def with_polos() -> None:
        async with Polos(workflows=[meet], max_concurrent_workflows=slots) as polos:
            await start_all(polos)

    kinds: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "Worker": with_worker,
        "Polos": with_polos,
    }
    asyncio.run(kinds[kind]())
    assert meeting.most == slots


def test_what_does_not_end_in_time_is_taken_over(
    client: PolosClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "_STOP_SECONDS", 0.2)
    calls: list[int] = []
    begun, released = threading.Event(), threading.Event()

    def slow() -> int:
        calls.append(1)
        begun.set()
        if len(calls) == 1:
            assert released.wait(60)
        return len(calls)

    async def take_over() -> tuple[str, int, int]:
        handle = await blocked.invoke(client)
        async with running(Worker(client, workflows=[blocked])):
            assert await asyncio.to_thread(begun.wait, 60)
        before = handle.status()
        async with running(Worker(client, workflows=[blocked])):
            found = await handle.result(60)
            released.set()
        return before, found, client.get(handle.id).recoveries

    with registry.scoped():

        @workflow(id="blocked")
        def blocked(ctx: Any) -> int:
            return ctx.step.run("slow", slow)

        try:
            # At once, and not when its lease has run out: nobody had to recover it.
            assert asyncio.run(take_over()) == ("queued", 2, 0)
        finally:
            released.set()


def test_the_first_that_runs_is_the_client_of_calls_that_name_none(
    client: PolosClient, other: Workflow[Any, Any]
) -> None:
    async def nested() -> None:
        async with Polos(workflows=[other]) as first:
            async with Polos(workflows=[other]):
                assert registry.default_client() is first
                assert await other.run(timeout=60) == 7
            assert registry.default_client() is first
        assert registry.default_client() is None

    registry.set_default_client(None)
    asyncio.run(nested())


def test_its_label_is_that_of_what_comes_as_a_plain_message(
    client: PolosClient, other: Workflow[Any, Any]
) -> None:
    async def send() -> Any:
        async with running(Worker(client, deployment_id="blue", workflows=[other])):
            own = await other.invoke(client)
            await own.result(60)
            plain = make_app(client.settings)
            sent = plain.send_task("polos.other")
            found = await asyncio.to_thread(client.wait, sent.id, 60)
            return client.get(own.id).deployment_id, found.deployment_id

    assert asyncio.run(send()) == (None, "blue")


@pytest.mark.parametrize("slots", [0, -1, 1.5, "2", True])
def test_slots_that_can_not_be(client: PolosClient, other: Workflow[Any, Any], slots: Any) -> None:
    for make in (lambda **it: Worker(client, **it), Polos):
        with pytest.raises(ConfigurationError, match="max_concurrent_workflows is .* from 1 on"):
            make(workflows=[other], max_concurrent_workflows=slots)


@pytest.mark.parametrize("given", [len, [len], ["other"], 5, [None]])
def test_workflows_that_are_none(client: PolosClient, given: Any) -> None:
    for make in (lambda **it: Worker(client, **it), Polos):
        with pytest.raises(TypeError, match="workflows holds .*@workflow"):
            make(workflows=given)


def test_a_workflow_in_the_place_of_a_list(client: PolosClient, other: Workflow[Any, Any]) -> None:
    with pytest.raises(TypeError, match="pass a list"):
        Worker(client, workflows=other)


def test_a_worker_without_workflows(client: PolosClient) -> None:
    with pytest.raises(ConfigurationError, match="nothing to do"):
        Worker(client)


def test_a_client_and_an_app_that_are_none(other: Workflow[Any, Any]) -> None:
    given: Any = "shop"
    with pytest.raises(TypeError, match=r"given a str as its client; pass a PolosClient\(\)"):
        Worker(given, workflows=[other])
    with pytest.raises(TypeError, match="given a str as its app; pass a Celery app"):
        Polos(given)
