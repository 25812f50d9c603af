"""Three of the examples that Celery ships: where the lines go, and what their tasks do."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

THREE_LINES = """
from polos import Polos
app.conf.polos_database_url = "sqlite:///polos.db"
polos = Polos(app)
"""

WORKFLOW = '''
import asyncio

from polos import WorkflowContext, workflow

from {tasks} import {called}, {sent}


@workflow(id="example")
async def example(ctx: WorkflowContext) -> dict:
    """Calls their tasks, as functions and as tasks, around a wait."""
    sent, called = await asyncio.gather(
        ctx.step.task("sent", {sent}.s(3, 4)),
        ctx.step.run("called", asyncio.to_thread, {called}, 1, 2),
    )
    await ctx.step.wait_for("pause", seconds=1)
    return {{"called": called, "sent": sent}}
'''


@dataclass(frozen=True)
class Call:
    """One of their tasks, called.

    Attributes:
        task: its name.
        args: what it is called with.
        said: what the worker first says of its end.
        retries: as if it had been tried again so often.
        result: what its result holds; None as well where none is kept.
    """

    task: str
    args: tuple[object, ...]
    said: str
    retries: int = 0
    result: object = None

    @property
    def succeeds(self) -> bool:
        """Whether it ends well."""
        return self.said.startswith("succeeded")


@dataclass(frozen=True)
class Shape:
    """One project.

    Attributes:
        folder: where it is among Celery's examples.
        app: what ``celery -A`` takes.
        root: the file that makes the app; the lines follow right behind that.
        workflows: the module that is put beside their tasks.
        workflow: its text.
        returned: what the workflow returns.
        calls: their tasks, all of them.
        found: whether the app finds the module; else the worker is told of it with ``-I``.
        prepare: what Python runs first.
        processes: how many the worker's pool has.
    """

    folder: str
    app: str
    root: str
    workflows: str
    workflow: str
    returned: dict[str, object]
    calls: tuple[Call, ...]
    found: bool = False
    prepare: tuple[str, ...] = ()
    processes: int = 1

    def copy(self, examples: Path, to: Path) -> Path:
        """The project as it is, in a folder of its own."""
        unwanted = shutil.ignore_patterns("__pycache__")
        return Path(shutil.copytree(examples / self.folder, to, ignore=unwanted))

    def bind(self, folder: Path) -> None:
        """Put the three lines into a copy, and the workflow beside the tasks."""
        root = folder / self.root
        text = root.read_text()
        behind = text.index(")\n", text.index("= Celery(")) + 2
        root.write_text(text[:behind] + THREE_LINES + text[behind:])
        home = folder / (self.workflows.replace(".", "/") + ".py")
        assert not home.exists()
        home.write_text(self.workflow)


_NEXT_STEPS = "proj.tasks."
_DEMOAPP = "demoapp.tasks."
# Django's `migrate`, and a row that their tasks may rename and count.
_TABLES = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "proj.settings"
django.setup()
from django.core.management import call_command
from demoapp.models import Widget
call_command("migrate", verbosity=0)
Widget.objects.create(name="gear")
"""

SHAPES = {
    "app": Shape(
        "app",
        app="myapp",
        root="myapp.py",
        workflows="workflows",
        workflow=WORKFLOW.format(tasks="myapp", called="add", sent="add"),
        returned={"called": 3, "sent": 7},
        calls=(Call("myapp.add", (2, 2), "succeeded: 4", result=4),),
        processes=3,  # their task sleeps for ten seconds
    ),
    "next-steps": Shape(
        "next-steps",
        app="proj",
        root="proj/celery.py",
        workflows="proj.workflows",
        workflow=WORKFLOW.format(tasks="proj.tasks", called="add", sent="mul"),
        returned={"called": 3, "sent": 12},
        calls=(
            Call(_NEXT_STEPS + "add", (2, 2), "succeeded: 4", result=4),
            Call(_NEXT_STEPS + "mul", (3, 5), "succeeded: 15", result=15),
            Call(_NEXT_STEPS + "xsum", ([1, 2, 3],), "succeeded: 6", result=6),
        ),
    ),
    "django": Shape(
        "django",
        app="proj",
        root="proj/celery.py",
        workflows="demoapp.workflows",
        workflow=WORKFLOW.format(tasks="demoapp.tasks", called="add", sent="mul"),
        returned={"called": 3, "sent": 12},
        calls=(
            Call(_DEMOAPP + "add", (2, 2), "succeeded: 4", result=4),
            Call(_DEMOAPP + "mul", (3, 5), "succeeded: 15", result=15),
            Call(_DEMOAPP + "xsum", ([1, 2, 3],), "succeeded: 6", result=6),
            Call(_DEMOAPP + "count_widgets", (), "succeeded: 1", result=1),
            Call(_DEMOAPP + "rename_widget", (1, "cog"), "succeeded: None"),
            Call("proj.celery.debug_task", (), "succeeded: None"),
            Call(_DEMOAPP + "error_task", (), "retry: Retry in 600s: Exception('Test error')"),
            Call(
                _DEMOAPP + "error_backoff_test",
                (),
                "retry: Retry in 20s: Exception('Test error')",
                retries=2,
            ),
            Call(
                _DEMOAPP + "error_backoff_test",
                (),
                "raised unexpected: Exception('Test error')",
                retries=3,
            ),
        ),
        found=True,
        prepare=("-c", _TABLES),
    ),
}
