"""``health``: whether a worker, a server, or what both stand on is well; for health checks."""

from __future__ import annotations

from collections.abc import Iterable

import click

from polos.cli.choice import wants_json
from polos.cli.doctor.asking import broker_of
from polos.cli.exits import Code, Stopped
from polos.cli.options import json_option
from polos.cli.output import print_json, say
from polos.cli.serving import probe
from polos.cli.target import Target, target_of
from polos.errors import StoreError
from polos.model.facts import SeenWorker
from polos.model.inert import one_line
from polos.model.settings import has_home
from polos.model.words import counted, lasting
from polos.store.database import Database
from polos.store.migrate import ensure_schema
from polos.store.overview import seen_workers


class _Ill(Exception):
    """What is wrong."""


@click.command()
@click.option("--worker", "name", metavar="NAME", help="A worker, such as celery@$HOSTNAME.")
@click.option("--server", "url", metavar="URL", help="A server, such as http://127.0.0.1:8080.")
@json_option
@click.pass_context
def health(context: click.Context, name: str | None, url: str | None) -> None:
    """Whether a worker or a server is well; without either, whether both could work here.

    A worker is well where it has reported within the last seconds, and its broker answers. A server
    is well where it answers that it is ready. The exit code is 0 or 1, and one line says why.
    """
    if name and url:
        raise Stopped("give --worker or --server, not both", Code.USAGE)
    try:
        text = _of_server(url) if url else _of_target(target_of(context), name)
    except _Ill as error:
        text, well = str(error), False
    else:
        well = True
    if wants_json(context):
        print_json({"healthy": well, "text": text})
    say(context, one_line(text))
    context.exit(int(Code.OK if well else Code.FAILED))


def _of_server(url: str) -> str:
    answer = probe.readiness(url)
    if not answer.well:
        raise _Ill(f"the server at {url} is not ready: {answer.why}")
    return f"the server at {url} is ready"


def _of_target(target: Target, name: str | None) -> str:
    workers = _workers(target)
    said = _of_worker(name, workers) if name else _of_all(workers)
    broker = broker_of(target.app)
    if broker.refusal:
        raise _Ill(f"the broker {broker.url} can't be reached: {broker.refusal}")
    return f"{said}; the broker answers"


def _workers(target: Target) -> tuple[SeenWorker, ...]:
    settings = target.settings
    if not settings.database_url and not has_home():
        raise _Ill("there is no database here: neither POLOS_DATABASE_URL nor a folder .polos")
    try:
        database = Database(settings.database_url, connections=1)
        ensure_schema(database, migrate=False)
        return seen_workers(database, settings.project_id)
    except StoreError as error:
        raise _Ill(str(error)) from error


def _of_worker(name: str, workers: Iterable[SeenWorker]) -> str:
    by_name = {worker.report.name: worker for worker in workers}
    found = by_name.get(name)
    if found is None:
        raise _Ill(f"no worker {name} has reported; known: {', '.join(by_name) or 'none'}")
    if not found.is_alive:
        raise _Ill(f"worker {name} has not reported for {lasting(found.silent)}")
    report = found.report
    return f"worker {name} reported {lasting(found.silent)} ago, {counted(report.slots, 'slot')}"


def _of_all(workers: Iterable[SeenWorker]) -> str:
    alive = sum(worker.is_alive for worker in workers)
    return f"the database answers, {counted(alive, 'worker')}"
