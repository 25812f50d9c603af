"""What a Celery app gets when Polos is bound to it: tasks, steps of its workers, and modules.

All of it waits until the app itself is ready. To make a task reads the app's configuration, which
is often said only after ``Polos(app)``, and a worker imports modules when it starts.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from celery import Celery, signals

from polos.binding.consumer_step import ConsumerStep
from polos.binding.names import MODULE
from polos.binding.of_app import bound_of, keep_bound
from polos.binding.sweep_thread import SweepStep
from polos.binding.tasks import register, unregister
from polos.definition.registry import Registry
from polos.definition.workflow import Workflow
from polos.errors import ConfigurationError

_STEPS = (("worker", SweepStep), ("consumer", ConsumerStep))


class AppLink:
    """Joins an app and what is bound to it, until one of them is closed.

    Neither the registry nor Celery's signals hold the app: one that its program has let go of, as
    of a factory in tests, is collected with all that was added to it.

    Args:
        app: the Celery app.
        bound: what its tasks and steps turn to.
        known: the workflows; those that are defined later get their tasks then.
        ready: called when the app takes tasks.
    """

    def __init__(self, app: Celery, bound: Any, known: Registry, ready: Callable[[], None]) -> None:
        there: Any = app
        if bound_of(app) is not None:
            raise ConfigurationError(
                f"the Celery app {app.main or 'without a name'!r} has Polos already: call "
                "Polos(app) once and use what it gave, or close that first"
            )
        self._app = there
        self._bound = bound
        self._made: dict[str, Workflow[Any, Any]] = {}
        keep_bound(app, bound)
        if not hasattr(app, "polos"):
            there.polos = bound
        for name, step in _STEPS:
            there.steps[name].add(step)
        there.on_after_finalize.connect(self._finalized)
        signals.import_modules.connect(self._importing, sender=app)
        self._known = known
        self._ready = ready
        if app.finalized:
            ready()
        self._unsubscribe = weakref.finalize(app, known.subscribe(_weakly(self.add)))
        self._find_workflows_too()
        self._close_with_app()

    def add(self, workflow: Workflow[Any, Any]) -> None:
        """Make the task of a workflow, now or as soon as the app is ready."""
        if self._app.finalized and self._made.get(workflow.id) is not workflow:
            if workflow.id in self._made:
                unregister(self._app, workflow.id)
            self._made[workflow.id] = workflow
            register(self._app, self._bound, workflow)

    def detach(self) -> None:
        """Take all of it away; a second call does nothing."""
        if bound_of(self._app) is not self._bound:
            return
        keep_bound(self._app, None)
        self._unsubscribe()
        self._app.on_after_finalize.disconnect(self._finalized)
        signals.import_modules.disconnect(self._importing, sender=self._app)
        for name, step in _STEPS:
            self._app.steps[name].discard(step)
        for workflow_id in self._made:
            unregister(self._app, workflow_id)
        if self._app.__dict__.get("polos") is self._bound:
            del self._app.polos
        self._app.__dict__.pop("close", None)
        self._app.loader.__dict__.pop("autodiscover_tasks", None)

    def _finalized(self, **_: Any) -> None:
        self._ready()
        for workflow in self._known.all():
            self.add(workflow)

    def _find_workflows_too(self) -> None:
        """Where the app looks for ``tasks.py``, ``workflows.py`` beside it is found as well."""
        loader = self._app.loader
        celerys_own = loader.autodiscover_tasks

        def autodiscover_tasks(packages: Any, related_name: Any = "tasks") -> None:
            packages = list(packages or ())
            celerys_own(packages, related_name)
            if related_name and related_name != MODULE and self._bound.settings.autodiscover:
                celerys_own(packages, MODULE)

        loader.autodiscover_tasks = autodiscover_tasks

    def _importing(self, **_: Any) -> None:
        """The same for packages that the app looked through before Polos was bound to it."""
        names = [name.rpartition(".") for name in self._app.loader.task_modules]
        packages = sorted({package for package, _, module in names if package and module})
        if packages and self._bound.settings.autodiscover:
            type(self._app.loader).autodiscover_tasks(self._app.loader, packages, MODULE)

    def _close_with_app(self) -> None:
        celerys_own = self._app.close

        def close() -> None:
            celerys_own()
            (self._bound.used_by or self._bound).close()

        self._app.close = close


def _weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    found = weakref.WeakMethod(method)

    def call(*args: Any) -> None:
        alive = found()
        if alive is not None:
            alive(*args)

    return call
