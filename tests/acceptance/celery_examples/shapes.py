"""The three projects, as they are and with three lines more."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent

THREE_LINES = """
from polos import Polos
app.conf.polos_database_url = "sqlite:///polos.db"
polos = Polos(app)
"""


@dataclass(frozen=True)
class Shape:
    """One project.

    Attributes:
        name: its folder.
        app: what ``celery -A`` takes.
        root: the file that makes the app; the lines follow right behind that.
        home: the file that gets the workflow; a new one or one of theirs.
        calls: their tasks and what they are called with.
        workflow: a workflow that calls their tasks.
        queues: what a worker consumes, where that is to be said.
        prepare: a command to run first.
    """

    name: str
    app: str
    root: str
    home: str
    calls: dict[str, tuple[object, ...]]
    workflow: str
    queues: str = ""
    prepare: tuple[str, ...] = ()

    def copy(self, to: Path, *, bound: bool) -> Path:
        """The project in a folder of its own."""
        shutil.copytree(HERE / self.name, to, ignore=shutil.ignore_patterns("__pycache__"))
        if bound:
            root, home = to / self.root, to / self.home
            text = root.read_text()
            behind = text.index(")\n", text.index("Celery(")) + 2
            root.write_text(text[:behind] + THREE_LINES + text[behind:])
            before = home.read_text() if home.exists() else ""
            home.write_text(before + self.workflow)
        return to


_WORKFLOW = '''
from polos import WorkflowContext, workflow


@workflow(id="example")
async def example(ctx: WorkflowContext) -> dict:
    """Calls their tasks, as functions and as tasks, around a wait."""
    called = await ctx.step.run("called", add, 1, 2)
    await ctx.step.wait_for("pause", seconds=1)
    return {"called": called, "sent": await ctx.step.task("sent", {sent})}
'''

SHAPES = {
    shape.name: shape
    for shape in (
        Shape(
            "plain",
            app="myapp",
            root="myapp.py",
            home="myapp.py",
            calls={"myapp.add": (2, 2), "myapp.third_time": ()},
            workflow=_WORKFLOW.replace("{sent}", "third_time.s()"),
        ),
        Shape(
            "package",
            app="proj",
            root="proj/celery.py",
            home="proj/tasks.py",
            calls={
                "proj.tasks.add": (2, 2),
                "proj.tasks.mul": (3, 4),
                "proj.tasks.xsum": ([1, 2, 3],),
            },
            workflow=_WORKFLOW.replace("{sent}", "mul.s(1, 2)"),
            queues="celery,products",
        ),
        Shape(
            "site",
            app="proj",
            root="proj/celery.py",
            home="demoapp/workflows.py",
            calls={
                "demoapp.tasks.add": (2, 2),
                "multiply_two_numbers": (3, 4),
                "demoapp.tasks.xsum": ([1, 2, 3],),
                "demoapp.tasks.make_widget": ("gear",),
                "demoapp.tasks.count_widgets": (),
            },
            workflow="from demoapp.tasks import add, mul\n"
            + _WORKFLOW.replace("{sent}", "mul.s(1, 2)"),
            prepare=("manage.py", "migrate", "-v0"),
        ),
    )
}
