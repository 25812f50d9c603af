"""Shows the workflows that are known here, or that some worker has had."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from polos.client.direct import DirectClient
from polos.definition.registry import AnyWorkflow, registry
from polos.errors import WorkflowNotFound
from polos.server.operation import Answer, Call
from polos.store.overview import seen_workers


def list_workflows(call: Call) -> Answer:
    """All of them."""
    return Answer({"items": known_flows(call.client)})


def get_workflow(call: Call) -> Answer:
    """One of them."""
    return Answer(known_flow(call.client, call.path["workflow_id"]))


def known_flows(client: DirectClient) -> list[dict[str, Any]]:
    """The workflows that are known here, or that some worker has had, as plain data."""
    at_work = _at_work(client)
    return [describe(id_, at_work) for id_ in sorted(_ids(client))]


def known_flow(client: DirectClient, workflow_id: str) -> dict[str, Any]:
    """One of them; raises WorkflowNotFound."""
    known = _ids(client)
    if workflow_id not in known:
        raise WorkflowNotFound(workflow_id, known)
    return describe(workflow_id, _at_work(client))


def describe(workflow_id: str, at_work: frozenset[str]) -> dict[str, Any]:
    """A workflow as plain data.

    Args:
        workflow_id: its id.
        at_work: the workflows that workers which are alive have.
    """
    known = registry.get(workflow_id)
    return {
        "id": workflow_id,
        "description": known.description if known else None,
        "payload_schema": payload_schema(known) if known else None,
        "defined_here": known is not None,
        "has_worker": workflow_id in at_work,
    }


def payload_schema(workflow: AnyWorkflow) -> dict[str, Any] | None:
    """JSON Schema of a workflow's payload; None where Pydantic can't make one."""
    try:
        return TypeAdapter(workflow.payload_type).json_schema()
    except Exception:  # of annotations and of schemas of the user's own; any error is possible
        return None


def _ids(client: DirectClient) -> frozenset[str]:
    return client.store.known_workflows() | {flow.id for flow in registry.all()}


def _at_work(client: DirectClient) -> frozenset[str]:
    workers = seen_workers(client.store.database, client.project_id)
    alive = (seen.report for seen in workers if seen.is_alive)
    return frozenset(id_ for report in alive for id_ in report.workflows)
