"""The same as the direct client, over HTTP."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from polos.client import wire
from polos.client.remote.address import Address
from polos.client.remote.background import background
from polos.client.remote.line import Answer, Line, Request, post
from polos.client.remote.waiting import Waiting
from polos.definition.names import check_workflow_id
from polos.definition.registry import registry
from polos.errors import (
    ConfigurationError,
    ExecutionExists,
    ExecutionNotFound,
    WorkflowNotFound,
)
from polos.model.listing import ExecutionPage, ExecutionQuery
from polos.model.ports import StartRequest
from polos.model.records import Execution, Progress
from polos.model.states import Status

_DAY = 86_400.0
# As it stands, without its steps.
_AT_ONCE = (("timeout", "0"),)
# Seconds in which much may be written or deleted.
_LONG = 600.0
# Seconds for what is only good to know.
_SHORT = 3.0


class RemoteClient:
    """Starts executions and reads them, by way of a Polos server.

    Args:
        address: of the server, with the key for it.
        project_id: the project; None for that of the key, or the server's own.
        deployment_id: the label that its executions get.
    """

    def __init__(
        self,
        address: Address,
        project_id: str | None = None,
        deployment_id: str | None = None,
    ) -> None:
        self._address = address
        self._project_id = project_id
        self._deployment_id = deployment_id
        self._line = Line(background, address, project_id)
        # By process: a child waits for nothing that its parent waits for.
        self._waiting: dict[int, Waiting] = {}

    @property
    def url(self) -> str:
        """The server's address, as it may be shown."""
        return self._address.url

    @property
    def project_id(self) -> str:
        """The namespace whose executions this client sees."""
        return self._project_id or "default"

    @property
    def is_open(self) -> bool:
        """Whether the server has been asked for anything."""
        return os.getpid() in self._waiting

    def start(self, request: StartRequest) -> Execution:
        """Start an execution; one whose answer is lost is asked for again, under the same id.

        Raises:
            ConfigurationError: it is to be part of a transaction.
            WorkflowNotFound: neither this process nor any worker knows the workflow.
            ExecutionExists: the chosen id is taken.
            ServerUnavailable: the server can't be reached; nothing was started, unless the error
                is ``uncertain``.
        """
        body = wire.start_json(self._named(request))
        path = ("workflows", request.workflow_id, "executions")
        answer = self._started([request], post(path, body))
        if answer.status == 200 and not answer.repeated and _wants_new(request):
            raise ExecutionExists(request.execution_id or "")
        return wire.execution_in(answer.data)

    def start_many(self, requests: Sequence[StartRequest]) -> list[Execution]:
        """Start executions, all or none; the errors are those of ``start``."""
        if not requests:
            return []
        body = {"items": [wire.start_json(self._named(request)) for request in requests]}
        asked = post(("executions",), body, answer=_LONG)
        return wire.executions_in(self._started(requests, asked).data)

    def get(self, execution_id: str) -> Execution:
        """The stored execution; raises ExecutionNotFound."""
        path = _execution(execution_id, "result")
        return wire.execution_in(self._ask(Request("GET", path, query=_AT_ONCE)).data)

    def cancel(self, execution_id: str) -> bool:
        """Cancel an execution and its children; False where it had ended already."""
        answer = self._ask(post(_execution(execution_id, "cancel"), {}))
        cancelled = wire.member(answer.data, "cancelled", bool)
        if not cancelled and answer.repeated:
            # Maybe by the try before.
            return self.get(execution_id).status is Status.CANCELLED
        return cancelled

    def list_executions(self, query: ExecutionQuery) -> ExecutionPage:
        """One page of a list."""
        asked = Request("GET", ("executions",), query=wire.query_items(query))
        return wire.page_of(self._ask(asked).data)

    def progress(self, execution_id: str) -> tuple[Execution, Progress]:
        """An execution and how far it has come; raises ExecutionNotFound."""
        data = self._ask(Request("GET", _execution(execution_id))).data
        return wire.execution_in(data), wire.progress_in(data)

    def retry(self, execution_id: str) -> Execution:
        """Try a failed execution again, from where it failed.

        Raises:
            ExecutionNotFound: there is none of that id.
            IllegalTransition: it has not failed.
        """
        path = _execution(execution_id, "retry")
        return wire.execution_in(self._ask(post(path, {}, repeatable=False)).data)

    def fork(self, execution_id: str, from_step: str | None, payload: bytes | None) -> Execution:
        """Start an execution with what another one had recorded before one of its steps.

        Raises:
            ExecutionNotFound: there is none of that id.
            StepNotFound: it has no such step.
        """
        body: dict[str, Any] = {"execution_id": str(uuid4())}
        if from_step is not None:
            body["from_step"] = from_step
        if payload is not None:
            body["encoded_payload"] = wire.text_of(payload)
        asked = post(_execution(execution_id, "fork"), body)
        return wire.execution_in(self._ask(asked).data)

    def prune(self, older_than: float) -> int:
        """Delete what ended so many seconds ago, in small batches; how many executions."""
        body = {"older_than_days": older_than / _DAY}
        asked = post(("prune",), body, repeatable=False, answer=_LONG)
        return wire.member(self._ask(asked).data, "deleted", int)

    def wait(self, execution_id: str, timeout: float | None) -> Execution:
        """Block until the execution has ended; raises WorkflowTimeoutError."""
        return self._waits().wait(execution_id, timeout)

    async def wait_async(self, execution_id: str, timeout: float | None) -> Execution:
        """The same without blocking the running loop."""
        return await self._waits().wait_async(execution_id, timeout)

    def seen_workflows(self) -> frozenset[str]:
        """The workflows of which the server sees a worker; asked for a short time only."""
        asked = Request("GET", ("workflows",), patience=0.0, answer=_SHORT)
        listed = wire.member(self._ask(asked).data, "items", list)
        at_work = [it for it in listed if wire.member(it, "has_worker", bool)]
        return frozenset(wire.member(it, "id", str) for it in at_work)

    def close(self) -> None:
        """Close the connections, unless other clients use them; it can be used again."""
        waiting = self._waiting.pop(os.getpid(), None)
        if waiting is not None:
            waiting.close()
            background.close(self._address)

    def _named(self, request: StartRequest) -> StartRequest:
        """With an id of its own, so that it may be repeated."""
        if request.connection is not None:
            raise ConfigurationError(
                f"connection= can't be used by way of the server {self.url}, which is not part of "
                "your transaction: use a PolosClient() without api_url (and without "
                "POLOS_API_URL), with POLOS_DATABASE_URL, or Polos(app)"
            )
        return replace(
            request,
            execution_id=request.execution_id or str(uuid4()),
            deployment_id=request.deployment_id or self._deployment_id,
            declared=registry.get(request.workflow_id) is not None,
        )

    def _started(self, requests: Sequence[StartRequest], asked: Request) -> Answer:
        """The answer to a start, or the error that names what is known here as well."""
        ids = [it.workflow_id for it in requests]
        try:
            if all(map(_may_be, ids)):
                return self._ask(asked)
            listed = wire.member(self._ask(Request("GET", ("workflows",))).data, "items", list)
        except WorkflowNotFound as error:
            raise WorkflowNotFound(error.workflow_id, {*error.known, *_here()}) from None
        known = {wire.member(it, "id", str) for it in listed} | _here()
        raise WorkflowNotFound(next(id_ for id_ in ids if id_ not in known), known)

    def _ask(self, request: Request) -> Answer:
        """The answer of the server, for a caller who blocks."""
        self._waits()
        future = background.submit(self._line.ask(request))
        try:
            return future.result()
        finally:
            # Nobody wants to know any more, if it was not answered.
            future.cancel()

    def _waits(self) -> Waiting:
        found = self._waiting.get(os.getpid())
        if found is None:
            made = Waiting(background, self._line)
            # Without a lock, which a process that is forked could find held.
            found = self._waiting.setdefault(os.getpid(), made)
            if found is made:
                background.open(self._address)
        return found


def _execution(execution_id: str, *more: str) -> tuple[str, ...]:
    """The path of an execution; no address has room for an empty id."""
    if not execution_id:
        raise ExecutionNotFound(execution_id)
    return "executions", execution_id, *more


def _may_be(workflow_id: str) -> bool:
    """Whether a workflow can have that id; no address has room for others."""
    try:
        check_workflow_id(workflow_id)
    except ValueError:
        return False
    return True


def _here() -> set[str]:
    return {workflow.id for workflow in registry.all()}


def _wants_new(request: StartRequest) -> bool:
    """Whether an execution that is there already is another one than this asks for."""
    return request.execution_id is not None and request.idempotency_key is None
