"""The workflows that this process has."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from polos.definition.default_client import AppClient, ClientSlot, process_slot
from polos.definition.workflow_class import Workflow
from polos.errors import WorkflowNotFound
from polos.model.ports import WorkflowClient

AnyWorkflow = Workflow[Any, Any]
Listener = Callable[[AnyWorkflow], None]


class Registry:
    """Workflows by their ids, safe for threads; ``registry`` is the one of the process.

    Args:
        slot: where the default client is kept.
    """

    def __init__(self, slot: ClientSlot | None = None) -> None:
        self._slot = slot or ClientSlot()
        self._lock = threading.Lock()
        self._workflows: dict[str, AnyWorkflow] = {}
        self._listeners: dict[object, Listener] = {}

    def add(self, workflow: AnyWorkflow) -> None:
        """Make a workflow known. The same function again, as after a reload, replaces the first.

        Raises:
            ValueError: another function has that id.
        """
        with self._lock:
            present = self._workflows.get(workflow.id)
            if present is not None and not _same_function(present.function, workflow.function):
                raise ValueError(
                    f"two workflows have the id {workflow.id!r}: {present.place} and "
                    f"{workflow.place}; give one of them another, @workflow(id=…)"
                )
            self._workflows[workflow.id] = workflow
            listeners = tuple(self._listeners.values())
        # Outside of the lock: a listener may take locks that an importing thread holds.
        for listener in listeners:
            listener(workflow)

    def get(self, workflow_id: str) -> AnyWorkflow | None:
        """The workflow with that id, or None."""
        return self._workflows.get(workflow_id)

    def require(self, workflow_id: str) -> AnyWorkflow:
        """The workflow with that id.

        Raises:
            WorkflowNotFound: there is none; the text names those that are.
        """
        found = self._workflows.get(workflow_id)
        if found is None:
            raise WorkflowNotFound(workflow_id, (known.id for known in self.all()))
        return found

    def all(self) -> tuple[AnyWorkflow, ...]:
        """All workflows, in the order in which they were added."""
        with self._lock:
            return tuple(self._workflows.values())

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have a function called with each workflow that is there, and with each that comes.

        Example::

            unsubscribe = registry.subscribe(lambda workflow: print(workflow.id))

        Returns:
            A function that ends it; calling it again does nothing.
        """
        token = object()
        with self._lock:
            self._listeners[token] = listener
            present = tuple(self._workflows.values())
        for workflow in present:
            listener(workflow)
        return lambda: self._unsubscribe(token)

    @contextmanager
    def scoped(self, *, empty: bool = False) -> Iterator[Registry]:
        """Forget at the end of the block which workflows were added in it; for tests.

        Example::

            with registry.scoped():
                define_workflows()

        Args:
            empty: whether those that were there before are unknown meanwhile.
        """
        with self._lock:
            before = dict(self._workflows)
            if empty:
                self._workflows = {}
        try:
            yield self
        finally:
            with self._lock:
                self._workflows = before

    def set_default_client(self, client: WorkflowClient | None) -> None:
        """The client of calls that name none; None takes it away."""
        self._slot.set(client)

    def default_client(self) -> WorkflowClient | None:
        """The client of calls that name none, if there is one."""
        return self._slot.get()

    def add_bound_client(self, client: AppClient) -> None:
        """The client of a Celery app, for calls that name none; it is not held here."""
        self._slot.add_bound(client)

    def remove_bound_client(self, client: AppClient) -> None:
        """Take the client of a Celery app away."""
        self._slot.remove_bound(client)

    def _unsubscribe(self, token: object) -> None:
        with self._lock:
            self._listeners.pop(token, None)


def _same_function(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    if one.__qualname__ != other.__qualname__:
        return False
    # A file that is run is ``__main__``, and once more a module where another one imports it.
    return one.__module__ == other.__module__ or _file(one) == _file(other) != ""


def _file(function: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    path = os.path.realpath(code.co_filename) if code is not None else ""
    return path if os.path.exists(path) else ""


registry = Registry(process_slot)
