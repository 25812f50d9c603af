"""Asks Celery, the broker and the workers for facts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from celery import Celery

from polos.binding.inspection import ask_workers
from polos.binding.names import task_name
from polos.cli.doctor.facts import BrokerFacts, CeleryFacts, WorkerAnswer

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 1.0


def broker_of(app: Celery) -> BrokerFacts:
    """The broker, reached or not."""
    options = {**app.conf.broker_transport_options}
    if str(app.conf.broker_url or "").startswith(("redis", "sentinel")):
        options.setdefault("socket_connect_timeout", _CONNECT_SECONDS)
    with app.connection_for_read(transport_options=options) as connection:
        kind = str(connection.transport.driver_type)
        folder = options.get("data_folder_in") if kind == "filesystem" else None
        url = f"the folder {folder}" if folder else connection.as_uri()
        try:
            connection.ensure_connection(
                max_retries=1, interval_start=0, interval_step=0, timeout=_CONNECT_SECONDS
            )
            channel = connection.default_channel
            visibility = getattr(channel, "visibility_timeout", None)
            version = _version(connection.connection)
        except Exception as error:  # of whichever transport it is
            return BrokerFacts(url, kind, refusal=str(error) or type(error).__name__)
    return BrokerFacts(
        url, kind, visibility=None if visibility is None else float(visibility), version=version
    )


def _version(connection: Any) -> str:
    properties = getattr(connection, "server_properties", None) or {}
    found = properties.get("version", "")
    return found.decode() if isinstance(found, bytes) else str(found)


def celery_of(app: Celery) -> CeleryFacts:
    """The app's settings."""
    conf = app.conf
    return CeleryFacts(
        always_eager=bool(conf.task_always_eager),
        acks_late=bool(conf.task_acks_late),
        ignore_result=bool(conf.task_ignore_result),
        prefetch_multiplier=int(conf.worker_prefetch_multiplier),
        eta_task_limit=conf.get("worker_eta_task_limit"),
        result_backend=_scheme(conf.result_backend),
        result_expires=_seconds(conf.result_expires),
        longest_limit=_longest(app),
        soft_shutdown=float(conf.worker_soft_shutdown_timeout or 0),
    )


def _scheme(url: Any) -> str:
    scheme = str(url or "").partition(":")[0]
    return "" if scheme == "disabled" else scheme


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def _longest(app: Celery) -> float | None:
    """The largest hard time limit; None where a task has none."""
    limits = [
        task.time_limit or app.conf.task_time_limit
        for name, task in app.tasks.items()
        if not name.startswith("celery.")
    ]
    return max(limits, default=None) if all(limits) else None


def routes_of(app: Celery, workflow_ids: Iterable[str]) -> dict[str, str]:
    """The queue to which Celery's routing sends each workflow."""
    found = {}
    for id_ in workflow_ids:
        queue = app.amqp.router.route({}, task_name(id_)).get("queue")
        found[id_] = str(getattr(queue, "name", queue) or app.conf.task_default_queue)
    return found


def answers_of(app: Celery) -> list[WorkerAnswer]:
    """What the workers say of themselves, by Celery's remote control."""
    found = []
    for name, answer, asked in ask_workers(app, _ANSWER_SECONDS):
        # It was answered at some time between the question and the end of the wait.
        half = _ANSWER_SECONDS / 2
        found.append(
            WorkerAnswer(
                name=name,
                polos=str(answer.get("polos", "")),
                celery=str(answer.get("celery", "")),
                ahead=float(answer.get("time", asked)) - asked - half,
                uncertainty=half,
                settings=dict(answer.get("settings") or {}),
            )
        )
    return found
