"""The Celery task of each workflow: a door, with no policy of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from celery import Celery, Task
from celery.app.task import get_actual_ignore_result
from celery.backends.rpc import RPCBackend
from celery.exceptions import Ignore, Reject, Retry, TaskRevokedError
from celery.states import READY_STATES, REVOKED
from kombu.utils.uuid import uuid

from polos.binding.delivery import Delivery, Receiver
from polos.binding.execution_result import ExecutionResult
from polos.binding.masking import shown_arguments
from polos.binding.names import task_name, workflow_id_of
from polos.binding.soft_limit import soft_limit_in_user_code
from polos.binding.state_guard import GuardedBackend
from polos.codec import json_payload
from polos.definition.workflow import Workflow
from polos.errors import ExecutionCancelledError, PolosError, StoreUnavailable

log = logging.getLogger("polos.worker")

# An ``apply_async`` with one of these is Celery's own: it carries on a chain, a group or a chord.
_IN_CANVAS = ("root_id", "parent_id", "group_id", "chain", "chord")

_KEPT = (
    "acks_late",
    "acks_on_failure",
    "acks_on_failure_or_timeout",
    "acks_on_timeout",
    "autoretry_for",
    "reject_on_worker_lost",
    "track_started",
)


class Waiting(Exception):
    """Why a task ended as a retry: its execution waits. Its ``repr`` is what Flower shows."""

    def __repr__(self) -> str:
        return str(self)


class Revoked(Ignore):
    """How a task ends whose execution was cancelled; its state is stored by then."""


class PolosTask(Task):
    """What all tasks of workflows have in common."""

    abstract = True
    acks_late = True
    reject_on_worker_lost = True
    # A started execution would overwrite the RETRY that an earlier hop stored.
    track_started = False
    # What has failed is failed; retries are the workflow's own, and kept in the store.
    autoretry_for = ()
    acks_on_failure = acks_on_timeout = acks_on_failure_or_timeout = True
    # Celery logs these in one line; any other exception is a defect and shows its traceback.
    throws = (PolosError,)
    Request = "polos.binding.request:PolosRequest"
    Strategy = "polos.binding.strategy:take"
    bound: Receiver

    @classmethod
    def annotate(cls) -> None:
        """Celery's own handling; what Polos relies on stays, whatever holds for all tasks."""
        super().annotate()
        for name in _KEPT:
            setattr(cls, name, getattr(PolosTask, name))

    @property
    def backend(self) -> Any:
        """The result backend, which takes no state that the store would contradict."""
        return GuardedBackend(self._backend or self.app.backend, self.bound)

    @backend.setter
    def backend(self, value: Any) -> None:
        self._backend = value

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run one attempt of the execution whose id is this task's."""
        if self.request.called_directly:
            # As ``map`` and ``chunks`` do: there is no message, and so no execution.
            raise TypeError(
                f"the task {self.name!r} can't be called as a function, nor in map, starmap or "
                "chunks: start it with delay() or apply_async(), many of them in a group"
            )
        deliver = self.bound.deliver_eagerly if self.request.is_eager else self.bound.deliver
        with soft_limit_in_user_code():
            hop = deliver(self.request, workflow_id_of(str(self.name)), args, kwargs)
        if hop.args is not None:
            # A hint has none.
            self.request.args = hop.args
        if hop.waiting is not None:
            raise Retry(hop.waiting, exc=Waiting(hop.waiting))
        if hop.refused:
            raise Reject("this worker ends", requeue=True)
        if hop.dropped:
            raise Ignore
        if hop.revoked is not None and self.request.is_eager:
            raise ExecutionCancelledError(self.request.id)
        if hop.revoked is not None:
            self._tell_revoked(hop)
            raise Revoked(hop.revoked)
        if hop.error is not None:
            raise hop.error
        return hop.result

    def signature(self, args: Any = None, *rest: Any, **options: Any) -> Any:
        """Celery's own; a payload that is a model becomes plain data, as messages carry it."""
        return super().signature(_plain(args), *rest, **options)

    subtask = signature

    def apply_async(
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: Any = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: Any = None,
        **options: Any,
    ) -> Any:
        """Write the execution first, then send its message; durable from this call on."""
        given = {"link": link, "link_error": link_error, "shadow": shadow, **options}
        task_id = task_id or uuid()
        if self.app.conf.task_always_eager:
            return super().apply_async(_plain(args), kwargs, task_id, producer, **given)
        try:
            self._expect_reply(task_id, producer, given)
            execution_id = self.bound.start(
                workflow_id_of(str(self.name)),
                args or (),
                kwargs or {},
                task_id,
                self._placed(given),
            )
        except (TypeError, ValueError, StoreUnavailable) as error:
            if not any(options.get(name) for name in _IN_CANVAS):
                raise
            if isinstance(error, StoreUnavailable) and not self._goes_on(options):
                raise
            # Raised here it would be taken for a fault of the task before this one. A plain message
            # is stored by the worker that gets it, or fails there. After an execution it is sent
            # without a store only where this worker ends.
            log.warning("the execution of %s is not stored yet: %s", self.name, error)
            given |= shown_arguments(_plain(args), kwargs, self.bound.settings.redact)
            return super().apply_async(_plain(args), kwargs, task_id, producer, **given)
        result = self.AsyncResult(execution_id)
        parent = self.app.current_worker_task
        if parent is not None and options.get("add_to_parent", True):
            parent.add_trail(result)
        return result

    def AsyncResult(self, task_id: str, **options: Any) -> Any:  # noqa: N802
        """Celery's result of an execution, whose ``revoke`` also reaches one that is parked."""
        backend = self._backend or self.app.backend
        return ExecutionResult(
            task_id, app=self.app, backend=backend, task_name=self.name, **options
        )

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Celery has stored an end and sent what follows it: no sweep needs to send it again."""
        if status in READY_STATES:
            self.bound.announced(task_id, status)
        super().after_return(status, retval, task_id, args, kwargs, einfo)

    def _goes_on(self, options: Mapping[str, Any]) -> bool:
        """Whether Celery or a task of its own calls; a program and a workflow can call again."""
        before = self.app.current_worker_task
        if isinstance(before, PolosTask):
            return self.bound.is_telling(before.request.id)
        return before is not None or bool(options.get("parent_id"))

    def _expect_reply(self, task_id: str, producer: Any, given: dict[str, Any]) -> None:
        """Where results come as messages: have a queue for them, and name it in ours."""
        backend = self._backend or self.app.backend
        if not isinstance(backend, RPCBackend) or given.get("ignore_result", self.ignore_result):
            return
        given.setdefault("reply_to", self.app.thread_oid)
        with self.app.producer_or_acquire(producer) as connected:
            backend.on_task_call(connected, task_id)

    def _placed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options, with those that annotations have set and the tree of tasks that this is in.

        The latter as Celery's own ``send_task`` finds it.
        """
        found = dict(given)
        for name in ("expires", "priority", "queue"):
            if found.get(name) is None and getattr(self, name, None) is not None:
                found[name] = getattr(self, name)
        parent = self.app.current_worker_task
        if parent is not None:
            found["root_id"] = found.get("root_id") or parent.request.root_id or parent.request.id
            found["parent_id"] = found.get("parent_id") or parent.request.id
        return found

    def _tell_revoked(self, hop: Delivery) -> None:
        """Store the state, and fail the chain and the chord; Celery's way would leave them out."""
        request = self.request
        ignored = get_actual_ignore_result(self, request)
        try:
            self.backend.mark_as_failure(
                request.id,
                TaskRevokedError(hop.revoked),
                request=request,
                store_result=not ignored or self.store_errors_even_if_ignored,
                state=REVOKED,
            )
        except Exception as error:
            log.warning("%s; the end of execution %s is announced again", error, request.id)
            return
        self.bound.announced(request.id, REVOKED)


def _plain(args: Any) -> Any:
    return args and tuple(map(json_payload, args))


def register(app: Celery, bound: Receiver, workflow: Workflow[Any, Any]) -> None:
    """Make the Celery task of a workflow in an app; its messages go to ``bound``."""
    attributes = {
        "name": task_name(workflow.id),
        "bound": bound,
        "__doc__": workflow.description or workflow.function.__doc__,
        "__module__": workflow.function.__module__,
        **{
            name: value
            for name, value in workflow.celery_options.items()
            # These go with each message; Celery deprecates them as attributes of a task.
            if name not in {"queue", "priority"}
        },
    }
    # What the project has for all its tasks, such as Flask's application context, holds here too.
    bases = (PolosTask, app.Task)
    app.register_task(type(f"PolosTask_{workflow.id}", bases, attributes)())


def unregister(app: Celery, workflow_id: str) -> None:
    """Take the task of a workflow out of an app."""
    tasks: Any = app.tasks
    tasks.pop(task_name(workflow_id), None)
