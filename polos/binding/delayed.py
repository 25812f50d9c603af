"""Hints that are due later, on the quorum queues of RabbitMQ.

There the number of messages that a worker may hold can't be raised for those that it keeps for
later, so a few of these would keep it from all other work. Celery has RabbitMQ keep them, for whole
seconds; a worker keeps them for the rest of the last second.
"""

from __future__ import annotations

from typing import Any

from celery.utils.quorum_queues import detect_quorum_queues
from kombu.entity import Exchange
from kombu.transport.native_delayed_delivery import calculate_routing_key

# As Celery's workers declare and bind it.
_EXCHANGE = "celery_delayed_27"


def delayed(app: Any, route: dict[str, Any], countdown: float) -> dict[str, Any] | None:
    """The route of a message that is due after ``countdown`` seconds.

    None where nobody can keep it, as with a direct exchange; it is then sent when it is due.
    """
    seconds = int(countdown)
    if seconds < 1 or not _has_quorum_queues(app):
        return route
    queue = route.get("queue")
    kind = queue.exchange.type if queue else route.get("exchange_type")
    key = queue.routing_key if queue else route.get("routing_key")
    if kind in (None, "direct") or not key:
        return None
    rest = {name: value for name, value in route.items() if name != "queue"}
    return rest | {
        "exchange": Exchange(_EXCHANGE, type="topic"),
        "routing_key": calculate_routing_key(seconds, key),
    }


def _has_quorum_queues(app: Any) -> bool:
    driver = app.connection_for_write().transport.driver_type
    return bool(detect_quorum_queues(app, driver)[0])
