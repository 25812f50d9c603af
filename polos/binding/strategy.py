"""How a worker takes a message of a workflow: Celery's own way, behind a door.

What is no message that Celery can run is refused with one line. And when a hint is due is decided
by this process: Celery's ETA is a moment of the sender's clock, which the clocks of two machines
may disagree about by any amount, and a worker holds the message for as long as it thinks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import signals
from celery.exceptions import InvalidTaskError
from celery.worker import strategy as celery_strategy
from kombu.exceptions import ContentDisallowed, DecodeError

from polos.binding.message_check import BadMessage, check_message
from polos.binding.names import AHEAD_HEADER, DUE_HEADER, HINT_HEADER
from polos.binding.of_app import bound_of
from polos.engine.clock import StoreClock
from polos.model.records import Micros

log = logging.getLogger("polos.worker")

_OWN_HEADERS = (HINT_HEADER, AHEAD_HEADER, DUE_HEADER)
# Hints are sent 30 s ahead by default; no message of ours is held for longer than this.
_FARTHEST = 3600.0
# Who comes so much early claims in time, and waits for the moment itself; in seconds.
_LEAD = 0.01


def take(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """The strategy of a workflow's task, as Celery wants it."""
    # Earlier than this a claim is refused.
    lead = min(_LEAD, bound_of(app).settings.wait_threshold_seconds)
    handle = celery_strategy.default(task, app, consumer, **options)

    def take_message(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any) -> Any:
        try:
            check_message(message, body)
            headers = message.headers if body is None else with_own_headers(body, message)
            if headers.get(HINT_HEADER):
                time_by_own_clock(headers, bound_of(app).clock, lead)
            return handle(message, body, ack, reject, callbacks)
        except (BadMessage, ContentDisallowed, DecodeError, InvalidTaskError) as error:
            id_ = (message.headers if body is None else body).get("id")
            # What is wrong may be as long as the message.
            log.error("a message for %s[%.80s] is refused: %.200s", task.name, id_, error)
            reject(log, consumer.connection_errors, False)
            signals.task_rejected.send(sender=consumer, message=message, exc=error)
            return None

    return take_message


def with_own_headers(body: dict[str, Any], message: Any) -> dict[str, Any]:
    """The body of a message of protocol 1, in which Celery looks for what are headers in 2."""
    found = message.headers or {}
    body |= {name: found[name] for name in _OWN_HEADERS if name in found}
    return body


def time_by_own_clock(
    headers: dict[str, Any], clock: StoreClock | None = None, lead: float = _LEAD
) -> None:
    """Make the ETA of a hint a moment of this process's clock.

    Args:
        headers: the message's, changed in place.
        clock: the database's clock as this process has read it; without it, the time that the
            message was on its way is not known.
        lead: seconds by which it is to come early.
    """
    ahead, due = headers.get(AHEAD_HEADER), headers.get(DUE_HEADER)
    # Without it the hint is due now; one that is too early is dropped, and the sweep sends another.
    eta = None
    if isinstance(ahead, int | float) and 0 < ahead <= _FARTHEST:
        if clock is not None and isinstance(due, int):
            ahead = min(ahead, clock.until(Micros(due)))
        eta = (datetime.now(UTC) + timedelta(seconds=max(0.0, ahead - lead))).isoformat()
    headers |= {"eta": eta, "expires": None}
