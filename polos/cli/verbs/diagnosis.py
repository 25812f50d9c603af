"""``doctor``: what is wrong with a deployment, and what to change."""

from __future__ import annotations

import click

from polos.cli.doctor.checks import Examination
from polos.cli.doctor.finding import Level
from polos.cli.exits import Code
from polos.cli.options import json_option
from polos.cli.output import show
from polos.cli.screens import findings as screen
from polos.cli.target import target_of


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
@json_option
@click.pass_context
def doctor(context: click.Context, quiet: bool) -> None:
    """Look for what is wrong, and say what to change.

    Looks at the broker, the database, the settings of Celery and of Polos, and the workers.
    Nothing is changed. The exit code is 1 where there is an error, else 0.
    """
    examination = Examination(target_of(context), lambda: target_of(context, code=True))
    found = [it for it in examination.findings() if not quiet or it.level is not Level.OK]
    counts = {level.value: sum(it.level is level for it in found) for level in Level}
    data = {"findings": [it.to_dict() for it in found], "counts": counts}
    show(context, data, lambda _: screen.drawn(found))
    if counts["error"]:
        context.exit(int(Code.FAILED))
