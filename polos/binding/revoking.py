"""The remote control commands that revoke tasks, for those that are executions.

Celery's own note an id in the memory of each worker, store its state, and drop its next message. An
execution is cancelled in the store instead: for good, wherever it is, and it may still clean up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from celery import bootsteps
from celery.platforms import signals
from celery.utils.functional import maybe_list
from celery.worker import state as worker_state
from celery.worker.consumer.control import Control

from polos.binding.of_app import bound_of
from polos.binding.request import PolosRequest
from polos.errors import StoreError

log = logging.getLogger("polos.worker")

_TERM = "SIGTERM"


class RevokeStep(bootsteps.StartStopStep):
    """Puts these commands into a consumer's mailbox; those of other apps stay as they are."""

    requires = (Control,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        for step in consumer.blueprint.order:
            if isinstance(step, Control):
                node = step.box.node
                own = node.handlers["revoke"]
                revoke = partial(revoke_all, bound_of(consumer.app), own)
                node.handlers = {
                    **node.handlers,
                    "revoke": revoke,
                    "terminate": partial(_terminate, revoke),
                }


def revoke_all(
    bound: Any,
    celerys_own: Callable[..., Any],
    state: Any,
    task_id: Any,
    terminate: bool = False,
    signal: Any = None,
    **options: Any,
) -> Any:
    """Cancel the executions among these ids, and leave the others to Celery.

    Args:
        bound: the binding whose store has executions.
        celerys_own: Celery's command.
        state: what Celery gives a command.
        task_id: one id, or several.
        terminate: whether to kill the processes that run them.
        signal: the name of the signal for that.
    """
    ids = {str(id_) for id_ in maybe_list(task_id) or ()}
    requests: dict[str, Any] = {id_: worker_state.requests.get(id_) for id_ in ids}
    ours = {id_ for id_, request in requests.items() if isinstance(request, PolosRequest)}
    ours |= _stored(bound, {id_ for id_, request in requests.items() if request is None})
    answer = {"ok": f"tasks {ours} are cancelled as executions"}
    if ids - ours or not ours:
        answer = celerys_own(state, list(ids - ours), terminate, signal, **options)
    for id_ in ours:
        request = requests[id_]
        try:
            if terminate and request in worker_state.active_requests:
                request.terminate(state.consumer.pool, signal=signals.signum(signal or _TERM))
        finally:
            # Not every pool can terminate; it is cancelled all the same.
            bound.cancel_soon(id_)
    return answer


def _terminate(revoke: Callable[..., Any], state: Any, signal: Any, task_id: Any, **_: Any) -> Any:
    return revoke(state, task_id, terminate=True, signal=signal)


def _stored(bound: Any, ids: Iterable[str]) -> frozenset[str]:
    """Those of the ids that are executions."""
    unknown = list(ids)
    if not unknown:
        return frozenset()
    try:
        found: frozenset[str] = bound.store.known(unknown)
    except StoreError as error:
        log.warning("%s; executions among %s are cancelled when it is back", error, unknown)
        for id_ in unknown:
            bound.cancel_soon(id_)
        return frozenset()
    return found
