"""``Worker``: runs workflows until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from polos.binding.app_factory import make_app
from polos.binding.bound import Bound
from polos.definition.names import check_text
from polos.definition.workflow import Workflow
from polos.errors import ConfigurationError
from polos.worker.arguments import registry_of, slots_of
from polos.worker.client import PolosClient
from polos.worker.server_check import compare_with_server
from polos.worker.thread_worker import ThreadWorker

log = logging.getLogger("polos.worker")

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


class Worker:
    """A real Celery worker in this process, with the threads pool.

    Its broker and store are the client's: from the environment, or the nearest ``.polos/``. So are
    they where the client speaks to a server (``api_url``): a worker does not run its workflows by
    way of it, and needs the database and the broker that the server has. Whether it has the same is
    asked of the server; where not, a warning says so. For more than one process run
    ``celery -A polos.celery_app worker`` instead.

    Args:
        client: whose broker, store and project it serves.
        deployment_id: the label of executions that it writes for programs without Polos, whose
            messages come to it; by default that of the client.
        workflows: those that it runs; it takes no others.
        max_concurrent_workflows: executions at once; by default the number of processors, at
            least 4.

    Raises:
        ConfigurationError: there are no workflows, or ``max_concurrent_workflows`` is no whole
            number from 1 on.
        TypeError: ``client`` is no ``PolosClient``, or one of the workflows none.

    Example::

        worker = Worker(client=PolosClient(), workflows=[simple_workflow])
        await worker.run()
    """

    def __init__(
        self,
        client: PolosClient,
        deployment_id: str | None = None,
        workflows: Sequence[Workflow[Any, Any]] = (),
        max_concurrent_workflows: int | None = None,
    ) -> None:
        if not isinstance(client, PolosClient):
            raise TypeError(
                f"a worker was given a {type(client).__name__} as its client; pass a PolosClient()"
            )
        self._known = registry_of(workflows)
        self._workflows = self._known.all()
        if not self._workflows:
            raise ConfigurationError("a worker without workflows has nothing to do; name some")
        self._client = client
        self._deployment_id = check_text("deployment_id", deployment_id)
        self._slots = slots_of(max_concurrent_workflows)
        self._stopping = asyncio.Event()
        self._running = False

    @property
    def workflows(self) -> tuple[Workflow[Any, Any], ...]:
        """The workflows that this worker runs."""
        return self._workflows

    async def run(self) -> None:
        """Run until ``shutdown`` is called, or the process is told to end (SIGINT, SIGTERM).

        What runs then is given time to finish; what doesn't is taken over by another worker.

        Raises:
            StoreUnavailable: the database can't be reached.
            SchemaError: the database has an older schema, or none.
            ConfigurationError: it runs already.
        """
        if self._running:
            raise ConfigurationError("this worker runs already")
        self._running = True
        self._stopping.clear()
        loop = asyncio.get_running_loop()
        bound = await asyncio.to_thread(self._bind)
        thread = ThreadWorker(
            bound.app,
            self._slots,
            f"polos-{uuid4().hex[:8]}@{os.uname().nodename}",
            bound.hand_on,
            queues=self._queues(bound),
            on_exit=lambda: _set_from_thread(loop, self._stopping),
        )
        try:
            with _stopped_by_signals(loop, self._stopping):
                await asyncio.to_thread(thread.start, _START_SECONDS)
                log.info("worker ready: %s", ", ".join(flow.id for flow in self._workflows))
                async with self._compared_with_server(bound):
                    await self._stopping.wait()
                # What runs may take long to end, and whoever pressed Ctrl-C sees nothing else.
                log.info("the worker ends, as soon as what it runs has finished or is handed on")
        finally:
            bound.stopping.raise_()
            await asyncio.to_thread(thread.stop, _STOP_SECONDS)
            await asyncio.to_thread(bound.close)
            self._running = False

    async def shutdown(self) -> None:
        """Take no more work, finish what runs, and let ``run`` return.

        Example::

            running = asyncio.create_task(worker.run())
            ...
            await worker.shutdown()
            await running
        """
        self._stopping.set()

    @contextlib.asynccontextmanager
    async def _compared_with_server(self, bound: Bound) -> AsyncIterator[None]:
        """Ask the server meanwhile whether it sees this worker, where there is one."""
        remote, ids = self._client.remote, [flow.id for flow in self._workflows]
        if remote is None:
            yield
            return
        asked = asyncio.ensure_future(compare_with_server(remote, ids, lambda: _place(bound)))
        try:
            yield
        finally:
            asked.cancel()

    def _bind(self) -> Bound:
        settings = self._client.settings
        if self._deployment_id is not None:
            settings = replace(settings, deployment_id=self._deployment_id)
        bound = Bound(make_app(settings), settings, self._known)
        bound.store.known_workflows()
        return bound

    def _queues(self, bound: Bound) -> list[str]:
        own = {workflow.queue for workflow in self._workflows if workflow.queue}
        return [bound.app.conf.task_default_queue, *sorted(own)]


def _place(bound: Bound) -> str:
    return f"{bound.store.database.url}, project {bound.settings.project_id!r}"


def _set_from_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(event.set)


@contextlib.contextmanager
def _stopped_by_signals(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> Iterator[None]:
    """Let SIGINT and SIGTERM stop the worker, where this thread may handle signals."""
    handled = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stopping.set)
            handled.append(number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
