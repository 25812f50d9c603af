"""A step that starts a child, as a request to the engine."""

from __future__ import annotations

from typing import Any

from polos import codec
from polos.definition.names import check_key, check_seconds, check_text, check_workflow_id
from polos.definition.payload import check_payload_type
from polos.definition.registry import AnyWorkflow, Registry
from polos.definition.workflow_class import Workflow
from polos.model.ports import ChildRequest


class ChildRequests:
    """Makes the requests of one execution.

    Args:
        registry: where ids are looked up.
        limit: the most bytes that a payload may take.
    """

    def __init__(self, registry: Registry, limit: int) -> None:
        self._registry = registry
        self._limit = limit

    def make(
        self,
        key: str,
        target: AnyWorkflow | str,
        payload: Any,
        initial_state: Any,
        run_timeout_seconds: float | None,
        *,
        queue: str | None,
        concurrency_key: str | None,
    ) -> ChildRequest:
        """The request for one call.

        Raises:
            TypeError: the target is neither a workflow nor an id, or the payload of a wrong kind.
            ValueError: the payload or one of the texts can't be accepted.
        """
        check_key(key)
        workflow = self._found(key, target)
        limit = check_seconds("run_timeout_seconds", run_timeout_seconds)
        return ChildRequest(
            key=key,
            workflow_id=target if isinstance(target, str) else target.id,
            payload=self._payload(workflow, target, payload),
            queue=check_text("queue", queue, empty=False) or (workflow.queue if workflow else None),
            concurrency_key=check_text("concurrency_key", concurrency_key, empty=False),
            initial_state=self._state(workflow, initial_state),
            run_timeout_seconds=limit or (workflow.timeout_seconds if workflow else None),
            result_type=workflow.result_type if workflow else Any,
        )

    def _found(self, key: str, target: AnyWorkflow | str) -> AnyWorkflow | None:
        if isinstance(target, Workflow):
            return target
        if isinstance(target, str):
            return self._registry.get(check_workflow_id(target))
        raise TypeError(
            f"step {key!r} was given {target!r} to start; pass a function that is decorated with "
            "@workflow, or a workflow's id"
        )

    def _payload(self, workflow: AnyWorkflow | None, target: object, payload: Any) -> bytes:
        if workflow is not None:
            return workflow.encode_payload(payload, self._limit)
        check_payload_type(payload, f"workflow {target!r}")
        return codec.encode_payload(payload, self._limit)

    def _state(self, workflow: AnyWorkflow | None, state: Any) -> bytes | None:
        if workflow is not None:
            return workflow.encode_state(state, self._limit)
        return None if state is None else codec.encode(state, self._limit)
