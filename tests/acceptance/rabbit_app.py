"""A Celery project on RabbitMQ, its queues of one type or the other."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from polos import Polos
from tests.acceptance import flows
from tests.acceptance.ledger import effect

KINDS = ("classic", "quorum", "direct")
_QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 5}


def queue_of(kind: str) -> str:
    """The queue that a project with queues of that type has."""
    return f"rabbit-{kind}"


def settings_of(kind: str) -> dict[str, Any]:
    """What such a project says in its configuration."""
    name = queue_of(kind)
    found: dict[str, Any] = {"task_default_queue": name, "task_default_routing_key": name}
    if kind == "classic":
        return found
    found["broker_transport_options"] = {"confirm_publish": True}
    found["task_default_queue_type"] = "quorum"
    if kind == "quorum":
        # As Celery's documentation asks for, so that RabbitMQ can keep what is due later.
        exchange = Exchange(name, type="topic")
        found["task_queues"] = [Queue(name, exchange, name, queue_arguments=dict(_QUORUM))]
        found["task_default_exchange_type"] = "topic"
    else:
        found["task_queues"] = [Queue(name, routing_key=name, queue_arguments=dict(_QUORUM))]
    return found


def make_app(kind: str, broker: str, results: str, database: str) -> Celery:
    """The project, without Polos; that is bound in one line more."""
    app = Celery("rabbit", set_as_current=False, broker=broker, backend=results)
    app.conf.update(settings_of(kind))
    app.conf.worker_prefetch_multiplier = 1
    app.conf.polos_database_url = database
    app.conf.polos_auto_migrate = True

    @app.task(name="rabbit.pass_on", shared=False)
    def pass_on(found: Any, ledger_id: str) -> str:
        effect(ledger_id, "passed on", None, repr(found))
        return f"passed on: {found}"

    @app.task(name="rabbit.gather", shared=False)
    def gather(found: list[Any], ledger_id: str) -> list[Any]:
        effect(ledger_id, "gathered", None, repr(found))
        return found

    return app


if "RABBIT_KIND" in os.environ:
    environment = [os.environ[f"RABBIT_{it}"] for it in ("KIND", "BROKER", "RESULTS", "DATABASE")]
    app = make_app(*environment)
    polos = Polos(app)
    assert flows.relay.id
