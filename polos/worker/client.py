"""``PolosClient``: starts workflows from programs that don't run them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from polos.binding.app_factory import make_app
from polos.binding.bound import Bound
from polos.client.remote import Address, RemoteClient
from polos.codec import encode_payload
from polos.definition.batch import BatchWorkflowInput
from polos.definition.handle import ExecutionHandle
from polos.definition.names import check_execution_id, check_seconds, check_tags, check_text
from polos.definition.registry import registry
from polos.errors import ConfigurationError, InvalidPayload
from polos.model.ports import ProjectClient, StartRequest
from polos.model.records import Execution
from polos.model.settings import Settings
from polos.worker.control import Control


class PolosClient(Control):
    """Starts executions, reads them, waits for their ends.

    With ``api_url`` it speaks to a Polos server (``polos server start``), and needs neither the
    database nor the broker. Without, it speaks to both itself: they come from
    ``POLOS_DATABASE_URL`` and ``POLOS_BROKER_URL``, or are the embedded ones in the nearest
    ``.polos/``. Methods, results and errors are the same; only what is part of a database
    transaction or of a Celery app (``connection=``, ``wf.delay``, ``wf.s``) needs the latter.
    Nothing is opened before the first call. One client serves any number of threads and loops.

    A server that is away for some seconds, as while it is restarted, is asked again; what is
    started then is started once.

    Args:
        project_id: the namespace in the store; ``POLOS_PROJECT_ID``, else that of the key, or
            ``default``.
        api_url: the address of a Polos server, such as ``https://polos.example.org``, with a path
            where it has one; ``POLOS_API_URL`` by default. An empty text means none.
        api_key: the key for that server, which ``polos keys`` makes; ``POLOS_API_KEY`` by default.
        deployment_id: a label for the executions that it starts.

    Raises:
        ConfigurationError: ``api_url`` is no address, or ``api_key`` can't be a key.

    Example::

        client = PolosClient(project_id="shop", api_url="http://localhost:8080")
        result = await simple_workflow.run(client, SimplePayload(name="Ada"))
    """

    def __init__(
        self,
        project_id: str | None = None,
        api_url: str | None = None,
        api_key: str | None = None,
        deployment_id: str | None = None,
        *,
        settings: Settings | Callable[[], Settings] | None = None,
        bound: Bound | None = None,
    ) -> None:
        self._settings = settings or Settings.load(
            project_id=project_id, deployment_id=deployment_id
        )
        if api_url is None and settings is None and bound is None:
            api_url = os.environ.get("POLOS_API_URL")
        self._remote = self._remote_of(api_url, api_key, project_id) if api_url else None
        self._bound = bound
        self._binding = threading.Lock()

    @property
    def settings(self) -> Settings:
        """The settings; those of a Celery app are read at their first use."""
        if not isinstance(self._settings, Settings):
            self._settings = self._settings()
        return self._settings

    @property
    def project_id(self) -> str:
        """The namespace whose executions this client sees."""
        return self.settings.project_id

    @property
    def max_value_bytes(self) -> int:
        """The largest encoded payload or state that may be kept."""
        return self.settings.max_value_bytes

    @property
    def bound(self) -> Bound:
        """The Celery app and the store that this client uses, made at the first use.

        Raises:
            ConfigurationError: it speaks to a server, and has neither.
        """
        if self._remote is not None:
            raise ConfigurationError(
                f"this client speaks to the server {self._remote.url}, and has no Celery app or "
                "database of its own: start with wf.start(client, …), wf.run(client, …) or "
                "client.invoke(…); what Celery itself is to send (wf.delay, wf.s) needs Polos(app)"
            )
        if self._bound is None:
            with self._binding:
                if self._bound is None:
                    self._bound = self._make_bound()
        return self._bound

    def _make_bound(self) -> Bound:
        return Bound(make_app(self.settings), self.settings)

    @property
    def remote(self) -> RemoteClient | None:
        """What speaks to the server; None where there is none."""
        return self._remote

    @property
    def _way(self) -> ProjectClient:
        return self.bound.client if self._remote is None else self._remote

    def _remote_of(self, api_url: str, api_key: str | None, project_id: str | None) -> RemoteClient:
        key = os.environ.get("POLOS_API_KEY") if api_key is None else api_key
        project = project_id or os.environ.get("POLOS_PROJECT_ID") or None
        return RemoteClient(Address.of(api_url, key), project, self.settings.deployment_id or None)

    def task_of(self, workflow_id: str) -> Any:
        """The Celery task of a workflow; what ``wf.delay`` and ``wf.s`` use.

        Raises:
            ConfigurationError: the workflow is none of this client's app.
        """
        return self.bound.task_of(workflow_id)

    def start(self, request: StartRequest) -> Execution:
        """Write an execution and send its hint; what ``wf.start`` calls."""
        return self._way.start(request)

    def get(self, execution_id: str) -> Execution:
        """The stored execution; raises ExecutionNotFound."""
        return self._way.get(check_execution_id(execution_id))

    def cancel(self, execution_id: str) -> bool:
        """Cancel an execution and its children; False where it had ended already."""
        return self._way.cancel(check_execution_id(execution_id))

    def wait(self, execution_id: str, timeout: float | None = None) -> Execution:
        """Block until an execution has ended; raises WorkflowTimeoutError."""
        # Longer than a thread can wait is for ever.
        ever = timeout is None or timeout > threading.TIMEOUT_MAX
        return self._way.wait(execution_id, None if ever else timeout)

    def wait_async(self, execution_id: str, timeout: float | None = None) -> Awaitable[Execution]:
        """The same without blocking the running loop."""
        return self._way.wait_async(execution_id, timeout)

    async def invoke(  # noqa: PLR0913
        self,
        workflow_id: str,
        payload: Any = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        *,
        idempotency_key: str | None = None,
        execution_id: str | None = None,
        run_timeout_seconds: float | None = None,
        tags: Sequence[str] = (),
    ) -> ExecutionHandle[Any]:
        """Start a workflow by its id.

        The payload is validated here where the workflow's code is here, else by the worker.

        Example::

            handle = await client.invoke("order_processor", {"id": "a1"}, session_id="s1")
            receipt = await handle.result(timeout=60)

        Args:
            workflow_id: the workflow's id.
            payload: a model or a dict that fits its annotation, or None.
            queue: the Celery queue; by default the workflow's own.
            concurrency_key: a label; nothing is limited by it yet.
            session_id: a label, ``ctx.session_id``.
            user_id: a label, ``ctx.user_id``.
            idempotency_key: a second start with the same key gives the first execution.
            execution_id: an id of your own; by default a new one.
            run_timeout_seconds: the most seconds that the execution may take; by default the
                workflow's ``timeout_seconds``.
            tags: at most 32 labels to list it by.

        Raises:
            WorkflowNotFound: neither this process nor any worker knows the workflow.
            TypeError: the id is no text, or the payload no model, dict or None.
            InvalidPayload: the payload doesn't fit.
            ValueError: a label is too long, or holds what no database keeps.
            ExecutionExists: the chosen id is taken.
            StoreUnavailable: the database, or the server, can't be reached.
        """
        request = replace(
            self._request(workflow_id, payload, session_id, user_id, idempotency_key),
            concurrency_key=check_text("concurrency_key", concurrency_key, empty=False),
            execution_id=check_text("execution_id", execution_id, empty=False),
            tags=check_tags(tags),
        )
        limit = check_seconds("run_timeout_seconds", run_timeout_seconds)
        if limit is not None:
            request = replace(request, run_timeout_seconds=limit)
        if queue is not None:
            request = replace(request, queue=check_text("queue", queue, empty=False))
        return self._handle(await asyncio.to_thread(self.start, request))

    async def batch_invoke(
        self,
        workflows: Sequence[BatchWorkflowInput],
        session_id: str | None = None,
        user_id: str | None = None,
    ) -> list[ExecutionHandle[Any]]:
        """Start many workflows at once: all of them, or none.

        They are written in one transaction, and their messages sent together, before this returns.
        A server takes 5,000 at once, and eight times ``polos_max_value_bytes`` (32 MiB) for all of
        them; more is a ``RequestRefused``.

        Example::

            handles = await client.batch_invoke(
                [BatchWorkflowInput("ship", Parcel(id=order.id)) for order in orders]
            )
            results = [await handle.result() for handle in handles]

        Args:
            workflows: the workflows' ids and their payloads.
            session_id: a label of each, ``ctx.session_id``.
            user_id: a label of each, ``ctx.user_id``.

        Returns:
            Their handles, in the same order.

        Raises:
            WorkflowNotFound: neither this process nor any worker knows one of the workflows.
            TypeError: one of them is no ``BatchWorkflowInput``, its id no text, or its payload no
                model, dict or None; the text names its place.
            InvalidPayload: a payload doesn't fit; the text names its place.
            ValueError: a label is too long, or holds what no database keeps.
        """
        return await asyncio.to_thread(self._start_batch, list(workflows), session_id, user_id)

    def close(self) -> None:
        """Close connections; the client can be used again."""
        if self._remote is not None:
            self._remote.close()
        if self._bound is not None:
            self._bound.close()
            self._bound = None

    def _start_batch(
        self, inputs: list[BatchWorkflowInput], session_id: str | None, user_id: str | None
    ) -> list[ExecutionHandle[Any]]:
        requests = [
            self._batch_request(number, given, session_id, user_id)
            for number, given in enumerate(inputs)
        ]
        return [self._handle(it) for it in self._way.start_many(requests)]

    def _batch_request(
        self, number: int, given: BatchWorkflowInput, session_id: str | None, user_id: str | None
    ) -> StartRequest:
        try:
            if not isinstance(given, BatchWorkflowInput):
                raise TypeError(f"a {type(given).__name__} is no BatchWorkflowInput")
            request = self._request(
                given.id, given.payload, session_id, user_id, given.idempotency_key
            )
            return replace(request, tags=check_tags(given.tags))
        except TypeError as error:
            raise TypeError(f"input {number} of the batch: {error}") from error
        except ValueError as error:
            raise InvalidPayload(f"input {number} of the batch: {error}") from error

    def _request(
        self,
        workflow_id: str,
        payload: Any,
        session_id: str | None,
        user_id: str | None,
        idempotency_key: str | None,
    ) -> StartRequest:
        """The start of a workflow as it is declared, where its code is here."""
        if not isinstance(workflow_id, str):
            raise TypeError(
                f"a workflow's id is of type {type(workflow_id).__name__}; pass a str, such as "
                "order_workflow.id"
            )
        known, limit = registry.get(workflow_id), self.settings.max_value_bytes
        data = known.encode_payload(payload, limit) if known else encode_payload(payload, limit)
        return StartRequest(
            workflow_id,
            data,
            queue=known.queue if known else None,
            priority=known.celery_options.get("priority") if known else None,
            session_id=check_text("session_id", session_id),
            user_id=check_text("user_id", user_id),
            idempotency_key=check_text("idempotency_key", idempotency_key, empty=False),
            run_timeout_seconds=known.timeout_seconds if known else None,
        )

    def _handle(self, execution: Execution) -> ExecutionHandle[Any]:
        known = registry.get(execution.workflow_id)
        return ExecutionHandle.of(execution, self, known.result_type if known else Any)
