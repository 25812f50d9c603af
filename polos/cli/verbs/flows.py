"""``workflow list`` and ``workflow describe``."""

from __future__ import annotations

from typing import Any

import click

from polos.cli import completions
from polos.cli.doctor.asking import routes_of
from polos.cli.doctor.of_workers import living
from polos.cli.lazy import Lazy, LazyGroup
from polos.cli.options import json_option
from polos.cli.output import show
from polos.cli.screens import flows as screen
from polos.cli.target import Target, target_of
from polos.definition.registry import registry
from polos.definition.workflow import Workflow
from polos.errors import WorkflowNotFound
from polos.store.overview import seen_workers

_HERE = "polos.cli.verbs.flows"


@click.group(
    cls=LazyGroup,
    lazy={
        "list": Lazy(f"{_HERE}:list_", "All workflows, and how many workers have them."),
        "describe": Lazy(f"{_HERE}:describe", "One workflow: its payload, result and options."),
    },
)
def workflow() -> None:
    """The workflows: list, describe."""


@click.command(name="list")
@json_option
@click.pass_context
def list_(context: click.Context) -> None:
    """All workflows that are defined here, or that some worker has had."""
    target = target_of(context, code=True)
    having = _workers_by_workflow(target)
    ids = {flow.id for flow in registry.all()} | target.store.known_workflows()
    items = [_short(id_, having.get(id_, [])) for id_ in sorted(ids)]
    show(context, {"items": items}, lambda _: screen.list_of(items))


@click.command()
@click.argument("workflow_id", metavar="WORKFLOW", shell_complete=completions.workflow_ids)
@json_option
@click.pass_context
def describe(context: click.Context, workflow_id: str) -> None:
    """One workflow: its payload, result and options, its queue and its workers."""
    target = target_of(context, code=True)
    known = target.store.known_workflows()
    if registry.get(workflow_id) is None and workflow_id not in known:
        raise WorkflowNotFound(workflow_id, known | {flow.id for flow in registry.all()})
    workers = _workers_by_workflow(target).get(workflow_id, [])
    data = _short(workflow_id, workers) | _details(target, workflow_id) | {"workers": workers}
    show(context, data, lambda _: screen.description(data))


def _workers_by_workflow(target: Target) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for worker in living(seen_workers(target.store.database, target.settings.project_id)):
        for id_ in worker.workflows:
            found.setdefault(id_, []).append(worker.name)
    return found


def _short(workflow_id: str, workers: list[str]) -> dict[str, Any]:
    known = registry.get(workflow_id)
    return {
        "id": workflow_id,
        "description": known.description if known else None,
        "defined_here": known is not None,
        "worker_count": len(workers),
    }


def _details(target: Target, workflow_id: str) -> dict[str, Any]:
    known = registry.get(workflow_id)
    queue = routes_of(target.app, [workflow_id])[workflow_id]
    if known is None:
        return {"queue": queue}
    return {
        "place": known.place,
        "queue": known.queue or queue,
        "payload": _schema(known, "payload_type"),
        "result": _schema(known, "result_type"),
        "retries": known.retries,
        "timeout_seconds": known.timeout_seconds,
        "version": known.version,
        "celery": {key: repr(value) for key, value in known.celery_options.items()},
    }


def _schema(known: Workflow[Any, Any], part: str) -> dict[str, Any]:
    """A type as JSON Schema where it is a model, else by its name."""
    try:
        kind = getattr(known, part)
        if hasattr(kind, "model_json_schema"):
            schema: dict[str, Any] = kind.model_json_schema()
            return schema
    except Exception as error:  # an annotation of the user's that can't be evaluated or described
        return {"title": f"unknown: {error}"}
    return {"title": "null" if kind is type(None) else getattr(kind, "__name__", str(kind))}
