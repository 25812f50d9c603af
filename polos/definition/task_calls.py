"""A workflow as what it is to Celery, a task: ``wf.delay``, ``wf.s`` and the like.

The task itself is in a Celery app, of which this floor knows nothing: the default client gives it.
"""

from __future__ import annotations

from typing import Any

from polos.definition.default_client import process_slot
from polos.errors import ConfigurationError


class TaskCalls:
    """What Celery's users call on a task, in the app that ``wf.start`` would use.

    That is the only app that has the workflow, or the one whose ``Polos`` was made the default. For
    another one take the task from it: ``app.tasks["polos.order_processor"]``.
    """

    id: str

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Start an execution in Celery's way; durable when this returns.

        Example::

            result = order_workflow.delay(Order(id="a1"))
            result.get(timeout=60)

        Args:
            args: the payload, a model or a dict that fits the workflow's annotation.
            kwargs: the payload's fields, in the place of ``args``.

        Returns:
            Celery's ``AsyncResult`` (``EagerResult`` with ``task_always_eager``).

        Raises:
            TypeError: the payload is no model, dict or None.
            ValueError: the payload doesn't fit (``InvalidPayload``).
            ConfigurationError: no Celery app has it, or several have.
        """
        return self._task("delay").delay(*args, **kwargs)

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """The same as ``delay``, with Celery's options.

        Example::

            order_workflow.apply_async((Order(id="a1"),), countdown=60, priority=3)

        Args:
            args: a tuple with the payload.
            kwargs: the payload's fields, in the place of ``args``.
            options: ``countdown`` (seconds) or ``eta``, which become a wait in the store;
                ``expires`` (seconds or a datetime), after which an execution that has not begun
                never does; ``queue``, ``priority``, ``task_id``, ``link``, ``link_error``,
                ``ignore_result``, ``time_limit`` and the others that Celery has.
        """
        return self._task("apply_async").apply_async(args, kwargs, **options)

    def s(self, *args: Any, **kwargs: Any) -> Any:
        """A signature for chains, groups and chords; the result before it becomes its payload.

        A model becomes plain data. The payload is validated when the execution starts.

        Example::

            chain(load_order.s(42), order_workflow.s(), notify.s())()
        """
        return self._task("s").s(*args, **kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Any:
        """The same, immutable: it ignores the result before it.

        Example::

            chain(clean_up.si(), order_workflow.si({"id": "a1"}))()
        """
        return self._task("si").si(*args, **kwargs)

    def signature(self, args: Any = None, *rest: Any, **options: Any) -> Any:
        """A signature with options.

        Example::

            order_workflow.signature((Order(id="a1"),), countdown=10)
        """
        return self._task("signature").signature(args, *rest, **options)

    def AsyncResult(self, task_id: str, **options: Any) -> Any:  # noqa: N802
        """Celery's result of an execution; an execution's id is its task's.

        Example::

            order_workflow.AsyncResult(handle.id).state
        """
        return self._task("AsyncResult").AsyncResult(task_id, **options)

    def _task(self, call: str) -> Any:
        named = f"workflow {self.id!r}: {call}()"
        found = process_slot.choose(self.id, named, "take the task from the one that is meant")
        # The only app there is says what it lacks.
        client: Any = found or process_slot.get()
        find = getattr(client, "task_of", None)
        if find is None:
            raise ConfigurationError(
                f"workflow {self.id!r} has no Celery app, which {call}() needs: create Polos(app) "
                "before, in the module that makes the app, and import that module here"
            )
        return find(self.id)
