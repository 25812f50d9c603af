"""Shows the workflows that are known here, or that some worker has had."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter

from polos.definition.registry import AnyWorkflow, registry
from polos.errors import WorkflowNotFound
from polos.model.facts import SeenWorker
from polos.server.operation import Answer, Call
from polos.store.overview import seen_workers


def list_workflows(call: Call) -> Answer:
    """All of them."""
    store = call.client.store
    ids = {flow.id for flow in registry.all()} | store.known_workflows()
    at_work = _at_work(seen_workers(store.database, call.project_id))
    return Answer({"items": [describe(id_, at_work) for id_ in sorted(ids)]})


def get_workflow(call: Call) -> Answer:
    """One of them."""
    store, id_ = call.client.store, call.path["workflow_id"]
    known = store.known_workflows() | {flow.id for flow in registry.all()}
    if id_ not in known:
        raise WorkflowNotFound(id_, known)
    return Answer(describe(id_, _at_work(seen_workers(store.database, call.project_id))))


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


def _at_work(workers: Iterable[SeenWorker]) -> frozenset[str]:
    alive = (seen.report for seen in workers if seen.is_alive)
    return frozenset(id_ for report in alive for id_ in report.workflows)
