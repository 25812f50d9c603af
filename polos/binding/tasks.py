"""The Celery task of each workflow: a door, with no policy of its own."""

from __future__ import annotations

from typing import Any

from celery import Celery, Task
from celery.exceptions import Ignore, Reject, Retry
from celery.states import READY_STATES

from polos.binding.delivery import Receiver
from polos.binding.names import task_name, workflow_id_of
from polos.binding.soft_limit import soft_limit_in_user_code
from polos.definition.workflow import Workflow
from polos.errors import PolosError

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

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run one attempt of the execution whose id is this task's."""
        with soft_limit_in_user_code():
            hop = self.bound.deliver(self.request, workflow_id_of(str(self.name)), args, kwargs)
        if hop.waiting is not None:
            raise Retry(hop.waiting, exc=Waiting(hop.waiting))
        if hop.refused:
            raise Reject("this worker ends", requeue=True)
        if hop.dropped:
            raise Ignore
        if hop.error is not None:
            raise hop.error
        return hop.result

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
        options |= {"link": link, "link_error": link_error, "shadow": shadow}
        if self.app.conf.task_always_eager:
            return super().apply_async(args, kwargs, task_id, producer, **options)
        execution_id = self.bound.start(
            workflow_id_of(str(self.name)), args or (), kwargs or {}, task_id, options
        )
        return self.AsyncResult(execution_id)

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Celery has stored an end and sent what follows it: no sweep needs to send it again."""
        if status in READY_STATES:
            self.bound.announced(task_id)
        super().after_return(status, retval, task_id, args, kwargs, einfo)


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
