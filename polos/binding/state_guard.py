"""Keeps states in a result backend from running backwards.

Redis and the database backend let any state but SUCCESS be overwritten. So a worker that stood
still between a park and the RETRY that it stores for it would hide the FAILURE that another one
has stored meanwhile, and Celery itself stores a FAILURE where it could not send what follows a
success. What the store says of an execution is the truth; all else is left out here.

An end of which the backend doesn't tell whether its chord has gone on is told again later.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import Any

from celery.backends.base import DisabledBackend
from celery.backends.rpc import RPCBackend
from celery.exceptions import TimeLimitExceeded
from celery.states import FAILURE, READY_STATES, RETRY
from kombu.utils.encoding import ensure_bytes

from polos.binding.chord_parts import ChordParts
from polos.binding.delivery import Receiver

log = logging.getLogger("polos.worker")


class GuardedBackend:
    """A result backend that takes the ends of executions from the store only.

    Args:
        inner: the backend.
        bound: knows what Celery is being told.
    """

    def __init__(self, inner: Any, bound: Receiver) -> None:
        self._inner = inner
        self._bound = bound

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def mark_as_done(
        self, task_id: str, result: Any, request: Any = None, *args: Any, **options: Any
    ) -> None:
        """Celery's own, with an eye on the chord that the task is in."""
        parts = ChordParts(self._inner, request)
        self._inner.mark_as_done(task_id, result, request, *args, **options)
        self._tell_again_if_needed(task_id, parts)

    def mark_as_failure(
        self,
        task_id: str,
        exc: BaseException,
        traceback: Any = None,
        request: Any = None,
        **options: Any,
    ) -> None:
        """Celery's own, where the execution has failed."""
        # A hard time limit ends the execution in the store, whose end is then announced.
        if isinstance(exc, TimeLimitExceeded) or self._bound.is_completed(task_id):
            log.debug("execution %s: its end is announced again, not as %r", task_id, exc)
            return
        parts = ChordParts(self._inner, request, failed=True)
        self._inner.mark_as_failure(task_id, exc, traceback, request, **options)
        parts.bring_chained(options.get("state", FAILURE), exc)
        self._tell_again_if_needed(task_id, parts)

    def mark_as_revoked(self, task_id: str, *args: Any, **options: Any) -> None:
        """Nothing: the end of a cancelled execution is announced when it has cleaned up."""

    def mark_as_retry(
        self, task_id: str, exc: BaseException, traceback: Any = None, request: Any = None
    ) -> None:
        """Celery's own, unless an end is stored."""
        try:
            _store_retry(self._inner, task_id, exc, traceback, request)
        except Exception as error:
            # It is for people. Raised, it would make Celery store a failure of what only waits.
            log.warning("the state RETRY of execution %s could not be stored: %s", task_id, error)

    def _tell_again_if_needed(self, task_id: str, parts: ChordParts) -> None:
        if parts.may_hang():
            log.info(
                "execution %s: another worker is at its chord, so its end is told again", task_id
            )
            self._bound.tell_again(task_id)


def _store_retry(backend: Any, id_: str, exc: Any, traceback: Any, request: Any) -> None:
    if isinstance(backend, DisabledBackend):
        return
    if isinstance(backend, RPCBackend):
        return  # It keeps no states; each would be a message, which may come after the end's.
    if hasattr(backend, "ResultSession"):
        _retry_in_database(backend, id_, exc, traceback)
    elif hasattr(backend, "redis") and hasattr(backend.client, "pipeline"):
        backend.ensure(partial(_retry_in_redis, backend, id_, exc, traceback, request), ())
    elif backend.get_state(id_) not in READY_STATES:
        backend.mark_as_retry(id_, exc, traceback, request=request)


def _retry_in_redis(backend: Any, id_: str, exc: Any, traceback: Any, request: Any) -> None:
    key = backend.get_key_for_task(id_)
    with backend.client.pipeline() as pipe:
        pipe.watch(key)
        stored = pipe.get(key)
        if stored and backend.decode_result(stored)["status"] in READY_STATES:
            return
        meta = backend._get_result_meta(
            result=backend.encode_result(exc, RETRY),
            state=RETRY,
            traceback=traceback,
            request=request,
        )
        value = backend.encode(meta | {"task_id": id_})
        pipe.multi()
        pipe.set(key, value, ex=backend.expires or None)
        pipe.publish(key, value)
        # Whoever stored something since the look has seen more than this one.
        with suppress(backend.redis.WatchError):
            pipe.execute()


def _retry_in_database(backend: Any, id_: str, exc: Any, traceback: Any) -> None:
    kind = backend.task_cls
    result = ensure_bytes(backend.encode(backend.encode_result(exc, RETRY)))
    values = {"status": RETRY, "result": result, "traceback": traceback}
    session = backend.ResultSession()
    try:
        mine = session.query(kind).filter(kind.task_id == id_)
        if not mine.filter(kind.status.notin_(READY_STATES)).update(values) and not mine.count():
            row = kind(id_)
            for name, value in values.items():
                setattr(row, name, value)
            session.add(row)
        session.commit()
    finally:
        session.close()
