"""``status``: a project as a whole."""

from __future__ import annotations

import click

from polos.cli.options import json_option
from polos.cli.output import show
from polos.cli.screens import overview as screen
from polos.cli.target import target_of
from polos.store.overview import overview


@click.command()
@json_option
@click.pass_context
def status(context: click.Context) -> None:
    """Workers, queues, and what waits for them.

    Which workers live, with their slots and queues; how many executions are in which state; what
    is due and unclaimed; the workflows that no living worker has.
    """
    target = target_of(context)
    project = target.settings.project_id
    data = screen.data_of(overview(target.store.database, project), project)
    show(context, data, lambda _: screen.drawn(data))
