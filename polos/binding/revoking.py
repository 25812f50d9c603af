"""The remote control commands that revoke tasks, for those that are executions.

Celery's own note an id in the memory of each worker, store its state, and drop its next message. An
execution is cancelled in the store instead: for good, wherever it is, and it may still clean up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from celery import bootsteps
from celery.platforms import signals
from celery.utils.functional import maybe_list
from celery.worker import state as worker_state
from celery.worker.consumer.control import Control

from polos.binding.of_app import bound_of
from polos.binding.request import PolosRequest
from polos.model.records import Hint

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

    def own(some: list[str]) -> Any:
        return celerys_own(state, some, terminate, signal, **options)

    requests = {str(id_): worker_state.requests.get(str(id_)) for id_ in maybe_list(task_id) or ()}
    ours = {id_ for id_, request in requests.items() if isinstance(request, PolosRequest)}
    unknown = [id_ for id_, request in requests.items() if request is None]
    others = requests.keys() - ours - set(unknown)
    if unknown:
        _sort_out_soon(bound, state.consumer, unknown, own)
    answer = (
        own(list(others))
        if others or not requests
        else {"ok": f"tasks {set(requests)} flagged as revoked"}
    )
    for id_ in ours:
        request: Any = requests[id_]
        try:
            if terminate and request in worker_state.active_requests:
                request.terminate(state.consumer.pool, signal=signals.signum(signal or _TERM))
        finally:
            # Not every pool can terminate; it is cancelled all the same.
            bound.cancel_soon(id_)
    return answer


def _terminate(revoke: Callable[..., Any], state: Any, signal: Any, task_id: Any, **_: Any) -> Any:
    return revoke(state, task_id, terminate=True, signal=signal)


def _sort_out_soon(
    bound: Any, consumer: Any, ids: Sequence[str], celerys_own: Callable[..., Any]
) -> None:
    """Cancel what the store has of these ids; Celery's own command is for the others.

    The store is asked where messages don't have to wait for that. Their next message is held to be
    revoked meanwhile: a task's is dropped then, an execution's cancels it.
    """
    worker_state.revoked.update(ids)

    def cancel(store: Any) -> tuple[Hint, ...]:
        found: frozenset[str] = store.known(ids)
        hints = [hint for id_ in sorted(found) for hint in store.cancel(id_)[1]]
        consumer.call_soon(settle, found)
        return tuple(hints)

    def settle(found: frozenset[str]) -> None:
        for id_ in found:
            # The store remembers it, and may know of a better fate, as when it is retried.
            worker_state.revoked.discard(id_)
        if others := [id_ for id_ in ids if id_ not in found]:
            celerys_own(others)

    bound.change_soon(f"cancel what is an execution among {', '.join(ids)[:500]}", cancel)
