"""``PolosClient``: starts workflows from programs that don't run them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from typing import Any

from polos.binding.app_factory import make_app
from polos.binding.bound import Bound
from polos.codec import encode_payload
from polos.definition.handle import ExecutionHandle
from polos.definition.names import check_text
from polos.definition.registry import registry
from polos.errors import ConfigurationError
from polos.model.ports import StartRequest
from polos.model.records import Execution
from polos.model.settings import Settings


class PolosClient:
    """Starts executions, reads them, waits for their ends.

    It speaks to the store and the broker directly; they come from ``POLOS_DATABASE_URL`` and
    ``POLOS_BROKER_URL``, or are the embedded ones in the nearest ``.polos/``. Nothing is opened
    before the first call.

    Args:
        project_id: the namespace in the store; ``POLOS_PROJECT_ID`` or ``default``.
        api_url: the address of a Polos server.
        api_key: the key for that server.
        deployment_id: a label for the executions that it starts.

    Raises:
        ConfigurationError: ``api_url`` is given; there is no server yet.

    Example::

        client = PolosClient(project_id="shop")
        result = await simple_workflow.run(client, SimplePayload(name="Ada"))
    """

    def __init__(
        self,
        project_id: str | None = None,
        api_url: str | None = None,
        api_key: str | None = None,
        deployment_id: str | None = None,
        *,
        settings: Settings | None = None,
        bound: Bound | None = None,
    ) -> None:
        if api_url or os.environ.get("POLOS_API_URL"):
            raise ConfigurationError(
                "api_url (or POLOS_API_URL) is set, but this release has no server to speak to: "
                "leave it out and set POLOS_DATABASE_URL and POLOS_BROKER_URL instead, or neither "
                "for the embedded ones"
            )
        self.settings = settings or Settings.load(
            project_id=project_id, deployment_id=deployment_id
        )
        self._bound = bound

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
        """The Celery app and the store that this client uses, made at the first use."""
        if self._bound is None:
            self._bound = Bound(make_app(self.settings), self.settings)
        return self._bound

    def start(self, request: StartRequest) -> Execution:
        """Write an execution and send its hint; what ``wf.start`` calls."""
        return self.bound.client.start(request)

    def get(self, execution_id: str) -> Execution:
        """The stored execution; raises ExecutionNotFound."""
        return self.bound.client.get(execution_id)

    def cancel(self, execution_id: str) -> bool:
        """Cancel an execution and its children; False where it had ended already."""
        return self.bound.client.cancel(execution_id)

    def wait(self, execution_id: str, timeout: float | None = None) -> Execution:
        """Block until an execution has ended; raises WorkflowTimeoutError."""
        return self.bound.client.wait(execution_id, timeout)

    def wait_async(self, execution_id: str, timeout: float | None = None) -> Awaitable[Execution]:
        """The same without blocking the running loop."""
        return self.bound.client.wait_async(execution_id, timeout)

    async def invoke(
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
    ) -> ExecutionHandle[Any]:
        """Start a workflow by its id.

        The payload is validated here where the workflow's code is here, else by the worker.

        Raises:
            WorkflowNotFound: neither this process nor any worker knows the workflow.
            InvalidPayload: the payload doesn't fit.
            ValueError: a label is too long, or holds what no database keeps.
        """
        known = registry.get(workflow_id)
        limit = self.settings.max_value_bytes
        data = known.encode_payload(payload, limit) if known else encode_payload(payload, limit)
        request = StartRequest(
            workflow_id,
            data,
            queue=check_text("queue", queue, empty=False) or (known.queue if known else None),
            concurrency_key=check_text("concurrency_key", concurrency_key, empty=False),
            session_id=check_text("session_id", session_id),
            user_id=check_text("user_id", user_id),
            idempotency_key=check_text("idempotency_key", idempotency_key, empty=False),
            execution_id=check_text("execution_id", execution_id, empty=False),
        )
        execution = await asyncio.to_thread(self.start, request)
        result_type = known.result_type if known else Any
        return ExecutionHandle.of(execution, self, result_type)

    async def get_execution(self, execution_id: str) -> dict[str, Any]:
        """A snapshot of an execution as plain data; raises ExecutionNotFound."""
        execution = await asyncio.to_thread(self.get, execution_id)
        return await ExecutionHandle.of(execution, self, Any).get(self)

    async def cancel_execution(self, execution_id: str) -> bool:
        """Cancel an execution and its children; False where it had ended already."""
        return await asyncio.to_thread(self.cancel, execution_id)

    def close(self) -> None:
        """Close connections; the client can be used again."""
        if self._bound is not None:
            self._bound.close()
            self._bound = None
