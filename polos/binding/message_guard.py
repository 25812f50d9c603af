"""Keeps a worker alive when a message raises where Celery reads it.

Such a message would end every worker that gets it, one after another: it is given back to the
broker each time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import signals

log = logging.getLogger("polos.worker")

# A message's own fault, although kombu has KeyError among the errors of a connection to Redis.
_DAMAGE = (AttributeError, LookupError, TypeError, ValueError)


def guarded(consumer: Any, make: Callable[..., Any]) -> Callable[..., Any]:
    """What makes a consumer's function for messages, with the guard before that function."""

    def create_task_handler(*args: Any, **options: Any) -> Callable[[Any], Any]:
        handle = make(*args, **options)

        def on_task_received(message: Any) -> Any:
            try:
                return handle(message)
            except _DAMAGE as error:
                _refuse(consumer, message, error)
            except (*consumer.connection_errors, *consumer.channel_errors):
                raise  # the broker's; Celery connects again
            except Exception as error:
                _refuse(consumer, message, error)
            return None

        return on_task_received

    return create_task_handler


def _refuse(consumer: Any, message: Any, error: Exception) -> None:
    log.error(
        "a message that can't be read is refused: %s: %.200s (content type %.100r, headers %.300r)",
        type(error).__name__,
        error,
        message.content_type,
        message.headers,
    )
    if not message.acknowledged:
        message.reject_log_error(log, consumer.connection_errors)
    signals.task_rejected.send(sender=consumer, message=message, exc=error)
